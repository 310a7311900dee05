"""The contract of every executor: `execute(work, cells) -> Iterator[Record]`, one per admitted cell, in any order.

One that runs cells on other machines has `alone(work, call) -> (result, environment)` too, by which panels are timed
where nothing else of ours runs.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from seqbench.plan import Planned
from seqbench.record import Record, Status

Run = Callable[[Planned], Record]
Failed = Callable[[Planned, Status, str, float], Record]
Admit = Callable[[Planned], bool]


def any_cell(_planned: Planned) -> bool:
    """Admit every cell."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """How to run one cell, and what to write down when the worker itself did not survive it.

    run: picklable; what goes wrong inside a cell is already a record. failed: (cell, status, reason, seconds) ->
    record, called in the parent. timeout_seconds: wall limit of one cell. workers: processes at a time.
    admit: asked in the parent right before a cell begins; one that it refuses is passed over and has no record.
    device: cpu or cuda. address: of a cluster, for an executor that knows any; None: this machine.
    """

    run: Run
    failed: Failed
    timeout_seconds: float
    workers: int = 1
    admit: Admit = any_cell
    device: str = "cpu"
    address: str | None = None


Execute = Callable[[Work, Sequence[Planned]], Iterator[Record]]
