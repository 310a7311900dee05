"""Figures of what is remembered: capacity, lags, lengths and contexts. What is drawn is what was planted."""

from dataclasses import replace

import judged_studies as studies
import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from seqbench.judge import stats, table
from seqbench.judge.figures import capacity, effective_context, length_generalisation, solve_rate_by_lag

STUDY = studies.study(("C1",), beside=studies.BESIDE, seeds=4)
TABLES = table.tables(STUDY, studies.contents(STUDY))


def named(axes):
    """Return what a panel's legend names: label -> the artist, of an error bar its line of means."""
    handles, labels = axes.get_legend_handles_labels()
    return {label: getattr(handle, "lines", (handle,))[0] for handle, label in zip(handles, labels, strict=True)}


def held(model, width, floats, bits, *, layers=1):
    """Return rows of the capacity figure: bits[written] of two seeds each."""
    shared = {"task": "capacity", "params": "{}", "model": model, "width": width, "layers": layers, "floats": floats}
    return [
        shared | {"length": int(written), "seed": seed, "written": written, "value": value, "status": "ok"}
        for written, values in bits.items()
        for seed, value in enumerate(values)
    ]


def test_bits_written_are_length_times_bits_per_item():
    """A cell of 8 bits and a state of 4 floats stand at 8 bits, whatever the load is in bits per float."""
    frame = capacity.select(TABLES, STUDY)
    assert list(frame["written"]) == list(frame["length"])
    assert dict(zip(frame["model"] + frame["width"].astype(str), frame["floats"], strict=True)) == {
        "gru4": 4.0,
        "gru8": 8.0,
        "transformer8": 512.0,
    }
    items = TABLES.wide.assign(load=2 * TABLES.wide["load"])
    assert list(capacity.select(replace(TABLES, wide=items), STUDY)["written"]) == list(2.0 * frame["length"])


def test_capacity_draws_a_line_per_size():
    """Means over seeds, one line for each size, which differ in how the marker is filled; the diagonal is the bits."""
    frame = pd.DataFrame(
        held("gru", 4, 4.0, {8.0: (4.0, 5.0), 16.0: (4.0, 4.0)}) + held("gru", 8, 8.0, {16.0: (8.0, 9.0)})
    )
    above, below = capacity.draw(frame).axes
    lines = named(above)
    assert set(lines) == {"GRU, 4 floats (n = 2)", "GRU, 8 floats (n = 2)", "all that was written", "nothing known"}
    assert list(lines["GRU, 4 floats (n = 2)"].get_ydata()) == [4.5, 4.0]
    assert list(lines["GRU, 4 floats (n = 2)"].get_xdata()) == [8.0, 16.0]
    assert [lines[f"GRU, {size} floats (n = 2)"].get_fillstyle() for size in (4, 8)] == ["full", "none"]
    diagonal = lines["all that was written"]
    assert (list(diagonal.get_xdata()), list(diagonal.get_ydata())) == ([8.0, 16.0], [8.0, 16.0])
    # the largest load alone, and one bit in each float
    lines = named(below)
    assert list(lines["GRU (n = 2)"].get_xdata()) == [4.0, 8.0]
    assert list(lines["GRU (n = 2)"].get_ydata()) == [4.0, 8.5]
    eye = lines["1 bit per float, for the eye"]
    assert (list(eye.get_xdata()), list(eye.get_ydata())) == ([4.0, 8.0], [4.0, 8.0])


def test_capacity_intervals_are_students():
    """The bars are the 95 % Student-t interval of the seeds."""
    frame = pd.DataFrame(held("gru", 4, 4.0, {8.0: (4.0, 5.0, 6.5)}))
    (container,) = capacity.draw(frame).axes[0].containers
    (segment,) = container.lines[2][0].get_segments()
    inside = stats.t_bounds(np.array([4.0, 5.0, 6.5]), lower_level=0.025, upper_level=0.025)
    assert sorted(segment[:, 1]) == pytest.approx([inside.lower, inside.upper])


@pytest.mark.parametrize(("written", "ceilings"), [(64.0, []), (128.0, [128.0])])
def test_the_nominal_ceiling_is_drawn_where_it_fits(written, ceilings):
    """4 floats hold 128 bits at most; below that much writing the line would lie outside."""
    frame = pd.DataFrame(held("gru", 4, 4.0, {8.0: (4.0, 5.0), written: (4.0, 5.0)}))
    axes = capacity.draw(frame).axes[0]
    dotted = [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == ":" and len(line.get_ydata())]
    assert dotted == ceilings
    assert ("32 bit per float, of 4" in named(axes)) == bool(ceilings)


