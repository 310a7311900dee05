"""Tests and intervals: arrays and a random generator in, numbers out. One-sided p-values in both directions.

A p-value pair answers two questions about θ and a margin: `greater` belongs to H0: θ ≤ margin, `less` to
H0: θ ≥ margin.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

Array = NDArray[np.float64]

LARGEST_ENUMERATION = 200_000
"""Above this many rearrangements a permutation test draws instead of counting."""
DRAWS = 19_999
"""Rearrangements drawn where they cannot be counted; with the observed one they make 20 000. As many resamples."""
ENOUGH_TO_RESAMPLE = 20
"""From so many values on a bootstrap interval covers what it promises; below, Student's t covers better."""
RESAMPLING_SEED = 0
"""Resamples are drawn alike for every sample, so that a bound depends on data and level alone and never disagrees by
chance with the p-value that it inverts."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One-sided p-values: `greater` small speaks for θ > margin, `less` small for θ < margin."""

    greater: float
    less: float

    def worse(self, other: "Pair") -> "Pair":
        """Return the larger p-value of each direction: two tests must agree, so the weaker one rules."""
        return Pair(max(self.greater, other.greater), max(self.less, other.less))


@dataclass(frozen=True, slots=True)
class Bounds:
    """A lower and an upper confidence bound, each one-sided."""

    lower: float
    upper: float


_AT_ONCE = 2**23
NEVER = Pair(1.0, 1.0)
NOWHERE = Bounds(-math.inf, math.inf)


def t_one_sample(values: Array, margin: float) -> Pair:
    """Return Student's one-sample test (Student 1908).

    t = (mean − margin) / (s / √n) with n − 1 degrees of freedom. Fewer than two values decide
    nothing: both p-values are 1.
    """
    if len(values) < 2:
        return NEVER
    return t_tails(values.mean() - margin, _standard_error(values), len(values) - 1)


def t_bounds(values: Array, *, lower_level: float, upper_level: float) -> Bounds:
    """Return mean ± t(1 − level, n − 1) · s / √n, each bound one-sided at its own level."""
    if len(values) < 2:
        return NOWHERE
    return t_interval(values.mean(), _standard_error(values), len(values) - 1, lower_level, upper_level)


def sign_flip(values: Array, margin: float, rng: np.random.Generator) -> Pair:
    """Return the exact sign-flip test of a mean (Fisher 1935).

    p = the share of the 2ⁿ sign patterns of (values − margin) whose sum is at least (at most) the observed one.
    Smallest attainable p: 2⁻ⁿ.

    Beyond `LARGEST_ENUMERATION` patterns `DRAWS` of them are drawn and the observed one is counted in.
    """
    shifted = values - margin
    if len(shifted) == 0:
        return NEVER
    if 2 ** len(shifted) <= LARGEST_ENUMERATION:
        half = _sign_patterns(len(shifted)) @ shifted
        return _tails(np.concatenate([half, -half]), shifted.sum(), drawn=False)
    sizes = [(some, len(shifted)) for some in _parts(DRAWS, len(shifted))]
    drawn = [(2.0 * rng.integers(0, 2, size=size, dtype=bool) - 1.0) @ shifted for size in sizes]
    return _tails(np.concatenate(drawn), shifted.sum(), drawn=True)


def welch(subject: Array, reference: Array, margin: float) -> Pair:
    """Return Welch's unequal-variance test of mean(subject) − mean(reference) against a margin (Welch 1947).

    Degrees of freedom by Satterthwaite: (u + v)² / (u² / (n − 1) + v² / (m − 1)) with u = s₁²/n, v = s₂²/m.
    """
    if min(len(subject), len(reference)) < 2:
        return NEVER
    error, freedom = _welch_error(subject, reference)
    return t_tails(subject.mean() - reference.mean() - margin, error, freedom)


def welch_bounds(subject: Array, reference: Array, *, lower_level: float, upper_level: float) -> Bounds:
    """Return the bounds of mean(subject) − mean(reference) that invert Welch's test."""
    if min(len(subject), len(reference)) < 2:
        return NOWHERE
    error, freedom = _welch_error(subject, reference)
    return t_interval(subject.mean() - reference.mean(), error, freedom, lower_level, upper_level)


