"""Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000): a cell that adds.

    i, f, o = σ(U x_t + W h_{t-1} + b)        input, forget and output gate, each with its own U, W, b
    g       = tanh(U x_t + W h_{t-1} + b)
    c_t     = f ⊙ c_{t-1} + i ⊙ g
    h_t     = o ⊙ tanh(c_t)

`fused` is the library's call, one kernel on a CPU too where it is in single precision; `eager` is the loop that reads
like the equations.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from seqbench.errors import InvalidInput
from seqbench.measure.models.base import (
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
    tier_of_cells,
    zero_state,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What may be varied: where the forget gate starts, and which implementation runs.

    forget_bias: b_f of every unit (None: the library's U(±1/√D), twice).
    chrono: the longest distance T to bridge; b_f = ln U(1, T-1) and b_i = -b_f (Tallec & Ollivier 2018,
    arXiv 1804.11188).
    """

    forget_bias: float | None = None
    chrono: int | None = None
    implementation: Literal["fused", "eager"] = "fused"

    def __post_init__(self) -> None:
        if self.chrono is not None and self.forget_bias is not None:
            raise InvalidInput(
                f"forget_bias={self.forget_bias} and chrono={self.chrono} both set the forget bias; give one"
            )
        if self.chrono is not None and self.chrono <= 2:
            raise InvalidInput(f"chrono={self.chrono} bridges nothing; give the longest distance, at least 3")


def build(spec: ModelSpec) -> nn.Module:
    """Return the network: (B, T) tokens -> (B, T, V) logits, state of two (B, L, D) tensors, h and c."""
    return Recurrent(spec, lambda inputs: _cells(inputs, spec.width, options_of(spec, Options), layers=spec.layers))


def mixer(inputs: int, width: int, options: Options, *, depth: int) -> nn.Module:  # noqa: ARG001 - every layer is alike
    """Return one layer: (B, T, I) -> (B, T, D), state of two (B, 1, D) tensors, h and c."""
    return _cells(inputs, width, options, layers=1)


def _cells(inputs: int, width: int, options: Options, *, layers: int) -> Cells:
    cells = nn.LSTM(inputs, width, layers, batch_first=True)
    for _, _, b, b_too in cells.all_weights:
        _initialise(b, b_too, options=options)
    advance = _fused if options.implementation == "fused" else partial(loop, step=_step)
    return Cells(cells, advance=advance, step=_library_step)


def _step(weights: Weights, x: Tensor, state: State) -> State:
    """Return h_t and c_t: (B, I), 2 × (B, D) -> 2 × (B, D)."""
    (U, W, b, b_too), (h, c) = weights, state
    i, f, g, o = (nn.functional.linear(x, U, b) + nn.functional.linear(h, W, b_too)).chunk(
        4, dim=1
    )  # (B, 4D) -> 4 × (B, D)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def _library_step(weights: Weights, x: Tensor, state: State) -> State:
    """Return what `_step` returns, by the library's cell."""
    return torch.lstm_cell(x, state, *weights)


def _fused(cells: nn.RNNBase, inputs: Tensor, state: State | None) -> tuple[Tensor, State]:
    hidden, last = cells(inputs, state or zero_state(cells, inputs))  # of its own it would make, and keep, two zeros
    return hidden, last


@torch.no_grad()
def _initialise(b: Tensor, b_too: Tensor, *, options: Options) -> None:
    """Set one layer's biases, each (4D,) in the order i, f, g, o; torch adds the two, so one is zeroed."""
    (i, f, _, _), (i_too, f_too, _, _) = b.chunk(4), b_too.chunk(4)
    if options.forget_bias is not None:
        f.fill_(options.forget_bias)
        f_too.zero_()
    if options.chrono is not None:
        f.uniform_(1, options.chrono - 1).log_()
        i.copy_(-f)
        f_too.zero_()
        i_too.zero_()


def implementation(spec: ModelSpec, model: nn.Module) -> str:
    """Return the tier that really runs."""
    return tier_of_cells(options_of(spec, Options).implementation, model)


def costs(spec: ModelSpec, tokens: int) -> Costs:  # noqa: ARG001 - neither work nor state grows with the sequence
    """Return what the network costs: three gates and the candidate g per unit, and h and c of every layer."""
    return recurrent_costs(spec, gates=4, states=2)


def mixer_costs(inputs: int, width: int, options: Options, tokens: int, *, depth: int) -> Costs:  # noqa: ARG001 - as above
    """Return what one layer costs."""
    return cell_costs(inputs, width, gates=4, states=2)
