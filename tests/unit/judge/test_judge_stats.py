"""Tests and intervals against hand-computed values and scipy, on data that tell wrong answers apart."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as reference

from seqbench.judge import stats

SKEWED = np.array([0.1, 0.2, 0.25, 0.9, 1.7])
OTHER = np.array([0.0, -0.3, 0.4, 0.15])


def rng():
    return np.random.default_rng(5)


def test_t_test_is_scipys_with_the_margin_as_null():
    """Both directions equal scipy's one-sample test against the margin, which is not zero."""
    found = stats.t_one_sample(SKEWED, 0.3)
    greater = reference.ttest_1samp(SKEWED, 0.3, alternative="greater").pvalue
    less = reference.ttest_1samp(SKEWED, 0.3, alternative="less").pvalue
    assert (found.greater, found.less) == pytest.approx((greater, less))


def test_t_bounds_have_each_their_own_level():
    """The lower bound is one-sided at 1 %, the upper at 5 %; scipy's two-sided intervals hold both."""
    found = stats.t_bounds(SKEWED, lower_level=0.01, upper_level=0.05)
    wide = reference.ttest_1samp(SKEWED, 0).confidence_interval(0.98)
    narrow = reference.ttest_1samp(SKEWED, 0).confidence_interval(0.90)
    assert (found.lower, found.upper) == pytest.approx((wide.low, narrow.high))


def test_one_value_decides_nothing():
    """With n = 1 no p-value is below 1 and the interval is the whole line."""
    one = np.array([5.0])
    assert stats.one_sample(one, 0.0, rng()) == stats.NEVER
    assert stats.t_bounds(one, lower_level=0.05, upper_level=0.05) == stats.NOWHERE


def test_equal_values_are_certain_for_t_and_limited_by_the_exact_test():
    """Without spread Student's p is 0; the sign-flip test keeps it at 2 to the minus n."""
    found = stats.one_sample(np.full(4, 2.0), 1.0, rng())
    assert (found.greater, found.less) == (1 / 16, 1.0)


def test_sign_flip_counts_patterns_by_hand():
    """Of the eight sums of ±1 ± 2 ± 4 two are at least −1 + 2 + 4 = 5, and seven at most that."""
    found = stats.sign_flip(np.array([-1.0, 2.0, 4.0]), 0.0, rng())
    assert (found.greater, found.less) == (2 / 8, 7 / 8)


def test_sign_flip_shifts_by_the_margin():
    """Shifted to −2, −1, 1 the sum is −2: of ±2 ± 1 ± 1 seven sums are at least that and three at most."""
    found = stats.sign_flip(np.array([1.0, 2.0, 4.0]), 3.0, rng())
    assert (found.greater, found.less) == (7 / 8, 3 / 8)


def test_drawn_sign_flips_follow_their_generator_and_the_normal_limit():
    """Beyond enumeration the test draws: same generator same p, another generator nearly the same."""
    values = np.random.default_rng(0).normal(0.3, 1.0, 40)
    first, again = (stats.sign_flip(values, 0.0, np.random.default_rng(1)) for _ in range(2))
    other = stats.sign_flip(values, 0.0, np.random.default_rng(2))
    assert first == again
    assert first != other
    assert first.greater == pytest.approx(stats.t_one_sample(values, 0.0).greater, abs=0.01)


def test_welch_is_scipys_with_the_margin():
    """Unequal spreads and sizes: scipy's Welch test of the shifted subject."""
    found = stats.welch(SKEWED, OTHER, 0.2)
    expected = reference.ttest_ind(SKEWED - 0.2, OTHER, equal_var=False, alternative="greater").pvalue
    assert found.greater == pytest.approx(expected)


def test_welch_bounds_are_scipys():
    """The interval of the difference uses Satterthwaite's degrees of freedom."""
    found = stats.welch_bounds(SKEWED, OTHER, lower_level=0.05, upper_level=0.05)
    expected = reference.ttest_ind(SKEWED, OTHER, equal_var=False).confidence_interval(0.90)
    assert (found.lower, found.upper) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("margin", [0.0, 0.2])
