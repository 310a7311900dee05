"""The Bayesian line beside a verdict, never instead of it: how probable θ is above δs, between the margins, below δc.

Metrics (after Kruschke 2013 and Benavoli et al. 2017): values are μ + σ t with Student's t of ν = 4, so that one odd
seed does not carry the mean away; the priors are flat in μ and in ln σ over thirty times the spread seen, either way.
Two arms have independent posteriors. Solve rates: Jeffreys' Beta(½, ½) for each arm. All of it is numerical integration
without a random number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from seqbench.judge.rules import Verdict
from seqbench.judge.stats import Array

NU = 4.0
CONFIDENT = 0.90
"""From this probability on the posterior says something of its own."""
DIGITS = 6
"""Decimals that are kept of a probability; the grid resolves no more, and a sum may differ in the last bit."""
_REACH = np.linspace(-6.0, 6.0, 241)  # μ = mean + s/√n · sinh: fine near the mean, 200 standard errors far
_ANGLES = 20_000  # q = sin²: in the angle the density of a share is finite at both ends, that of Beta(½, n + ½) too
_LOG_SPREADS = np.linspace(-np.log(30.0), np.log(30.0), 69)
_STRIDE = 4
_NEGLIGIBLE = 60.0


@dataclass(frozen=True, slots=True)
class Posterior:
    """P(θ > δs), P(δc ≤ θ ≤ δs) and P(θ < δc); of an equivalence P(|θ| < Δ), 0 and P(|θ| ≥ Δ)."""

    support: float
    rope: float
    contradict: float


def of_mean(values: Array, support: float, contradict: float) -> Posterior | None:
    """Return the posterior of a mean against its margins; None for fewer than two values."""
    if len(values) < 2:
        return None
    return _shares(float(1 - _below(values, support)), float(_below(values, contradict)))


def of_difference(subject: Array, reference: Array, support: float, contradict: float) -> Posterior | None:
    """Return the posterior of μ_subject − μ_reference; None where an arm has fewer than two values."""
    if min(len(subject), len(reference)) < 2:
        return None
    return _shares(
        1 - _difference_below(subject, reference, support), _difference_below(subject, reference, contradict)
    )


def of_largest(samples: Sequence[Array], support: float, contradict: float) -> Posterior | None:
    """Return the posterior of the largest of several independent means."""
    if min(map(len, samples)) < 2:
        return None
    below = [float(np.prod([_below(values, margin) for values in samples])) for margin in (support, contradict)]
    return _shares(1 - below[0], below[1])


def of_equivalence(values: Array, equivalence: float) -> Posterior | None:
    """Return P(|μ| < Δ) and the rest."""
    if len(values) < 2:
        return None
    inside = float(_below(values, equivalence) - _below(values, -equivalence))
    return _shares(inside, 1 - inside)


def of_equal_means(subject: Array, reference: Array, equivalence: float) -> Posterior | None:
    """Return P(|μ_subject − μ_reference| < Δ) and the rest."""
    if min(len(subject), len(reference)) < 2:
        return None
    high, low = (_difference_below(subject, reference, margin) for margin in (equivalence, -equivalence))
    return _shares(high - low, 1 - (high - low))


def of_shares(subject: Array, reference: Array, support: float, contradict: float) -> Posterior | None:
    """Return the posterior of p_subject − p_reference, both given as ones and zeros."""
    if min(len(subject), len(reference)) == 0:
        return None
    a, b = (_beta(values) for values in (subject, reference))

    angle = np.pi / 2 * (np.arange(_ANGLES) + 0.5) / _ANGLES
    logs = (2 * b[0] - 1) * np.log(np.sin(angle)) + (2 * b[1] - 1) * np.log(np.cos(angle))
    share = np.exp(logs - logs.max())

    def above(margin: float) -> float:  # ∫ P(p_A > q + margin) dF_B(q)
        beyond = 1 - special.betainc(*a, np.clip(np.sin(angle) ** 2 + margin, 0, 1))
        return float(share @ beyond / share.sum())

    return _shares(above(support), 1 - above(contradict))


def disagrees(verdict: Verdict, posterior: Posterior | None) -> bool:
    """Return whether the posterior, at `CONFIDENT`, says another word than the verdict.

    An atom without a verdict of its own (NOT TESTED, VACUOUS) or without a posterior disagrees with nothing.
    """
    if posterior is None or verdict in (Verdict.NOT_TESTED, Verdict.VACUOUS):
        return False
    own = Verdict.INCONCLUSIVE
    if posterior.support >= CONFIDENT:
        own = Verdict.SUPPORTED
    elif posterior.contradict >= CONFIDENT:
        own = Verdict.CONTRADICTED
    return own is not verdict


def _shares(support: float, contradict: float) -> Posterior:
    """Return the three shares to `DIGITS` decimals, free of the rounding that would make one negative."""
    above, below = (round(min(1.0, max(0.0, share)), DIGITS) for share in (support, contradict))
    return Posterior(above, max(0.0, round(1 - above - below, DIGITS)), below)


def _below(values: Array, margin: float | Array) -> Array:
    """Return P(μ < margin), for each of several margins too."""
    if np.ptp(values) == 0.0:  # no spread was seen: the mean is known
        return np.asarray(values[0] < np.asarray(margin), dtype=np.float64)
    at, share = _mean_posterior(values)
    below = np.interp(margin, at, np.cumsum(share) - share / 2, left=0.0, right=1.0)
    return np.asarray(below, dtype=np.float64)


def _difference_below(subject: Array, reference: Array, margin: float) -> float:
    if np.ptp(reference) == 0.0:
        return float(_below(subject, reference[0] + margin))
    at, share = _mean_posterior(reference)
    return float(share @ _below(subject, at + margin))


def _mean_posterior(values: Array) -> tuple[Array, Array]:
    """Return points of μ and the posterior's share of each: (G,), (G,)."""
    return _integrated(np.ascontiguousarray(values).tobytes())


