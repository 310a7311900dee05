"""Continue a Chronicle, whose entropy is known exactly: a fresh text in every batch.

The windows of a batch follow each other in one text, and begin anywhere in it. With length 8:

    e crow s      ->   crow se
    ees . th      ->  es . the
"""

from collections.abc import Iterator
from functools import cache
from itertools import chain, islice
from math import ceil, log

import numpy as np
import torch

from seqbench.measure.corpora import chronicle
from seqbench.measure.corpora.base import HeldOut, encode
from seqbench.measure.generators.base import Batch, Bounds, Sizes, at_least
from seqbench.measure.seeds import stream


def sample(rng: torch.Generator, *, batch: int, length: int, preset: str = "S") -> Batch:
    """Return consecutive windows of a fresh text of i.i.d. documents; every position is scored.

    The text starts with a document, so 2 to 4 mean documents of it are skipped: a window then begins
    anywhere in a document, as a window of an endless text would.
    """
    at_least(1, batch=batch, length=length)
    mean = chronicle.expected_length(preset)
    skipped = ceil(mean * (2 + 2 * torch.rand((), generator=rng).item()))
    needed = batch * length + 1
    text = chronicle.write(rng, characters=skipped + needed, preset=preset)[skipped : skipped + needed]
    ids = torch.from_numpy(encode(text, alphabet=chronicle.ALPHABET))  # (B * T + 1,)
    return Batch(
        inputs=ids[:-1].view(batch, length),
        targets=ids[1:].view(batch, length),
        scored=torch.ones(batch, length, dtype=torch.bool),
    )


def streams(rng: torch.Generator, *, batch: int, window: int, preset: str = "S") -> Iterator[Batch]:
    """Yield windows without end, each row going on where it ended in the batch before; every position is scored.

    Every row reads an endless text of its own, from 0 to 2 mean documents behind its beginning.
    """
    at_least(1, batch=batch, window=window)
    skipped = (2 * chronicle.expected_length(preset) * torch.rand(batch, generator=rng)).long().tolist()
    texts = [chain.from_iterable(text for text, _ in chronicle.documents(rng, preset=preset)) for _ in range(batch)]
    return _read_on([islice(text, count, None) for text, count in zip(texts, skipped, strict=True)], window)


def _read_on(texts: list[Iterator[str]], window: int) -> Iterator[Batch]:
    scored = torch.ones(len(texts), window, dtype=torch.bool)
    last = [next(text) for text in texts]
    while True:
        read = [character + "".join(islice(text, window)) for character, text in zip(last, texts, strict=True)]
        ids = torch.from_numpy(np.stack([encode(row, alphabet=chronicle.ALPHABET) for row in read]))  # (B, T + 1)
        yield Batch(inputs=ids[:, :-1].contiguous(), targets=ids[:, 1:].contiguous(), scored=scored)
        last = [row[-1] for row in read]


def sizes(*, preset: str = "S") -> Sizes:
    """Return what a model must fit: the characters of Chronicle, in and out."""
    chronicle.rules_of(preset)
    return Sizes(vocab=len(chronicle.ALPHABET), outputs=len(chronicle.ALPHABET))


def bounds(*, length: int, preset: str = "S") -> Bounds:
    """Return chance, a guess by the share of each character, and the floor, the entropy rate of the text.

    The floor is that of a reader who knows the text from its start; the few characters of a window cost more.
    """
    at_least(1, length=length)
    shares = chronicle.character_frequencies(preset).values()
    return Bounds(
        chance_loss=-sum(share * log(share) for share in shares),
        floor_loss=chronicle.entropy_rate_bits(preset) * log(2),
        chance_accuracy=max(shares),
    )


@cache
def held_out(*, preset: str = "S", characters: int = 200_000) -> HeldOut:
    """Return the first characters of the one test text of a preset, with their exact floor and decisions.

    Tags: "decision" (see chronicle.Decision) and "distance", in characters, to what the decision needs.
    """
    at_least(1, characters=characters)
    text = chronicle.write(stream("held out", preset), characters=characters, preset=preset)
    known = chronicle.walk(text, preset)
    return HeldOut(
        alphabet=chronicle.ALPHABET,
        ids=encode(text, alphabet=chronicle.ALPHABET)[:characters],
        floor_bits=known.bits[:characters],
        tags={"decision": known.decision[:characters], "distance": known.distance[:characters]},
    )
