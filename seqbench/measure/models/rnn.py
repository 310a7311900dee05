"""Vanilla recurrent network (Elman 1990): one state, rewritten at every step.

    h_t = φ(U x_t + W h_{t-1} + b)        φ is tanh, relu or sigmoid
    o_t = V h_t + c

`fused` runs all steps in the library's kernel; `eager` is the loop that reads like the equations.
torch splits b into two vectors that are only ever added.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from seqbench.errors import InvalidInput
from seqbench.measure.models.base import (
    Advance,
    Cells,
    Costs,
    ModelSpec,
    Recurrent,
    State,
    Weights,
    cell_costs,
    loop,
    options_of,
    recurrent_costs,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What may be varied: φ, how W starts (`gain` scales it), and which implementation runs.

    init: default U(±1/√D); orthogonal gain·Q; gaussian N(0, gain²/D); identity W = I, b = 0,
    U ~ N(0, 0.001²), which with relu is the IRNN of Le et al. 2015, arXiv 1504.00941.
    """

    activation: Literal["tanh", "relu", "sigmoid"] = "tanh"
    init: Literal["default", "orthogonal", "identity", "gaussian"] = "default"
    gain: float = 1.0
    implementation: Literal["fused", "eager"] = "fused"

    def __post_init__(self) -> None:
        if self.gain != 1.0 and self.init in ("default", "identity"):
            raise InvalidInput(f"gain={self.gain} needs init=orthogonal or init=gaussian, not init={self.init}")


def build(spec: ModelSpec) -> nn.Module:
    """Return the network: (B, T) tokens -> (B, T, V) logits, state of one (B, L, D) tensor."""
    return Recurrent(spec, lambda inputs: _cells(inputs, spec.width, options_of(spec, Options), layers=spec.layers))


def mixer(inputs: int, width: int, options: Options, *, depth: int) -> nn.Module:  # noqa: ARG001 - every layer is alike
    """Return one layer: (B, T, I) -> (B, T, D), state of one (B, 1, D) tensor."""
    return _cells(inputs, width, options, layers=1)


def _cells(inputs: int, width: int, options: Options, *, layers: int) -> Cells:
    nonlinearity = "relu" if options.activation == "relu" else "tanh"
    cells = nn.RNN(inputs, width, layers, nonlinearity=nonlinearity, batch_first=True)
    for U, W, *biases in cells.all_weights:
        _initialise(U, W, biases, options=options)
    return Cells(cells, advance=_advance(options))


def _advance(options: Options) -> Advance:
    if options.implementation == "eager":
        return partial(loop, step=partial(_step, phi=getattr(torch, options.activation)))
    return _fused_sigmoid if options.activation == "sigmoid" else _fused


def _step(weights: Weights, x: Tensor, state: State, *, phi: Callable[[Tensor], Tensor]) -> State:
    """Return h_t = φ(U x_t + W h_{t-1} + b): (B, I), (B, D) -> (B, D)."""
    (U, W, b, b_too), (h,) = weights, state
    return (phi(nn.functional.linear(x, U, b) + nn.functional.linear(h, W, b_too)),)


def _fused(cells: nn.RNNBase, inputs: Tensor, state: State) -> tuple[Tensor, State]:
    hidden, last = cells(inputs, state[0])
    return hidden, (last,)


def _fused_sigmoid(cells: nn.RNNBase, inputs: Tensor, state: State) -> tuple[Tensor, State]:
    """Return the sigmoid network's outputs, by the tanh kernel: (B, T, I), (L, B, D) -> (B, T, D), (L, B, D).

    σ(z) = (1 + tanh(z/2)) / 2, so h = (1 + h′)/2 where h′ is the state of a tanh network with U/2, W/4 and
    b/2 + W·1/4; above the first layer the inputs are states too, so U is treated as W is. Weights are changed
    on the way, not in place: what is drawn, trained and saved are the sigmoid network's own.
    """
    weights: list[Tensor] = []
    for layer, (U, W, b, b_too) in enumerate(cells.all_weights):
        below = (U / 2, b / 2) if layer == 0 else (U / 4, b / 2 + U.sum(1) / 4)
        weights += [below[0], W / 4, below[1], b_too / 2 + W.sum(1) / 4]
    hidden, last = torch.rnn_tanh(
        inputs, 2 * state[0] - 1, weights, True, cells.num_layers, 0.0, cells.training, False, True
    )
    return (1 + hidden) / 2, ((1 + last) / 2,)


def _initialise(U: Tensor, W: Tensor, biases: list[nn.Parameter], *, options: Options) -> None:
    match options.init:
        case "orthogonal":
            nn.init.orthogonal_(W, options.gain)
        case "gaussian":
            nn.init.normal_(W, std=options.gain / math.sqrt(len(W)))
        case "identity":
            nn.init.eye_(W)
            nn.init.normal_(U, std=0.001)
            for bias in biases:
                nn.init.zeros_(bias)


def costs(spec: ModelSpec, tokens: int) -> Costs:  # noqa: ARG001 - neither work nor state grows with the sequence
    """Return what the network costs: one gate per unit, and h of every layer."""
    return recurrent_costs(spec, gates=1)


def mixer_costs(inputs: int, width: int, options: Options, tokens: int, *, depth: int) -> Costs:  # noqa: ARG001 - as above
    """Return what one layer costs."""
    return cell_costs(inputs, width, gates=1)
