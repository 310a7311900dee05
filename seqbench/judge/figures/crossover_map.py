"""Where a model overtakes the Transformer: ln ratio of times by length and batch."""

import math
from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from seqbench.judge import evidence, stats, table
from seqbench.judge.figures import base, style
from seqbench.judge.stats import Array
from seqbench.judge.table import Tables
from seqbench.plan import Study

TITLE = "Faster or slower than the Transformer, by length and batch"
CAPTION = (
    "Time over the Transformer's, the median over paired rounds of one panel: below 1 (blue) the model is faster, "
    "above 1 (red) slower, the deeper the colour the more. Under each ratio stands its interval (95 % or more, "
    "unadjusted). Hatched cells are undecided: their interval holds 1, or there are too few rounds for one. Empty "
    "cells were not timed together with a Transformer, or were contended."
)
PHASES = {
    "training_time": "training step",
    "prefill_time": "prefill",
    "first_token_time": "time to the first token",
    "decode_time": "generating token by token, T the context",
}
PROBES = tuple(PHASES)
REFERENCE = "reference"
FAMILY = "transformer"
SLOWER, FASTER = "#c91f16", "#0173b2"
DEEPEST = math.log(4.0)
"""The ln ratio from which on a colour gets no deeper."""
WHERE = (
    *(table.MACHINE, table.DEVICE, table.THREADS, table.TIER, table.PROBE),
    *(table.MODEL, table.WIDTH, REFERENCE, table.BATCH, table.LENGTH),
)
WHERE_TIMED = tuple(name for name in WHERE if name != REFERENCE)
COLUMNS = (*WHERE, base.MEDIAN, base.LOWER, base.UPPER, base.N)


def select(tables: Tables, study: Study) -> pd.DataFrame:  # noqa: ARG001
    """Return one row per model, batch and length that were timed in one panel with a Transformer: ln ratio (1)."""
    cells = tables.cells
    cells = cells[cells[table.PROBE].isin(PHASES) & (cells[table.STATUS] == "ok") & (cells[table.PANEL] != "")]
    found: dict[tuple[object, ...], list[Array]] = {}
    panels: dict[tuple[str, str, int], list[dict[Hashable, Any]]] = {}
    for row in cells[[*WHERE_TIMED, table.PANEL, table.FINGERPRINT]].to_dict("records"):
        panels.setdefault((row[table.PANEL], row[table.MACHINE], row[table.BATCH]), []).append(row)
    for _, panel in sorted(panels.items()):
        models = style.ordered(str(row[table.MODEL]) for row in panel)
        family = [model for model in models if model.partition("@")[0] == FAMILY][:1]
        for reference in (row for row in panel if row[table.MODEL] in family):
            own = table.rounds(tables, str(reference[table.FINGERPRINT]))
            for row in (row for row in panel if row[table.MODEL] not in family):
                ratios = evidence.log_ratios(table.rounds(tables, str(row[table.FINGERPRINT])), own)
                place = {**row, REFERENCE: reference[table.MODEL]}
                found.setdefault(tuple(place[name] for name in WHERE), []).extend(ratios)
    rows = [(*key, *_judged(ratios)) for key, ratios in found.items() if ratios]
    return pd.DataFrame(rows, columns=list(COLUMNS)).sort_values(list(WHERE), ignore_index=True)


def draw(frame: pd.DataFrame) -> Figure:
    """Return one map per machine and phase; ratio of times (1) in each cell of length (tokens) by model and batch."""
    if frame.empty:
        return base.empty()
    with base.styled():
        kinds = [key for key, _ in frame.groupby([table.MACHINE, table.DEVICE, table.PROBE])]
        kinds.sort(key=lambda kind: (str(kind[0]), list(PHASES).index(str(kind[2]))))
        parts = [
            frame[(frame[table.MACHINE] == machine) & (frame[table.PROBE] == probe) & (frame[table.DEVICE] == device)]
            for machine, device, probe in kinds
        ]
        heights = [1.0 + 0.42 * len(_lines(rows)) for rows in parts]
        figure = Figure(figsize=(base.WIDTH_INCHES, sum(heights)), layout="constrained")
        axes = figure.subplots(len(kinds), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axis, (_, device, probe), rows in zip(axes, kinds, parts, strict=True):
            _map(axis, rows)
            axis.set(title=f"{PHASES[str(probe)]}, on {device}", xlabel="length T (tokens)")
    return figure


def _judged(processes: list[Array]) -> tuple[float, float, float, int]:
    bounds = stats.paired_rounds_bounds(processes, lower_level=0.025, upper_level=0.025)
    values = np.concatenate(processes)
    return float(np.median(values)), bounds.lower, bounds.upper, len(values)


def _lines(rows: pd.DataFrame) -> list[tuple[str, int, int]]:
    """Return the lines of a map: models in the order of every legend, their batches below one another."""
    known = {(str(row[table.MODEL]), int(row[table.WIDTH]), int(row[table.BATCH])) for row in rows.to_dict("records")}
    models = style.ordered(rows[table.MODEL])
    return sorted(known, key=lambda line: (models.index(line[0]), line[1:]))


def _map(axis: Axes, rows: pd.DataFrame) -> None:
    lines, lengths = _lines(rows), sorted(set(rows[table.LENGTH]))
    for row in rows.to_dict("records"):
        line = (str(row[table.MODEL]), int(row[table.WIDTH]), int(row[table.BATCH]))
        bounds = stats.Bounds(row[base.LOWER], row[base.UPPER])
        _cell(axis, (lengths.index(row[table.LENGTH]), lines.index(line)), row[base.MEDIAN], bounds)
    axis.set_xlim(-0.5, len(lengths) - 0.5)
    axis.set_ylim(len(lines) - 0.5, -0.5)
    axis.set_xticks(range(len(lengths)), [str(length) for length in lengths])
    axis.set_yticks(range(len(lines)), [f"{style.look(model).label}, batch {batch}" for model, _, batch in lines])
    axis.grid(visible=False)


def _cell(axis: Axes, place: tuple[int, int], ratio: float, inside: stats.Bounds) -> None:
    x, y = place
    box = Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, linewidth=0)
    if inside.lower > 0 or inside.upper < 0:
        depth = 0.15 + 0.4 * min(abs(ratio), DEEPEST) / DEEPEST
        box.set(facecolor=SLOWER if ratio > 0 else FASTER, alpha=depth)
    else:
        box.set(facecolor="none", edgecolor=style.INK, alpha=0.5, hatch="//")
    axis.add_patch(box)
    both = math.isfinite(inside.upper - inside.lower)
    bounds = f"[{math.exp(inside.lower):.2f}, {math.exp(inside.upper):.2f}]" if both else "[no interval]"
    axis.text(x, y - 0.15, f"{math.exp(ratio):.2f}", ha="center", va="center", fontsize=8.5)
    axis.text(x, y + 0.22, bounds, ha="center", va="center", fontsize=6.5)