def test_permutation_is_scipys_exact_test(margin):
    """All 126 divisions, as scipy counts them."""
    found = stats.permutation(SKEWED, OTHER, margin, rng())

    def difference(x, y, axis):
        return np.mean(x, axis=axis) - np.mean(y, axis=axis)

    both = [
        reference.permutation_test(
            (SKEWED - margin, OTHER), difference, vectorized=True, n_resamples=np.inf, alternative=side
        ).pvalue
        for side in ("greater", "less")
    ]
    assert (found.greater, found.less) == pytest.approx(tuple(both))


def test_full_separation_reaches_the_smallest_p():
    """Five against five, fully separated: one of 252 divisions."""
    found = stats.permutation(np.arange(5.0) + 10, np.arange(5.0), 0.0, rng())
    assert found.greater == 1 / math.comb(10, 5)


def test_the_larger_p_rules():
    """Welch's test alone would confirm at one per cent; three against three never can."""
    apart = np.array([10.0, 10.1, 10.2])
    found = stats.two_sample(apart, apart - 10, 0.0, rng())
    assert stats.welch(apart, apart - 10, 0.0).greater < 0.01
    assert found.greater == 1 / 20


def test_tost_is_two_one_sided_tests():
    """Inside counts the worse side, outside the better one; an off-centre mean tells them apart."""
    values = np.array([0.5, 0.7, 0.6, 0.9, 0.55, 0.65, 0.8, 0.6])
    found = stats.tost(values, 1.0, rng())
    upper = stats.one_sample(values, 1.0, rng())
    assert found.inside == upper.less
    assert found.outside == upper.greater


def test_tost_far_outside_is_outside():
    """A mean well below minus the margin is outside and not inside."""
    found = stats.tost(np.array([-3.0, -3.1, -2.9, -3.05, -2.95]), 1.0, rng())
    assert (found.inside, found.outside) == (1.0, 1 / 32)


@pytest.mark.parametrize(("hits", "trials"), [(0, 10), (4, 5), (10, 10), (3, 17)])
def test_clopper_pearson_is_scipys(hits, trials):
    """The exact interval of a share at the edges and inside."""
    found = stats.clopper_pearson(hits, trials)
    expected = reference.binomtest(hits, trials).proportion_ci(0.95, method="exact")
    assert (found.lower, found.upper) == pytest.approx((expected.low, expected.high))


def test_no_successes_in_ten_leave_26_percent():
    """Zero of ten: the one-sided 95 % upper bound is 1 − 0.05^(1/10)."""
    assert stats.clopper_pearson(0, 10, level=0.10).upper == pytest.approx(1 - 0.05**0.1)


def test_bonferroni_counts_every_try():
    """The smallest of three counts three times, and never more than 1."""
    assert stats.bonferroni([0.2, 0.01, 0.5]) == pytest.approx(0.03)
    assert stats.bonferroni([0.9, 0.8]) == 1.0


def test_holm_stops_at_the_first_that_fails():
    """Of .01, .04, .03 the first is tested at a third of the level; .03 fails at half of it, and the level stays."""
    assert stats.holm_levels([0.01, 0.04, 0.03], 0.05) == pytest.approx((0.05 / 3, 0.025, 0.025))


def test_holm_gives_the_last_the_whole_level():
    """When every smaller p was rejected, the largest is tested at the full level."""
    assert stats.holm_levels([0.001, 0.04, 0.02], 0.05) == pytest.approx((0.05 / 3, 0.05, 0.025))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_rejects_what_the_textbook_rejects(p_values):
    """A hypothesis passes at its level exactly when the step-down procedure rejects it."""
    levels = stats.holm_levels(p_values, 0.05)
    rejected, order = set(), sorted(range(len(p_values)), key=lambda i: (p_values[i], i))
    for rank, index in enumerate(order):
        if p_values[index] > 0.05 / (len(p_values) - rank):
            break
        rejected.add(index)
    assert {i for i, p in enumerate(p_values) if p <= levels[i]} == rejected


