"""How the gradient that reaches an input shrinks or grows with its distance."""

from collections.abc import Sized

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seqbench.judge import table
from seqbench.judge.figures import base, style
from seqbench.judge.table import Tables
from seqbench.plan import Study

TITLE = "Gradient norm against lag, at initialisation"
CAPTION = (
    "Natural logarithm of the norm of the gradient of the last output with respect to the input that lies a given "
    "number of steps back, relative to lag 1. Thin lines: seeds, the first 50 at most; bold: the mean of all. The "
    "legend gives the fitted slope, the mean over seeds. A straight falling line is exponential vanishing."
)
SLOPE = "slope"
POINTS = 20
"""How many points of a seed's thin line are drawn; the data behind the figure hold all, unless seeds are many."""
MANY = 50
"""Of more seeds than this no further one has a thin line, and the data hold only the lags that the mean is drawn at."""


def select(tables: Tables, study: Study) -> pd.DataFrame:  # noqa: ARG001
    """Return one row per variant, size, seed and lag, with the seed's fitted slope in nat/step."""
    rows = tables.series[tables.series[table.MEASUREMENT] == "log_gradient_norm"]
    slopes = tables.wide.reindex(columns=["gradient_slope"])["gradient_slope"]
    if rows.groupby([table.MODEL, table.LENGTH, table.WIDTH])[table.SEED].nunique().gt(MANY).any():
        rows = rows.assign(**{name: [one[:: _every(one)] for one in rows[name]] for name in (table.AT, table.VALUE)})
    points = table.points(rows.assign(**{SLOPE: rows[table.FINGERPRINT].map(slopes)}))
    columns = [table.MODEL, table.LENGTH, table.WIDTH, table.SEED, table.AT, table.VALUE, SLOPE]
    return points[columns].sort_values(columns[:5]).reset_index(drop=True)


def draw(frame: pd.DataFrame) -> Figure:
    """Return one panel per size; ln gradient norm (nat) against lag (steps)."""
    rows = frame[np.isfinite(frame[table.VALUE].astype(float))]
    if rows.empty:
        return base.empty()
    rows = base.with_facets(rows, (table.LENGTH, table.WIDTH))
    with base.styled():
        names = sorted(set(rows[base.FACET]))
        figure, axes = base.panels(len(names), height=3.9)
        for axis, name in zip(axes, names, strict=True):
            panel = rows[rows[base.FACET] == name]
            for model in style.ordered(panel[table.MODEL]):
                _line(axis, panel[panel[table.MODEL] == model], style.look(model))
            axis.set(title=name, xlabel="lag (steps)", ylabel="ln gradient norm relative to lag 1 (nat)")
            base.legend(axis, title="variant, slope (nat/step)")
    return figure


def _line(axis: Axes, rows: pd.DataFrame, look: style.Look) -> None:
    by_seed = rows.pivot_table(index=table.AT, columns=table.SEED, values=table.VALUE)
    by_seed = by_seed - by_seed.iloc[0]
    thin = by_seed.iloc[:: max(1, len(by_seed) // POINTS)]
    for seed in list(thin)[:MANY]:
        axis.plot(thin.index, thin[seed], color=look.colour, linestyle=look.line, linewidth=0.5, alpha=0.35)
    slope = rows.groupby(table.SEED)[SLOPE].first().mean()
    mean = by_seed.mean(axis=1).iloc[:: _every(by_seed)]
    axis.plot(
        mean.index,
        mean,
        color=look.colour,
        linestyle=look.line,
        marker=look.marker,
        markevery=(0.05, 0.13),
        label=f"{look.label}  {slope + 0.0:+.3f}".replace("-0.000", "0.000")
        .replace("+0.000", "0.000")
        .replace("-", "−"),
    )


def _every(lags: Sized) -> int:
    """Return of how many lags one is drawn in the line of the mean."""
    return max(1, len(lags) // (2 * POINTS))
