"""Two shares compared exactly: how many of n cells solved a task, against how many of m.

The test is unconditional (Barnard 1945; Suissa & Shuster 1985): both numbers of successes are binomial, tables are
ordered by the pooled score statistic

    Z = (a/n − b/m) / √(s (1 − s) (1/n + 1/m)),   s = (a + b)/(n + m)

and p is the largest probability that the null hypothesis gives to tables at least as far out as the one seen. Z rises
with a and falls with b, so for H0: p_A − p_B ≤ δ that largest probability lies on the line p_A = p_B + δ (Röhmel &
Mansmann 1999), where one nuisance share is left to search. The order does not depend on δ: p rises with δ, and the
bounds that invert the test are an interval (Chan & Zhang 1999).
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy import optimize, stats

from seqbench.judge.stats import NEVER, Array, Bounds, Pair

GRID = 501
"""Values of the nuisance share at which the largest probability is looked for before it is refined."""


def share_difference(subject: Array, reference: Array, margin: float) -> Pair:
    """Return `proportions` of two arms given as ones and zeros: (n,), (m,)."""
    return proportions(int(subject.sum()), len(subject), int(reference.sum()), len(reference), margin)


def share_bounds(subject: Array, reference: Array, *, lower_level: float, upper_level: float) -> Bounds:
    """Return `proportion_bounds` of two arms given as ones and zeros: (n,), (m,)."""
    a, b = int(subject.sum()), int(reference.sum())
    return proportion_bounds(a, len(subject), b, len(reference), lower_level=lower_level, upper_level=upper_level)


@lru_cache(maxsize=4096)
def proportions(successes_a: int, n_a: int, successes_b: int, n_b: int, margin: float) -> Pair:
    """Return the exact unconditional test of p_A − p_B against a margin.

    With margin 0 it is Barnard's test with pooled variance. Six of six against none of six have
    p = 0.6¹² = .0022 at a margin of .2.
    """
    if min(n_a, n_b) == 0:
        return NEVER
    return Pair(
        _largest(successes_a, n_a, successes_b, n_b, margin),
        _largest(successes_b, n_b, successes_a, n_a, -margin),
    )


@lru_cache(maxsize=1024)
def proportion_bounds(
    successes_a: int, n_a: int, successes_b: int, n_b: int, *, lower_level: float, upper_level: float
) -> Bounds:
    """Return the bounds of p_A − p_B that invert `proportions`, each one-sided at its own level."""
    if min(n_a, n_b) == 0:
        return Bounds(-1.0, 1.0)
    return Bounds(
        _least_margin(successes_a, n_a, successes_b, n_b, lower_level),
        -_least_margin(successes_b, n_b, successes_a, n_a, upper_level),
    )


def trials_needed(share_a: float, share_b: float, margin: float, *, level: float, largest: int = 60) -> int | None:
    """Return the least n per arm at which these shares, rounded to whole successes, would pass the margin.

    On the side of the margin where they lie; None if `largest` is too few.
    """
    one, other, side = (share_a, share_b, 1.0) if share_a - share_b > margin else (share_b, share_a, -1.0)
    for n in range(2, largest + 1):
        if _passes(round(one * n), round(other * n), n, side * margin, level):
            return n
    return None


def _passes(a: int, b: int, n: int, margin: float, level: float) -> bool:
    """Return whether a of n against b of n reject H0: p_A − p_B ≤ margin at a level.

    The largest probability is at least that of a few shares, which settle most of what does not.
    """
    if margin > 1:
        return level >= 1
    few = _probabilities(a, n, b, n, margin)(_nuisance(margin)[:: GRID // 20])
    return bool(few.max() <= level) and _largest(a, n, b, n, margin) <= level


def _least_margin(a: int, n: int, b: int, m: int, level: float) -> float:
    """Return the greatest margin that H0: p_A − p_B ≤ margin is rejected up to; −1 where it never is."""
    if _largest(a, n, b, m, -1.0) > level:
        return -1.0
    return float(optimize.brentq(lambda margin: _largest(a, n, b, m, margin) - level, -1.0, 1.0, xtol=1e-7))


def _largest(a: int, n: int, b: int, m: int, margin: float) -> float:
    """Return the largest probability, over p_A = p_B + margin, of tables as far out as (a, b)."""
    if margin > 1:
        return 1.0
    probability, grid = _probabilities(a, n, b, m, margin), _nuisance(margin)
    coarse = probability(grid)
    peak = int(coarse.argmax())
    around = (grid[max(0, peak - 1)], grid[min(GRID - 1, peak + 1)])
    if around[0] == around[1]:
        return float(coarse[peak])
    fine = optimize.minimize_scalar(
        lambda share: -float(probability(np.array([share]))[0]), bounds=around, method="bounded"
    )
    return min(1.0, max(float(coarse[peak]), -float(fine.fun)))


def _nuisance(margin: float) -> Array:
    """Return values of p_B for which p_B + margin is a share too: (GRID,)."""
    return np.linspace(max(0.0, -margin), min(1.0, 1.0 - margin), GRID)


def _probabilities(a: int, n: int, b: int, m: int, margin: float) -> Callable[[Array], Array]:
    """Return the probability of tables as far out as (a, b) as a function of p_B: (G,) -> (G,)."""
    scores = _scores(n, m)
    outside = scores >= scores[a, b]

    def probability(share: Array) -> Array:
        of_a = stats.binom.pmf(np.arange(n + 1), n, np.clip(share + margin, 0, 1)[:, None])  # (G, n + 1)
        of_b = stats.binom.pmf(np.arange(m + 1), m, share[:, None])  # (G, m + 1)
        return np.asarray(((of_a @ outside) * of_b).sum(axis=1))

    return probability


@lru_cache(maxsize=256)
def _scores(n: int, m: int) -> Array:
    """Return Z of every table, rounded so that equal ones are equal: (n + 1, m + 1)."""
    a, b = np.arange(n + 1)[:, None], np.arange(m + 1)[None, :]
    pooled = (a + b) / (n + m)
    spread = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    scores = np.divide(a / n - b / m, spread, out=np.zeros((n + 1, m + 1)), where=spread > 0)
    return np.asarray(np.round(scores, 9), dtype=np.float64)