def test_a_diverged_capacity_cell_is_counted():
    """It has no bits, keeps its row, and the legend says that a seed lacks; a size that lost all is named too."""
    frame = pd.DataFrame(
        held("gru", 4, 4.0, {8.0: (4.0, np.nan)}) + held("rnn", 4, 4.0, {8.0: (np.nan, np.nan)}),
    )
    assert {"GRU, 4 floats, 1 without a number (n = 1)", "RNN tanh, 4 floats, 2 without a number (n = 0)"} <= set(
        named(capacity.draw(frame).axes[0])
    )
    lost = TABLES.wide.assign(bits_recalled=np.nan)
    assert capacity.select(replace(TABLES, wide=lost), STUDY)["value"].isna().all()


def test_depths_of_one_width_are_told_apart():
    """Two layers of 4 units and one of 8 have as many floats; their lines have a name each, in both panels."""
    frame = pd.DataFrame(held("gru", 4, 8.0, {16.0: (6.0, 7.0)}, layers=2) + held("gru", 8, 8.0, {16.0: (8.0, 9.0)}))
    above, below = capacity.draw(frame).axes
    assert {"GRU, 8 floats, 2 layers (n = 2)", "GRU, 8 floats, 1 layer (n = 2)"} <= set(named(above))
    assert {"GRU, 2 layers (n = 2)", "GRU, 1 layer (n = 2)"} <= set(named(below))


def lagged(*rows):
    """Return rows of the figure of solve rates: (model, lag, steps to solve)."""
    shared = {"task": "recall", "params": "{}", "width": 32, "layers": 1, "steps": 300, "status": "ok"}
    return pd.DataFrame(
        shared | {"length": lag + 1, "model": model, "seed": seed, "lag": lag, "value": value}
        for seed, (model, lag, value) in enumerate(rows)
    )


def test_solve_rates_count_failures_as_they_were_registered():
    """Out of memory is not solved; a crash and a missing cell say nothing of the model; log-uniform lags stay out."""
    words = {1001: "oom", 1002: "crashed"}
    tables = table.tables(
        STUDY,
        studies.contents(STUDY, drop=lambda cell: cell.seed == 1003, failed=lambda cell: words.get(cell.seed)),
    )
    frame = solve_rate_by_lag.select(tables, STUDY)
    own = frame[(frame["model"] == "transformer") & (frame["lag"] == 60)].sort_values("seed")
    assert list(own["value"].fillna(-1.0)) == [75.0, np.inf, -1.0, -1.0]
    assert set(frame["task"]) == {"recall"}
    assert set(frame["lag"]) == {20, 60, 150}
    (rate,) = solve_rate_by_lag.solve_rates(own.dropna(subset=["value"])).to_dict("records")
    assert (rate["share"], rate["n"]) == (0.5, 2)


def test_solve_rates_have_exact_intervals():
    """3 of 4 seeds: the Clopper-Pearson interval, as scipy's exact binomial test has it."""
    frame = lagged(("gru", 60, 100.0), ("gru", 60, 150.0), ("gru", 60, 150.0), ("gru", 60, np.inf))
    axes = solve_rate_by_lag.draw(frame).axes[0]
    line = named(axes)["GRU (n = 4)"]
    assert list(line.get_ydata()) == [0.75]
    (segment,) = axes.containers[0].lines[2][0].get_segments()
    inside = binomtest(3, 4).proportion_ci(0.95, method="exact")
    assert sorted(segment[:, 1]) == pytest.approx([inside.low, inside.high])
    assert list(named(axes)["half of the seeds"].get_ydata()) == [0.5, 0.5]


def test_censored_seeds_are_open_marks_at_the_budget():
    """Solved seeds are filled at their steps, the others open at the budget; the median joins lags most solved."""
    frame = lagged(
        *[("gru", 20, value) for value in (100.0, 150.0, np.inf)],
        *[("gru", 60, value) for value in (200.0, np.inf, np.inf)],
    )
    axes = solve_rate_by_lag.draw(frame).axes[1]
    solved, censored, median = axes.lines[:3]
    assert (sorted(solved.get_ydata()), list(censored.get_ydata())) == ([100.0, 150.0, 200.0], [300.0] * 3)
    assert (solved.get_markerfacecolor() == "none", censored.get_markerfacecolor()) == (False, "none")
    assert list(median.get_ydata()) == [150.0]
    assert "not solved, at its budget" in named(axes)


def test_gates_with_a_large_bias_have_a_line_of_their_own():
    """The strong controls differ from their base in marker and line, so that print tells them apart."""
    axes = solve_rate_by_lag.draw(solve_rate_by_lag.select(TABLES, STUDY)).axes[0]
    looks = [
        (line.get_marker(), line.get_linestyle())
        for name, line in named(axes).items()
        if "n = 4" in name and "RNN" not in name
    ]
    assert len({marker for marker, _ in looks}) == 4  # of the two large biases it is the same: their colour differs
    assert looks[0] != looks[1]
    assert looks[2] != looks[3]
    assert looks[0][1] != looks[1][1]
    assert looks[2][1] != looks[3][1]


