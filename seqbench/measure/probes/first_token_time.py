"""Time to the first token: a prompt of the cell's length is read and answered once.

The time is per token answered, one for each sequence: the wait of a request is the time of one times the batch.
The prompt is read whole. In pieces attention would need an explicit mask and lose the kernel that skips what it hides,
which made a Transformer of width 48 take 1.7 and 2.2 times as long at 4096 and 16 384 tokens on one thread, and an
LSTM no longer.
"""

import torch
from torch import Tensor

from seqbench.cell import TimingConfig
from seqbench.measure.probes.base import Subject
from seqbench.measure.rounds import Block
from seqbench.measure.seeds import stream


def block(subject: Subject, timing: TimingConfig) -> Block:
    """Return the reading of `timing.batch` prompts, each up to its most likely next token."""
    rng = stream("timing", subject.task, subject.length, subject.seed)
    prompts = subject.sample(rng, timing.batch, subject.length).inputs  # (B, T)
    model = subject.model.eval()

    @torch.no_grad()
    def answer() -> Tensor:
        logits: Tensor = model(prompts)[0]
        return logits[:, -1].argmax(dim=-1)  # (B, T, V) -> (B,)

    return Block(call=answer, tokens=timing.batch, passes=float(prompts.shape[1]))
