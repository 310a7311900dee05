"""What every probe receives, and what a probe file offers: `measure(subject) -> tuple[Measurement, ...]`.

A probe that scores trained models also offers `baselines(subject)`, what is known without the model: that much is
measured even where training diverged and there is nothing to score. Such probes share the fresh test sequences.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.measure.generators.base import Batch
from seqbench.measure.seeds import stream
from seqbench.measure.training import History
from seqbench.record import Measurement

SEQUENCES = 4096
"""So many fresh sequences score a trained model, in chunks of:"""
CHUNK = 512

Sample = Callable[[torch.Generator, int, int], Batch]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model and the task it stands before.

    sample: (rng, batch, length) -> Batch of the cell's task. generator, params: where those come from, for closed
    forms and held-out text. length: that of the cell. history: of the training, None where nothing was trained.
    seen: (N,) int64, every character that training on a generated text consumed; None elsewhere.
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
    history: History | None = None
    seen: Tensor | None = None


def answered(subject: Subject) -> Iterator[tuple[Batch, Tensor]]:
    """Yield fresh test sequences, chunk by chunk, each with the model's logits (B, T, V); iterate without gradients."""
    for chunk in range(SEQUENCES // CHUNK):
        rng = stream("test", subject.task, subject.length, subject.seed, chunk)
        batch = subject.sample(rng, CHUNK, subject.length)
        logits, _ = subject.model(batch.inputs)
        yield batch, logits


def bounds_of(subject: Subject) -> tuple[Measurement, ...]:
    """Return what is known of a task without any model: chance and floor of the loss, chance of the accuracy."""
    bounds = subject.generator.bounds(length=subject.length, **subject.params)
    losses = (("chance_loss", bounds.chance_loss), ("floor_loss", bounds.floor_loss))
    found = tuple(Measurement(name=name, value=value, unit=bounds.loss_unit) for name, value in losses)
    if bounds.chance_accuracy is None:
        return found
    return (*found, Measurement(name="chance_accuracy", value=bounds.chance_accuracy, unit="1"))
