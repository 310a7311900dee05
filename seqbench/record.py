"""A record: what came out of one attempt at one cell. Facts only; nobody edits one."""

import hashlib
import json
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from html import escape
from typing import Annotated, Any, Literal, overload

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from seqbench.cell import Cell
from seqbench.errors import CorruptRecord

SCHEMA = "seqbench.record/1"
LARGEST_FILE_BYTES = 64 * 2**20
"""A record file above this is refused unread: it is not one of ours."""

Status = Literal["ok", "diverged", "unsolved", "timeout", "oom", "crashed", "contended", "structural", "error"]
Lane = Literal["exclusive", "shared"]

_END = b"\n}\n"
_SEAL = ',\n "sha256": "{}"\n}}\n'
_SEALED = re.compile(rb',\n "sha256": "([0-9a-f]{64})"\n}\n\Z')

UPGRADES: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""From an older major to the next one: pure functions, one golden fixture each. There is no older major yet."""

_FROZEN = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Floats(Sequence[float]):
    """Numbers that never change, equal to a tuple of the same: eight bytes for each, where a tuple takes 32.

    A study of many records holds tens of millions. packed: the same numbers as a buffer, to be read alone.
    """

    __slots__ = ("packed",)

    def __init__(self, numbers: Iterable[float]) -> None:
        self.packed: array[float] = array("d", numbers)

    def __len__(self) -> int:
        return len(self.packed)

    @overload
    def __getitem__(self, place: int) -> float: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[float, ...]: ...
    def __getitem__(self, place: int | slice) -> float | tuple[float, ...]:
        found = self.packed[place]
        return tuple(found) if isinstance(found, array) else found

    def __iter__(self) -> Iterator[float]:
        return iter(self.packed)

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, Floats | tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, handler: GetCoreSchemaHandler) -> Any:
        """Return how pydantic reads and writes them: as it does a tuple of floats."""
        numbers = tuple[float, ...]
        return handler.generate_schema(
            Annotated[numbers, AfterValidator(cls), PlainSerializer(tuple, return_type=numbers)]
        )


def _once(numbers: Floats) -> Floats:
    """Return these numbers as one object for all series that have the same: most share the places of few others."""
    return _of_bytes(numbers.packed.tobytes())


@lru_cache(maxsize=256)
def _of_bytes(content: bytes) -> Floats:
    packed: array[float] = array("d")
    packed.frombytes(content)
    return Floats(packed)


class Series(BaseModel):
    """Values along one axis: `values[i]` was measured at `at[i]` on the axis `axis` (lag, step, round, …)."""

    model_config = _FROZEN

    axis: str
    at: Annotated[Floats, AfterValidator(_once)]
    values: Floats

    @model_validator(mode="after")
    def _paired(self) -> "Series":
        if len(self.at) != len(self.values):
            raise ValueError(f"{len(self.values)} values stand at {len(self.at)} places; each value needs its own")
        return self


class Measurement(BaseModel):
    """One number with its unit, and the series behind it where there is one."""

    model_config = _FROZEN

    name: str
    value: float
    unit: str
    series: Series | None = None


class Sample(BaseModel):
    """A text that a model wrote after a prompt, with all that is needed to draw it again.

    temperature: 0 took the most likely character. top_k: drawn from so many of the most likely; None: from all.
    """

    model_config = _FROZEN

    prompt: str
    text: str = Field(max_length=20_000)
    temperature: float
    seed: int
    top_k: int | None = None


class MatchFacts(BaseModel):
    """What a matched model was to cost and costs: the cell's rule asked for `target`, the size built has `reached`.

    by, reference: as in the rule. Both numbers are None where the cost cannot be told.
    """

    model_config = _FROZEN

    by: Literal["parameters", "flops", "state"]
    reference: str
    target: float | None
    reached: float | None


class ModelFacts(BaseModel):
    """What was really built: counted parameters (all, and without embedding tables), size, implementation tier.

    implementation: the tier that runs the model as it was built, in single precision; a probe may ask for double.
    hidden: units of each MLP, where matching chose them; None: the model's own.
    flops_per_token: of one forward pass over the cell's length; None where they cannot be told.
    state_bytes: of one sequence's state after the cell's length, in single precision; None where they cannot be told.
    matched: None for a model whose width the suite gives.
    """

    model_config = _FROZEN

    parameters: int
    body_parameters: int
    width: int
    layers: int
    implementation: str
    hidden: int | None = None
    flops_per_token: float | None = None
    state_bytes: int | None = None
    matched: MatchFacts | None = None


class CorpusFacts(BaseModel):
    """Which text: its name, the sha256 of its bytes and how it is split; never its path."""

    model_config = _FROZEN

    name: str
    sha256: str
    split: Literal["story", "character"]


class Gpu(BaseModel):
    """How the GPU stood at the start, by its management library; None where that does not tell.

    throttled_by: what held its clocks down. foreign_processes: of other programs that computed on it.
    """

    model_config = _FROZEN

    driver: str | None = None
    clock_mhz: int | None = None
    most_clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    power_limit_watts: float | None = None
    throttled_by: tuple[str, ...] | None = None
    foreign_processes: int | None = None


class Environment(BaseModel):
    """Where it ran. `machine` is made of hardware facts; no host name, user or path is kept.

    What follows `commit` may differ from one study to the next on one machine, and is None where it cannot be told:
    governor, load_average (of the last minute, at the start), backends (which of torch's are on), affinity (the cores
    that may be used, where not all may), gpu.
    """

    model_config = _FROZEN

    machine: str
    cpu: str
    cores: int
    memory_gib: int
    device: str
    threads: int
    system: str
    libraries: dict[str, str]
    commit: str | None = None
    governor: str | None = None
    load_average: float | None = None
    backends: dict[str, str] | None = None
    affinity: tuple[int, ...] | None = None
    gpu: Gpu | None = None


class Record(BaseModel):
    """What came out of one attempt at one cell.

    fingerprint: `cell.fingerprint` of the planned cell. preregistration: hash of what was fixed beforehand.
    learning_rate: the one used. wall_seconds: of the whole cell. finished: UTC, ISO 8601.
    panel: shared by the records that were timed together.
    error: the reason of every status that has one, in one paragraph.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings", populate_by_name=True)

    schema_: Literal["seqbench.record/1"] = Field(default="seqbench.record/1", alias="schema")
    cell: Cell
    fingerprint: str = Field(pattern=r"^[0-9a-f]{64}$")
    preregistration: str
    lane: Lane = "shared"
    panel: str | None = None
    status: Status
    measurements: tuple[Measurement, ...] = ()
    texts: tuple[Sample, ...] = ()
    model: ModelFacts | None = None
    corpus: CorpusFacts | None = None
    learning_rate: float | None = None
    environment: Environment
    wall_seconds: float = Field(ge=0, allow_inf_nan=False)
    finished: str
    error: str | None = None

    @property
    def machine(self) -> str:
        """Return the machine that it was made on."""
        return self.environment.machine

    def measured(self, name: str) -> Measurement | None:
        """Return the measurement of this name, or None."""
        return next((measurement for measurement in self.measurements if measurement.name == name), None)

    def _repr_html_(self) -> str:
        """Return the record as a notebook shows it: what was measured of which cell, and how it ended."""
        rows = [(item.name, f"{item.value:.6g}", item.unit) for item in self.measurements]
        body = "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(value)}</td><td>{escape(unit)}</td></tr>"
            for name, value, unit in rows
        )
        told = escape(f"{self.status}: {self.error}" if self.error else self.status)
        place = escape(f"{self.environment.machine}, {self.environment.device}")
        head = "<tr><th>measurement</th><th>value</th><th>unit</th></tr>"
        caption = f"{escape(self.cell.address)}<br>{told}<br>{place}, {self.wall_seconds:.3g} s"
        return f"<table><caption>{caption}</caption><thead>{head}</thead><tbody>{body}</tbody></table>"


