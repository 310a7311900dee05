"""Bits per character of every model on held-out text, against counting models and the exact floor."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seqbench.judge import table
from seqbench.judge.figures import base, style
from seqbench.judge.table import Tables
from seqbench.plan import Study

TITLE = "Bits per character on held-out text, by model"
CAPTION = (
    "Lower is better. Small marks: seeds; large mark and bar: mean and 95 % Student-t interval (unadjusted, "
    "descriptive). Lines: the order-0 and order-2 counting models and, where the text is generated, its exact entropy, "
    "below which no model can stay."
)
LINES = {
    "floor_bits_per_character": ("exact entropy", "-"),
    "order2_bits_per_character": ("order-2 counts", "--"),
    "order0_bits_per_character": ("order-0 counts", ":"),
}


def select(tables: Tables, study: Study) -> pd.DataFrame:  # noqa: ARG001
    """Return one row per task, variant and seed (kind "seed") and per baseline (kind "line"), in bit/character."""
    shown = ["bits_per_character", *LINES]
    rows = tables.measurements[tables.measurements[table.MEASUREMENT].isin(shown)]
    columns = [*base.FACETS, table.LAYERS, table.MODEL, table.SEED, table.MEASUREMENT]
    rows = rows[[*columns, table.VALUE, table.STATUS]]
    kind = np.where(rows[table.MEASUREMENT] == "bits_per_character", "seed", "line")
    return rows.assign(**{base.KIND: kind}).sort_values([base.KIND, *columns], ignore_index=True)


def draw(frame: pd.DataFrame) -> Figure:
    """Return one panel per task and size; bit/character, a row of points per model."""
    seeds = frame[(frame[base.KIND] == "seed") & np.isfinite(frame[table.VALUE].astype(float))]
    if seeds.empty:
        return base.empty()
    with base.styled():
        rows = base.with_facets(frame, base.FACETS)
        seeds = rows.loc[seeds.index]
        names = sorted(set(seeds[base.FACET]))
        most = max(seeds[seeds[base.FACET] == name][table.MODEL].nunique() for name in names)
        figure, axes = base.panels(len(names), height=1.4 + 0.34 * most)
        for axis, name in zip(axes, names, strict=True):
            _panel(axis, seeds[seeds[base.FACET] == name], rows[rows[base.FACET] == name], name)
    return figure


def _panel(axis: Axes, seeds: pd.DataFrame, rows: pd.DataFrame, task: str) -> None:
    models = style.ordered(seeds[table.MODEL])
    labels = []
    for place, model in enumerate(models):
        look, own = style.look(model), seeds[seeds[table.MODEL] == model]
        mean = base.summary(own, [table.MODEL]).iloc[0]
        axis.plot(own[table.VALUE], [place] * len(own), look.marker, color=look.colour, alpha=0.35, markersize=3.5)
        axis.plot([mean[base.LOWER], mean[base.UPPER]], [place, place], color=look.colour, linewidth=1.6)
        axis.plot([mean[base.MEAN]], [place], look.marker, color=look.colour, markersize=6.5)
        labels.append(f"{look.label} (n = {mean[base.N]})")
    lines = {key: rows[rows[table.MEASUREMENT] == key][table.VALUE].mean() for key in LINES}
    # The order-0 model lies so far off that it would press all others together: it is named, not drawn, beyond this.
    right = 1.1 * max(seeds[table.VALUE].max(), np.nan_to_num(lines["order2_bits_per_character"]))
    for measurement, (name, line) in LINES.items():
        value = float(lines[measurement])
        if np.isfinite(value):
            label = f"{name} {value:.3f}" + (", beyond the frame" if value > right else "")
            axis.axvline(value, color=style.INK, linestyle=line, linewidth=1.0, label=label)
    axis.set_xlim(right=right)
    axis.set_yticks(range(len(models)), labels)
    axis.set_ylim(len(models) - 0.4, -0.6)
    axis.grid(visible=False, axis="y")
    axis.set(title=task, xlabel="bits per character (bit)")
    if axis.get_legend_handles_labels()[0]:
        base.legend(axis)
