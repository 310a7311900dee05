"""Posteriors against brute-force integration, symmetry, and the words that they disagree with."""

import numpy as np
import pytest
from scipy import stats as reference

from seqbench.judge import posterior
from seqbench.judge.posterior import Posterior
from seqbench.judge.rules import Verdict

VALUES = np.array([0.4, 0.9, 0.55, 1.7, 0.8, 0.75])
OTHER = np.array([0.1, -0.2, 0.35, 0.5, 0.0])


def brute_force(values, margin):
    """Return P(μ > margin) under the same model from an even grid of μ and ln σ."""
    spread = values.std(ddof=1)
    mu = values.mean() + spread * np.linspace(-15, 15, 6001)
    total = np.zeros(len(mu))
    for log_sigma in np.linspace(-np.log(30), np.log(30), 201):
        sigma = spread * np.exp(log_sigma)
        total += np.prod(reference.t.pdf((values - mu[:, None]) / sigma, posterior.NU) / sigma, axis=1)
    below = np.interp(margin, mu, np.cumsum(total) - total / 2)
    return 1 - below / total.sum()


@pytest.mark.parametrize("margin", [0.2, 0.7, 1.1])
def test_a_mean_has_the_posterior_of_its_model(margin):
    """A grid that follows the values and an even one agree to a thousandth."""
    found = posterior.of_mean(VALUES, margin, margin)
    assert found.support == pytest.approx(brute_force(VALUES, margin), abs=1e-3)
    assert (found.rope, found.support + found.contradict) == pytest.approx((0.0, 1.0))


def test_the_three_shares_are_one():
    """Between two margins lies what is neither above nor below."""
    found = posterior.of_mean(VALUES, 0.9, 0.6)
    assert found.rope == pytest.approx(brute_force(VALUES, 0.6) - brute_force(VALUES, 0.9), abs=2e-3)
    assert found.support + found.rope + found.contradict == pytest.approx(1.0)


def test_an_odd_seed_does_not_carry_the_mean_away():
    """Student's likelihood stays with the seven that agree, where their mean of 1.1 would not."""
    values = np.array([0.1, 0.12, 0.09, 0.11, 0.1, 0.13, 0.08, 8.0])
    assert posterior.of_mean(values, 1.0, 1.0).contradict > 0.95


def test_a_difference_of_two_arms_is_antisymmetric():
    """What one arm gains the other loses, and far from zero it is nearly sure."""
    one, other = posterior.of_difference(VALUES, OTHER, 0.3, 0.0), posterior.of_difference(OTHER, VALUES, 0.0, -0.3)
    assert (one.support, one.contradict) == pytest.approx((other.contradict, other.support), abs=2e-3)
    assert posterior.of_difference(VALUES + 9, OTHER, 0.3, 0.0).support > 0.999


def test_a_difference_is_that_of_independent_draws():
    """Drawn from the two marginal posteriors, the share of differences above the margin is the same."""
    rng = np.random.default_rng(0)
    draws = []
    for values in (VALUES, OTHER):
        at, share = posterior._mean_posterior(values)
        draws.append(np.interp(rng.random(200_000), np.cumsum(share) - share / 2, at))
    expected = (draws[0] - draws[1] > 0.3).mean()
    assert posterior.of_difference(VALUES, OTHER, 0.3, 0.0).support == pytest.approx(expected, abs=5e-3)


def test_an_arm_without_spread_is_known():
    """Equal values leave no doubt about the mean, alone or in a difference."""
    alike = np.full(4, 0.5)
    assert posterior.of_mean(alike, 0.4, 0.0) == Posterior(1.0, 0.0, 0.0)
    assert posterior.of_mean(alike, 0.6, 0.4) == Posterior(0.0, 1.0, 0.0)
    shifted = posterior.of_mean(VALUES, 0.8, 0.5)
    assert posterior.of_difference(VALUES, alike, 0.3, 0.0) == shifted


