"""Bytes of the state that a model carries from one token to the next, per sequence, after a whole sequence."""

from typing import Any

import torch

from seqbench.measure.models.base import tensors_of
from seqbench.measure.probes.base import Subject
from seqbench.measure.seeds import stream
from seqbench.record import Measurement


@torch.no_grad()
def measure(subject: Subject) -> tuple[Measurement, ...]:
    """Return the bytes of the state object after one sequence of the cell's length."""
    batch = subject.sample(stream("state bytes", subject.task, subject.length, subject.seed), 1, subject.length)
    _, state = subject.model.eval()(batch.inputs)
    return (Measurement(name="state_bytes", value=float(state_bytes(state)), unit="byte"),)


def state_bytes(state: Any) -> int:
    """Return the bytes of every distinct tensor in a state."""
    return sum(part.numel() * part.element_size() for part in tensors_of(state))
