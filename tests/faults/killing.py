"""A matrix of 200 small cells, and what kills it: its parent, its whole group, or a worker, at a random moment."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import psutil

from seqbench import store

CELLS = 200
KINDS = ("parent", "group", "worker")
Kind = Literal["parent", "group", "worker"]

SUITE = """
title = "Two hundred small cells, for killing"

[[groups]]
name = "slopes"
task = "uniform_tokens"
probe = "state_bytes"
models = ["rnn", "gru", "lstm", "slow.py:build"]
lengths = [20]
width = 8
seeds = {seeds}
"""
SLOW = """
import time
from seqbench.measure.models.rnn import build as build_rnn

def build(spec):
    time.sleep(0.05)  # so that kills find cells under way
    return build_rnn(spec)
"""


@dataclass
class Tally:
    """What was killed and what came of it."""

    kills: Counter = field(default_factory=Counter)
    studies: int = 0
    crashed: int = 0
    lost: int = 0
    changed: int = 0

    def __str__(self):
        kinds = ", ".join(f"{self.kills[kind]} {kind}" for kind in KINDS)
        return (
            f"{self.kills.total()} kills ({kinds}) in {self.studies} studies of {CELLS} cells; {self.crashed} attempts "
            f"crashed and were tried again; {self.lost} records lost, {self.changed} changed"
        )


def prepare(folder: Path, *, seeds: int = 50) -> None:
    """Write the suite, of four cells per seed, and its own model into a folder that runs are started in."""
    (folder / "many.toml").write_text(SUITE.format(seeds=seeds))
    (folder / "slow.py").write_text(SLOW)


def start(folder: Path, results: Path, *further: str) -> subprocess.Popen:
    """Start a run in a session of its own, so that it can be killed alone or as a group."""
    command = [sys.executable, "-m", "seqbench", "run", "--suite", "many.toml", "--results", str(results)]
    with (folder / "run.log").open("ab") as log:
        return subprocess.Popen(
            [*command, "--workers", "2", *further],
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=_as_from_a_terminal,  # noqa: PLW1509 - no other thread of a test holds a lock
        )


def _as_from_a_terminal() -> None:
    """Hear Ctrl-C: what a shell starts in its background, and all that this starts, would ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def family(process: subprocess.Popen) -> list[psutil.Process]:
    """Return a run's process and all those below it."""
    try:
        parent = psutil.Process(process.pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def workers(process: subprocess.Popen) -> list[psutil.Process]:
    """Return the worker processes of a run: spawned by it, and no keeper of its semaphores."""
    found = []
    for child in family(process)[1:]:
        try:
            if any("spawn_main" in word for word in child.cmdline()):
                found.append(child)
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


def alive(process: psutil.Process) -> bool:
    """Return whether a process still runs; one that only waits to be collected does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def digests(results: Path) -> dict[str, str]:
    """Return the sha256 of every record file, by its name."""
    return {
        path.relative_to(results).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in results.glob("*/*/*/*.json")
    }


def wait_for(condition, *, seconds: float) -> bool:
    """Return whether a condition came true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def kill(process: subprocess.Popen, kind: Kind, rng: random.Random) -> bool:
    """Kill what is asked for with SIGKILL; return whether there was anything to kill."""
    try:
        if kind == "worker":
            found = workers(process)
            if not found:
                return False
            rng.choice(found).kill()
        elif kind == "parent":
            os.kill(process.pid, signal.SIGKILL)
        else:
            os.killpg(process.pid, signal.SIGKILL)
    except (psutil.NoSuchProcess, ProcessLookupError):
        return False
    return True


def interrupted(folder: Path, results: Path, *, kind: Kind, rng: random.Random, tally: Tally) -> bool:
    """Start or resume a run and kill at a random moment of it; return whether the run came to its end nevertheless.

    Where a worker is killed the run must go on by itself; where the parent dies, nobody may be left behind.
    """
    held = digests(results)
    process = start(folder, results)
    if rng.random() < 0.25:  # while it starts up
        wait_for(lambda: process.poll() is not None, seconds=rng.uniform(0, 4))
    else:  # with cells under way
        wait_for(lambda: process.poll() is not None or len(digests(results)) > len(held), seconds=60)
        wait_for(lambda: process.poll() is not None, seconds=rng.uniform(0, 2))
    everybody = family(process)
    if process.poll() is None and kill(process, kind, rng):
        tally.kills[kind] += 1
    if kind == "worker":
        for _ in range(2):
            wait_for(lambda: process.poll() is not None, seconds=rng.uniform(0, 2))
            tally.kills[kind] += process.poll() is None and kill(process, kind, rng)
        assert process.wait(timeout=120) == 0, (folder / "run.log").read_text()[-3000:]
    else:
        process.wait()
        left = not wait_for(lambda: not any(alive(member) for member in everybody[1:]), seconds=15)
        assert not left, "a worker outlived its parent"
    after = digests(results)
    tally.lost += len(set(held) - set(after))
    tally.changed += sum(after[name] != held[name] for name in set(held) & set(after))
    return process.returncode == 0


def killed_often(place: Path, *, moments: int, seed: int) -> Tally:
    """Kill runs of fresh studies until there were so many moments; each study is then finished and proved whole."""
    rng, tally = random.Random(seed), Tally()
    while tally.kills.total() < moments:
        folder = place / f"study-{tally.studies}"
        folder.mkdir(parents=True)
        prepare(folder)
        results = folder / "R"
        tally.studies += 1
        done = False
        while not done and tally.kills.total() < moments:
            kind = min(KINDS, key=lambda name: (tally.kills[name], rng.random()))
            done = interrupted(folder, results, kind=kind, rng=rng, tally=tally)
        assert start(folder, results).wait(timeout=120) == 0, (folder / "run.log").read_text()[-3000:]
        prove(results, tally)
    return tally


def prove(results: Path, tally: Tally) -> None:
    """Demand of a finished study: every cell once, nothing half-written, and only what kills leave behind."""
    assert store.validate(results) == ()
    held = store.contents(results)
    accepted = held.accepted()
    assert len(accepted) == CELLS
    attempts = Counter(record.status for _, record in held.records)
    assert set(attempts) <= {"ok", "crashed"}, attempts
    assert attempts["ok"] + sum(record.status == "crashed" for record in accepted.values()) == CELLS
    reasons = {record.error for _, record in held.records if record.status == "crashed"}
    assert reasons <= {"the worker died: killed by SIGKILL"}, reasons
    tally.crashed += attempts["crashed"]
