"""Suites: which cells a study has, written as groups of models x lengths x seeds. Budgets are steps."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from seqbench import cards, tuning
from seqbench.cell import (
    Few,
    Layers,
    Length,
    Match,
    ModelName,
    PlainScalar,
    Rates,
    SampleConfig,
    TaskName,
    TestLengths,
    TimingConfig,
    TrainConfig,
    Width,
    model_name,
)
from seqbench.gate import Check, Gate, GateName
from seqbench.preregistration import Claim, ClaimName
from seqbench.registry import unknown

VERIFY = "verify"
"""The name of the study of all gates; it is no suite that one runs as a whole, for some need what a machine lacks."""


class Exclusion(BaseModel):
    """Cells to leave out: those that equal every field given here, of which there is at least one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: TaskName | None = None
    probe: TaskName | None = None
    model: str | None = None
    length: Length | None = None
    seed: Annotated[int, Field(ge=0, le=10**9, strict=True)] | None = None
    width: Width | None = None
    layers: Layers | None = None

    @field_validator("model")
    @classmethod
    def _canonical(cls, value: str | None) -> str | None:
        return None if value is None else model_name(value)

    @model_validator(mode="after")
    def _some(self) -> "Exclusion":
        if not self.given():
            raise ValueError(f"leaves nothing out; give at least one of {', '.join(type(self).model_fields)}")
        return self

    def given(self) -> dict[str, str | int]:
        """Return the fields that a cell must equal to be left out."""
        return self.model_dump(exclude_none=True)


class Group(BaseModel):
    """Cells that belong together: every model at every length with every seed.

    probe: what is measured; left out where models are trained and scored as the task's card says.
    seeds: how many, counted from the study's first seed. params: overrides of the card's parameters.
    test_lengths: at which trained models are tested besides their own.
    width, layers: of every model, or a table from model to its own.
    match: in place of width, the rule that finds the width of every model.
    tuning: in place of training.learning_rate, the name of the suite's tuning that finds the rate of every model.
    timing: makes the group one panel per length: its models are timed together, in the exclusive lane.
    samples: the texts that every model of a text writes once it is trained.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    task: TaskName
    probe: TaskName | None = None
    models: tuple[str, ...] = Field(min_length=1)
    lengths: tuple[Length, ...] = Field(min_length=1)
    width: Width | dict[str, Width] | None = None
    match: Match | None = None
    layers: Layers | dict[str, Layers] = 1
    seeds: int = Field(gt=0, le=10**5, strict=True)
    params: dict[str, PlainScalar] = Field(default_factory=dict)
    test_lengths: TestLengths = ()
    training: TrainConfig | None = None
    tuning: str | None = None
    timing: TimingConfig | None = None
    samples: SampleConfig | None = None

    def size_of(self, model: str) -> tuple[int, int]:
        """Return the width and the layers of one of the group's models; the width is the reference's where one is."""
        return _size(self, model)

    @property
    def cells(self) -> int:
        """Return how many cells the group asks for: one for each length, model and seed."""
        return len(self.lengths) * len(self.models) * self.seeds

    @field_validator("models")
    @classmethod
    def _readable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            model_name(name)
        return value

    @model_validator(mode="after")
    def _complete(self) -> "Group":
        if wrong := _missized(self):
            raise ValueError(f"group {self.name!r}: {wrong}")
        for name, table in (("width", self.width), ("layers", self.layers)):
            if isinstance(table, dict) and set(table) != set(self.models):
                wrong = ", ".join(sorted(set(table) ^ set(self.models)))
                raise ValueError(
                    f"group {self.name!r}: {name} must name every model of the group and no other; look at {wrong}"
                )
        if self.training and self.timing:
            raise ValueError(f"group {self.name!r} is trained or timed, not both; leave training or timing out")
        if self.timing and self.probe is None:
            raise ValueError(f"group {self.name!r}: timing needs the probe that says what is timed, as training_time")
        if self.test_lengths and self.training is None:
            raise ValueError(f"group {self.name!r} trains nothing, so nothing is tested; leave test_lengths out")
        if self.samples and (self.training is None or self.probe is not None):
            raise ValueError(
                f"group {self.name!r}: texts are written by models that are trained and scored as their card says; "
                "give training and no probe, or leave samples out"
            )
        if self.training is None and self.probe is None:
            raise ValueError(f"group {self.name!r}: give training.steps and so on, or a probe that needs no training")
        if self.tuning is not None and self.training is None:
            raise ValueError(f"group {self.name!r}: trains nothing, so there is nothing to tune; leave tuning out")
        if self.training and (self.training.learning_rate is None) == (self.tuning is None):
            raise ValueError(
                f"group {self.name!r}: give either training.learning_rate, or tuning, the name of what finds it"
            )
        return self


class Tuning(BaseModel):
    """Trials that find the learning rate of every model of the groups that name them; equally many for each model.

    task, params, length: on which every model is tried, whatever the tasks and lengths that its rate then serves.
    width, layers, match: as of a group. training: without learning_rate. rates: those that every model tries before
    the one that its results add. seeds: of every rate, counted from the study's first seed for tuning.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=190)
    task: TaskName
    params: dict[str, PlainScalar] = Field(default_factory=dict)
    length: Length
    width: Width | dict[ModelName, Width] | None = None
    match: Match | None = None
    layers: Layers | dict[ModelName, Layers] = 1
    training: TrainConfig
    rates: Rates = (3e-4, 1e-3, 3e-3, 1e-2)
    seeds: Few = 2

    def size_of(self, model: str) -> tuple[int, int]:
        """Return the width and the layers of a model, by its canonical text; the width may be a reference's."""
        return _size(self, model)

    @model_validator(mode="after")
    def _complete(self) -> "Tuning":
        if wrong := _missized(self):
            raise ValueError(f"tuning {self.name!r}: {wrong}")
        if self.training.learning_rate is not None:
            raise ValueError(f"tuning {self.name!r}: finds the learning rate; give rates, not training.learning_rate")
        return self