def to_json(record: Record) -> bytes:
    """Return the file content of a record: UTF-8 JSON, non-finite numbers as strings."""
    return record.model_dump_json(by_alias=True, indent=1).encode() + b"\n"


def sealed(content: bytes) -> bytes:
    """Return the file content of a record with its own sha256 as the last entry, by which an edit is found out."""
    return content.removesuffix(_END) + _SEAL.format(hashlib.sha256(content).hexdigest()).encode()


def from_json(content: bytes, *, source: str) -> Record:
    """Return the record in a file's content; `source` names the file in errors.

    Raises CorruptRecord when it is no record, one of a newer schema, or one whose seal does not fit.
    """
    if (end := seal_of(content, source=source)) is not None:
        content = content[:end] + _END
    try:
        return Record.model_validate_json(content)
    except ValidationError as error:
        raise CorruptRecord(f"{source}: {_reason(content, error)}") from error


def seal_of(content: bytes, *, source: str) -> int | None:
    """Return where in a file's content the seal begins, which fits what stands before it; None where there is no seal.

    Raises CorruptRecord when it does not fit.
    """
    seal = _SEALED.search(content, max(0, len(content) - 100))
    if seal is None:
        return None
    digest = hashlib.sha256(memoryview(content)[: seal.start()])
    digest.update(_END)
    if digest.hexdigest().encode() != seal[1]:
        raise CorruptRecord(f"{source}: {_EDITED}")
    return seal.start()


_EDITED = "edited since it was written (its sha256 does not fit); restore it, or move it away and run again"


def _reason(content: bytes, error: ValidationError) -> str:
    try:
        read = json.loads(content)
    except (ValueError, RecursionError):
        return "not JSON (half-written or edited?); move the file away and run again"
    schema = read.get("schema") if isinstance(read, dict) else None
    if not isinstance(schema, str) or not schema.startswith("seqbench.record/"):
        return f"no seqbench record (schema {schema!r}, expected {SCHEMA!r}); move the file away"
    if schema != SCHEMA:
        return f"schema {schema!r} is newer than this version of seqbench reads ({SCHEMA!r}); upgrade seqbench"
    if "sha256" in read:
        return _EDITED
    return f"not a valid record: {problems(error)}; move the file away and run again"


def problems(error: ValidationError) -> str:
    """Return the problems of a validation error in one line, where and what is wrong; of many, the first ten."""
    found = error.errors(include_url=False, include_context=False)
    shown = [f"{place(problem['loc']) or 'file'}: {reason(problem['msg'])}" for problem in found[:10]]
    return "; ".join([*shown, f"and {len(found) - 10} more"] if len(found) > 10 else shown)


def place(location: Sequence[int | str]) -> str:
    """Return the path of keys that a validation error names, in one line whatever the keys are."""
    return ".".join(" ".join(str(part).split())[:60] for part in location)


def reason(message: str) -> str:
    """Return what a validation error says, as part of a sentence."""
    told = " ".join(message.removeprefix("Value error, ").split())
    return told[:1].lower() + told[1:]
