"""Times to solve, censored at the budget: who takes longer, and by what factor.

Times are shares of the budget: t in [0, 1) where the task was solved after that share, 1 where the budget was used up
without it. Every cell is followed to its budget, so the restricted mean survival time up to it is the plain mean.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

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
