"""What NVIDIA's management library tells of the GPU in use: clocks, power, and who else computes on it.

It comes with the extra `gpu`. Where it is not installed, or does not answer, a fact is None and never an error.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar, cast

import psutil

from seqbench.record import Gpu

T = TypeVar("T")

_REASONS = {
    0x1: "idle",
    0x2: "clocks set by hand",
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x10: "kept in step with other GPUs",
    0x20: "driver's thermal slowdown",
    0x40: "hardware's thermal slowdown",
    0x80: "external power brake",
    0x100: "clocks of a display",
}
"""Bits of nvmlDeviceGetCurrentClocksEventReasons, as nvml.h numbers them."""


def library() -> ModuleType | None:
    """Return the management library, ready to be asked, or None where there is none."""
    try:
        import pynvml  # noqa: PLC0415 - of the extra `gpu`, which need not be installed

        pynvml.nvmlInit()
    except Exception:  # not installed, or no driver: the library's errors are known only once it is imported
        return None
    return cast("ModuleType", pynvml)


def describe(nvml: Any | None, uuid: str) -> Gpu | None:
    """Return what the library says of the GPU with this identity ("GPU-…"), or None where it knows none."""
    handle = _handle(nvml, uuid)
    if nvml is None or handle is None:
        return None
    milliwatts = _asked(lambda: float(nvml.nvmlDeviceGetEnforcedPowerLimit(handle)))
    return Gpu(
        driver=_asked(lambda: str(nvml.nvmlSystemGetDriverVersion())),
        clock_mhz=_asked(lambda: int(nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM))),
        most_clock_mhz=_asked(lambda: int(nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_SM))),
        memory_clock_mhz=_asked(lambda: int(nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM))),
        power_limit_watts=None if milliwatts is None else milliwatts / 1000,
        throttled_by=_asked(lambda: _reasons(int(nvml.nvmlDeviceGetCurrentClocksEventReasons(handle)))),
        foreign_processes=foreign_processes(nvml, uuid),
    )


def foreign_processes(nvml: Any | None, uuid: str) -> int | None:
    """Return how many processes that are not of this program compute on a GPU; None where that cannot be told.

    Inside a container the library may count processes by numbers of the system outside it, which say nothing here: a
    number that no process has is taken for such a one.
    """
    handle = _handle(nvml, uuid)
    if nvml is None or handle is None:
        return None
    found = _asked(lambda: {int(process.pid) for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle)})
    if found is None or not all(map(psutil.pid_exists, found)):
        return None
    return len(found - _family())


def uuid_in_use() -> str:
    """Return the identity of the CUDA device in use, as the library names it."""
    import torch  # noqa: PLC0415 - two seconds that who asks about a processor does not need

    return f"GPU-{torch.cuda.get_device_properties(torch.cuda.current_device()).uuid}"


def _family() -> set[int]:
    """Return this process, its parent and all that the parent started: a panel's other processes are no strangers."""
    parent = psutil.Process().parent()
    root = psutil.Process() if parent is None else parent
    return {psutil.Process().pid, root.pid, *(child.pid for child in root.children(recursive=True))}


def _handle(nvml: Any | None, uuid: str) -> Any | None:
    return None if nvml is None else _asked(lambda: nvml.nvmlDeviceGetHandleByUUID(uuid))


def _reasons(bits: int) -> tuple[str, ...]:
    return tuple(name for bit, name in _REASONS.items() if bits & bit)


def _asked(question: Callable[[], T]) -> T | None:
    try:
        return question()
    except Exception:  # each driver and card answers some questions and refuses others
        return None
