"""Seconds per generated token, against the context that lies behind it."""

import pandas as pd
from matplotlib.figure import Figure

from seqbench.judge import table
from seqbench.judge.figures import base
from seqbench.judge.table import Tables
from seqbench.plan import Study

TITLE = "Time per generated token, against context"
CAPTION = (
    "Median over the rounds that count, with the interval of their order statistics (95 % or more, unadjusted). The "
    "Transformer keeps keys and values of its context. A flat line: the price of a token does not grow with what "
    "lies behind it. In the legend: α of time ∝ contextᵅ, 0 for a flat line, with its 95 % interval from rounds drawn "
    "again (unadjusted). Contended panels have no number; their contexts stand in the title."
)
PROBES = ("decode_time",)


def select(tables: Tables, study: Study) -> pd.DataFrame:  # noqa: ARG001
    """Return one row per decoding cell that ran: s/token."""
    return base.timed(tables, ("decode_time",))


def draw(frame: pd.DataFrame) -> Figure:
    """Return one axis per machine, device and batch; time per token (µs/token) against context (tokens), log-log."""
    if frame.empty:
        return base.empty()
    if frame[base.MEDIAN].isna().all():
        return base.empty("every panel was contended: no number")
    with base.styled():
        groups = [rows for _, rows in frame.groupby([table.MACHINE, table.DEVICE, table.BATCH])]
        figure, axes = base.panels(len(groups), height=3.2)
        for axis, rows in zip(axes, groups, strict=True):
            place = base.place_of(rows, among=frame)
            title = f"generating token by token, batch {rows[table.BATCH].iloc[0]}, on {place}"
            base.time_axes(axis, rows, title=title, law="α of time ∝ contextᵅ")
            axis.set(xlabel="context before the token (tokens)", ylabel="time per generated token (µs/token)")
    return figure
