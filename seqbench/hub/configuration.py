"""What a checkpoint says of its model: everything that building it takes."""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from seqbench import registry
from seqbench.errors import InvalidInput
from seqbench.measure import models
from seqbench.measure.models.base import ModelSpec
from seqbench.variant import Scalar, Variant


@strict
class SeqbenchConfig(PreTrainedConfig):  # type: ignore[no-untyped-call]
    """A model of the suite by name, options and sizes.

    model: registered name, as `lstm` or `block:gru`, or `path/to/file.py:build`, whose source has the `model_sha256`.
    options: all that were given and all defaults of the version that saved it, so that a later default changes nothing.
    vocab_size: tokens in and out. hidden_size: D. num_hidden_layers: L. intermediate_size: units of each MLP, None for
    the model's own. initial_seed: of the weights that a model gets when it is built rather than loaded.
    vocabulary_sha256: of the UTF-8 characters in order of their ids, None where there is no text.
    """

    model_type = "seqbench"
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["past_key_values", "cache"]

    model: str = "lstm"
    options: dict[str, Any] | None = None
    model_sha256: str | None = None
    vocab_size: int = 128
    hidden_size: int = 256
    num_hidden_layers: int = 2
    intermediate_size: int | None = None
    initial_seed: int = 0
    vocabulary_sha256: str | None = None
    use_cache: bool = True
    tie_word_embeddings: bool = False
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None

    def validate_sizes(self) -> None:
        """Refuse sizes below one."""
        wrong = [
            f"{name}={value}"
            for name in ("vocab_size", "hidden_size", "num_hidden_layers")
            if (value := getattr(self, name)) < 1
        ]
        if wrong:
            raise ValueError(f"{', '.join(wrong)} must be at least 1")


def variant_of(config: SeqbenchConfig) -> Variant:
    """Return the model's name with its options."""
    options: dict[str, Scalar] = config.options or {}
    return Variant(config.model, tuple(sorted(options.items())))


_TRUSTED: set[str] = set()
"""The sha256 of every own model's file that may run in this process."""


def trust(model: str) -> None:
    """Let checkpoints of this process run a file of your own, as `mine.py:build`, with the content that it has now.

    Without it a stranger's checkpoint could bring a file and name it. Raises UsageError where there is no such file.
    """
    _TRUSTED.add(registry.source_sha256(model))


def spec_of(config: SeqbenchConfig) -> ModelSpec:
    """Return what the model is built for.

    Raises UnknownName or InvalidInput for a model or option that this version does not have, for an encoder, and for an
    own model's file that is missing, another than the one that was saved, or not trusted (see `trust`).
    """
    if registry.is_path(config.model):
        _check_source(config)
    spec = models.spec_for(
        variant_of(config),
        vocab=config.vocab_size,
        outputs=config.vocab_size,
        width=config.hidden_size,
        layers=config.num_hidden_layers,
        hidden=config.intermediate_size,
    )
    if not spec.causal:
        raise InvalidInput(
            f"{config.model} with causal=false sees what comes after and cannot write text; leave it out"
        )
    return spec


def _check_source(config: SeqbenchConfig) -> None:
    found = registry.source_sha256(config.model)
    if found != config.model_sha256:
        raise InvalidInput(
            f"{config.model} has sha256 {found[:12]}…, the checkpoint was made with {str(config.model_sha256)[:12]}…; "
            "put the same file there"
        )
    if found not in _TRUSTED:
        raise InvalidInput(
            f"the checkpoint would run {config.model}; read that file, and if it is what you expect, "
            f"allow it with seqbench.hub.trust({config.model!r})"
        )
