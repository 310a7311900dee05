"""Time of generating token by token behind a context of the cell's length, as text is generated.

Every call starts from the same state, made once from the context, and feeds the most likely token back.
"""

from typing import Any

import torch
from torch import Tensor, nn

from seqbench.cell import TimingConfig
from seqbench.measure.probes.base import Subject
from seqbench.measure.rounds import Block
from seqbench.measure.seeds import stream

CHUNK = 1024
"""The context is read in pieces of this length, so that its own attention matrix never fills the memory."""


def block(subject: Subject, timing: TimingConfig) -> Block:
    """Return the generation of `timing.decoded_tokens` tokens for each of `timing.batch` sequences."""
    rng = stream("timing", subject.task, subject.length, subject.seed)
    context = subject.sample(rng, timing.batch, subject.length).inputs  # (B, T)
    model = subject.model.eval()
    state = read(model, context)

    def decode() -> None:
        generate(model, context[:, -1:], state, tokens=timing.decoded_tokens)

    return Block(call=decode, tokens=timing.batch * timing.decoded_tokens)


@torch.no_grad()
def read(model: nn.Module, context: Tensor) -> Any:
    """Return the state after a context: (B, T) -> the model's state."""
    state = None
    for start in range(0, context.shape[1], CHUNK):
        _, state = model(context[:, start : start + CHUNK], state)
    return state


@torch.no_grad()
def generate(model: nn.Module, token: Tensor, state: Any, *, tokens: int) -> Tensor:
    """Return so many most likely tokens after a token and a state: (B, 1) -> (B, tokens)."""
    found = []
    for _ in range(tokens):
        logits, state = model(token, state)
        token = logits[:, -1:].argmax(dim=-1)  # (B, 1, V) -> (B, 1)
        found.append(token)
    return torch.cat(found, dim=1)
