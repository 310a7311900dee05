"""Worker processes: a death at any moment reaches one call, and nobody is left behind."""

import os
import signal
import sys
import time
from functools import partial

import psutil
import pytest

from seqbench.measure.workers import Lost, fresh_workers, wait


def killed(pid):
    os.kill(pid, signal.SIGKILL)
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)


def test_a_worker_that_died_idle_is_replaced_unseen():
    """A kill between two calls costs nothing: the next one runs in a new process."""
    with fresh_workers(1, threads=1) as (worker,):
        first = worker.call(os.getpid, timeout_seconds=30)
        killed(first)
        assert worker.call(os.getpid, timeout_seconds=30) not in (first, os.getpid())


def test_a_worker_killed_while_it_starts_loses_its_call_only():
    """The one has not yet loaded anything when it dies; the other's call returns."""
    with fresh_workers(2, threads=1) as (one, two):
        one.begin(partial(time.sleep, 60), timeout_seconds=90)
        two.begin(os.getpid, timeout_seconds=30)
        (victim,) = [c for c in psutil.Process().children() if c.pid == one._now.process.pid]
        victim.kill()
        with pytest.raises(Lost, match=r"^the worker died: killed by SIGKILL$") as lost:
            one.result()
        assert lost.value.status == "crashed"
        assert two.result() != os.getpid()


def test_a_worker_that_dies_in_the_middle_of_its_answer_is_crashed():
    """Half of a large result is no result."""
    with fresh_workers(1, threads=1) as (worker,):
        worker.begin(_answers_and_is_killed, timeout_seconds=30)
        with pytest.raises(Lost, match="killed by SIGKILL"):
            worker.result()


class _KillsInTheMiddle:
    def __reduce__(self):
        import threading

        threading.Timer(0.5, os.kill, [os.getpid(), signal.SIGKILL]).start()
        return bytes, (bytes(2**29),)


def _answers_and_is_killed():
    return _KillsInTheMiddle()


def test_what_cannot_travel_is_an_error_and_the_worker_goes_on():
    """A result that cannot be pickled and a call that exits are told in words; the process is the same afterwards."""
    with fresh_workers(1, threads=1) as (worker,):
        pid = worker.call(os.getpid, timeout_seconds=30)
        with pytest.raises(Lost, match=r"(?i)pickle") as lost:
            worker.call(_a_lambda, timeout_seconds=30)
        assert lost.value.status == "error"
        with pytest.raises(Lost, match=r"^SystemExit: 3$"):
            worker.call(partial(sys.exit, 3), timeout_seconds=30)
        assert worker.call(os.getpid, timeout_seconds=30) == pid


def _a_lambda():
    return lambda: None


def test_an_interrupt_is_left_to_the_parent():
    """SIGINT at a worker does nothing, from its first moment on."""
    with fresh_workers(1, threads=1) as (worker,):
        worker.begin(partial(time.sleep, 0.5), timeout_seconds=30)
        for _ in range(5):
            os.kill(worker._now.process.pid, signal.SIGINT)
            time.sleep(0.05)
        assert worker.result() is None


def test_workers_are_killed_where_the_block_is_left_by_an_exception():
    """Ctrl-C in the parent ends calls that would take a minute, at once."""
    begun, pids = time.monotonic(), []

    def interrupted():
        with fresh_workers(2, threads=1) as workers:
            for worker in workers:
                worker.begin(partial(time.sleep, 60), timeout_seconds=90)
                pids.append(worker._now.process.pid)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(pids) == 2
    assert time.monotonic() - begun < 20
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_waiting_returns_the_finished_only():
    """Of two calls the shorter one is told first."""
    with fresh_workers(2, threads=1) as (short, long):
        long.begin(partial(time.sleep, 30), timeout_seconds=60)
        short.begin(os.getpid, timeout_seconds=60)
        found = []
        while not found:
            found = wait([short, long])
        assert found == [short]