def test_equivalence_counts_what_lies_within():
    """Inside and outside are one; of two arms too."""
    found = posterior.of_equivalence(VALUES, 0.7)
    assert found.support == pytest.approx(1 - brute_force(VALUES, 0.7) - (1 - brute_force(VALUES, -0.7)), abs=2e-3)
    both = posterior.of_equal_means(VALUES, VALUES + 0.01, 5.0)
    assert (both.support, both.rope, both.support + both.contradict) == pytest.approx((1.0, 0.0, 1.0), abs=2e-3)


def test_the_largest_of_several_means():
    """Below a margin is the largest only where all are; above it where any is."""
    found = posterior.of_largest((VALUES, OTHER), 0.7, 0.2)
    alone = [posterior.of_mean(values, 0.7, 0.2) for values in (VALUES, OTHER)]
    assert found.contradict == pytest.approx(alone[0].contradict * alone[1].contradict, abs=1e-6)
    assert found.support == pytest.approx(1 - (1 - alone[0].support) * (1 - alone[1].support), abs=1e-6)


def test_shares_have_jeffreys_posterior():
    """Five of six against two of seven, compared with draws from the two beta distributions."""
    rng = np.random.default_rng(1)
    difference = rng.beta(5.5, 1.5, 400_000) - rng.beta(2.5, 5.5, 400_000)
    subject, other = np.repeat([1.0, 0.0], [5, 1]), np.repeat([1.0, 0.0], [2, 5])
    found = posterior.of_shares(subject, other, 0.2, 0.0)
    expected = ((difference > 0.2).mean(), (difference < 0.0).mean())
    assert (found.support, found.contradict) == pytest.approx(expected, abs=3e-3)


@pytest.mark.parametrize(("n", "margin"), [(5, 0.0), (6, 0.3), (8, -0.3), (30, 0.3)])
def test_shares_that_never_meet_have_a_posterior(n, margin):
    """All zeros against all ones, whose densities are infinite at an end: as over the quantiles of the other arm."""
    ones = reference.beta.ppf(1 - np.geomspace(1e-14, 1, 200_001), 0.5, n + 0.5)  # fine where the first is large
    mass = np.diff(np.geomspace(1e-14, 1, 200_001))
    below = reference.beta.cdf((ones[1:] + ones[:-1]) / 2 - margin, n + 0.5, 0.5)
    expected = mass @ below
    found = posterior.of_shares(np.zeros(n), np.ones(n), margin, margin)
    assert found.support == pytest.approx(expected, abs=2e-6)


def test_too_few_values_have_no_posterior():
    """One value says nothing about spread."""
    one = VALUES[:1]
    assert posterior.of_mean(one, 0.1, 0.0) is None
    assert posterior.of_difference(VALUES, one, 0.1, 0.0) is None
    assert posterior.of_largest((VALUES, one), 0.1, 0.0) is None


@pytest.mark.parametrize(
    ("verdict", "found", "expected"),
    [
        (Verdict.SUPPORTED, Posterior(0.95, 0.03, 0.02), False),
        (Verdict.SUPPORTED, Posterior(0.85, 0.10, 0.05), True),
        (Verdict.CONTRADICTED, Posterior(0.02, 0.03, 0.95), False),
        (Verdict.INCONCLUSIVE, Posterior(0.90, 0.05, 0.05), True),
        (Verdict.INCONCLUSIVE, Posterior(0.50, 0.40, 0.10), False),
        (Verdict.INCONCLUSIVE, Posterior(0.02, 0.97, 0.01), False),
        (Verdict.NOT_TESTED, Posterior(0.99, 0.01, 0.0), False),
        (Verdict.SUPPORTED, None, False),
    ],
)
def test_disagreement_is_another_word_at_ninety_percent(verdict, found, expected):
    """The posterior says supported, contradicted or neither; where that differs from the verdict it is flagged."""
    assert posterior.disagrees(verdict, found) == expected
