"""Say at every step what was shown a fixed number of steps before (lag-k echo, dense short-term memory).

Tokens are uniform on 0 … K-1. `length` is the lag k; the sequence has k + `scored` positions, and the last `scored`
of them are asked. With items=3 (K), as letters a b c, and scored=3:

    length 1 (k)    b a c a        ->  - b a c
    length 3        c a a b b c    ->  - - - c a a

Whoever answers keeps the last k tokens, k log2 K bits, at every step: lag and load grow together.
"""

from math import log

import torch

from seqbench.measure.generators.base import Batch, Bounds, Sizes, at_least


def sample(rng: torch.Generator, *, batch: int, length: int, items: int = 8, scored: int = 32) -> Batch:
    """Return sequences of `length` + `scored` uniform tokens, each asked for `length` positions after it was shown."""
    _check(items=items, scored=scored)
    at_least(1, batch=batch, length=length)
    inputs = torch.randint(0, items, (batch, length + scored), generator=rng)  # (B, k + scored)
    targets = torch.zeros_like(inputs)
    targets[:, length:] = inputs[:, :scored]
    asked = torch.zeros_like(inputs, dtype=torch.bool)
    asked[:, length:] = True
    return Batch(inputs=inputs, targets=targets, scored=asked)


def sizes(*, items: int = 8, scored: int = 32) -> Sizes:
    """Return what a model must fit: items in, items out."""
    _check(items=items, scored=scored)
    return Sizes(vocab=items, outputs=items)


def bounds(*, length: int, items: int = 8, scored: int = 32) -> Bounds:
    """Return chance, 1 in `items` at each position, and the floor, which is perfect."""
    _check(items=items, scored=scored)
    at_least(1, length=length)
    return Bounds(chance_loss=log(items), floor_loss=0.0, chance_accuracy=1 / items, floor_accuracy=1.0)


def lag(*, length: int, items: int = 8, scored: int = 32) -> int:
    """Return how far back every answer stands: `length` itself."""
    _check(items=items, scored=scored)
    at_least(1, length=length)
    return length


def _check(*, items: int, scored: int) -> None:
    at_least(2, items=items)
    at_least(1, scored=scored)
