"""What another order of the same items does to a trained model's answers."""

import json
import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seqbench.cell import canonical_json
from seqbench.judge import table
from seqbench.judge.figures import base, style
from seqbench.judge.table import Tables
from seqbench.plan import Study

TITLE = "Sets in the trained order and in another"
CAPTION = (
    "Left: score in the order of training (filled) and on the same items in the test order (hollow): accuracy, or R² "
    "of a regression; broken line: chance. Right: share of item sets whose answer changes with the order or, of a "
    "regression, the change of the answer in standard deviations of the right one; √2 is the change to the answer of "
    "other items. Mean over seeds with 95 % Student-t intervals (unadjusted); small marks: seeds, the first 20 at "
    "most. The right answer never depends on the order."
)
PROBES = ("",)
CLASSES = ("accuracy", "accuracy_shuffled", "flip_rate")
REGRESSION = ("r2", "r2_shuffled", "answer_change")
NAMES = {"accuracy": "accuracy (1)", "flip_rate": "flip rate (1)", "r2": "R² (1)", "answer_change": "answer change (1)"}
ORDER = "order"
CHANCE = "chance"


def select(tables: Tables, study: Study) -> pd.DataFrame:
    """Return one row per task, training order, variant, size, seed and quantity (1), with chance (1) of the score."""
    measured = tables.measurements
    shifted = measured[measured[table.MEASUREMENT].isin([CLASSES[1], REGRESSION[1]])][table.FINGERPRINT]
    rows = measured[
        measured[table.FINGERPRINT].isin(set(shifted)) & measured[table.MEASUREMENT].isin([*CLASSES, *REGRESSION])
    ]
    params = [json.loads(text) for text in rows[table.PARAMS]]
    orders = [
        str((study.cards[task].params | given).get(ORDER, ""))
        for task, given in zip(rows[table.TASK], params, strict=True)
    ]
    others = [canonical_json({key: value for key, value in given.items() if key != ORDER}) for given in params]
    known = tables.wide.reindex(columns=["chance_accuracy"])["chance_accuracy"]
    chance = rows[table.FINGERPRINT].map(known).astype(float).mask(rows[table.MEASUREMENT].isin(REGRESSION), 0.0)
    columns = [*base.FACETS, ORDER, table.LAYERS, table.MODEL, table.SEED, table.MEASUREMENT, table.VALUE, CHANCE]
    found = rows.assign(**{ORDER: orders, table.PARAMS: others}).assign(**{CHANCE: chance})
    return found[columns].sort_values(columns[:9], ignore_index=True)


def draw(frame: pd.DataFrame) -> Figure:
    """Return a row of two panels per task, size and training order: score (1) and change of answers (1) by model."""
    rows = frame[np.isfinite(frame[table.VALUE].astype(float))]
    if rows.empty:
        return base.empty()
    rows = base.with_sizes(rows)
    rows = rows.assign(**{base.FACET: rows[base.FACET] + ", trained on " + rows[ORDER] + " order"})
    with base.styled():
        names = list(rows[base.FACET].unique())
        heights = [1.1 + 0.34 * rows[rows[base.FACET] == name][table.MODEL].nunique() for name in names]
        figure = Figure(figsize=(base.WIDTH_INCHES, sum(heights)), layout="constrained")
        axes = figure.subplots(len(names), 2, squeeze=False, height_ratios=heights)
        for pair, name in zip(axes, names, strict=True):
            _pair(pair[0], pair[1], rows[rows[base.FACET] == name], name)
    return figure


def _pair(scores: Axes, changes: Axes, own: pd.DataFrame, title: str) -> None:
    models = style.ordered(own[table.MODEL])
    score, shuffled, change = REGRESSION if set(own[table.MEASUREMENT]) <= set(REGRESSION) else CLASSES
    _panel(scores, own, models, {score: True, shuffled: False})
    _panel(changes, own, models, {change: True})
    if np.isfinite(chance := own[CHANCE].mean()):
        scores.axvline(chance, color=style.INK, linewidth=1.0, linestyle="--", alpha=0.7)
    if change == REGRESSION[2]:
        changes.set_xlim(right=max(1.5, changes.get_xlim()[1]))
        changes.axvline(math.sqrt(2), color=style.INK, linewidth=1.0, linestyle="--", alpha=0.7)
    scores.set_yticks(range(len(models)), [style.look(model).label for model in models])
    changes.set_yticks(range(len(models)), [""] * len(models))
    scores.set(title=title, xlabel=NAMES[score])
    changes.set_xlabel(NAMES[change])


def _panel(axis: Axes, rows: pd.DataFrame, models: list[str], filled: dict[str, bool]) -> None:
    for place, model in enumerate(models):
        look = style.look(model)
        for shift, (measurement, full) in enumerate(filled.items()):
            own = rows[(rows[table.MODEL] == model) & (rows[table.MEASUREMENT] == measurement)]
            if own.empty:
                continue
            at = place + 0.24 * (shift - (len(filled) - 1) / 2)
            mean = base.summary(own, [table.MODEL]).iloc[0]
            face = look.colour if full else "none"
            own = base.some_seeds(own)
            axis.plot(own[table.VALUE], [at] * len(own), look.marker, color=look.colour, alpha=0.3, markersize=2.5)
            axis.plot([mean[base.LOWER], mean[base.UPPER]], [at, at], color=look.colour, linewidth=1.3)
            axis.plot([mean[base.MEAN]], [at], look.marker, color=look.colour, markerfacecolor=face, markersize=6)
    found = rows[rows[table.MEASUREMENT].isin(list(filled))][table.VALUE]
    axis.set_xlim(min(0.0, float(found.min())) - 0.04, max(1.0, float(found.max())) + 0.04)
    axis.set_ylim(len(models) - 0.4, -0.6)
    axis.grid(visible=False, axis="y")
