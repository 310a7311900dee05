"""What the machine can do at best, measured where models are timed: products of matrices, and reading and writing.

Peak: 2·n³ operations over the time of a square product, in the precision of the timing. Bandwidth: bytes read and
written over the time of y ← x + 1, on arrays that no cache holds. Of several calls the fastest counts, as the noise of
a machine only ever adds.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from seqbench.measure.precision import Precision
from seqbench.measure.probes.clock import Ports
from seqbench.measure.seeds import stream

LEAST_CALLS = 3
LOOK_SECONDS = 0.05
"""Each of the two is called at least so often and so long, after one call that does not count."""
SIZES = {"cpu": 1024, "cuda": 8192}
"""Rows and columns of the matrices."""
MEBIBYTES = {"cpu": 64, "cuda": 512}
"""Of each of the two arrays; a GPU's cache holds some fifty."""


@dataclass(frozen=True, slots=True)
class Roofline:
    """The most that a machine does in one process: `peak_flops` in FLOP/s, `bandwidth` in byte/s."""

    peak_flops: float
    bandwidth: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The two calls, with the operations of the first and the bytes of the second."""

    product: Callable[[], object]
    operations: float
    copy: Callable[[], object]
    moved_bytes: float


def measure(work: Work, ports: Ports) -> Roofline:
    """Return the roofline that a clock sees of this work."""
    return Roofline(
        peak_flops=work.operations / fastest(work.product, ports),
        bandwidth=work.moved_bytes / fastest(work.copy, ports),
    )


def fastest(call: Callable[[], object], ports: Ports) -> float:
    """Return the least seconds of a call, by the device's own clock where it has one."""
    call()
    ports.wait()
    begun, seconds = ports.now(), list[float]()
    while len(seconds) < LEAST_CALLS or ports.now() - begun < LOOK_SECONDS:
        before = ports.now()
        device = ports.run(call)
        ports.wait()
        seconds.append(ports.now() - before if device is None else device)
    return min(seconds)


def work_of(device: torch.device, precision: Precision | None = None) -> Work:
    """Return the work that suits a device: x and y lie on it, and no call allocates."""
    size, floats = SIZES[device.type], MEBIBYTES[device.type] * 2**20 // 4
    matrix = torch.rand(size, size, generator=stream("roofline")).to(device)
    if precision == "bf16":
        matrix = matrix.bfloat16()
    product, x, y = torch.empty_like(matrix), torch.ones(floats, device=device), torch.empty(floats, device=device)

    def multiply() -> Tensor:
        return torch.mm(matrix, matrix, out=product)

    def copy() -> Tensor:
        return torch.add(x, 1, out=y)

    return Work(product=multiply, operations=2.0 * size**3, copy=copy, moved_bytes=8.0 * floats)
