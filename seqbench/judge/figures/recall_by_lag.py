"""How much of what lies a given distance back a trained model still recalls."""

import numpy as np
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
    "seeds with 95 % Student-t intervals (unadjusted); thin marks: seeds. Every model saw the same data, under the "
    "budget of its group."
)


def select(tables: Tables, study: Study) -> pd.DataFrame:  # noqa: ARG001
    """Return one row per task, variant, seed and lag bucket: normalised recall."""
    rows = tables.series[tables.series[table.MEASUREMENT] == "recall_by_lag"]
    columns = [table.TASK, table.LENGTH, table.WIDTH, table.MODEL, table.SEED, table.AT, table.VALUE, table.STATUS]
    return rows[columns].sort_values(columns[:6]).reset_index(drop=True)


def draw(frame: pd.DataFrame) -> Figure:
    """Return one panel per task and size; normalised recall (1) against lag (steps, log scale)."""
    rows = frame[np.isfinite(frame[table.VALUE].astype(float))]
    if rows.empty:
        return base.empty()
    rows = base.with_facets(rows, (table.TASK, table.LENGTH, table.WIDTH))
    with base.styled():
        names = sorted(set(rows[base.FACET]))
        figure, axes = base.panels(len(names), height=3.6)
        for axis, name in zip(axes, names, strict=True):
            panel = rows[rows[base.FACET] == name]
            models = style.ordered(panel[table.MODEL])
            for place, model in enumerate(models):
                # Marks of several models at one lag stand side by side.
                shift = 1.03 ** (place - (len(models) - 1) / 2)
                _line(axis, panel[panel[table.MODEL] == model], style.look(model), shift)
            axis.axhline(0.0, color=style.INK, linewidth=1.0, linestyle="--", alpha=0.7, label="chance")
            axis.axhline(1.0, color=style.INK, linewidth=0.6, linestyle=":", alpha=0.7, label="perfect")
            axis.set_xscale("log")
            # Intervals of few seeds may leave the possible range; the range is what is worth the room.
            axis.set_ylim(min(-0.15, float(panel[table.VALUE].min()) - 0.03), 1.1)
            ticks = sorted(set(panel[table.AT]))
            axis.set_xticks(ticks, [f"{tick:.0f}" for tick in ticks])
            axis.minorticks_off()
            axis.set(title=name, xlabel="lag (steps, log scale)", ylabel="normalised recall (1)")
            base.legend(axis)
    return figure


def _line(axis: Axes, rows: pd.DataFrame, look: style.Look, shift: float) -> None:
    means = base.summary(rows, [table.AT])
    axis.plot(rows[table.AT] * shift, rows[table.VALUE], look.marker, color=look.colour, alpha=0.3, markersize=2.5)
    bars = (means[base.MEAN] - means[base.LOWER], means[base.UPPER] - means[base.MEAN])
    axis.errorbar(
        means[table.AT] * shift,
        means[base.MEAN],
        yerr=np.nan_to_num(np.array(bars)),
        color=look.colour,
        marker=look.marker,
        linestyle=look.line,
        elinewidth=0.9,
        capsize=2,
        label=f"{look.label} (n = {int(means[base.N].max())})",
    )
