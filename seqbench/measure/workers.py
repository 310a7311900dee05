"""Workers: processes that run one call after another, each joined to its parent by a pipe of its own and nothing else.

A pool whose workers share a queue and its locks can be stopped for good by a kill: a worker that dies with the lock
held, or with a task taken and not yet announced, takes the others' work with it. Here a death reaches the one call that
the worker had. Limits of time are kept on the monotonic clock, which a change of the wall's does not move.

Workers are spawned, never forked, and die with their parent: by the kernel's parent-death signal on Linux, by a
watching thread elsewhere.
"""

import atexit
import ctypes
import multiprocessing
import multiprocessing.util
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from typing import Any, Literal, TypeVar

from seqbench.record import Status

Result = TypeVar("Result")

STARTS_WITHIN_S = 600.0
"""A worker whose call has not begun by then is given up: what the call needs cannot be loaded."""

LOOK_SECONDS = 1.0
"""How often to ask whether a worker lives: what it forked may hold its pipe open after its death."""

ENDS_WITHIN_S = 5.0
"""How long a worker may take to leave by itself before it is killed."""


class Lost(Exception):
    """The process did not live to give its result: how that is called in a record, why, and after which time."""

    def __init__(self, status: Status, reason: str, *, seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.status: Status = status
        self.reason = reason
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class _Begun:
    """The call has arrived, with all that it imports."""


@dataclass(frozen=True, slots=True)
class _Returned:
    """What the call returned."""

    value: Any


@dataclass(frozen=True, slots=True)
class _Raised:
    """What the call raised, in words: an exception may be one that cannot travel."""

    status: Status
    reason: str


@dataclass(slots=True, kw_only=True)
class _Running:
    """A spawned process, and the call that it has: when it began and when it must have ended, on the monotonic clock.

    end: how it ended, as far as is known: by its answer, by its death, or over its limit.
    """

    process: BaseProcess
    pipe: "connection.Connection[Any, Any]"
    limit: float = 0.0
    began: float = 0.0
    ends: float = 0.0
    end: _Returned | _Raised | Literal["dead", "over"] | None = None


class Worker:
    """A process of its own for one call after another: started with the first call, and anew after it died."""

    def __init__(self, *, threads: int) -> None:
        self._threads = threads
        self._now: _Running | None = None

    def begin(self, call: Callable[[], object], *, timeout_seconds: float) -> None:
        """Hand over a picklable call; its time begins when the process has loaded what it needs."""
        try:
            self._hand_over(call, timeout_seconds)
        except (BrokenPipeError, ConnectionResetError):  # it died while it had nothing to do
            self.kill()
            self._hand_over(call, timeout_seconds)

    def finished(self) -> bool:
        """Return whether the call has come to its end, so that `result` would not wait.

        Raises RuntimeError where there is no call.
        """
        now = self._running()
        if now.end is None:
            dead = now.process.exitcode is not None  # asked first: what it said before it died still counts
            try:
                while now.end is None and now.pipe.poll():
                    _hear(now, now.pipe.recv())
            except (EOFError, OSError):  # the other end is gone, perhaps in the middle of a message
                dead = True
            if now.end is None and (dead or time.monotonic() > now.ends):
                now.end = "dead" if dead else "over"
        return now.end is not None

    def result(self) -> Any:
        """Wait for what the call returned, and return it.

        Raises Lost when it ran over its limit, raised, or when the process died.
        """
        while not self.finished():
            wait([self])
        now = self._running()
        end, limit, seconds = now.end, now.limit, time.monotonic() - now.began
        if isinstance(end, _Returned):
            return end.value
        if isinstance(end, _Raised):
            raise Lost(end.status, end.reason, seconds=seconds)
        if end == "over":
            self.kill()
            raise Lost("timeout", f"stopped at its limit of {limit:g} s", seconds=seconds)
        now.process.join(ENDS_WITHIN_S)  # its pipe closes a little before it is gone
        raise Lost("crashed", f"the worker died: {_cause(self.kill())}", seconds=seconds)

    def call(self, call: Callable[[], Result], *, timeout_seconds: float) -> Result:
        """Return what a call returns in the process.

        Raises Lost as `result` does.
        """
        self.begin(call, timeout_seconds=timeout_seconds)
        returned: Result = self.result()
        return returned

    @property
    def seconds_left(self) -> float:
        """Return for how long the call may still run."""
        return max(0.0, self._running().ends - time.monotonic())

    @property
    def waitables(self) -> list[Any]:
        """Return what becomes ready when the process has something to say, or dies."""
        now = self._running()
        return [now.pipe, now.process.sentinel]

    def kill(self) -> int | None:
        """End the process at once, whatever it does; return its exit code, None where there was no process."""
        if self._now is None:
            return None
        now, self._now = self._now, None
        now.process.kill()
        now.process.join()
        code = now.process.exitcode
        _ALIVE.discard(now.process)
        now.pipe.close()
        now.process.close()
        return code

    def leave(self) -> None:
        """Let the process end by itself if it has nothing to do; kill it where it does not."""
        if self._now is not None and isinstance(self._now.end, _Returned | _Raised):
            self._now.pipe.close()
            self._now.process.join(ENDS_WITHIN_S)
        self.kill()

    def _hand_over(self, call: Callable[[], object], limit: float) -> None:
        if self._now is None:
            self._now = _spawned(self._threads)
        now = self._now
        now.end, now.limit, now.began = None, limit, time.monotonic()
        now.ends = now.began + STARTS_WITHIN_S
        now.pipe.send(call)

    def _running(self) -> _Running:
        if self._now is None:
            raise RuntimeError("this worker has no call; begin one first")
        return self._now


def wait(workers: Iterable[Worker]) -> list[Worker]:
    """Wait until a worker has something to say, dies or runs over its limit, at most a second; return the finished."""
    waiting = list(workers)
    seconds = min([LOOK_SECONDS, *(worker.seconds_left for worker in waiting)])
    connection.wait([one for worker in waiting for one in worker.waitables], timeout=seconds)
    return [worker for worker in waiting if worker.finished()]


@contextmanager
def fresh_workers(count: int, *, threads: int) -> Iterator[list[Worker]]:
    """Give so many workers with so many threads each, so that a caller decides which does what, and when.

    Where the block is left by an exception, Ctrl-C among them, they are killed, whatever they do.
    """
    workers = [Worker(threads=threads) for _ in range(count)]
    try:
        yield workers
        for worker in workers:
            worker.leave()
    finally:
        for worker in workers:
            worker.kill()


def _hear(now: _Running, message: object) -> None:
    if isinstance(message, _Begun):
        now.began = time.monotonic()
        now.ends = now.began + now.limit
    elif isinstance(message, _Returned | _Raised):
        now.end = message


_ALIVE: set[BaseProcess] = set()


@atexit.register  # after multiprocessing's own, so that it runs before that one waits for processes that never end
def _kill_all() -> None:
    for process in tuple(_ALIVE):
        process.kill()


def _spawned(threads: int) -> _Running:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, os.getpid()), name="seqbench worker")
    with _threads_each(threads), _deaf_to_interrupts():
        process.start()
    _ALIVE.add(process)
    there.close()
    return _Running(process=process, pipe=here)


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


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Within this block new processes start with Ctrl-C blocked for good: it is the parent's to answer."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: "connection.Connection[Any, Any]", parent: int) -> None:
    """Run calls as they come, until the pipe is closed."""
    _tie_to(parent)
    while True:
        try:
            call = pipe.recv()
        except EOFError:
            return
        except Exception as error:
            pipe.send(_raised(error))
            continue
        pipe.send(_Begun())
        try:
            answer: _Returned | _Raised = _Returned(call())
        except (Exception, SystemExit) as error:
            answer = _raised(error)
        try:
            pipe.send(answer)
        except OSError:  # nobody listens any more
            return
        except Exception as error:
            pipe.send(_raised(error))


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether memory of the host or of a device was lacking; torch says so by a class or by words alone."""
    text = str(error).lower()
    by_class = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return by_class or "out of memory" in text or "can't allocate memory" in text


def _raised(error: BaseException) -> _Raised:
    return _Raised("oom" if is_out_of_memory(error) else "error", f"{type(error).__name__}: {error}")


def _tie_to(parent: int) -> None:
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


def _cause(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"killed by {signal.Signals(-exit_code).name}"
    return f"exit code {exit_code}"
