"""What every generator returns: one batch of sequences with what is asked about them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from seqbench.errors import InvalidInput

UNSCORED = -100
"""No class: what the library's cross-entropy passes over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Sequences and the questions asked about them.

    inputs: (B, T) int64 tokens, or (B, T, D) floats of a real-valued task.
    targets: (B, T), the right answer at every scored position: int64 classes, any valid one elsewhere, or the
    float32 numbers of a regression, which is answered by a single output.
    scored: (B, T) bool, where the loss and the score are taken.
    tags: name -> (B, T) int64, facts about each position (its lag, the decision it takes) for sliced scores.
    labels: (B, T) int64, the targets with `UNSCORED` where nothing is asked for; of classes that lie on a GPU, where
    to look for the scored positions would be to wait for it.
    places: (S,) int64, the scored positions counted through the flat (B · T) batch, where they were looked for ahead.
    """

    inputs: Tensor
    targets: Tensor
    scored: Tensor
    tags: Mapping[str, Tensor] = field(default_factory=dict)
    labels: Tensor | None = None
    places: Tensor | None = None

    def to(self, device: torch.device) -> "Batch":
        """Return the same batch on a device; a GPU fetches it when it comes to it, and nobody waits."""

        def moved(part: Tensor) -> Tensor:
            return part.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else part.to(device)

        return Batch(
            inputs=moved(self.inputs),
            targets=moved(self.targets),
            scored=moved(self.scored),
            tags={name: moved(tag) for name, tag in self.tags.items()},
            labels=moved(labelled(self)) if device.type == "cuda" and not self.targets.is_floating_point() else None,
        )


def located(batch: Batch) -> Batch:
    """Return the batch with its places looked for; one on a GPU stays as it is, for that would wait for it."""
    return batch if batch.scored.is_cuda else replace(batch, places=places_of(batch))


def places_of(batch: Batch) -> Tensor:
    """Return the scored positions counted through the flat (B · T) batch: (S,) int64."""
    return batch.scored.flatten().nonzero().squeeze(1) if batch.places is None else batch.places


def labelled(batch: Batch) -> Tensor:
    """Return the targets of classes with `UNSCORED` where nothing is asked for: (B, T)."""
    return batch.targets.masked_fill(~batch.scored, UNSCORED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What a model must fit.

    vocab: how many tokens it reads. inputs: how many floats per position, of a real-valued task.
    outputs: how many classes it answers, 1 for a regression. Exactly one of vocab and inputs is a number.
    """

    vocab: int | None
    outputs: int
    inputs: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How well a task can be answered: losses per scored position, accuracies where they are known.

    chance: the best prediction that looks at nothing. floor: the best that looks at everything before.
    chance_loss, floor_loss: in loss_unit, which is "squared error" for a regression.
    """

    chance_loss: float
    floor_loss: float
    loss_unit: str = "nat"
    chance_accuracy: float | None = None
    floor_accuracy: float | None = None


def at_least(least: int, **given: int) -> None:
    """Raise InvalidInput naming every parameter that is less than `least`."""
    wrong = [f"{name} {value}" for name, value in given.items() if value < least]
    if wrong:
        raise InvalidInput(f"{', '.join(wrong)}: too small; give at least {least}")


def distinct(rng: torch.Generator, *, batch: int, among: int, count: int) -> Tensor:
    """Return `count` different numbers of 0 … `among`-1 per row, uniform and in random order: (B, count)."""
    return torch.rand(batch, among, generator=rng, dtype=torch.float64).topk(count).indices


def at_the_end(values: Tensor, length: int) -> Tensor:
    """Return zeros but for the last position: (B,) -> (B, T)."""
    placed = torch.zeros(len(values), length, dtype=values.dtype)
    placed[:, -1] = values
    return placed
