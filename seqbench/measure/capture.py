"""CUDA graphs: work that is recorded once and then replayed with one launch, however many kernels it has.

A step of a small model is a hundred kernels of a few microseconds, each launched by Python in a longer time than it
runs. A replay launches all of them at once (`torch.cuda.CUDAGraph`); the numbers are those of the same kernels.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from seqbench.measure.generators.base import Batch

T = TypeVar("T")

WARM_UPS = 3
"""So many calls before recording, as the library asks for: kernels are chosen and memory is taken in them."""
AGREES = 1e-3
"""A replay whose result is further from the call's own than this share of it is not used."""
MOST_SHAPES = 64
"""Of one training so many shapes of a batch are recorded; a further one is not replayed."""


class CannotCapture(Exception):
    """A call that no graph can hold: it waits for the device, or what it does changes from one call to the next."""


@dataclass(frozen=True, slots=True)
class Recording(Generic[T]):
    """A recorded call: `replay()` does it again, and overwrites `result`. What it reads lives as long as the call."""

    replay: Callable[[], object]
    result: T
    call: Callable[[], T]

    def again(self) -> T:
        """Do it again; return its result, which the next time overwrites."""
        self.replay()
        return self.result


Recorder = Callable[[Callable[[], Any]], Recording[Any]]


def record(call: Callable[[], T]) -> Recording[T]:
    """Return a recording of a call, made after `WARM_UPS` calls that really run; recording itself computes nothing.

    Raises CannotCapture, also where memory lacks for a recording of its own.
    """
    aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    aside.wait_stream(torch.cuda.current_stream())
    try:
        with torch.cuda.stream(aside):
            for _ in range(WARM_UPS):
                call()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            result = call()
    except Exception as error:  # an own model may raise anything
        torch.cuda.synchronize()
        raise CannotCapture(f"{type(error).__name__}: {error}".partition("\n")[0]) from error
    return Recording(graph.replay, result, call)


class Replayed:
    """The training step of a model as recordings, one for each shape of a batch; what a step returns is its own.

    step: takes a batch, returns (loss, gradient norm) and moves the weights. Weights, buffers and the optimiser's state
    are those of before once a recording is made: its warm-ups and its trial leave no trace in them. A step that puts
    another tensor in the place of one of these is refused, and one that draws random numbers, as dropout does, is
    told by its trial. What a model keeps outside its tensors, as a count in Python, a replay cannot see.
    """

    def __init__(
        self,
        step: Callable[[Batch], Tensor],
        *,
        model: nn.Module,
        optimiser: torch.optim.Optimizer,
        recorder: Recorder = record,
    ) -> None:
        self._step = step
        self._model = model
        self._optimiser = optimiser
        self._record = recorder
        self._recordings: dict[tuple[tuple[int | str, ...], ...], tuple[Batch, Recording[Tensor]]] = {}

    def __call__(self, batch: Batch) -> Tensor:
        """Take one step.

        Raises CannotCapture, with nothing changed, where a shape is new and the step cannot be recorded.
        """
        shape = tuple((*part.shape, str(part.dtype)) for part in _parts(batch))
        if shape not in self._recordings:
            if len(self._recordings) == MOST_SHAPES:
                raise CannotCapture(f"batches of more than {MOST_SHAPES} shapes")
            self._recordings[shape] = self._recorded(batch)
        place, recording = self._recordings[shape]
        for part, new in zip(_parts(place), _parts(batch), strict=True):
            part.copy_(new)
        recording.replay()
        return recording.result.clone()  # the next replay overwrites it

    def _recorded(self, batch: Batch) -> tuple[Batch, Recording[Tensor]]:
        place = Batch(
            inputs=batch.inputs.clone(),
            targets=batch.targets.clone(),
            scored=batch.scored.clone(),
            labels=None if batch.labels is None else batch.labels.clone(),
        )
        with self._unchanged():
            held = self._held()
            expected = self._step(place).clone()
            if [id(part) for _, _, part in self._held()] != [id(part) for _, _, part in held]:
                raise CannotCapture("the step puts another tensor in the place of a weight or buffer")
        with self._unchanged():
            recording = self._record(lambda: self._step(place))
        with self._unchanged():
            recording.replay()
            found = recording.result.clone()
        if not torch.allclose(found, expected, rtol=AGREES, atol=AGREES**2, equal_nan=True):
            raise CannotCapture(f"a replay gives {found.tolist()} where the step itself gives {expected.tolist()}")
        return place, recording

    @contextmanager
    def _unchanged(self) -> Iterator[None]:
        """Put the weights, and what the optimiser remembers, back to what they were before the block."""
        before = [(home, name, part, part.detach().clone()) for home, name, part in self._held()]
        remembered = {id(part): part.clone() for part in self._remembered()}
        try:
            yield
        finally:
            for home, name, part, value in before:
                part.detach().copy_(value)
                home[name] = part
            for part in self._remembered():  # moments begin as zeros, and so does the count of steps
                part.copy_(remembered[id(part)]) if id(part) in remembered else part.zero_()

    def _held(self) -> list[tuple[dict[str, Any], str, Tensor]]:
        """Return the weights and buffers, each with the dictionary of its module that holds it, and its name there."""
        return [
            (home, name, part)
            for module in self._model.modules()
            for home in (module._parameters, module._buffers)
            for name, part in home.items()
            if part is not None
        ]

    def _remembered(self) -> list[Tensor]:
        return [part for state in self._optimiser.state.values() for part in state.values() if isinstance(part, Tensor)]


def _parts(batch: Batch) -> tuple[Tensor, ...]:
    """Return what the loss is computed from."""
    return (batch.inputs, batch.targets, batch.scored) if batch.labels is None else (batch.inputs, batch.labels)
