"""What a model costs and how its learning rate matters, drawn."""

import math
from types import SimpleNamespace

import judged_studies as studies
import numpy as np
import pytest

from seqbench.judge import table
from seqbench.judge.figures import base, bits_by_cost, gradient_by_lag, learning_rates
from seqbench.tuning import Trial

STUDY = studies.study(("C8",), seeds=2)


def priced(cell_seconds=3.0):
    """Return the contents of a study whose cells took so long."""
    held = studies.contents(STUDY)
    return type(held)(
        tuple((name, entry.model_copy(update={"wall_seconds": cell_seconds})) for name, entry in held.records), ()
    )


def test_bits_stand_against_tokens_seconds_and_parameters():
    """One row per seed with all three costs, and one per anchor that the records hold; the floor is drawn."""
    frame = bits_by_cost.select(table.tables(STUDY, priced()), STUDY)
    seeds, lines = (frame[frame[base.KIND] == kind] for kind in ("seed", "line"))
    chronicle = seeds[seeds[table.TASK] == "chronicle"]
    assert len(chronicle) == 8
    assert set(chronicle[table.WALL_SECONDS]) == {3.0}
    assert set(chronicle["tokens"]) == {400 * 32 * 96}
    assert np.isfinite(chronicle[table.PARAMETERS].astype(float)).all()
    assert {"exact entropy", "order-0 counts", "order-2 counts"} <= set(lines[base.LABEL])
    axes = bits_by_cost.draw(frame).axes
    assert [axis.get_xlabel().replace("\n", " ") for axis in axes[:3]] == list(bits_by_cost.COSTS.values())
    floor = float(lines[lines[base.LABEL] == "exact entropy"][table.VALUE].iloc[0])
    assert all(any(line.get_ydata()[0] == floor for line in axis.lines) for axis in axes[:3])


def test_anchors_of_a_text_are_named_as_they_are_measured():
    """Any measurement in bits per character of the text is an anchor, whatever compressor gave it."""
    named = [bits_by_cost._anchor(f"{name}_bits_per_character") for name in ("floor", "order5", "xz", "kneser_ney")]
    assert named == ["exact entropy", "order-5 counts", "xz", "kneser ney"]


def rates(**changes):
    """Return what the trials of one tuned model say."""
    trials = (
        Trial(rate=1e-3, losses=(0.9, 0.8)),
        Trial(rate=3e-3, losses=(0.4, 0.5)),
        Trial(rate=1e-2, losses=(0.6, math.inf)),
    )
    found = {"rule": "r", "task": "recall", "length": 61, "sized": "width 32", "model": "gru", "rate": 3e-3}
    return found | {"trials": trials} | changes


def test_every_trial_of_a_learning_rate_is_a_row():
    """Rate, seed and loss; what failed has an infinite loss and a cross at the edge; the best has a ring."""
    frame = learning_rates.of_rates([rates()])
    assert list(frame[learning_rates.FAILED]) == [False, False, False, False, False, True]
    assert set(frame[frame[learning_rates.CHOSEN]][learning_rates.RATE]) == {3e-3}
    (axis,) = learning_rates.draw(frame).axes
    crosses = [line for line in axis.lines if line.get_marker() == "x"]
    assert [line.get_xdata()[0] for line in crosses] == [1e-2]
    rings = [line for line in axis.lines if line.get_markerfacecolor() == "none"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in rings] == [(3e-3, pytest.approx(0.45))]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("learning rate (1)", "loss of the trial (its own unit)")


def test_two_rules_of_one_task_have_a_panel_each():
    """A rate found under another rule is not joined with it."""
    frame = learning_rates.of_rates([rates(), rates(rule="other", sized="width 64")])
    titles = [axis.get_title(loc="left") for axis in learning_rates.draw(frame).axes]
    assert titles == ["recall, T 61, width 32", "recall, T 61, width 64"]


def test_models_of_one_rule_share_a_panel_and_depths_of_one_model_do_not():
    """Models of a tuning may differ in depth; one model of two depths is two curves in two panels."""
    frame = learning_rates.of_rates([rates(), rates(model="rnn")])
    assert len(learning_rates.draw(frame).axes) == 1
    frame = learning_rates.of_rates([rates(), rates(model="rnn"), rates(rate=1e-3)])
    assert len(learning_rates.draw(frame).axes) == 2


def test_a_model_of_failed_trials_alone_leaves_a_figure():
    """Without any finite loss there is nothing to draw, and the figure says so."""
    lost = (Trial(rate=1e-3, losses=(math.inf,)),)
    figure = learning_rates.draw(learning_rates.of_rates([rates(trials=lost, rate=None)]))
    assert [text.get_text() for text in figure.texts] == ["no records"]


def test_slopes_have_one_sign_and_zero_has_none():
    """A slope that rounds to nothing has no sign."""
    assert [gradient_by_lag._signed(slope) for slope in (-0.5514, 0.002, -0.0001, 0.0)] == [
        "−0.551",
        "+0.002",
        "0.000",
        "0.000",
    ]


def test_powers_of_ten_are_text():
    """A long logarithmic axis is labelled in raised digits, not in the language of mathematics."""
    axis = SimpleNamespace()
    with base.styled():
        _, (panel,) = base.panels(1, height=2.0)
        panel.set(yscale="log", ylim=(1e-3, 1e4))
        base.plain_log(panel.yaxis)
        axis.formatter = panel.yaxis.get_major_formatter()
    assert [axis.formatter(value, 0) for value in (1e-3, 1.0, 1e4)] == ["10⁻³", "10⁰", "10⁴"]
