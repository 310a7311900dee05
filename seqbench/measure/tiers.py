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
    """What is timed.

    plain: the same call kernel by kernel, which takes its memory anew. seconds: of compiling, with the first call.
    """

    block: Block
    plain: Callable[[], object]
    seconds: float | None = None


def build(probe: str, subject: Subject, timing: TimingConfig, ports: Ports) -> Built:
    """Return the call that a probe times, in the tier that the timing asks for.

    Raises Impossible where the model, or the device, does not have it.
    """
    if timing.launch != "compiled":
        block = _plain(probe, subject, timing)
        call = _recorded(block.call, subject.device) if timing.launch == "graph" else block.call
        return Built(block=replace(block, call=call), plain=block.call)
    subject = replace(subject, model=cast("nn.Module", torch.compile(subject.model)))
    begun = ports.now()
    try:
        block = _plain(probe, subject, timing)  # what reads a context first, compiles here
        block.call()
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # a compiler may raise anything
        raise Impossible(f"cannot be compiled: {type(error).__name__}: {error}".partition("\n")[0]) from error
    ports.wait()
    return Built(block=block, plain=block.call, seconds=ports.now() - begun)


def _plain(probe: str, subject: Subject, timing: TimingConfig) -> Block:
    block: Block = PROBES.load(probe).block(subject, timing)
    return replace(block, call=precision.cast(block.call, timing.precision, subject.device))


def _recorded(call: Callable[[], object], device: torch.device) -> Callable[[], object]:
    if device.type != "cuda":
        raise Impossible(f"CUDA graphs need a CUDA device; this study runs on {device.type}")
    try:
        recording = capture.record(call)
    except capture.CannotCapture as error:
        raise Impossible(f"cannot be recorded as a CUDA graph: {error}") from error
    return recording.again
