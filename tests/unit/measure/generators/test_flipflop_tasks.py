"""The flip-flop: what is read is what was written last, and nothing else tells it."""

import math

import pytest
import torch
from scipy.stats import chi2_contingency, chisquare

from seqbench.errors import InvalidInput
from seqbench.measure.generators import GENERATORS
from seqbench.measure.seeds import stream

FLIPFLOP = GENERATORS.load("flipflop")
WRITE, READ, IGNORE = 2, 3, 4


def drawn(*seed, batch, length, **params):
    """Return a batch from the stream of these tests."""
    return FLIPFLOP.sample(stream("flipflop", *seed), batch=batch, length=length, **params)


@pytest.mark.parametrize("length", [3, 4, 9, 64])
def test_instructions_and_bits_stand_by_turns(length):
    """Instructions stand at even positions, bits at odd ones; the first is a write, the last a read."""
    inputs = drawn("layout", batch=200, length=length).inputs
    assert set(inputs[:, 0::2].unique().tolist()) <= {WRITE, READ, IGNORE}
    assert set(inputs[:, 1::2].unique().tolist()) == {0, 1}
    assert (inputs[:, 0] == WRITE).all()
    assert (inputs[:, 0::2][:, -1] == READ).all()


@pytest.mark.parametrize("ignore", [0.0, 0.1, 0.8, 1])
def test_instructions_come_as_often_as_documented(ignore):
    """Between the first and the last, i has its probability, and w and r share the rest evenly."""
    between = drawn("shares", ignore, batch=500, length=44, ignore=ignore).inputs[:, 2:42:2]
    counts = torch.bincount(between.flatten(), minlength=5)[2:]
    shares = torch.tensor([(1 - ignore) / 2, (1 - ignore) / 2, ignore], dtype=torch.float64)
    assert counts[shares == 0].sum() == 0
    if (shares > 0).sum() > 1:
        assert chisquare(counts[shares > 0], shares[shares > 0] * counts.sum()).pvalue > 1e-3


def test_exactly_the_reads_are_scored():
    """Every read is scored and nothing else, so that every sequence is asked something."""
    batch = drawn("scored", batch=500, length=20)
    assert torch.equal(batch.scored, batch.inputs == READ)
    assert batch.scored.any(1).all()
    assert torch.equal(batch.targets[~batch.scored], torch.zeros_like(batch.targets[~batch.scored]))


def test_the_bit_after_a_read_is_its_answer():
    """What follows a read in the input is what was asked there."""
    batch = drawn("shown", batch=500, length=20)
    rows, steps = batch.scored.nonzero().unbind(1)
    assert torch.equal(batch.inputs[rows, steps + 1], batch.targets[rows, steps])


def test_the_lag_tag_points_at_the_last_write():
    """The tag leads from a read to the bit of a write, and no other write stands between."""
    batch = drawn("tag", batch=200, length=40, ignore=0.5)
    lags = batch.tags["lag"]
    assert torch.equal(lags > 0, batch.scored)
    for row, step in batch.scored.nonzero().tolist():
        place = step - lags[row, step].item()
        assert batch.inputs[row, place] == batch.targets[row, step]
        assert batch.inputs[row, place - 1] == WRITE
        assert WRITE not in batch.inputs[row, place:step].tolist()


def test_bits_are_balanced():
    """Answers, written bits and noise are fair coins (protocol 2.0 iii)."""
    batch = drawn("balance", batch=5000, length=32, ignore=0.4)
    answers = batch.targets[:, 30]
    noise = batch.inputs[:, 1::2][batch.inputs[:, 0::2] == IGNORE]
    written = batch.inputs[:, 1::2][batch.inputs[:, 0::2] == WRITE]
    for bits in (answers, noise, written):
        assert chisquare(torch.bincount(bits, minlength=2)).pvalue > 1e-3


@pytest.mark.parametrize("place", [1, 3, 5, 7])
def test_what_is_not_the_last_write_says_nothing(place):
    """Noise and bits written over do not tell the last answer (protocol 2.0 iv)."""
    batch = drawn("mask", place, batch=20_000, length=10, ignore=0.4)
    last, lags = batch.targets[:, 8], batch.tags["lag"][:, 8]
    others = place < 8 - lags  # before the last write: overwritten, read or noise
    noise = batch.inputs[:, place - 1] == IGNORE
    kept = others | noise
    assert kept.sum() > 1000
    pairs = torch.bincount(2 * batch.inputs[kept, place] + last[kept], minlength=4).view(2, 2)
    assert chi2_contingency(pairs.numpy()).pvalue > 1e-4


@pytest.mark.parametrize(("length", "far"), [(3, 1), (4, 1), (5, 3), (6, 3), (63, 61), (64, 61)])
def test_the_lag_is_from_the_last_read_to_the_first_bit(length, far):
    """With noise alone between, the answer is the bit that far back, and it takes both values there."""
    batch = drawn("lag", batch=50, length=length, ignore=1)
    rows, steps = batch.scored.nonzero().unbind(1)
    assert far == FLIPFLOP.lag(length=length)
    assert torch.equal(torch.full((50,), far), batch.tags["lag"][rows, steps])
    assert torch.equal(batch.inputs[rows, steps - far], batch.targets[rows, steps])
    assert set(batch.targets[rows, steps].tolist()) == {0, 1}


def test_no_lag_is_longer():
    """Whatever is drawn, no bit was written further back than the lag."""
    for length in (8, 9):
        batch = drawn("longest", length, batch=5000, length=length, ignore=0.5)
        assert batch.tags["lag"].max() == FLIPFLOP.lag(length=length, ignore=0.5)


def test_it_is_tested_as_trained_sparse_and_dense():
    """The tests ask with the trained share of noise, with hardly anything else, and with hardly any."""
    assert FLIPFLOP.tests(ignore=0.7) == {"": {"ignore": 0.7}, "sparse": {"ignore": 0.98}, "dense": {"ignore": 0.1}}


def test_a_test_without_errors_bounds_their_rate():
    """As many reads as a test takes, all right, exclude a rate of 3.0e-5 at 95 % (protocol 2.6)."""
    assert pytest.approx((1 - 3.0e-5) ** FLIPFLOP.LEAST_SCORED, rel=0.01) == 0.05


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"length": 2}, "length 2: too small; give at least 3"),
        ({"length": 9, "ignore": 1.5}, "ignore 1.5 is no probability; give a number from 0 to 1"),
        ({"length": 9, "ignore": -0.1}, "ignore -0.1 is no probability; give a number from 0 to 1"),
        ({"length": 9, "ignore": math.nan}, "ignore nan is no probability; give a number from 0 to 1"),
    ],
)
def test_flipflop_refuses_what_it_cannot_ask(params, message):
    """An impossible parameter is named with what would be possible, wherever it is given."""
    for refuse in (lambda: drawn("refused", batch=2, **params), lambda: FLIPFLOP.bounds(**params)):
        with pytest.raises(InvalidInput) as caught:
            refuse()
        assert message == str(caught.value)
