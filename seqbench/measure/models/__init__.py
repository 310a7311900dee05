"""Sequence models by name: what each is called, which options it takes, how it is built and what it costs.

Names are listed without torch; a model's module, and torch with it, is imported when the model is asked for.
"""

import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import ModuleType, NoneType, UnionType
from typing import TYPE_CHECKING, Literal, Union, cast, get_args, get_origin, get_type_hints

from seqbench.errors import ContractError, InvalidInput, UnknownName
from seqbench.registry import Registry, is_path, load_path, unknown
from seqbench.variant import Scalar, Variant

if TYPE_CHECKING:
    from torch import nn

    from seqbench.measure.models.base import Costs, ModelSpec

MODELS = Registry(
    "model",
    "seqbench.models",
    {
        "rnn": "seqbench.measure.models.rnn",
        "lstm": "seqbench.measure.models.lstm",
        "gru": "seqbench.measure.models.gru",
        "transformer": "seqbench.measure.models.transformer",
        "tcn": "seqbench.measure.models.tcn",
        "mingru": "seqbench.measure.models.mingru",
        "minlstm": "seqbench.measure.models.minlstm",
        "lru": "seqbench.measure.models.lru",
        "linear_attention": "seqbench.measure.models.linear_attention",
        "block:rnn": "seqbench.measure.models.block",
        "block:lstm": "seqbench.measure.models.block",
        "block:gru": "seqbench.measure.models.block",
        "block:mingru": "seqbench.measure.models.block",
        "block:minlstm": "seqbench.measure.models.block",
        "block:lru": "seqbench.measure.models.block",
        "block:linear_attention": "seqbench.measure.models.block",
        "block:attention": "seqbench.measure.models.block",
        "block:convolution": "seqbench.measure.models.block",
        "hf:gpt2": "seqbench.measure.models.hf",
        "hf:openai-gpt": "seqbench.measure.models.hf",
        "hf:gpt_neox": "seqbench.measure.models.hf",
        "hf:opt": "seqbench.measure.models.hf",
        "hf:bloom": "seqbench.measure.models.hf",
        "hf:llama": "seqbench.measure.models.hf",
        "hf:qwen3": "seqbench.measure.models.hf",
        "hf:mistral": "seqbench.measure.models.hf",
        "hf:smollm3": "seqbench.measure.models.hf",
        "hf:gemma2": "seqbench.measure.models.hf",
        "hf:nanochat": "seqbench.measure.models.hf",
        "hf:modernbert-decoder": "seqbench.measure.models.hf",
        "hf:ctrl": "seqbench.measure.models.hf",
        "hf:mamba": "seqbench.measure.models.hf",
        "hf:falcon_mamba": "seqbench.measure.models.hf",
        "hf:mamba2": "seqbench.measure.models.hf",
        "hf:xlstm": "seqbench.measure.models.hf",
        "hf:recurrent_gemma": "seqbench.measure.models.hf",
        "hf:falcon_h1": "seqbench.measure.models.hf",
        "hf:jamba": "seqbench.measure.models.hf",
        "hf:bamba": "seqbench.measure.models.hf",
        "hf:zamba2": "seqbench.measure.models.hf",
        "hf:nemotron_h": "seqbench.measure.models.hf",
        "hf:granitemoehybrid": "seqbench.measure.models.hf",
        "hf:lfm2": "seqbench.measure.models.hf",
        "hf:qwen3_next": "seqbench.measure.models.hf",
        "hf:qwen3_5_text": "seqbench.measure.models.hf",
        "hf:kimi_linear": "seqbench.measure.models.hf",
        "hf:olmo_hybrid": "seqbench.measure.models.hf",
        "hf:minimax": "seqbench.measure.models.hf",
    },
    needs=[["build"]],
)
# Members of the same-block arm, and whose mixer each one is; a name here needs its "block:…" above.
MIXERS = Registry(
    "mixer",
    "seqbench.mixers",
    {
        "rnn": "seqbench.measure.models.rnn",
        "lstm": "seqbench.measure.models.lstm",
        "gru": "seqbench.measure.models.gru",
        "mingru": "seqbench.measure.models.mingru",
        "minlstm": "seqbench.measure.models.minlstm",
        "lru": "seqbench.measure.models.lru",
        "linear_attention": "seqbench.measure.models.linear_attention",
        "attention": "seqbench.measure.models.transformer",
        "convolution": "seqbench.measure.models.tcn",
    },
    needs=[["mixer"], ["mixer_costs"]],
)

