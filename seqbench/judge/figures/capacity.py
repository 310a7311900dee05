"""How many of the bits that were written to a model's state can be read back from it."""

from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seqbench.judge import table
from seqbench.judge.figures import base, style
from seqbench.judge.table import Tables
from seqbench.plan import Study

TITLE = "Capacity: bits recalled from the state"
CAPTION = (
    "Above: bits that a decoder reads back from a model's state, a lower bound of what it holds, against the bits "
    "written; a line that leaves the diagonal and stays level is a full state. Below: the same at the largest load of "
    "each size, against the floats of the state. Mean over seeds with 95 % Student-t intervals (unadjusted); small "
    "marks: seeds, the first 20 at most. Logarithmic scales, linear below 1 bit; a decoder that knows nothing is at "
    "0. The nominal ceiling of 32 bit per float is drawn where it lies within the frame."
)
PROBES = ("capacity",)
WRITTEN, FLOATS = "written", "floats"
NOMINAL_BITS = 32
"""Of a float in single precision."""
SIZES = [table.MODEL, table.WIDTH, table.LAYERS]


def select(tables: Tables, study: Study) -> pd.DataFrame:  # noqa: ARG001
    """Return one row per task, variant, size and seed: bits recalled and written (bit), floats of the state.

    A cell that diverged holds nothing that could be read: its row has no bits recalled.
    """
    sizes = tables.measurements[tables.measurements[table.MEASUREMENT] == "state_floats"]
    columns = [table.TASK, table.PARAMS, *SIZES, table.LENGTH, table.SEED, WRITTEN, FLOATS, table.VALUE, table.STATUS]
    if sizes.empty:
        return pd.DataFrame(columns=columns)
    wide = tables.wide.reindex(columns=["load", "bits_recalled"])
    rows = sizes.rename(columns={table.VALUE: FLOATS}).join(wide, on=table.FINGERPRINT)
    # Rounded, since the load is bits over floats, and the same bits of several seeds must be one place.
    rows = rows.assign(**{WRITTEN: (rows["load"] * rows[FLOATS]).round(6)}).rename(
        columns={"bits_recalled": table.VALUE}
    )
    return rows[columns].sort_values(columns[:7], ignore_index=True)


def draw(frame: pd.DataFrame) -> Figure:
    """Return two panels per task: bits recalled against bits written, and against floats of state; log-log."""
    if not np.isfinite(frame[table.VALUE].astype(float)).any():
        return base.empty()
    with base.styled():
        rows = base.with_facets(frame, (table.TASK, table.PARAMS))
        names = list(rows[base.FACET].unique())
        figure, axes = base.panels(2 * len(names), height=3.6)
        for place, name in enumerate(names):
            panel = rows[rows[base.FACET] == name]
            _by_load(axes[2 * place], panel, name)
            _by_floats(axes[2 * place + 1], _largest_load(panel), f"{name}, largest load of each size")
    return figure


def _by_load(axis: Axes, panel: pd.DataFrame, title: str) -> None:
    models = style.ordered(panel[table.MODEL])
    for place, model in enumerate(models):
        own, shift = panel[panel[table.MODEL] == model], base.beside(place, len(models))
        for fill, (_, size) in zip(cycle(style.FILLS), own.groupby([table.WIDTH, table.LAYERS])):
            label = f"{style.look(model).label}, {_floats(size)}{_depth(own, size)}{_lost(size)}"
            base.mean_line(axis, size, style.look(model), at=WRITTEN, shift=shift, label=label, fill=fill)
    ends = np.array([panel[WRITTEN].min(), panel[WRITTEN].max()])
    axis.plot(ends, ends, color=style.INK, linewidth=1.0, label="all that was written")
    ceilings = [floats for floats in _fixed_sizes(panel) if NOMINAL_BITS * floats <= ends[1]]
    for floats in ceilings:
        axis.axhline(NOMINAL_BITS * floats, color=style.INK, linewidth=1.0, linestyle=":")
    if ceilings:
        label = f"32 bit per float, of {', '.join(f'{floats:.0f}' for floats in ceilings)}"
        axis.plot([], [], color=style.INK, linewidth=1.0, linestyle=":", label=label)
    axis.set(title=title, xlabel="bits written (bit)", ylabel="bits recalled (bit)")
    axis.set_xscale("log")
    base.ticks_at(axis.xaxis, panel[WRITTEN])
    _bits(axis, panel)
    base.legend(axis)


def _by_floats(axis: Axes, panel: pd.DataFrame, title: str) -> None:
    models = style.ordered(panel[table.MODEL])
    for place, model in enumerate(models):
        own, shift = panel[panel[table.MODEL] == model], base.beside(place, len(models))
        for fill, (_, depth) in zip(cycle(style.FILLS), own.groupby(table.LAYERS)):
            label = f"{style.look(model).label}{_depth(own, depth)}"
            base.mean_line(axis, depth, style.look(model), at=FLOATS, shift=shift, label=label, fill=fill)
    ends = np.array([panel[FLOATS].min(), panel[FLOATS].max()])
    axis.plot(ends, ends, color=style.INK, linewidth=1.0, linestyle="--", label="1 bit per float, for the eye")
    axis.set(title=title, xlabel="state (floats)", ylabel="bits recalled (bit)")
    axis.set_xscale("log")
    base.ticks_at(axis.xaxis, panel[FLOATS])
    _bits(axis, panel)
    base.legend(axis)


def _largest_load(panel: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the most bits written to each size of each variant."""
    return panel[panel[WRITTEN] == panel.groupby(SIZES)[WRITTEN].transform("max")]


def _fixed_sizes(panel: pd.DataFrame) -> list[float]:
    """Return the floats of every size whose state does not grow with what is written."""
    spans = panel.groupby(SIZES)[FLOATS].agg(["min", "max"])
    return sorted(set(spans[spans["min"] == spans["max"]]["min"]))


def _floats(size: pd.DataFrame) -> str:
    """Return the floats of a state, as "8 floats", or "128 to 512 floats" of one that grows with what is written."""
    low, high = size[FLOATS].min(), size[FLOATS].max()
    return f"{low:.0f} floats" if low == high else f"{low:.0f} to {high:.0f} floats"


def _depth(own: pd.DataFrame, size: pd.DataFrame) -> str:
    """Return the depth of one size of a variant, where the variant has several."""
    layers = int(size[table.LAYERS].iloc[0])
    return f", {base.plural(layers, 'layer')}" if own[table.LAYERS].nunique() > 1 else ""


def _lost(size: pd.DataFrame) -> str:
    lost = int(size[table.VALUE].isna().sum())
    return f", {lost} without a number" if lost else ""


def _bits(axis: Axes, panel: pd.DataFrame) -> None:
    """Scale the bits recalled: logarithmic from 1 bit on, and linear below, where a decoder that knows nothing is."""
    axis.axhline(0.0, color=style.INK, linewidth=1.0, linestyle="--", alpha=0.7, label="nothing known")
    top = 1.3 * max(panel[table.VALUE].max(), panel[WRITTEN].max())
    low = min(0.0, float(panel[table.VALUE].min()))
    axis.set_yscale("symlog", linthresh=1.0, linscale=0.4)
    base.ticks_at(axis.yaxis, (0, *(2.0**power for power in range(int(np.log2(top)) + 1))))
    axis.set_ylim(low - 0.3, top)
