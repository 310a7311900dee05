"""One cell after another in this process; an alarm ends a cell at its time limit."""

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from seqbench.measure.executors.base import Work
from seqbench.plan import Planned
from seqbench.record import Record


def execute(work: Work, cells: Sequence[Planned]) -> Iterator[Record]:
    """Yield the record of each admitted cell in the order given."""
    for planned in filter(work.admit, cells):
        started = time.monotonic()
        try:
            with _limit(work.timeout_seconds):
                result = work.run(planned)
        except _OverLimitError:
            reason = f"stopped at its limit of {work.timeout_seconds:g} s"
            result = work.failed(planned, "timeout", reason, time.monotonic() - started)
        yield result


class _OverLimitError(BaseException):
    """Not an Exception, so that the cell's own error handling lets it through."""


@contextmanager
def _limit(seconds: float) -> Iterator[None]:
    """Raise _OverLimitError in this thread after so many seconds; without effect outside the main thread."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise _OverLimitError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
