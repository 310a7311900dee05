"""Bytes kept for the backward pass per token, against sequence length."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from seqbench.judge import table
from seqbench.judge.figures import base, style
from seqbench.judge.table import Tables
from seqbench.plan import Study

TITLE = "Bytes saved for the backward pass"
CAPTION = (
    "Bytes that one training step keeps for its backward pass, per token, against sequence length T (both scales "
    "logarithmic): a flat line is linear memory, a rising one is more. The count is exact and does not depend on the "
    "machine."
)


def select(tables: Tables, study: Study) -> pd.DataFrame:  # noqa: ARG001
    """Return one row per variant, length and seed: byte/token."""
    rows = tables.measurements[tables.measurements[table.MEASUREMENT] == "saved_bytes_per_token"]
    columns = [table.WIDTH, table.MODEL, table.LENGTH, table.SEED, table.VALUE]
    return rows[columns].sort_values(columns[:4], ignore_index=True)


def draw(frame: pd.DataFrame) -> Figure:
    """Return one panel per width; saved bytes per token (byte/token) against T (tokens)."""
    rows = frame[np.isfinite(frame[table.VALUE].astype(float))]
    if rows.empty:
        return base.empty()
    with base.styled():
        widths = sorted(set(rows[table.WIDTH]))
        figure, axes = base.panels(len(widths), height=3.2)
        for axis, width in zip(axes, widths, strict=True):
            panel = rows[rows[table.WIDTH] == width]
            for model in style.ordered(panel[table.MODEL]):
                look = style.look(model)
                mean = panel[panel[table.MODEL] == model].groupby(table.LENGTH)[table.VALUE].mean()
                axis.plot(mean, color=look.colour, linestyle=look.line, marker=look.marker, label=look.label)
            axis.set_xscale("log")
            axis.set_yscale("log")
            ticks = sorted(set(panel[table.LENGTH]))
            axis.set_xticks(ticks, [str(tick) for tick in ticks])
            axis.minorticks_off()
            base.plain_log(axis.yaxis)
            axis.set(title=f"width {width}", xlabel="sequence length T (tokens)", ylabel="saved bytes (byte/token)")
            base.legend(axis)
    return figure
