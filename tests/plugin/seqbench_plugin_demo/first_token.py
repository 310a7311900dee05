"""Name the first token at the end: nothing else of the sequence matters.

With tokens=3 and length 5, as letters:

    b a c a c  ->  - - - - b
    a a b c b  ->  - - - - a
"""

from math import log

import torch

from seqbench.measure.generators.base import Batch, Bounds, Sizes, at_least


def sample(rng: torch.Generator, *, batch: int, length: int, tokens: int = 4) -> Batch:
    """Return i.i.d. uniform tokens; the last position is scored, and its answer is the first token."""
    at_least(1, batch=batch, length=length)
    at_least(2, tokens=tokens)
    inputs = torch.randint(0, tokens, (batch, length), generator=rng)
    scored = torch.zeros(batch, length, dtype=torch.bool)
    scored[:, -1] = True
    return Batch(inputs=inputs, targets=inputs[:, :1].expand(batch, length).contiguous(), scored=scored)


def sizes(*, tokens: int = 4) -> Sizes:
    """Return what a model must fit: the tokens, in and out."""
    at_least(2, tokens=tokens)
    return Sizes(vocab=tokens, outputs=tokens)


def bounds(*, length: int, tokens: int = 4) -> Bounds:
    """Return chance, 1 in `tokens`, and the floor, which is perfect."""
    at_least(1, length=length)
    at_least(2, tokens=tokens)
    return Bounds(chance_loss=log(tokens), floor_loss=0.0, chance_accuracy=1 / tokens, floor_accuracy=1.0)


def lag(*, length: int, tokens: int = 4) -> int:
    """Return the distance from the answer to what it needs: T-1."""
    at_least(2, tokens=tokens)
    return length - 1