def permutation(subject: Array, reference: Array, margin: float, rng: np.random.Generator) -> Pair:
    """Return the exact permutation test of a difference of means (Pitman 1937).

    The subject is shifted by the margin; p = the share of the C(n+m, n) divisions whose difference is at least
    (at most) the observed one.

    Beyond `LARGEST_ENUMERATION` divisions `DRAWS` of them are drawn and the observed one is counted in.
    """
    n, m = len(subject), len(reference)
    if min(n, m) == 0:
        return NEVER
    pooled = np.concatenate([subject - margin, reference])
    # With the pooled sum fixed, the difference of means rises exactly with the sum of the first part.
    observed = pooled[:n].sum()
    if math.comb(n + m, n) <= LARGEST_ENUMERATION:
        return _tails(pooled[_divisions(n + m, n)].sum(axis=1), observed, drawn=False)
    drawn = [rng.permuted(np.tile(pooled, (some, 1)), axis=1)[:, :n].sum(axis=1) for some in _parts(DRAWS, len(pooled))]
    return _tails(np.concatenate(drawn), observed, drawn=True)


def bca(samples: Sequence[Array], margin: float) -> Pair:
    """Return the test that inverts `bca_bounds`: the least level at which the bound clears the margin.

    Levels are multiples of 1 / (DRAWS + 1), as finely as the resamples can tell.
    """
    if not any(np.ptp(values) for values in samples):
        return t_tails(_contrast_of(samples) - margin, 0.0, 1.0)
    lower, upper = _resampled(samples).all_bounds
    above = bisect_left(lower > margin, x=True)
    below = bisect_left(upper < margin, x=True)
    return Pair((above + 1) / (DRAWS + 1), (below + 1) / (DRAWS + 1))


def bca_bounds(samples: Sequence[Array], *, lower_level: float, upper_level: float) -> Bounds:
    """Return bias-corrected and accelerated bootstrap bounds (Efron 1987), each one-sided at its own level.

    Of a mean where one sample is given, of mean(first) − mean(second) where two are. Without spread: the value itself.
    """
    if not any(np.ptp(values) for values in samples):
        return Bounds(_contrast_of(samples), _contrast_of(samples))
    lower, upper = _resampled(samples).bounds(np.array([lower_level]), np.array([upper_level]))
    return Bounds(float(lower[0]), float(upper[0]))


def mean_test(values: Array, margin: float) -> Pair:
    """Return the test of a mean that `mean_bounds` inverts: Student's t, or BCa from `ENOUGH_TO_RESAMPLE` values on."""
    return bca((values,), margin) if _enough(values) else t_one_sample(values, margin)


def mean_bounds(values: Array, *, lower_level: float, upper_level: float) -> Bounds:
    """Return the bounds of a mean: by Student's t, or by BCa from `ENOUGH_TO_RESAMPLE` values on."""
    if _enough(values):
        return bca_bounds((values,), lower_level=lower_level, upper_level=upper_level)
    return t_bounds(values, lower_level=lower_level, upper_level=upper_level)


def difference_test(subject: Array, reference: Array, margin: float) -> Pair:
    """Return the test of mean(subject) − mean(reference) that `difference_bounds` inverts: Welch's t, or BCa."""
    if _enough(subject, reference):
        return bca((subject, reference), margin)
    return welch(subject, reference, margin)


def difference_bounds(subject: Array, reference: Array, *, lower_level: float, upper_level: float) -> Bounds:
    """Return the bounds of mean(subject) − mean(reference): Welch's, or BCa where both arms have enough values."""
    if _enough(subject, reference):
        return bca_bounds((subject, reference), lower_level=lower_level, upper_level=upper_level)
    return welch_bounds(subject, reference, lower_level=lower_level, upper_level=upper_level)


def one_sample(values: Array, margin: float, rng: np.random.Generator) -> Pair:
    """Return `mean_test` and the sign-flip test of one mean together: the larger p-value of each direction.

    So a mean passes a margin at a level only if its bound at that level does.
    """
    return mean_test(values, margin).worse(sign_flip(values, margin, rng))


def two_sample(subject: Array, reference: Array, margin: float, rng: np.random.Generator) -> Pair:
    """Return `difference_test` and the permutation test together: the larger p-value of each direction."""
    return difference_test(subject, reference, margin).worse(permutation(subject, reference, margin, rng))


