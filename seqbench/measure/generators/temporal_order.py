"""Name the order in which a few marks appeared among distractors (noisy temporal order).

A start E stands first and a trigger B last; between them are uniform distractors a b c d, but for two or three marks,
each X or Y with equal chance. The class, read at B, is their pattern as a binary number: X is 0, Y is 1, the first
mark counts most. Tokens are a b c d X Y E B as 0 … 7:

    order = 2, length 10    E d X b a Y c a d B    ->  - - - - - - - - - 1        XY of XX XY YX YY
    order = 3, length 10    E Y c X d a Y b b B    ->  - - - - - - - - - 5        YXY of XXX … YYY

Each mark has a stretch of its own, in shares of the length: .10-.20 and .50-.60 for two marks, .10-.20, .33-.43 and
.66-.76 for three. Whoever sees which marks there are but not their order is right in 3/4 of the sequences with two
marks at a loss of (ln 2)/2, and in 1/2 of those with three at a loss of (3/4) ln 3.
"""

from math import log
from typing import Literal

import torch

from seqbench.errors import InvalidInput
from seqbench.measure.generators.base import Batch, Bounds, Sizes, at_least, at_the_end

_X, _E, _B = 4, 6, 7
_WINDOWS = {2: ((10, 20), (50, 60)), 3: ((10, 20), (33, 43), (66, 76))}
"""The stretch of each mark, in percent of the length, both ends included."""
_LEAST_LENGTH = 10  # below, the first stretch begins on E


def sample(rng: torch.Generator, *, batch: int, length: int, order: Literal[2, 3] = 2) -> Batch:
    """Return sequences of `length` tokens with `order` marks, each uniform in its stretch; only the end is scored.

    A stretch of a-b percent is the positions ⌊aT/100⌋ … ⌊bT/100⌋. Raises InvalidInput below ten positions.
    """
    _check(length=length, order=order)
    at_least(1, batch=batch)
    inputs = torch.randint(0, _X, (batch, length), generator=rng)  # (B, T)
    marks = torch.randint(0, 2, (batch, order), generator=rng)  # (B, order)
    places = torch.stack(
        [torch.randint(low, high + 1, (batch,), generator=rng) for low, high in _stretches(length, order)], dim=1
    )
    inputs.scatter_(1, places, _X + marks)
    inputs[:, 0], inputs[:, -1] = _E, _B
    patterns = (marks * 2 ** torch.arange(order - 1, -1, -1)).sum(1)  # (B,)
    return Batch(
        inputs=inputs,
        targets=at_the_end(patterns, length),
        scored=at_the_end(torch.ones(batch, dtype=torch.bool), length),
    )


def sizes(*, order: Literal[2, 3] = 2) -> Sizes:
    """Return what a model must fit: eight tokens in, a class for each pattern out."""
    _check(order=order)
    return Sizes(vocab=8, outputs=2**order)


def bounds(*, length: int, order: Literal[2, 3] = 2) -> Bounds:
    """Return chance, one pattern in 4 or 8, and the floor, which is perfect."""
    _check(length=length, order=order)
    patterns = 2**order
    return Bounds(chance_loss=log(patterns), floor_loss=0.0, chance_accuracy=1 / patterns, floor_accuracy=1.0)


def lag(*, length: int, order: Literal[2, 3] = 2) -> int:
    """Return how far back the first mark can stand from the trigger: at the beginning of its stretch."""
    _check(length=length, order=order)
    return length - 1 - _stretches(length, order)[0][0]


def _stretches(length: int, order: int) -> tuple[tuple[int, int], ...]:
    """Return the first and the last position that each mark can take."""
    return tuple((low * length // 100, high * length // 100) for low, high in _WINDOWS[order])


def _check(*, order: int, length: int | None = None) -> None:
    if order not in _WINDOWS:
        raise InvalidInput(f"order {order} is unknown; give one of {', '.join(map(str, _WINDOWS))}")
    if length is not None:
        at_least(_LEAST_LENGTH, length=length)
