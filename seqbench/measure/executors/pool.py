"""Several processes on this machine, one thread each; a crash or a time-out costs one cell. Only the parent writes."""

from collections.abc import Iterator, Sequence
from functools import partial

from seqbench.measure.executors.base import Work, any_cell
from seqbench.measure.workers import Lost, Worker, fresh_workers, wait
from seqbench.plan import Planned
from seqbench.record import Record


def execute(work: Work, cells: Sequence[Planned]) -> Iterator[Record]:
    """Yield the record of each admitted cell as it finishes."""
    waiting = iter(cells)
    running: dict[Worker, Planned] = {}

    def begin(worker: Worker) -> None:
        for planned in waiting:
            if work.admit(planned):
                worker.begin(partial(work.run, planned), timeout_seconds=work.timeout_seconds)
                running[worker] = planned
                return

    with fresh_workers(min(work.workers, len(cells)), threads=1) as workers:
        for worker in workers:
            begin(worker)
        while running:
            for worker in wait(running):
                record = _record(work, running.pop(worker), worker)
                if work.admit is any_cell:
                    begin(worker)  # it need not wait until the record is stored
                    yield record
                else:
                    yield record
                    begin(worker)  # what fits is asked for after all that is known by then


def _record(work: Work, planned: Planned, worker: Worker) -> Record:
    try:
        record: Record = worker.result()
    except Lost as lost:
        return work.failed(planned, lost.status, lost.reason, lost.seconds)
    return record
