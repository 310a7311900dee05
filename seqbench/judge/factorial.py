"""Which factors of a factorial matter: fixed-effects analysis of variance, seeds as replicates (Fisher 1925).

The response is expected on a scale where effects add: logit of an accuracy, ln of excess bits. Main effects are tested
against each other's presence (type II), so that unbalanced designs are no different from balanced ones. The error is
that of replicates within a configuration, so interactions do not pass for noise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import optimize, special, stats

from seqbench.errors import InvalidInput
from seqbench.judge.stats import Array, Bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One factor's main effect.

    omega_squared: the partial share of variance that it explains, F-based: df (F − 1) / (df (F − 1) + N), with its
    interval by inversion of the noncentral F: λ / (λ + N) (Steiger 2004). p: of the F test.
    spread: largest minus smallest level mean, adjusted for the other factors, in the unit of the response, with
    bounds that hold for the largest of all pairs of levels (Bonferroni). levels: those means by level.
    """

    omega_squared: float
    omega_interval: Bounds
    f: float
    p: float
    spread: float
    spread_interval: Bounds
    levels: Mapping[str, float]


def main_effects(response: Array, factors: Mapping[str, Sequence[str]], *, level: float = 0.05) -> dict[str, Effect]:
    """Return the effect of every factor: response (N,), factors by name with the level of every observation.

    Intervals are of 1 − level, with level/2 on each side.
    Raises InvalidInput where no configuration has replicates, a factor has one level, or factors cannot be told apart.
    """
    coded = {name: _indicators(levels) for name, levels in factors.items()}
    if alone := [name for name, (names, _) in coded.items() if len(names) < 2]:
        raise InvalidInput(f"the factor {alone[0]} has one level only; a factor needs two")
    everything = _design(coded, list(coded))
    if np.linalg.matrix_rank(everything) < everything.shape[1]:
        raise InvalidInput(f"the configurations do not tell the factors {', '.join(coded)} apart; add configurations")
    error, freedom = _pure_error(response, list(zip(*factors.values(), strict=True)))
    full = _residual(everything, response)
    coefficients = np.asarray(np.linalg.lstsq(everything, response, rcond=None)[0], dtype=np.float64)
    covariance = error * np.linalg.inv(everything.T @ everything)
    found, first = {}, 1
    for name, (names, _) in coded.items():
        without = _residual(_design(coded, [other for other in coded if other != name]), response)
        df = len(names) - 1
        f = (without - full) / df / error if error > 0 else np.inf
        means, spreads = _level_means(everything, slice(first, first + df), coefficients)
        pairs = list(combinations(range(len(names)), 2))
        differences = np.array([means[i] - means[j] for i, j in pairs])
        contrasts = np.array([spreads[i] - spreads[j] for i, j in pairs])  # (pairs, coefficients)
        reach = special.stdtrit(freedom, 1 - level / 2 / len(pairs)) * np.sqrt(
            np.einsum("pc,cd,pd->p", contrasts, covariance, contrasts)
        )
        found[name] = Effect(
            omega_squared=_share(df * (f - 1), len(response)),
            omega_interval=_omega_interval(f, df, freedom, len(response), level=level),
            f=float(f),
            p=float(stats.f.sf(f, df, freedom)),
            spread=float(np.ptp(means)),
            spread_interval=Bounds(
                max(0.0, float((np.abs(differences) - reach).max())), float((np.abs(differences) + reach).max())
            ),
            levels=dict(zip(names, map(float, means), strict=True)),
        )
        first += df
    return found


def _indicators(levels: Sequence[str]) -> tuple[tuple[str, ...], Array]:
    """Return the levels and a column for each but the first: (N, levels − 1)."""
    names = tuple(sorted(set(levels)))
    return names, np.array([[float(level == name) for name in names[1:]] for level in levels])


def _design(coded: Mapping[str, tuple[tuple[str, ...], Array]], chosen: Sequence[str]) -> Array:
    """Return the matrix of an intercept and the chosen factors: (N, 1 + Σ (levels − 1))."""
    size = len(next(iter(coded.values()))[1])
    return np.hstack([np.ones((size, 1)), *(coded[name][1] for name in chosen)])


def _residual(design: Array, response: Array) -> float:
    """Return the residual sum of squares of a least-squares fit."""
    fit = design @ np.linalg.lstsq(design, response, rcond=None)[0]
    return float(((response - fit) ** 2).sum())


def _pure_error(response: Array, configurations: Sequence[tuple[str, ...]]) -> tuple[float, int]:
    """Return the variance of replicates within configurations, pooled, and its degrees of freedom."""
    groups: dict[tuple[str, ...], list[float]] = {}
    for configuration, value in zip(configurations, response, strict=True):
        groups.setdefault(configuration, []).append(float(value))
    freedom = len(response) - len(groups)
    if freedom < 1:
        raise InvalidInput("no configuration has replicates; give two seeds or more")
    within = sum(float(np.var(values)) * len(values) for values in groups.values())
    return within / freedom, freedom


def _level_means(design: Array, columns: slice, coefficients: Array) -> tuple[Array, Array]:
    """Return the adjusted mean of every level of a factor, and the row of the design that gives it."""
    rows = np.tile(design.mean(axis=0), (columns.stop - columns.start + 1, 1))  # (levels, coefficients)
    rows[:, columns] = np.vstack([np.zeros(columns.stop - columns.start), np.eye(columns.stop - columns.start)])
    return rows @ coefficients, rows


def _share(part: float, n: int) -> float:
    if np.isinf(part):
        return 1.0
    return max(0.0, float(part / (part + n)))


def _omega_interval(f: float, df: int, freedom: int, n: int, *, level: float) -> Bounds:
    """Return λ / (λ + N) at the λ under which the F seen lies at 1 − level/2 and at level/2."""
    if np.isinf(f):
        return Bounds(1.0, 1.0)
    found = [_noncentrality(f, df, freedom, share) for share in (1 - level / 2, level / 2)]
    return Bounds(*(value / (value + n) for value in found))


def _noncentrality(f: float, df: int, freedom: int, share: float) -> float:
    """Return the λ with P(F' ≤ f) = share, 0 where even the central F has less below it."""
    if stats.f.cdf(f, df, freedom) <= share:
        return 0.0

    def excess(value: float) -> float:  # far out, where nothing is left below F, scipy's value is no number
        return float(np.nan_to_num(stats.ncf.cdf(f, df, freedom, value))) - share

    high = 1.0
    while excess(high) > 0:
        high *= 2
    return float(optimize.brentq(excess, 0.0, high))
