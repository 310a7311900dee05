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
from seqbench.record import Environment

LIBRARIES = ("torch", "transformers", "numpy", "pydantic")


@cache
def describe(device: str, *, threads: int) -> Environment:
    """Return the facts about this machine for cells that run on a device ("cpu" or "cuda") with so many threads."""
    cpu = cpu_name()
    cores = usable_cores()
    gib = round(psutil.virtual_memory().total / 2**30)
    shown = cpu if device == "cpu" else gpu_name()
    return Environment(
        machine=machine_id(shown, cores, gib),
        cpu=cpu,
        cores=cores,
        memory_gib=gib,
        device="cpu" if device == "cpu" else shown,
        threads=threads,
        system=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        libraries={"seqbench": seqbench.__version__} | {name: _version(name) for name in LIBRARIES},
        commit=_commit(),
    )


def machine_id(processor: str, cores: int, memory_gib: int) -> str:
    """Return the folder name of a machine: made of what it is, so that equal machines share it."""
    return re.sub(r"[^a-z0-9]+", "-", f"{processor} {cores}c {memory_gib}g".lower()).strip("-")


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str | None:
    """Return the git commit of the checkout that seqbench runs from, or None when it is installed from a wheel."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None
    command = ["git", "-C", str(folder), "rev-parse", "--short=12", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()  # noqa: S603 - fixed words
    except (OSError, subprocess.SubprocessError):
        return None
