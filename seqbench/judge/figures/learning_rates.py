"""How much a model's loss depends on its learning rate: every trial of every tuned model."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seqbench.judge import table
from seqbench.judge.figures import base, style

NAME = "learning_rates"
TITLE = "Robustness against the learning rate"
CAPTION = (
    "The loss of each trial, on its own validation and on seeds that no verdict uses, against the learning rate: mean "
    "over the seeds that did not fail, with 95 % Student-t intervals where there are several (unadjusted); small "
    "marks: seeds. A flat curve is a robust model. Rings: the rate that was taken. Crosses at the upper edge: rates "
    "at which a seed failed."
)
RATE, CHOSEN, FAILED, RULE, SIZED = "rate", "chosen", "failed", "rule", "sized"
COLUMNS = (RULE, table.TASK, table.LENGTH, SIZED, table.MODEL, RATE, "trial", table.VALUE, FAILED, CHOSEN)


def of_rates(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return one row per tuned model, rate and seed: loss (its task's unit), infinite where it failed.

    rows: what the trials of each tuned model say, with its `trials` and the `rate` that was taken.
    """
    rules: dict[tuple[Any, ...], int] = {}
    met: Counter[tuple[Any, ...]] = Counter()
    found = []
    for row in rows:
        own = (row["task"], row["length"], row["rule"])
        place = met[own, row["model"]]  # a model of two depths that is tuned alike has a panel for each
        met[own, row["model"]] += 1
        rule = rules.setdefault((*own, place), len(rules))
        shared = {RULE: rule, table.TASK: row["task"], table.LENGTH: row["length"], SIZED: row["sized"]}
        shared |= {table.MODEL: row["model"]}
        for trial in row["trials"]:
            for number, loss in enumerate(trial.losses):
                one = {RATE: trial.rate, "trial": number, table.VALUE: loss, FAILED: not np.isfinite(loss)}
                found.append(shared | one | {CHOSEN: trial.rate == row["rate"]})
    return pd.DataFrame(found, columns=list(COLUMNS))


def draw(frame: pd.DataFrame) -> Figure:
    """Return one panel per task and rule; loss of the trial (its own unit) against learning rate (1), log-log."""
    rows = frame[np.isfinite(frame[table.VALUE].astype(float))]
    if rows.empty:
        return base.empty()
    with base.styled():
        kinds = list(rows[[table.TASK, table.LENGTH, SIZED, RULE]].drop_duplicates().itertuples(index=False, name=None))
        figure, axes = base.panels(len(kinds), height=3.2)
        for axis, (task, length, sized, rule) in zip(axes, kinds, strict=True):
            _panel(axis, rows[rows[RULE] == rule], frame[frame[RULE] == rule])
            title = f"{task}, T {length}, {sized}"
            axis.set(title=title, xlabel="learning rate (1)", ylabel="loss of the trial (its own unit)")
            base.legend(axis)
    return figure


def _panel(axis: Axes, finite: pd.DataFrame, everything: pd.DataFrame) -> None:
    models = style.ordered(everything[table.MODEL])
    axis.set_xscale("log")
    for place, model in enumerate(models):
        own, shift = finite[finite[table.MODEL] == model], base.beside(place, len(models), by=1.02)
        look = style.look(model)
        if own.empty:
            continue
        base.mean_line(axis, own, look, at=RATE, seed="trial", shift=shift)
        chosen = own[own[CHOSEN]]
        if len(chosen):
            ring: dict[str, Any] = {"color": look.colour, "markerfacecolor": "none", "markersize": 11}
            axis.plot([chosen[RATE].iloc[0] * shift], [chosen[table.VALUE].mean()], "o", **ring)
    if (finite[table.VALUE] > 0).all():
        axis.set_yscale("log")
        base.plain_log(axis.yaxis)
    edge = axis.get_xaxis_transform()  # 1 is the upper edge, whatever the losses
    for place, model in enumerate(models):
        lost = everything[(everything[table.MODEL] == model) & everything[FAILED]][RATE].unique()
        shift = base.beside(place, len(models), by=1.02)
        if len(lost):  # a line of no marks lies in the figure's corner, as far as the layout knows
            colour = style.look(model).colour
            axis.plot(lost * shift, [1.0] * len(lost), "x", color=colour, clip_on=False, transform=edge)
    base.ticks_at(axis.xaxis, (float(f"{rate:.3g}") for rate in everything[RATE]))
