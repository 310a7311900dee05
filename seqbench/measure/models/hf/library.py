"""What is asked of the transformers library: a configuration's fields as options, a body, and what really runs."""

import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import Field, fields, make_dataclass
from functools import cache, reduce
from operator import or_
from types import UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin

from torch import nn

from seqbench.errors import InvalidInput
from seqbench.measure.models.base import ModelSpec
from seqbench.measure.models.hf.zoo import KINDS, Given, Kind

_WIDTH = "the cell's width decides it"
_LAYERS = "the cell's number of layers decides it"
_MLP = "the cell's MLP units decide it, four times the width unless matched"
_HEAD = "the head is the suite's own, the same for every model"
DECIDED: Mapping[str, str] = {
    "vocab_size": "the task decides it",
    **dict.fromkeys(("hidden_size", "n_embd", "embedding_dim", "word_embed_proj_dim"), _WIDTH),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "num_blocks"), _LAYERS),
    **dict.fromkeys(("intermediate_size", "shared_intermediate_size", "n_inner", "ffn_dim", "dff"), _MLP),
    **dict.fromkeys(("ffn_proj_factor", "ffn_round_up_to_multiple_of"), _MLP),
    **dict.fromkeys(("tie_word_embeddings", "decoder_bias", "final_logit_softcapping", "logits_soft_cap"), _HEAD),
    **dict.fromkeys(("output_logit_soft_cap", "logits_scaling", "lm_head_multiplier"), _HEAD),
    **dict.fromkeys(("use_bidirectional_attention", "add_cross_attention", "is_decoder"), "it reads left to right"),
}
"""Fields that the suite decides, with the reason that a user is told."""

_IDLE = ("use_cache", "num_logits_to_keep", "output_router_logits", "router_aux_loss_coef", "z_loss_coefficient")
_IDLE_STARTS = ("summary_", "classifier_", "mtp_", "num_nextn_", "pretraining_", "_")
_SCALARS = (bool, int, float, str)
_FALLBACK = "is falling back to its reference PyTorch implementation"


@cache
def options_of_type(member: str) -> type:
    """Return a frozen dataclass of the configuration's scalar fields, None for each that is not given."""
    listed: list[tuple[str, Any, Any]] = [
        (field.name, reduce(or_, scalars) | None, None)
        for field in _own_fields(member)
        if (scalars := _scalars(field.type)) and not _idle(field.name)
    ]
    if KINDS[member].attention == "sdpa":
        listed.append(("attn_implementation", Literal["sdpa", "eager"] | None, None))
    return make_dataclass(
        "Options", listed, namespace={"__post_init__": _refusing(member)}, frozen=True, slots=True, kw_only=True
    )


def make_body(spec: ModelSpec, given: Given) -> nn.Module:
    """Return the library's body of these sizes, its weights drawn from the global stream by its own initialisation.

    Raises InvalidInput with the library's reason when the options do not go together.
    """
    from transformers import AutoModel  # noqa: PLC0415 - seconds of import

    auto: Any = AutoModel  # the library has types for some of its functions only
    logging.getLogger("transformers.integrations.hub_kernels").addFilter(_is_news)
    kind = KINDS[spec.member]
    attention = str(given.get("attn_implementation", kind.attention or "eager"))
    chosen = {name: value for name, value in given.items() if name != "attn_implementation"}
    sizes = {"hidden_size": spec.width, "num_hidden_layers": spec.layers, "vocab_size": spec.vocab}
    try:
        fixed = {**_defaults(spec.member), **sizes, **kind.sizes(spec, given), **chosen}
        body = auto.from_config(_config_class(spec.member)(**fixed), attn_implementation=attention)
    except (ValueError, TypeError, LookupError, RuntimeError, ArithmeticError, AttributeError, AssertionError) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise InvalidInput(f"hf:{spec.member} cannot be built with these sizes and options ({reason})") from error
    return cast("nn.Module", body)


def implementation_of(body: Any, kind: Kind) -> str:
    """Return what really runs, as `transformers 5.24.0, sdpa, torch in place of mamba_ssm and causal_conv1d`."""
    import transformers  # noqa: PLC0415 - it is loaded already, and heavy

    # the library takes a package's kernels when it imports a type, and only where that import succeeds
    found = [package for package in kind.kernels if package in sys.modules]
    lacking = [package for package in kind.kernels if package not in found]
    parts = [f"transformers {transformers.__version__}"]
    parts += [str(body.config._attn_implementation)] if kind.attention else []
    parts += [f"kernels of {' and '.join(found)}"] if found else []
    parts += [f"torch in place of {' and '.join(lacking)}"] if lacking else []
    return ", ".join(parts)


def _is_news(record: logging.LogRecord) -> bool:
    """Return whether a message is more than that kernels are missing, which every record says already."""
    return _FALLBACK not in record.getMessage()


def _defaults(member: str) -> dict[str, object]:
    """Return what every body gets: no special tokens, whose rows of the table would not learn, and no dropout."""
    names = [field.name for field in _own_fields(member)]
    special = dict.fromkeys((name for name in names if name.endswith("_token_id")), None)
    noise = dict.fromkeys((name for name in names if _is_noise(name)), 0.0)
    experts = {"experts_implementation": "batched_mm"} if "num_local_experts" in names else {}
    return {**special, **noise, **experts}


def _is_noise(name: str) -> bool:
    return name.endswith(("dropout", "pdrop", "layerdrop", "jitter_noise"))


def _refusing(member: str) -> Callable[[Any], None]:
    """Return what is called on fresh options: it refuses those that the suite decides, all at once."""

    def refuse(options: Any) -> None:
        wrong = [name for name in DECIDED if getattr(options, name, None) is not None]
        if wrong:
            raise InvalidInput(
                "\n".join(f"hf:{member} does not take {name}: {DECIDED[name]}; leave it out" for name in wrong)
            )

    return refuse


def _config_class(member: str) -> Any:
    from transformers import CONFIG_MAPPING  # noqa: PLC0415 - seconds of import

    return CONFIG_MAPPING[member]


def _own_fields(member: str) -> list[Field[Any]]:
    """Return the fields of a type's configuration that not every configuration has."""
    from transformers import PreTrainedConfig  # noqa: PLC0415 - seconds of import

    common = {field.name for field in fields(PreTrainedConfig)}
    return [field for field in fields(_config_class(member)) if field.name not in common]


def _idle(name: str) -> bool:
    """Return whether a field has no part in a body: token ids, classifiers, losses of other trainers."""
    return name in _IDLE or name.startswith(_IDLE_STARTS) or name.endswith("_token_id")


def _scalars(annotation: Any) -> tuple[Any, ...]:
    """Return the scalar types of an annotation: `int | list[int] | None` -> int."""
    if annotation in _SCALARS or get_origin(annotation) is Literal:
        return (annotation,)
    if get_origin(annotation) not in (Union, UnionType):
        return ()
    return tuple(scalar for part in get_args(annotation) for scalar in _scalars(part))
