"""Digits shown pixel by pixel: what is drawn, what flipped pixels leave to the best reader, and what a mask takes."""

import math

import numpy as np
import pytest
import torch
from cases_sets import FLIPPED, beliefs, pictures, row_by_row
from generator_case import mean_and_error
from scipy.stats import chi2_contingency, chisquare

from seqbench.errors import InvalidInput
from seqbench.measure.generators import pixels
from seqbench.measure.seeds import stream

every_side = pytest.mark.parametrize("side", [14, 28])
every_order = pytest.mark.parametrize("order", ["raster", "permuted"])


def drawn(name, side, *, batch, order="raster"):
    """Return pixels (B, T) and digits (B,) of a batch."""
    one = pixels.sample(stream("pixels tasks", name, side), batch=batch, length=side**2, order=order)
    return one.inputs, one.targets[:, -1]


def test_the_docstring_shows_the_digits_that_are_drawn():
    """The two pictures in the documentation are a 2 and a 7, in the middle and without flips."""
    rows = [line.split() for line in pixels.__doc__.splitlines() if line.strip() and set(line) <= set(" .#")]
    assert len(rows) == 14
    for column, digit in ((0, 2), (1, 7)):
        shown = [float(mark == "#") for row in rows for mark in row[column]]
        assert shown == pictures(14)[digit, 4].tolist()  # the fifth shift of nine is none


def test_segments_are_those_of_a_display():
    """Each digit differs from each other one, and an 8 lights all that any digit lights."""
    still = pictures(14)[:, 4]
    assert len(np.unique(still, axis=0)) == 10
    assert np.array_equal(still.max(0), still[8])


@every_side
def test_every_shift_keeps_the_digit_whole(side):
    """A shifted digit lights as many pixels as the unshifted one: none is pushed over the edge."""
    lit = pictures(side).sum(2)
    assert np.array_equal(lit, np.broadcast_to(lit[:, 4:5], lit.shape))


@every_side
def test_pixels_are_lit_as_often_as_shifts_and_flips_say(side):
    """P(pixel) = ε + (1 - 2ε) · share of the nine shifts that light it, for each digit and pixel, within 5 errors."""
    shown, digits = drawn("shares", side, batch=20_000)
    flipped = FLIPPED[side]
    for digit in range(10):
        own = shown[digits == digit].double().numpy()
        expected = flipped + (1 - 2 * flipped) * pictures(side)[digit].mean(0)
        assert np.abs((own.mean(0) - expected) / np.sqrt(expected * (1 - expected) / len(own))).max() < 5


def test_shifts_are_balanced():
    """Each of the nine shifts is what a reader who knows the digit finds equally often, by the nearest picture."""
    shown, digits = drawn("shifts", 14, batch=9000)
    distances = np.abs(shown.numpy()[:, None, :] - pictures(14)[digits.numpy()]).sum(2)  # (B, 9)
    # at one flip in ten two shifts are hardly ever taken for each other, and as often one way as the other
    assert chisquare(np.bincount(distances.argmin(1), minlength=9)).pvalue > 1e-3


@every_order
def test_digits_are_balanced(order):
    """Every digit is asked for equally often (protocol 2.0 iii)."""
    digits = drawn("balance", 14, batch=20_000, order=order)[1]
    assert chisquare(torch.bincount(digits, minlength=10)).pvalue > 1e-3


@every_side
@every_order
def test_only_the_last_pixel_asks(side, order):
    """A sequence is a picture and nothing else; the digit is asked for where its last pixel stands."""
    batch = pixels.sample(stream("layout"), batch=9, length=side**2, order=order)
    assert batch.inputs.shape == (9, side**2)
    assert set(batch.inputs.unique().tolist()) == {0, 1}
    assert torch.equal(batch.scored.nonzero(), torch.stack([torch.arange(9), torch.full((9,), side**2 - 1)], 1))


@every_side
def test_both_orders_show_the_same_pictures(side):
    """Put back in their places the shuffled pixels are the picture, flips included, and few of them stayed."""
    straight, digits = drawn("orders", side, batch=50)
    shuffled, same = drawn("orders", side, batch=50, order="permuted")
    assert torch.equal(digits, same)
    assert np.array_equal(straight.numpy(), row_by_row(shuffled, "permuted"))
    places = row_by_row(torch.arange(side**2)[None], "permuted")[0]
    assert (places == np.arange(side**2)).sum() < 10


