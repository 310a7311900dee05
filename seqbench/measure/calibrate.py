"""Time three training steps of each kind of cell, for planning alone: nothing of it is kept or enters a record.

It runs in a process of its own, so that no random state, no compiled kernel and no crash of it reaches a measurement.
"""

import time
from collections.abc import Iterable
from functools import partial

import torch

from seqbench.cell import Cell
from seqbench.costs import kind_of_steps
from seqbench.measure import training
from seqbench.measure.prepare import Context, prepare
from seqbench.measure.probes import PROBES
from seqbench.measure.seeds import stream
from seqbench.measure.workers import Lost, fresh_workers
from seqbench.plan import Planned

STEPS = 3
RATE = 1e-4
"""Small, so that nothing diverges meanwhile; the time does not depend on it."""


def calibrate(
    entries: Iterable[Planned], *, context: Context, timeout_seconds: float
) -> tuple[tuple[Cell, float], ...]:
    """Return the seconds of a training step for one cell of each kind that is trained on its task's own answers.

    A kind that fails here is left out: its cells say why when they run. A probe that trains the model itself, for
    another end, is left to the cost model.
    """
    kinds = {kind_of_steps(entry.cell): entry.cell for entry in entries if is_timed(entry.cell)}
    found = []
    with fresh_workers(1, threads=1) as (worker,):
        for cell in kinds.values():
            call = partial(step_seconds, cell, context=context)
            try:
                found.append((cell, worker.call(call, timeout_seconds=timeout_seconds)))
            except Lost:
                continue
    return tuple(found)


def is_timed(cell: Cell) -> bool:
    """Return whether three training steps of the model alone say what a cell of this kind takes."""
    trains_itself = cell.probe is not None and "train_and_measure" in vars(PROBES.load(cell.probe))
    return cell.training is not None and not trains_itself


def step_seconds(cell: Cell, *, context: Context, at_least: float = 0.0) -> float:
    """Return the mean seconds of three training steps, or of as many as take so long, after one that does not count."""
    torch.set_num_threads(context.environment.threads)
    subject = prepare(cell, context).subject
    model = subject.model.train()
    optimiser = training.optimiser_of(model, learning_rate=RATE)

    def step(number: int) -> None:
        rng = stream("calibration", cell.task, cell.length, number)
        batch = subject.sample(rng, cell.batch, cell.tokens_per_sequence)
        training.step_of(model, batch, optimiser, clip_norm=1.0).tolist()  # waits for the device

    step(0)
    begun = time.monotonic()
    number = 0
    while number < STEPS or time.monotonic() - begun < at_least:
        number += 1
        step(number)
    return (time.monotonic() - begun) / number
