"""The only file that seeds. Streams are named, so that the data of a cell never depend on the model."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch

Part = str | int | float


def stream(*parts: Part) -> torch.Generator:
    """Return the random stream of this name: the same parts give the same stream on every machine.

    `stream("train", "recall", 100, 1003, 7)` is the stream of training step 7 of that task, length and seed.
    """
    return torch.Generator().manual_seed(_number(parts))


@contextmanager
def initialisation(*parts: Part) -> Iterator[None]:
    """Within this block weights are drawn from the stream of this name; the global stream is restored after it.

    `initialisation(1003)` is that of the model of a cell with this seed.
    """
    with torch.random.fork_rng():
        torch.manual_seed(_number(("initialisation", *parts)))
        yield


def _number(parts: tuple[Part, ...]) -> int:
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1  # torch takes seeds below 2**63
