"""Symbols to hold: i.i.d. uniform ones are written to the model, and the task itself asks nothing.

With items=2 and length 6:

    0 1 1 0 1 0  ->  - - - - - -
    1 1 0 0 0 1  ->  - - - - - -

Probe capacity reads them back from the state after the last one; `noise` is what it adds to that state, as a share of
the range of each of its floats, and does not change what is drawn.
"""

import math

import torch

from seqbench.errors import InvalidInput
from seqbench.measure.generators.base import Batch, Sizes, at_least


def sample(rng: torch.Generator, *, batch: int, length: int, items: int = 2, noise: float = 0.0) -> Batch:
    """Return i.i.d. uniform symbols; no position is scored."""
    at_least(1, batch=batch, length=length)
    _check(items=items, noise=noise)
    return Batch(
        inputs=torch.randint(0, items, (batch, length), generator=rng),
        targets=torch.zeros(batch, length, dtype=torch.int64),
        scored=torch.zeros(batch, length, dtype=torch.bool),
    )


def sizes(*, items: int = 2, noise: float = 0.0) -> Sizes:
    """Return what a model must fit: the symbols, in and out."""
    _check(items=items, noise=noise)
    return Sizes(vocab=items, outputs=items)


def bounds(*, length: int, items: int = 2, noise: float = 0.0) -> None:
    """Return None: nothing is asked, so nothing can be answered."""
    at_least(1, length=length)
    _check(items=items, noise=noise)


def _check(*, items: int, noise: float) -> None:
    at_least(2, items=items)
    if not 0 <= noise < math.inf:
        raise InvalidInput(f"noise {noise} is no share of a range; give 0 or more")
