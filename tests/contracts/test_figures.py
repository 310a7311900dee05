"""What every figure must do: draw what there is, say when there is nothing, name its units, repeat its bytes."""

import sys
from functools import cache
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "golden"))

import judged_studies as studies

from seqbench.judge import table
from seqbench.judge.figures import FIGURES
from seqbench.judge.report import svg

STUDY = studies.study(text=studies.corpus(), beside=studies.BESIDE, seeds=2)
FULL = table.tables(STUDY, studies.contents(STUDY))
EMPTY = table.tables(STUDY, studies.contents(STUDY, drop=lambda _: True))


def is_dropped(cell):
    """Return whether half of the cells lack this one; of a text only a vanilla network is planned."""
    return cell.seed == 1001 or (cell.model == "rnn" and cell.task != "text")


PARTIAL = table.tables(STUDY, studies.contents(STUDY, drop=is_dropped))


def status_of(cell):
    """Return how a cell failed: panels were contended, trainings diverged, and what only measures had an error."""
    return "contended" if cell.timing else "diverged" if cell.training else "error"


FAILED = table.tables(STUDY, studies.contents(STUDY, failed=status_of))
NOISY = table.tables(STUDY, studies.contents(STUDY, failed=lambda cell: "contended" if cell.length == 256 else None))


@cache
def drawn(name):
    """Return a figure of the whole study, the frame behind it, and the frame as it was before it was drawn."""
    module = FIGURES.load(name)
    frame = module.select(FULL, STUDY)
    before = frame.copy()
    return module.draw(frame), frame, before


pytestmark = pytest.mark.parametrize("name", FIGURES.names())


def test_axes_name_their_unit(name):
    """Every numeric axis has a label with a unit in parentheses, or counts training steps."""
    for axes in drawn(name)[0].axes:
        labels = [label for label in (axes.get_xlabel(), axes.get_ylabel()) if label]
        assert labels
        assert all("(" in label or label == "training step" for label in labels)


def test_missing_cells_survive(name):
    """With half of the cells gone the figure is still drawn; with all gone it says so."""
    module = FIGURES.load(name)
    assert module.draw(module.select(PARTIAL, STUDY)).axes
    nothing = module.draw(module.select(EMPTY, STUDY))
    assert [text.get_text() for text in nothing.texts] == ["no records"]


@pytest.mark.parametrize("tables", [FAILED, NOISY], ids=["all failed", "one length contended"])
def test_failed_cells_survive(name, tables):
    """Cells without a number, all or those of one panel, leave a figure that can be drawn and written."""
    module = FIGURES.load(name)
    assert "</svg>" in svg.standalone(module.draw(module.select(tables, STUDY)))


def test_the_same_frame_gives_the_same_bytes(name):
    """Two drawings of one frame are equal byte by byte, with text as text."""
    figure, frame, _ = drawn(name)
    first, second = svg.standalone(figure), svg.standalone(FIGURES.load(name).draw(frame))
    assert first == second
    assert "<text" in first


def test_the_frame_is_all_the_figure_needs(name):
    """The CSV's columns are enough: drawing does not change the frame."""
    module, (_, frame, before) = FIGURES.load(name), drawn(name)
    assert before.equals(frame)
    assert module.TITLE
    assert module.CAPTION.endswith(".")
