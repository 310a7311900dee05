"""Linear recurrences h_t = a_t ⊙ h_{t-1} + x_t, in parallel or step by step, and the layers that are built on them.

`scan` joins neighbouring steps into one, solves the sequence of half the length in the same way and fills in the
steps between: a depth of log₂ T, down and up again, and work linear in T (Blelloch 1990). Only products and sums of
what is there occur, no logarithm and no division, so that it may be real or complex and nothing overflows where
|a| ≤ 1.

The log-space form of the papers, cumsum and logcumsumexp (Heinsen 2023, arXiv 2311.06281), was measured beside it
on one core of a server CPU, forward and backward of a minGRU recurrence of width 64 in float32: 132 ms against 23
at B = 64, T = 100; 76 against 12 at B = 16, T = 256; 398 against 63 at B = 4, T = 4096. Doubling, with work
T·log₂ T, took 28, 18 and 127 ms. At T = 4096 and gates near ½ the log-space form lost 4e-4 of the result, both
other forms and the loop 5e-7.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.measure.models.base import (
    Costs,
    ModelSpec,
    Recurrent,
    State,
    front_costs,
    linear_costs,
    refuse_second_derivative,
)

Recurrence = Callable[[Tensor, Tensor, Tensor | None], Tensor]
Gates = Callable[[Tensor], tuple[Tensor, Tensor]]


def scan(decay: Tensor, inputs: Tensor, start: Tensor | None) -> Tensor:
    """Return h_1 … h_T in parallel: decay and inputs (B, T, D), start (B, D) -> (B, T, D).

    decay: (D,) where it is the same at all steps. start: none is a start at zero. It has first derivatives only.
    """
    solved: Tensor = _Scan.apply(decay, inputs, start)  # type: ignore[no-untyped-call]
    return solved


def steps(decay: Tensor, inputs: Tensor, start: Tensor | None) -> Tensor:
    """Return what `scan` returns, by the loop that reads like the equation."""
    h = torch.zeros_like(inputs[:, 0]) if start is None else start
    decays = [decay] * inputs.shape[1] if decay.dim() == 1 else decay.unbind(1)
    passed = []
    for a, x in zip(decays, inputs.unbind(1), strict=True):  # indexing [:, t] would make backward quadratic in T
        h = a * h + x
        passed.append(h)
    return torch.stack(passed, dim=1)  # T × (B, D) -> (B, T, D)


RECURRENCES: dict[str, Recurrence] = {"scan": scan, "step": steps}


class _Scan(torch.autograd.Function):
    """The scan with its own backward pass, which is a scan from the end: a tape of the stages would take more memory.

    With G_t the whole gradient to h_t: G_t = g_t + ā_{t+1} ⊙ G_{t+1}, dx_t = G_t, da_t = G_t ⊙ h̄_{t-1}.
    """

    @staticmethod
    def forward(ctx: Any, decay: Tensor, inputs: Tensor, start: Tensor | None) -> Tensor:
        """Return all states and keep what backward needs."""
        if start is not None:
            first = inputs[:, 0] + _at(decay, 0) * start
            inputs = torch.cat((first[:, None], inputs[:, 1:]), dim=1)
        states = _solved(decay, inputs)
        ctx.save_for_backward(decay, states, start)
        return states

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return the gradients to decay, inputs and start."""
        refuse_second_derivative()
        decay, states, start = ctx.saved_tensors
        whole = _solved(_reversed_decay(decay.conj()), gradient.flip(1)).flip(1)
        before = torch.zeros_like(states[:, 0]) if start is None else start
        to_decay = whole * torch.cat((before[:, None], states[:, :-1]), dim=1).conj()
        to_start = None if start is None else _at(decay, 0).conj() * whole[:, 0]
        return to_decay.sum((0, 1)) if decay.dim() == 1 else to_decay, whole, to_start


