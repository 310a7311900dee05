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
from seqbench.judge.stats import Array, Bounds, Pair, t_tails

FAR = 1e4
"""Noncentral F beyond this takes scipy minutes; there χ'²(λ) is λ within 2 %, which leaves F' = λ/df · freedom/χ²."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One factor's main effect.

    f, df, freedom: the F test, its degrees of freedom and those of the error. n: observations.
    levels: the mean of every level, adjusted for the other factors. pairs: of every two levels how far apart these
    lie, and the standard error of that. error_sd: the SD of replicates. All in the unit of the response.
    """

    f: float
    df: int
    freedom: int
    n: int
    levels: Mapping[str, float]
    pairs: tuple[tuple[float, float], ...]
    error_sd: float

    @property
    def p(self) -> float:
        """Return the p-value of the F test."""
        return float(stats.f.sf(self.f, self.df, self.freedom))

    @property
    def omega_squared(self) -> float:
        """Return the partial share of variance that the factor explains: df (F − 1) / (df (F − 1) + N)."""
        return _share(self.df * (self.f - 1), self.n)

    def omega_interval(self, *, level: float = 0.05) -> Bounds:
        """Return the 1 − level interval of ω² by inversion of the noncentral F: λ / (λ + N) (Steiger 2004)."""
        return _omega_interval(self.f, self.df, self.freedom, self.n, level=level)

    @property
    def spread(self) -> float:
        """Return the largest minus the smallest level mean."""
        return max(apart for apart, _ in self.pairs)

    def spread_bounds(self, *, lower_level: float, upper_level: float) -> Bounds:
        """Return the bounds of the true spread, each one-sided at its own level.

        The lower one is the largest over the pairs of levels, which chooses a pair and its sign: two-sided, Bonferroni
        over the pairs. The upper one is the largest too, and chooses nothing.
        """
        low, high = (special.stdtrit(self.freedom, 1 - share) for share in (lower_level / self._choices, upper_level))
        return Bounds(
            max(0.0, *(float(apart - low * error) for apart, error in self.pairs)),
            max(float(apart + high * error) for apart, error in self.pairs),
        )

    def spread_test(self, support: float, contradict: float) -> Pair:
        """Return the p-values of spread ≤ support and of spread ≥ contradict, which `spread_bounds` inverts."""
        above = [t_tails(apart - support, error, self.freedom).greater for apart, error in self.pairs]
        below = [t_tails(apart - contradict, error, self.freedom).less for apart, error in self.pairs]
        return Pair(min(1.0, self._choices * min(above)), max(below))

    @property
    def _choices(self) -> int:
        return 2 * len(self.pairs)


def main_effects(response: Array, factors: Mapping[str, Sequence[str]]) -> dict[str, Effect]:
    """Return the effect of every factor: response (N,), factors by name with the level of every observation.

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
        means, rows = _level_means(everything, slice(first, first + df), coefficients)
        pairs = list(combinations(range(len(names)), 2))
        differences = np.array([means[i] - means[j] for i, j in pairs])
        contrasts = np.array([rows[i] - rows[j] for i, j in pairs])  # (pairs, coefficients)
        errors = np.sqrt(np.einsum("pc,cd,pd->p", contrasts, covariance, contrasts))
        found[name] = Effect(
            f=float(f),
            df=df,
            freedom=freedom,
            n=len(response),
            levels=dict(zip(names, map(float, means), strict=True)),
            pairs=tuple(zip(map(float, np.abs(differences)), map(float, errors), strict=True)),
            error_sd=float(np.sqrt(error)),
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
    if df * f > FAR:
        return float(df * f * special.chdtri(freedom, share) / freedom)

    def excess(value: float) -> float:  # far out, where nothing is left below F, scipy's value is no number
        return float(np.nan_to_num(stats.ncf.cdf(f, df, freedom, value))) - share

    high = 1.0
    while excess(high) > 0:
        high *= 2
    return float(optimize.brentq(excess, 0.0, high))
