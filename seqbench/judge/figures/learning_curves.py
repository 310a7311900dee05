"""Training loss against steps taken."""

import math

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from seqbench.judge import table
from seqbench.judge.figures import base, style
from seqbench.judge.table import Tables
from seqbench.plan import Study

TITLE = "Learning curves"
CAPTION = (
    "Training loss against training step: median over seeds of blocks of steps, the band spans the seeds. A training "
    "that stopped early, solved or diverged, keeps its last value. Spikes may leave the frame. Lines: the loss of "
    "chance, of a text that of the order-0 counting model, and the least loss possible, where it is known."
)
PROBES = ("",)
FLOOR_BITS = "floor_bits_per_character"
MEASUREMENT = "training_loss"
HEADROOM = 1.25
"""How far above the usual start a panel reaches; a spike beyond it leaves the frame and stays in the data."""


LEVELS = {"chance": ("--", "chance_loss", "order0_bits_per_character"), "floor": (":", "floor_loss", FLOOR_BITS)}
"""What is drawn beside the curves: its line, the loss that is measured of a task, and the bits that are of a text."""


def select(tables: Tables, study: Study) -> pd.DataFrame:  # noqa: ARG001
    """Return one row per task, variant, size, seed and block of steps: median training loss, with chance and floor.

    Of many seeds the rows are those of `base.spanned`.
    """
    rows = base.spanned(base.blocked(base.trained_to_be_scored(tables.series, MEASUREMENT)))
    return rows.merge(_levels(tables), on=list(base.FACETS), how="left")


def _levels(tables: Tables) -> pd.DataFrame:
    """Return chance and floor in the unit of the loss: one row per task, length, width and parameters."""
    names = [name for _, *both in LEVELS.values() for name in both]
    facets = tables.cells.set_index(table.FINGERPRINT)[list(base.FACETS)]
    known = facets.join(tables.wide.reindex(columns=names)).groupby(list(base.FACETS))[names].mean()
    levels = {level: known[loss].fillna(known[bits] * math.log(2)) for level, (_, loss, bits) in LEVELS.items()}
    return pd.DataFrame(levels).reset_index()


def draw(frame: pd.DataFrame) -> Figure:
    """Return one panel per task and size; training loss in its own unit against training step."""
    if frame.empty:
        return base.empty()
    with base.styled():
        rows = base.with_sizes(frame)
        names = list(rows[base.FACET].unique())
        figure, axes = base.panels(len(names), height=2.9)
        for axis, name in zip(axes, names, strict=True):
            panel = rows[rows[base.FACET] == name]
            base.bands(axis, panel)
            first = panel[panel[table.AT] == panel[table.AT].min()][table.VALUE].median()
            if panel[table.VALUE].max() > HEADROOM * first:
                axis.set_ylim(top=HEADROOM * first, bottom=min(0.0, float(panel[table.VALUE].min())))
            for level, (line, *_) in LEVELS.items():
                if np.isfinite(value := float(panel[level].iloc[0])):
                    axis.axhline(value, color=style.INK, linewidth=0.9, linestyle=line, alpha=0.7, label=level)
            axis.set(title=name, xlabel="training step", ylabel=f"training loss ({panel[table.UNIT].iloc[0]})")
            base.legend(axis)
    return figure
