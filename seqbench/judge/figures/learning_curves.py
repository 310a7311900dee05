"""Training loss against steps taken."""

import pandas as pd
from matplotlib.figure import Figure

from seqbench.judge import table
from seqbench.judge.figures import base
from seqbench.judge.table import Tables
from seqbench.plan import Study

TITLE = "Learning curves"
CAPTION = (
    "Training loss against training step: median over seeds of blocks of steps, the band spans the seeds. A training "
    "that stopped early, solved or diverged, keeps its last value. Spikes may leave the frame."
)
MEASUREMENT = "training_loss"
HEADROOM = 1.25
"""How far above the usual start a panel reaches; a spike beyond it leaves the frame and stays in the data."""


def select(tables: Tables, study: Study) -> pd.DataFrame:  # noqa: ARG001
    """Return one row per task, variant, seed and block of steps: median training loss."""
    return base.blocked(base.trained_to_be_scored(tables.series, MEASUREMENT))


def draw(frame: pd.DataFrame) -> Figure:
    """Return one panel per task and size; training loss in its own unit against training step."""
    if frame.empty:
        return base.empty()
    with base.styled():
        rows = base.with_facets(frame, base.FACETS)
        names = sorted(set(rows[base.FACET]))
        figure, axes = base.panels(len(names), height=2.9)
        for axis, name in zip(axes, names, strict=True):
            panel = rows[rows[base.FACET] == name]
            base.bands(axis, panel)
            first = panel[panel[table.AT] == panel[table.AT].min()][table.VALUE].median()
            if panel[table.VALUE].max() > HEADROOM * first:
                axis.set_ylim(top=HEADROOM * first, bottom=min(0.0, float(panel[table.VALUE].min())))
            axis.set(title=name, xlabel="training step", ylabel=f"training loss ({panel[table.UNIT].iloc[0]})")
            base.legend(axis)
    return figure