_KINDS: dict[object, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def spec_for(
    variant: Variant,
    *,
    vocab: int,
    outputs: int,
    width: int,
    layers: int,
    inputs: int | None = None,
    hidden: int | None = None,
) -> "ModelSpec":
    """Return the spec of a variant at these sizes, its options checked and completed with their defaults.

    Raises UnknownName for a model or option that does not exist, and InvalidInput for values that an option
    does not take; all wrong options of a variant are named at once.
    """
    from seqbench.measure.models.base import ModelSpec  # noqa: PLC0415 - torch comes with it

    return ModelSpec(
        vocab=vocab,
        outputs=outputs,
        width=width,
        layers=layers,
        inputs=inputs,
        hidden=hidden,
        member=_member(variant.name),
        options=_options(variant, _module(variant.name)),
    )


def create(variant: Variant, spec: "ModelSpec", *, seed: int) -> "nn.Module":
    """Return the model with the weights that this seed draws; the global random stream stays as it was."""
    from seqbench.measure.seeds import initialisation  # noqa: PLC0415 - torch comes with it

    module = _module(variant.name)
    with initialisation(seed):
        built: nn.Module = module.build(spec)
    return built


def costs(variant: Variant, spec: "ModelSpec", tokens: int) -> "Costs | None":
    """Return parameters, operations per token and state of the model, in closed form; None when its file has none."""
    closed_form = vars(_module(variant.name)).get("costs")
    return None if closed_form is None else cast("Costs", closed_form(spec, tokens))


def refusal(variant: Variant, spec: "ModelSpec", *, length: int, lag: int | None) -> str:
    """Return why this model cannot stand before sequences of this length with answers `lag` back, or nothing."""
    asked = vars(_module(variant.name)).get("refusal")
    return "" if asked is None else str(asked(spec, length=length, lag=lag))


def implementation(variant: Variant, spec: "ModelSpec", model: "nn.Module") -> str:
    """Return what really runs a model: what its file finds, or its option `implementation`, or "own"."""
    return implementation_by(_module(variant.name), spec, model)


def implementation_by(module: ModuleType, spec: "ModelSpec", model: "nn.Module") -> str:
    """Return what really runs a model of this file, or whose mixers are of this file."""
    asked = vars(module).get("implementation")
    return str(getattr(spec.options, "implementation", "own") if asked is None else asked(spec, model))


def width_step(variant: Variant, spec: "ModelSpec") -> int:
    """Return what the width of this model must be a multiple of."""
    asked = vars(_module(variant.name)).get("width_step")
    return 1 if asked is None else int(asked(spec))


def tolerance(variant: Variant, spec: "ModelSpec") -> float:
    """Return how far logits of this model that are equal in exact arithmetic may lie apart: 0, unless its file says."""
    asked = vars(_module(variant.name)).get("tolerance")
    return 0.0 if asked is None else float(asked(spec))


def _module(name: str) -> ModuleType:
    module = load_path(name) if is_path(name) else MODELS.load(name)
    if not callable(vars(module).get("build")):
        raise ContractError(f"model {name}: its module has no build(spec); write one that returns the nn.Module")
    return module


def _member(name: str) -> str:
    """Return what follows the colon in the name of a family's member, or nothing."""
    return "" if is_path(name) else name.partition(":")[2]


def _options(variant: Variant, module: ModuleType) -> object:
    """Return the module's own `Options` with the variant's values, or None for a module without options."""
    of_member = vars(module).get("options")
    kind = vars(module).get("Options") if of_member is None else of_member(_member(variant.name))
    if kind is None:
        _refuse_wrong(variant, {})
        return None
    if not (isinstance(kind, type) and is_dataclass(kind)):
        raise ContractError(f"model {variant.name}: its Options must be a frozen dataclass")
    hints = get_type_hints(kind, globalns=vars(sys.modules[kind.__module__]))
    choices = {field.name: _choices(hints[field.name]) for field in fields(kind)}
    _refuse_wrong(variant, choices)
    return kind(**{name: _as(choices[name], value) for name, value in variant.options})


def _refuse_wrong(variant: Variant, choices: Mapping[str, tuple[object, ...]]) -> None:
    kind = f"option of {variant.name}"
    given = {name for name, _ in variant.options}
    strangers = [str(unknown(kind, name, choices)) for name in sorted(given - {"causal", *choices})]
    misfits = [
        f"{variant.name} does not take {name}={value!r}; it must be {_described(choices[name])}"
        for name, value in variant.options
        if name in choices and not _fits(choices[name], value)
    ]
    if "causal" in given and "causal" not in choices:
        misfits.append(f"{variant.name} reads from left to right and cannot be an encoder; leave causal out")
    if misfits:
        raise InvalidInput("\n".join((*misfits, *strangers)))
    if strangers:
        raise UnknownName("\n".join(strangers))


def _choices(annotation: object) -> tuple[object, ...]:
    """Return what may be written for an annotation: types such as float, and the values of a Literal."""
    if get_origin(annotation) in (Literal, Union, UnionType):
        return tuple(choice for member in get_args(annotation) for choice in _choices(member))
    return () if annotation is NoneType else (annotation,)


def _fits(choices: tuple[object, ...], value: Scalar) -> bool:
    if type(value) in choices or (type(value) is int and float in choices):
        return True
    return any(type(choice) is type(value) and choice == value for choice in choices)  # True is not 1


def _as(choices: tuple[object, ...], value: Scalar) -> Scalar:
    """Return the value, a whole number as a float where only a float is meant: gain=1 is gain=1.0."""
    return float(value) if type(value) is int and float in choices and int not in choices else value


def _described(choices: tuple[object, ...]) -> str:
    listed = [str(choice) for choice in choices if choice not in _KINDS]
    kinds = [_KINDS[choice] for choice in choices if choice in _KINDS]
    return " or ".join(([f"one of {', '.join(listed)}"] if listed else []) + kinds)
