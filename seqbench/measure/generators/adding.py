"""Add the two marked numbers of a long sequence (adding problem).

Each position holds a number and a mark. With length 6, marked numbers in brackets:

    marks = any       .3  .8 [.5] .1 [.4] .9   ->  - - - - - .9
    marks = halves    .2 [.6] .7  .3  .5 [.1]  ->  - - - - - .7

Only the last position is scored, by the squared error. To predict 1 whatever is shown costs the variance of the sum
of two uniform numbers, 1/6; to know one of them and predict 1/2 for the other costs 1/12.
"""

import torch

from seqbench.errors import InvalidInput
from seqbench.measure.generators.base import Batch, Bounds, Sizes, at_least

_MARKS = ("any", "halves")


def sample(rng: torch.Generator, *, batch: int, length: int, marks: str = "any") -> Batch:
    """Return (B, T, 2) floats (number, mark): numbers uniform on [0, 1), two marks of 1 among zeros.

    marks="any" marks two different positions; marks="halves" one in the first ⌊T/2⌋ positions, one in the rest.
    Raises InvalidInput when the length leaves no room for two marks.
    """
    _check(marks=marks)
    at_least(1, batch=batch)
    at_least(2, length=length)
    numbers = torch.rand(batch, length, generator=rng)
    marked = torch.zeros(batch, length).scatter_(1, _places(rng, batch=batch, length=length, marks=marks), 1.0)
    targets = torch.zeros(batch, length)
    targets[:, -1] = (numbers * marked).sum(1)
    scored = torch.zeros(batch, length, dtype=torch.bool)
    scored[:, -1] = True
    return Batch(inputs=torch.stack((numbers, marked), dim=2), targets=targets, scored=scored)


def sizes(*, marks: str = "any") -> Sizes:
    """Return what a model must fit: a number and a mark in, one number out."""
    _check(marks=marks)
    return Sizes(vocab=None, inputs=2, outputs=1)


def bounds(*, length: int, marks: str = "any") -> Bounds:
    """Return chance, the variance 1/6 of the sum, and the floor, which is perfect; in squared units."""
    _check(marks=marks)
    at_least(2, length=length)
    return Bounds(chance_loss=1 / 6, floor_loss=0.0, loss_unit="squared error")


def lag(*, length: int, marks: str = "any") -> int:
    """Return the longest lag that may be asked for: T-1, of a mark at the first position."""
    _check(marks=marks)
    at_least(2, length=length)
    return length - 1


def _places(rng: torch.Generator, *, batch: int, length: int, marks: str) -> torch.Tensor:
    """Return two different positions per sequence: (B, 2)."""
    if marks == "halves":
        first = torch.randint(0, length // 2, (batch,), generator=rng)
        second = torch.randint(length // 2, length, (batch,), generator=rng)
    else:
        first = torch.randint(0, length, (batch,), generator=rng)
        second = torch.randint(0, length - 1, (batch,), generator=rng)
        second += second >= first  # uniform over the positions that are left
    return torch.stack((first, second), dim=1)


def _check(*, marks: str) -> None:
    if marks not in _MARKS:
        raise InvalidInput(f"marks {marks!r} is unknown; give one of {', '.join(_MARKS)}")
