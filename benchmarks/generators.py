"""How long each task takes to make a batch of 64 sequences at length 1,024, beside the training step that it feeds.

    python benchmarks/generators.py [TASK ...]

Prints one JSON object per task: milliseconds per batch and per step of an LSTM of width 64 on that batch (medians,
interleaved, one thread), and their ratio. A task whose length cannot be 1,024 is drawn at its longest one.
"""

import json
import sys
from collections.abc import Callable
from functools import partial
from statistics import median
from time import perf_counter
from types import ModuleType

import torch

from seqbench import cards
from seqbench.cards import TaskCard
from seqbench.errors import SeqbenchError
from seqbench.measure.generators import GENERATORS
from seqbench.measure.generators.base import Batch
from seqbench.measure.models import create, spec_for
from seqbench.measure.seeds import stream
from seqbench.measure.training import optimiser_of, step_of
from seqbench.variant import parse

BATCH = 64
LENGTH = 1024
ROUNDS = 9


def main(names: list[str]) -> None:
    """Time the tasks of these names, or all of them."""
    torch.set_num_threads(1)
    for name in names or cards.names():
        card = cards.find(name)
        if card.generator == "text":  # windows of a text in memory; it needs one that the user names
            continue
        print(json.dumps({"task": name} | timed(card)), flush=True)


def timed(card: TaskCard) -> dict[str, object]:
    """Return length, milliseconds per batch and per step, and their ratio."""
    generator = GENERATORS.load(card.generator)
    length, params = drawable(generator, card)
    draw = partial(generator.sample, batch=BATCH, length=length, **params)
    batch = draw(stream("benchmark", "first"))
    step = step_on(batch, generator, params) if batch.scored.any() else None
    drawing, stepping = [], []
    for round_ in range(ROUNDS):
        drawing.append(seconds(partial(draw, stream("benchmark", round_))))
        if step is not None:
            stepping.append(seconds(step))
    batch_ms = 1000 * median(drawing)
    shown: dict[str, object] = {"length": length, "positions": batch.targets.shape[1], "batch_ms": round(batch_ms, 2)}
    if stepping:
        step_ms = 1000 * median(stepping)
        shown |= {"step_ms": round(step_ms, 1), "share_of_step": round(batch_ms / step_ms, 4)}
    return shown


def drawable(generator: ModuleType, card: TaskCard) -> tuple[int, dict[str, object]]:
    """Return 1,024 or, where the generator refuses it, the card's longest length; with the card's parameters.

    A multiset task may say how many items it takes at most; it is drawn with as many as are asked for.
    """
    params: dict[str, object] = dict(card.params)
    if "most" in params:
        params["most"] = LENGTH
    for length in (LENGTH, LENGTH + 1, max(card.lengths.full)):
        try:
            generator.sample(stream("benchmark", "try"), batch=1, length=length, **params)
        except SeqbenchError:
            continue
        return length, params
    raise SystemExit(f"{card.title}: no length could be drawn")


def step_on(batch: Batch, generator: ModuleType, params: dict[str, object]) -> Callable[[], object]:
    """Return one training step of an LSTM of width 64 on the batch."""
    sizes = generator.sizes(**params)
    spec = spec_for(
        parse("lstm"), vocab=sizes.vocab or 1, outputs=sizes.outputs, width=64, layers=1, inputs=sizes.inputs
    )
    model = create(parse("lstm"), spec, seed=0)
    return partial(step_of, model, batch, optimiser_of(model, learning_rate=1e-3), clip_norm=1.0)


def seconds(call: Callable[[], object]) -> float:
    """Return how long a call takes."""
    begun = perf_counter()
    call()
    return perf_counter() - begun


if __name__ == "__main__":
    main(sys.argv[1:])
