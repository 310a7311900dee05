"""Temporal convolutional network (Bai et al. 2018, arXiv 1803.01271): causal convolutions that reach ever farther back.

    x ← x + ReLU(Σ_j K_j x_{t - j·2^depth} + b)         j = 0 … k-1, depth = 0 … L-1
    o = V x + c

One convolution per level, where the paper's block has two; before the first position everything is zero. The last
position sees 1 + (k-1)(2^L - 1) positions and no other. The state is what the convolutions still need: the last
(k-1)·2^depth inputs of every level.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seqbench.errors import InvalidInput
from seqbench.measure.models.base import Costs, ModelSpec, State, front, front_costs, linear_costs, options_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What may be varied. kernel: k, how many inputs each convolution sees."""

    kernel: int = 3

    def __post_init__(self) -> None:
        if self.kernel < 2:
            raise InvalidInput(f"kernel={self.kernel} sees no earlier position; give 2 or more")


def build(spec: ModelSpec) -> nn.Module:
    """Return the network: (B, T) -> (B, T, V) logits, state of L × one (B, (k-1)·2^depth, D) tensor."""
    return TCN(spec, options_of(spec, Options))


def mixer(inputs: int, width: int, options: Options, *, depth: int) -> nn.Module:
    """Return the convolution of one level: (B, T, I) -> (B, T, D), state of one (B, (k-1)·2^depth, I) tensor."""
    return Convolution(inputs, width, kernel=options.kernel, dilation=2**depth)


class TCN(nn.Module):
    """Embedding (or a projection of floats), residual levels, linear head."""

    def __init__(self, spec: ModelSpec, options: Options) -> None:
        super().__init__()
        self.front = front(spec, projects=True)
        self.levels = nn.ModuleList(mixer(spec.width, spec.width, options, depth=depth) for depth in range(spec.layers))
        self.head = quiet_head(spec)

    def forward(self, tokens: Tensor, state: tuple[State, ...] | None = None) -> tuple[Tensor, tuple[State, ...]]:
        """Return logits and the last inputs of every level: (B, T) -> (B, T, V), L × one (B, (k-1)·2^depth, D)."""
        x = self.front(tokens)  # (B, T, D)
        after = []
        for level, before in zip(self.levels, state or (None,) * len(self.levels), strict=True):
            mixed, kept = level(x, before)
            x = x + torch.relu(mixed)
            after.append(kept)
        return self.head(x), tuple(after)


class Convolution(nn.Module):
    """One causal convolution: k·I·D + D parameters.

    The library's is taken: on one core, forward and backward of six levels of width 64 took 119 ms with it at B = 64,
    T = 100, between 137 and 148 as a matrix product of shifted inputs, as a sum of such products or as shifted sums
    of one product; at B = 16, T = 256 all lay between 66 and 76 ms, at B = 1, T = 1024 it took 20 ms, they 15 to 17.
    """

    def __init__(self, inputs: int, width: int, *, kernel: int, dilation: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(inputs, width, kernel, dilation=dilation)
        self.reach = (kernel - 1) * dilation

    def forward(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Return outputs and the last inputs: (B, T, I) -> (B, T, D), one (B, reach, I)."""
        past = x.new_zeros(len(x), self.reach, x.shape[2]) if state is None else state[0]
        seen = torch.cat((past, x), dim=1)  # (B, reach + T, I)
        mixed = self.convolution(seen.transpose(1, 2)).transpose(1, 2)  # (B, I, reach + T) -> (B, D, T) -> (B, T, D)
        return mixed, (seen[:, x.shape[1] :].clone(),)  # a view would keep the inputs of all positions


def quiet_head(spec: ModelSpec) -> nn.Linear:
    """Return the head: U(±1/(4√D)) in place of the library's U(±1/√D), for levels add up and no norm follows.

    Measured with the library's head: ln V + 0.24 in the mean of 24 networks of two levels and ln V + 0.79 of six, past
    the contract's 0.2; with a quarter of it ln V + 0.02 and ln V + 0.05, at most ln V + 0.09.
    """
    head = nn.Linear(spec.width, spec.outputs)
    nn.init.uniform_(head.weight, -0.25 / spec.width**0.5, 0.25 / spec.width**0.5)
    return head


def receptive_field(spec: ModelSpec) -> int:
    """Return how many positions the last one sees, itself included: an input `lag` back is seen if lag is smaller."""
    return _field(spec.layers, options_of(spec, Options))


def refusal(spec: ModelSpec, *, length: int, lag: int | None) -> str:  # noqa: ARG001 - it reads sequences of any length
    """Return that an answer lies beyond the receptive field, or nothing."""
    if lag is None or lag < receptive_field(spec):
        return ""
    layers = spec.layers
    while lag >= _field(layers, options_of(spec, Options)):
        layers += 1
    return (
        f"an answer {lag} positions back lies beyond the receptive field of {receptive_field(spec)} positions; "
        f"use layers={layers} or more"
    )


def implementation(spec: ModelSpec, model: nn.Module) -> str:  # noqa: ARG001 - there is one
    """Return the tier that really runs."""
    return "parallel"


def costs(spec: ModelSpec, tokens: int) -> Costs:
    """Return what the network costs: front, every level, head."""
    total = front_costs(spec, projects=True) + linear_costs(spec.width, spec.outputs)
    for depth in range(spec.layers):
        total += mixer_costs(spec.width, spec.width, options_of(spec, Options), tokens, depth=depth)
    return total


def mixer_costs(inputs: int, width: int, options: Options, tokens: int, *, depth: int) -> Costs:  # noqa: ARG001 - neither work nor state grows with the sequence
    """Return what one level costs: a linear map of k inputs, and (k-1)·2^depth of them as state."""
    remembered = Costs(parameters=0, flops=0, state_floats=(options.kernel - 1) * 2**depth * inputs)
    return linear_costs(options.kernel * inputs, width) + remembered


def _field(layers: int, options: Options) -> int:
    return 1 + (options.kernel - 1) * int(2**layers - 1)
