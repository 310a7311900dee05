"""Capacity from bits recalled at several loads."""

import numpy as np
import pytest

from seqbench.judge import capacity

LOADS = np.array([4.0, 8.0, 16.0, 32.0, 64.0])


@pytest.mark.parametrize("bits", [0.7, 11.3, 90.0])
def test_a_saturating_curve_gives_its_capacity_back(bits):
    """Far below, amid and above the loads."""
    assert capacity.capacity(LOADS, capacity.saturating(LOADS, bits)) == pytest.approx(bits, rel=1e-3)


def test_the_curve_recalls_all_of_little_and_c_of_much():
    """Its slope at zero is one bit per bit, its limit C."""
    found = capacity.saturating(np.array([1e-4, 1e4]), 11.3)
    assert list(found) == pytest.approx([1e-4, 11.3], rel=1e-4)


def test_what_has_not_saturated_has_no_fit():
    """Where everything was recalled at every load, the largest load is all that is known."""
    assert capacity.fitted(LOADS, LOADS) is None
    assert capacity.capacity(LOADS, LOADS) == 64.0


def test_what_recalled_nothing_has_no_fit():
    """Bits below zero are a decoder that knows nothing; the isotonic value keeps the sign."""
    assert capacity.fitted(LOADS, -LOADS / 50) is None
    assert capacity.capacity(LOADS, np.array([-0.2, -0.1, -0.3, -0.3, -0.3])) == pytest.approx(-0.24)


def test_one_lucky_load_does_not_stand_for_the_capacity():
    """A peak that larger loads do not keep is averaged with them, in any order of loads."""
    recalled = np.array([4.0, 8.0, 20.0, 10.0, 12.0])
    assert capacity.largest(LOADS, recalled) == pytest.approx(14.0)
    assert capacity.largest(LOADS[::-1], recalled[::-1]) == pytest.approx(14.0)


def test_a_falling_curve_is_fitted_through_its_middle():
    """Recall that gets worse with load has a capacity between its ends."""
    assert 4.4 < capacity.capacity(LOADS, np.array([4.0, 5.6, 5.4, 5.0, 4.4])) < 5.6
