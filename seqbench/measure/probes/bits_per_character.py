"""Bits per character on held-out text, beside count models and, where it is known, the exact entropy of the text.

Every model is scored on the same windows, each position once, with at least 64 characters to its left (two thirds of
the window where it is shorter than 96). One that was trained with a carried state is scored once more on the same
characters while it reads the text from end to end. The anchors are the uniform model, and what is fitted to what
training could see (every character consumed of a generated text, the training split of a real one): orders 0 and 2,
the latter interpolated Kneser-Ney; of a real text, and wherever texts are written, orders 4 and 5 and xz -9e too.

The test part of a real text is one of many that its authors might have written. What that adds to the error of seeds is
told by its blocks of 2,048 scored characters: their means, and the standard error s/√n that these give (a block
bootstrap of the mean has that limit). A generated text needs none: its floor is of the very same characters.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
from torch import nn

from seqbench.measure.corpora import ngrams
from seqbench.measure.corpora.base import Bits, HeldOut, Ids, decode
from seqbench.measure.corpora.text import Text
from seqbench.measure.corpora.windows import scored_windows
from seqbench.measure.probes import base
from seqbench.measure.probes.base import Subject
from seqbench.record import Measurement, Series

UNIT = "bit/character"
MOST_CONTEXT = 64
ORDERS, ALL_ORDERS = (0, 2), (0, 2, 4, 5)
BLOCK = 2048
"""Characters of a block of test text. Neighbouring blocks of one story are alike still: whoever judges joins them."""


def measure(subject: Subject) -> tuple[Measurement, ...]:
    """Return bits per character of the model, the anchors and, on Chronicle, the exact floor and the excess over it."""
    ids = subject.generator.held_out(**subject.params).ids
    positions, bits = surprisal(subject.model, ids, length=subject.length)
    known = baselines(subject)
    mean = float(bits.mean())
    found = [Measurement(name="bits_per_character", value=mean, unit=UNIT), *known]
    if "text" in subject.params:
        found += by_block(positions, bits)
    if subject.carried:
        carried = base.carried_surprisal(subject.model, ids, context=context_of(subject.length))
        found.append(Measurement(name="stateful_bits_per_character", value=float(carried.mean()), unit=UNIT))
    floor = next((entry.value for entry in known if entry.name == "floor_bits_per_character"), None)
    if floor is not None:
        found.append(Measurement(name="excess_bits_per_character", value=mean - floor, unit=UNIT))
    return (*found, Measurement(name="characters_scored", value=float(len(positions)), unit="character"))


def by_block(positions: Ids, bits: Bits) -> tuple[Measurement, ...]:
    """Return the means of the blocks of a test text, with the standard error of their mean: (S,), (S,) bits.

    That error is what the choice of the text would give if its blocks were independent, and so a lower bound. A last
    part shorter than a block is in none. A text of fewer than two blocks has no such error.
    """
    order = np.argsort(positions, kind="stable")
    count = len(order) // BLOCK
    if count < 2:
        return ()
    chosen = order[: count * BLOCK].reshape(count, BLOCK)  # (blocks, BLOCK)
    means = bits[chosen].mean(axis=1)
    blocks = Series(axis="character", at=positions[chosen[:, 0]].tolist(), values=means.tolist())
    error = float(means.std(ddof=1) / math.sqrt(count))
    return (Measurement(name="test_text_standard_error", value=error, unit=UNIT, series=blocks),)


def baselines(subject: Subject) -> tuple[Measurement, ...]:
    """Return what the held-out text costs count models fitted to what training could see, and its exact floor."""
    held_out = subject.generator.held_out(**subject.params)
    windows = scored_windows(held_out.ids, length=subject.length, context=context_of(subject.length))
    positions = np.concatenate([batch.tags["position"][batch.scored].numpy() for batch in windows])
    found = {"uniform": math.log2(len(held_out.alphabet))}
    found |= {name: float(bits[positions].mean()) for name, bits in _anchors(subject, held_out).items()}
    if held_out.floor_bits is not None:
        found["floor"] = float(held_out.floor_bits[positions].mean())
    return tuple(
        Measurement(name=f"{name}_bits_per_character", value=value, unit=UNIT) for name, value in found.items()
    )


def _anchors(subject: Subject, held_out: HeldOut) -> Mapping[str, Bits]:
    """Return what each held-out character costs the models that are fitted to what training could see, by name."""
    if "text" in subject.params:
        return of_text(subject.params["text"])
    if subject.seen is None:
        return {}
    orders = ORDERS if subject.samples is None else ALL_ORDERS
    known, V = subject.seen.cpu().numpy(), len(held_out.alphabet)
    found = counted(known, held_out.ids, V, orders=orders)
    return found if subject.samples is None else found | compressed(known, held_out.ids, held_out.alphabet)


@lru_cache(maxsize=1)  # 4 s for a text of 3 MB, the same for every cell of a study
def of_text(text: Text, part: Literal["test", "valid"] = "test") -> Mapping[str, Bits]:
    """Return what each character of a held-out part of a real text costs all anchors, by name: each (N,) bits."""
    ids = {"test": text.test, "valid": text.valid}[part]
    found = counted(text.train, ids, len(text.alphabet), orders=ALL_ORDERS)
    return found | compressed(text.train, ids, text.alphabet)


def counted(known: Ids, ids: Ids, alphabet_size: int, *, orders: Sequence[int]) -> dict[str, Bits]:
    """Return what each character costs count models of these orders: (N,) -> (N,) bits, by name.

    Orders 4 and 5 are left out where the alphabet is too large for them.
    """
    found = {}
    for order in orders:
        if order == 0:
            found["order0"] = ngrams.order0(known, alphabet_size).bits(ids)
        elif order in ORDERS or ngrams.can_count(known, alphabet_size, order=order):
            found[f"order{order}"] = ngrams.kneser_ney(known, alphabet_size, order=order).bits(ids)
    return found


def compressed(known: Ids, ids: Ids, alphabet: str) -> dict[str, Bits]:
    """Return what a character costs xz, which tells that of all together alone: (N,) -> (N,) times the mean."""
    texts = (decode(part, alphabet=alphabet) for part in (known, ids))
    return {"xz": np.full(len(ids), ngrams.compressed(*texts))}


def surprisal(model: nn.Module, ids: Ids, *, length: int) -> tuple[Ids, Bits]:
    """Return which characters were scored and the bits each cost the model: ids (N,) -> (S,), (S,)."""
    return base.surprisal(model, ids, length=length, context=context_of(length))


def context_of(length: int) -> int:
    """Return how many characters stand at least to the left of a scored one in windows of this length."""
    return min(MOST_CONTEXT, max(1, 2 * length // 3))
