"""What keeps a machine from good measurements: libraries, device, folders, and how quiet it is."""

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch

from seqbench.corpus import cache_folder
from seqbench.measure.environment import describe, gpu
from seqbench.measure.probes.clock import Ports, this_machine
from seqbench.measure.rounds import MOST_FOREIGN_CORES, foreign_cores
from seqbench.record import Environment, Gpu

LOOK_SECONDS = 1.0

Sleep = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: its name, what was found, and whether it stands in the way of something."""

    name: str
    found: str
    fine: bool

    def row(self) -> Mapping[str, object]:
        """Return the finding as a row with `name` first."""
        return {"name": self.name, "fine": self.fine, "found": self.found}


def examine(folder: Path, *, sleep: Sleep, ports: Ports | None = None) -> tuple[Finding, ...]:
    """Return everything that was looked at; `folder` is where studies would be written, `sleep` waits one look."""
    here = describe("cpu", threads=1)
    libraries = ", ".join(f"{name} {number}" for name, number in here.libraries.items())
    judging = ", ".join(f"{name} {version(name)}" for name in ("pandas", "scipy", "matplotlib"))
    return (
        Finding("machine", f"{here.cpu}, {here.cores} cores, {here.memory_gib} GiB", fine=True),
        Finding("system", here.system, fine=True),
        Finding("libraries", f"{libraries}, {judging}", fine=True),
        Finding("commit", here.commit or "not a checkout", fine=True),
        Finding("cores", cores(here), fine=True),
        Finding("backends", ", ".join(f"{name} {state}" for name, state in (here.backends or {}).items()), fine=True),
        _device(),
        *gpu_findings(gpu() if torch.cuda.is_available() else None),
        _writable("results folder", folder),
        _writable("cache folder", cache_folder()),
        _quiet(sleep, ports or this_machine(torch.device("cpu"))),
    )


def _device() -> Finding:
    if not torch.cuda.is_available():
        return Finding("device", "no CUDA device: GPU atoms stay NOT TESTED", fine=True)
    gib = torch.cuda.get_device_properties(0).total_memory / 2**30
    return Finding("device", f"{torch.cuda.get_device_name()}, {gib:.0f} GiB; use --device cuda", fine=True)


def cores(here: Environment) -> str:
    """Return which cores may be used and who sets their clocks; what is not "performance" is noted, not a fault."""
    which = "all may be used" if here.affinity is None else f"{', '.join(map(str, here.affinity))} may be used"
    if here.governor is None:
        return f"{which}; the system does not tell its clock governor"
    if here.governor == "performance":
        return f"{which}; clock governor performance"
    return f"{which}; clock governor {here.governor}: times vary less under performance"


def gpu_findings(found: Gpu | None) -> tuple[Finding, ...]:
    """Return what the GPU's management library tells, if it answers; strangers on the GPU spoil timing."""
    if found is None:
        return ()
    told = {
        "driver": found.driver,
        "MHz": found.clock_mhz,
        "MHz at most": found.most_clock_mhz,
        "W at most": found.power_limit_watts,
        "held down by": None if found.throttled_by is None else ", ".join(found.throttled_by) or "nothing",
    }
    facts = "; ".join(f"{name} {value}" for name, value in told.items() if value is not None)
    if found.foreign_processes:
        busy = f"processes of other programs compute on it ({found.foreign_processes}): timing cells would be contended"
        return (Finding("gpu", f"{facts}; {busy}", fine=False),)
    return (Finding("gpu", facts, fine=True),)


def _writable(name: str, folder: Path) -> Finding:
    """Try to write a file where the folder is or would be made; nothing is left behind."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        return Finding(name, f"{folder} cannot be written ({error.strerror}); choose another", fine=False)
    return Finding(name, f"{folder} can be written", fine=True)


def _quiet(sleep: Sleep, ports: Ports) -> Finding:
    begun, before = ports.now(), ports.load()
    sleep(LOOK_SECONDS)
    foreign = foreign_cores(before, ports.load(), seconds=ports.now() - begun)
    load = f"other processes keep {foreign:.2f} cores busy"
    average = f"; load average {os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else ""
    if foreign > MOST_FOREIGN_CORES:
        return Finding("quietness", f"{load}{average}: timing cells would be contended", fine=False)
    return Finding("quietness", f"{load}{average}: quiet enough for timing", fine=True)
