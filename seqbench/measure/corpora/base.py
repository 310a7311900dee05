"""What every held-out text looks like, and how text becomes ids."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Bits = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeldOut:
    """A text that no model is trained on.

    alphabet: character of id i stands at i.
    ids: (N,) int64.
    floor_bits: (N,) exact surprisal in bits of each character given all before it; None where unknown.
    tags: name -> (N,) int64, facts about each character for sliced scores.
    """

    alphabet: str
    ids: Ids
    floor_bits: Bits | None
    tags: Mapping[str, Ids] = field(default_factory=dict)


def encode(text: str, *, alphabet: str, otherwise: int | None = None) -> Ids:
    """Return the (N,) ids of a text over a sorted alphabet; `otherwise` is the id of any other character.

    Raises ValueError when a character is missing and there is no `otherwise`.
    """
    known, given = codepoints(alphabet), codepoints(text)
    ids = np.minimum(np.searchsorted(known, given), len(known) - 1).astype(np.int64)
    strange = known[ids] != given
    if strange.any():
        if otherwise is None:
            raise ValueError(f"{text[int(strange.argmax())]!r} is not in the alphabet {alphabet!r}")
        ids[strange] = otherwise
    return ids


def decode(ids: Ids, *, alphabet: str) -> str:
    """Return the text of (N,) ids over an alphabet."""
    return codepoints(alphabet)[ids].astype("<u4").tobytes().decode("utf-32-le")


def codepoints(text: str) -> NDArray[np.uint32]:
    """Return the (N,) code points of a text."""
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4").astype(np.uint32, copy=False)
