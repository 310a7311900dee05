"""What every executor must do: the same records as serial, failures as records, nothing twice."""

import os
import signal
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from seqbench import plan
from seqbench.measure import prepare, runner
from seqbench.measure.environment import describe
from seqbench.measure.executors import EXECUTORS
from seqbench.measure.executors.base import Work

BUILT_IN = [pytest.param(name, marks=pytest.mark.slow) if name == "ray" else name for name in EXECUTORS.entries]


@pytest.fixture(scope="module", autouse=True)
def _cluster_of_its_own():
    """Let Ray's workers import this file, and leave no cluster behind for other tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *sys.path]))
        yield
    if (ray := sys.modules.get("ray")) is not None:
        ray.shutdown()


def work_of(study, *, run=None, timeout_seconds=60.0):
    context = prepare.Context(
        cards=study.cards, preregistration=study.preregistration_sha256, environment=describe("cpu", threads=1)
    )
    return Work(
        run=run or partial(runner.run_cell, context=context),
        failed=partial(runner.failed, context=context),
        timeout_seconds=timeout_seconds,
        workers=2,
    )


def outcome(record):
    return record.cell, record.fingerprint, record.status, record.measurements, record.model


@pytest.mark.parametrize("name", BUILT_IN)
def test_an_executor_gives_the_records_that_serial_gives(name, tiny_study):
    """Whatever runs the cells, each planned cell has one record, with the same numbers."""
    cells, work = plan.planned(tiny_study), work_of(tiny_study)
    reference = sorted(map(outcome, EXECUTORS.load("serial").execute(work, cells)))
    assert sorted(map(outcome, EXECUTORS.load(name).execute(work, cells))) == reference
    assert len(reference) == len(cells)


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_cell_over_its_limit_is_a_timeout_and_the_others_run(name, tiny_study):
    """A cell that does not end is stopped at its limit; the rest of the matrix is not touched."""
    cells = plan.planned(tiny_study)[:3]
    run = partial(_sleeps_on_first, first=cells[0].fingerprint, inner=work_of(tiny_study).run)
    records = list(EXECUTORS.load(name).execute(work_of(tiny_study, run=run, timeout_seconds=8.0), cells))
    found = {record.fingerprint: (record.status, record.error) for record in records}
    assert found[cells[0].fingerprint] == ("timeout", "stopped at its limit of 8 s")
    assert [found[cell.fingerprint] for cell in cells[1:]] == [("ok", None), ("ok", None)]


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_cell_that_is_not_admitted_has_no_record_and_is_asked_for_right_before_it_begins(name, tiny_study):
    """Half of the cells are refused: they have no record; no more are admitted at a time than can begin."""
    cells = plan.planned(tiny_study)
    wanted = {entry.fingerprint for entry in cells[::2]}
    admitted, most = [], 0

    def admit(planned):
        if planned.fingerprint in wanted:
            admitted.append(planned)
        return planned.fingerprint in wanted

    done = set()
    for record in EXECUTORS.load(name).execute(replace(work_of(tiny_study), admit=admit), cells):
        most = max(most, len(admitted) - len(done))
        done.add(record.fingerprint)
    assert done == wanted
    assert 1 <= most <= 2


@pytest.mark.parametrize("name", BUILT_IN[1:])
def test_a_worker_that_dies_costs_one_cell(name, tiny_study):
    """Beyond this process a segfault or a kill is one crashed record; every other cell has its own."""
    cells = plan.planned(tiny_study)[:4]
    run = partial(_dies_on_first, first=cells[0].fingerprint, inner=work_of(tiny_study).run)
    records = list(EXECUTORS.load(name).execute(work_of(tiny_study, run=run), cells))
    found = {record.fingerprint: (record.status, record.error) for record in records}
    assert found[cells[0].fingerprint] == ("crashed", "the worker died: killed by SIGSEGV")
    assert [found[cell.fingerprint][0] for cell in cells[1:]] == ["ok"] * 3
    assert len(records) == 4


@pytest.mark.parametrize("name", BUILT_IN[1:])
def test_workers_compute_with_one_thread(name, tiny_study, tmp_path):
    """Each worker computes with one thread, so that cells beside each other do not disturb each other."""
    run = partial(_notes_threads, folder=tmp_path, inner=work_of(tiny_study).run)
    list(EXECUTORS.load(name).execute(work_of(tiny_study, run=run), plan.planned(tiny_study)[:4]))
    assert {path.read_text() for path in Path(tmp_path).iterdir()} == {f"1 1 {os.nice(0)}"}


def _sleeps_on_first(planned, *, first, inner):
    if planned.fingerprint == first:
        time.sleep(60)
    return inner(planned)


def _dies_on_first(planned, *, first, inner):
    if planned.fingerprint == first:
        os.kill(os.getpid(), signal.SIGSEGV)
    return inner(planned)


def _notes_threads(planned, *, folder, inner):
    import torch

    record = inner(planned)
    (folder / planned.fingerprint).write_text(f"{torch.get_num_threads()} {os.environ['OMP_NUM_THREADS']} {os.nice(0)}")
    return record


def test_the_time_of_a_cell_does_not_count_its_wait_for_a_worker(tiny_study):
    """Of cells that queue for one worker, each that runs over its limit is recorded with about that limit."""
    cells = plan.planned(tiny_study)[:3]
    work = replace(work_of(tiny_study, run=_sleeps, timeout_seconds=4.0), workers=1)
    records = list(EXECUTORS.load("pool").execute(work, cells))
    assert [record.status for record in records] == ["timeout"] * 3
    assert all(record.wall_seconds < 8.0 for record in records)


def _sleeps(planned):
    time.sleep(60)
