"""What every probe receives, and what a probe file offers: `measure(subject) -> tuple[Measurement, ...]`.

A probe that scores trained models also offers `baselines(subject)`, what is known without the model: that much is
measured even where training diverged and there is nothing to score. Such probes share the fresh test sequences.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from seqbench.cell import SampleConfig
from seqbench.measure.corpora.base import Bits, Ids
from seqbench.measure.corpora.windows import scored_windows
from seqbench.measure.generators.base import Batch
from seqbench.measure.seeds import stream
from seqbench.measure.training import History
from seqbench.record import Measurement

SEQUENCES = 4096
"""So many fresh sequences score a trained model on what it was trained for, in chunks of:"""
CHUNK = 512
PIECE = 256
"""So many characters a reader that carries its state is shown at once."""
FURTHER_SEQUENCES = 1024
"""So many score it at every other length and in every other test of its task."""


class Sample(Protocol):
    """Draws batches of the cell's task; what is named replaces parameters of the card."""

    def __call__(self, rng: torch.Generator, batch: int, length: int, /, **changed: Any) -> Batch:
        """Return `batch` sequences of a length."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model and the task it stands before.

    sample: (rng, batch, length) -> Batch of the cell's task. generator, params: where those come from, for closed
    forms and held-out text. length: that of the cell. history: of the training, None where nothing was trained.
    tests: name -> parameters of each test of a trained model, the main one under "". test_lengths: at which it is
    tested besides its own.
    seen: (N,) int64, every character that training on a generated text consumed; None elsewhere.
    carried: whether training carried the state from update to update. samples: the texts that the model writes once
    it is trained.
    """

    model: nn.Module
    task: str
    length: int
    seed: int
    sample: Sample
    generator: ModuleType
    params: Mapping[str, Any]
    device: torch.device
    causal: bool = True
    tests: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"": {}})
    test_lengths: tuple[int, ...] = ()
    history: History | None = None
    seen: Tensor | None = None
    carried: bool = False
    samples: SampleConfig | None = None


class Watch(Protocol):
    """Looks at a model while it is trained: what `watch(subject)` of a probe returns."""

    def look(self, model: nn.Module, step: int, /) -> None:
        """Look at the model as it is after so many steps, and leave it so: nothing of the training may change."""
        ...

    def measurements(self) -> tuple[Measurement, ...]:
        """Return what was seen."""
        ...


def answered(subject: Subject, *, test: str = "", length: int | None = None) -> Iterator[tuple[Batch, Tensor]]:
    """Yield fresh test sequences, chunk by chunk, each with the model's logits (B, T, V); iterate without gradients.

    test, length: which test of the task and which length, the main one at the cell's own length where none is named.
    There are at least so many sequences as score a model here, and more until the generator's `LEAST_SCORED` answers.
    """
    T = length or subject.length
    main = (test, T) == ("", subject.length)
    size = CHUNK if main else max(1, CHUNK * subject.length // max(T, subject.length))  # as many tokens at a time
    sequences, answers, least = 0, 0, int(vars(subject.generator).get("LEAST_SCORED", 0))
    while sequences < (SEQUENCES if main else FURTHER_SEQUENCES) or answers < least:
        named = (test,) if test else ()
        rng = stream("test", subject.task, T, subject.seed, sequences // size, *named)
        batch = subject.sample(rng, size, T, **subject.tests[test])
        logits, _ = subject.model(batch.inputs)
        sequences, answers = sequences + size, answers + int(batch.scored.sum())
        yield batch, logits


def bounds_of(subject: Subject) -> tuple[Measurement, ...]:
    """Return what is known of a task without any model: chance and floor of the loss, chance of the accuracy."""
    bounds = subject.generator.bounds(length=subject.length, **subject.params)
    losses = (("chance_loss", bounds.chance_loss), ("floor_loss", bounds.floor_loss))
    found = tuple(Measurement(name=name, value=value, unit=bounds.loss_unit) for name, value in losses)
    if bounds.chance_accuracy is None:
        return found
    return (*found, Measurement(name="chance_accuracy", value=bounds.chance_accuracy, unit="1"))


def with_dilution(subject: Subject, loss: Measurement) -> tuple[Measurement, ...]:
    """Return a loss and, where the literature averages it over positions at which nothing is asked, `diluted_` it."""
    dilute = vars(subject.generator).get("diluted_loss")
    if dilute is None:
        return (loss,)
    value = dilute(loss.value, length=subject.length, **subject.params)
    return (loss, Measurement(name=f"diluted_{loss.name}", value=value, unit=loss.unit))


@torch.no_grad()
def surprisal(model: nn.Module, ids: Ids, *, length: int, context: int, batch: int = 64) -> tuple[Ids, Bits]:
    """Return which characters of a text were scored and the bits each cost the model: ids (N,) -> (S,), (S,).

    They are scored in windows of `length`, each once, with at least `context` characters to its left; exactly as many
    where the two are the same.
    """
    model.eval()
    device = next(model.parameters()).device
    positions, bits = [], []
    for window in scored_windows(ids, length=length, context=context, batch=batch):
        logits, _ = model(window.inputs.to(device))
        kept = logits[window.scored.to(device)].double()  # (S, V)
        loss = nn.functional.cross_entropy(kept, window.targets[window.scored].to(device), reduction="none")
        positions.append(window.tags["position"][window.scored].numpy())
        bits.append(loss.cpu().numpy() / math.log(2))
    return np.concatenate(positions), np.concatenate(bits)


@torch.no_grad()
def carried_surprisal(model: nn.Module, ids: Ids, *, context: int, readers: int = 16) -> Bits:
    """Return the bits of each character but the first `context`, with the state carried on: (N,) -> (N - context,).

    So many readers share the text; each carries its state through its part, which it enters `context` characters early.
    The text must be longer than context + readers.
    """
    model.eval()
    device = next(model.parameters()).device
    scored = len(ids) - context
    each = -(-scored // readers)
    starts = np.minimum(np.arange(readers) * each, scored - each)  # the last ones overlap those before
    read = torch.from_numpy(ids[starts[:, None] + np.arange(context + each)]).to(device)  # (readers, context + each)
    state, costs = None, []
    for piece in range(0, read.shape[1] - 1, PIECE):
        inputs = read[:, piece : min(piece + PIECE, read.shape[1] - 1)]
        logits, state = model(inputs, state)
        targets = read[:, piece + 1 : piece + 1 + inputs.shape[1]]
        loss = nn.functional.cross_entropy(logits.double().flatten(0, 1), targets.flatten(), reduction="none")
        costs.append(loss.view_as(targets).cpu().numpy() / math.log(2))
    kept = np.concatenate(costs, axis=1)[:, context - 1 :]  # (readers, each)
    bits = np.empty(scored)
    for start, row in zip(starts, kept, strict=True):
        bits[start : start + each] = row
    return bits
