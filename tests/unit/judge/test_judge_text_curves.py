"""Bits per character of a real text on equal tokens and on equal seconds, against curves whose answer is known."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from seqbench.judge import table, text_curves, text_scores
from seqbench.judge.figures import text_curves as figure
from seqbench.judge.table import Tables

AT = (100.0, 200.0, 300.0)
PER_TOKEN = {"rnn": 1e-4, "lstm": 2e-4, "tcn": 4e-4}
"""Seconds. A step reads 4 x 16 tokens, so that 300 of them take 1.92 s, 3.84 s and 7.68 s."""


def trained(model, bits, *, seed=0, at=AT, step_tokens=64, training="3e-3", replayed=math.nan, task="text"):
    """Return a training on a real text with its validation bits per character at these steps."""
    losses = tuple(float(value) * math.log(2) for value in bits)
    return cell(
        *(f"{task} {model} {seed} {training}", model, text_curves.NAME, at, losses),
        **{table.TASK: task, table.SEED: seed, table.STEPS: 300, table.STEP_TOKENS: step_tokens},
        **{table.MACHINE: "elsewhere", table.TRAINING: training, "steps_replayed": replayed},
        bits_per_character=math.nan if task == "adding" else 2.0,
    )


def timed(model, *, kept=(1.0, 1.0, 1.0), machine="here", tier="", match="parameters of lstm", panel="a", seconds=None):
    """Return the panel of a model's training step on the same text: a spike beside its usual time."""
    usual = seconds or PER_TOKEN[model]
    rounds = {
        **{table.PROBE: "training_time", table.TIER: tier, table.AXIS: "round", table.MACHINE: machine},
        **{table.MATCH: match, table.PANEL: f"{panel} of {machine}"},
    }
    name = f"time of {model} {machine} {tier} {panel}"
    return (
        *cell(name, model, "seconds_per_token", (0.0, 1.0, 2.0), (usual, 50 * usual, usual), **rounds),
        *cell(name, model, "round_kept", (0.0, 1.0, 2.0), kept, **rounds),
    )


def cell(name, model, measurement, at, values, **own):
    """Return a cell of the text with one series."""
    shared = {
        **{table.FINGERPRINT: name, table.TASK: "text", table.PARAMS: "{}", table.LENGTH: 16, table.MODEL: model},
        **{table.WIDTH: 8, table.LAYERS: 1, table.BATCH: 4, table.SEED: 0, table.TIER: "", table.THREADS: 1},
        **{table.MACHINE: "here", table.DEVICE: "cpu", table.PANEL: "", table.PROBE: "", table.STATUS: "ok"},
        **{table.MATCH: "parameters of lstm", table.STEPS: 0, table.STEP_TOKENS: 64, table.TRAINING: ""},
        **{table.PARAMETERS: 1000.0, table.BUILT_WIDTH: 9.0, table.GROUP: "texts", table.AXIS: "step"},
    }
    return (shared | {table.MEASUREMENT: measurement, table.AT: at, table.VALUE: values} | own,)


def curves(*parts):
    """Return the curves of these trainings and panels."""
    rows = pd.DataFrame([row for part in parts for row in part])
    measured = [name for name in ("bits_per_character", "steps_replayed") if name in rows]
    series = rows.drop(columns=[*text_scores.OF_CELLS, *measured])
    cells = rows.drop_duplicates(table.FINGERPRINT)
    wide = cells.set_index(table.FINGERPRINT)[measured]
    return text_curves.curves(Tables(cells, pd.DataFrame(), series, wide))


def test_what_is_read_and_how_long_it_took():
    """Tokens are steps times those of one, seconds are steps times the median of the panel's rounds."""
    frame = curves(trained("lstm", (3.0, 2.5, 2.0)), timed("lstm"))
    assert list(frame[text_curves.TOKENS]) == [6400, 12800, 19200]
    assert list(frame[table.SECONDS]) == pytest.approx([1.28, 2.56, 3.84])
    assert list(frame[table.VALUE]) == pytest.approx([3.0, 2.5, 2.0])


def test_a_validation_that_got_worse_keeps_the_best_weights():
    """Training goes back to its best evaluation, so that a later and worse one is not what it has; nor is a NaN."""
    frame = curves(trained("lstm", (2.5, 2.7, math.nan)))
    assert list(frame[table.VALUE]) == pytest.approx([2.5, 2.5, 2.5])


