"""Linear recurrent unit (Orvieto et al. 2023, arXiv 2303.06349): a diagonal of complex numbers inside the unit circle.

    h_t = λ ⊙ h_{t-1} + γ ⊙ (B x_t)         λ = exp(-exp ν + i exp θ), so that |λ| < 1 whatever is learnt
    y_t = Re(C h_t) + d ⊙ x_t               h, λ, B, C complex; N = D units

λ starts uniform on a ring r_min ≤ |λ| ≤ r_max with phases up to max_phase, γ at √(1 - |λ|²), which makes the state
about as large as its input for every λ. Layers are residual blocks with a norm before and an MLP behind: `Blocks`, as
the same-block arm has them, where the paper has a gated linear unit in place of the MLP.
`scan` runs all steps in parallel; `step` is the loop that reads like the equations.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from seqbench.errors import InvalidInput
from seqbench.measure.models.base import Blocks, Costs, ModelSpec, State, blocks_costs, linear_costs, options_of
from seqbench.measure.models.scan import RECURRENCES


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What may be varied: the ring on which λ starts, and which implementation runs.

    r_min, r_max: least and largest |λ|; the nearer to 1, the longer it keeps. max_phase: largest phase, in radians.
    """

    r_min: float = 0.9
    r_max: float = 0.999
    max_phase: float = 6.28
    implementation: Literal["scan", "step"] = "scan"

    def __post_init__(self) -> None:
        if not 0 <= self.r_min < self.r_max < 1:
            raise InvalidInput(f"r_min={self.r_min} and r_max={self.r_max} are no ring; give 0 <= r_min < r_max < 1")
        if self.max_phase <= 0:
            raise InvalidInput(f"max_phase={self.max_phase} must be above 0 radians")


def build(spec: ModelSpec) -> nn.Module:
    """Return the network: (B, T) -> (B, T, V) logits, state of L × one (B, D, 2) tensor, real and imaginary parts."""
    options = options_of(spec, Options)
    return Blocks(spec, lambda depth: mixer(spec.width, spec.width, options, depth=depth))


def mixer(inputs: int, width: int, options: Options, *, depth: int) -> nn.Module:  # noqa: ARG001 - every layer is alike
    """Return one unit: (B, T, D) -> (B, T, D), state of one (B, D, 2) tensor; inputs must be D for the path around."""
    if inputs != width:
        raise InvalidInput(f"{inputs} inputs do not fit width {width}; d ⊙ x_t needs as many inputs as outputs")
    return LRU(width, options)


class LRU(nn.Module):
    """The recurrence and its maps; every complex number is two real parameters, so that `double()` reaches all."""

    def __init__(self, width: int, options: Options) -> None:
        super().__init__()
        D = width
        squared = torch.empty(D).uniform_(options.r_min**2, options.r_max**2)  # |λ|², uniform over the ring's area
        self.nu = nn.Parameter(torch.log(-0.5 * torch.log(squared)))
        self.theta = nn.Parameter(torch.log(options.max_phase * (1 - torch.rand(D))))  # 1 - rand is never 0
        self.gamma = nn.Parameter(0.5 * torch.log1p(-squared))
        self.into = nn.Linear(D, 2 * D, bias=False)  # rows: real and imaginary part of unit 1, of unit 2, …
        self.out = nn.Linear(2 * D, D, bias=False)  # columns likewise: Re C and -Im C
        nn.init.normal_(self.into.weight, std=1 / math.sqrt(2 * D))
        nn.init.normal_(self.out.weight, std=1 / math.sqrt(D))
        self.around = nn.Parameter(torch.randn(D))
        self.recurrence = RECURRENCES[options.implementation]

    def eigenvalues(self) -> Tensor:
        """Return λ: (D,) complex."""
        return torch.exp(torch.complex(-torch.exp(self.nu), torch.exp(self.theta)))

    def forward(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Return outputs and h after the last position: (B, T, D) -> (B, T, D), one (B, D, 2)."""
        B, T, D = x.shape
        normalised = self.into.weight * torch.exp(self.gamma).repeat_interleave(2)[:, None]
        driven = nn.functional.linear(x, normalised).view(B, T, D, 2)  # (B, T, 2D) -> (B, T, D, 2)
        driven = driven.to(torch.promote_types(driven.dtype, torch.float32))  # complex numbers have no fewer digits
        start = None if state is None else torch.view_as_complex(state[0].contiguous())
        h = self.recurrence(self.eigenvalues(), torch.view_as_complex(driven), start)  # (B, T, D) complex
        parts = torch.view_as_real(h)  # (B, T, D, 2)
        y = self.out(parts.flatten(2)) + self.around * x
        return y, (parts[:, -1].clone(),)  # a view would keep the states of all positions


def implementation(spec: ModelSpec, model: nn.Module) -> str:  # noqa: ARG001 - the option alone decides
    """Return the tier that really runs."""
    return "eager" if options_of(spec, Options).implementation == "step" else "scan"


def costs(spec: ModelSpec, tokens: int) -> Costs:
    """Return what the network costs: `Blocks` of units."""
    unit = mixer_costs(spec.width, spec.width, options_of(spec, Options), tokens, depth=0)
    return blocks_costs(spec, lambda _: unit)


def mixer_costs(inputs: int, width: int, options: Options, tokens: int, *, depth: int) -> Costs:  # noqa: ARG001 - every layer is alike
    """Return what one unit costs: two complex maps, ν, θ, γ and d; D complex numbers of state, two floats each."""
    maps = linear_costs(inputs, 2 * width, bias=False) + linear_costs(2 * width, width, bias=False)
    return maps + Costs(parameters=4 * width, flops=0, state_floats=2 * width)
