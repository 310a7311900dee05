"""Same-block arm: any mixer inside the same residual block, so that only the mixer differs between models.

    x ← x + M(LN(x))                        M: the mixer that stands behind the colon, as in block:lstm
    x ← x + W₂ GELU(W₁ LN(x) + b₁) + b₂     W₁: D -> 4D, or as many units as the spec says
    o = V LN(x) + c

A member takes the options of the model that its mixer comes from: block:lstm@forget_bias=1.
"""

from types import ModuleType
from typing import Any, cast

from torch import nn

from seqbench.measure.models import MIXERS, implementation_by
from seqbench.measure.models.base import Blocks, Costs, ModelSpec, blocks_costs


def options(member: str) -> type | None:
    """Return the class of a member's options, that of the model its mixer comes from.

    Raises UnknownName when there is no such mixer.
    """
    return cast("type | None", vars(MIXERS.load(member)).get("Options"))


def build(spec: ModelSpec) -> nn.Module:
    """Return the network: (B, T) -> (B, T, V) logits, state of L states of the mixer."""
    module, chosen = _mixer(spec)
    return Blocks(spec, lambda depth: module.mixer(spec.width, spec.width, chosen, depth=depth))


def width_step(spec: ModelSpec) -> int:
    """Return what the mixer's model says of its width."""
    asked = vars(MIXERS.load(spec.member)).get("width_step")
    return 1 if asked is None else int(asked(spec))


def refusal(spec: ModelSpec, *, length: int, lag: int | None) -> str:
    """Return what keeps the mixer's model from such sequences, or nothing."""
    asked = vars(MIXERS.load(spec.member)).get("refusal")
    return "" if asked is None else str(asked(spec, length=length, lag=lag))


def implementation(spec: ModelSpec, model: nn.Module) -> str:
    """Return the tier that really runs the mixers."""
    return implementation_by(MIXERS.load(spec.member), spec, model)


def costs(spec: ModelSpec, tokens: int) -> Costs:
    """Return what the network costs: `Blocks` of the mixer."""
    module, chosen = _mixer(spec)
    return blocks_costs(spec, lambda depth: module.mixer_costs(spec.width, spec.width, chosen, tokens, depth=depth))


def _mixer(spec: ModelSpec) -> tuple[ModuleType, Any]:
    """Return the module that offers a member's mixer, and the options to make it with."""
    module = MIXERS.load(spec.member)
    kind = options(spec.member)
    return module, kind() if spec.options is None and kind is not None else spec.options