def per_seed_slope(x: Array, y_by_seed: Array) -> Array:
    """Return the least-squares slope of each seed's points: (k,), (n, k) -> (n,).

    Points of one seed are no replicates of each other, so the slopes are what is tested. A point that is not finite is
    left out; a seed with fewer than two different x has no slope: NaN. Points at one and the same y have slope 0 and
    no rounding noise, as y is counted from the seed's largest.
    """
    known = np.isfinite(y_by_seed)
    top = y_by_seed.max(axis=1, keepdims=True, initial=-math.inf, where=known)
    below = np.subtract(y_by_seed, top, out=np.zeros_like(y_by_seed), where=known)
    counts = known.sum(axis=1, keepdims=True)
    centres = np.where(known, x, 0.0).sum(axis=1, keepdims=True) / np.maximum(counts, 1)
    away = np.where(known, x - centres, 0.0)  # (n, k)
    squares = (away**2).sum(axis=1)
    rise = (away * below).sum(axis=1)
    slopes = np.divide(rise, squares, out=np.full(len(rise), math.nan), where=squares > 0)
    return np.asarray(slopes, dtype=np.float64)


def sign_test(values: Array, margin: float) -> Pair:
    """Return the exact sign test of a median (Arbuthnot 1710).

    greater = P(X ≥ the number of values above the margin) with X ~ Binomial(n, ½); a value at the margin speaks for
    neither side. Smallest attainable p: 2⁻ⁿ.
    """
    if len(values) == 0:
        return NEVER
    above, below = int((values > margin).sum()), int((values < margin).sum())
    return Pair(_at_least(above, len(values)), _at_least(below, len(values)))


def order_statistics(values: Array, *, lower_level: float, upper_level: float) -> Bounds:
    """Return the bounds of a median that invert the sign test (Thompson 1936): x₍ₖ₎ and x₍ₙ₊₁₋ₖ₎.

    k is the largest with P(X ≤ k − 1) ≤ level, X ~ Binomial(n, ½): exact for every continuous distribution. Too few
    values for a level leave its side open. n = 15 at .025 on each side: x₍₄₎ and x₍₁₂₎, covering 96.5 %.
    """
    ordered = np.sort(values)
    low, high = _depth(len(values), lower_level), _depth(len(values), upper_level)
    return Bounds(
        float(ordered[low - 1]) if low else -math.inf,
        float(ordered[len(ordered) - high]) if high else math.inf,
    )


def process_medians(processes: Sequence[Array]) -> Array:
    """Return the median of the rounds of every process that has some."""
    return np.array([np.median(values) for values in processes if len(values)], dtype=np.float64)


def paired_rounds(processes: Sequence[Array], margin: float) -> Pair:
    """Return the sign test over all rounds and Student's t over the process medians together: the larger p-value.

    What a process has in common in all of its rounds, as its place in memory, must not count as many times as there are
    rounds; choosing one of the tests by how far the medians lie apart exceeds its level, since a few medians often lie
    together by chance. A single process decides nothing.
    """
    return sign_test(np.concatenate(processes), margin).worse(t_one_sample(process_medians(processes), margin))


def paired_rounds_bounds(processes: Sequence[Array], *, lower_level: float, upper_level: float) -> Bounds:
    """Return the bounds that invert `paired_rounds`: the outer ones of both tests."""
    rounds = order_statistics(np.concatenate(processes), lower_level=lower_level, upper_level=upper_level)
    medians = t_bounds(process_medians(processes), lower_level=lower_level, upper_level=upper_level)
    return Bounds(min(rounds.lower, medians.lower), max(rounds.upper, medians.upper))


@dataclass(frozen=True, slots=True)
class Equivalence:
    """p-values of |θ| < Δ (`inside`) and of |θ| > Δ (`outside`)."""

    inside: float
    outside: float


def tost(values: Array, equivalence: float, rng: np.random.Generator) -> Equivalence:
    """Return the two one-sided tests of |θ| < Δ (Schuirmann 1987).

    inside = the larger p of θ > −Δ and θ < Δ: at level α the same as a 1 − 2α interval within (−Δ, Δ).
    outside = the smaller p of θ < −Δ and θ > Δ.
    """
    low, high = one_sample(values, -equivalence, rng), one_sample(values, equivalence, rng)
    return Equivalence(inside=max(low.greater, high.less), outside=min(low.less, high.greater))


def tost_difference(subject: Array, reference: Array, equivalence: float) -> Equivalence:
    """Return the two one-sided tests (`difference_test`) of |mean(subject) − mean(reference)| < Δ.

    inside ≤ α exactly when the 1 − 2α interval of `difference_bounds` lies within (−Δ, Δ).
    """
    low, high = (difference_test(subject, reference, margin) for margin in (-equivalence, equivalence))
    return Equivalence(inside=max(low.greater, high.less), outside=min(low.less, high.greater))


