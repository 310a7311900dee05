"""Continue a real text: random windows of its training part.

With length 8 and the training text `the cats of Ulthar`:

    he cats  ->  e cats o
    s of Ult ->   of Ulth
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch

from seqbench.errors import InvalidInput
from seqbench.measure.corpora.base import HeldOut, Ids
from seqbench.measure.corpora.text import Text, require
from seqbench.measure.generators.base import Batch, Sizes, at_least


def sample(rng: torch.Generator, *, batch: int, length: int, text: Text) -> Batch:
    """Return windows that begin anywhere in the training part; every position is scored.

    Raises CorpusError when a part of the text is too short for one window.
    """
    at_least(1, batch=batch, length=length)
    require(text, length)
    starts = torch.randint(0, len(text.train) - length, (batch, 1), generator=rng)
    windows = torch.from_numpy(text.train[(starts + torch.arange(length + 1)).numpy()])  # (B, T + 1)
    return Batch(
        inputs=windows[:, :-1].contiguous(),
        targets=windows[:, 1:].contiguous(),
        scored=torch.ones(batch, length, dtype=torch.bool),
    )


def streams(rng: torch.Generator, *, batch: int, window: int, text: Text) -> Iterator[Batch]:
    """Yield windows without end, each row going on where it ended in the batch before; every position is scored.

    The training part is read as a ring from a random place on, by `batch` readers that stand equally far apart.
    Raises CorpusError when a part of the text is too short for one window.
    """
    at_least(1, batch=batch, window=window)
    require(text, window)
    N = len(text.train)
    first = int(torch.randint(0, N, (), generator=rng))
    starts = first + np.arange(batch)[:, None] * N // batch  # (B, 1)
    return _read_on(text, starts, window)


def _read_on(text: Text, starts: Ids, window: int) -> Iterator[Batch]:
    scored = torch.ones(len(starts), window, dtype=torch.bool)
    while True:
        read = torch.from_numpy(text.train.take(starts + np.arange(window + 1), mode="wrap"))  # (B, T + 1)
        yield Batch(inputs=read[:, :-1].contiguous(), targets=read[:, 1:].contiguous(), scored=scored)
        starts = (starts + window) % len(text.train)


def sizes(*, text: Text) -> Sizes:
    """Return what a model must fit: the characters of the training part and U+FFFD, in and out."""
    return Sizes(vocab=len(text.alphabet), outputs=len(text.alphabet))


def bounds(*, length: int, text: Text) -> None:
    """Return None: the entropy of a real text is unknown; count models anchor it instead."""
    require(text, length)


def held_out(*, text: Text, part: Literal["test", "valid"] = "test") -> HeldOut:
    """Return a part of the text that is not trained on; its floor is unknown."""
    parts = {"test": text.test, "valid": text.valid}
    if part not in parts:
        raise InvalidInput(f"part {part!r} is not held out; give one of {', '.join(parts)}")
    return HeldOut(alphabet=text.alphabet, ids=parts[part], floor_bits=None)
