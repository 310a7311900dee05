"""Time of a forward pass over a whole prompt, without gradients: building the state from c tokens."""

import torch

from seqbench.cell import TimingConfig
from seqbench.measure.probes.base import Subject
from seqbench.measure.rounds import Block
from seqbench.measure.seeds import stream


def block(subject: Subject, timing: TimingConfig) -> Block:
    """Return the forward pass over `timing.batch` prompts of the cell's length."""
    rng = stream("timing", subject.task, subject.length, subject.seed)
    tokens = subject.sample(rng, timing.batch, subject.length).inputs
    model = subject.model.eval()

    @torch.no_grad()
    def prefill() -> None:
        model(tokens)

    return Block(call=prefill, tokens=tokens.shape[0] * tokens.shape[1])
