"""How many bits a state holds, from the bits recalled at several loads (protocol §6).

Î(M) = C (1 − exp(−M / C)) with M the bits written: all of them while they are few, C of them however many they are.
"""

import math

import numpy as np
from scipy import optimize

from seqbench.judge.stats import Array

EDGE = 1e-3
"""A fit this near, in ln C, to the end of its range has not found a capacity."""


def fitted(written: Array, recalled: Array) -> float | None:
    """Return the least-squares C in bits of bits recalled at bits written: (k,), (k,) -> bits.

    C is looked for between a thousandth of the least load and a hundred times the largest; None where the fit ends at
    either end: nothing was recalled, or recall had not begun to saturate.
    """
    low, high = math.log(written.min() / 1000), math.log(100 * written.max())

    def misfit(log_capacity: float) -> float:
        return float(((saturating(written, math.exp(log_capacity)) - recalled) ** 2).sum())

    # The misfit may have several valleys; the grid finds the deepest one.
    grid = np.linspace(low, high, 101)
    best = int(np.argmin([misfit(value) for value in grid]))
    around = (grid[max(0, best - 1)], grid[min(100, best + 1)])
    found = float(optimize.minimize_scalar(misfit, bounds=around, method="bounded").x)
    return None if min(found - low, high - found) < EDGE * (high - low) else math.exp(found)


def saturating(written: Array, capacity: float) -> Array:
    """Return C (1 − exp(−M / C)) in bits: (k,) -> (k,)."""
    return np.asarray(-capacity * np.expm1(-written / capacity))


def largest(written: Array, recalled: Array) -> float:
    """Return the largest value of the isotonic regression of bits recalled on bits written.

    Smoothing by monotony before taking the largest keeps one lucky load from standing for the capacity.
    """
    order = np.argsort(written, kind="stable")
    return float(optimize.isotonic_regression(recalled[order]).x.max())


def capacity(written: Array, recalled: Array) -> float:
    """Return `fitted`, or `largest` where the fit finds none."""
    found = fitted(written, recalled)
    return largest(written, recalled) if found is None else found
