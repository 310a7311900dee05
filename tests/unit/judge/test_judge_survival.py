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


def times_of(power, *, at_60, budget, spread=0.3, lags=(20, 60, 150), seed=3, n=8, between=25.0):
    """Return times that grow with this power of the lag, as evaluations find them, cut off at the budget."""
    log_lag = np.log(np.repeat(lags, n).astype(float))
    noise = spread * np.random.default_rng(seed).standard_normal(len(log_lag))
    steps = np.exp(np.log(at_60) + power * (log_lag - np.log(60)) + noise)
    found = np.minimum(np.ceil(steps / between) * between, budget)
    every = np.ones_like(found)
    return survival.Times(log_lag, found, between * every, budget * every)


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_a_planted_difference_of_powers_is_found(power):
    """With few cells censored the estimate lies near the truth, and the interval around it."""
    found = survival.PowerDifference(
        times_of(power + 0.2, at_60=150, budget=2000), times_of(0.2, at_60=100, budget=2000, seed=4)
    )
    bounds = found.bounds(lower_level=0.025, upper_level=0.025)
    assert found.estimate == pytest.approx(power, abs=0.3)
    assert bounds.lower < power < bounds.upper


def test_without_censoring_the_estimate_is_that_of_least_squares():
    """Frequent evaluations and a budget that is never used up leave ordinary regression."""
    arms = [times_of(b, at_60=a, budget=1e6, between=0.5, seed=k) for b, a, k in ((1.3, 400.0, 3), (0.4, 300.0, 4))]
    slopes = [np.polyfit(arm.log_lag, np.log(arm.steps), 1)[0] for arm in arms]
    assert survival.PowerDifference(*arms).estimate == pytest.approx(slopes[0] - slopes[1], abs=0.02)


def test_censored_times_do_not_flatten_the_power():
    """Times cut off at the budget would look flat if they were taken for times to solve."""
    cut = times_of(1.5, at_60=250, budget=300)
    naive = np.polyfit(cut.log_lag, np.log(cut.steps), 1)[0]
    found = survival.PowerDifference(cut, times_of(0.0, at_60=100, budget=300, seed=4))
    assert naive < 0.9
    assert found.estimate > 1.2


def test_an_arm_that_solves_the_shortest_lag_alone_has_no_upper_bound():
    """Where every further cell is censored, the power may be as large as it likes; it is not small."""
    found = survival.PowerDifference(
        times_of(6.0, at_60=2000, budget=300, lags=(20, 60, 150)), times_of(0.2, at_60=75, budget=150, seed=4)
    )
    bounds = found.bounds(lower_level=0.05, upper_level=0.05)
    assert (bounds.lower > 0.5, bounds.upper) == (True, math.inf)
    assert found.test(0.5).greater < 0.05
    assert found.test(0.0).less > 0.5


def test_what_passes_a_margin_of_powers_has_its_bound_there():
    """The bounds invert the test: at a bound the p-value is the level."""
    found = survival.PowerDifference(times_of(1.0, at_60=150, budget=300), times_of(0.2, at_60=75, budget=150, seed=4))
    bounds = found.bounds(lower_level=0.02, upper_level=0.05)
    assert found.test(bounds.lower).greater == pytest.approx(0.02, abs=0.003)
    assert found.test(bounds.upper).less == pytest.approx(0.05, abs=0.005)


def test_too_few_solved_cells_decide_nothing():
    """Three solved cells are as many as the line and its spread need."""
    few = times_of(6.0, at_60=2000, budget=300, n=3)
    assert int(few.solved.sum()) == 3
    found = survival.PowerDifference(few, times_of(0.2, at_60=75, budget=150))
    assert found.test(0.5) == survival.NEVER


def test_one_lag_or_nothing_solved_has_no_power():
    """The reason says which."""
    assert survival.why_unknown(times_of(1.0, at_60=100, budget=300, lags=(60,))) == "has cells at one lag alone"
    assert survival.why_unknown(times_of(0.0, at_60=9000, budget=300)) == "solved the task at no lag"
    assert survival.why_unknown(times_of(1.0, at_60=100, budget=300)) == ""


@pytest.mark.slow
def test_the_bounds_of_powers_hold_at_their_level():
    """Of 100 studies with a third of the cells censored at most 12, the 99.9 % limit of 5 %, miss on either side."""
    low = high = 0
    for study in range(100):
        subject = times_of(1.5, at_60=200, budget=400, seed=2 * study + 100)
        reference = times_of(0.3, at_60=60, budget=150, seed=2 * study + 101)
        found = survival.PowerDifference(subject, reference).test(1.2)
        low, high = low + (found.greater <= 0.05), high + (found.less <= 0.05)
    assert max(low, high) <= 12
