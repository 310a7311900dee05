"""Bits per character on held-out text, beside count models and, where it is known, the exact entropy of the text.

Every model is scored on the same windows, each position once, with at least 64 characters to its left (two thirds of
the window where it is shorter than 96). The order-0 and order-2 (interpolated Kneser-Ney) anchors are fitted to what
training could see: every character consumed of a generated text, the training split of a real one.
"""

import math

import numpy as np
import torch
from torch import nn

from seqbench.measure.corpora import ngrams
from seqbench.measure.corpora.base import Bits, Ids
from seqbench.measure.corpora.windows import scored_windows
from seqbench.measure.probes.base import Subject
from seqbench.record import Measurement

UNIT = "bit/character"
MOST_CONTEXT = 64


def measure(subject: Subject) -> tuple[Measurement, ...]:
    """Return bits per character of the model, the anchors and, on Chronicle, the exact floor and the excess over it."""
    text = subject.params.get("text")
    held_out = subject.generator.held_out(**subject.params)
    known = text.train if text is not None else None if subject.seen is None else subject.seen.cpu().numpy()
    positions, bits = surprisal(subject.model, held_out.ids, length=subject.length)
    found = {"bits_per_character": float(bits.mean())}
    if known is not None:
        found["order0_bits_per_character"] = _anchor(known, held_out.ids, positions, len(held_out.alphabet), order=0)
        found["order2_bits_per_character"] = _anchor(known, held_out.ids, positions, len(held_out.alphabet), order=2)
    if held_out.floor_bits is not None:
        floor = float(held_out.floor_bits[positions].mean())
        found["floor_bits_per_character"] = floor
        found["excess_bits_per_character"] = found["bits_per_character"] - floor
    return (
        *(Measurement(name=name, value=value, unit=UNIT) for name, value in found.items()),
        Measurement(name="characters_scored", value=float(len(positions)), unit="character"),
    )


@torch.no_grad()
def surprisal(model: nn.Module, ids: Ids, *, length: int) -> tuple[Ids, Bits]:
    """Return which characters were scored and the bits each cost the model: ids (N,) -> (S,), (S,)."""
    model.eval()
    device = next(model.parameters()).device
    positions, bits = [], []
    for batch in scored_windows(ids, length=length, context=context_of(length)):
        logits, _ = model(batch.inputs.to(device))
        kept = logits[batch.scored.to(device)].double()  # (S, V)
        loss = nn.functional.cross_entropy(kept, batch.targets[batch.scored].to(device), reduction="none")
        positions.append(batch.tags["position"][batch.scored].numpy())
        bits.append(loss.cpu().numpy() / math.log(2))
    return np.concatenate(positions), np.concatenate(bits)


def context_of(length: int) -> int:
    """Return how many characters stand at least to the left of a scored one in windows of this length."""
    return min(MOST_CONTEXT, max(1, 2 * length // 3))


def _anchor(known: Ids, ids: Ids, positions: Ids, alphabet_size: int, *, order: int) -> float:
    """Return the bits per character of a count model over the same positions that the model was scored on."""
    if order == 0:
        return float(ngrams.order0(known, alphabet_size).bits(ids)[positions].mean())
    return float(ngrams.kneser_ney(known, alphabet_size, order=order).bits(ids)[positions].mean())
