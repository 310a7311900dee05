"""Seconds per token of training and of reading a prompt, against sequence length."""

import pandas as pd
from matplotlib.figure import Figure

from seqbench.judge import table
from seqbench.judge.figures import base
from seqbench.judge.table import Tables
from seqbench.plan import Study

TITLE = "Time per token of training and prefill, against length"
CAPTION = (
    "Median over the rounds that count, with the interval of their order statistics (95 % or more, unadjusted; it "
    "holds the drift that all models of a round share, which the paired ratios do not). Both scales are logarithmic. "
    "In the legend: α of call ∝ Tᵅ, a call being one whole step or pass on the batch, so that a flat line has α = 1; "
    "by weighted least squares over all lengths, with its 95 % interval from rounds drawn again (unadjusted). One α "
    "across a knee misleads: the table of growth has the exponents between neighbouring lengths. A contended panel, "
    "timed while others used the machine, has no number; its lengths stand in the title of its axes."
)
PHASES = {"training_time": "one training step", "prefill_time": "one forward pass over a prompt, no gradient"}
PROBES = tuple(PHASES)


def select(tables: Tables, study: Study) -> pd.DataFrame:  # noqa: ARG001
    """Return one row per timing cell that ran: s/token."""
    return base.timed(tables, tuple(PHASES))


def draw(frame: pd.DataFrame) -> Figure:
    """Return one axis per machine, phase, device and batch; time per token (µs/token) against T (tokens), log-log."""
    if frame.empty:
        return base.empty()
    if frame[base.MEDIAN].isna().all():
        return base.empty("every panel was contended: no number")
    with base.styled():
        columns = [table.MACHINE, table.DEVICE, table.PROBE, table.BATCH]
        kinds = sorted(
            (key for key, _ in frame.groupby(columns)),
            key=lambda kind: (*kind[:2], list(PHASES).index(str(kind[2])), kind[3]),
        )
        figure, axes = base.panels(len(kinds), height=3.2)
        for axis, kind in zip(axes, kinds, strict=True):
            rows = frame[(frame[columns] == list(kind)).all(axis=1)]
            place = base.place_of(rows, among=frame)
            title = f"{PHASES[str(kind[2])]}, batch {kind[3]}, on {place}"
            base.time_axes(axis, rows, title=title, law="α of call ∝ Tᵅ")
            axis.set(xlabel="sequence length T (tokens)", ylabel="time per token (µs/token)")
    return figure
