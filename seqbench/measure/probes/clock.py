"""The ports of every timing: a clock, the load of the machine, and waiting for the device. Tests give fakes.

Nothing else in the package asks what time it is to measure a model.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import psutil
import torch

from seqbench.measure import nvml


@dataclass(frozen=True, slots=True)
class Load:
    """Processor seconds used so far: by everybody on the machine, and by this process and its parent."""

    everybody: float
    own: float


@dataclass(frozen=True, slots=True)
class Peak:
    """Bytes of device memory that a call needed at most above what lay there before, allocated and reserved."""

    allocated: int
    reserved: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What a timing needs of the world.

    now: seconds. load: processor seconds so far. wait: until the device is done. run: make a call and return the
    seconds between events on the device's own clock, None where the device is the processor. peak: device memory that
    a call needs, None where the device has no allocator that tells. foreign_processes: of other programs that compute
    on the device now, None where that cannot be told.
    """

    now: Callable[[], float]
    load: Callable[[], Load]
    wait: Callable[[], None]
    run: Callable[[Callable[[], object]], float | None]
    peak: Callable[[Callable[[], object]], Peak | None]
    foreign_processes: Callable[[], int | None] = lambda: None


def this_machine(device: torch.device) -> Ports:
    """Return the real ports: a monotonic clock, the kernel's own accounts, and the device's synchronisation."""
    if device.type == "cuda":
        return Ports(
            now=time.perf_counter,
            load=_load,
            wait=torch.cuda.synchronize,
            run=_between_events,
            peak=_cuda_peak,
            foreign_processes=partial(nvml.foreign_processes, nvml.library(), nvml.uuid_in_use()),
        )
    return Ports(now=time.perf_counter, load=_load, wait=_nothing, run=_run, peak=_no_peak)


def _load() -> Load:
    times = psutil.cpu_times()
    waiting = times.idle + getattr(times, "iowait", 0.0)
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # counted in user already
    everybody = sum(times) - waiting - guests
    family = [psutil.Process(), psutil.Process().parent()]
    own = sum(sum(member.cpu_times()[:2]) for member in family if member is not None)
    return Load(everybody=everybody, own=own)


def _nothing() -> None:
    """Wait for nothing: a processor has done its work when the call returns."""


def _run(call: Callable[[], object]) -> float | None:
    """Make a call; the processor has no clock of its own beside the wall's."""
    call()
    return None


def _between_events(call: Callable[[], object]) -> float | None:
    """Make a call between two CUDA events and return the seconds between them."""
    begun, ended = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    begun.record()
    call()
    ended.record()
    ended.synchronize()
    return float(begun.elapsed_time(ended)) / 1000


def _no_peak(_call: Callable[[], object]) -> Peak | None:
    """Return None: the processor's allocator does not tell."""
    return None


def _cuda_peak(call: Callable[[], object]) -> Peak | None:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    allocated, reserved = torch.cuda.memory_allocated(), torch.cuda.memory_reserved()
    call()
    torch.cuda.synchronize()
    return Peak(torch.cuda.max_memory_allocated() - allocated, torch.cuda.max_memory_reserved() - reserved)
