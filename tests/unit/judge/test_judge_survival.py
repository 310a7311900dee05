"""Times to solve: against scipy's log-rank test and hand-computed ratios, with arms that never solve."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats as reference

from seqbench.judge import stats, survival

LATE = np.array([0.9, 1.0, 0.7, 1.0, 0.8, 1.0])
EARLY = np.array([0.1, 0.3, 0.2, 1.0, 0.15, 0.3])
ALL_CENSORED = np.ones(6)


def rng():
    return np.random.default_rng(5)


def observed_minus_expected(times, solved, mine):
    """Return Mantel's numerator for the cells `mine`, from the risk sets one by one."""
    total = 0.0
    for moment in np.unique(times[solved]):
        at_risk, events = times >= moment, (times == moment) & solved
        total += events[mine].sum() - events.sum() * at_risk[mine].sum() / at_risk.sum()
    return total


def test_the_log_rank_test_agrees_with_its_enumeration():
    """The permutation p-value is the share of all 924 divisions whose observed − expected is as small."""
    times = np.concatenate([LATE, EARLY])
    solved = times < 1
    found = survival.log_rank(LATE, LATE < 1, EARLY, EARLY < 1, rng())
    sums = np.array([observed_minus_expected(times, solved, list(mine)) for mine in combinations(range(12), 6)])
    seen = observed_minus_expected(times, solved, list(range(6)))
    arms = [reference.CensoredData.right_censored(values, values == 1) for values in (LATE, EARLY)]
    asymptotic = reference.logrank(*arms, alternative="less").pvalue
    assert found.greater == pytest.approx(max((sums <= seen + 1e-9).mean(), asymptotic))
    assert found.greater < 0.05 < found.less


def test_where_nobody_solved_nothing_is_known():
    """Two arms that both used up their budget decide nothing, in no direction."""
    assert survival.time_to_solve(ALL_CENSORED, ALL_CENSORED, 0.0, rng()) == stats.NEVER
    assert survival.log_rank(LATE, LATE > 2, EARLY, EARLY > 2, rng()) == stats.NEVER


def test_an_arm_without_spread_works():
    """All censored has mean 1 and variance 0: the ratio of means is still tested and bounded."""
    found = survival.time_to_solve(ALL_CENSORED, EARLY / 2, math.log(2), rng())
    bounds = survival.ratio_bounds(ALL_CENSORED, EARLY / 2, lower_level=0.05, upper_level=0.05)
    assert found.greater < 0.03
    assert math.log(2) < bounds.lower < survival.log_ratio(ALL_CENSORED, EARLY / 2) < bounds.upper


def test_the_ratio_test_by_hand():
    """Ln of the means' ratio over √(u² + v²), u and v the relative standard errors, on 6 − 1 degrees of freedom."""
    relative = [values.std(ddof=1) / math.sqrt(len(values)) / values.mean() for values in (LATE, EARLY)]
    t = (math.log(LATE.mean() / EARLY.mean()) - 0.3) / math.sqrt(relative[0] ** 2 + relative[1] ** 2)
    found = survival.ratio_test(LATE, EARLY, 0.3)
    assert (found.greater, found.less) == pytest.approx((reference.t.sf(t, 5), reference.t.cdf(t, 5)))


def test_ratio_bounds_invert_the_ratio_test():
    """At each bound the p-value of its side is the level, and the two levels differ."""
    found = survival.ratio_bounds(LATE, EARLY, lower_level=0.01, upper_level=0.05)
    assert survival.ratio_test(LATE, EARLY, found.lower).greater == pytest.approx(0.01)
    assert survival.ratio_test(LATE, EARLY, found.upper).less == pytest.approx(0.05)
    assert found.lower < math.log(LATE.mean() / EARLY.mean()) < found.upper


def test_a_mean_of_zero_leaves_the_ratio_open():
    """An arm that needed no step at all has no ln ratio, no interval and no p-value below 1."""
    assert math.isnan(survival.log_ratio(LATE, 0 * EARLY))
    assert survival.ratio_test(LATE, 0 * EARLY, 0.0) == stats.NEVER
    assert survival.ratio_bounds(LATE, 0 * EARLY, lower_level=0.05, upper_level=0.05) == stats.NOWHERE


def test_two_arms_without_spread_have_a_known_ratio():
    """All at a quarter of the budget against all of it: minus ln 4, without any interval around it."""
    found = survival.ratio_bounds(ALL_CENSORED / 4, ALL_CENSORED, lower_level=0.01, upper_level=0.05)
    assert (found.lower, found.upper) == (-math.log(4), -math.log(4))


def test_the_margin_scales_time():
    """Twice as late at a margin of ln 2 is as late: both arms then have the same ranks, and p is near a half."""
    quick = np.array([0.11, 0.2, 0.17, 0.3, 0.25, 0.4])
    found = survival.time_to_solve(2 * quick, quick, math.log(2), rng())
    assert (found.greater, found.less) == (pytest.approx(0.5, abs=0.1), pytest.approx(0.5, abs=0.1))


def test_one_seed_decides_nothing():
    """No interval from one value."""
    assert survival.ratio_bounds(LATE[:1], EARLY, lower_level=0.05, upper_level=0.05) == stats.NOWHERE


def test_the_larger_p_of_both_tests_rules():
    """Three against three are never enough for the exact test, however far apart the means."""
    far = survival.time_to_solve(np.array([0.9, 0.91, 0.92]), np.array([0.01, 0.011, 0.012]), 0.0, rng())
    assert far.greater == pytest.approx(1 / 20)
