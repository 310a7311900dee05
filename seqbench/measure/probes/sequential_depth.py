"""Sequential depth: how many operations of a forward pass must wait for each other, as T grows.

Every operation that computes something is one stage after the latest of its inputs; views cost nothing. What a fused
kernel does inside counts as one stage, so recurrent models are counted in their eager loop form.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from seqbench.measure.probes.base import Subject
from seqbench.measure.seeds import stream
from seqbench.record import Measurement


@torch.no_grad()
def measure(subject: Subject) -> tuple[Measurement, ...]:
    """Return the number of dependent stages of one forward pass over a sequence of the cell's length."""
    batch = subject.sample(stream("sequential depth", subject.task, subject.length, subject.seed), 1, subject.length)
    with CountStages() as counting:
        subject.model(batch.inputs)
    return (Measurement(name="sequential_depth", value=float(counting.deepest), unit="stage"),)


class CountStages(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While active, counts for every storage how many stages its content took."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.deepest = 0
        self._depths: dict[int, int] = {}
        self._alive: list[Tensor] = []  # a freed storage's address may be given to another

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and note the stage that its results belong to."""
        result = func(*args, **(kwargs or {}))
        before = max((self._depths.get(_address(tensor), 0) for tensor in _tensors((args, kwargs))), default=0)
        known = {_address(tensor) for tensor in _tensors((args, kwargs))}
        for tensor in _tensors(result):
            is_view = _address(tensor) in known and not func._schema.is_mutable
            self._depths[_address(tensor)] = before if is_view else before + 1
            self._alive.append(tensor)
            self.deepest = max(self.deepest, self._depths[_address(tensor)])
        return result


def _tensors(values: Any) -> Iterator[Tensor]:
    return (value for value in tree_flatten(values)[0] if isinstance(value, Tensor))


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
