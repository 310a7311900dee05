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
    """Return one axis per phase, device and batch; time per token (µs/token) against T (tokens), log-log."""
    if frame.empty:
        return base.empty()
    if frame[base.MEDIAN].isna().all():
        return base.empty("every panel was contended: no number")
    with base.styled():
        columns = [table.DEVICE, table.PROBE, table.BATCH]
        kinds = [(str(device), str(probe), batch) for (device, probe, batch), _ in frame.groupby(columns)]
        kinds.sort(key=lambda kind: (kind[0], list(PHASES).index(kind[1]), kind[2]))
        figure, axes = base.panels(len(kinds), height=3.2)
        for axis, (device, probe, batch) in zip(axes, kinds, strict=True):
            rows = frame[
                (frame[table.DEVICE] == device) & (frame[table.PROBE] == probe) & (frame[table.BATCH] == batch)
            ]
            base.time_axes(axis, rows, title=f"{PHASES[probe]}, batch {batch}, on {device}", law="α of call ∝ Tᵅ")
            axis.set(xlabel="sequence length T (tokens)", ylabel="time per token (µs/token)")
    return figure
