"""Uniform random tokens, each asked for one step early: nothing to learn, every position costs ln V.

With tokens=3 and length 5, as letters:

    a c c b a  ->  c c b a b
    b b a c a  ->  b a c a c

The input of memory and timing measurements, where only shapes matter.
"""

from math import log

import torch

from seqbench.measure.generators.base import Batch, Bounds, Sizes, at_least


def sample(rng: torch.Generator, *, batch: int, length: int, tokens: int = 64) -> Batch:
    """Return i.i.d. uniform tokens with the next token as target; every position is scored."""
    at_least(1, batch=batch, length=length, tokens=tokens)
    drawn = torch.randint(0, tokens, (batch, length + 1), generator=rng)
    return Batch(
        inputs=drawn[:, :-1].contiguous(),
        targets=drawn[:, 1:].contiguous(),
        scored=torch.ones(batch, length, dtype=torch.bool),
    )


def sizes(*, tokens: int = 64) -> Sizes:
    """Return what a model must fit: the tokens, in and out."""
    at_least(1, tokens=tokens)
    return Sizes(vocab=tokens, outputs=tokens)


def bounds(*, length: int, tokens: int = 64) -> Bounds:
    """Return chance and floor, which are the same: ln V."""
    at_least(1, length=length, tokens=tokens)
    return Bounds(
        chance_loss=log(tokens), floor_loss=log(tokens), chance_accuracy=1 / tokens, floor_accuracy=1 / tokens
    )
