"""Bits per character on held-out text, beside count models and, where it is known, the exact entropy of the text.

Every model is scored on the same windows, each position once, with at least 64 characters to its left (two thirds of
the window where it is shorter than 96). The order-0 and order-2 (interpolated Kneser-Ney) anchors are fitted to what
training could see: every character consumed of a generated text, the training split of a real one.
"""

import numpy as np
from torch import nn

from seqbench.measure.corpora import ngrams
from seqbench.measure.corpora.base import Bits, Ids
from seqbench.measure.corpora.windows import scored_windows
from seqbench.measure.probes import base
from seqbench.measure.probes.base import Subject
from seqbench.record import Measurement

UNIT = "bit/character"
MOST_CONTEXT = 64


def measure(subject: Subject) -> tuple[Measurement, ...]:
    """Return bits per character of the model, the anchors and, on Chronicle, the exact floor and the excess over it."""
    ids = subject.generator.held_out(**subject.params).ids
    positions, bits = surprisal(subject.model, ids, length=subject.length)
    known = baselines(subject)
    mean = float(bits.mean())
    found = [Measurement(name="bits_per_character", value=mean, unit=UNIT), *known]
    floor = next((entry.value for entry in known if entry.name == "floor_bits_per_character"), None)
    if floor is not None:
        found.append(Measurement(name="excess_bits_per_character", value=mean - floor, unit=UNIT))
    return (*found, Measurement(name="characters_scored", value=float(len(positions)), unit="character"))


def baselines(subject: Subject) -> tuple[Measurement, ...]:
    """Return what the held-out text costs count models fitted to what training could see, and its exact floor."""
    held_out = subject.generator.held_out(**subject.params)
    windows = scored_windows(held_out.ids, length=subject.length, context=context_of(subject.length))
    positions = np.concatenate([batch.tags["position"][batch.scored].numpy() for batch in windows])
    found = {}
    known = _training_text(subject)
    if known is not None:
        for order in (0, 2):
            value = _anchor(known, held_out.ids, positions, len(held_out.alphabet), order=order)
            found[f"order{order}_bits_per_character"] = value
    if held_out.floor_bits is not None:
        found["floor_bits_per_character"] = float(held_out.floor_bits[positions].mean())
    return tuple(Measurement(name=name, value=value, unit=UNIT) for name, value in found.items())


def _training_text(subject: Subject) -> Ids | None:
    """Return the characters that training could see: the training split of a real text, those consumed of another."""
    if "text" in subject.params:
        return np.asarray(subject.params["text"].train)
    return None if subject.seen is None else subject.seen.cpu().numpy()


def surprisal(model: nn.Module, ids: Ids, *, length: int) -> tuple[Ids, Bits]:
    """Return which characters were scored and the bits each cost the model: ids (N,) -> (S,), (S,)."""
    return base.surprisal(model, ids, length=length, context=context_of(length))


def context_of(length: int) -> int:
    """Return how many characters stand at least to the left of a scored one in windows of this length."""
    return min(MOST_CONTEXT, max(1, 2 * length // 3))


def _anchor(known: Ids, ids: Ids, positions: Ids, alphabet_size: int, *, order: int) -> float:
    """Return the bits per character of a count model over the same positions that the model was scored on."""
    if order == 0:
        return float(ngrams.order0(known, alphabet_size).bits(ids)[positions].mean())
    return float(ngrams.kneser_ney(known, alphabet_size, order=order).bits(ids)[positions].mean())
