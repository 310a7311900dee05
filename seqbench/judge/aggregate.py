"""Scores of several tasks together: interquartile mean, performance profile, P(A > B) (Agarwal et al. 2021).

Scores are one array per task, its seeds as entries. Tasks are fixed, not drawn: intervals speak of these tasks alone,
and resampling is done within each. The interquartile mean discards the failing quarter: print the solve rate beside it.
"""

from collections.abc import Callable, Sequence

import numpy as np

from seqbench.judge.stats import Array, Bounds

RESAMPLES = 2000


def interquartile_mean(scores: Sequence[Array]) -> float:
    """Return the mean of the middle half of all scores, over seeds and tasks."""
    ordered = np.sort(np.concatenate(scores))
    quarter = len(ordered) // 4
    return float(ordered[quarter : len(ordered) - quarter].mean())


def performance_profile(scores: Sequence[Array], thresholds: Array) -> Array:
    """Return the share of scores above each threshold, tasks counting alike: (K,) -> (K,)."""
    shares = [(values[:, None] > thresholds).mean(axis=0) for values in scores]
    return np.asarray(np.mean(shares, axis=0), dtype=np.float64)


def probability_of_improvement(first: Sequence[Array], second: Sequence[Array]) -> float:
    """Return P(A > B), the mean over tasks of Mann and Whitney's U / (n m); ties count one half.

    Raises ValueError where the two have different numbers of tasks.
    """
    shares = [float((np.sign(a[:, None] - b[None, :]) / 2 + 0.5).mean()) for a, b in zip(first, second, strict=True)]
    return float(np.mean(shares))


def stratified_interval(
    statistic: Callable[..., float], *arms: Sequence[Array], rng: np.random.Generator, level: float = 0.05
) -> Bounds:
    """Return the percentile interval of 1 − level of `statistic(*arms)`, seeds resampled within every task and arm."""
    drawn = [
        statistic(*([rng.choice(values, size=len(values)) for values in arm] for arm in arms)) for _ in range(RESAMPLES)
    ]
    lower, upper = np.quantile(drawn, [level / 2, 1 - level / 2])
    return Bounds(float(lower), float(upper))