def test_lengths_show_training_and_chance():
    """A line per model through its scores, an upright one at the length of training, chance as it was measured."""
    (axes,) = length_generalisation.draw(length_generalisation.select(TABLES, STUDY)).axes
    lines = named(axes)
    assert list(lines["Transformer (n = 4)"].get_ydata()) == pytest.approx([0.625, 0.5625, 0.515625])
    assert list(lines["length of training"].get_xdata()) == [40, 40]
    assert list(lines["chance 0.5"].get_ydata()) == [0.5, 0.5]
    assert axes.get_title(loc="left") == "parity, T 40, width 32"
    assert axes.get_ylabel() == "accuracy (1)"


def test_a_regression_has_its_chance_at_zero():
    """R² by length is named so, whatever the accuracy of chance may be."""
    series = TABLES.series.assign(
        measurement=TABLES.series["measurement"].replace("accuracy_by_length", "r2_by_length")
    )
    frame = length_generalisation.select(replace(TABLES, series=series), STUDY)
    (axes,) = length_generalisation.draw(frame).axes
    assert axes.get_ylabel() == "R² (1)"
    assert list(named(axes)["chance 0"].get_ydata()) == [0.0, 0.0]


def test_every_task_has_a_panel_of_lengths():
    """Two tasks, two panels, each with its own chance."""
    parity = length_generalisation.select(TABLES, STUDY)
    both = pd.concat([parity, parity.assign(task="s3", chance=1 / 6)], ignore_index=True)
    figure = length_generalisation.draw(both)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["parity, T 40, width 32", "s3, T 40, width 32"]
    assert "chance 0.167" in named(figure.axes[1])


SCORED = studies.study(("C8",), beside=("contexts",), seeds=3)
SCORED_TABLES = table.tables(SCORED, studies.contents(SCORED))


def test_contexts_are_ringed_where_more_does_not_help():
    """The ring stands on the curve at the effective context: 8 for the recurrent models, 64 with attention."""
    (axes,) = effective_context.draw(effective_context.select(SCORED_TABLES, SCORED)).axes
    lines = named(axes)
    assert {"RNN tanh, 8 (n = 3)", "LSTM, forget bias 1, 8 (n = 3)", "Transformer, 64 (n = 3)"} <= set(lines)
    rings = [line for line in axes.lines if line.get_markersize() == 11]
    assert [round(ring.get_xdata()[0]) for ring in rings] == [8, 8, 65]  # beside 64 by 2 %
    curve = lines["Transformer, 64 (n = 3)"]
    assert rings[2].get_ydata()[0] == pytest.approx(curve.get_ydata()[6])


def test_the_floor_of_a_text_comes_from_its_scored_trainings():
    """The exact entropy and the order-0 counts are lines; where nothing was scored there is none."""
    lines = named(effective_context.draw(effective_context.select(SCORED_TABLES, SCORED)).axes[0])
    assert list(lines["exact entropy 0.530"].get_ydata()) == pytest.approx([0.53, 0.53])
    assert list(lines["order-0 counts 4.430"].get_ydata()) == pytest.approx([4.43, 4.43])
    alone = effective_context.draw(effective_context.select(TABLES, STUDY)).axes[0]
    assert not [name for name in named(alone) if "entropy" in name or "counts" in name]


def test_seeds_that_differ_give_the_range_of_their_contexts():
    """The legend tells the smallest and the largest, the ring stands at the lower median."""
    frame = effective_context.select(SCORED_TABLES, SCORED)
    frame = frame[(frame["model"] == "rnn") & (frame["seed"] < 1002)]
    reach = frame["seed"].map({1000: 8.0, 1001: 32.0})  # half way between them there is no context to stand at
    (axes,) = effective_context.draw(frame.assign(effective=reach)).axes
    assert "RNN tanh, 8 to 32 (n = 2)" in named(axes)
    assert [line.get_xdata()[0] for line in axes.lines if line.get_markersize() == 11] == [8.0]


@pytest.mark.parametrize("module", [capacity, solve_rate_by_lag, length_generalisation, effective_context])
def test_a_seed_without_a_record_leaves_the_others(module):
    """Failed seeds take nothing from those that ran."""
    held_back = studies.contents(STUDY, failed=lambda cell: "error" if cell.seed == 1000 else None)
    axes = module.draw(module.select(table.tables(STUDY, held_back), STUDY)).axes[0]
    assert any("(n = 3)" in name for name in named(axes))