def _size(asked: Group | Tuning, model: str) -> tuple[int, int]:
    given = cast("int | dict[str, int]", asked.match.width if asked.match else asked.width)  # validated: one is there
    width = given[model] if isinstance(given, dict) else given
    return width, asked.layers[model] if isinstance(asked.layers, dict) else asked.layers


def _missized(asked: Group | Tuning) -> str:
    """Return what is wrong with a width and a match, of which there must be one, or nothing."""
    if asked.match and asked.width is not None:
        return "match finds the width of every model; leave width out"
    if asked.match is None and asked.width is None:
        return "give width, or match, which finds the width of every model"
    return ""


class Suite(BaseModel):
    """A named set of groups, the claims that they serve, and where frozen learning rates come from.

    claims: names of claims that seqbench or a plug-in pre-registered. own_claims: further ones that the suite brings
    itself, each a table `[own_claims.NAME]` in the form of `Claim`; they join the study's pre-registration, under names
    that nobody else has. A suite of somebody's own is exploratory.
    gates: published results that the groups are held against, each a table `[gates.NAME]`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    claims: tuple[str, ...] = ()
    own_claims: dict[ClaimName, Claim] = Field(default_factory=dict)
    rates_from: str = ""
    tuning: tuple[Tuning, ...] = ()
    groups: tuple[Group, ...] = Field(min_length=1)
    exclude: tuple[Exclusion, ...] = ()
    gates: dict[GateName, Gate] = Field(default_factory=dict)

    def tuning_of(self, group: Group) -> Tuning | None:
        """Return what finds the learning rates of a group, or None where it needs none."""
        return next((entry for entry in self.tuning if entry.name == group.tuning), None)

    def tuned(self, entry: Tuning) -> tuple[str, ...]:
        """Return the models that a tuning serves, each once, by their canonical text, in the order of the groups."""
        groups = (group for group in self.groups if group.tuning == entry.name)
        return tuple(dict.fromkeys(model_name(model) for group in groups for model in group.models))

    @property
    def parts(self) -> tuple[Group, ...]:
        """Return everything that asks for cells, as groups: each tuning, at the first of its rates, then the groups."""
        return (*(_as_group(entry, self.tuned(entry)) for entry in self.tuning), *self.groups)

    @model_validator(mode="after")
    def _told_apart(self) -> "Suite":
        listed = [group.name for group in self.groups]
        for name in listed:
            if listed.count(name) > 1:
                raise ValueError(f"two groups are named {name!r}; name each differently")
        return self

    @model_validator(mode="after")
    def _gated(self) -> "Suite":
        groups = {group.name: group for group in self.groups}
        for gate, name, check in (
            (gate, name, check) for gate, asked in self.gates.items() for name, check in asked.checks.items()
        ):
            if wrong := _ungrouped(check, groups):
                raise ValueError(f"gate {gate!r}, check {name!r}: {wrong}")
        return self

    @model_serializer(mode="wrap")
    def _without_no_gates(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave gates out where there are none, so that a study without them keeps its bytes and its report its id."""
        written: dict[str, Any] = write(self)
        return written if self.gates else {name: value for name, value in written.items() if name != "gates"}

    @model_validator(mode="after")
    def _tunable(self) -> "Suite":
        listed = [entry.name for entry in self.tuning]
        for group in self.groups:
            if group.tuning is not None and group.tuning not in listed:
                known = ", ".join(listed) or "none"
                raise ValueError(f"group {group.name!r}: no tuning named {group.tuning!r} (known: {known})")
        for entry in self.tuning:
            if listed.count(entry.name) > 1:
                raise ValueError(f"two tunings are named {entry.name!r}; name each differently")
            models = set(self.tuned(entry))
            if not models:
                raise ValueError(f"tuning {entry.name!r}: no group names it; leave it out, or name it in a group")
            for name, table in (("width", entry.width), ("layers", entry.layers)):
                if isinstance(table, dict) and set(table) != models:
                    wrong = ", ".join(sorted(set(table) ^ models))
                    raise ValueError(
                        f"tuning {entry.name!r}: {name} must name every model of the groups that name it and no other; "
                        f"look at {wrong}"
                    )
        return self


