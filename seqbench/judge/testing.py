"""What each kind of test makes of an atom's samples: p-values, bounds that invert them, effect, and the posterior.

Samples are arrays of one value per seed: one array of θ for one-arm and paired tests, one of each arm for tests of two
arms, one per arm for a choice among arms, one per process for rounds. Of a factor: the response of every cell, then the
number of its level, then that of its configuration of the other factors. Of times by lag: of every cell of the subject
its ln lag, steps, steps between evaluations and budget, then those of the reference.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from seqbench.judge import factorial, posterior, proportions, stats, survival
from seqbench.judge.factorial import Effect
from seqbench.judge.posterior import Posterior
from seqbench.judge.rules import AtomLevels, AtomP
from seqbench.judge.stats import Array, Bounds, Pair
from seqbench.judge.survival import PowerDifference, Times
from seqbench.preregistration import Atom

Samples = tuple[Array, ...]

TESTS_OF_TWO: Mapping[str, Callable[..., Pair]] = {
    "two_sample": stats.two_sample,
    "proportions": lambda subject, reference, margin, _rng: proportions.share_difference(subject, reference, margin),
    "time_to_solve": survival.time_to_solve,
}
BOUNDS_OF_TWO: Mapping[str, Callable[..., Bounds]] = {
    "two_sample": stats.difference_bounds,
    "tost_difference": stats.difference_bounds,
    "proportions": proportions.share_bounds,
    "time_to_solve": survival.ratio_bounds,
}


def p_values(atom: Atom, samples: Samples, rng: np.random.Generator) -> AtomP:
    """Return the one-sided p-values of an atom against its margins.

    A value that is no finite number, as the logarithm of zero, leaves both at 1: no test knows what to make of it.
    """
    if not are_numbers(samples):
        return AtomP(1.0, 1.0)
    if atom.test == "tost":
        sided = [stats.tost(values, atom.equivalence or 0.0, rng) for values in samples]
        return AtomP(stats.bonferroni([item.inside for item in sided]), max(item.outside for item in sided))
    if atom.test == "tost_difference":
        found = stats.tost_difference(samples[0], samples[1], atom.equivalence or 0.0)
        return AtomP(found.inside, found.outside)
    if atom.test == "exact":  # arithmetic, not chance: certain or undecided
        inside = samples[0] < (atom.below or 0.0)
        return AtomP(float(not inside.all()), float(inside.any()))
    support, contradict = atom.support or 0.0, atom.contradict
    if atom.test in ("factor", "time_by_lag"):
        return _p_of_design(atom, samples)
    above = _against(atom, samples, support, rng)
    below = above if contradict == support else _against(atom, samples, contradict, rng)
    return AtomP(stats.bonferroni([pair.greater for pair in above]), max(pair.less for pair in below))


def _p_of_design(atom: Atom, samples: Samples) -> AtomP:
    """Return the p-values of a test whose samples are cells of a design, and no replicates of one value."""
    support, contradict = atom.support or 0.0, atom.contradict
    if atom.test == "time_by_lag":
        of_lag = by_lag(samples)
        return AtomP(of_lag.test(support).greater, of_lag.test(contradict).less)
    of_factor = factor(atom, samples)
    pair = of_factor.spread_test(max(support, 2 * of_factor.error_sd), contradict)
    return AtomP(pair.greater, pair.less)


def _against(atom: Atom, samples: Samples, margin: float, rng: np.random.Generator) -> list[Pair]:
    """Return the test of θ against one margin; of a maximum, of every arm."""
    if atom.test == "rounds":
        return [stats.paired_rounds(samples, margin)]
    if atom.test in TESTS_OF_TWO:
        return [TESTS_OF_TWO[atom.test](*samples, margin, rng)]
    return [stats.one_sample(values, margin, rng) for values in samples]


def bounds(atom: Atom, samples: Samples, levels: AtomLevels) -> Bounds:
    """Return the confidence bounds of θ, each one-sided at the level of its direction.

    Every p-value is that of a test that these bounds invert, or a larger one of another test that must agree; so what
    passes a margin has its bound beyond it, while a bound beyond the margin may stand beside INCONCLUSIVE.

    Of a maximum, the lower bound is the largest of the arms' bounds at level/k and the upper one the largest
    at level. Of an exact atom: the least and the greatest value. Of an equivalence: the 1 − 2·level interval, of the
    arm with the smallest p, at the level of support.
    """
    if not samples or not are_numbers(samples):
        return stats.NOWHERE
    lower, upper = levels.support, levels.contradict
    if atom.test == "exact":  # all that was seen: no level is involved
        return Bounds(float(samples[0].min()), float(samples[0].max()))
    if atom.test in BOUNDS_OF_DESIGN:
        return BOUNDS_OF_DESIGN[atom.test](atom, samples)(lower_level=lower, upper_level=upper)
    if atom.test == "tost":
        level = lower / len(samples)
        return stats.mean_bounds(_nearest(atom, samples), lower_level=level, upper_level=level)
    if atom.test in BOUNDS_OF_TWO:
        upper = lower if atom.test == "tost_difference" else upper
        return BOUNDS_OF_TWO[atom.test](*samples, lower_level=lower, upper_level=upper)
    each = [stats.mean_bounds(values, lower_level=lower / len(samples), upper_level=upper) for values in samples]
    return Bounds(max(item.lower for item in each), max(item.upper for item in each))


def effect(atom: Atom, samples: Samples) -> tuple[float | None, float | None]:
    """Return θ and the SD that its n-needed line uses; None where there is none."""
    if not are_numbers(samples):
        return None, None
    if atom.test == "rounds":
        rounds = np.concatenate(samples)
        return float(np.median(rounds)), _sd(rounds)
    if atom.test == "exact":
        return float(samples[0].max()), _sd(samples[0])
    if atom.test in ("time_to_solve", "time_by_lag", "factor"):
        return _effect_of_design(atom, samples)
    if atom.test in ("two_sample", "tost_difference", "proportions"):
        subject, reference = samples
        return float(subject.mean() - reference.mean()), math.hypot(_sd(subject), _sd(reference))
    chosen = _nearest(atom, samples) if atom.test == "tost" else max(samples, key=lambda values: values.mean())
    return float(chosen.mean()), _sd(chosen)


def _effect_of_design(atom: Atom, samples: Samples) -> tuple[float, float | None]:
    """Return θ of tests whose spread is none of single values; of a factor the SD is that of its seeds."""
    if atom.test == "time_to_solve":
        return survival.log_ratio(samples[0], samples[1]), None
    if atom.test == "time_by_lag":
        return by_lag(samples).estimate, None
    found = factor(atom, samples)
    return found.spread, found.error_sd


def beside(atom: Atom, samples: Samples) -> Posterior | None:
    """Return the posterior that is printed beside the verdict; None for what has none.

    So are exact and descriptive atoms, and times to solve and factors, which no likelihood here describes.
    """
    without = ("exact", "descriptive", "time_to_solve", "time_by_lag", "factor")
    if not samples or not are_numbers(samples) or atom.test in without:
        return None
    support, contradict, equivalence = atom.support or 0.0, atom.contradict, atom.equivalence or 0.0
    if atom.test == "tost":
        return posterior.of_equivalence(_nearest(atom, samples), equivalence)
    if atom.test == "tost_difference":
        return posterior.of_equal_means(samples[0], samples[1], equivalence)
    if atom.test in ("two_sample", "proportions"):
        of_two = posterior.of_shares if atom.test == "proportions" else posterior.of_difference
        return of_two(samples[0], samples[1], support, contradict)
    if atom.test == "rounds":
        return posterior.of_mean(stats.process_medians(samples), support, contradict)
    return posterior.of_largest(samples, support, contradict)


def factor(atom: Atom, samples: Samples) -> Effect:
    """Return the main effect of the factor within configurations of the others; a single one is no factor.

    Whatever the other factors do together is the configuration's own, so that designs need not be complete: one factor
    at a time around a centre is enough.
    Raises InvalidInput where the design cannot tell it: no replicates, or levels that no chain of configurations links.
    """
    response, levels, places = samples
    factors = {"levels": levels} | ({" × ".join(atom.blocks): places} if len(np.unique(places)) > 1 else {})
    named = {name: [f"{code:05.0f}" for code in codes] for name, codes in factors.items()}
    return factorial.main_effects(response, named)["levels"]


def by_lag(samples: Samples) -> PowerDifference:
    """Return the difference of the powers of lag with which steps to solve grow."""
    return PowerDifference(Times(*samples[:4]), Times(*samples[4:]))


def _sd(values: Array) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else math.nan


def are_numbers(samples: Samples) -> bool:
    """Return whether all values are finite."""
    return all(np.isfinite(values).all() for values in samples)


def _nearest(atom: Atom, samples: Samples) -> Array:
    """Return the sample of the arm that stands for an equivalence: that with the smallest p, then nearest to zero."""

    def rank(values: Array) -> tuple[float, float]:
        low, high = (stats.mean_test(values, side * (atom.equivalence or 0.0)) for side in (-1, 1))
        return max(low.greater, high.less), abs(float(values.mean()))

    return min(samples, key=rank)


BOUNDS_OF_DESIGN: Mapping[str, Callable[[Atom, Samples], Callable[..., Bounds]]] = {
    "rounds": lambda _, samples: partial(stats.paired_rounds_bounds, samples),
    "factor": lambda atom, samples: factor(atom, samples).spread_bounds,
    "time_by_lag": lambda _, samples: by_lag(samples).bounds,
}
