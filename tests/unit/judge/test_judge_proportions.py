"""Two shares compared exactly: against scipy where it reaches, by enumeration where it does not."""

import numpy as np
import pytest
from scipy import stats as reference

from seqbench.judge import proportions
from seqbench.judge.stats import NEVER, Bounds

TABLES = [(7, 8, 2, 9), (3, 5, 3, 5), (0, 6, 6, 6), (5, 5, 0, 10), (2, 7, 0, 4)]


@pytest.mark.parametrize("counts", TABLES)
def test_without_a_margin_it_is_barnards_test(counts):
    """Both directions equal scipy's test with pooled variance."""
    a, n, b, m = counts
    found = proportions.proportions(a, n, b, m, 0.0)
    both = [
        reference.barnard_exact([[a, b], [n - a, m - b]], alternative=side, n=501).pvalue
        for side in ("greater", "less")
    ]
    assert (found.greater, found.less) == pytest.approx(both, abs=1e-4)


@pytest.mark.parametrize(("n", "p"), [(4, 0.6**8), (5, 0.6**10), (6, 0.6**12)])
def test_all_against_none_by_hand(n, p):
    """Only the table itself is as far out: (q + .2)ⁿ (1 − q)ⁿ is largest at q = .4. Five pass .00625, four do not."""
    assert proportions.proportions(n, n, 0, n, 0.2).greater == pytest.approx(p)
    assert (p <= 0.00625) == (n >= 5)


def test_the_directions_mirror_each_other():
    """A against B at a margin is B against A at minus the margin."""
    one, other = proportions.proportions(6, 8, 2, 7, 0.2), proportions.proportions(2, 7, 6, 8, -0.2)
    assert (one.greater, one.less) == (other.less, other.greater)


def null_error(n, m, margin, level):
    """Return the largest probability of rejection over shares with p_A − p_B ≤ margin, by enumeration."""
    rejected = np.array(
        [[proportions.proportions(a, n, b, m, margin).greater <= level for b in range(m + 1)] for a in range(n + 1)]
    )
    shares = np.linspace(0, 1, 173)  # none of them on the grid of the test
    of_a = reference.binom.pmf(np.arange(n + 1), n, shares[:, None])
    of_b = reference.binom.pmf(np.arange(m + 1), m, shares[:, None])
    error = of_a @ rejected @ of_b.T  # (p_A, p_B)
    edge = np.linspace(max(0, -margin), min(1, 1 - margin), 977)
    at_edge = np.einsum(
        "gi,ij,gj->g",
        reference.binom.pmf(np.arange(n + 1), n, (edge + margin).clip(0, 1)[:, None]),
        rejected,
        reference.binom.pmf(np.arange(m + 1), m, edge[:, None]),
    )
    inside = shares[:, None] - shares[None, :] <= margin + 1e-12
    return max(error[inside].max(), at_edge.max())


@pytest.mark.parametrize("margin", [0.2, 0.0, -0.15])
@pytest.mark.parametrize("sizes", [(5, 5), (6, 6), (7, 7), (8, 8), (9, 9), (10, 10), (5, 10), (8, 6)])
def test_the_level_is_never_exceeded(sizes, margin):
    """Whatever the true shares within the null hypothesis, rejection is no more probable than the level."""
    for level in (0.05, 0.025, 0.00625):
        assert null_error(*sizes, margin, level) <= level + 1e-12


@pytest.mark.parametrize("sizes", [(5, 5), (6, 9), (10, 10)])
def test_the_order_of_tables_is_monotone(sizes):
    """More successes of A, or fewer of B, never stand lower: on this rests that the edge is the worst case."""
    scores = proportions._scores(*sizes)
    assert (np.diff(scores, axis=0) >= 0).all()
    assert (np.diff(scores, axis=1) <= 0).all()


@pytest.mark.parametrize("counts", TABLES)
def test_bounds_invert_the_test(counts):
    """Just below the lower bound the margin is rejected at its level, just above it is not; so for the upper one."""
    found = proportions.proportion_bounds(*counts, lower_level=0.01, upper_level=0.05)
    if found.lower > -1:
        assert proportions.proportions(*counts, found.lower - 1e-4).greater <= 0.01
    assert proportions.proportions(*counts, found.lower + 1e-4).greater > 0.01
    if found.upper < 1:
        assert proportions.proportions(*counts, found.upper + 1e-4).less <= 0.05
    assert proportions.proportions(*counts, found.upper - 1e-4).less > 0.05


def test_p_rises_with_the_margin():
    """So the bounds are an interval."""
    p = [proportions.proportions(6, 8, 2, 8, margin).greater for margin in np.linspace(-0.9, 0.9, 37)]
    assert (np.diff(p) >= -1e-12).all()


def test_no_cells_decide_nothing():
    """An empty arm leaves everything open."""
    assert proportions.proportions(0, 0, 3, 5, 0.2) == NEVER
    assert proportions.proportion_bounds(0, 0, 3, 5, lower_level=0.05, upper_level=0.05) == Bounds(-1.0, 1.0)


def test_arms_of_ones_and_zeros_are_counted():
    """Three of four against one of five."""
    subject, other = np.array([1.0, 0, 1, 1]), np.array([0.0, 0, 1, 0, 0])
    assert proportions.share_difference(subject, other, 0.1) == proportions.proportions(3, 4, 1, 5, 0.1)
    levels = {"lower_level": 0.05, "upper_level": 0.1}
    assert proportions.share_bounds(subject, other, **levels) == proportions.proportion_bounds(3, 4, 1, 5, **levels)


def test_trials_needed_is_the_first_n_that_passes():
    """All against none needs five at .00625 and six at half of it; shares below the margin pass on the other side."""
    assert proportions.trials_needed(1.0, 0.0, 0.2, level=0.00625) == 5
    assert proportions.trials_needed(1.0, 0.0, 0.2, level=0.003125) == 6
    assert proportions.trials_needed(0.0, 1.0, 0.0, level=0.00625) == 4
    assert proportions.trials_needed(0.5, 0.5, 0.2, level=0.00625, largest=10) is None
