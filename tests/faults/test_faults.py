"""Everything that goes wrong with a cell, a machine or a disk is data or one clear line, and nothing is lost."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import killing
import psutil
import pytest

from seqbench import plan, record, store
from seqbench.errors import StoreError, StudyLocked
from seqbench.measure import conduct
from seqbench.measure.workers import Lost, fresh_workers

pytestmark = pytest.mark.faults

BUILDERS = {
    "segfault": "import ctypes\ndef build(spec):\n    ctypes.string_at(0)\n",
    "host_oom": "def build(spec):\n    return bytearray(2**55)\n",
    "torch_oom": "import torch\ndef build(spec):\n    return torch.empty(2**50)\n",
    "cuda_oom": (
        "import torch\ndef build(spec):\n    raise torch.cuda.OutOfMemoryError('Tried to allocate 20.00 GiB. GPU 0')\n"
    ),
    "endless": "import time\ndef build(spec):\n    time.sleep(600)\n",
    "killed": "import os, signal\ndef build(spec):\n    os.kill(os.getpid(), signal.SIGKILL)\n",
    "fine": "from seqbench.measure.models.rnn import build\n",
}


@pytest.mark.slow
def test_every_way_to_die_is_one_record_and_the_others_run(tmp_path, study_of, conducted):
    """Segfault, kill, memory of host and device, and a cell without an end beside sound ones: each has its status."""
    for name, source in BUILDERS.items():
        (tmp_path / f"{name}.py").write_text(source)
    models = tuple(f"{name}.py:build" for name in BUILDERS)
    found = conducted(study_of(models=models, seeds=1), timeout_seconds=20.0)
    told = {model.split(".")[0]: (entry.status, entry.error) for (model, _), entry in found.items()}
    assert {name: status for name, (status, _) in told.items()} == {
        "segfault": "crashed",
        "host_oom": "oom",
        "torch_oom": "oom",
        "cuda_oom": "oom",
        "endless": "timeout",
        "killed": "crashed",
        "fine": "ok",
    }
    assert told["segfault"][1] == "the worker died: killed by SIGSEGV"
    assert told["endless"][1] == "stopped at its limit of 20 s"
    attempts = [entry.cell.model for _, entry in store.contents(tmp_path / "R").records]
    assert {name: attempts.count(f"{name}.py:build") for name in BUILDERS} == {
        "segfault": 2, "host_oom": 2, "torch_oom": 2, "cuda_oom": 2, "endless": 1, "killed": 2, "fine": 1,
    }  # fmt: skip


@pytest.mark.slow
def test_a_process_without_memory_is_out_of_memory(tmp_path):
    """Where the system gives a worker no more address space, its call is out of memory, and the worker goes on."""
    with fresh_workers(1, threads=1) as (worker,):
        with pytest.raises(Lost, match="MemoryError") as lost:
            worker.call(_takes_all_memory, timeout_seconds=60)
        assert lost.value.status == "oom"
        assert worker.call(os.getpid, timeout_seconds=60) != os.getpid()


def _takes_all_memory():
    used = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, resource.RLIM_INFINITY))
    try:
        return len(bytearray(2**30))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def test_weights_that_are_not_numbers_are_diverged(tmp_path, study_of, conducted):
    """A model that turns NaN in training is diverged, with its curves and without a score."""
    (tmp_path / "nan.py").write_text(
        "import torch\nfrom seqbench.measure.models.rnn import build as rnn\n\n"
        "def build(spec):\n    model = rnn(spec)\n"
        "    with torch.no_grad():\n        next(model.parameters()).fill_(float('nan'))\n    return model\n"
    )
    training = {"steps": 3, "batch": 4, "learning_rate": 1e-2, "evaluate_every": 2, "evaluation_sequences": 8}
    fields = {"models": ("nan.py:build",), "task": "recall", "probe": None, "lengths": (9,), "training": training}
    (found,) = conducted(study_of(seeds=1, **fields), executor="serial").values()
    assert found.status == "diverged"
    assert found.measured("recall_auc") is None


@pytest.mark.slow
def test_what_was_too_slow_may_be_asked_again(tmp_path, study_of, conducted):
    """--retry timeout with a longer limit is a further attempt; the statuses not named stand."""
    (tmp_path / "slow.py").write_text(
        "import time, pathlib\nfrom seqbench.measure.models.rnn import build as rnn\n\n"
        "def build(spec):\n    time.sleep(0 if pathlib.Path('fast').exists() else 600)\n    return rnn(spec)\n"
    )
    study = study_of(models=("slow.py:build", "rnn"), seeds=1)
    assert {e.status for e in conducted(study, timeout_seconds=8.0).values()} == {"timeout", "ok"}
    (tmp_path / "fast").touch()
    assert {e.status for e in conducted(study, retry=("error",)).values()} == {"timeout", "ok"}
    assert {e.status for e in conducted(study, retry=("timeout",)).values()} == {"ok"}
    assert len(store.contents(tmp_path / "R").records) == 3


@pytest.mark.slow
@pytest.mark.parametrize("cells", [0, 6], ids=["workers loading", "cells running"])
def test_control_c_stops_cleanly(tmp_path, cells):
    """SIGINT to the whole group, as a terminal sends it: exit code 130, one line, nobody left, records sound."""
    killing.prepare(tmp_path)
    process = killing.start(tmp_path, tmp_path / "R")
    begun = tmp_path / "R" / "study.json"
    assert killing.wait_for(lambda: begun.exists() and len(killing.digests(tmp_path / "R")) >= cells, seconds=60)
    everybody = killing.family(process)
    before = killing.digests(tmp_path / "R")
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=20) == 130, (tmp_path / "run.log").read_text()
    assert killing.wait_for(lambda: not any(map(killing.alive, everybody)), seconds=5)
    told = (tmp_path / "run.log").read_text()
    assert told.endswith("seqbench: stopped; the same command goes on where it was\n")
    assert "Traceback" not in told
    after = killing.digests(tmp_path / "R")
    assert before.items() <= after.items()
    assert all(fault.startswith("missing: ") for fault in store.validate(tmp_path / "R"))


def filesystem(place: Path, *options: str):
    """Mount a small file system in memory, or skip with the reason."""
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path):
    """Return a folder on a disk of its own of 256 KiB; skipped where none can be mounted."""
    place = tmp_path / "disk"
    filesystem(place, "size=256k")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.slow
def test_a_full_disk_stops_the_run_and_it_resumes_once_there_is_room(tmp_path, small_disk, command):
    """The run ends with exit code 1 and one line; after space is made the same command goes on and validates."""
    killing.prepare(tmp_path, seeds=20)
    results = small_disk / "R"
    (small_disk / "ballast").write_bytes(b"0" * 2**17)
    run = ("run", "--suite", "many.toml", "--results", results, "--workers", "2")
    done = command(*run, expect=1)
    assert re.search(
        r"\nseqbench: .*/uniform_tokens/.* cannot be written \(No space left on device\); free space or give another "
        r"--results\n$",
        done.stderr,
    )
    held = killing.digests(results)
    assert 0 < len(held) < 80
    assert all(fault.startswith("missing: ") for fault in store.validate(results))
    done = command(*run, expect=1)
    assert "No space left on device" in done.stderr
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    command(*run)
    assert store.validate(results) == ()
    assert held.items() <= killing.digests(results).items()


def test_a_file_that_cannot_be_written_whole_is_not_there(tmp_path, study_of):
    """Where the system cuts a write off, as a full disk does, no part of a record stays, and the next one is first."""
    study = study_of()
    (one, _) = plan.planned(study)
    entry = _record_of(one, study)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        with pytest.raises(StoreError, match=r"cannot be written \(File too large\); free space"):
            store.save(tmp_path, entry)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert store.save(tmp_path, entry).name.endswith("-a01.json")


@pytest.mark.slow
def test_a_folder_that_may_only_be_read_is_judged_and_not_written(tmp_path, study_of, conducted, command):
    """On a read-only file system `run` says so in one line and `status` and `validate` work."""
    study = study_of()
    conducted(study, executor="serial")
    place = tmp_path / "readonly"
    filesystem(place, "size=2m")
    try:
        subprocess.run(["cp", "-r", str(tmp_path / "R"), str(place)], check=True)
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        with pytest.raises(StoreError, match=r"cannot be written \(Read-only file system\)"):
            conduct.conduct(study, place / "R", settings=conduct.Settings(executor="serial"))
        assert json.loads(command("status", "--results", place / "R", "--json").stdout)[0] == {"name": "ok", "cells": 2}
        assert "complete: 2 planned cells" in command("results", "validate", "--results", place / "R").stdout
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def _record_of(planned, study, *, status="ok", finished="2026-01-01T00:00:00+00:00", **changes):
    from seqbench.record import Environment, Record

    here = Environment(machine="m", cpu="c", cores=1, memory_gib=1, device="cpu", threads=1, system="s", libraries={})
    fields = {
        "cell": planned.cell,
        "fingerprint": planned.fingerprint,
        "preregistration": study.preregistration_sha256,
        "status": status,
        "environment": here,
        "wall_seconds": 1.0,
        "finished": finished,
    }
    return Record(**(fields | changes))


@pytest.mark.parametrize("days", [-400, -1, 0, 400])
def test_a_clock_that_jumps_changes_neither_order_nor_what_counts(tmp_path, study_of, days):
    """The attempt that counts is the last by number, whenever the wall's clock says it finished."""
    study = study_of(seeds=1)
    (one,) = plan.planned(study)
    begun = datetime.fromisoformat("2026-06-01T12:00:00+00:00")
    store.create_study(tmp_path, study)
    for status, moment in (("crashed", begun), ("ok", begun + timedelta(days=days))):
        store.save(tmp_path, _record_of(one, study, status=status, finished=moment.isoformat()))
    held = store.contents(tmp_path)
    assert [entry.status for _, entry in held.records] == ["crashed", "ok"]
    assert held.accepted()[one.fingerprint].status == "ok"
    assert store.validate(tmp_path) == ()