def clopper_pearson(successes: int, trials: int, *, level: float = 0.05) -> Bounds:
    """Return the exact two-sided 1 − level interval of a share (Clopper & Pearson 1934), by beta quantiles."""
    if trials == 0:
        return Bounds(0.0, 1.0)
    lower = special.betaincinv(successes, trials - successes + 1, level / 2) if successes else 0.0
    upper = special.betaincinv(successes + 1, trials - successes, 1 - level / 2) if successes < trials else 1.0
    return Bounds(float(lower), float(upper))


def bonferroni(p_values: Sequence[float]) -> float:
    """Return k times the smallest of k p-values, at most 1: the p-value of "at least one" (Dunn 1961)."""
    return min(1.0, len(p_values) * min(p_values, default=1.0))


def holm_levels(p_values: Sequence[float], level: float) -> tuple[float, ...]:
    """Return the level at which Holm's step-down procedure (1979) tested each hypothesis, in the order given.

    The i-th smallest of m is tested at level / (m − i + 1) as long as every smaller one was rejected; from the
    first that was not, the level stays. So a hypothesis is rejected exactly when its p-value is at most its level.
    """
    order = sorted(range(len(p_values)), key=lambda index: (p_values[index], index))
    levels = [0.0] * len(p_values)
    rejected = 0
    for index in order:
        levels[index] = level / (len(p_values) - rejected)
        if p_values[index] <= levels[index] and rejected < len(p_values) - 1:
            rejected += 1
    return tuple(levels)


def seeds_needed(effect: float, spread: float, margin: float, *, level: float, largest: int = 1000) -> int | None:
    """Return the smallest n at which a mean `effect` with SD `spread` would pass a margin, on either side.

    It must pass Student's test at `level` and have 2⁻ⁿ ≤ level, so that the exact test can pass too; None if
    `largest` is too few.
    """
    distance = abs(effect - margin)
    for n in range(max(2, math.ceil(-math.log2(level))), largest + 1):
        if spread == 0.0 or distance * math.sqrt(n) / spread >= special.stdtrit(n - 1, 1 - level):
            return n if distance > 0 else None
    return None


@lru_cache(maxsize=4096)
def _at_least(count: int, n: int) -> float:
    """Return P(Binomial(n, ½) ≥ count)."""
    return float(stats.binom.sf(count - 1, n, 0.5))


@lru_cache(maxsize=4096)
def _depth(n: int, level: float) -> int:
    """Return the largest k with P(Binomial(n, ½) ≤ k − 1) ≤ level, 0 where there is none."""
    return int((stats.binom.cdf(np.arange(n), n, 0.5) <= level).sum())


def _enough(*samples: Array) -> bool:
    return min(map(len, samples)) >= ENOUGH_TO_RESAMPLE


def _contrast(first: Array, second: Array | None = None, axis: int = -1) -> Any:
    """Return the mean of one sample, or the difference of two means, along an axis."""
    return first.mean(axis=axis) - (0.0 if second is None else second.mean(axis=axis))


def _contrast_of(samples: Sequence[Array]) -> float:
    return float(_contrast(samples[0], samples[1] if len(samples) > 1 else None))


def _resampled(samples: Sequence[Array]) -> "_Resampled":
    return _resampled_from(*(np.ascontiguousarray(values).tobytes() for values in samples))


@lru_cache(maxsize=256)
def _resampled_from(*contents: bytes) -> "_Resampled":
    """Return what bootstrap and jackknife say of samples; the same ones serve several margins and every level."""
    samples = [np.frombuffer(content, dtype=np.float64) for content in contents]
    rng = np.random.default_rng(RESAMPLING_SEED)
    drawn = stats.bootstrap(samples, _contrast, n_resamples=DRAWS, batch=2000, method="percentile", rng=rng)
    ordered = np.sort(drawn.bootstrap_distribution)
    centre = _contrast_of(samples)
    places = np.searchsorted(ordered, centre, side="left"), np.searchsorted(ordered, centre, side="right")
    return _Resampled(ordered, float(special.ndtri(sum(places) / (2 * len(ordered)))), _acceleration(samples))


def _means_without_one(values: Array) -> Array:
    """Return the mean of all values but each in turn: (n,) -> (n,)."""
    n, found = len(values), []
    first = np.arange(n - 1)
    for part in np.array_split(np.arange(n), math.ceil(n * n / _AT_ONCE)):
        # each row leaves one place out; summed afresh, as scipy does, since the rest of one sum would be less exact
        found.append(values[first + (first >= part[:, None])].mean(axis=-1))
    return np.concatenate(found)


