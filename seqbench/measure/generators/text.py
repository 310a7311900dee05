"""Continue a real text: random windows of its training part.

With length 8 and the training text `the cats of Ulthar`:

    he cats  ->  e cats o
    s of Ult ->   of Ulth
"""

from typing import Literal

import torch

from seqbench.errors import InvalidInput
from seqbench.measure.corpora.base import HeldOut
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