def test_equal_seconds_are_those_of_the_fastest():
    """In 1.92 s the RNN takes its 300 steps, the LSTM 150, half way between two evaluations, the TCN 75, before one."""
    runs = [trained("rnn", (3.0, 2.8, 2.6)), trained("lstm", (3.0, 2.0, 1.8)), trained("tcn", (2.9, 2.0, 1.7))]
    lstm, rnn, tcn = text_curves.equal_seconds(curves(*runs, *map(timed, PER_TOKEN)))
    assert [row.seconds for row in (lstm, rnn, tcn)] == pytest.approx([1.92] * 3)
    assert (rnn.steps, rnn.mean, rnn.at_end) == pytest.approx((300, 2.6, 2.6))
    assert (lstm.steps, lstm.mean, lstm.at_end) == pytest.approx((150, 2.5, 1.8))
    assert (tcn.steps, tcn.mean, tcn.at_end) == (pytest.approx(75), None, pytest.approx(1.7))
    assert lstm.place == "cpu of here"


def test_seeds_have_an_interval_and_one_seed_has_none():
    """Student's t over what each seed had by then."""
    ends = np.array([2.0, 2.2, 2.3])
    seeds = [trained("rnn", (3.0, 2.5, end), seed=seed) for seed, end in enumerate(ends)]
    alone, several = trained("lstm", (3.0, 2.0, 1.8)), text_curves.equal_seconds
    lstm, rnn = several(curves(*seeds, alone, timed("rnn"), timed("lstm")))
    low, high = stats.t.interval(0.95, 2, ends.mean(), ends.std(ddof=1) / math.sqrt(3))
    assert (rnn.n, rnn.interval.lower, rnn.interval.upper) == pytest.approx((3, low, high))
    assert (lstm.n, lstm.interval) == (1, None)


def test_a_training_that_stopped_early_stays_at_its_best():
    """Patience ran out at step 200 of 300; the whole time is still that of 300 steps."""
    early = trained("rnn", (2.4, 2.6), at=AT[:2])
    lstm = trained("lstm", (3.0, 2.0, 1.8))
    _, rnn = text_curves.equal_seconds(curves(early, lstm, timed("rnn"), timed("lstm")))
    assert (rnn.seconds, rnn.mean) == pytest.approx((1.92, 2.4))
    seeds = curves(early, trained("rnn", (3.0, 2.8, 2.6), seed=1))
    (line,) = figure.draw(seeds).axes[0].lines
    assert tuple(line.get_ydata()) == pytest.approx((2.7, 2.6, 2.5))


@pytest.mark.parametrize(
    "panel", [timed("rnn", kept=(0.0, 0.0, 0.0)), timed("rnn")[1:], timed("rnn", tier="graph"), timed("rnn", match="")]
)
def test_without_a_time_there_are_tokens_alone(panel):
    """A contended panel has none; another tier is not how training runs, and another size not what was trained."""
    frame = curves(trained("rnn", (3.0, 2.5, 2.0)), panel)
    assert list(frame[table.SECONDS].isna()) == [True] * 3
    assert text_curves.equal_seconds(frame) == ()
    left, right = figure.draw(frame).axes
    assert (len(left.lines), len(right.lines)) == (1, 0)
    assert [text.get_text() for text in right.texts] == ["no time of a step"]


def test_places_are_not_mixed():
    """Steps timed on two machines give each its own answer."""
    runs = trained("rnn", (3.0, 2.5, 2.0)), trained("lstm", (3.0, 2.5, 2.0))
    panels = [timed(model, machine=machine) for model in ("rnn", "lstm") for machine in ("here", "there")]
    frame = curves(*runs, *panels)
    found = text_curves.equal_seconds(frame)
    assert [(row.model, row.place) for row in found] == [
        (model, f"cpu of {machine}") for machine in ("here", "there") for model in ("lstm", "rnn")
    ]
    assert [axis.get_title(loc="left") for axis in figure.draw(frame).axes[::2]] == [
        f"text, T 16, 1,000 parameters, timed on cpu of {machine}" for machine in ("here", "there")
    ]


def test_a_study_without_a_real_text_has_no_curves():
    """Other tasks are evaluated while they train, too."""
    frame = curves(trained("rnn", (3.0, 2.5, 2.0), task="adding"))
    assert frame.empty
    assert list(frame.columns) == list(text_curves.COLUMNS)
    assert text_curves.equal_seconds(frame) == ()
    assert [text.get_text() for text in figure.draw(frame).texts] == ["no records"]


