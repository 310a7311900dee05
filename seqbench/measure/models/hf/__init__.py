"""Small causal models of the transformers library, such as `hf:llama`, built from a configuration.

The body is the library's own, with the library's own initialisation; nothing is downloaded. What the suite
decides stays the suite's: width, layers, vocabulary, MLP units (4·D, or as many as the spec says; types without
an MLP have none), and the head, one linear map behind the body's final norm as in every other model, so that
tied tables, caps and scales of the library's heads play no part. Dropout is 0 unless asked for, and no token
is a padding token, whose row of the table would never learn.

Options are the fields of the type's configuration that hold one number, text or truth value, as in
`hf:mamba2@n_groups=8`; what is not given is small where the library's default is large: two attention heads with
keys of their own, eight heads and 16 states for Mamba-2, one layer of attention at the end of every group of
a hybrid (`zoo.py` lists each type). `attn_implementation` chooses between sdpa, the default, and eager.

The state is the library's cache where gradients are off. Under gradients a sequence is read without a cache, as
in all training with this library, and the state is what has been read, which is read again when it is continued.
"""

from dataclasses import fields
from typing import Any

from seqbench.errors import InvalidInput
from seqbench.measure.models.base import ModelSpec, options_of
from seqbench.measure.models.hf.cached import Causal, positions_beyond
from seqbench.measure.models.hf.library import implementation_of, make_body, options_of_type
from seqbench.measure.models.hf.zoo import KINDS, Given, Kind
from seqbench.registry import unknown


def build(spec: ModelSpec) -> Causal:
    """Return the network: (B, T) -> (B, T, V) logits, state of the library's cache or of what has been read.

    Raises InvalidInput for a width, number of layers or option that the type cannot have.
    """
    kind, given = _of(spec)
    step = kind.step(given)
    if spec.width % step:
        raise InvalidInput(f"width {spec.width} does not fit hf:{spec.member}; choose a multiple of {step}")
    if spec.layers < kind.layers:
        raise InvalidInput(
            f"hf:{spec.member} mixes kinds of layers and needs {kind.layers} of them or more, not {spec.layers}"
        )
    return Causal(spec, make_body(spec, given), kind, room=_room(kind, given))


def options(member: str) -> type:
    """Return the options of a type: its configuration's scalar fields; sizes among them are refused with the reason.

    Raises UnknownName for a type that is not listed.
    """
    if member not in KINDS:
        raise unknown("model", f"hf:{member}", (f"hf:{name}" for name in KINDS))
    return options_of_type(member)


def width_step(spec: ModelSpec) -> int:
    """Return what the width must be a multiple of: whatever the type splits it into."""
    kind, given = _of(spec)
    return kind.step(given)


def refusal(spec: ModelSpec, *, length: int, lag: int | None) -> str:  # noqa: ARG001 - windows are longer than our lags
    """Return that a sequence is longer than the type's table of positions, or nothing."""
    kind, given = _of(spec)
    room = _room(kind, given)
    return positions_beyond(length, room, kind.positions) if room is not None and length > room else ""


def implementation(spec: ModelSpec, model: Causal) -> str:
    """Return what really runs: the library's version, its attention, and which fast kernels were found."""
    return implementation_of(model.body, KINDS[spec.member])


def _of(spec: ModelSpec) -> tuple[Kind, Given]:
    """Return the type and its options: those given, over ours."""
    kind = KINDS[spec.member]
    chosen: Any = options_of(spec, options(spec.member))
    named = {field.name: getattr(chosen, field.name) for field in fields(chosen)}
    return kind, {**kind.given, **{name: value for name, value in named.items() if value is not None}}


def _room(kind: Kind, given: Given) -> int | None:
    """Return how many positions the type's table has, or None for a type without one."""
    return int(given[kind.positions]) if kind.positions else None
