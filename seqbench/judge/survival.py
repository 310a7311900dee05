"""Times to solve, censored at the budget: who takes longer, and by what factor.

Times are shares of the budget: t in [0, 1) where the task was solved after that share, 1 where the budget was used up
without it. Every cell is followed to its budget, so the restricted mean survival time up to it is the plain mean.

How times grow with lag is a regression, of each of two arms: ln time = a + b·ln lag + σ·ε with ε standard normal (Klein
& Moeschberger, Survival Analysis, 2003, chapter 12; Tobin, Econometrica 26(1), 1958). A task is found solved at an
evaluation, so it was solved between that one and the one before; where the budget was used up, later, if ever.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import interpolate, optimize, special, stats

from seqbench.judge.stats import NEVER, NOWHERE, Array, Bounds, Pair, permutation, t_interval, t_tails

Flags = NDArray[np.bool_]


def time_to_solve(subject: Array, reference: Array, margin: float, rng: np.random.Generator) -> Pair:
    """Return the tests of θ = ln(restricted mean of subject / of reference) against a margin.

    The larger p-value of two tests: `ratio_test` of the restricted means, and the log-rank test after the subject's
    times were divided by exp(margin) and both arms were followed only as far as both can be (an accelerated-failure
    shift, under which the arms are exchangeable).
    """
    scale = math.exp(-margin)
    horizon = min(1.0, scale)
    times = [np.minimum(subject * scale, horizon), np.minimum(reference, horizon)]
    ranks = log_rank(times[0], times[0] < horizon, times[1], times[1] < horizon, rng)
    return ratio_test(subject, reference, margin).worse(ranks)


def log_rank(times_a: Array, solved_a: Flags, times_b: Array, solved_b: Flags, rng: np.random.Generator) -> Pair:
    """Return the log-rank test (Mantel 1966), asymptotic and by permutation: the larger p-value of each direction.

    `greater` small speaks for A taking longer. Observed minus expected is a sum of scores, solved − Λ(t) with Nelson
    and Aalen's Λ of both arms together, that do not depend on who belongs where; so the permutation test of the scores
    is the exact log-rank test where both arms are censored alike. Where nobody solved, nothing is known: both are 1.
    """
    if min(len(times_a), len(times_b)) == 0 or not (solved_a.any() or solved_b.any()):
        return NEVER
    scores = _scores(np.concatenate([times_a, times_b]), np.concatenate([solved_a, solved_b]))
    exact = permutation(scores[len(times_a) :], scores[: len(times_a)], 0.0, rng)
    if np.ptp(scores) == 0.0:  # all alike: the asymptotic variance is zero
        return exact
    arms = [
        stats.CensoredData.right_censored(times, ~solved)
        for times, solved in ((times_a, solved_a), (times_b, solved_b))
    ]
    asymptotic = Pair(*(float(stats.logrank(*arms, alternative=side).pvalue) for side in ("less", "greater")))
    return asymptotic.worse(exact)


def restricted_mean(times: Array) -> float:
    """Return the mean time to solve up to the budget, as a share of it: the area under the survival curve."""
    return float(times.mean())


def log_ratio(subject: Array, reference: Array) -> float:
    """Return ln(restricted mean of subject / of reference); NaN where one of them is zero."""
    above, below = restricted_mean(subject), restricted_mean(reference)
    return math.log(above / below) if min(above, below) > 0 else math.nan


def ratio_test(subject: Array, reference: Array, margin: float) -> Pair:
    """Return Student's test of ln(restricted mean of subject / of reference) by the delta method.

    The error is √(u² + v²) with u and v the relative standard errors of the two means, on min(n, m) − 1 degrees of
    freedom, the fewest that Satterthwaite's could be: so few skewed and censored values deserve. An arm without
    spread, all of it censored, adds no error. An arm whose mean is zero leaves everything open.
    """
    if not _has_ratio(subject, reference):
        return NEVER
    error, freedom = _ratio_error(subject, reference)
    return t_tails(log_ratio(subject, reference) - margin, error, freedom)


def ratio_bounds(subject: Array, reference: Array, *, lower_level: float, upper_level: float) -> Bounds:
    """Return the bounds of ln(restricted mean of subject / of reference) that invert `ratio_test`."""
    if not _has_ratio(subject, reference):
        return NOWHERE
    error, freedom = _ratio_error(subject, reference)
    return t_interval(log_ratio(subject, reference), error, freedom, lower_level, upper_level)


def _has_ratio(subject: Array, reference: Array) -> bool:
    return all(len(times) > 1 and restricted_mean(times) > 0 for times in (subject, reference))


def _ratio_error(subject: Array, reference: Array) -> tuple[float, int]:
    relative = [times.std(ddof=1) / restricted_mean(times) / math.sqrt(len(times)) for times in (subject, reference)]
    return math.hypot(*relative), min(len(subject), len(reference)) - 1


def _scores(times: Array, solved: Flags) -> Array:
    """Return solved − Λ(t) of every cell: small where it took long. (n,), (n,) -> (n,)."""
    moments = np.unique(times[solved])
    events = (times[solved][:, None] == moments).sum(axis=0)
    at_risk = (times[:, None] >= moments).sum(axis=0)
    hazard = ((times[:, None] >= moments) * (events / at_risk)).sum(axis=1)
    return np.asarray(solved - hazard, dtype=np.float64)


PRECISIONS = (0.1, 100.0)
"""Where 1/σ is looked for: above it evaluations tell nothing apart, below it nothing is known."""
GRID = np.concatenate([np.arange(-20.0, -2.0, 3.0), np.arange(-2.0, 5.0, 0.2), np.arange(5.0, 20.1, 3.0)])
"""Powers at which the likelihood is computed; between them it is interpolated."""
FINE = np.concatenate([np.arange(-20.0, -4.0, 0.1), np.arange(-4.0, 6.0, 0.01), np.arange(6.0, 20.01, 0.1)])
FARTHEST = 15.0
"""A bound of a difference of powers beyond this is none."""
PARAMETERS = 3
MOST = 100.0
"""A likelihood ratio per cell beyond which a p-value is 0 in any case."""


@dataclass(frozen=True, slots=True)
class Times:
    """Cells of one arm, each (n,): ln lag, steps to solve, steps between evaluations, steps of the budget.

    A time that equals the budget is one that used it up.
    """

    log_lag: Array
    steps: Array
    between: Array
    budget: Array

    @property
    def solved(self) -> Array:
        """Return which cells solved their task before the budget was used up: (n,) of bool."""
        return np.asarray(self.steps < self.budget)

    @property
    def interval(self) -> tuple[Array, Array]:
        """Return between which ln times each task was solved: (n,), (n,); up to infinity where it was not."""
        before = np.maximum(self.steps - self.between, 0.0)
        lower = np.log(
            np.where(self.solved, before, self.budget), out=np.full(len(before), -math.inf), where=before > 0
        )
        return lower, np.where(self.solved, np.log(self.steps), math.inf)


def why_unknown(times: Times) -> str:
    """Return why an arm has no power, or nothing."""
    if len(np.unique(times.log_lag)) < 2:
        return "has cells at one lag alone"
    return "" if len(np.unique(times.log_lag[times.solved])) else "solved the task at no lag"


@dataclass(frozen=True)
class PowerDifference:
    """θ = power of the subject − power of the reference, by maximum likelihood, with its profile."""

    subject: Times
    reference: Times

    @property
    def freedom(self) -> int:
        """Return the degrees of freedom of the arm with the fewest cells that solved their task: few tell little."""
        return min(int(arm.solved.sum()) for arm in (self.subject, self.reference)) - PARAMETERS

    @property
    def estimate(self) -> float:
        """Return θ, at most as large as powers are looked for."""
        best = [float(FINE[np.argmax(profile(FINE))]) for profile in self._profiles]
        return best[0] - best[1]

    def root(self, theta: float) -> float:
        """Return the signed root of the likelihood ratio of θ as a Student's t: positive where the estimate lies above.

        t² = (m − p)·(exp(r²/m) − 1), with m cells and p parameters, is exact for regression without censoring; m is
        that of the arm with the fewest cells that solved their task.
        """
        of_subject, of_reference = self._profiles
        among = FINE[(FINE + theta >= FINE[0]) & (FINE + theta <= FINE[-1])]
        reached = float((of_subject(among + theta) + of_reference(among)).max())
        highest = float(of_subject(FINE).max() + of_reference(FINE).max())
        ratio = min(2 * max(0.0, highest - reached) / (self.freedom + PARAMETERS), MOST)
        return math.copysign(math.sqrt(self.freedom * math.expm1(ratio)), self.estimate - theta)

    def test(self, margin: float) -> Pair:
        """Return the one-sided tests of θ against a margin: the root against Student's t."""
        if self.freedom < 1:
            return NEVER
        root = self.root(margin)
        return Pair(float(stats.t.sf(root, self.freedom)), float(stats.t.cdf(root, self.freedom)))

    def bounds(self, *, lower_level: float, upper_level: float) -> Bounds:
        """Return the bounds of θ that invert `test`, infinite where the likelihood knows none."""
        if self.freedom < 1:
            return NOWHERE
        low = self._where(float(stats.t.isf(lower_level, self.freedom)), -1)
        return Bounds(low, self._where(-float(stats.t.isf(upper_level, self.freedom)), 1))

    @cached_property
    def _profiles(self) -> tuple[Callable[[Array], Array], ...]:
        return _profile(self.subject), _profile(self.reference)

    def _where(self, root: float, side: int) -> float:
        """Return the θ on a side of the estimate at which the root is this."""
        end = side * FARTHEST
        if side * (end - self.estimate) <= 0 or side * (self.root(end) - root) > 0:
            return side * math.inf
        return float(optimize.brentq(lambda theta: self.root(theta) - root, self.estimate, end, xtol=1e-3))


