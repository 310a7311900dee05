"""Gated recurrent unit (Cho et al. 2014): one state, of which a gate decides how much is kept.

    r, z = σ(U x_t + W h_{t-1} + b)        reset and update gate, each with its own U, W, b
    n    = tanh(U x_t + b + r ⊙ (W h_{t-1} + b'))
    h_t  = (1 - z) ⊙ n + z ⊙ h_{t-1}

This is the library's form: z keeps the old state, and r acts after W, as cuDNN computes it.
`fused` runs all steps in the library's kernel; `eager` is the loop that reads like the equations.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

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
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What may be varied: where the update gate starts, and which implementation runs.

    update_bias: b_z of every unit; the larger, the longer it keeps (None: the library's U(±1/√D), twice).
    """

    update_bias: float | None = None
    implementation: Literal["fused", "eager"] = "fused"


def build(spec: ModelSpec) -> nn.Module:
    """Return the network: (B, T) tokens -> (B, T, V) logits, state of one (B, L, D) tensor."""
    return Recurrent(spec, lambda inputs: _cells(inputs, spec.width, options_of(spec, Options), layers=spec.layers))


def mixer(inputs: int, width: int, options: Options, *, depth: int) -> nn.Module:  # noqa: ARG001 - every layer is alike
    """Return one layer: (B, T, I) -> (B, T, D), state of one (B, 1, D) tensor."""
    return _cells(inputs, width, options, layers=1)


def _cells(inputs: int, width: int, options: Options, *, layers: int) -> Cells:
    cells = nn.GRU(inputs, width, layers, batch_first=True)
    for _, _, b, b_too in cells.all_weights:
        _initialise(b, b_too, options=options)
    return Cells(cells, advance=_fused if options.implementation == "fused" else partial(loop, step=_step))


def _step(weights: Weights, x: Tensor, state: State) -> State:
    """Return h_t: (B, I), (B, D) -> (B, D)."""
    (U, W, b, b_too), (h,) = weights, state
    r_x, z_x, n_x = nn.functional.linear(x, U, b).chunk(3, dim=1)  # (B, 3D) -> 3 × (B, D)
    r_h, z_h, n_h = nn.functional.linear(h, W, b_too).chunk(3, dim=1)  # (B, 3D) -> 3 × (B, D)
    r, z = torch.sigmoid(r_x + r_h), torch.sigmoid(z_x + z_h)
    n = torch.tanh(n_x + r * n_h)
    return ((1 - z) * n + z * h,)


def _fused(cells: nn.RNNBase, inputs: Tensor, state: State) -> tuple[Tensor, State]:
    hidden, last = cells(inputs, state[0])
    return hidden, (last,)


@torch.no_grad()
def _initialise(b: Tensor, b_too: Tensor, *, options: Options) -> None:
    """Set one layer's biases, each (3D,) in the order r, z, n; torch adds the two, so one is zeroed."""
    if options.update_bias is None:
        return
    b.chunk(3)[1].fill_(options.update_bias)
    b_too.chunk(3)[1].zero_()


def costs(spec: ModelSpec, tokens: int) -> Costs:  # noqa: ARG001 - neither work nor state grows with the sequence
    """Return what the network costs: two gates and the candidate n per unit, and h of every layer."""
    return recurrent_costs(spec, gates=3)


def mixer_costs(inputs: int, width: int, options: Options, tokens: int, *, depth: int) -> Costs:  # noqa: ARG001 - as above
    """Return what one layer costs."""
    return cell_costs(inputs, width, gates=3)
