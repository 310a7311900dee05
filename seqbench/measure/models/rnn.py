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
    ModelSpec,
    Recurrent,
    State,
    Weights,
    loop,
    options_of,
    recurrent_parameters,
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
    options = options_of(spec, Options)
    kernel = partial(nn.RNN, nonlinearity="relu" if options.activation == "relu" else "tanh")
    model = Recurrent(spec, cells=kernel, advance=_advance(options))
    for U, W, *biases in model.cells.all_weights:
        _initialise(U, W, biases, options=options)
    return model


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


def parameters(spec: ModelSpec) -> int:
    """Return the number of parameters: one gate per unit."""
    return recurrent_parameters(spec, gates=1)


def state_floats(spec: ModelSpec, tokens: int) -> int:  # noqa: ARG001 - the state does not grow
    """Return the floats of one sequence's state: h of every layer, L·D."""
    return spec.layers * spec.width
