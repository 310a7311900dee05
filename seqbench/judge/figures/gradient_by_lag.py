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
    "number of steps back, relative to lag 1. Thin lines: seeds, the first 20 at most; bold: the mean of all. The "
    "legend gives the fitted slope, the mean over seeds, and the horizon, the largest lag at which the gradient is "
    "still 1 % of its largest, the median over seeds. A straight falling line is exponential vanishing."
)
PROBES = ("input_gradient",)
SLOPE = "slope"
HORIZON = "horizon"
KIND = (table.MODEL, table.LENGTH, table.WIDTH)
COLUMNS = [*KIND, table.SEED, table.AT, table.VALUE, SLOPE, HORIZON]
POINTS = 10
"""How many points of a seed's thin line are drawn; the data behind the figure hold all, but of more
seeds than `base.MANY` those of the mean's line, of the first seeds and of the mean alone."""


def select(tables: Tables, study: Study) -> pd.DataFrame:  # noqa: ARG001
    """Return one row per variant, size, seed and lag, with the seed's fitted slope (nat/step) and horizon (steps).

    Of many seeds the first ones have rows, and the mean of all, with the mean slope and the median horizon.
    """
    rows = tables.series[tables.series[table.MEASUREMENT] == "log_gradient_norm"]
    known = tables.wide.reindex(columns=["gradient_slope", "gradient_horizon"])
    rows = rows.join(known.set_axis([SLOPE, HORIZON], axis=1), on=table.FINGERPRINT)[COLUMNS]
    if not rows.groupby(list(KIND))[table.SEED].nunique().gt(base.MANY).any():
        return _long(rows)
    # One kind after the other: their points together would be as large as all that was read.
    firsts, means = zip(*(_summed_up(_long(_thinned(kind))) for _, kind in rows.groupby(list(KIND))), strict=True)
    together: pd.DataFrame = pd.concat([*firsts, *means], ignore_index=True)[COLUMNS]
    return together


def _long(rows: pd.DataFrame) -> pd.DataFrame:
    return table.points(rows).sort_values([*KIND, table.SEED, table.AT], ignore_index=True)


def _thinned(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(**{name: [one[:: _every(one)] for one in rows[name]] for name in (table.AT, table.VALUE)})


def _summed_up(points: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the points of the first `base.MANY` seeds of one variant and size, and those of the mean of all."""
    finite = points[np.isfinite(points[table.VALUE])]
    seeds = finite.drop_duplicates([*KIND, table.SEED]).groupby(list(KIND))
    laws = pd.DataFrame({SLOPE: seeds[SLOPE].mean(), HORIZON: seeds[HORIZON].median()})
    means = finite.groupby([*KIND, table.AT])[table.VALUE].mean().reset_index().join(laws, on=list(KIND))
    first = points[points[table.SEED].rank(method="dense") <= base.MANY]
    return first.astype({table.SEED: "str"}), means.assign(**{table.SEED: base.MEAN})


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
            base.legend(axis, title="variant, slope (nat/step); horizon (steps)")
    return figure


def _line(axis: Axes, rows: pd.DataFrame, look: style.Look) -> None:
    by_seed = rows.pivot_table(index=table.AT, columns=table.SEED, values=table.VALUE)
    by_seed = by_seed - by_seed.iloc[0]
    if base.summed_up(rows):
        mean, rows = by_seed.pop(base.MEAN), rows[rows[table.SEED] == base.MEAN]
    else:
        mean = by_seed.mean(axis=1)
    thin = by_seed.iloc[:: max(1, len(by_seed) // POINTS)]
    # One path for all seeds, broken between them by a place without a number.
    broken = [np.append(thin[seed], np.nan) for seed in list(thin)[: base.MANY]]
    lags = np.tile(np.append(thin.index, np.nan), len(broken))
    axis.plot(lags, np.concatenate(broken), color=look.colour, linestyle=look.line, linewidth=0.5, alpha=0.35)
    slope = rows.groupby(table.SEED)[SLOPE].first().mean()
    mean = mean.iloc[:: _every(by_seed)]
    axis.plot(
        mean.index,
        mean,
        color=look.colour,
        linestyle=look.line,
        marker=look.marker,
        fillstyle=look.fill,
        markevery=(0.05, 0.13),
        label=f"{look.label}  {_signed(slope)}; {_reach(rows)}",
    )


def _signed(slope: float) -> str:
    """Return a slope with its sign, as "−0.551", and none where it is 0.000."""
    text = f"{slope:+.3f}".replace("-", "−")
    return "0.000" if text[1:] == "0.000" else text


def _reach(rows: pd.DataFrame) -> str:
    """Return the median horizon over seeds, "–" where no seed has one."""
    horizons = rows.groupby(table.SEED)[HORIZON].first().dropna()
    return f"{horizons.median():.0f}" if len(horizons) else "–"


def _every(lags: Sized) -> int:
    """Return of how many lags one is drawn in the line of the mean."""
    return max(1, len(lags) // (3 * POINTS))
