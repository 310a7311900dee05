"""No claim is decided by chance more often than its level says, with the seeds and rounds that suite quick plans."""

from functools import cache

import error_rates
import pytest
from error_rates import HOLM_WORST, LEVEL, Studies
from scipy import stats

from seqbench.judge.rules import Verdict

S, C = Verdict.SUPPORTED, Verdict.CONTRADICTED
STUDIES = 1000
FEWER = 200
"""Enough to tell a power from 80 %, where most are above 95 %."""
CLAIMS = ("C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8")


@cache
def studies_of(claim):
    return Studies(error_rates.designs()[claim], STUDIES)


def largest(claim, direction, level, left_open=None):
    """Return the largest number of studies that the null hypothesis of a claim lets be decided in a direction."""
    studies = studies_of(claim)
    truths = error_rates.nulls(studies.design, direction)
    return error_rates.largest_rate(
        studies, direction, level, truths, left_open or error_rates.nuisances(studies.design)
    ).count


def limit(level):
    """Return the 99 % binomial limit of a level: 67 of 1,000 at 5 %."""
    return stats.binom.ppf(0.99, STUDIES, level)


@pytest.mark.slow
@pytest.mark.parametrize("level", [LEVEL, HOLM_WORST])
@pytest.mark.parametrize("direction", [S, C])
@pytest.mark.parametrize("claim", CLAIMS)
def test_at_its_margin_a_claim_is_rarely_decided(claim, direction, level):
    """Of 1,000 studies at the hardest truth that the null hypothesis has, at most the 99 % limit are decided."""
    assert largest(claim, direction, level) <= limit(level)


def test_the_limit_tells_a_wrong_level():
    """Studies that are tested at 15 % are decided more often than 5 % allows."""
    assert largest("C5", S, 3 * LEVEL) > limit(LEVEL)


@pytest.mark.slow
@pytest.mark.parametrize("direction", [S, C])
@pytest.mark.parametrize("claim", CLAIMS)
def test_two_sd_beyond_its_margins_a_claim_is_decided(claim, direction):
    """At the whole level the suite's own seeds are enough for a power of 80 %."""
    studies = Studies(studies_of(claim).design, FEWER)
    assert error_rates.power(studies, direction, LEVEL) >= error_rates.ENOUGH
