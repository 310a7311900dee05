"""How much of what lies a given distance back a trained model still recalls."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seqbench.judge import table
from seqbench.judge.figures import base, style
from seqbench.judge.table import Tables
from seqbench.plan import Study

TITLE = "Recall against lag, after training"
CAPTION = (
    "Normalised recall by lag bucket (at the geometric middle of each bucket): 0 is chance, 1 is perfect. Mean over "
    "seeds with 95 % Student-t intervals (unadjusted); thin marks: seeds, the first 20 at most. Every model saw the "
    "same data, under the budget of its group."
)
PROBES = ("",)


def select(tables: Tables, study: Study) -> pd.DataFrame:  # noqa: ARG001
    """Return one row per task, variant, seed and lag bucket: normalised recall."""
    rows = tables.series[tables.series[table.MEASUREMENT] == "recall_by_lag"]
    columns = [*base.FACETS, table.LAYERS, table.MODEL, table.SEED, table.AT, table.VALUE, table.STATUS]
    return table.points(rows[columns]).sort_values(columns[:8]).reset_index(drop=True)


def draw(frame: pd.DataFrame) -> Figure:
    """Return one panel per task and size; normalised recall (1) against lag (steps, log scale)."""
    return base.faceted(frame, _panel, height=3.6)


def _panel(axis: Axes, panel: pd.DataFrame, title: str) -> None:
    models = style.ordered(panel[table.MODEL])
    for place, model in enumerate(models):
        own, shift = panel[panel[table.MODEL] == model], base.beside(place, len(models))
        base.mean_line(axis, own, style.look(model), at=table.AT, shift=shift)
    axis.axhline(0.0, color=style.INK, linewidth=1.0, linestyle="--", alpha=0.7, label="chance")
    axis.axhline(1.0, color=style.INK, linewidth=0.6, linestyle=":", alpha=0.7, label="perfect")
    axis.set_xscale("log")
    # Intervals of few seeds may leave the possible range; the range is what is worth the room.
    axis.set_ylim(min(-0.15, float(panel[table.VALUE].min()) - 0.03), 1.1)
    ticks = sorted(set(panel[table.AT]))
    axis.set_xticks(ticks, [f"{tick:.0f}" for tick in ticks])
    axis.minorticks_off()
    axis.set_xlim(ticks[0] / 1.25, ticks[-1] * 1.25)
    axis.set(title=title, xlabel="lag (steps, log scale)", ylabel="normalised recall (1)")
    base.legend(axis)
