"""How many characters to its left a trained model makes use of."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seqbench.judge import table
from seqbench.judge.figures import base, style
from seqbench.judge.table import Tables
from seqbench.plan import Study

TITLE = "Bits per character against context"
CAPTION = (
    "What the same characters of the held-out text cost with exactly so many characters to their left; lower is "
    "better. Mean over seeds with 95 % Student-t intervals (unadjusted); small marks: seeds, the first 20 at most. "
    "Rings: effective context, the smallest that costs less than 0.01 bit more than the longest, at the lower median "
    "over seeds; the legend has its range. Lines, as measured by this study's scored trainings on the text: order-0 "
    "counting model and, where the text is generated, its exact entropy, below which no model can stay."
)
PROBES = ("effective_context",)
EFFECTIVE = "effective"
LINES = {"floor_bits_per_character": ("exact entropy", "-"), "order0_bits_per_character": ("order-0 counts", ":")}


def select(tables: Tables, study: Study) -> pd.DataFrame:  # noqa: ARG001
    """Return one row per task, variant, seed and context (character): bit/character, effective context, baselines."""
    rows = table.points(tables.series[tables.series[table.MEASUREMENT] == "bits_by_context"])
    effective = rows[table.FINGERPRINT].map(tables.wide.reindex(columns=["effective_context"])["effective_context"])
    columns = [*base.FACETS, table.LAYERS, table.MODEL, table.SEED, table.AT, table.VALUE, EFFECTIVE]
    text = [table.TASK, table.PARAMS]
    known = tables.measurements[tables.measurements[table.MEASUREMENT].isin(list(LINES))]
    lines = known.pivot_table(index=text, columns=table.MEASUREMENT, values=table.VALUE).reindex(columns=list(LINES))
    found = rows.assign(**{EFFECTIVE: effective})[columns].merge(lines.reset_index(), on=text, how="left")
    return found.sort_values(columns[:8], ignore_index=True)


def draw(frame: pd.DataFrame) -> Figure:
    """Return one panel per text, length of training and size; bit/character against context (characters)."""
    return base.faceted(frame, _panel, height=3.4)


def _panel(axis: Axes, panel: pd.DataFrame, title: str) -> None:
    models = style.ordered(panel[table.MODEL])
    for place, model in enumerate(models):
        own, shift = panel[panel[table.MODEL] == model], base.beside(place, len(models), by=1.02)
        look, reach = style.look(model), own.groupby(table.SEED)[EFFECTIVE].first().dropna()
        label = f"{look.label}, {_range(reach)}" if len(reach) else look.label
        base.mean_line(axis, own, look, at=table.AT, shift=shift, label=label)
        if len(reach):
            at = reach.quantile(0.5, interpolation="lower")
            height = own[own[table.AT] == at][table.VALUE].mean()
            axis.plot([at * shift], [height], "o", color=look.colour, markerfacecolor="none", markersize=11)
    for measurement, (name, line) in LINES.items():
        if np.isfinite(value := float(panel[measurement].astype(float).mean())):
            axis.axhline(value, color=style.INK, linewidth=1.0, linestyle=line, label=f"{name} {value:.3f}")
    axis.set(title=title, xlabel="context (characters, log scale)", ylabel="bits per character (bit)", xscale="log")
    base.ticks_at(axis.xaxis, panel[table.AT])
    base.legend(axis, title="effective context (characters)")


def _range(reach: "pd.Series[float]") -> str:
    """Return the effective contexts of the seeds, as "16" or "8 to 32"."""
    low, high = reach.min(), reach.max()
    return f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"
