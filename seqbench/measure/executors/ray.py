"""Several machines, or one with several GPUs, as a Ray cluster; needs the extra seqbench[ray].

Ray decides where a cell runs, and no more: on its node a cell runs in a worker process of ours, as in the pool, so that
a crash, a time-out or a lack of memory is the same record. A node or a Ray worker that is lost costs time and nothing
else: its cells are run elsewhere. Results return to the driver, which alone writes.
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from seqbench.errors import UsageError
from seqbench.measure.environment import describe
from seqbench.measure.executors.base import Run, Work, any_cell
from seqbench.measure.workers import Lost, Worker
from seqbench.plan import Planned
from seqbench.record import Environment, Record, Status

try:
    import ray
    from ray import exceptions
except ImportError as error:
    raise UsageError("--executor ray needs Ray, which is not installed; run: pip install 'seqbench[ray]'") from error

TRIES = 3
"""How often a cell is run elsewhere whose node or Ray worker was lost, before that is what its record says."""

GPU_SHARE = 0.25
"""Of a GPU for each shared cell: four at a time, which its memory must bear."""

EXCLUSIVE = "exclusive"
"""The resource of which each node that may time has one: ray start --resources '{"exclusive": 1}'."""

AHEAD = 2
"""Cells handed to Ray per core: enough that none waits, and that a cluster which can grow sees that it should."""

_STORE_BYTES = 100 * 2**20  # records are small; by default Ray takes 30 percent of the memory
_SETTINGS = {"RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


@dataclass(frozen=True, slots=True)
class _Failed:
    """A cell whose process on the node was lost: how that is called, and where it was."""

    status: Status
    reason: str
    seconds: float
    environment: Environment


def execute(work: Work, cells: Sequence[Planned]) -> Iterator[Record]:
    """Yield the record of each admitted cell as it finishes.

    Raises UsageError when there is no cluster at the address.
    """
    _connect(work)
    share = GPU_SHARE if work.device == "cuda" else 0
    remote = ray.remote(num_cpus=1, num_gpus=share, max_retries=TRIES)(_cell)
    run, folder = ray.put(work.run), os.getcwd()  # noqa: PTH109 - the node gets a text
    waiting = filter(work.admit, cells)
    running: dict[Any, Planned] = {}
    try:
        while True:
            while len(running) < _room(work) and (planned := next(waiting, None)) is not None:
                running[remote.remote(run, planned, work.timeout_seconds, work.device, folder)] = planned
            if not running:
                return
            (done, *_), _ = ray.wait([*running], num_returns=1)
            yield _record(work, running.pop(done), done)
    finally:
        for reference in running:  # left by Ctrl-C or a full disk: nobody waits for these
            ray.cancel(reference, force=True)


def alone(work: Work, call: Callable[[], Any]) -> tuple[Any, Environment]:
    """Return what a picklable call returns on a node that has `exclusive`, alone of its kind there, and where that was.

    Raises UsageError where no node has it, or where the node runs Ray's workers at a lower priority than other
    programs; Lost where the node was lost.
    """
    _connect(work)
    if not _resource(EXCLUSIVE):
        raise UsageError(
            f"no node of the cluster may time; start one with: ray start --resources '{{\"{EXCLUSIVE}\": 1}}'"
        )
    gpus = 1 if work.device == "cuda" else 0
    remote = ray.remote(num_cpus=1, num_gpus=gpus, resources={EXCLUSIVE: 1}, max_retries=TRIES)(_alone)
    try:
        found, environment, niceness = ray.get(remote.remote(call, work.device, os.getcwd()))  # noqa: PTH109
    except exceptions.RayError as error:
        raise Lost("crashed", _reason(error)) from error
    if niceness > os.nice(0):
        raise UsageError("Ray's workers run at a lower priority; start every node with RAY_worker_niceness=0 set")
    return found, environment


def _connect(work: Work) -> None:
    """Connect to the cluster at the address, or start one on this machine; once per process."""
    os.environ.update({name: value for name, value in _SETTINGS.items() if name not in os.environ})
    if ray.is_initialized():
        return
    own: dict[str, Any] = {
        "num_cpus": work.workers,
        "resources": {EXCLUSIVE: 1},
        "object_store_memory": _STORE_BYTES,
        "include_dashboard": False,
    }
    try:
        ray.init(
            address=work.address or "local",
            log_to_driver=False,
            logging_level=logging.ERROR,
            **({} if work.address else own),
        )
    except (ConnectionError, ValueError, RuntimeError, exceptions.RayError) as error:
        raise UsageError(
            f"no Ray cluster answers at {work.address or 'this machine'} ({_reason(error)}); see: ray status"
        ) from error


def _room(work: Work) -> int:
    """Return how many cells may be with Ray at a time; a cluster may grow and shrink meanwhile."""
    if work.admit is not any_cell:  # one that is asked for begins at once
        return max(1, int(_cores()))
    return AHEAD * max(1, int(_cores()))


def _cores() -> float:
    return _resource("CPU")


def _resource(name: str) -> float:
    return float(ray.cluster_resources().get(name, 0.0))  # type: ignore[no-untyped-call]


def _record(work: Work, planned: Planned, reference: Any) -> Record:
    try:
        found: Record | _Failed = ray.get(reference)
    except exceptions.OutOfMemoryError as error:
        return work.failed(planned, "oom", _reason(error), 0.0)
    except exceptions.RayError as error:
        return work.failed(planned, "crashed", _reason(error), 0.0)
    if isinstance(found, _Failed):
        failed = work.failed(planned, found.status, found.reason, found.seconds)
        return failed.model_copy(update={"environment": found.environment})
    return found


def _reason(error: BaseException) -> str:
    """Return the first line of what Ray says; further ones name hosts and folders."""
    told = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}" if isinstance(error, exceptions.RayError) else f"{type(error).__name__}: {told}"


# On the node ----------------------------------------------------------------------------------------------------------

_WORKERS: dict[str | None, Worker] = {}
"""The worker process of this Ray worker, by the GPUs that it sees: they are fixed when a process begins."""


def _cell(run: Run, planned: Planned, timeout_seconds: float, device: str, folder: str) -> Record | _Failed:
    _enter(folder)
    worker = _worker()
    call = partial(_here, run, planned, device)
    worker.begin(call, timeout_seconds=timeout_seconds)
    try:
        record: Record = worker.result()
    except Lost as lost:
        return _Failed(lost.status, lost.reason, lost.seconds, _environment(device))
    return record


def _here(run: Run, planned: Planned, device: str) -> Record:
    """Run a cell and say where: the driver described its own machine."""
    return run(planned).model_copy(update={"environment": _environment(device)})


def _alone(call: Callable[[], Any], device: str, folder: str) -> tuple[Any, Environment, int]:
    _enter(folder)
    return call(), _environment(device), os.nice(0)


@cache
def _environment(device: str) -> Environment:
    return describe(device, threads=1)


def _worker() -> Worker:
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    for other in [key for key in _WORKERS if key != seen]:
        _WORKERS.pop(other).kill()
    return _WORKERS.setdefault(seen, Worker(threads=1))


def _enter(folder: str) -> None:
    """Stand where the run was started, if that folder is there: own models are named relative to it."""
    with suppress(OSError):
        os.chdir(folder)