def test_seeds_needed_respects_the_exact_test():
    """A huge effect still needs 2⁻ⁿ ≤ level; a small one needs as many as Student's test asks."""
    assert stats.seeds_needed(100.0, 1.0, 0.0, level=0.01) == 7
    n = stats.seeds_needed(0.5, 1.0, 0.0, level=0.05)
    assert 0.5 * math.sqrt(n) >= reference.t.ppf(0.95, n - 1)
    assert 0.5 * math.sqrt(n - 1) < reference.t.ppf(0.95, n - 2)
    assert stats.seeds_needed(0.0, 1.0, 0.0, level=0.05, largest=50) is None


def test_the_joint_test_keeps_its_level_under_the_null():
    """At the margin, eight normal seeds pass a 5 % test in at most the 99 % binomial limit of 1000 draws."""
    draw = np.random.default_rng(8)
    passed = sum(stats.one_sample(draw.normal(0.05, 0.1, 8), 0.05, draw).greater <= 0.05 for _ in range(1000))
    assert 10 <= passed <= reference.binom.ppf(0.99, 1000, 0.05)


# Fifteen rounds in no order; sorted they are -7 … 7.
ROUNDS = np.array([3.0, -1, 7, 0, -5, 2, -7, 5, 1, -3, 6, -2, 4, -6, -4])


def test_order_statistics_of_fifteen():
    """At .025 a side x₍₄₎ and x₍₁₂₎, as P(X ≤ 3) = 576/32768 = .0176 and P(X ≤ 4) = .059: they cover 96.5 %."""
    assert stats.order_statistics(ROUNDS, lower_level=0.025, upper_level=0.025) == stats.Bounds(-4.0, 4.0)
    assert stats.order_statistics(ROUNDS, lower_level=0.0176, upper_level=0.0175) == stats.Bounds(-4.0, 5.0)


def test_order_statistics_of_thirty_one():
    """At .025 a side x₍₁₀₎ and x₍₂₂₎, covering 97.1 %."""
    found = stats.order_statistics(np.arange(1.0, 32.0), lower_level=0.025, upper_level=0.025)
    assert found == stats.Bounds(10.0, 22.0)


def test_five_rounds_have_no_bound_at_two_and_a_half_percent():
    """2⁻⁵ = .031 is above the level: the interval is the whole line; at 5 % it is all that was seen."""
    five = np.array([0.1, 0.2, 0.4, 0.8, 1.6])
    assert stats.order_statistics(five, lower_level=0.025, upper_level=0.025) == stats.NOWHERE
    assert stats.order_statistics(five, lower_level=0.05, upper_level=0.05) == stats.Bounds(0.1, 1.6)


def test_sign_test_counts_by_hand():
    """Of five values four exceed 0.15: P(X ≥ 4) = 6/32; one lies below: P(X ≥ 1) = 31/32."""
    found = stats.sign_test(np.array([0.1, 0.2, 0.4, 0.8, 1.6]), 0.15)
    assert (found.greater, found.less) == pytest.approx((6 / 32, 31 / 32))


def test_a_value_at_the_margin_speaks_for_nobody():
    """With one of five at the margin four are above and none below: 6/32 and 1."""
    found = stats.sign_test(np.array([0.1, 0.2, 0.4, 0.8, 1.6]), 0.1)
    assert (found.greater, found.less) == pytest.approx((6 / 32, 1.0))


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=25, unique=True), st.floats(0.001, 0.2))
def test_order_statistics_invert_the_sign_test(values, level):
    """The sign test rejects a margin exactly where the bound lies above it."""
    found = stats.order_statistics(np.array(values), lower_level=level, upper_level=level)
    for margin in (-1.0, 0.0, 0.5):
        assert (stats.sign_test(np.array(values), margin).greater <= level) == (found.lower > margin)
        assert (stats.sign_test(np.array(values), margin).less <= level) == (found.upper < margin)


FIVE = np.array([1.0, 2, 3, 4, 5])
ALIKE, APART = (FIVE, FIVE + 0.8, FIVE - 0.8), (FIVE, FIVE + 1, FIVE - 1)


