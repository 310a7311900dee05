"""How a trained model answers at lengths other than that of its training."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seqbench.judge import table
from seqbench.judge.figures import base, style
from seqbench.judge.table import Tables
from seqbench.plan import Study

TITLE = "Score against length of the test"
CAPTION = (
    "Accuracy, or R² of a regression, on fresh sequences of each length; the upright line is the length of training, "
    "the longest one where training had many. Mean over seeds with 95 % Student-t intervals (unadjusted); small "
    "marks: seeds, the first 20 at most. Chance is that of the length of training. A training that diverged has no "
    "score here."
)
PROBES = ("",)
SCORES = {"accuracy_by_length": "accuracy (1)", "r2_by_length": "R² (1)"}
CHANCE = "chance"


def select(tables: Tables, study: Study) -> pd.DataFrame:  # noqa: ARG001
    """Return one row per task, variant, seed and test length: score (1), with chance (1); R² has 0 at chance."""
    rows = table.points(tables.series[tables.series[table.MEASUREMENT].isin(list(SCORES))])
    columns = [*base.FACETS, table.LAYERS, table.MEASUREMENT, table.MODEL, table.SEED, table.AT, table.VALUE, CHANCE]
    known = tables.wide.reindex(columns=["chance_accuracy"])["chance_accuracy"]
    chance = rows[table.FINGERPRINT].map(known).astype(float).mask(rows[table.MEASUREMENT] == "r2_by_length", 0.0)
    return rows.assign(**{CHANCE: chance})[columns].sort_values(columns[:8], ignore_index=True)


def draw(frame: pd.DataFrame) -> Figure:
    """Return one panel per task, length of training and size; score (1) against length of the test (tokens)."""
    return base.faceted(frame, _panel, height=3.0)


def _panel(axis: Axes, panel: pd.DataFrame, title: str) -> None:
    models = style.ordered(panel[table.MODEL])
    for place, model in enumerate(models):
        own, shift = panel[panel[table.MODEL] == model], base.beside(place, len(models), by=1.02)
        base.mean_line(axis, own, style.look(model), at=table.AT, shift=shift)
    if np.isfinite(chance := panel[CHANCE].mean()):
        axis.axhline(chance, color=style.INK, linewidth=1.0, linestyle="--", alpha=0.7, label=f"chance {chance:.3g}")
    axis.axhline(1.0, color=style.INK, linewidth=0.6, linestyle=":", alpha=0.7, label="perfect")
    axis.axvline(
        panel[table.LENGTH].iloc[0],
        color=style.INK,
        linewidth=1.0,
        linestyle="-",
        alpha=0.7,
        label="length of training",
    )
    axis.set_ylim(min(-0.04, float(panel[table.VALUE].min()) - 0.05), 1.06)
    score = SCORES[panel[table.MEASUREMENT].iloc[0]]
    axis.set(title=title, xlabel="length of the test (tokens, log scale)", ylabel=score, xscale="log")
    base.ticks_at(axis.xaxis, panel[table.AT])
    base.legend(axis)
