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
from contextlib import ExitStack, contextmanager
from typing import TypeVar

from pebble import ProcessExpired, ProcessPool

from seqbench.measure.executors.base import Work, any_cell
from seqbench.plan import Planned
from seqbench.record import Record, Status

Result = TypeVar("Result")

LOOK_SECONDS = 1.0
"""How often to look which cells have begun, for the wall time of those whose worker dies."""

AHEAD = 2
"""Cells handed to the pool per worker: enough that none waits, few enough that a kill loses little."""


def execute(work: Work, cells: Sequence[Planned]) -> Iterator[Record]:
    """Yield the record of each admitted cell as it finishes."""
    with _threads_each(1), _pool(work.workers) as pool:
        waiting = list(reversed(cells))
        running: dict[Future[Record], Planned] = {}
        begun: dict[Future[Record], float] = {}
        ahead = AHEAD if work.admit is any_cell else 1  # one that is asked for begins at once
        while waiting or running:
            while waiting and len(running) < ahead * work.workers:
                planned = waiting.pop()
                if not work.admit(planned):
                    continue
                future: Future[Record] = pool.schedule(work.run, args=[planned], timeout=work.timeout_seconds)
                running[future] = planned
            for future in running:
                if future.running():  # queued cells begin when a worker takes them, which is when another one ends
                    begun.setdefault(future, time.monotonic())
            if not running:
                break
            done, _ = wait(running, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                seconds = time.monotonic() - begun.pop(future, time.monotonic())
                yield _result(work, running.pop(future), future, seconds)


def _result(work: Work, planned: Planned, future: "Future[Record]", seconds: float) -> Record:
    try:
        return result_of(future, timeout_seconds=work.timeout_seconds)
    except Lost as lost:
        return work.failed(planned, lost.status, lost.reason, seconds)


class Lost(Exception):
    """The process did not live to give its result: how that is called in a record, and why."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status: Status = status
        self.reason = reason


def result_of(future: "Future[Result]", *, timeout_seconds: float) -> Result:
    """Return what a process gave.

    Raises Lost when it ran over its limit, died, or raised.
    """
    try:
        return future.result()
    except TimeoutError:
        raise Lost("timeout", f"stopped at its limit of {timeout_seconds:g} s") from None
    except ProcessExpired as error:
        raise Lost("crashed", f"the worker died: {_cause(error.exitcode)}") from error
    except (Exception, SystemExit) as error:  # a result or an exception that could not travel, say
        raise Lost("error", f"{type(error).__name__}: {error}") from error


@contextmanager
def fresh_processes(count: int, *, threads: int) -> Iterator[list[ProcessPool]]:
    """Give so many pools of one fresh process each, so that a caller decides which process does what, and when."""
    with _threads_each(threads), ExitStack() as stack:
        yield [stack.enter_context(_pool(1)) for _ in range(count)]


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
def _threads_each(count: int) -> Iterator[None]:
    """Within this block new processes start with so many threads per numerical library."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, str(count)))
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
