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
    "Lower is better. Small marks: seeds, the first 20 at most; large mark and bar: mean and 95 % Student-t interval "
    "(unadjusted, descriptive). Lines: the order-0 and order-2 counting models and, where the text is generated, its "
    "exact entropy, below which no model can stay."
)
PROBES = ("",)
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
    """Return one panel per text and length of training; bit/character, a row of points per model and size."""
    seeds = frame[(frame[base.KIND] == "seed") & np.isfinite(frame[table.VALUE].astype(float))]
    if seeds.empty:
        return base.empty()
    with base.styled():
        rows = base.with_facets(frame, (table.TASK, table.LENGTH, table.PARAMS))
        seeds = rows.loc[seeds.index]
        names = list(seeds[base.FACET].unique())
        heights = [1.5 + 0.34 * len(_sizes(seeds[seeds[base.FACET] == name])) for name in names]
        figure = Figure(figsize=(base.WIDTH_INCHES, sum(heights)), layout="constrained")
        axes = figure.subplots(len(names), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axis, name in zip(axes, names, strict=True):
            _panel(axis, seeds[seeds[base.FACET] == name], rows[rows[base.FACET] == name], name)
    return figure


def _sizes(seeds: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    """Return every variant and size of a panel: its name, what tells its size where sizes differ, and its seeds.

    Depth is told only where one variant has several: models of different depth are compared as they are.
    """
    wide = seeds[table.WIDTH].nunique() > 1
    deep = seeds.groupby(table.MODEL)[table.LAYERS].nunique().max() > 1
    found = []
    for model in style.ordered(seeds[table.MODEL]):
        for (width, _), own in seeds[seeds[table.MODEL] == model].groupby([table.WIDTH, table.LAYERS]):
            size = (f", width {width}" if wide else "") + (
                f", {base.plural(int(own[table.LAYERS].iloc[0]), 'layer')}" if deep else ""
            )
            found.append((model, size, own))
    return found


def _panel(axis: Axes, seeds: pd.DataFrame, rows: pd.DataFrame, task: str) -> None:
    sizes = _sizes(seeds)
    labels = []
    for place, (model, size, own) in enumerate(sizes):
        look = style.look(model)
        mean = base.summary(own, [table.MODEL]).iloc[0]
        some = base.some_seeds(own)
        axis.plot(some[table.VALUE], [place] * len(some), look.marker, color=look.colour, alpha=0.35, markersize=3.5)
        axis.plot([mean[base.LOWER], mean[base.UPPER]], [place, place], color=look.colour, linewidth=1.6)
        axis.plot([mean[base.MEAN]], [place], look.marker, color=look.colour, markersize=6.5)
        labels.append(f"{look.label}{size} (n = {mean[base.N]})")
    lines = {key: rows[rows[table.MEASUREMENT] == key][table.VALUE].mean() for key in LINES}
    # The order-0 model lies so far off that it would press all others together: it is named, not drawn, beyond this.
    right = 1.1 * max(seeds[table.VALUE].max(), np.nan_to_num(lines["order2_bits_per_character"]))
    for measurement, (name, line) in LINES.items():
        value = float(lines[measurement])
        if np.isfinite(value):
            label = f"{name} {value:.3f}" + (", beyond the frame" if value > right else "")
            axis.axvline(value, color=style.INK, linestyle=line, linewidth=1.0, label=label)
    axis.set_xlim(right=right)
    axis.set_yticks(range(len(sizes)), labels)
    axis.set_ylim(len(sizes) - 0.4, -0.6)
    axis.grid(visible=False, axis="y")
    width = f", width {seeds[table.WIDTH].iloc[0]}" if seeds[table.WIDTH].nunique() == 1 else ""
    axis.set(xlabel="bits per character (bit)")
    named = len(axis.get_legend_handles_labels()[0])
    axis.set_title(f"{task}{width}", pad=6 + 12 * named)
    if named:  # above the panel: beside it, the names of sizes would leave no room for the points
        axis.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), borderaxespad=0.2)