def test_the_shuffled_order_never_changes():
    """Other pictures are shuffled alike, whatever the stream they are drawn from."""
    for name in ("one", "other"):
        straight, _ = drawn(name, 14, batch=20)
        shuffled, _ = drawn(name, 14, batch=20, order="permuted")
        assert np.array_equal(straight.numpy(), row_by_row(shuffled, "permuted"))


@every_side
def test_a_picture_without_the_pixels_that_differ_says_nothing(side):
    """Blind to pixels in which any two pictures differ the best reader is at chance, and the rest go with no digit."""
    shown, digits = drawn("mask", side, batch=5000)
    every = pictures(side).reshape(90, -1)
    telling = (every != every[0]).any(0)
    assert 0 < telling.sum() < side**2
    blind = beliefs(shown[:50].numpy(), hidden=telling)
    assert blind == pytest.approx(np.full((50, 10), -math.log(10)))
    for place in np.flatnonzero(~telling):
        pairs = torch.bincount(digits * 2 + shown[:, place], minlength=20).view(10, 2)
        assert chi2_contingency(pairs.numpy()).pvalue > 1e-5


@every_side
@every_order
def test_the_first_pixel_matters(side, order):
    """Another value at the distance of the lag changes what the best reader believes of some pictures, by far."""
    shown, _ = drawn("lag", side, batch=20, order=order)
    other = shown.clone()
    first = side**2 - 1 - pixels.lag(length=side**2, order=order)
    assert first == 0
    other[:, first] = 1 - other[:, first]
    moved = np.abs(beliefs(row_by_row(other, order)) - beliefs(row_by_row(shown, order))).max(1)
    assert moved.max() > 0.1  # a pixel that tells nothing moves it by rounding, 1e-13


@pytest.mark.slow
@every_side
def test_the_floor_is_what_the_best_reader_loses(side):
    """On 10⁵ fresh pictures its mean entropy and greatest probability are the constants, within 4 standard errors.

    The constants have errors a sixth as large, which makes the error of a difference 1.02 times that of the fresh mean,
    and their digits end at 1e-5.
    """
    losses, accuracies, hits = [], [], []
    for chunk in range(50):
        shown, digits = drawn(f"floor {chunk}", side, batch=2000)
        told = beliefs(shown.numpy())
        chances = np.exp(told)
        losses.extend(-(chances * np.where(chances > 0, told, 0)).sum(1))
        accuracies.extend(chances.max(1))
        hits.extend(told.argmax(1) == digits.numpy())
    bounds = pixels.bounds(length=side**2)
    for found, constant in ((losses, bounds.floor_loss), (accuracies, bounds.floor_accuracy)):
        mean, error = mean_and_error(found)
        assert abs(mean - constant) <= 4 * 1.02 * error + 1e-5
    mean, error = mean_and_error(hits)
    assert abs(mean - bounds.floor_accuracy) <= 4 * error
    assert bounds.floor_accuracy == pytest.approx(0.99, abs=0.002)


def test_the_order_costs_the_best_reader_nothing():
    """Chance and floor are those of the picture, in whatever order its pixels come."""
    assert pixels.bounds(length=196) == pixels.bounds(length=196, order="permuted")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"length": 195}, "length 195: pictures are 14 × 14 or 28 × 28 pixels; give 196 or 784"),
        ({"length": 14}, "length 14: pictures are 14 × 14 or 28 × 28 pixels; give 196 or 784"),
        ({"length": 400}, "length 400: pictures are 14 × 14 or 28 × 28 pixels; give 196 or 784"),
        ({"order": "columns"}, "order 'columns' is unknown; give one of raster, permuted"),
    ],
)
@pytest.mark.parametrize("ask", ["sample", "bounds", "lag"])
def test_what_is_no_picture_is_refused(ask, params, message):
    """A length that is no picture's and an unknown order are named with what there is."""
    given = {"length": 196} | params
    calls = {
        "sample": lambda: pixels.sample(stream("refused"), batch=2, **given),
        "bounds": lambda: pixels.bounds(**given),
        "lag": lambda: pixels.lag(**given),
    }
    with pytest.raises(InvalidInput) as caught:
        calls[ask]()
    assert message == str(caught.value)


def test_sizes_refuse_an_unknown_order():
    """What a model must fit is refused for an order that nobody knows."""
    with pytest.raises(InvalidInput, match=r"^order 'columns' is unknown; give one of raster, permuted$"):
        pixels.sizes(order="columns")
