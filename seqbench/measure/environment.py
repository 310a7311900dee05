"""Where a cell runs: hardware, system and library facts. No host name, user name or path is kept."""

import os
import platform
import re
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

import seqbench
from seqbench.measure import nvml
from seqbench.record import Environment, Gpu

LIBRARIES = ("torch", "transformers", "numpy", "pydantic")


def describe(device: str, *, threads: int) -> Environment:
    """Return the facts about this machine for cells that run on a device ("cpu" or "cuda") with so many threads."""
    return Environment(
        machine=machine_of(device),
        cpu=cpu_name(),
        cores=usable_cores(),
        memory_gib=memory_gib(),
        device="cpu" if device == "cpu" else gpu_name(),
        threads=threads,
        system=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        libraries={"seqbench": seqbench.__version__} | {name: _version(name) for name in LIBRARIES},
        commit=_commit(),
        governor=governor(),
        load_average=load_average(),
        backends=backends(),
        affinity=affinity(),
        gpu=gpu() if device == "cuda" else None,
    )


def machine_of(device: str) -> str:
    """Return the folder name of this machine for cells that run on a device; how busy it is does not enter."""
    return machine_id(cpu_name() if device == "cpu" else gpu_name(), usable_cores(), memory_gib())


def machine_id(processor: str, cores: int, memory_gib: int) -> str:
    """Return the folder name of a machine: made of what it is, so that equal machines share it."""
    return re.sub(r"[^a-z0-9]+", "-", f"{processor} {cores}c {memory_gib}g".lower()).strip("-")


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_gib() -> int:
    """Return the machine's memory in whole GiB."""
    return round(psutil.virtual_memory().total / 2**30)


def affinity() -> tuple[int, ...] | None:
    """Return the cores that this process may use, or None where it may use all."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    mine = tuple(sorted(os.sched_getaffinity(0)))
    return mine if len(mine) < (os.cpu_count() or 1) else None


def governor(folder: Path = Path("/sys/devices/system/cpu")) -> str | None:
    """Return how the system chooses the cores' clocks, as "performance"; where cores differ, all that are in use."""
    try:
        found = {path.read_text(encoding="utf-8").strip() for path in folder.glob("cpu*/cpufreq/scaling_governor")}
    except OSError:
        return None
    return ", ".join(sorted(found)) or None


def load_average() -> float | None:
    """Return how many processes ran or waited to, on average over the last minute."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def backends() -> dict[str, str]:
    """Return which of torch's libraries compute, with which instructions, and what is rounded away.

    Numbers too small for their exponent ("denormal") are slow on many processors and vanish when they are flushed to
    zero, which torch has no question for: one is multiplied by 1.
    """
    import torch  # noqa: PLC0415 - as below

    from seqbench.measure import precision  # noqa: PLC0415 - as below

    denormal = torch.tensor([1e-310], dtype=torch.float64)
    flags = torch.backends
    return {
        "onednn": _on(flags.mkldnn.is_available() and flags.mkldnn.enabled),  # type: ignore[no-untyped-call]
        "mkl": _on(flags.mkl.is_available()),  # type: ignore[no-untyped-call]
        "openmp": _on(flags.openmp.is_available()),  # type: ignore[no-untyped-call]
        "instructions": flags.cpu.get_cpu_capability(),
        "flush_denormal": _on((denormal * 1.0 == 0).item()),
        "tf32": _on(precision.rounds_to_tf32()),
    }


def gpu() -> Gpu | None:
    """Return how the CUDA device in use stands, or None where its management library does not answer."""
    return nvml.describe(nvml.library(), nvml.uuid_in_use())


def cpu_name() -> str:
    """Return the processor's model name."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


def gpu_name() -> str:
    """Return the name of the CUDA device in use."""
    import torch  # noqa: PLC0415 - two seconds that a run on the CPU's parent process does not need

    return torch.cuda.get_device_name()


def _on(answer: object) -> str:
    return "on" if answer else "off"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


@cache
def _commit() -> str | None:
    """Return the git commit of the checkout that seqbench runs from, or None when it is installed from a wheel.

    It ends with "-dirty" where a file of the checkout is not as that commit has it.
    """
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None
    command = ["git", "-C", str(folder), "describe", "--always", "--exclude=*", "--abbrev=12", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()  # noqa: S603 - fixed words
    except (OSError, subprocess.SubprocessError):
        return None
