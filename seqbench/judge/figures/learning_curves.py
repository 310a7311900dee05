"""Training loss against tokens seen or steps taken."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seqbench.judge import table
from seqbench.judge.figures import base, style
from seqbench.judge.table import Tables
from seqbench.plan import Study

TITLE = "Learning curves"
CAPTION = (
    "Training loss against training step: mean over seeds of blocks of steps, the band spans the seeds. Every model "
    "of a task sees the same batches, so equal steps are equal tokens."
)
MEASUREMENT = "training_loss"
BLOCKS = 60


def select(tables: Tables, study: Study) -> pd.DataFrame:  # noqa: ARG001
    """Return one row per task, variant, seed and block of steps: mean training loss in nat."""
    rows = tables.series[tables.series[table.MEASUREMENT] == MEASUREMENT]
    columns = [table.TASK, table.MODEL, table.WIDTH, table.LENGTH, table.SEED]
    finite = rows[np.isfinite(rows[table.VALUE].astype(float))]
    if finite.empty:
        return pd.DataFrame(columns=[*columns, table.AT, table.VALUE])
    size = np.maximum(1, np.ceil(finite.groupby(columns)[table.AT].transform("max") / BLOCKS))
    steps = (np.ceil(finite[table.AT] / size) * size).rename(table.AT)
    found = finite.groupby([*(finite[name] for name in columns), steps])[table.VALUE].mean()
    return found.reset_index().sort_values([*columns, table.AT], ignore_index=True)


def draw(frame: pd.DataFrame) -> Figure:
    """Return one panel per task; training loss (nat) against training step."""
    if frame.empty:
        return base.empty()
    with base.styled():
        tasks = sorted(set(frame[table.TASK]))
        figure, axes = base.panels(len(tasks), height=2.9)
        for axis, task in zip(axes, tasks, strict=True):
            _lines(axis, frame[frame[table.TASK] == task])
            axis.set(title=task, xlabel="training step", ylabel="training loss (nat)")
            base.legend(axis)
    return figure


def _lines(axis: Axes, panel: pd.DataFrame) -> None:
    for model in style.ordered(panel[table.MODEL]):
        look = style.look(model)
        at = panel[panel[table.MODEL] == model].groupby(table.AT)[table.VALUE]
        axis.fill_between(at.min().index, at.min(), at.max(), color=look.colour, alpha=0.12, linewidth=0)
        axis.plot(at.mean(), color=look.colour, linestyle=look.line, linewidth=1.3, label=look.label)
