"""Several tasks, orders and sizes of one model in one study: none of them is joined with another."""

import math

import judged_studies as studies
import numpy as np
import pandas as pd
import pytest

from seqbench.judge import table
from seqbench.judge.figures import base, bits_by_model, learning_curves, order_sensitivity, recall_by_lag, style

CLASSES, REGRESSION = order_sensitivity.CLASSES, order_sensitivity.REGRESSION


def ordered(task, names, values, *, chance, order="random"):
    """Return rows of the figure of orders for one model and two seeds."""
    shared = {"task": task, "length": 21, "width": 32, "params": "{}", "order": order, "layers": 1, "model": "gru"}
    return [
        shared | {"seed": seed, "measurement": name, "value": value, "chance": chance}
        for seed in (0, 1)
        for name, value in zip(names, values, strict=True)
    ]


def test_orders_are_titled_by_their_task():
    """Each task has a pair of panels of its own name, with the score and the change that it has."""
    frame = pd.DataFrame(
        ordered("majority", CLASSES, (0.9, 0.6, 0.4), chance=0.5)
        + ordered("set_sum", REGRESSION, (0.9, 0.6, 0.4), chance=0.0)
    )
    axes = order_sensitivity.draw(frame).axes
    assert [panel.get_title(loc="left") for panel in axes[::2]] == [
        "majority, T 21, width 32, trained on random order",
        "set_sum, T 21, width 32, trained on random order",
    ]
    assert [panel.get_xlabel() for panel in axes] == [
        "accuracy (1)",
        "flip rate (1)",
        "R² (1)",
        "answer change (1)",
    ]
    broken = [[line.get_xdata()[0] for line in panel.lines if line.get_linestyle() == "--"] for panel in axes]
    assert broken == [[0.5], [], [0.0], [math.sqrt(2)]]
    assert axes[3].get_xlim()[1] > math.sqrt(2)


def test_the_order_of_training_is_told_once():
    """`order` is a parameter of the task, and the panel says it in words: as overridden, else as the card has it."""
    study = studies.study(("C5",), seeds=2)
    frame = order_sensitivity.select(table.tables(study, studies.contents(study)), study)
    assert set(zip(frame["params"], frame["order"], strict=True)) == {("{}", "sorted"), ("{}", "random")}
    assert set(frame["chance"]) == {0.24}
    titles = [panel.get_title(loc="left") for panel in order_sensitivity.draw(frame).axes[::2]]
    assert titles == [
        "count, T 12, width 32, trained on random order",
        "count, T 12, width 32, trained on sorted order",
    ]


def scored(width, layers, bits, *, model="gru"):
    """Return the rows of one size: two seeds around `bits`, and the lines of the text."""
    shared = {"task": "chronicle", "length": 96, "width": width, "params": "{}", "layers": layers, "model": model}
    lines = {"floor_bits_per_character": 0.5, "order2_bits_per_character": 1.2, "order0_bits_per_character": 4.4}
    seeds = [
        shared | {"kind": "seed", "seed": seed, "measurement": "bits_per_character", "value": bits + shift}
        for seed, shift in enumerate((-0.1, 0.1))
    ]
    known = [shared | {"kind": "line", "seed": 0, "measurement": key, "value": value} for key, value in lines.items()]
    return [row | {"status": "ok"} for row in (*seeds, *known)]


def labels(axes):
    """Return the labels of a panel's rows."""
    return [label.get_text() for label in axes.get_yticklabels()]


def test_every_size_of_a_model_has_a_row():
    """Widths and depths stand below one another with a mean each, under one title."""
    frame = pd.DataFrame(
        scored(64, 1, 0.9) + scored(64, 2, 0.8) + scored(128, 1, 0.7) + scored(64, 1, 1.0, model="rnn")
    )
    (axes,) = bits_by_model.draw(frame).axes
    assert labels(axes) == [
        "RNN tanh, width 64, 1 layer (n = 2)",
        "GRU, width 64, 1 layer (n = 2)",
        "GRU, width 64, 2 layers (n = 2)",
        "GRU, width 128, 1 layer (n = 2)",
    ]
    means = [line.get_xdata()[0] for line in axes.lines if line.get_markersize() == 6.5]
    assert means == pytest.approx([1.0, 0.9, 0.8, 0.7])
    assert axes.get_title(loc="left") == "chronicle, T 96"


def test_models_of_one_size_each_are_named_without_it():
    """A Transformer of two layers beside a GRU of one is compared as it is; the one width stands in the title."""
    frame = pd.DataFrame(scored(64, 1, 0.9) + scored(64, 2, 0.8, model="transformer"))
    (axes,) = bits_by_model.draw(frame).axes
    assert labels(axes) == ["GRU (n = 2)", "Transformer (n = 2)"]
    assert axes.get_title(loc="left") == "chronicle, T 96, width 64"
    upright = {line.get_xdata()[0] for line in axes.lines if list(line.get_ydata()) == [0, 1]}
    assert upright == {0.5, 1.2, 4.4}


