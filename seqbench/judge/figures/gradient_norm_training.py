"""The gradient norm before clipping, during training."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from seqbench.judge import table
from seqbench.judge.figures import base, style
from seqbench.judge.table import Tables
from seqbench.plan import Study

TITLE = "Gradient norm during training, before clipping"
CAPTION = (
    "Global gradient norm of each training step before it is clipped, median over seeds of blocks of steps; the band "
    "spans the seeds. A training that stopped early keeps its last value. Dashed: the norm at which gradients are "
    "clipped, if they are."
)
PROBES = ("",)
MEASUREMENT = "gradient_norm"


def select(tables: Tables, study: Study) -> pd.DataFrame:
    """Return one row per task, variant, seed and block of steps, with the clipping norm of the task's groups.

    Of many seeds the rows are those of `base.spanned`.
    """
    rows = base.trained_to_be_scored(tables.series, MEASUREMENT)
    groups = [group for group in study.suite.groups if group.training and group.probe is None]
    clips = {group.task: group.training.clip_norm for group in groups if group.training}
    return base.spanned(base.blocked(rows)).assign(clip_norm=lambda found: found[table.TASK].map(clips).astype(float))


def draw(frame: pd.DataFrame) -> Figure:
    """Return one panel per task and size; gradient norm (1, log scale) against training step."""
    rows = frame[np.isfinite(frame[table.VALUE].astype(float)) & (frame[table.VALUE] > 0)]
    if rows.empty:
        return base.empty()
    with base.styled():
        rows = base.with_sizes(rows)
        names = list(rows[base.FACET].unique())
        figure, axes = base.panels(len(names), height=2.9)
        for axis, name in zip(axes, names, strict=True):
            panel = rows[rows[base.FACET] == name]
            base.bands(axis, panel)
            if np.isfinite(clip := panel["clip_norm"].iloc[0]):
                axis.axhline(clip, color=style.INK, linestyle="--", linewidth=0.9, label="clipped at")
            axis.set_yscale("log")
            base.plain_log(axis.yaxis)
            axis.set(title=name, xlabel="training step", ylabel="gradient norm (1, log scale)")
            base.legend(axis)
    return figure
