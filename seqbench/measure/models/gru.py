"""Gated recurrent unit (Cho et al. 2014): one state, of which a gate decides how much is kept.

    r, z = σ(U x_t + W h_{t-1} + b)        reset and update gate, each with its own U, W, b
    n    = tanh(U x_t + b + r ⊙ (W h_{t-1} + b'))
    h_t  = (1 - z) ⊙ n + z ⊙ h_{t-1}

This is the library's form: z keeps the old state, and r acts after W, as cuDNN computes it.
`fused` is the library's call, which on a CPU is a loop in C++; `eager` is the loop that reads like the equations, and
`batched` one with its own backward pass that takes products outside the loop wherever they do not wait for h. `fastest`
is, on a CPU, `batched` where gradients are taken and `fused` where not, and elsewhere `fused`.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

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
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What may be varied: where the update gate starts, and which implementation runs.

    update_bias: b_z of every unit; the larger, the longer it keeps (None: the library's U(±1/√D), twice).
    """

    update_bias: float | None = None
    implementation: Literal["fastest", "fused", "batched", "eager"] = "fastest"


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
    return Cells(cells, advance=_ADVANCES[options.implementation], step=_library_step)


def _step(weights: Weights, x: Tensor, state: State) -> State:
    """Return h_t: (B, I), (B, D) -> (B, D)."""
    (U, W, b, b_too), (h,) = weights, state
    r_x, z_x, n_x = nn.functional.linear(x, U, b).chunk(3, dim=1)  # (B, 3D) -> 3 × (B, D)
    r_h, z_h, n_h = nn.functional.linear(h, W, b_too).chunk(3, dim=1)  # (B, 3D) -> 3 × (B, D)
    r, z = torch.sigmoid(r_x + r_h), torch.sigmoid(z_x + z_h)
    n = torch.tanh(n_x + r * n_h)
    return ((1 - z) * n + z * h,)


def _library_step(weights: Weights, x: Tensor, state: State) -> State:
    """Return what `_step` returns, by the library's cell."""
    return (torch.gru_cell(x, state[0], *weights),)


def _all_steps(weights: Weights, x: Tensor, h: Tensor) -> Tensor:
    """Return h_1 … h_T: (T, B, I), (B, D) -> (T, B, D)."""
    U, W, b, b_too = weights
    states: Tensor = _Recurrence.apply(nn.functional.linear(x, U, b), h, W, b_too)  # type: ignore[no-untyped-call]
    return states


class _Recurrence(torch.autograd.Function):
    """All steps, given u_t = U x_t + b, with its own backward pass: autograd would visit some twenty nodes per step.

    With G_t the whole gradient to h_t and m = W_n h_{t-1} + b'_n:
    dn = G_t ⊙ (1 - z)(1 - n²), dz = G_t ⊙ (h_{t-1} - n) z(1 - z), dr = dn ⊙ m r(1 - r), dm = dn ⊙ r,
    G_{t-1} = g_{t-1} + G_t ⊙ z + Wᵀ (dr, dz, dm), dW = Σ_t (dr, dz, dm) h_{t-1}ᵀ, du = (dr, dz, dn).
    """

    @staticmethod
    def forward(ctx: Any, driven: Tensor, start: Tensor, W: Tensor, b: Tensor) -> Tensor:
        """Return all states: u (T, B, 3D), h_0 (B, D) -> (T, B, D)."""
        T, B, D = len(driven), *start.shape
        states = torch.cat((start[None], driven.new_empty(T, B, D)))  # (T + 1, B, D)
        gates, candidates = torch.empty_like(driven), driven.new_empty(T, B, D)  # r, z, m side by side; n
        h, *after = states.unbind(0)
        for u, gate, n, following in zip(driven, gates, candidates, after, strict=True):
            torch.addmm(b, h, W.T, out=gate)
            gate[:, : 2 * D].add_(u[:, : 2 * D]).sigmoid_()
            r, z, m = gate.chunk(3, dim=1)  # (B, 3D) -> 3 × (B, D)
            torch.addcmul(u[:, 2 * D :], r, m, out=n).tanh_()
            h = torch.lerp(n, h, z, out=following)
        ctx.save_for_backward(states, gates, candidates, W)
        return states[1:]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the gradients to u, h_0, W and b'."""
        refuse_second_derivative()
        states, gates, n, W = ctx.saved_tensors
        r, z, m = gates.chunk(3, dim=2)  # (T, B, 3D) -> 3 × (T, B, D)
        to_n = (1 - z) * (1 - n * n)
        to_r, to_z = to_n * m * r * (1 - r), (states[:-1] - n) * z * (1 - z)
        local = torch.stack((to_r, to_z, to_n * r, to_n), dim=2)  # (T, B, 4, D): by what G_t is multiplied
        recurrent = local.flatten(2)[..., : 3 * n.shape[2]]  # (T, B, 3D): dr, dz, dm
        direct = (torch.zeros_like(states[0]), *gradient.unbind(0))  # to h_0 … h_T from outside the recurrence
        whole = direct[-1]
        backwards = (part.unbind(0)[::-1] for part in (local, recurrent, z))
        for g, parts, through, kept in zip(direct[-2::-1], *backwards, strict=True):
            parts.mul_(whole[:, None])
            whole = torch.addmm(g, through, W).addcmul_(whole, kept)
        to_driven = torch.cat((recurrent[..., : 2 * n.shape[2]], local[:, :, 3]), dim=2)
        flat = recurrent.flatten(0, 1)  # (T, B, 3D) -> (T · B, 3D)
        return to_driven, whole, flat.T @ states[:-1].flatten(0, 1), flat.sum(0)


def _fused(cells: nn.RNNBase, inputs: Tensor, state: State | None) -> tuple[Tensor, State]:
    hidden, last = cells(inputs, None if state is None else state[0])
    return hidden, (last,)


_ADVANCES: dict[str, Advance] = {
    "fastest": partial(fastest, library=_fused, recurrence=_all_steps),
    "fused": _fused,
    "batched": partial(batched, recurrence=_all_steps),
    "eager": partial(loop, step=_step),
}


@torch.no_grad()
def _initialise(b: Tensor, b_too: Tensor, *, options: Options) -> None:
    """Set one layer's biases, each (3D,) in the order r, z, n; torch adds the two, so one is zeroed."""
    if options.update_bias is None:
        return
    b.chunk(3)[1].fill_(options.update_bias)
    b_too.chunk(3)[1].zero_()


def implementation(spec: ModelSpec, model: nn.Module) -> str:
    """Return the tier that really runs."""
    return tier_of_cells(options_of(spec, Options).implementation, model)


def costs(spec: ModelSpec, tokens: int) -> Costs:  # noqa: ARG001 - neither work nor state grows with the sequence
    """Return what the network costs: two gates and the candidate n per unit, and h of every layer."""
    return recurrent_costs(spec, gates=3)


def mixer_costs(inputs: int, width: int, options: Options, tokens: int, *, depth: int) -> Costs:  # noqa: ARG001 - as above
    """Return what one layer costs."""
    return cell_costs(inputs, width, gates=3)
