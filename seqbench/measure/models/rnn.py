"""Vanilla recurrent network (Elman 1990): one state, rewritten at every step.

    h_t = φ(U x_t + W h_{t-1} + b)        φ is tanh, relu or sigmoid
    o_t = V h_t + c

`fused` is the library's call, which on a CPU is a loop in C++; `eager` is the loop that reads like the equations, and
`batched` one with its own backward pass that takes products outside the loop wherever they do not wait for h. `fastest`
is, on a CPU, `batched` where gradients are taken and `fused` where not, and elsewhere `fused`.
torch splits b into two vectors that are only ever added.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

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
    batched,
    cell_costs,
    fastest,
    loop,
    options_of,
    recurrent_costs,
    refuse_second_derivative,
    tier_of_cells,
    zero_state,
)

_IN_PLACE = {"tanh": torch.tanh_, "relu": torch.relu_, "sigmoid": torch.sigmoid_}
_SLOPES: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": lambda h: 1 - h * h,
    "relu": lambda h: (h > 0).to(h.dtype),
    "sigmoid": lambda h: h * (1 - h),
}
"""φ -> φ′ of the state that φ gave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What may be varied: φ, how W starts (`gain` scales it), and which implementation runs.

    init: default U(±1/√D); orthogonal gain·Q; gaussian N(0, gain²/D); identity W = I, b = 0,
    U ~ N(0, 0.001²), which with relu is the IRNN of Le et al. 2015, arXiv 1504.00941.
    """

    activation: Literal["tanh", "relu", "sigmoid"] = "tanh"
    init: Literal["default", "orthogonal", "identity", "gaussian"] = "default"
    gain: float = 1.0
    implementation: Literal["fastest", "fused", "batched", "eager"] = "fastest"

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
    return Cells(cells, advance=_advance(options), step=partial(_library_step, phi=options.activation))


def _advance(options: Options) -> Advance:
    if options.implementation == "eager":
        return partial(loop, step=partial(_step, phi=getattr(torch, options.activation)))
    library = _fused_sigmoid if options.activation == "sigmoid" else _fused
    recurrence = partial(_all_steps, phi=options.activation)
    if options.implementation == "fastest":
        return partial(fastest, library=library, recurrence=recurrence)
    return partial(batched, recurrence=recurrence) if options.implementation == "batched" else library


def _step(weights: Weights, x: Tensor, state: State, *, phi: Callable[[Tensor], Tensor]) -> State:
    """Return h_t = φ(U x_t + W h_{t-1} + b): (B, I), (B, D) -> (B, D)."""
    (U, W, b, b_too), (h,) = weights, state
    return (phi(nn.functional.linear(x, U, b) + nn.functional.linear(h, W, b_too)),)


def _library_step(weights: Weights, x: Tensor, state: State, *, phi: str) -> State:
    """Return what `_step` returns, by the library's cell where it has one."""
    if phi == "sigmoid":
        return _step(weights, x, state, phi=torch.sigmoid)
    cell = torch.rnn_relu_cell if phi == "relu" else torch.rnn_tanh_cell
    return (cell(x, state[0], *weights),)


def _all_steps(weights: Weights, x: Tensor, h: Tensor, *, phi: str) -> Tensor:
    """Return h_1 … h_T: (T, B, I), (B, D) -> (T, B, D)."""
    U, W, b, b_too = weights
    states: Tensor = _Recurrence.apply(nn.functional.linear(x, U, b + b_too), h, W, phi)  # type: ignore[no-untyped-call]
    return states


class _Recurrence(torch.autograd.Function):
    """h_t = φ(u_t + W h_{t-1}) for all steps, with its own backward pass: autograd would visit several nodes per step.

    With G_t the whole gradient to h_t: du_t = G_t ⊙ φ′, G_{t-1} = g_{t-1} + Wᵀ du_t, dW = Σ_t du_t h_{t-1}ᵀ.
    """

    @staticmethod
    def forward(ctx: Any, driven: Tensor, start: Tensor, W: Tensor, phi: str) -> Tensor:
        """Return all states: u (T, B, D), h_0 (B, D) -> (T, B, D)."""
        states = torch.cat((start[None], torch.empty_like(driven)))  # (T + 1, B, D)
        h, *after = states.unbind(0)
        for u, following in zip(driven.unbind(0), after, strict=True):
            h = _IN_PLACE[phi](torch.addmm(u, h, W.T, out=following))
        ctx.save_for_backward(states, W)
        ctx.phi = phi
        return states[1:]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """Return the gradients to u, h_0 and W."""
        refuse_second_derivative()
        states, W = ctx.saved_tensors
        to_driven = _SLOPES[ctx.phi](states[1:])
        direct = (torch.zeros_like(states[0]), *gradient.unbind(0))  # to h_0 … h_T from outside the recurrence
        whole = direct[-1]
        for g, du in zip(direct[-2::-1], to_driven.unbind(0)[::-1], strict=True):
            whole = torch.addmm(g, du.mul_(whole), W)
        return to_driven, whole, to_driven.flatten(0, 1).T @ states[:-1].flatten(0, 1), None


def _fused(cells: nn.RNNBase, inputs: Tensor, state: State | None) -> tuple[Tensor, State]:
    hidden, last = cells(inputs, None if state is None else state[0])
    return hidden, (last,)


def _fused_sigmoid(cells: nn.RNNBase, inputs: Tensor, state: State | None) -> tuple[Tensor, State]:
    """Return the sigmoid network's outputs, by the tanh kernel: (B, T, I), (L, B, D) -> (B, T, D), (L, B, D).

    σ(z) = (1 + tanh(z/2)) / 2, so h = (1 + h′)/2 where h′ is the state of a tanh network with U/2, W/4 and
    b/2 + W·1/4; above the first layer the inputs are states too, so U is treated as W is. Weights are changed
    on the way, not in place: what is drawn, trained and saved are the sigmoid network's own.
    """
    state = state or zero_state(cells, inputs)
    weights: list[Tensor] = []
    for layer, (U, W, b, b_too) in enumerate(cells.all_weights):
        below = (U / 2, b / 2) if layer == 0 else (U / 4, b / 2 + U.sum(1) / 4)
        weights += [below[0], W / 4, below[1], b_too / 2 + W.sum(1) / 4]
    with warnings.catch_warnings():  # on a GPU the library would like weights that lie side by side; these are new
        warnings.filterwarnings("ignore", "RNN module weights are not part of single contiguous chunk of memory")
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


def implementation(spec: ModelSpec, model: nn.Module) -> str:
    """Return the tier that really runs."""
    return tier_of_cells(options_of(spec, Options).implementation, model)


def costs(spec: ModelSpec, tokens: int) -> Costs:  # noqa: ARG001 - neither work nor state grows with the sequence
    """Return what the network costs: one gate per unit, and h of every layer."""
    return recurrent_costs(spec, gates=1)


def mixer_costs(inputs: int, width: int, options: Options, tokens: int, *, depth: int) -> Costs:  # noqa: ARG001 - as above
    """Return what one layer costs."""
    return cell_costs(inputs, width, gates=1)
