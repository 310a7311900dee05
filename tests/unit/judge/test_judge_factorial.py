"""Factorials: F against textbook sums, omega squared by inversion, effects adjusted for the other factors."""

import numpy as np
import pytest
from scipy import stats as reference

from seqbench.errors import InvalidInput
from seqbench.judge import factorial
from seqbench.judge.stats import Pair

CELLS = [(kind, layers) for kind in ("gru", "lstm", "rnn") for layers in ("1", "2")]
EFFECTS = {"gru": 0.4, "lstm": 1.0, "rnn": 0.0, "1": 0.0, "2": 0.3}


def responses(cells, seed=0, spread=0.3):
    rng = np.random.default_rng(seed)
    return np.array([sum(EFFECTS[level] for level in cell) + spread * rng.normal() for cell in cells])


def analysed(cells, response, **more):
    return factorial.main_effects(
        response, {"kind": [cell[0] for cell in cells], "layers": [cell[1] for cell in cells]}, **more
    )


BALANCED = CELLS * 4
UNBALANCED = CELLS * 3 + [("rnn", "1")] * 5 + [("lstm", "2")] * 2


def test_one_factor_is_the_one_way_analysis():
    """F and p are scipy's."""
    y = responses(BALANCED)
    kinds = [cell[0] for cell in BALANCED]
    found = factorial.main_effects(y, {"kind": kinds})["kind"]
    expected = reference.f_oneway(*(y[[kind == name for kind in kinds]] for name in ("gru", "lstm", "rnn")))
    assert (found.f, found.p) == pytest.approx((expected.statistic, expected.pvalue))


def test_two_balanced_factors_are_the_textbooks():
    """Sums of squares of level means about the mean, over the variance within configurations."""
    y = responses(BALANCED)
    groups = {cell: y[[other == cell for other in BALANCED]] for cell in CELLS}
    error = np.mean([values.var(ddof=1) for values in groups.values()])
    for position, name, df in ((0, "kind", 2), (1, "layers", 1)):
        levels = sorted({cell[position] for cell in CELLS})
        means = [np.mean([groups[cell].mean() for cell in CELLS if cell[position] == level]) for level in levels]
        between = len(y) / len(levels) * np.sum((np.array(means) - y.mean()) ** 2)
        found = analysed(BALANCED, y)[name]
        assert found.f == pytest.approx(between / df / error)
        assert found.spread == pytest.approx(np.ptp(means))
        assert list(found.levels.values()) == pytest.approx(means)


def test_omega_squared_is_its_formula():
    """Df (F − 1) / (df (F − 1) + N)."""
    found = analysed(BALANCED, responses(BALANCED))["kind"]
    part = 2 * (found.f - 1)
    assert found.omega_squared == pytest.approx(part / (part + 24))


def test_the_interval_inverts_the_noncentral_f():
    """At each end of the interval the F seen has 97.5 % or 2.5 % below it."""
    found = analysed(BALANCED, responses(BALANCED))["kind"]
    for share, end in ((0.975, found.omega_interval().lower), (0.025, found.omega_interval().upper)):
        noncentrality = 24 * end / (1 - end)
        assert reference.ncf.cdf(found.f, 2, 18, noncentrality) == pytest.approx(share, abs=1e-6)


def test_a_huge_effect_has_its_interval_at_once():
    """Where the noncentral F is out of reach, what is left of the share follows the error's χ² alone."""
    near = analysed(BALANCED, responses(BALANCED, spread=0.0223))["kind"]
    far = analysed(BALANCED, responses(BALANCED, spread=0.0220))["kind"]
    assert 2 * near.f < factorial.FAR < 2 * far.f
    ratios = [
        (1 - getattr(far.omega_interval(), end)) / (1 - getattr(near.omega_interval(), end))
        for end in ("lower", "upper")
    ]
    assert ratios == pytest.approx([near.f / far.f] * 2, rel=0.02)
    assert analysed(BALANCED, responses(BALANCED, spread=1e-9))["kind"].omega_interval().lower > 1 - 1e-12


