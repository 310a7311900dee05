"""A cell: one thing to measure, complete enough that any machine can run it from these fields alone."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from seqbench import variant
from seqbench.errors import InvalidInput
from seqbench.variant import Scalar

MEASUREMENT_VERSION = 1
"""Rises whenever a change to the measuring half changes any number; part of every fingerprint."""


class TrainConfig(BaseModel):
    """How a model is trained; the same for every model of a group. Budgets are steps, never seconds.

    AdamW with betas (0.9, 0.95), linear warm-up, then cosine to `final_fraction` of the learning rate; gradients
    clipped to a global norm. Every `evaluate_every` steps `evaluation_sequences` fresh sequences are scored, and
    training stops early once the card's `solved_at` is reached twice in a row.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(gt=0)
    batch: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    warmup_steps: int = Field(default=100, ge=0)
    final_fraction: float = Field(default=0.05, ge=0, le=1)
    clip_norm: float = Field(default=1.0, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    evaluate_every: int = Field(default=25, gt=0)
    evaluation_sequences: int = Field(default=512, gt=0)


class TimingConfig(BaseModel):
    """How a model is timed beside the others of its panel, alone on a quiet machine.

    batch: sequences per call. processes, rounds: fresh processes, and rounds in each; every round runs every model of
    the panel once. threads: of each process. warmup_seconds: at least, before the first round.
    decoded_tokens: how many tokens one decoding call generates.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch: int = Field(gt=0)
    processes: int = Field(default=3, gt=0)
    rounds: int = Field(default=5, gt=0)
    threads: int = Field(default=1, gt=0)
    warmup_seconds: float = Field(default=0.1, ge=0)
    decoded_tokens: int = Field(default=64, gt=0)


class Cell(BaseModel):
    """One thing to measure: a model (with options and size) on a task at a length, for one seed.

    probe: what is measured; None means train the model and score it as the task's card says.
    params: overrides of the card's parameters, the arms of a task. training: None where nothing is trained.
    timing: None but for cells of the exclusive lane, which are timed in panels.
    Cells are ordered by their text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    probe: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9_]*$")
    model: str
    length: int = Field(gt=0)
    seed: int = Field(ge=0)
    width: int = Field(gt=0)
    layers: int = Field(default=1, gt=0)
    params: tuple[tuple[str, Scalar], ...] = ()
    training: TrainConfig | None = None
    timing: TimingConfig | None = None

    @field_validator("model")
    @classmethod
    def _canonical(cls, value: str) -> str:
        return str(variant.parse(value))

    @field_validator("params", mode="before")
    @classmethod
    def _sorted(cls, value: object) -> object:
        if isinstance(value, Mapping):
            value = value.items()
        return tuple(sorted(tuple(pair) for pair in value)) if value else ()  # type: ignore[attr-defined]

    @property
    def lane(self) -> Literal["exclusive", "shared"]:
        """Return whether the cell may run beside others, or must be timed alone."""
        return "exclusive" if self.timing else "shared"

    @property
    def address(self) -> str:
        """Return the short name people read: task/model/length-seed, with the probe where there is one."""
        probe = f"-{self.probe}" if self.probe else ""
        return f"{self.task}/{self.model}/L{self.length:05d}-s{self.seed}{probe}"

    def __str__(self) -> str:
        """Return the address with everything else that makes the cell; `parse` reads it back."""
        rest = self.model_dump(mode="json", exclude_defaults=True, exclude={"task", "model", "length", "seed", "probe"})
        return f"{self.address} {canonical_json(rest)}"

    def __lt__(self, other: "Cell") -> bool:
        """Order cells by their text."""
        return str(self) < str(other)


def parse(text: str) -> Cell:
    """Return the cell whose `str` this is.

    Raises InvalidInput when the text is not one.
    """
    address, _, rest = text.partition(" ")
    try:
        task, _, tail = address.partition("/")
        model, _, place = tail.rpartition("/")
        length, seed, *probe = place.split("-")
        fields = json.loads(rest) | {
            "task": task,
            "model": model,
            "length": int(length[1:]),
            "seed": int(seed[1:]),
        }
        return Cell.model_validate(fields | {"probe": probe[0] if probe else None})
    except (ValueError, TypeError, ValidationError) as error:
        raise InvalidInput(
            f'{text!r} is no cell; write task/model/L00100-s1000[-probe] {{"width": 32, ...}}'
        ) from error


def fingerprint(cell: Cell, *, card: Mapping[str, Any], corpus_sha256: str | None, model_sha256: str | None) -> str:
    """Return the sha256 of all that decides a cell's numbers, in hexadecimal.

    That is the cell, its task card, the corpus, the source of an own model file, and the measurement version.
    """
    parts = {
        "cell": cell.model_dump(mode="json", exclude_none=True),  # so that a new optional field orphans no record
        "card": card,
        "corpus": corpus_sha256,
        "model": model_sha256,
        "measurement": MEASUREMENT_VERSION,
    }
    return hashlib.sha256(canonical_json(parts).encode()).hexdigest()


def canonical_json(value: object) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
