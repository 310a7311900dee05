"""Minimal long short-term memory (Feng et al. 2024, arXiv 2410.01201): gates that see the input and not the state.

    f_t, i_t = σ(W x_t + b)                             forget and input gate, each with its own W, b
    h̃_t      = g(W_h x_t + b_h)                         g(x) = x + ½ for x ≥ 0, σ(x) below
    h_t      = f′ ⊙ h_{t-1} + i′ ⊙ h̃_t                  f′ = f / (f + i), i′ = i / (f + i), h_0 = 0

This is the paper's log-space form with normalised gates, whose g keeps every state positive. The recurrence is linear
in h, so `scan` runs all steps in parallel; `step` is the loop that reads like the equations.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from seqbench.measure.models.base import Costs, ModelSpec, options_of
from seqbench.measure.models.scan import RECURRENCES, Layer, Layers, layer_costs, network, network_costs, positive


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What may be varied: where the gates start, and which implementation runs.

    gate_bias: b_i of every unit, the gate that writes; the smaller, the longer it keeps (None: the library's U(±1/√I)).
    """

    gate_bias: float | None = None
    implementation: Literal["scan", "step"] = "scan"


def build(spec: ModelSpec) -> nn.Module:
    """Return the network: (B, T) tokens -> (B, T, V) logits, state of one (B, L, D) tensor."""
    return network(spec, lambda inputs: _layer(inputs, spec.width, options_of(spec, Options)))


def mixer(inputs: int, width: int, options: Options, *, depth: int) -> nn.Module:  # noqa: ARG001 - every layer is alike
    """Return one layer: (B, T, I) -> (B, T, D), state of one (B, 1, D) tensor."""
    return Layers(_layer(inputs, width, options))


def _layer(inputs: int, width: int, options: Options) -> Layer:
    layer = Layer(inputs, width, maps=3, gates=_gates, recurrence=RECURRENCES[options.implementation])
    if options.gate_bias is not None:
        nn.init.constant_(layer.maps.bias[width : 2 * width], options.gate_bias)
    return layer


def _gates(mapped: Tensor) -> tuple[Tensor, Tensor]:
    """Return f′ and i′ ⊙ h̃: (B, T, 3D) -> 2 × (B, T, D).

    i / (f + i) = σ(ln i - ln f), which does not divide zero by zero where both gates are shut.
    """
    f, i, candidate = mapped.chunk(3, dim=-1)
    written = nn.functional.logsigmoid(i) - nn.functional.logsigmoid(f)
    return torch.sigmoid(-written), torch.sigmoid(written) * positive(candidate)


def implementation(spec: ModelSpec, model: nn.Module) -> str:  # noqa: ARG001 - the option alone decides
    """Return the tier that really runs."""
    return "eager" if options_of(spec, Options).implementation == "step" else "scan"


def costs(spec: ModelSpec, tokens: int) -> Costs:  # noqa: ARG001 - neither work nor state grows with the sequence
    """Return what the network costs: two gates and the candidate per unit, and h of every layer."""
    return network_costs(spec, maps=3)


def mixer_costs(inputs: int, width: int, options: Options, tokens: int, *, depth: int) -> Costs:  # noqa: ARG001 - as above
    """Return what one layer costs."""
    return layer_costs(inputs, width, maps=3)
