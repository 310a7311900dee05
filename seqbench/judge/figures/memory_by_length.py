"""Bytes kept for the backward pass and bytes of state, against length."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seqbench.judge import scaling, table
from seqbench.judge.figures import base, style
from seqbench.judge.table import Tables
from seqbench.plan import Study

TITLE = "Memory against length: bytes saved for the backward pass, and bytes of state"
CAPTION = (
    "Above: bytes that one training step keeps for its backward pass, per token; a flat line is memory linear in T, a "
    "rising one is more. The legend gives the fit a + bT + cT² of the bytes of one sequence, no term negative, and the "
    "share of the quadratic term at the largest T, called quadratic above 5 %. Below: bytes of the state carried from "
    "token to token, per sequence. All scales are logarithmic. Both counts are exact for the kernels that ran; what a "
    "fused kernel keeps inside itself counts where it is saved as a tensor."
)
PROBES = ("saved_bytes", "state_bytes")
SAVED, STATE = "saved_bytes_per_token", "state_bytes"
NEGLIGIBLE = 5e-4
"""A quadratic term below this share of the bytes is the rounding of a kernel's blocks."""


def select(tables: Tables, study: Study) -> pd.DataFrame:  # noqa: ARG001
    """Return one row per variant, length and seed: byte/token saved for backward, byte of state."""
    rows = tables.measurements[tables.measurements[table.MEASUREMENT].isin([SAVED, STATE])]
    columns = [table.MEASUREMENT, table.WIDTH, table.MODEL, table.LENGTH, table.SEED, table.VALUE]
    return rows[columns].sort_values(columns[:5], ignore_index=True)


def draw(frame: pd.DataFrame) -> Figure:
    """Return one panel per quantity and width; byte/token or byte against T (tokens), log-log."""
    rows = frame[np.isfinite(frame[table.VALUE].astype(float))]
    if rows.empty:
        return base.empty()
    with base.styled():
        kinds = [key for key, _ in rows.groupby([table.MEASUREMENT, table.WIDTH])]
        figure, axes = base.panels(len(kinds), height=3.2)
        for axis, (measurement, width) in zip(axes, kinds, strict=True):
            panel = rows[(rows[table.MEASUREMENT] == measurement) & (rows[table.WIDTH] == width)]
            _lines(axis, panel, fitted=measurement == SAVED)
            what = "saved for backward (byte/token)" if measurement == SAVED else "state (byte)"
            axis.set(
                title=f"width {width}", xlabel="sequence length T (tokens)", ylabel=what, xscale="log", yscale="log"
            )
            base.ticks_at(axis.xaxis, panel[table.LENGTH])
            base.plain_log(axis.yaxis)
            base.legend(axis, title="fit of byte per sequence" if measurement == SAVED else None)
    return figure


def _lines(axis: Axes, panel: pd.DataFrame, *, fitted: bool) -> None:
    for model in style.ordered(panel[table.MODEL]):
        look = style.look(model)
        mean = panel[panel[table.MODEL] == model].groupby(table.LENGTH)[table.VALUE].mean()
        label = f"{look.label}{_fit(mean)}" if fitted else look.label
        axis.plot(mean, color=look.colour, linestyle=look.line, marker=look.marker, label=label)


def _fit(per_token: "pd.Series[float]") -> str:
    """Return the non-negative a + bT + cT² of bytes per sequence as text, with the share of cT² at the largest T."""
    if len(per_token) < 3:
        return ""
    lengths = per_token.index.to_numpy(dtype=np.float64)
    whole = per_token.to_numpy(dtype=np.float64) * lengths
    found = scaling.polynomial(lengths, whole)
    share = found.shares[2]
    quadratic, share = (found.quadratic, share) if share >= NEGLIGIBLE else (0.0, 0.0)
    constant = found.constant if found.constant >= NEGLIGIBLE * whole[0] else 0.0
    terms = f"{_plain(constant)} + {_plain(found.linear)} T + {_plain(quadratic)} T²"
    return f"\n{terms}; T² share {100 * share:.0f} %{', quadratic' if found.is_quadratic else ''}"


def _plain(value: float) -> str:
    text = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return text.replace(",", " ")
