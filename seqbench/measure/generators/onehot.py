"""Uniform one-hot vectors with nothing asked: the input of gradient probes at initialisation.

With inputs=3 and length 4, one sequence each:

    [1 0 0] [0 0 1] [0 0 1] [0 1 0]      ->  - - - -
    [0 1 0] [1 0 0] [0 0 1] [1 0 0]      ->  - - - -
"""

import torch

from seqbench.measure.generators.base import Batch, Sizes, at_least


def sample(rng: torch.Generator, *, batch: int, length: int, inputs: int = 16, outputs: int = 16) -> Batch:
    """Return (B, T, D) float32 vectors with a single 1 each, its place uniform; no position is scored."""
    at_least(1, batch=batch, length=length, inputs=inputs, outputs=outputs)
    hot = torch.randint(0, inputs, (batch, length), generator=rng)
    return Batch(
        inputs=torch.nn.functional.one_hot(hot, inputs).float(),
        targets=torch.zeros(batch, length, dtype=torch.int64),
        scored=torch.zeros(batch, length, dtype=torch.bool),
    )


def sizes(*, inputs: int = 16, outputs: int = 16) -> Sizes:
    """Return what a model must fit: `inputs` floats per position."""
    at_least(1, inputs=inputs, outputs=outputs)
    return Sizes(vocab=None, inputs=inputs, outputs=outputs)


def bounds(*, length: int, inputs: int = 16, outputs: int = 16) -> None:
    """Return None: nothing is asked, so nothing can be answered."""
    at_least(1, length=length, inputs=inputs, outputs=outputs)
