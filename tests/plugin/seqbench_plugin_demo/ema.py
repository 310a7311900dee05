"""Exponential moving averages of the embeddings, each unit with a decay of its own, and an MLP that reads them.

h_t = a ⊙ h_{t-1} + (1 - a) ⊙ e_t        a = sigmoid of a learned vector
o_t = W₂ GELU(W₁ h_t + b₁) + b₂
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seqbench.measure.models.base import Costs, ModelSpec, front, front_costs, linear_costs, options_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """slowest: the logit of the largest decay at the start; 4 forgets by half in 38 steps."""

    slowest: float = 4.0


def build(spec: ModelSpec) -> nn.Module:
    """Return the network: (B, T) -> (B, T, V) logits, state of one (B, D) tensor."""
    return Averages(spec, slowest=options_of(spec, Options).slowest)


class Averages(nn.Module):
    """Embedding (or a projection of floats), averages, MLP."""

    def __init__(self, spec: ModelSpec, *, slowest: float) -> None:
        super().__init__()
        self.front = front(spec, projects=True)
        self.decay = nn.Parameter(torch.linspace(-slowest, slowest, spec.width))
        self.head = nn.Sequential(nn.Linear(spec.width, spec.mlp), nn.GELU(), nn.Linear(spec.mlp, spec.outputs))

    def forward(self, tokens: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return logits and the averages after the last token: (B, T) -> (B, T, V), (B, D)."""
        e, a = self.front(tokens), torch.sigmoid(self.decay)  # (B, T, D), (D,)
        h = torch.zeros_like(e[:, 0]) if state is None else state
        averages = []
        for now in e.unbind(1):
            h = a * h + (1 - a) * now
            averages.append(h)
        return self.head(torch.stack(averages, dim=1)), h


def costs(spec: ModelSpec, tokens: int) -> Costs:
    """Return what the network costs: a decay per unit beside table and MLP, D floats of state."""
    own = Costs(parameters=spec.width, flops=0, state_floats=spec.width)
    mlp = linear_costs(spec.width, spec.mlp) + linear_costs(spec.mlp, spec.outputs)
    return front_costs(spec, projects=True) + own + mlp