def test_the_figure_has_a_line_for_every_model_on_both_scales():
    """Lines end where the budget does; the upright one is at the end of the fastest."""
    runs = [trained("rnn", (3.0, 2.8, 2.6)), trained("lstm", (3.0, 2.0, 1.8)), trained("lstm", (3.0, 2.2, 2.0), seed=1)]
    left, right = figure.draw(curves(*runs, timed("rnn"), timed("lstm"))).axes
    assert [line.get_label() for line in left.lines] == ["RNN tanh (n = 1)", "LSTM (n = 2)"]
    assert [tuple(line.get_xdata()) for line in left.lines] == [(0.0064, 0.0128, 0.0192)] * 2
    *curve, upright = right.lines
    assert tuple(curve[1].get_ydata()) == pytest.approx((3.0, 2.1, 1.9))
    assert upright.get_xdata()[0] == pytest.approx(1.92)


def test_two_ways_of_training_stay_apart():
    """Two rates of one seed are two lines and two rows, and no two seeds."""
    frame = curves(trained("rnn", (3.0, 2.5, 2.0)), trained("rnn", (3.0, 2.7, 2.4), training="1e-2"), timed("rnn"))
    found = text_curves.equal_seconds(frame)
    assert [(row.n, row.width, row.mean) for row in found] == [(1, 9, pytest.approx(2.4)), (1, 9, pytest.approx(2.0))]
    left = figure.draw(frame).axes[0]
    assert [line.get_label() for line in left.lines] == ["RNN tanh, texts (n = 1)"] * 2
    assert len({line.get_linewidth() for line in left.lines}) == 2


def test_a_model_timed_alone_is_compared_with_nobody():
    """Models of two panels did not take turns: each panel has its own seconds, and one of a single model has none."""
    runs = [trained("rnn", (3.0, 2.8, 2.6)), trained("lstm", (3.0, 2.0, 1.8))]
    assert text_curves.equal_seconds(curves(*runs, timed("rnn"), timed("lstm", panel="b"))) == ()


def test_steps_that_were_replayed_are_timed_as_replayed():
    """On a GPU training launches a step as one graph; kernel by kernel it would take another time."""
    rnn, lstm = (trained(model, (3.0, 2.8, 2.6), replayed=290.0) for model in ("rnn", "lstm"))
    by_kernel = timed("rnn"), timed("lstm")
    graphs = timed("rnn", tier="graph", seconds=1e-5), timed("lstm", tier="graph", seconds=2e-5)
    assert text_curves.equal_seconds(curves(rnn, lstm, *by_kernel)) == ()
    frame = curves(rnn, lstm, *by_kernel, *graphs)
    assert len(figure.draw(frame).axes) == 2
    found = text_curves.equal_seconds(frame)
    assert [row.seconds_per_step for row in found] == pytest.approx([1.28e-3, 0.64e-3])


def test_another_window_is_another_step():
    """Truncated backpropagation reads other pieces than the panel timed: tokens are its own, and seconds are none."""
    frame = curves(trained("rnn", (3.0, 2.5, 2.0), step_tokens=16), timed("rnn"))
    assert list(frame[text_curves.TOKENS]) == [1600, 3200, 4800]
    assert frame[table.SECONDS].isna().all()


def test_validation_that_is_no_number_breaks_nothing():
    """The whole curve may be: there is a row without bits."""
    runs = trained("rnn", (math.nan,) * 3), trained("lstm", (3.0, 2.5, 2.0))
    lstm, rnn = text_curves.equal_seconds(curves(*runs, timed("rnn"), timed("lstm")))
    assert (rnn.mean, rnn.at_end, lstm.at_end) == (None, None, pytest.approx(2.0))


def test_many_evaluations_are_drawn_evenly_and_to_the_last():
    """A figure's data stay small: 25 of 100 evaluations, the last of them included."""
    at = tuple(float(step) for step in range(3, 301, 3))
    tables = curves(trained("rnn", np.linspace(3.0, 2.0, len(at)), at=at))
    held = Tables(pd.DataFrame(), pd.DataFrame(), pd.DataFrame(), pd.DataFrame())
    held.once(text_curves.curves, lambda: tables)
    assert list(figure.select(held, None)[table.AT]) == [float(step) for step in range(12, 301, 12)]
