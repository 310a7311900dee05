"""Effective context: how many characters to its left a text model makes use of.

bpc(c) is what the same characters of the held-out text cost when exactly c characters stand to the left of each, in a
window of its own; c doubles from 1 up to the length of training. L_eff is the smallest c of these with

    bpc(c) - bpc(c_max) < 0.01 bit

so it is told to a factor of two, and never beyond what was trained on. The characters are 4,096 in 16 stretches spread
evenly over the text, or all that have enough to their left where these are fewer.
"""

import math
from collections.abc import Iterator

import numpy as np

from seqbench.measure.corpora.base import Ids
from seqbench.measure.probes.base import Subject, surprisal
from seqbench.record import Measurement, Series

POSITIONS = 4096
STRETCHES = 16
LEAST_GAIN = 0.01
"""Bits per character: what more context must bring to count."""
WINDOW_TOKENS = 16_384
"""So many tokens are shown to the model at once."""


def measure(subject: Subject) -> tuple[Measurement, ...]:
    """Return bits per character by context, whose value is that of the longest, and the effective context."""
    ids = subject.generator.held_out(**subject.params).ids
    contexts = contexts_up_to(subject.length)
    stretches = tuple(_stretches(len(ids), context=subject.length))
    bits = tuple(_bits(subject, ids, stretches, context=context) for context in contexts)
    series = Series(axis="context", at=tuple(map(float, contexts)), values=bits)
    return (
        Measurement(name="bits_by_context", value=bits[-1], unit="bit/character", series=series),
        Measurement(name="effective_context", value=effective(contexts, bits), unit="character"),
        Measurement(name="characters_scored", value=float(sum(map(len, stretches))), unit="character"),
    )


def contexts_up_to(length: int) -> tuple[int, ...]:
    """Return 1, 2, 4, … and the length itself: `contexts_up_to(96)` -> (1, 2, 4, 8, 16, 32, 64, 96)."""
    return (*(2**power for power in range(math.ceil(math.log2(length)))), length)


def effective(contexts: tuple[int, ...], bits: tuple[float, ...]) -> float:
    """Return the smallest context that costs less than `LEAST_GAIN` more than the longest; NaN where bits are none."""
    near = (context for context, cost in zip(contexts, bits, strict=True) if cost - bits[-1] < LEAST_GAIN)
    return float(next(near, math.nan))


def _stretches(characters: int, *, context: int) -> Iterator[range]:
    """Yield the stretches of positions that are scored, all of them with `context` characters to their left."""
    if characters - context <= POSITIONS:
        yield range(context, characters)
        return
    each = POSITIONS // STRETCHES
    for start in np.linspace(context, characters - each, STRETCHES, dtype=np.int64).tolist():
        yield range(start, start + each)


def _bits(subject: Subject, ids: Ids, stretches: tuple[range, ...], *, context: int) -> float:
    """Return the mean bits of the characters of these stretches, each behind exactly `context` characters."""
    batch = max(1, WINDOW_TOKENS // context)
    costs = [
        surprisal(subject.model, ids[part.start - context : part.stop], length=context, context=context, batch=batch)[1]
        for part in stretches
    ]
    return float(np.concatenate(costs).mean())
