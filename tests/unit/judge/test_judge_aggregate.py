"""Scores of several tasks together, on data that tell the estimators apart."""

import numpy as np
import pytest
from scipy import stats as reference

from seqbench.judge import aggregate

SCORES = [np.array([0.0, 0.1, 0.9, 9.0]), np.array([0.2, 0.3, 0.5, 0.8])]
OTHERS = [np.array([0.0, 0.05, 0.2]), np.array([0.3, 0.9, 0.1])]


def test_the_interquartile_mean_is_that_of_the_middle_half():
    """Of eight scores the middle four are .1 … sorted: .2, .3, .5, .8; mean 1.475 and median .4 are others."""
    assert aggregate.interquartile_mean(SCORES) == pytest.approx((0.2 + 0.3 + 0.5 + 0.8) / 4)


def test_the_profile_counts_scores_above_each_threshold():
    """Tasks count alike: halves and quarters of each are averaged, and a score at the threshold is not above it."""
    found = aggregate.performance_profile([*SCORES[:1], np.array([1.0, 0.0])], np.array([0.05, 0.9, 5.0]))
    assert list(found) == pytest.approx([(3 / 4 + 1 / 2) / 2, (1 / 4 + 1 / 2) / 2, (1 / 4 + 0) / 2])


def test_improvement_is_mann_and_whitneys():
    """U over n m, averaged over tasks, with half a count for a tie."""
    expected = np.mean(
        [reference.mannwhitneyu(a, b).statistic / (len(a) * len(b)) for a, b in zip(SCORES, OTHERS, strict=True)]
    )
    assert aggregate.probability_of_improvement(SCORES, OTHERS) == pytest.approx(expected)
    assert aggregate.probability_of_improvement(SCORES, SCORES) == pytest.approx(0.5)


def test_resampling_stays_within_its_task():
    """Two tasks without spread, far apart: every resample is the same, where pooled ones would not be."""
    flat = [np.zeros(3), np.ones(5)]
    found = aggregate.stratified_interval(
        lambda scores: float(np.mean([values.mean() for values in scores])), flat, rng=np.random.default_rng(0)
    )
    assert (found.lower, found.upper) == (0.5, 0.5)


def test_the_generator_decides():
    """The same generator gives the same interval, another one another; the wider level holds the narrower."""

    def interval(seed, level=0.05):
        return aggregate.stratified_interval(
            aggregate.interquartile_mean, SCORES, rng=np.random.default_rng(seed), level=level
        )

    assert interval(1) == interval(1)
    assert interval(1) != interval(2)
    assert interval(1).lower < interval(1, level=0.5).lower <= interval(1, level=0.5).upper < interval(1).upper


def test_two_arms_are_resampled_together():
    """P(A > B) has an interval around it."""
    found = aggregate.stratified_interval(
        aggregate.probability_of_improvement, SCORES, OTHERS, rng=np.random.default_rng(3)
    )
    assert found.lower < aggregate.probability_of_improvement(SCORES, OTHERS) < found.upper