def _solved(decay: Tensor, inputs: Tensor) -> Tensor:
    """Return h_t = a_t ⊙ h_{t-1} + x_t from zero: (B, T, D) -> (B, T, D)."""
    T = inputs.shape[1]
    if T == 1:
        return inputs.clone()
    pairs, rest = T // 2, (T - 1) // 2  # rest: how many steps of even number have one before them
    a_even, a_odd = _every_other(decay, 0, pairs), _every_other(decay, 1, pairs)
    joined = torch.addcmul(inputs[:, 1::2], a_odd, inputs[:, : 2 * pairs : 2])
    odd = _solved(a_odd * a_even, joined)  # (B, T/2, D)
    states = torch.empty_like(inputs, memory_format=torch.contiguous_format)
    states[:, 1::2] = odd
    states[:, 0] = inputs[:, 0]
    states[:, 2::2] = torch.addcmul(inputs[:, 2::2], _every_other(decay, 2, rest), odd[:, :rest])
    return states


def _every_other(decay: Tensor, first: int, count: int) -> Tensor:
    return decay if decay.dim() == 1 else decay[:, first : first + 2 * count : 2]


def _at(decay: Tensor, step: int) -> Tensor:
    return decay if decay.dim() == 1 else decay[:, step]


def _reversed_decay(decay: Tensor) -> Tensor:
    """Return the decays in the order in which backward meets them: the first, that of T + 1, multiplies nothing."""
    return decay if decay.dim() == 1 else decay.roll(-1, dims=1).flip(1)


class Layer(nn.Module):
    """One linear recurrence whose decay and input depend on x_t alone: (B, T, I), (B, D) -> (B, T, D).

    gates: what `maps` linear maps of x_t, side by side, become: (B, T, maps · D) -> decay and input of the recurrence.
    """

    def __init__(self, inputs: int, width: int, *, maps: int, gates: Gates, recurrence: Recurrence) -> None:
        super().__init__()
        self.maps = nn.Linear(inputs, maps * width)
        self.gates = gates
        self.recurrence = recurrence

    def forward(self, inputs: Tensor, start: Tensor | None) -> Tensor:
        """Return the states at all positions."""
        decay, driven = self.gates(self.maps(inputs))
        return self.recurrence(decay, driven, start)


class Layers(nn.Module):
    """Layers with one state each, one on another."""

    def __init__(self, *layers: Layer) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Return outputs and the state after the last position: (B, T, I) -> (B, T, D), one (B, L, D)."""
        starts: tuple[Tensor | None, ...] = (None,) * len(self.layers) if state is None else state[0].unbind(1)
        last = []
        for layer, start in zip(self.layers, starts, strict=True):
            inputs = layer(inputs, start)
            last.append(inputs[:, -1])
        return inputs, (torch.stack(last, dim=1),)  # L × (B, D) -> (B, L, D)


def network(spec: ModelSpec, layer: Callable[[int], Layer]) -> nn.Module:
    """Return embedding, layers one on another, head: (B, T) tokens -> (B, T, V) logits, state of one (B, L, D) tensor.

    layer: makes one for inputs of a size. The head starts at half the library's U(±1/√D): states are positive, about
    ½ each, so that their logits share an offset. Measured over 180 networks of two layers, D = 16 … 64: with the
    library's head a minGRU starts at up to ln V + 0.21, past the contract's 0.2;
    with half of it at ln V + 0.10 at most.
    """
    D = spec.width
    built = Recurrent(spec, lambda inputs: Layers(*(layer(size) for size in (inputs, *[D] * (spec.layers - 1)))))
    nn.init.uniform_(built.head.weight, -0.5 / D**0.5, 0.5 / D**0.5)
    return built


def positive(x: Tensor) -> Tensor:
    """Return g(x), x + ½ from zero on and σ(x) below: the papers' candidate, whose logarithm exists everywhere."""
    return torch.where(x >= 0, x + 0.5, torch.sigmoid(x))


def layer_costs(inputs: int, width: int, *, maps: int) -> Costs:
    """Return what one `Layer` costs: `maps` linear maps, D floats of state; the recurrence itself is elementwise."""
    return linear_costs(inputs, maps * width) + Costs(parameters=0, flops=0, state_floats=width)


def network_costs(spec: ModelSpec, *, maps: int) -> Costs:
    """Return what `network` costs: front, every layer, head."""
    total = front_costs(spec, projects=False) + linear_costs(spec.width, spec.outputs)
    for layer in range(spec.layers):
        total += layer_costs(spec.width if layer else spec.inputs or spec.width, spec.width, maps=maps)
    return total
