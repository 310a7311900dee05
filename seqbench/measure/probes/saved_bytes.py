"""Bytes that autograd keeps between forward and backward: deterministic for the kernels that run.

Counted by hooks on saved tensors: each distinct storage once, parameters left out. What a fused kernel keeps inside
itself without saving it as a tensor, and the transient peak, are not in it.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.measure.probes.base import Subject
from seqbench.measure.seeds import stream
from seqbench.measure.training import scored_loss
from seqbench.record import Measurement

SEQUENCES = 4


def measure(subject: Subject) -> tuple[Measurement, ...]:
    """Return the bytes saved by forward and loss for 4 sequences of the cell's length, and the same per token."""
    batch = subject.sample(stream("saved bytes", subject.task, subject.length, subject.seed), SEQUENCES, subject.length)
    model = subject.model.train()
    held = saved_bytes(lambda: scored_loss(model(batch.inputs)[0], batch), ignoring=model)
    return (
        Measurement(name="saved_bytes", value=float(held), unit="byte"),
        Measurement(name="saved_bytes_per_token", value=held / batch.targets.numel(), unit="byte/token"),
    )


def saved_bytes(forward: Callable[[], Any], *, ignoring: nn.Module) -> int:
    """Return the bytes of all distinct storages saved for backward while `forward` runs, without the parameters."""
    own = {parameter.untyped_storage().data_ptr() for parameter in ignoring.parameters()}
    kept: list[Tensor] = []  # holding every tensor keeps its address from being given to the next one

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = forward()
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in kept}
    del result
    return sum(size for address, size in storages.items() if address not in own)