def test_another_factor_does_not_leak_in():
    """However large the effect of layers, in an unbalanced design too, that of the kind stays what it was."""
    y = responses(UNBALANCED)
    shifted = y + 10.0 * np.array([cell[1] == "2" for cell in UNBALANCED])
    one, other = analysed(UNBALANCED, y)["kind"], analysed(UNBALANCED, shifted)["kind"]
    assert (one.f, one.spread) == pytest.approx((other.f, other.spread))


def test_an_interaction_is_no_noise():
    """The error is that within configurations: an interaction added to the response leaves it as it is."""
    y = responses(BALANCED)
    crossed = y + np.array([3.0 * (kind == "rnn") * ((layers == "1") - 0.5) for kind, layers in BALANCED])
    assert analysed(BALANCED, crossed)["kind"].f == pytest.approx(analysed(BALANCED, y)["kind"].f)


def test_no_effect_has_a_share_of_zero():
    """A factor whose F is below 1 explains nothing, and its bounds begin at zero."""
    y = np.array([0.0, 1.0, 1.0, 0.0, 0.5, 0.5])
    found = factorial.main_effects(y, {"kind": ["a", "b"] * 3})["kind"]
    spread = found.spread_bounds(lower_level=0.05, upper_level=0.05)
    assert (found.omega_squared, found.omega_interval().lower, spread.lower) == (0.0, 0.0, 0.0)


def test_the_spread_of_two_levels_is_students():
    """Two levels: the pooled t interval, two-sided at the level below, one-sided above; p-values invert both."""
    y = responses(BALANCED)
    found = factorial.main_effects(y, {"layers": [cell[1] for cell in BALANCED]})["layers"]
    one, two = (y[[cell[1] == level for cell in BALANCED]] for level in "12")
    expected = reference.ttest_ind(two, one)
    low, high = (expected.confidence_interval(share) for share in (0.98, 0.90))
    bounds = found.spread_bounds(lower_level=0.02, upper_level=0.05)
    assert (bounds.lower, bounds.upper) == pytest.approx((max(0.0, low.low), high.high))
    assert found.spread_test(0.0, bounds.upper).greater == pytest.approx(expected.pvalue)
    assert found.spread_test(0.0, bounds.upper).less == pytest.approx(0.05)


def test_the_largest_of_three_pairs_pays_for_the_choice():
    """Six one-sided questions are asked below, and at the bound the p-value is the level."""
    found = analysed(BALANCED, responses(BALANCED))["kind"]
    bounds = found.spread_bounds(lower_level=0.01, upper_level=0.01)
    apart, error = max(found.pairs)
    assert bounds.lower == pytest.approx(apart - reference.t.isf(0.01 / 6, 18) * error)
    assert found.spread_test(bounds.lower, bounds.upper) == Pair(pytest.approx(0.01), pytest.approx(0.01))


def test_levels_are_adjusted_for_an_unbalanced_other():
    """Without noise the adjusted difference is the planted one, where raw means would mix in the layers."""
    found = analysed(UNBALANCED, responses(UNBALANCED, spread=1e-6))["kind"]
    assert found.levels["lstm"] - found.levels["rnn"] == pytest.approx(1.0, abs=1e-4)
    assert found.spread == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (CELLS, "no configuration has replicates; give two seeds or more"),
        ([("rnn", "1"), ("rnn", "2")] * 2, "the factor kind has one level only; a factor needs two"),
        ([("rnn", "1"), ("gru", "2")] * 2, "the configurations do not tell the factors kind, layers apart"),
    ],
)
def test_a_design_that_tells_nothing_is_refused(cells, message):
    """What is missing is said."""
    with pytest.raises(InvalidInput, match=message):
        analysed(cells, responses(cells))