@pytest.mark.parametrize("processes", [ALIKE, APART])
def test_rounds_and_process_medians_must_agree(processes):
    """The larger p-value of the sign test over all rounds and of Student's t over the medians; bounds alike."""
    rounds, medians = np.concatenate(processes), np.array([np.median(each) for each in processes])
    found, levels = stats.paired_rounds(processes, 0.5), {"lower_level": 0.01, "upper_level": 0.05}
    by_sign, by_t = stats.sign_test(rounds, 0.5), stats.t_one_sample(medians, 0.5)
    assert (found.greater, found.less) == (max(by_sign.greater, by_t.greater), max(by_sign.less, by_t.less))
    outer = stats.paired_rounds_bounds(processes, **levels)
    inner = stats.order_statistics(rounds, **levels), stats.t_bounds(medians, **levels)
    assert outer.lower == min(each.lower for each in inner)
    assert outer.upper == max(each.upper for each in inner)


def test_medians_that_lie_together_do_not_make_rounds_independent():
    """Three processes whose medians lie within their rounds are three replicates, however many rounds they had."""
    together = (FIVE / 10 + 1, FIVE / 10 + 1.1, FIVE / 10 + 0.9)
    assert stats.paired_rounds(together, 0.5).greater > stats.sign_test(np.concatenate(together), 0.5).greater


def test_a_single_process_decides_nothing():
    """Nothing is known of other processes, so that neither direction is reached and no bound is told."""
    assert stats.paired_rounds((FIVE,), 0.0) == stats.NEVER
    assert stats.paired_rounds_bounds((FIVE,), lower_level=0.05, upper_level=0.05) == stats.NOWHERE


def test_equivalence_of_two_arms_is_welchs_interval():
    """Inside at α exactly when scipy's 1 − 2α interval lies within the margin."""
    interval = reference.ttest_ind(SKEWED, OTHER, equal_var=False).confidence_interval(0.90)
    edge = max(abs(interval.low), abs(interval.high))
    assert (
        stats.tost_difference(SKEWED, OTHER, edge + 1e-6).inside
        < 0.05
        < stats.tost_difference(SKEWED, OTHER, edge - 1e-6).inside
    )


def test_arms_far_apart_are_outside_the_margin():
    """A difference of ten with a margin of one is outside, not inside."""
    found = stats.tost_difference(SKEWED + 10, OTHER, 1.0)
    assert (found.inside, found.outside) == pytest.approx((1.0, 0.0), abs=1e-4)


def skewed(n, seed=6):
    return np.random.default_rng(seed).exponential(1.0, n) ** 2


def test_bca_bounds_are_scipys():
    """Each bound is one-sided at its own level, from the resamples of a fixed generator."""
    values = skewed(24)
    found = stats.bca_bounds((values,), lower_level=0.01, upper_level=0.05)

    def expected(level):
        drawn = np.random.default_rng(stats.RESAMPLING_SEED)
        both = reference.bootstrap(
            (values,), np.mean, n_resamples=stats.DRAWS, confidence_level=1 - 2 * level, rng=drawn
        )
        return both.confidence_interval

    assert (found.lower, found.upper) == pytest.approx((expected(0.01).low, expected(0.05).high), rel=1e-6)


def test_bca_bounds_of_a_difference_are_scipys():
    """Both arms are resampled, each for itself."""
    first, second = skewed(24), skewed(30, seed=7)

    def difference(x, y, axis):
        return np.mean(x, axis=axis) - np.mean(y, axis=axis)

    expected = reference.bootstrap(
        (first, second),
        difference,
        n_resamples=stats.DRAWS,
        batch=2000,
        confidence_level=0.90,
        rng=np.random.default_rng(stats.RESAMPLING_SEED),
    ).confidence_interval
    found = stats.difference_bounds(first, second, lower_level=0.05, upper_level=0.05)
    assert (found.lower, found.upper) == pytest.approx((expected.low, expected.high))


def test_bca_follows_skewness_where_t_does_not():
    """The long tail lies above: both bounds stand higher than Student's symmetric ones."""
    levels = {"lower_level": 0.05, "upper_level": 0.05}
    found, symmetric = stats.bca_bounds((skewed(24),), **levels), stats.t_bounds(skewed(24), **levels)
    assert (found.lower > symmetric.lower, found.upper > symmetric.upper) == (True, True)


