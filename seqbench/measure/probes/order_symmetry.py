"""Order symmetry S: how much the answer changes when the inputs are put into another order, in float64.

S = [ E ‖f(x) - f(πx)‖² / (2 Var f) ]^½ is 0 for a function that does not see order, and about 1 when another order
changes as much as another input would. A causal model is read at its last position, whose token is one fixed token in
every sequence and stays in place; a model that sees the future is read as the mean over positions, and all of them
are permuted.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn

from seqbench.measure.probes.base import Subject
from seqbench.measure.seeds import stream
from seqbench.record import Measurement

SEQUENCES = 64
PERMUTATIONS = 8


@torch.no_grad()
def measure(subject: Subject) -> tuple[Measurement, ...]:
    """Return S (1) of the subject's model on sequences of the cell's length."""
    rng = stream("order symmetry", subject.task, subject.length, subject.seed)
    tokens = subject.sample(rng, SEQUENCES, subject.length).inputs
    model = deepcopy(subject.model).double().eval()
    value = symmetry(model, tokens, rng, causal=subject.causal)
    return (Measurement(name="order_symmetry", value=value, unit="1"),)


def symmetry(model: nn.Module, tokens: Tensor, rng: torch.Generator, *, causal: bool) -> float:
    """Return S over 8 permutations per sequence: tokens (B, T) -> scalar."""
    if causal:
        tokens = torch.cat((tokens[:, :-1], torch.zeros_like(tokens[:, -1:])), dim=1)
    free = tokens.shape[1] - 1 if causal else tokens.shape[1]
    reference = _read(model, tokens, causal=causal)  # (B, V)
    changes = []
    for _ in range(PERMUTATIONS):
        order = torch.stack([torch.randperm(free, generator=rng) for _ in tokens]).to(tokens.device)  # (B, T')
        permuted = torch.cat((tokens[:, :free].gather(1, order), tokens[:, free:]), dim=1)
        changes.append((_read(model, permuted, causal=causal) - reference).square().sum(dim=-1))
    spread = (reference - reference.mean(dim=0)).square().sum(dim=-1).mean()
    return float((torch.stack(changes).mean() / (2 * spread)).sqrt())


def _read(model: nn.Module, tokens: Tensor, *, causal: bool) -> Tensor:
    """Return the logits at the last position, or their mean over positions: (B, T) -> (B, V)."""
    logits: Tensor = model(tokens)[0]
    return logits[:, -1] if causal else logits.mean(dim=1)
