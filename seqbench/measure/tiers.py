"""The tiers of a timing: a call as the library runs it, recorded as a CUDA graph, compiled, or at fewer digits."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import nn

from seqbench.cell import TimingConfig
from seqbench.measure import capture, precision
from seqbench.measure.probes import PROBES
from seqbench.measure.probes.base import Subject
from seqbench.measure.probes.clock import Ports
from seqbench.measure.rounds import Block


class Impossible(Exception):
    """A model that cannot be timed in this tier, with the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What is timed. plain: the same call kernel by kernel, which takes its memory anew. seconds: of compiling."""

    block: Block
    plain: Callable[[], object]
    seconds: float | None = None


def build(probe: str, subject: Subject, timing: TimingConfig, ports: Ports) -> Built:
    """Return the call that a probe times, in the tier that the timing asks for.

    Raises Impossible where the model, or the device, does not have it.
    """
    compiled = timing.launch == "compiled"
    model = cast("nn.Module", torch.compile(subject.model)) if compiled else subject.model
    block: Block = PROBES.load(probe).block(replace(subject, model=model), timing)
    plain = precision.cast(block.call, timing.precision, subject.device)
    seconds = _first_call(plain, ports) if compiled else None
    call = _recorded(plain, subject.device) if timing.launch == "graph" else plain
    return Built(block=replace(block, call=call), plain=plain, seconds=seconds)


def _first_call(call: Callable[[], object], ports: Ports) -> float:
    """Return the seconds of a first call, which compiles the model."""
    begun = ports.now()
    try:
        call()
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # a compiler may raise anything
        raise Impossible(f"cannot be compiled: {type(error).__name__}: {error}".partition("\n")[0]) from error
    ports.wait()
    return ports.now() - begun


def _recorded(call: Callable[[], object], device: torch.device) -> Callable[[], object]:
    if device.type != "cuda":
        raise Impossible(f"CUDA graphs need a CUDA device; this study runs on {device.type}")
    try:
        recording = capture.record(call)
    except capture.CannotCapture as error:
        raise Impossible(f"cannot be recorded as a CUDA graph: {error}") from error
    return recording.again