@lru_cache(maxsize=64)
def _integrated(content: bytes) -> tuple[Array, Array]:
    """Return `_mean_posterior` of values given as bytes: the same ones are held against several margins.

    Many values leave little of the grid: a coarse one, every `_STRIDE`-th point of both axes, tells where the density
    is below exp(−`_NEGLIGIBLE`) of its height, and there it is left at zero.
    """
    values = np.frombuffer(content, dtype=np.float64)
    spread, error = values.std(ddof=1), values.std(ddof=1) / np.sqrt(len(values))
    at = values.mean() + error * np.sinh(_REACH)  # (G,)
    sigma = spread * np.exp(_LOG_SPREADS)  # (S,)
    coarse = _log_density(values, at[::_STRIDE], sigma[::_STRIDE])
    places, widths = (_around(line) for line in np.nonzero(coarse > coarse.max() - _NEGLIGIBLE))
    logs = _log_density(values, at[places], sigma[widths])
    weight = np.zeros(len(at))
    weight[places] = np.exp(logs - logs.max()).sum(axis=1) * np.cosh(_REACH[places])  # dμ = cosh du
    return at, weight / weight.sum()


def _around(coarse: NDArray[np.intp]) -> slice:
    """Return which points of an axis lie between these of every `_STRIDE`-th, or next to them."""
    return slice(max(0, (int(coarse.min()) - 1) * _STRIDE), (int(coarse.max()) + 1) * _STRIDE + 1)


def _log_density(values: Array, at: Array, sigma: Array) -> Array:
    """Return the log of the posterior of μ and ln σ at every pair, but for a constant: (n,), (G,), (S,) -> (G, S)."""
    found = np.empty((len(at), len(sigma)))
    for place, mean in enumerate(at):  # one by one, as all away together would fill the memory
        away = ((values - mean) / sigma[:, None]) ** 2  # (S, n)
        found[place] = -(NU + 1) / 2 * np.log1p(away / NU).sum(axis=1) - len(values) * np.log(sigma)
    return found


def _beta(values: Array) -> tuple[float, float]:
    return float(values.sum()) + 0.5, float(len(values) - values.sum()) + 0.5
