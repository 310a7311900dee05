"""Where a cell ran: facts that make the machine, facts that pass, and a GPU's library that may be silent."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from seqbench.measure import doctor, environment, nvml
from seqbench.record import Environment, Gpu


def test_the_machine_is_the_same_under_another_load(monkeypatch):
    """The load is told, and does not enter the name of the machine's folder."""
    found = []
    for load in (0.25, 7.5):
        monkeypatch.setattr(os, "getloadavg", lambda load=load: (load, 0.0, 0.0))
        found.append(environment.describe("cpu", threads=1))
    assert [here.load_average for here in found] == [0.25, 7.5]
    assert found[0].machine == found[1].machine == environment.machine_of("cpu")


def test_an_environment_written_before_these_facts_still_reads():
    """A record without governor, load, backends, affinity and GPU has None there."""
    old = environment.describe("cpu", threads=1).model_dump()
    for name in ("governor", "load_average", "backends", "affinity", "gpu"):
        del old[name]
    read = Environment.model_validate_json(json.dumps(old))
    assert (read.governor, read.load_average, read.backends, read.affinity, read.gpu) == (None,) * 5


def test_the_governors_in_use_are_named(tmp_path):
    """Where cores differ all their governors are named; a system without any tells None."""
    assert environment.governor(tmp_path) is None
    for core, name in enumerate(("powersave", "performance", "powersave")):
        place = tmp_path / f"cpu{core}" / "cpufreq"
        place.mkdir(parents=True)
        (place / "scaling_governor").write_text(f"{name}\n")
    assert environment.governor(tmp_path) == "performance, powersave"


def test_cores_are_named_only_where_not_all_may_be_used(monkeypatch):
    """A process that may use every core has no affinity; one that is held to some names them."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {2, 0}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert environment.affinity() is None
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert environment.affinity() == (0, 2)


def test_flushing_small_numbers_is_seen():
    """Where numbers too small for their exponent are flushed to zero, the backends say so."""
    code = (
        "import sys, torch; from seqbench.measure.environment import backends\n"
        "torch.set_flush_denormal(sys.argv[1] == 'on'); print(backends()['flush_denormal'])"
    )
    for state in ("on", "off"):  # in a process of their own, as the setting is the whole process's
        shown = subprocess.check_output([sys.executable, "-c", code, state], text=True)
        assert shown.strip() == state


def fake_nvml(*pids, refuses=()):
    """A library with one GPU, "GPU-1", on which these processes compute; what it is told to refuse raises."""
    answers = {
        "nvmlDeviceGetHandleByUUID": lambda uuid: {"GPU-1": "handle"}[uuid],
        "nvmlSystemGetDriverVersion": lambda: "580.1",
        "nvmlDeviceGetClockInfo": lambda _, kind: {1: 1200, 2: 2600}[kind],
        "nvmlDeviceGetMaxClockInfo": lambda _, kind: {1: 1980, 2: 2619}[kind],
        "nvmlDeviceGetEnforcedPowerLimit": lambda _: 350_000,
        "nvmlDeviceGetCurrentClocksEventReasons": lambda _: 0x4 | 0x40,
        "nvmlDeviceGetComputeRunningProcesses": lambda _: [SimpleNamespace(pid=pid) for pid in pids],
    }
    refused = dict.fromkeys(refuses, _refuse)
    return SimpleNamespace(NVML_CLOCK_SM=1, NVML_CLOCK_MEM=2, **(answers | refused))


def _refuse(*_):
    raise RuntimeError("Not Supported")


KNOWN = Gpu(
    driver="580.1",
    clock_mhz=1200,
    most_clock_mhz=1980,
    memory_clock_mhz=2600,
    power_limit_watts=350.0,
    throttled_by=("power cap", "hardware's thermal slowdown"),
    foreign_processes=0,
)


def test_a_gpu_is_described_by_its_library():
    """Clocks in MHz, the power limit in watts, and what holds the clocks down, in words."""
    assert nvml.describe(fake_nvml(os.getpid()), "GPU-1") == KNOWN


@pytest.mark.parametrize(
    ("refused", "field"),
    [
        ("nvmlSystemGetDriverVersion", "driver"),
        ("nvmlDeviceGetEnforcedPowerLimit", "power_limit_watts"),
        ("nvmlDeviceGetCurrentClocksEventReasons", "throttled_by"),
        ("nvmlDeviceGetComputeRunningProcesses", "foreign_processes"),
    ],
)
def test_what_the_library_refuses_is_none_and_the_rest_is_told(refused, field):
    """A question that a card does not answer leaves its own fact out and no other."""
    assert nvml.describe(fake_nvml(refuses=(refused,)), "GPU-1") == KNOWN.model_copy(update={field: None})


def test_without_a_library_or_an_answer_there_is_no_gpu_to_tell_of():
    """No library, and a library that does not know the GPU, are None and no error."""
    assert nvml.describe(None, "GPU-1") is None
    assert nvml.describe(fake_nvml(), "GPU-2") is None
    assert nvml.foreign_processes(None, "GPU-1") is None


def test_the_programs_own_processes_are_no_strangers():
    """Process 1 is a stranger, this process and what its parent started are not; unknown numbers tell nothing."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert nvml.foreign_processes(fake_nvml(os.getpid(), child.pid), "GPU-1") == 0
        assert nvml.foreign_processes(fake_nvml(os.getpid(), child.pid, 1), "GPU-1") == 1
        assert nvml.foreign_processes(fake_nvml(os.getpid(), 2**22 + 7), "GPU-1") is None
    finally:
        child.communicate(b"\n")


def test_the_doctor_notes_a_governor_and_objects_to_strangers():
    """A governor that saves power is a note; another program on the GPU stands in the way of timing."""
    here = environment.describe("cpu", threads=1).model_copy(update={"governor": "powersave", "affinity": (0, 2)})
    assert doctor.cores(here) == "0, 2 may be used; clock governor powersave: times vary less under performance"
    assert doctor.gpu_findings(None) == ()
    (quiet,) = doctor.gpu_findings(KNOWN)
    (busy,) = doctor.gpu_findings(KNOWN.model_copy(update={"foreign_processes": 2}))
    assert (quiet.fine, busy.fine) == (True, False)
    assert busy.found == (
        "driver 580.1; MHz 1200; MHz at most 1980; W at most 350.0; held down by power cap, hardware's thermal slowdown"
        "; processes of other programs compute on it (2): timing cells would be contended"
    )
