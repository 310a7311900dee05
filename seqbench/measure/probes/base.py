"""What every probe receives, and what a probe file offers: `measure(subject) -> tuple[Measurement, ...]`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.measure.generators.base import Batch
from seqbench.measure.training import History

Sample = Callable[[torch.Generator, int, int], Batch]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model and the task it stands before.

    sample: (rng, batch, length) -> Batch of the cell's task. generator, params: where those come from, for closed
    forms and held-out text. length: T of the cell. history: of the training, None where nothing was trained.
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
    history: History | None = None
    seen: Tensor | None = None
