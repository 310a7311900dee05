"""Cut a held-out text into the windows that every model is scored on.

A window shows `length` characters and asks for the next one at each. With length 5 and context 3 the text
`abcdefghij` gives `abcde` asking for d e f, `defgh` asking for g h i, and `efghi` for the j that is left.
"""

from collections.abc import Iterator

import numpy as np
import torch

from seqbench.errors import InvalidInput
from seqbench.measure.corpora.base import Ids
from seqbench.measure.generators.base import Batch


def scored_windows(ids: Ids, *, length: int, context: int, batch: int = 64) -> Iterator[Batch]:
    """Yield batches of at most `batch` windows of `length` positions over (N,) ids.

    Every position after the first `context` ones is scored exactly once, with at least `context` characters
    to its left. Tag "position" is the index into `ids` of the character asked for.
    Raises InvalidInput when context is not in [1, length] or the text is shorter than one window.
    """
    if not 1 <= context <= length:
        raise InvalidInput(f"context {context} of windows of length {length}; give 1 to {length}")
    if len(ids) <= length:
        raise InvalidInput(f"{len(ids)} characters for windows of length {length}; give at least {length + 1}")
    return _batches(ids, length=length, context=context, batch=batch)


def _batches(ids: Ids, *, length: int, context: int, batch: int) -> Iterator[Batch]:
    starts, fresh = _starts(len(ids), length=length, context=context)
    for first in range(0, len(starts), batch):
        inputs_at = starts[first : first + batch, None] + np.arange(length)  # (B, T)
        position = inputs_at + 1
        yield Batch(
            inputs=torch.from_numpy(ids[inputs_at]),
            targets=torch.from_numpy(ids[position]),
            scored=torch.from_numpy(position >= fresh[first : first + batch, None]),
            tags={"position": torch.from_numpy(position)},
        )


def _starts(characters: int, *, length: int, context: int) -> tuple[Ids, Ids]:
    """Return where each window starts and the first position that is scored in it: (W,), (W,)."""
    # a window from s first asks, with enough to its left, for s + context and last for s + length
    starts = np.arange(0, characters - length, length - context + 1, dtype=np.int64)
    fresh = starts + context
    if starts[-1] + length < characters - 1:  # the last window reaches back: it must end with the text
        fresh = np.append(fresh, starts[-1] + length + 1)
        starts = np.append(starts, characters - 1 - length)
    return starts, fresh