def curve(layers, loss, *, model="gru", width=64):
    """Return the series of one seed of one size: its losses at steps 1 and 2."""
    shared = {"task": "t", "length": 9, "width": width, "params": "{}", "layers": layers, "model": model, "seed": 0}
    return [shared | {"at": (1.0, 2.0), "value": (loss, loss), "unit": "nat"}]


def test_curves_of_two_depths_are_no_median():
    """One seed of one layer and one of two are two trainings: each has a panel, none stands for both."""
    found = base.blocked(pd.DataFrame(curve(1, 1.0) + curve(2, 3.0)))
    assert sorted(set(zip(found["layers"], found["value"], strict=True))) == [(1, 1.0), (2, 3.0)]
    figure = learning_curves.draw(found.assign(chance=np.nan, floor=np.nan))
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "t, T 9, width 64, 1 layer",
        "t, T 9, width 64, 2 layers",
    ]
    assert [list(axes.lines[0].get_ydata()) for axes in figure.axes] == [[1.0, 1.0], [3.0, 3.0]]


def test_models_of_different_depth_share_a_panel():
    """Each model has one depth, so that they stand side by side; widths have panels of their own."""
    rows = pd.DataFrame(curve(1, 1.0) + curve(2, 3.0, model="transformer") + curve(1, 1.0, width=128))
    figure = learning_curves.draw(base.blocked(rows).assign(chance=np.nan, floor=np.nan))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["t, T 9, width 64", "t, T 9, width 128"]
    assert len(figure.axes[0].lines) == 2


def test_curves_have_chance_and_floor_in_the_unit_of_the_loss():
    """Of a text the bits that were measured, in nats; a task without either has none."""
    study = studies.study(("C8", "C1"), text=studies.corpus(), seeds=2)
    frame = learning_curves.select(table.tables(study, studies.contents(study)), study)
    known = frame.groupby("task")[["chance", "floor"]].first()
    assert list(known.loc["chronicle"]) == pytest.approx([4.43 * math.log(2), 0.53 * math.log(2)])
    assert known.loc["recall_loguniform"].isna().all()
    panel = learning_curves.draw(frame[frame["task"] == "chronicle"]).axes[0]
    drawn = {line.get_label(): line.get_ydata()[0] for line in panel.lines}
    assert drawn["chance"] == pytest.approx(4.43 * math.log(2))
    assert drawn["floor"] == pytest.approx(0.53 * math.log(2))


def test_recall_of_two_depths_is_no_mean():
    """Recall against lag keeps the depths of one model apart too."""
    shared = {"task": "t", "length": 9, "width": 64, "params": "{}", "model": "gru", "at": 3.0, "status": "ok"}
    rows = [shared | {"layers": depth, "seed": 0, "value": 1.0 - depth / 4} for depth in (1, 2)]
    figure = recall_by_lag.draw(pd.DataFrame(rows))
    assert [axes.get_title(loc="left")[-8:] for axes in figure.axes] == [" 1 layer", "2 layers"]


def test_biases_of_gates_look_unlike_each_other():
    """Every known bias of a gated family has a marker and a line that no other has."""
    for models in (
        ("lstm@forget_bias=0", "lstm@forget_bias=1", "lstm@forget_bias=3"),
        ("gru", "gru@update_bias=1", "gru@update_bias=2", "gru@update_bias=3"),
    ):
        looks = [style.look(model) for model in models]
        assert len({look.marker for look in looks}) == len({look.line for look in looks}) == len(models)


def test_a_caption_says_whose_width_that_of_a_matched_cell_is():
    """A cell that is as large as an LSTM of width 32 has that width in its panel's title, and another one in truth."""
    frame = pd.DataFrame(ordered("majority", CLASSES, (0.9, 0.6, 0.4), chance=0.5))
    cells = frame[["task", "model", "length", "width", "layers"]].drop_duplicates()
    given, matched = (cells.assign(match=rule) for rule in ("", "as many parameters as lstm, width 32"))
    elsewhere = matched.assign(task="set_sum")
    assert base.caption(order_sensitivity, frame, given) == order_sensitivity.CAPTION
    assert base.caption(order_sensitivity, frame, elsewhere) == order_sensitivity.CAPTION
    assert base.caption(order_sensitivity, frame, matched) == f"{order_sensitivity.CAPTION} {base.MATCHED}"
    assert base.caption(order_sensitivity, frame.drop(columns="width"), matched) == order_sensitivity.CAPTION
