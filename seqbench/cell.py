"""A cell: one thing to measure, complete enough that any machine can run it from these fields alone."""

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from seqbench import variant
from seqbench.errors import InvalidInput
from seqbench.variant import Scalar

MEASUREMENT_VERSION = 3
"""Rises whenever a change to the measuring half changes any number; part of every fingerprint."""

_LARGEST_WHOLE = 2**53  # beyond it a JSON reader may round


def task_name(value: str) -> str:
    """Return a task's or a probe's name unchanged; raises ValueError when no file can be called so."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,59}", value):
        raise ValueError(
            f"{_short(value)} is no name of a task or probe; write at most 60 small letters, digits and _, "
            "beginning with a letter"
        )
    return value


def model_name(value: str) -> str:
    """Return the canonical text of a model; raises ValueError when it is none, or too long for a folder's name."""
    try:
        name = str(variant.parse(value))
    except InvalidInput as error:
        raise ValueError(str(error)) from error
    if len(name.encode()) > 200 or not name.isprintable():
        raise ValueError(f"{_short(name)} is no model; write at most 200 printable characters")
    return name


def _plain(value: Scalar) -> Scalar:
    """Return a value that strict JSON can hold on every machine: neither infinite nor NaN, whole up to 2**53."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} cannot be a parameter; give a finite number")
    if isinstance(value, int) and abs(value) > _LARGEST_WHOLE:
        raise ValueError("whole numbers go up to 2**53 here; give a smaller one")
    return value


def _ascending(value: tuple[int, ...]) -> tuple[int, ...]:
    if list(value) != sorted(set(value)):
        raise ValueError(f"test lengths are ascending and told once; write {sorted(set(value))}")
    return value


def _pairs(value: object) -> object:
    return tuple(value.items()) if isinstance(value, Mapping) else value


def _told_once(value: tuple[tuple[str, Scalar], ...]) -> tuple[tuple[str, Scalar], ...]:
    if len({name for name, _ in value}) < len(value):
        raise ValueError("a parameter stands twice; keep one")
    return tuple(sorted(value, key=lambda pair: pair[0]))


def _rising(value: tuple[float, ...]) -> tuple[float, ...]:
    if list(value) != sorted(set(value)):
        raise ValueError("the rates are ascending and told once")
    return value


def _off(value: object) -> object:
    """Return None for "off": TOML has no null."""
    return None if value == "off" else value


def _short(value: str) -> str:
    return repr(value if len(value) <= 60 else value[:60] + "…")


TaskName = Annotated[str, AfterValidator(task_name)]
ModelName = Annotated[str, AfterValidator(model_name)]
PlainScalar = Annotated[Scalar, AfterValidator(_plain)]
Length = Annotated[int, Field(gt=0, le=10**7, strict=True)]
Width = Annotated[int, Field(gt=0, le=10**5, strict=True)]
Layers = Annotated[int, Field(gt=0, le=10**3, strict=True)]
Steps = Annotated[int, Field(gt=0, le=10**8, strict=True)]
Sequences = Annotated[int, Field(gt=0, le=10**6, strict=True)]
TestLengths = Annotated[tuple[Length, ...], AfterValidator(_ascending)]
Params = Annotated[tuple[tuple[str, PlainScalar], ...], BeforeValidator(_pairs), AfterValidator(_told_once)]
Few = Annotated[int, Field(gt=0, le=10**4, strict=True)]
Real = Annotated[float, Field(allow_inf_nan=False, strict=True)]
Rates = Annotated[tuple[Annotated[Real, Field(gt=0)], ...], Field(min_length=3), AfterValidator(_rising)]
ClipNorm = Annotated[Real | None, Field(gt=0), BeforeValidator(_off)]


class TrainConfig(BaseModel):
    """How a model is trained; the same for every model of a group. Budgets are steps, never seconds.

    AdamW with betas (0.9, 0.95), linear warm-up, then cosine to `final_fraction` of the learning rate; gradients
    clipped to a global norm, or not at all where a suite says `clip_norm = "off"`, which is None here. Every
    `evaluate_every` steps `evaluation_sequences` fresh sequences are scored, and training stops early once the card's
    `solved_at` is reached twice in a row. learning_rate: None where a rule finds it (see `RateRule`).
    carry: truncated backpropagation through time (Williams & Peng 1990), of a text alone: each of the `batch` sequences
    is an endless stream of the text, of which an update sees the next `window` characters (None: the cell's length) and
    goes on from the state that the update before left, through which no gradient flows. None: every update sees
    sequences of their own, from the empty state.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: Steps
    batch: Sequences
    learning_rate: Real | None = Field(default=None, gt=0)
    warmup_steps: int = Field(default=100, ge=0, le=10**8, strict=True)
    final_fraction: Real = Field(default=0.05, ge=0, le=1)
    clip_norm: ClipNorm = 1.0
    weight_decay: Real = Field(default=0.0, ge=0)
    evaluate_every: Steps = 25
    evaluation_sequences: Sequences = 512
    carry: Literal[True] | None = None
    window: Length | None = None

    @model_validator(mode="after")
    def _carried(self) -> "TrainConfig":
        if self.window is not None and self.carry is None:
            raise ValueError(f"a window of {self.window} belongs to a carried state; give carry = true, or no window")
        return self

    @property
    def rate(self) -> float:
        """Return the learning rate.

        Raises InvalidInput where none was given and no rule has found one yet.
        """
        if self.learning_rate is None:
            raise InvalidInput("this training has no learning rate yet; give one, or run the trials that find it")
        return self.learning_rate

    def at(self, rate: float) -> "TrainConfig":
        """Return the same training with this learning rate."""
        return self.model_copy(update={"learning_rate": rate})


class TimingConfig(BaseModel):
    """How a model is timed beside the others of its panel, alone on a quiet machine.

    batch: sequences per call. processes, rounds: fresh processes, and rounds in each; every round runs every model of
    the panel once. threads: of each process. warmup_seconds: at least, before the first round.
    decoded_tokens: how many tokens one decoding call generates.
    launch: "graph": the call is recorded as a CUDA graph and replayed; "compiled": the model is compiled
    (`torch.compile`) before; None: kernel by kernel, as the library runs.
    precision: "tf32": products round their inputs so, on a GPU that can; "bf16": products take and give bfloat16;
    None: single precision throughout.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch: Sequences
    processes: Few = 3
    rounds: Few = 5
    threads: Few = 1
    warmup_seconds: Real = Field(default=0.1, ge=0, le=3600)
    decoded_tokens: Length = 64
    launch: Literal["graph", "compiled"] | None = None
    precision: Literal["tf32", "bf16"] | None = None


class SampleConfig(BaseModel):
    """The texts that a trained model of a text writes, for people to read; they are stored in the record.

    prompt: what each goes on from; None: a line end, which begins a document or a paragraph.
    characters, texts: how long each is, without the prompt, and how many there are.
    temperature: what logits are divided by; 0 takes the most likely character. top_k: so many of the most likely
    characters alone are drawn from; None: from all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: Annotated[str, Field(min_length=1, max_length=2000)] | None = None
    characters: int = Field(default=400, gt=0, le=20_000, strict=True)
    texts: int = Field(default=3, gt=0, le=20, strict=True)
    temperature: Real = Field(default=0.7, ge=0, le=100)
    top_k: Few | None = None


class Match(BaseModel):
    """A rule that finds a model's size: it shall cost what a reference model of this width and depth costs.

    by: `parameters` (without embedding tables), `flops` (forward operations per token over the cell's length) or
    `state` (bytes that one sequence carries on after the cell's length).
    tolerance: how far off the size found may be, as a share of the reference's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: Literal["parameters", "flops", "state"]
    model: ModelName
    width: Width
    layers: Layers = 1
    tolerance: Real = Field(default=0.02, gt=0, lt=1)

    @property
    def reference(self) -> str:
        """Return the reference in words, as `lstm of width 64`."""
        return f"{self.model} of width {self.width}" + (f" with {self.layers} layers" if self.layers > 1 else "")

    def __str__(self) -> str:
        """Return the rule in words, as `matched in parameters to lstm of width 64`."""
        return f"matched in {self.by} to {self.reference}"


class RateRule(BaseModel):
    """How the learning rate of a cell is found: by trials of its model on one task, at one length and size.

    task, params, length, width, layers, match, training: of every trial; the training has no rate of its own.
    rates: tried by every model; then each model tries one further rate, which the results choose.
    seeds: of every rate so many, counted from first_seed.
    pick: "extension" for that further rate, "best" for the best of all that were tried.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: TaskName
    params: Params = ()
    length: Length
    width: Width
    layers: Layers = 1
    match: Match | None = None
    training: TrainConfig
    rates: Rates
    seeds: Few
    first_seed: int = Field(ge=0, le=10**9, strict=True)
    pick: Literal["extension", "best"]

    @model_validator(mode="after")
    def _open(self) -> "RateRule":
        if self.training.learning_rate is not None:
            raise ValueError("a rule finds the learning rate; leave training.learning_rate out")
        return self


class Cell(BaseModel):
    """One thing to measure: a model (with options and size) on a task at a length, for one seed.

    probe: what is measured; None means train the model and score it as the task's card says.
    params: overrides of the card's parameters, the arms of a task. training: None where nothing is trained.
    test_lengths: lengths at which a trained model is tested besides that of its training, ascending.
    timing: None but for cells of the exclusive lane, which are timed in panels.
    match: what finds the width that is built; `width` is then the reference's, and the record has the one reached.
    rate: what finds the learning rate where training gives none; the record has the one found.
    samples: the texts that the trained model writes besides; None: none.
    Cells are ordered by their text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: TaskName
    probe: TaskName | None = None
    model: ModelName
    length: Length
    seed: int = Field(ge=0, le=10**9, strict=True)
    width: Width
    layers: Layers = 1
    params: Params = ()
    test_lengths: TestLengths = ()
    training: TrainConfig | None = None
    timing: TimingConfig | None = None
    match: Match | None = None
    rate: RateRule | None = None
    samples: SampleConfig | None = None

    @model_validator(mode="after")
    def _written_by_the_trained(self) -> "Cell":
        if self.samples is not None and (self.training is None or self.probe is not None):
            raise ValueError("texts are written by a model that was trained and scored; give training and no probe")
        return self

    @model_validator(mode="after")
    def _nominal(self) -> "Cell":
        if self.match and self.width != self.match.width:
            raise ValueError(
                f"a matched cell has the width of its reference, {self.match.width}, and not {self.width}; "
                "the width reached is found when it runs"
            )
        return self

    @model_validator(mode="after")
    def _one_rate(self) -> "Cell":
        if (self.training is not None and self.training.learning_rate is None) != (self.rate is not None):
            raise ValueError("a trained cell has either training.learning_rate or the rule that finds it, rate")
        return self

    @property
    def lane(self) -> Literal["exclusive", "shared"]:
        """Return whether the cell may run beside others, or must be timed alone."""
        return "exclusive" if self.timing else "shared"

    @property
    def matched_by(self) -> Literal["none", "parameters", "flops", "state"]:
        """Return what the rule equals that found the model's size; "none" where its width was given."""
        return self.match.by if self.match else "none"

    @property
    def batch(self) -> int:
        """Return how many sequences a step or a timed call has; 0 where the probe chooses."""
        settings = self.training or self.timing
        return settings.batch if settings else 0

    @property
    def tokens_per_sequence(self) -> int:
        """Return how many tokens of each sequence a step of training sees; the length where nothing is trained."""
        return (self.training.window if self.training else None) or self.length

    @property
    def threads(self) -> int:
        """Return how many threads the cell is timed with; one where it is not timed."""
        return self.timing.threads if self.timing else 1

    @property
    def tier(self) -> str:
        """Return in which other way than the library's own the cell is timed, as `graph, bf16`; else nothing."""
        settings = (self.timing.launch, self.timing.precision) if self.timing else ()
        return ", ".join(part for part in settings if part)

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


def fingerprint(
    cell: Cell,
    *,
    card: str,
    corpus_sha256: str | None,
    model_sha256: str | None,
    reference_sha256: str | None = None,
    trials: Sequence[str] = (),
) -> str:
    """Return the sha256 of all that decides a cell's numbers, in hexadecimal.

    That is the cell, its task card (as canonical JSON), the corpus, the source of an own model file and of one that the
    cell is matched to, the measurement version, and the fingerprints of the trials that its learning rate is found by.
    """
    of_seed = fingerprint_by_seed(
        cell,
        card=card,
        corpus_sha256=corpus_sha256,
        model_sha256=model_sha256,
        reference_sha256=reference_sha256,
        trials=trials,
    )
    return of_seed(cell.seed)


def fingerprint_by_seed(
    cell: Cell,
    *,
    card: str,
    corpus_sha256: str | None,
    model_sha256: str | None,
    reference_sha256: str | None,
    trials: Sequence[str],
) -> Callable[[int], str]:
    """Return what gives the `fingerprint` of this cell at any seed: thousands of cells differ in nothing else."""
    parts: dict[str, object] = {
        "corpus": corpus_sha256,
        "model": model_sha256,
        "measurement": MEASUREMENT_VERSION,
    }
    if reference_sha256 is not None:
        parts["reference"] = reference_sha256
    if trials:
        parts["trials"] = list(trials)
    # The canonical JSON of all, in pieces: its keys are sorted, so that "card" and "cell" come before the parts, and of
    # a cell's fields "layers" always before the seed and "task" after it.
    fields = cell.model_dump(mode="json", exclude_none=True, exclude={"seed"})  # a new optional one orphans no record
    before, after = (
        canonical_json({name: value for name, value in fields.items() if (name < "seed") is first})
        for first in (True, False)
    )
    begun = hashlib.sha256(f'{{"card":{card},"cell":{before[:-1]},"seed":'.encode())
    rest = f",{after[1:]},{canonical_json(parts)[1:]}".encode()

    def of_seed(seed: int) -> str:
        digest = begun.copy()
        digest.update(b"%d" % seed + rest)
        return digest.hexdigest()

    return of_seed


def canonical_json(value: object) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