def test_bca_p_is_the_level_at_which_the_bound_reaches_the_margin():
    """At p the bound clears the margin, a little below p it does not, in both directions."""
    values, margin = skewed(24), 1.0
    p = stats.bca((values,), margin)
    at = stats.bca_bounds((values,), lower_level=p.greater, upper_level=p.less)
    short = stats.bca_bounds((values,), lower_level=p.greater - 1e-4, upper_level=p.less - 1e-4)
    assert short.lower <= margin < at.lower
    assert at.upper < margin <= short.upper


def test_twenty_values_are_resampled_and_nineteen_are_not():
    """The rule changes at n = 20, of both arms where there are two."""
    levels = {"lower_level": 0.02, "upper_level": 0.05}
    assert stats.mean_bounds(skewed(19), **levels) == stats.t_bounds(skewed(19), **levels)
    assert stats.mean_bounds(skewed(20), **levels) == stats.bca_bounds((skewed(20),), **levels)
    assert stats.difference_bounds(skewed(30), OTHER, **levels) == stats.welch_bounds(skewed(30), OTHER, **levels)
    assert stats.mean_test(skewed(19), 1.0) == stats.t_one_sample(skewed(19), 1.0)
    assert stats.mean_test(skewed(20), 1.0) == stats.bca((skewed(20),), 1.0)


def test_many_equal_values_are_known():
    """Without spread the bound is the value, and the test agrees with it, as Student's does."""
    alike = np.full(25, 2.0)
    assert stats.mean_bounds(alike, lower_level=0.01, upper_level=0.05) == stats.Bounds(2.0, 2.0)
    assert stats.mean_test(alike, 1.0) == stats.Pair(0.0, 1.0)
    assert stats.mean_test(alike, 2.0) == stats.Pair(1.0, 1.0)


def test_the_bootstrap_has_its_say_in_the_joint_test():
    """A long tail above makes an upper bound uncertain: BCa's p is the largest of the three, and rules."""
    values, margin = skewed(24), 3.5
    found = stats.one_sample(values, margin, rng()).less
    assert found == stats.bca((values,), margin).less
    assert found > max(stats.t_one_sample(values, margin).less, stats.sign_flip(values, margin, rng()).less)


@given(st.integers(0, 10**6), st.sampled_from([5, 12, 20, 26]), st.sampled_from([0.00625, 0.05, 0.3]))
@settings(max_examples=25, deadline=None)
def test_what_passes_a_margin_has_its_bound_beyond_it(seed, n, level):
    """The joint test never confirms what the interval at the same level leaves open."""
    values = np.random.default_rng(seed).exponential(1.0, n) - 0.7
    found = stats.one_sample(values, 0.0, rng())
    bounds = stats.mean_bounds(values, lower_level=level, upper_level=level)
    assert found.greater > level or bounds.lower > 0
    assert found.less > level or bounds.upper < 0


def test_slopes_are_scipys_of_each_seed():
    """One least-squares line per seed; the seeds are not pooled, which would give one slope for all."""
    x = np.array([1.0, 2.0, 4.0])
    y = np.array([[0.0, 1.0, 5.0], [3.0, 3.0, -1.0]])
    expected = [reference.linregress(x, row).slope for row in y]
    assert list(stats.per_seed_slope(x, y)) == pytest.approx(expected)


def test_a_missing_point_leaves_the_line_through_the_others():
    """Of three points one is not known: the slope is that of the two; of one known point there is none."""
    x, nan = np.array([1.0, 2.0, 4.0]), math.nan
    found = stats.per_seed_slope(x, np.array([[0.0, nan, 6.0], [nan, 5.0, nan]]))
    assert found[0] == pytest.approx(2.0)
    assert math.isnan(found[1])


def test_a_flat_line_has_slope_zero_and_no_rounding_noise():
    """Whatever the level, and whichever points are known: else the noise is printed as an effect with an interval."""
    x, nan = np.log([1.0, 2.8, 5.3, 17.0, 71.0]), math.nan
    y = np.array([[level] * 5 for level in (1.0, 0.9871, 1 / 3)] + [[nan, 0.1, 0.1, nan, 0.1]])
    assert list(stats.per_seed_slope(x, y)) == [0.0] * 4
