"""A study in a notebook: a tidy frame with documented columns, and what shows itself as HTML."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import judged_studies as studies
import numpy as np
import pytest

import seqbench
from seqbench import store
from seqbench.errors import StoreError, UnknownName
from seqbench.judge.report import notebook, verdicts
from seqbench.judge.report.notebook import RECORD_COLUMNS, Verdicts

STUDY = studies.study(("C1",), seeds=5)
HOSTILE = "<script>alert(1)</script> ](javascript:alert(1)) \"'&"
DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "records.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the folder of a study of which some cells failed, with a hostile reason."""
    found = tmp_path_factory.mktemp("study")
    store.create_study(found, STUDY)
    held = studies.contents(STUDY, failed=lambda cell: "diverged" if cell.task.startswith("recall") else None)
    for _, record in held.records:
        store.save(found, record.model_copy(update={"error": HOSTILE}) if record.error else record)
    return found


def test_a_row_is_a_measurement(folder):
    """There are as many rows with a measurement as the records have measurements, each with its value and unit."""
    frame = seqbench.load_records(folder)
    records = [record for _, record in store.contents(folder).records]
    assert sum(len(record.measurements) for record in records) == (frame["measurement"] != "").sum()
    record = next(record for record in records if record.measurements)
    own = frame[frame["fingerprint"] == record.fingerprint].set_index("measurement")
    assert {item.name: (item.value, item.unit) for item in record.measurements} == {
        name: (row["value"], row["unit"]) for name, row in own.iterrows()
    }


def test_a_failed_cell_has_one_row(folder):
    """Nothing measured is one row, with the status and its reason, and no value."""
    frame = seqbench.load_records(folder)
    failed = frame[frame["status"] == "diverged"]
    assert len(failed) == failed["fingerprint"].nunique() > 0
    assert set(failed["error"]) == {HOSTILE}
    assert set(failed["measurement"]) == {""}
    assert failed["value"].isna().all()


def test_series_explode_into_points(folder):
    """The two arrays of a row are as long as each other, and become a row per point."""
    frame = seqbench.load_records(folder)
    rows = frame[(frame["axis"] == "lag") & (frame["model"] == "rnn") & (frame["seed"] == 1000)]
    points = rows[rows["measurement"] == "log_gradient_norm"].explode(["at", "values"])
    assert list(points["at"]) == list(range(1, 200, 20))
    slope = np.polyfit(points["at"].astype(float), points["values"].astype(float), 1)[0]
    assert slope == pytest.approx(studies.GOOD["slope"], abs=0.1)


def test_the_columns_are_documented(folder):
    """The frame has the columns of the constant, and the document has them with the same words."""
    assert list(seqbench.load_records(folder).columns) == list(RECORD_COLUMNS)
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert rows == list(RECORD_COLUMNS.items())


def test_a_folder_without_a_study_is_refused(tmp_path):
    """The store's own error says what to do."""
    with pytest.raises(StoreError, match="holds no study"):
        seqbench.load_records(tmp_path)


def test_verdicts_show_themselves(folder):
    """The table says the verdict of every claim, and a claim is found by name and by place."""
    found = seqbench.load_verdicts(folder)
    shown = found._repr_html_()
    for row in verdicts.rows(tuple(found)):
        assert f"<strong>{row['verdict']}</strong>" in shown
    assert found["C1"] is found[0]
    assert found[:1]._repr_html_().count("<strong>") == 1
    with pytest.raises(UnknownName, match=r"^no claim named 'C99' \(known: C1, "):
        found["C99"]


def test_hostile_texts_are_text(folder, monkeypatch):
    """What a record or a verdict says cannot leave its place in the HTML."""
    record = next(record for _, record in store.contents(folder).records if record.error)
    assert "<script>" not in record._repr_html_()
    assert "&lt;script&gt;" in record._repr_html_()
    claim = Verdicts(verdicts.judge_folder(folder))[0]
    shown = Verdicts((replace(claim, wording=HOSTILE),))
    assert "<script>" not in shown._repr_html_()
    assert "&lt;script&gt;" in shown._repr_html_()
    module = notebook.FIGURES.load("gradient_slopes")
    monkeypatch.setattr(module, "CAPTION", HOSTILE)
    monkeypatch.setattr(module, "TITLE", HOSTILE)
    assert "<script>" not in seqbench.load_figure(folder, "gradient_slopes")._repr_html_()


def test_a_record_shows_what_it_measured(folder):
    """Cell, status and every measurement with its unit stand in the record's table."""
    record = next(record for _, record in store.contents(folder).records if record.measurements)
    shown = record._repr_html_()
    assert record.cell.address in shown
    assert "<br>ok<br>" in shown
    assert shown.count("<tr>") == 1 + len(record.measurements)
    assert f"<td>{record.measurements[0].value:.6g}</td><td>{record.measurements[0].unit}</td>" in shown


def test_a_figure_shows_itself(folder):
    """It is the drawing of the report, with title and caption, and the frame behind it."""
    found = seqbench.load_figure(folder, "gradient_slopes")
    assert found._repr_html_().count("<svg") == 1
    assert f"<strong>{found.title}.</strong>" in found._repr_html_()
    assert set(found.data["kind"]) == {"seed", "margin"}
    with pytest.raises(UnknownName, match="no figure named 'gradient_slops'; did you mean gradient_slopes"):
        seqbench.load_figure(folder, "gradient_slops")


def test_the_front_is_lazy():
    """Names of the front are listed without loading pandas; what is no name of it is refused."""
    code = "import sys, seqbench; assert 'load_records' in dir(seqbench); print('pandas' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
    with pytest.raises(AttributeError, match="no attribute 'load_everything'"):
        _ = seqbench.load_everything