@dataclass(frozen=True)
class _Resampled:
    """The contrasts of all resamples in ascending order, and what corrects their percentiles: z₀ and a (Efron 1987)."""

    ordered: Array
    bias: float
    acceleration: float

    def bounds(self, lower_levels: Array, upper_levels: Array) -> tuple[Array, Array]:
        """Return the lower and the upper bounds at levels: (k,), (k,) -> (k,), (k,)."""
        # 1 − (1 − level), as `scipy.stats.bootstrap` rounds it, of which these are the bounds to the last bit.
        places = [
            self._place(side * special.ndtri(1 - (1 - levels)))
            for side, levels in ((1, lower_levels), (-1, upper_levels))
        ]
        lower, upper = (stats.quantile(self.ordered, place) for place in places)
        return np.atleast_1d(lower), np.atleast_1d(upper)

    @cached_property
    def all_bounds(self) -> tuple[Array, Array]:
        """Return the bounds at every level that so many resamples can tell: (DRAWS,), (DRAWS,)."""
        levels = np.arange(1, DRAWS + 1) / (DRAWS + 1)
        return self.bounds(levels, levels)

    def _place(self, z: Array) -> Array:
        shifted = self.bias + z
        return np.asarray(special.ndtr(self.bias + shifted / (1 - self.acceleration * shifted)))


def _acceleration(samples: Sequence[Array]) -> float:
    """Return a of the difference of means, by the jackknife (Efron & Tibshirani 1993, eq. 15.36)."""
    cubes, squares = 0.0, 0.0
    for place, values in enumerate(samples):
        parts = [_means_without_one(values) if place == other else one.mean() for other, one in enumerate(samples)]
        left = parts[0] - (parts[1] if len(parts) > 1 else 0.0)
        n = float(len(values))
        influence = (n - 1) * (left.mean() - left)
        cubes += (influence**3).sum() / n**3
        squares += (influence**2).sum() / n**2
    return float(1 / 6 * cubes / squares ** (3 / 2))


def _standard_error(values: Array) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values)))


def _welch_error(subject: Array, reference: Array) -> tuple[float, float]:
    u, v = _standard_error(subject) ** 2, _standard_error(reference) ** 2
    if u + v == 0.0:
        return 0.0, float(len(subject) + len(reference) - 2)
    freedom = (u + v) ** 2 / (u**2 / (len(subject) - 1) + v**2 / (len(reference) - 1))
    return math.sqrt(u + v), freedom


def t_tails(distance: float, error: float, freedom: float) -> Pair:
    """Return the p-values of a distance from the margin with this standard error; without error it is known."""
    if error == 0.0:  # every value alike: the mean is known, and t would be 0/0 or infinite
        return Pair(float(distance <= 0), float(distance >= 0))
    t = distance / error
    return Pair(float(special.stdtr(freedom, -t)), float(special.stdtr(freedom, t)))


def t_interval(mean: float, error: float, freedom: float, lower_level: float, upper_level: float) -> Bounds:
    """Return the bounds that invert `t_tails`."""
    down, up = special.stdtrit(freedom, 1 - lower_level), special.stdtrit(freedom, 1 - upper_level)
    return Bounds(float(mean - down * error), float(mean + up * error))


def _parts(draws: int, n: int) -> Iterator[int]:
    """Yield how many of `draws` rearrangements of n numbers to make at once, so that they fit into 64 MiB."""
    at_once = max(1, min(draws, _AT_ONCE // max(1, n)))
    for begun in range(0, draws, at_once):
        yield min(at_once, draws - begun)


def _tails(rearranged: Array, observed: float, *, drawn: bool) -> Pair:
    # Sums of the same numbers in another order differ by rounding; equal ones must count as equal.
    slack = 1e-9 * (abs(observed) + float(np.abs(rearranged).max()))
    above = int((rearranged >= observed - slack).sum()) + drawn
    below = int((rearranged <= observed + slack).sum()) + drawn
    return Pair(above / (len(rearranged) + drawn), below / (len(rearranged) + drawn))


@lru_cache(maxsize=8)
def _sign_patterns(n: int) -> Array:
    """Return the half of all 2ⁿ sign patterns whose last sign is −; the others are their negatives: (2ⁿ⁻¹, n)."""
    bits = (np.arange(2 ** (n - 1))[:, None] >> np.arange(n)) & 1
    return np.asarray(2.0 * bits - 1.0, dtype=np.float64)


@lru_cache(maxsize=8)
def _divisions(total: int, n: int) -> NDArray[np.intp]:
    """Return all choices of n out of `total` positions: (C(total, n), n)."""
    return np.array(list(combinations(range(total), n)), dtype=np.intp)
