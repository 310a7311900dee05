"""What another order of the same items does to a trained model's answers."""

import json

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seqbench.judge import table
from seqbench.judge.figures import base, style
from seqbench.judge.table import Tables
from seqbench.plan import Study

TITLE = "Counting in the trained order and in another"
CAPTION = (
    "Left: accuracy in the order of training (filled) and on the same items in the test order (hollow). Right: share "
    "of item sets whose answer changes with the order. Mean over seeds with 95 % Student-t intervals (unadjusted); "
    "small marks: seeds. The right answer never depends on the order."
)
IN_ORDER, SHUFFLED, FLIPS = "accuracy", "accuracy_shuffled", "flip_rate"
ORDER = "order"


def select(tables: Tables, study: Study) -> pd.DataFrame:
    """Return one row per task, training order, variant, seed and quantity: accuracy (1) or flip rate (1)."""
    measured = tables.measurements
    shifted = set(measured[measured[table.MEASUREMENT] == SHUFFLED][table.FINGERPRINT])
    rows = measured[
        measured[table.FINGERPRINT].isin(shifted) & measured[table.MEASUREMENT].isin([IN_ORDER, SHUFFLED, FLIPS])
    ]
    orders = [
        str((study.cards[task].params | json.loads(params)).get(ORDER, ""))
        for task, params in zip(rows[table.TASK], rows[table.PARAMS], strict=True)
    ]
    columns = [table.TASK, table.LENGTH, ORDER, table.MODEL, table.SEED, table.MEASUREMENT, table.VALUE]
    return rows.assign(**{ORDER: orders})[columns].sort_values(columns[:6], ignore_index=True)


def draw(frame: pd.DataFrame) -> Figure:
    """Return a row of two panels per task, length and training order: accuracy (1) and flip rate (1) by model."""
    rows = frame[np.isfinite(frame[table.VALUE].astype(float))]
    if rows.empty:
        return base.empty()
    with base.styled():
        kinds = [key for key, _ in rows.groupby([table.TASK, table.LENGTH, ORDER])]
        most = rows.groupby([table.TASK, table.LENGTH, ORDER])[table.MODEL].nunique().max()
        figure = Figure(figsize=(base.WIDTH_INCHES, len(kinds) * (1.1 + 0.34 * most)), layout="constrained")
        axes = figure.subplots(len(kinds), 2, squeeze=False)
        for pair, (task, length, order) in zip(axes, kinds, strict=True):
            own = rows[(rows[table.TASK] == task) & (rows[table.LENGTH] == length) & (rows[ORDER] == order)]
            models = style.ordered(own[table.MODEL])
            _panel(pair[0], own, models, {IN_ORDER: True, SHUFFLED: False})
            _panel(pair[1], own, models, {FLIPS: True})
            pair[0].set_yticks(range(len(models)), [style.look(model).label for model in models])
            pair[1].set_yticks(range(len(models)), [""] * len(models))
            pair[0].set(title=f"{task}, T {length}, trained on {order} order", xlabel="accuracy (1)")
            pair[1].set_xlabel("flip rate (1)")
    return figure


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
            axis.plot(own[table.VALUE], [at] * len(own), look.marker, color=look.colour, alpha=0.3, markersize=2.5)
            axis.plot([mean[base.LOWER], mean[base.UPPER]], [at, at], color=look.colour, linewidth=1.3)
            axis.plot([mean[base.MEAN]], [at], look.marker, color=look.colour, markerfacecolor=face, markersize=6)
    axis.set_xlim(-0.04, 1.04)
    axis.set_ylim(len(models) - 0.4, -0.6)
    axis.grid(visible=False, axis="y")
