"""Time to the first token: a prompt of the cell's length is read, in pieces as long texts are, and answered once.

The time is per token answered, one for each sequence: the wait of a request is the time of one times the batch.
"""

import torch

from seqbench.cell import TimingConfig
from seqbench.measure.probes.base import Subject, read
from seqbench.measure.rounds import Block
from seqbench.measure.seeds import stream


def block(subject: Subject, timing: TimingConfig) -> Block:
    """Return the reading of `timing.batch` prompts, each up to its most likely next token."""
    rng = stream("timing", subject.task, subject.length, subject.seed)
    prompts = subject.sample(rng, timing.batch, subject.length).inputs  # (B, T)
    model = subject.model.eval()

    @torch.no_grad()
    def answer() -> None:
        logits, _ = read(model, prompts)
        logits.argmax(dim=-1)

    return Block(call=answer, tokens=timing.batch, passes=float(prompts.shape[1]))
