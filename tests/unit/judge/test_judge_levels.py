"""Errors of the first kind by simulation: at the margin, no test rejects more often than its level.

The number of rejections may not exceed the 99 % quantile of the binomial at the level.
"""

import math

import numpy as np
import pytest
from scipy import optimize
from scipy import stats as reference

from seqbench.judge import factorial, stats, survival

LEVELS = (0.05, 0.00625)


def assert_kept(p_values):
    for level in LEVELS:
        rejected = sum(p <= level for p in p_values)
        assert rejected <= reference.binom.ppf(0.99, len(p_values), level)


def scale_with_mean(restricted, shape):
    """Return the scale of the Weibull distribution whose mean up to 1 is the one given."""
    draws = np.random.default_rng(9).weibull(shape, 100_000)
    return optimize.brentq(lambda scale: np.minimum(scale * draws, 1).mean() - restricted, 1e-3, 1e3)


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "margin"), [(1.0, 0.0), (2.0, 0.0), (2.0, math.log(2))])
def test_times_to_solve_keep_their_level(shape, margin):
    """Times censored at the budget whose restricted means stand in the ratio of the margin."""
    draw = np.random.default_rng(1)
    scales = [scale_with_mean(mean, shape) for mean in (0.3 * math.exp(margin), 0.3)]
    found = [
        survival.time_to_solve(*(np.minimum(scale * draw.weibull(shape, 7), 1.0) for scale in scales), margin, draw)
        for _ in range(600)
    ]
    assert_kept([pair.greater for pair in found])
    assert_kept([pair.less for pair in found])


@pytest.mark.slow
def test_one_sample_keeps_its_level_where_it_resamples():
    """Twenty normal values at the margin."""
    draw = np.random.default_rng(2)
    found = [stats.one_sample(draw.normal(0.3, 1.0, 20), 0.3, draw) for _ in range(150)]
    assert_kept([pair.greater for pair in found])
    assert_kept([pair.less for pair in found])


@pytest.mark.slow
def test_two_sample_keeps_its_level_where_it_resamples():
    """Twenty against twenty-two normal values whose means differ by the margin."""
    draw = np.random.default_rng(3)
    found = [stats.two_sample(draw.normal(0.5, 1.0, 20), draw.normal(0.0, 1.0, 22), 0.5, draw) for _ in range(100)]
    assert_kept([pair.greater for pair in found])


def test_slopes_keep_their_level():
    """Per-seed slopes at the margin; the points of a seed share an offset that pooling would take for evidence."""
    draw, x = np.random.default_rng(4), np.array([8.0, 16.0, 32.0])
    found = []
    for _ in range(800):
        own = draw.normal(0.2, 0.1, 8)
        y = own[:, None] * x + draw.normal(0, 2, (8, 1)) + draw.normal(0, 0.5, (8, 3))
        found.append(stats.one_sample(stats.per_seed_slope(x, y), 0.2, draw).greater)
    assert_kept(found)


@pytest.mark.slow
def test_factors_without_effect_keep_their_level_and_intervals_cover():
    """F of a null factor beside a real one, in an unbalanced design; ω² of the real one is covered at 95 %."""
    draw = np.random.default_rng(5)
    cells = [(kind, layers) for kind in "abc" for layers in "12"] * 3 + [("a", "1")] * 4
    factors = {"kind": [kind for kind, _ in cells], "layers": [layers for _, layers in cells]}
    means = np.array([{"a": 0.0, "b": 1.0, "c": 0.4}[kind] for kind, _ in cells])
    layers = np.array([[1.0, layer == "2"] for _, layer in cells])
    away = means - layers @ np.linalg.lstsq(layers, means, rcond=None)[0]
    noncentrality = float((away**2).sum())
    share = noncentrality / (noncentrality + len(cells))
    found = [factorial.main_effects(means + draw.normal(size=len(cells)), factors) for _ in range(300)]
    assert_kept([effect["layers"].p for effect in found])
    covered = sum(item.lower <= share <= item.upper for item in (effect["kind"].omega_interval() for effect in found))
    assert reference.binom.ppf(0.01, 300, 0.95) <= covered <= reference.binom.ppf(0.99, 300, 0.95)
    assert_kept([effect["kind"].spread_test(1.0, 1.0).greater for effect in found])
    assert_kept([effect["kind"].spread_test(1.0, 1.0).less for effect in found])
    assert_kept([effect["layers"].spread_test(0.0, 1.0).greater for effect in found])
