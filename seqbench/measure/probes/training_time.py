"""Time of one whole training step: forward, loss, backward, clipping, optimiser; data resident, nothing else inside."""

from seqbench.cell import TimingConfig
from seqbench.measure.probes.base import Subject
from seqbench.measure.rounds import Block
from seqbench.measure.seeds import stream
from seqbench.measure.training import optimiser_of, step_of

LEARNING_RATE = 1e-4
"""Small, so that a model timed for thousands of steps stays finite; the time does not depend on it."""
PASSES = 3.0
"""Backward makes two products for every one of forward: by the inputs, and by the weights."""


def block(subject: Subject, timing: TimingConfig) -> Block:
    """Return the step on one fixed batch of `timing.batch` sequences of the cell's length."""
    rng = stream("timing", subject.task, subject.length, subject.seed)
    batch = subject.sample(rng, timing.batch, subject.length)
    model = subject.model.train()
    optimiser = optimiser_of(model, learning_rate=LEARNING_RATE)
    return Block(
        call=lambda: step_of(model, batch, optimiser, clip_norm=1.0), tokens=batch.targets.numel(), passes=PASSES
    )
