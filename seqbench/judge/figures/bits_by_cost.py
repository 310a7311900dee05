"""Bits per character of every model against what it cost: tokens seen, seconds, parameters."""

from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from seqbench.judge import table
from seqbench.judge.figures import base, style
from seqbench.judge.table import Tables
from seqbench.plan import Study

TITLE = "Bits per character against tokens, seconds and parameters"
CAPTION = (
    "Held-out bits per character; lower is better, and further left is cheaper. Small marks: seeds, the first 20 at "
    "most; large mark: their mean, with 95 % Student-t interval (unadjusted, descriptive) and the mean of the cost. "
    "Tokens: all that training read. Seconds: of the whole cell with its evaluation, in the shared lane and so for "
    "orientation alone; cells of several machines stand in panels of their own. Parameters: all that were counted. "
    "Lines: what the records hold to measure against: counting models, compressors and, of a generated text, its "
    "exact entropy, the floor; above: higher than the frame."
)
PROBES = ("",)
BITS, TOKENS = "bits_per_character", "tokens"
SUFFIX = f"_{BITS}"
EXCESS = f"excess{SUFFIX}"
FLOOR = f"floor{SUFFIX}"
COSTS = {
    TOKENS: "tokens read in training (token)",
    table.WALL_SECONDS: "time of the whole cell (s)",
    table.PARAMETERS: "parameters (1)",
}
ROOM = 2.0
"""The factor of cost that a panel shows on both sides of its models."""
PANEL_INCHES = 2.9
"""The height of a panel without its legend."""
LINES = ("--", ":", "-.", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
COLUMNS = (
    *(*base.FACETS, table.LAYERS, table.MACHINE, base.KIND, base.LABEL, table.MODEL, table.SEED, table.VALUE),
    *COSTS,
)


def select(tables: Tables, study: Study) -> pd.DataFrame:  # noqa: ARG001
    """Return one row per task, variant, size and seed (kind "seed") in bit/character, and per anchor (kind "line").

    Costs are in token, s and parameters; an anchor has none, and is the mean over the cells of its text.
    """
    measured = tables.measurements[tables.measurements[table.PROBE] == ""]
    costs = tables.cells.set_index(table.FINGERPRINT)[list(table.COST_COLUMNS)]
    costs = costs.join(tables.wide.reindex(columns=[TOKENS]))
    seeds = measured[measured[table.MEASUREMENT] == BITS].join(costs, on=table.FINGERPRINT)
    names = measured[table.MEASUREMENT]
    known = measured[names.str.endswith(SUFFIX) & (names != EXCESS)]
    place = [*base.FACETS, table.MACHINE, table.MEASUREMENT]
    lines = known.groupby(place, as_index=False)[table.VALUE].mean()
    lines = lines.assign(**{base.KIND: "line", base.LABEL: [_anchor(name) for name in lines[table.MEASUREMENT]]})
    seeds = seeds.assign(**{base.KIND: "seed", base.LABEL: ""})
    both = pd.concat([seeds, lines], ignore_index=True) if len(seeds) else seeds
    whole = dict.fromkeys((table.LAYERS, table.SEED), "Int64")
    keys = [name for name in COLUMNS if name not in (*COSTS, table.VALUE)]
    return both.reindex(columns=list(COLUMNS)).astype(whole).sort_values(keys, ignore_index=True)


def draw(frame: pd.DataFrame) -> Figure:
    """Return three panels per text and length of training; bit/character against each cost, logarithmic."""
    seeds = frame[(frame[base.KIND] == "seed") & np.isfinite(frame[table.VALUE].astype(float))]
    if seeds.empty:
        return base.empty()
    with base.styled():
        rows = base.with_facets(frame, (table.TASK, table.LENGTH, table.PARAMS, table.MACHINE))
        seeds = rows.loc[seeds.index]
        names = list(seeds[base.FACET].unique())
        marks = rows.drop_duplicates([base.FACET, table.MODEL, table.WIDTH, table.LAYERS, base.LABEL])[base.FACET]
        heights = [PANEL_INCHES + base.ENTRY_INCHES * -(-int((marks == name).sum()) // 2) for name in names]
        figure = Figure(figsize=(base.WIDTH_INCHES, sum(heights)), layout="constrained")
        parts = figure.subfigures(len(names), 1, squeeze=False, height_ratios=heights)[:, 0]
        for part, name in zip(parts, names, strict=True):
            axes = part.subplots(1, len(COSTS), sharey=True)
            own = seeds[seeds[base.FACET] == name]
            lines = rows[(rows[base.FACET] == name) & (rows[base.KIND] == "line")]
            for axis, cost in zip(axes, COSTS, strict=True):
                _panel(axis, own, lines, cost)
            axes[0].set(title=name.rpartition(", ")[0], ylabel="bits per character (bit)")
            handles, labels = axes[0].get_legend_handles_labels()
            part.legend(handles, labels, loc="outside lower left", ncols=2)
    return figure


def _anchor(measurement: str) -> str:
    """Return what a line is called: order0_bits_per_character is "order-0 counts"."""
    name = measurement.removesuffix(SUFFIX)
    if measurement == FLOOR:
        return "exact entropy"
    order = name.removeprefix("order")
    return f"order-{order} counts" if order.isdigit() else name.replace("_", " ")


def _panel(axis: Axes, seeds: pd.DataFrame, lines: pd.DataFrame, cost: str) -> None:
    wide = seeds[table.WIDTH].nunique() > 1
    deep = seeds.groupby(table.MODEL)[table.LAYERS].nunique().max() > 1
    for model in style.ordered(seeds[table.MODEL]):
        sizes = seeds[seeds[table.MODEL] == model].groupby([table.WIDTH, table.LAYERS])
        for fill, ((width, _), own) in zip(cycle(style.FILLS), sizes):
            layers = base.plural(int(own[table.LAYERS].iloc[0]), "layer")
            size = (f", width {width}" if wide else "") + (f", {layers}" if deep else "")
            _point(axis, own, cost, style.look(model), size=size, fill=fill)
    _anchors(axis, seeds, lines)
    axis.set(xscale="log", xlabel=COSTS[cost].replace(" (", "\n("))
    axis.set_xlim(seeds[cost].min() / ROOM, seeds[cost].max() * ROOM)
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_locator(LogLocator(base=10, subs=(1, 5)))
    axis.xaxis.set_major_formatter(FuncFormatter(_compact))


def _point(axis: Axes, own: pd.DataFrame, cost: str, look: style.Look, *, size: str, fill: str) -> None:
    mean, at = base.summary(own, [table.MODEL]).iloc[0], own[cost].mean()
    mark: dict[str, Any] = {"color": look.colour, "marker": look.marker, "linestyle": "none", "fillstyle": fill}
    some = base.some_seeds(own)
    axis.plot(some[cost], some[table.VALUE], alpha=0.35, markersize=3, **mark)
    axis.plot([at, at], [mean[base.LOWER], mean[base.UPPER]], color=look.colour, linewidth=1.3)
    axis.plot([at], [mean[base.MEAN]], markersize=6.5, label=f"{look.label}{size} (n = {mean[base.N]})", **mark)


def _anchors(axis: Axes, seeds: pd.DataFrame, lines: pd.DataFrame) -> None:
    """Draw what the text is measured against; what lies far above all models would press them together: it is named."""
    top = 1.15 * float(seeds[table.VALUE].max())
    styles = iter(LINES * len(lines))
    as_named = lines.assign(**{table.VALUE: lines[table.VALUE].astype(float).round(3)})
    told = lines[~as_named.duplicated([base.LABEL, table.VALUE])]
    for line in told.sort_values(table.VALUE).to_dict("records"):
        value = float(line[table.VALUE])
        dashes = "-" if line[base.LABEL] == "exact entropy" else next(styles)
        beyond = ", above" if value > top else ""
        label = f"{line[base.LABEL]} {value:.3f}{beyond}"
        axis.axhline(value, color=style.INK, linestyle=dashes, linewidth=1.0, label=label)
    least = min([float(seeds[table.VALUE].min()), *lines[table.VALUE].astype(float)])
    axis.set_ylim(least - 0.1 * (top - least), top)


def _compact(value: float, _: int) -> str:
    """Return a number as 200, 50k or 1M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