def _profile(arm: Times) -> Callable[[Array], Array]:
    """Return the log-likelihood of an arm as a function of its power: the largest over a and σ."""
    lower, upper = arm.interval
    known = np.where(np.isfinite(lower), lower, upper)
    heights, start = [], np.array([3.0 * float(known.mean()), 3.0])
    for power in GRID:
        rest = power * arm.log_lag
        start, height = _highest(lower - rest, upper - rest, start)
        heights.append(height)
    found = interpolate.CubicSpline(GRID, heights)
    return lambda powers: np.asarray(found(powers), dtype=np.float64)


def _highest(lower: Array, upper: Array, start: Array) -> tuple[Array, float]:
    """Return (a/σ, 1/σ) and the log-likelihood of values that lie in these intervals, which is concave in the two.

    Olsen, Note on the uniqueness of the maximum likelihood estimator for the Tobit model, Econometrica 46(5), 1978.
    """

    def negative(at: Array) -> tuple[float, Array]:
        low, high = at[1] * lower - at[0], at[1] * upper - at[0]
        mass = _log_mass(low, high)
        at_low, at_high = (np.exp(-0.5 * (end**2 + LOG_TWO_PI) - mass) for end in (low, high))
        slope = np.where(np.isfinite(upper), upper, 0.0) * at_high - np.where(np.isfinite(lower), lower, 0.0) * at_low
        return -float(mass.sum()), np.array([float((at_high - at_low).sum()), -float(slope.sum())])

    found = optimize.minimize(negative, start, jac=True, method="L-BFGS-B", bounds=((None, None), PRECISIONS))
    return found.x, -float(found.fun)


LOG_TWO_PI = math.log(2 * math.pi)


def _log_mass(low: Array, high: Array) -> Array:
    """Return ln(Φ(high) − Φ(low)), by the tail in which both are small: (n,), (n,) -> (n,)."""
    flip = low > 0
    low, high = np.where(flip, -high, low), np.where(flip, -low, high)
    top, bottom = special.log_ndtr(high), special.log_ndtr(low)
    return np.asarray(top + np.log1p(-np.exp(np.minimum(bottom - top, -1e-12))), dtype=np.float64)
