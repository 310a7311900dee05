"""Read back the bit last written, past everything that is to be ignored (flip-flop language model).

The sequence is pairs of an instruction and a bit. The bit after w is written, the bit after r is the one last written,
the bit after i is noise. Tokens are 0 and 1 for the bits and 2, 3, 4 for w, r, i. As input -> output:

    length 8     w 1 i 0 r 1 r 1            ->  - - - - 1 - 1 -
    length 9     w 0 r 0 w 1 i 0 r          ->  - - 0 - - - - - 1

Only the instructions r are scored: the answer is the bit that follows, before it is shown. Every sequence begins with
a write, so that each read has an answer, and its last instruction is a read, so that no sequence asks nothing; the
instructions between are independent, i with probability `ignore`, w and r with half of the rest each. An odd length
ends with the instruction. Tag "lag" is, at each read, how many positions back the bit was written; 0 elsewhere. An
earlier read may repeat that bit at a shorter distance.

Errors of a trained model may be rare: a test takes 100,000 reads. None wrong puts their rate under 3.0e-5 at a
confidence of 95 %.
"""

from math import log

import torch

from seqbench.errors import InvalidInput
from seqbench.measure.generators.base import Batch, Bounds, Sizes, at_least
from seqbench.variant import Scalar

LEAST_SCORED = 100_000  # -ln(0.05) / 100,000 = 3.0e-5

_WRITE, _READ, _IGNORE = 2, 3, 4


def sample(rng: torch.Generator, *, batch: int, length: int, ignore: float = 0.8) -> Batch:
    """Return sequences of `length` tokens, instructions at even positions and their bits at odd ones."""
    _check(ignore=ignore, length=length)
    at_least(1, batch=batch)
    instructions = _instructions(rng, batch=batch, pairs=_pairs(length), ignore=ignore)  # (B, P)
    drawn = torch.randint(0, 2, instructions.shape, generator=rng)
    number = torch.arange(_pairs(length))
    written = torch.where(instructions == _WRITE, number, 0).cummax(dim=1).values  # (B, P): the pair last written
    stored = drawn.gather(1, written)
    reads = instructions == _READ
    lags, nothing = 2 * (number - written) - 1, torch.zeros_like(drawn)
    return Batch(
        inputs=_by_turns(instructions, torch.where(reads, stored, drawn), length),
        targets=_by_turns(torch.where(reads, stored, 0), nothing, length),
        scored=_by_turns(reads, nothing.bool(), length),
        tags={"lag": _by_turns(torch.where(reads, lags, 0), nothing, length)},
    )


def sizes(*, ignore: float = 0.8) -> Sizes:
    """Return what a model must fit: two bits and three instructions in, a bit out."""
    _check(ignore=ignore)
    return Sizes(vocab=5, outputs=2)


def bounds(*, length: int, ignore: float = 0.8) -> Bounds:
    """Return chance, a fair coin at each read, and the floor, which is perfect."""
    _check(ignore=ignore, length=length)
    return Bounds(chance_loss=log(2), floor_loss=0.0, chance_accuracy=0.5, floor_accuracy=1.0)


def lag(*, length: int, ignore: float = 0.8) -> int:
    """Return T-3, or T-2 if T is odd: from the last instruction back to the first bit, with only noise between."""
    _check(ignore=ignore, length=length)
    return 2 * _pairs(length) - 3


def tests(*, ignore: float = 0.8) -> dict[str, dict[str, Scalar]]:
    """Return three tests: as trained, sparse with writes and reads far apart, and dense with hardly any noise."""
    _check(ignore=ignore)
    return {"": {"ignore": ignore}, "sparse": {"ignore": 0.98}, "dense": {"ignore": 0.1}}


def _pairs(length: int) -> int:
    return (length + 1) // 2


def _instructions(rng: torch.Generator, *, batch: int, pairs: int, ignore: float) -> torch.Tensor:
    """Return the instructions of each sequence, the first a write and the last a read: (B, P)."""
    u = torch.rand(batch, pairs, generator=rng, dtype=torch.float64)
    instructions = torch.where(u < ignore, _IGNORE, torch.where(u < (1 + ignore) / 2, _WRITE, _READ))
    instructions[:, 0] = _WRITE
    instructions[:, -1] = _READ
    return instructions


def _by_turns(first: torch.Tensor, second: torch.Tensor, length: int) -> torch.Tensor:
    """Return what stands at the instructions and at the bits, by turns: (B, P), (B, P) -> (B, T)."""
    return torch.stack((first, second), dim=2).flatten(1)[:, :length].contiguous()


def _check(*, ignore: float, length: int | None = None) -> None:
    if not 0 <= ignore <= 1:  # also refuses NaN
        raise InvalidInput(f"ignore {ignore!r} is no probability; give a number from 0 to 1")
    if length is not None:
        at_least(3, length=length)