def _ungrouped(check: Check, groups: Mapping[str, Group]) -> str:
    """Return why a check finds no cells among these groups, or nothing."""
    group = groups.get(check.group)
    if group is None:
        return f"there is no group {check.group!r}"
    models = [model_name(model) for model in group.models]
    for model in filter(None, (check.model, check.against)):
        if model not in models:
            return f"group {check.group!r} has no model {model}"
    if check.length is not None and check.length not in group.lengths:
        return f"group {check.group!r} has no length {check.length}"
    if (check.length is None) == (len(group.lengths) > 1) and check.quantity != "exponent":
        return (
            f"group {check.group!r} has {len(group.lengths)} lengths; give length where it has several, and only there"
        )
    return ""


def _as_group(entry: Tuning, models: tuple[str, ...]) -> Group:
    return Group(
        name=f"tuning {entry.name}",
        task=entry.task,
        probe=tuning.PROBE,
        models=models,
        lengths=(entry.length,),
        width=entry.width,
        match=entry.match,
        layers=entry.layers,
        seeds=entry.seeds,
        params=entry.params,
        training=entry.training.at(entry.rates[0]),
    )


def names() -> tuple[str, ...]:
    """Return the names of the built-in suites, smallest first."""
    order = ("smoke", "quick", "standard", "full")
    found = {path.stem for path in _folder().glob("*.toml")}
    return (*(name for name in order if name in found), *sorted(found - set(order)))


def find(name_or_path: str) -> tuple[str, Suite]:
    """Return the name and the content of a built-in suite, of `verify`, or of a user's own TOML file.

    Raises UnknownName when there is neither, InvalidInput when it is not a valid suite.
    """
    if name_or_path == VERIFY:
        return VERIFY, gates()
    path = Path(name_or_path)
    if path.suffix != ".toml" and name_or_path in names():
        path = _folder() / f"{name_or_path}.toml"
    elif path.suffix != ".toml" or not _is_file(path):
        raise unknown("suite", name_or_path, names())
    return path.stem, cards.validated(Suite, cards.read_toml(path), source=path.name)


def gates() -> Suite:
    """Return the suite of all gates that this version carries, the cheapest first, with the groups of every file."""
    found = [
        cards.validated(Suite, cards.read_toml(path), source=path.name)
        for path in sorted(gates_folder().glob("*.toml"))
    ]
    both = [item for entry in found for item in entry.gates.items()]
    return Suite(
        title="Published results, run again",
        rates_from="; ".join(dict.fromkeys(entry.rates_from for entry in found)),
        groups=tuple(group for entry in found for group in entry.groups),
        gates=dict(sorted(both, key=lambda item: (not item[1].quick, item[1].core_minutes))),
    )


def gates_folder() -> Path:
    """Return the folder of the built-in gates; its folder `tasks` holds the cards that only they use."""
    return Path(str(files("seqbench"))) / "gates"


def source_of(name: str, content: Suite) -> Literal["built-in", "own"]:
    """Return "built-in" for what this version has under this name, "own" for everything else, whatever it is called."""
    return "built-in" if name in (*names(), VERIFY) and find(name)[1] == content else "own"


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long for any file, or a folder that may not be entered
        return False


def _folder() -> Path:
    return Path(str(files("seqbench"))) / "suites"
