"""A trained model as a folder of the library's format, with hashes of its files that are verified when it is read."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformers import PreTrainedTokenizerFast
from transformers.utils import logging

import seqbench
from seqbench import registry
from seqbench.corpus import shown
from seqbench.errors import CheckpointError, InvalidInput, SeqbenchError
from seqbench.hub.card import Facts, model_card
from seqbench.hub.configuration import SeqbenchConfig, trust
from seqbench.hub.modeling import SeqbenchForCausalLM
from seqbench.hub.tokenizer import make_tokenizer, vocabulary_of, vocabulary_sha256
from seqbench.measure import models
from seqbench.measure.models.base import ModelSpec
from seqbench.variant import Scalar, Variant, parse

MANIFEST = "seqbench.json"
SCHEMA = "seqbench.checkpoint/1"
FILES = ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
"""What the manifest vouches for; the card is for people, who may add to it."""


def wrap(
    model: nn.Module, spec: ModelSpec, *, model_name: str, vocabulary: str, seed: int = 0
) -> tuple[SeqbenchForCausalLM, PreTrainedTokenizerFast]:
    """Return a model of the suite as the library's, sharing its weights, and the tokenizer of its characters.

    model_name: the variant that `spec` was made for, as `lstm@forget_bias=1`. vocabulary: the character of id i stands
    at i. seed: of its first weights, for whoever builds the model anew.
    Raises InvalidInput for a vocabulary of another size than the spec's, a model that reads floats, an encoder, a name
    of other options than the spec's, and a model that is not what the spec builds.
    """
    if spec.inputs is not None:
        raise InvalidInput(
            f"a model that reads {spec.inputs} numbers at every position reads no text; give one of tokens"
        )
    if not spec.vocab == spec.outputs == len(vocabulary):
        raise InvalidInput(
            f"a model of {spec.vocab} tokens in and {spec.outputs} out does not fit {len(vocabulary)} characters; "
            "give one that reads and predicts these"
        )
    variant = parse(model_name)
    if registry.is_path(variant.name):
        trust(variant.name)  # it has run already: the model is built from it
    config = SeqbenchConfig(
        model=variant.name,
        options=_options(variant, spec),
        model_sha256=registry.source_sha256(variant.name) if registry.is_path(variant.name) else None,
        vocab_size=spec.vocab,
        hidden_size=spec.width,
        num_hidden_layers=spec.layers,
        intermediate_size=spec.hidden,
        initial_seed=seed,
        vocabulary_sha256=vocabulary_sha256(vocabulary),
        dtype=next(model.parameters()).dtype,
    )
    _check_shapes(model, config)
    wrapped = SeqbenchForCausalLM(config, model)
    wrapped.eval()  # type: ignore[no-untyped-call]
    return wrapped, make_tokenizer(vocabulary)


def save(
    folder: Path,
    model: SeqbenchForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    *,
    facts: Facts | None = None,
    beside: Sequence[str] = (),
) -> None:
    """Write a model with its tokenizer, a card that tells the facts, and last a manifest of every file's sha256.

    beside: names of further files, which are there already and belong to the model.
    What else of these files is there already is overwritten. A folder whose writing was interrupted has no manifest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    with _without_bars():
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(model_card(model, facts or Facts()), encoding="utf-8")
    manifest = {
        "schema": SCHEMA,
        "seqbench": seqbench.__version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "files": {name: _sha256(folder / name) for name in (*FILES, *beside)},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def load(folder: Path) -> tuple[SeqbenchForCausalLM, PreTrainedTokenizerFast]:
    """Return the model and the tokenizer that `save` wrote, after every file's sha256 was verified.

    Raises CheckpointError for a folder that is none, incomplete or damaged, and for a tokenizer of other characters
    than the model's; and what `spec_of` raises.
    """
    _verify(folder)
    try:
        with _without_bars():
            model = SeqbenchForCausalLM.from_pretrained(folder, local_files_only=True)
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
        tokenizer("a")  # settings of another type than they should have tell only when they are used
    except SeqbenchError:
        raise
    except Exception as error:  # the library and safetensors raise what they like, of their own classes too
        raise CheckpointError(f"{folder.name} cannot be read ({_reason(error)}); save the model again") from error
    vocabulary = vocabulary_of(tokenizer)
    if vocabulary_sha256(vocabulary) != model.config.vocabulary_sha256:
        raise CheckpointError(
            f"{folder.name} has a tokenizer of {len(vocabulary)} other characters than the model's "
            f"{model.config.vocab_size}; put the model's own tokenizer beside it"
        )
    return model, tokenizer


def _options(variant: Variant, spec: ModelSpec) -> dict[str, Scalar]:
    """Return the options of a spec, defaults included. Raises InvalidInput for those of another variant."""
    sizes = {"vocab": spec.vocab, "outputs": spec.outputs, "width": spec.width, "layers": spec.layers}
    named = _given(models.spec_for(variant, **sizes).options)
    given = named if spec.options is None else _given(spec.options)
    if given != named:
        raise InvalidInput(f"{variant} is not the model that the spec is of, whose options are {given}; name that one")
    return given


def _given(options: Any) -> dict[str, Scalar]:
    """Return what a model file's `Options` say, without what is left to the model."""
    named = {} if options is None else {field.name: getattr(options, field.name) for field in fields(options)}
    return {name: value for name, value in named.items() if value is not None}


def _check_shapes(model: nn.Module, config: SeqbenchConfig) -> None:
    """Refuse a model that is not what its configuration builds."""
    built = SeqbenchForCausalLM(config).network
    expected = {name: tuple(value.shape) for name, value in built.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if wrong:
        raise InvalidInput(
            f"the model is not the {config.model} that its spec builds; they differ in {', '.join(wrong[:3])}"
        )


def _verify(folder: Path) -> None:
    try:
        manifest: Mapping[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if manifest["schema"] != SCHEMA:
            raise CheckpointError(
                f"{folder.name} is of schema {shown(str(manifest['schema']))}, this version reads {SCHEMA}"
            )
        files = dict(manifest["files"])
        if away := [name for name in files if Path(name).name != name]:
            raise CheckpointError(f"{folder.name}/{MANIFEST} names {shown(away[0])}, which is no file beside it")
        unnamed = [name for name in FILES if name not in files]
        wrong = [name for name, digest in files.items() if _sha256(folder / name) != digest]
    except FileNotFoundError as error:
        missing = Path(str(error.filename)).name
        raise CheckpointError(
            f"{folder.name} lacks {shown(missing)} and is no complete checkpoint; save the model again"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder.name}/{MANIFEST} cannot be read ({_reason(error)}); save the model again"
        ) from error
    if unnamed:
        raise CheckpointError(f"{folder.name}/{MANIFEST} vouches for no {', '.join(unnamed)}; save the model again")
    if wrong:
        raise CheckpointError(
            f"{folder.name} is not what was saved: {', '.join(map(shown, wrong))} changed since; save the model again"
        )


@contextmanager
def _without_bars() -> Iterator[None]:
    """Within this block the library shows no progress; afterwards it shows what it showed before."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
