"""Name a noisy digit that is shown one pixel after the other, row by row or in a fixed shuffled order.

A picture has `length` = side × side pixels, 14 × 14 or 28 × 28, each a token 0 or 1. A seven-segment digit fills all of
it but a margin of one pixel, is shifted by -1, 0 or 1 in either direction, and then every pixel is flipped with a small
probability. Two digits of 14 × 14, without shift and flips (. is 0, # is 1), and what is asked of them:

    ..............    ..............
    .############.    .############.
    .############.    .############.
    ...........##.    ...........##.
    ...........##.    ...........##.
    ...........##.    ...........##.
    .############.    ...........##.
    .############.    ...........##.
    .##...........    ...........##.
    .##...........    ...........##.
    .##...........    ...........##.
    .############.    ...........##.
    .############.    ...........##.
    ..............    ..............

    left     0 0 0 … 0 0 0  ->  - - - … - - 2
    right    0 0 0 … 0 0 0  ->  - - - … - - 7

order = raster shows rows from the top, each from the left; order = permuted shows the very same pictures, their pixels
in one shuffled order that is the same for every picture of a size. Only the last position is scored.
"""

from functools import cache
from math import log

import torch
from torch import Tensor

from seqbench.errors import InvalidInput
from seqbench.measure.generators.base import Batch, Bounds, Sizes, at_least
from seqbench.measure.seeds import stream

_ORDERS = ("raster", "permuted")
_SIDES = {14 * 14: 14, 28 * 28: 28}
_SEGMENTS = ("abcdef", "bc", "abdeg", "abcdg", "bcfg", "acdfg", "acdefg", "abc", "abcdefg", "abcdfg")
"""Lit in 0 … 9: a, g, d are the upper, middle and lower bar, f, b the upper left and right, e, c the lower ones."""

_FLIPPED = {14: 0.10, 28: 0.29}
"""How often a pixel is flipped: that at which the best reader is right in 99 %, .1045 and .2879, to two digits."""
_BEST = {14: (0.01759, 0.99132), 28: (0.02758, 0.98930)}
"""Loss (nat) and accuracy of the best reader, who weighs all 90 pictures (10 digits, 9 shifts) by how many flips each
would take: the mean entropy and the mean greatest probability of what it believes. There is no closed form; these are
simulated on 3 million pictures, with standard errors of .00005 and .00004, and .00006 and .00003. They are kept here
because 10⁵ pictures, which leave an error six times as large, take up to a second and `bounds` is asked for every cell.
"""


def sample(rng: torch.Generator, *, batch: int, length: int, order: str = "raster") -> Batch:
    """Return pictures of uniform digits and shifts, one pixel per position; the last one asks for the digit.

    One stream gives the same pictures in either order. Raises InvalidInput for a length that is no picture's.
    """
    at_least(1, batch=batch)
    side = _side(length, order)
    digits = torch.randint(0, 10, (batch,), generator=rng)
    shifts = torch.randint(0, 9, (batch,), generator=rng)
    flips = torch.rand(batch, length, generator=rng) < _FLIPPED[side]
    pixels = _pictures(side)[digits, shifts] ^ flips  # (B, T)
    targets = torch.zeros(batch, length, dtype=torch.int64)
    targets[:, -1] = digits
    scored = torch.zeros(batch, length, dtype=torch.bool)
    scored[:, -1] = True
    return Batch(inputs=pixels[:, _places(side, order)].long(), targets=targets, scored=scored)


def sizes(*, order: str = "raster") -> Sizes:
    """Return what a model must fit: two tokens in, ten digits out."""
    _check_order(order)
    return Sizes(vocab=2, outputs=10)


def bounds(*, length: int, order: str = "raster") -> Bounds:
    """Return chance, 1 in 10, and the floor, what flipped pixels leave to the best reader; the order costs it nothing.

    The floor is simulated; `_BEST` says how, and with which standard errors.
    """
    loss, accuracy = _BEST[_side(length, order)]
    return Bounds(chance_loss=log(10), floor_loss=loss, chance_accuracy=0.1, floor_accuracy=accuracy)


def lag(*, length: int, order: str = "raster") -> int:
    """Return T-1: the label is read at the last pixel, and the first one shown already tells digits apart.

    Row by row that is a corner, which is lit when a digit with an upper left end is shifted up and left. A pixel that
    is dark in all 90 pictures tells nothing, but the shuffled orders begin with none of these.
    """
    _side(length, order)
    return length - 1


@cache
def _pictures(side: int) -> Tensor:
    """Return every digit in every shift, without flips, row by row: (10, 9, T) bool."""
    digits = torch.stack([_drawn(side, segments) for segments in _SEGMENTS])  # (10, side, side)
    moves = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    return torch.stack([digits.roll(move, dims=(1, 2)) for move in moves], dim=1).flatten(2)


def _drawn(side: int, segments: str) -> Tensor:
    """Return a picture of these segments, a seventh of the side thick, within a margin of 1: (side, side) bool."""
    thick, last = side // 7, side - 1  # `last` is the margin's row and column
    middle = (side - thick) // 2
    low, mid, high = slice(1, 1 + thick), slice(middle, middle + thick), slice(last - thick, last)
    upper, lower, whole = slice(1, mid.stop), slice(mid.start, last), slice(1, last)
    places = {
        "a": (low, whole),
        "b": (upper, high),
        "c": (lower, high),
        "d": (high, whole),
        "e": (lower, low),
        "f": (upper, low),
        "g": (mid, whole),
    }
    picture = torch.zeros(side, side, dtype=torch.bool)
    for segment in segments:
        picture[places[segment]] = True
    return picture


@cache
def _places(side: int, order: str) -> Tensor:
    """Return which pixel of a picture, counted row by row, each position shows: (T,)."""
    if order == "raster":
        return torch.arange(side**2)
    return torch.randperm(side**2, generator=stream("pixels", "permuted", side))


def _side(length: int, order: str) -> int:
    _check_order(order)
    if length not in _SIDES:
        raise InvalidInput(f"length {length}: pictures are 14 × 14 or 28 × 28 pixels; give 196 or 784")
    return _SIDES[length]


def _check_order(order: str) -> None:
    if order not in _ORDERS:
        raise InvalidInput(f"order {order!r} is unknown; give one of {', '.join(_ORDERS)}")
