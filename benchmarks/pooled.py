"""Cells run by the pool executor that studies use, timed from when all of its workers are up."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from seqbench.cell import Cell
from seqbench.measure import runner
from seqbench.measure.executors import pool, serial
from seqbench.measure.executors.base import Work
from seqbench.measure.prepare import Context
from seqbench.plan import Planned
from seqbench.record import Record

TIMEOUT_S = 1800.0
LOOK_SECONDS = 0.01
ARRIVAL = "arrival"
"""The group of the cells by which workers arrive."""


class CellFailedError(Exception):
    """A cell that was to be timed has no measurement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What cells took: start until every worker has run one, then seconds of the wall and of all processors."""

    start: float
    seconds: float
    processor: float


def one_by_one(cells: Sequence[Cell], *, context: Context) -> Spent:
    """Return what cells take one after another in this process, which has run one before."""
    work = _work(partial(runner.run_cell, context=context), context, workers=1)
    begun, busy = time.perf_counter(), _processor_seconds()
    for record in serial.execute(work, [_planned(cell, "alone") for cell in cells]):
        _check(record)
    return Spent(start=0.0, seconds=time.perf_counter() - begun, processor=_processor_seconds() - busy)


def pooled(cells: Sequence[Cell], *, arrival: Cell, workers: int, context: Context) -> Spent:
    """Return what cells take in so many processes, each of which has run `arrival` and waited for the others."""
    entries = [*[_planned(arrival, ARRIVAL)] * workers, *[_planned(cell, "together") for cell in cells]]
    with TemporaryDirectory() as folder:
        run = partial(run_when_all_arrived, context=context, folder=Path(folder), workers=workers)
        started = time.perf_counter()
        for number, record in enumerate(pool.execute(_work(run, context, workers=workers), entries), start=1):
            _check(record)
            if number == workers:
                begun, busy = time.perf_counter(), _processor_seconds()
            if number == len(entries):  # asked before the workers are gone
                ended, spent = time.perf_counter(), _processor_seconds() - busy
    return Spent(start=begun - started, seconds=ended - begun, processor=spent)


def run_when_all_arrived(planned: Planned, *, context: Context, folder: Path, workers: int) -> Record:
    """Return a cell's record; the first cell of a worker waits until every worker has run one."""
    record = runner.run_cell(planned, context=context)
    if planned.group == ARRIVAL:
        (folder / str(os.getpid())).touch()
        while sum(1 for _ in folder.iterdir()) < workers:
            time.sleep(LOOK_SECONDS)
    return record


def _planned(cell: Cell, group: str) -> Planned:
    return Planned(cell, "0" * 64, group)


def _work(run: partial[Record], context: Context, *, workers: int) -> Work:
    failed = partial(runner.failed, context=context)
    return Work(run=run, failed=failed, timeout_seconds=TIMEOUT_S, workers=workers, device=context.device)


def _check(record: Record) -> None:
    if record.error or not record.measurements:
        raise CellFailedError(f"{record.cell.address}: {record.status}, {record.error}")


def _processor_seconds() -> float:
    """Return the processor time of this process and of those that it started, so far as they live."""
    workers = (child.cpu_times() for child in psutil.Process().children())
    return time.process_time() + sum(times.user + times.system for times in workers)