@pytest.mark.slow
@pytest.mark.parametrize("jump", [-(10**6), 10**6])
def test_limits_are_kept_whatever_the_clock_on_the_wall_says(monkeypatch, jump):
    """A wall clock that jumps while a call runs neither ends it early nor lets it run for ever."""
    with fresh_workers(2, threads=1) as (sound, endless):
        endless.begin(partial(time.sleep, 600), timeout_seconds=2.0)
        sound.begin(partial(time.sleep, 1.0), timeout_seconds=30.0)
        now = time.time
        monkeypatch.setattr(time, "time", lambda: now() + jump)
        assert sound.result() is None
        with pytest.raises(Lost, match="stopped at its limit of 2 s"):
            endless.result()


def test_a_second_run_is_told_which_process_holds_the_study(tmp_path):
    """The line names the process by its number and no more; after it was killed the study is free."""
    code = "import sys, time\nfrom pathlib import Path\nfrom seqbench import store\n"
    code += "with store.locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        expected = rf"^another seqbench run \(process {holder.pid}\) is writing into .*; wait for it, or give another"
        for _ in range(2):  # asking does not make it forget
            with pytest.raises(StudyLocked, match=expected), store.locked(tmp_path):
                pass
        holder.kill()
        holder.wait()
        with store.locked(tmp_path):
            assert (tmp_path / ".lock-holder").read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda text: text.replace(b'"wall_seconds": 1.0', b'"wall_seconds": 2.0'), "edited since it was written"),
        (lambda text: text.replace(b'"status": "crashed"', b'"status": "ok"'), "edited since it was written"),
        (lambda text: json.dumps(json.loads(text)).encode(), "edited since it was written"),
        (lambda text: text[: len(text) // 2], r"not JSON \(half-written or edited\?\)"),
        (lambda text: text + text, "edited since it was written"),
        (lambda _text: b"", r"not JSON \(half-written or edited\?\)"),
    ],
    ids=["a number", "the status", "laid out anew", "cut off", "doubled", "empty"],
)
def test_a_record_that_was_changed_is_listed_and_never_used(tmp_path, study_of, edit, reason):
    """Its cell counts as missing, `validate` names it with the reason, and running again does not touch it."""
    study = study_of(seeds=1)
    (one,) = plan.planned(study)
    store.create_study(tmp_path, study)
    path = store.save(tmp_path, _record_of(one, study, status="crashed"))
    path.write_bytes(edit(path.read_bytes()))
    spoilt = path.read_bytes()
    held = store.contents(tmp_path)
    assert held.accepted() == {}
    assert store.missing((one,), held) == (one,)
    outlined = store.outlines(tmp_path)  # by which a study is resumed
    assert outlined.broken == held.broken
    assert store.missing((one,), outlined) == (one,)
    (broken, missing) = store.validate(tmp_path)
    assert re.match(rf"broken: m/uniform_tokens/rnn/.*-a01\.json: {reason}", broken)
    assert missing.startswith("missing: ")
    conduct.conduct(study, tmp_path, settings=conduct.Settings(executor="serial"))
    assert path.read_bytes() == spoilt
    assert store.contents(tmp_path).accepted()[one.fingerprint].status == "ok"


def test_a_record_without_a_seal_is_read_as_it_is(tmp_path, study_of):
    """Another tool's record, or one of an earlier version, need not say its sha256."""
    study = study_of(seeds=1)
    entry = _record_of(plan.planned(study)[0], study)
    assert record.from_json(record.to_json(entry), source="r.json") == entry
    assert record.from_json(record.sealed(record.to_json(entry)), source="r.json") == entry
