"""Several processes on this machine, one thread each; a crash or a time-out costs one cell (Pebble's process pool).

Workers are spawned, never forked, and die with their parent: by the kernel's parent-death signal on Linux, by a
watching thread elsewhere. Only the parent writes records.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager

from pebble import ProcessExpired, ProcessPool

from seqbench.measure.executors.base import Work
from seqbench.plan import Planned
from seqbench.record import Record

AHEAD = 2
"""Cells handed to the pool per worker: enough that none waits, few enough that a kill loses little."""


def execute(work: Work, cells: Sequence[Planned]) -> Iterator[Record]:
    """Yield the record of each cell as it finishes."""
    with _one_thread_each(), _pool(work.workers) as pool:
        waiting = list(reversed(cells))
        running: dict[Future[Record], tuple[Planned, float]] = {}
        while waiting or running:
            while waiting and len(running) < AHEAD * work.workers:
                planned = waiting.pop()
                future: Future[Record] = pool.schedule(work.run, args=[planned], timeout=work.timeout_seconds)
                running[future] = (planned, time.monotonic())
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                planned, started = running.pop(future)
                yield _result(work, planned, future, time.monotonic() - started)


def _result(work: Work, planned: Planned, future: "Future[Record]", seconds: float) -> Record:
    try:
        return future.result()
    except TimeoutError:
        return work.failed(planned, "timeout", f"stopped at its limit of {work.timeout_seconds:g} s", seconds)
    except ProcessExpired as error:
        return work.failed(planned, "crashed", f"the worker died: {_cause(error.exitcode)}", seconds)


def _cause(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"killed by {signal.Signals(-exit_code).name}"
    return f"exit code {exit_code}"


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPool]:
    context = multiprocessing.get_context("spawn")
    pool = ProcessPool(max_workers=workers, context=context, initializer=_start_worker, initargs=[os.getpid()])
    try:
        yield pool
        pool.close()  # type: ignore[no-untyped-call]
    finally:
        if pool.active:
            pool.stop()  # type: ignore[no-untyped-call]
        pool.join()


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Within this block new processes start with one thread per numerical library."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _start_worker(parent: int) -> None:
    """Tie this worker's life to its parent's, and leave Ctrl-C to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        parent_death_signal = 1  # PR_SET_PDEATHSIG of prctl(2)
        ctypes.CDLL(None, use_errno=True).prctl(parent_death_signal, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=[parent], daemon=True).start()
    if os.getppid() != parent:  # it died before the signal was set
        os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
