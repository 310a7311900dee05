"""Tokens per second against the batch, and how much of the largest batch's throughput a smaller one reaches."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seqbench.judge import scaling, stats, table
from seqbench.judge.figures import base, style
from seqbench.judge.scaling import Times
from seqbench.judge.table import Tables
from seqbench.plan import Study

TITLE = "Throughput against batch"
CAPTION = (
    "Tokens per second, median over the rounds that count with the interval of their order statistics (95 % or more, "
    "unadjusted), at the length that was timed with most batches, the longest of these. In the legend: E of the "
    "smallest batch, its tokens per second over those of the largest, with its 95 % interval from rounds drawn again; "
    "and B½, the batch that reaches half of the highest throughput: ≥ where throughput still rises at the largest "
    "batch, ≤ where the smallest is beyond half already. A model bound by latency has a small E and a large B½."
)
PHASES = {"training_time": "training step", "prefill_time": "prefill", "decode_time": "generating token by token"}
PROBES = tuple(PHASES)
THROUGHPUT = "tokens_per_second"
EFFICIENCY = "efficiency"
HALF = "half_plateau_batch"
RELATION = "half_plateau_relation"
PLACE = (table.MACHINE, table.DEVICE, table.PROBE)
COLUMNS = (
    *(*PLACE, table.THREADS, table.TIER, table.LENGTH, table.MODEL, table.WIDTH, table.BATCH),
    *(THROUGHPUT, base.LOWER, base.UPPER, base.N),
    *(EFFICIENCY, f"{EFFICIENCY}_lower", f"{EFFICIENCY}_upper", HALF, RELATION),
)


def select(tables: Tables, study: Study) -> pd.DataFrame:  # noqa: ARG001
    """Return one row per model and batch, at one length for each machine and phase: token/s, E (1), B½ (sequences)."""
    timed = scaling.times(tables, tuple(PHASES))
    rows = []
    for place in dict.fromkeys(tuple(own.kind[name] for name in PLACE) for own in timed):
        here = [own for own in timed if tuple(own.kind[name] for name in PLACE) == place]
        length = _length([setting for own in here for setting in own.settings])
        found = [own.of_length(length) for own in here]
        rows += [row for own in found if own.settings for row in _rows(own)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def draw(frame: pd.DataFrame) -> Figure:
    """Return one axis per machine and phase; throughput (token/s) against batch (sequences), log-log."""
    if frame.empty:
        return base.empty()
    with base.styled():
        kinds = [key for key, _ in frame.groupby(list(PLACE))]
        kinds.sort(key=lambda kind: (kind[0], list(PHASES).index(str(kind[2]))))
        figure, axes = base.panels(len(kinds), height=3.2)
        for axis, kind in zip(axes, kinds, strict=True):
            rows = frame[(frame[list(PLACE)] == list(kind)).all(axis=1)]
            for model in style.ordered(rows[table.MODEL]):
                _line(axis, rows[rows[table.MODEL] == model], model)
            axis.set(title=f"{PHASES[str(kind[2])]}, T {rows[table.LENGTH].iloc[0]}, on {kind[1]}")
            axis.set(xscale="log", yscale="log", xlabel="batch (sequences)", ylabel="throughput (token/s)")
            base.ticks_at(axis.xaxis, rows[table.BATCH])
            base.plain_log(axis.yaxis)
            base.legend(axis)
    return figure


def _length(settings: list[tuple[int, int]]) -> int:
    """Return the length that has most batches, the longest of these."""
    batches = {length: {batch for batch, own in settings if own == length} for _, length in settings}
    return max(batches, key=lambda length: (len(batches[length]), length))


def _rows(own: Times) -> list[dict[str, object]]:
    batches = np.array([batch for batch, _ in own.settings], dtype=np.float64)
    throughput = own.tokens / own.seconds
    half = scaling.half_plateau_batch(batches, throughput)
    efficiencies = scaling.efficiencies(batches, own.logs, own.rng())
    found = []
    for place, ((batch, length), share) in enumerate(zip(own.settings, efficiencies, strict=True)):
        logs = own.logs[:, :, place]
        each = own.tokens[place] / np.exp(logs[np.isfinite(logs)])
        bounds = stats.order_statistics(each, lower_level=0.025, upper_level=0.025)
        known = {name: own.kind[name] for name in (*PLACE, table.THREADS, table.TIER, table.MODEL, table.WIDTH)}
        known |= {table.LENGTH: length, table.BATCH: batch, THROUGHPUT: throughput[place], base.N: len(each)}
        known |= {base.LOWER: bounds.lower, base.UPPER: bounds.upper, EFFICIENCY: share.value}
        known |= {f"{EFFICIENCY}_lower": share.lower, f"{EFFICIENCY}_upper": share.upper}
        found.append(known | {HALF: half.batch if half else np.nan, RELATION: half.relation if half else ""})
    return found


def _line(axis: Axes, rows: pd.DataFrame, model: str) -> None:
    look = style.look(model)
    for number, (_, own) in enumerate(rows.groupby(table.WIDTH)):
        middle = own[THROUGHPUT].to_numpy(dtype=np.float64)
        bars = np.array([middle - own[base.LOWER], own[base.UPPER] - middle])
        axis.errorbar(
            own[table.BATCH],
            middle,
            yerr=np.where(np.isfinite(bars), bars, 0.0),
            color=look.colour,
            marker=look.marker,
            linestyle=look.line,
            elinewidth=0.9,
            capsize=2,
            label=look.label + _said(own) if number == 0 else None,
        )


def _said(own: pd.DataFrame) -> str:
    """Return what the legend says of a model: E of its smallest batch and B½, nothing of a single batch."""
    if len(own) < 2:
        return ""
    first = own.iloc[0]
    value, lower, upper = (first[name] for name in (EFFICIENCY, f"{EFFICIENCY}_lower", f"{EFFICIENCY}_upper"))
    bounds = f"[{lower:.2f}, {upper:.2f}]" if np.isfinite(upper) else "[no interval]"
    half = f"; B½ {first[RELATION]} {first[HALF]:.3g}" if first[RELATION] else ""
    return f"\nE({first[table.BATCH]}) = {value:.2f} {bounds}{half}"
