"""Suites: which cells a study has, written as groups of models x lengths x seeds. Budgets are steps."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from seqbench import cards
from seqbench.cell import (
    Layers,
    Length,
    Match,
    PlainScalar,
    TaskName,
    TestLengths,
    TimingConfig,
    TrainConfig,
    Width,
    model_name,
)
from seqbench.registry import unknown


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
    timing: makes the group one panel per length: its models are timed together, in the exclusive lane.
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
    timing: TimingConfig | None = None

    def size_of(self, model: str) -> tuple[int, int]:
        """Return the width and the layers of one of the group's models; the width is the reference's where one is."""
        given = cast("int | dict[str, int]", self.match.width if self.match else self.width)  # validated: one is there
        width = given[model] if isinstance(given, dict) else given
        return width, self.layers[model] if isinstance(self.layers, dict) else self.layers

    @field_validator("models")
    @classmethod
    def _readable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            model_name(name)
        return value

    @model_validator(mode="after")
    def _complete(self) -> "Group":
        if self.match and self.width is not None:
            raise ValueError(f"group {self.name!r}: match finds the width of every model; leave width out")
        if self.match is None and self.width is None:
            raise ValueError(f"group {self.name!r}: give width, or match, which finds the width of every model")
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
        if self.training is None and self.probe is None:
            raise ValueError(f"group {self.name!r}: give training.steps and so on, or a probe that needs no training")
        return self


class Suite(BaseModel):
    """A named set of groups, the claims that they serve, and where frozen learning rates come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    claims: tuple[str, ...] = ()
    rates_from: str = ""
    groups: tuple[Group, ...] = Field(min_length=1)
    exclude: tuple[Exclusion, ...] = ()

    @model_validator(mode="after")
    def _told_apart(self) -> "Suite":
        listed = [group.name for group in self.groups]
        for name in listed:
            if listed.count(name) > 1:
                raise ValueError(f"two groups are named {name!r}; name each differently")
        return self


def names() -> tuple[str, ...]:
    """Return the names of the built-in suites, smallest first."""
    order = ("smoke", "quick", "standard", "full")
    found = {path.stem for path in _folder().glob("*.toml")}
    return (*(name for name in order if name in found), *sorted(found - set(order)))


def find(name_or_path: str) -> tuple[str, Suite]:
    """Return the name and the content of a built-in suite or of a user's own TOML file.

    Raises UnknownName when there is neither, InvalidInput when it is not a valid suite.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml" and name_or_path in names():
        path = _folder() / f"{name_or_path}.toml"
    elif path.suffix != ".toml" or not _is_file(path):
        raise unknown("suite", name_or_path, names())
    return path.stem, cards.validated(Suite, cards.read_toml(path), source=path.name)


def source_of(name: str, content: Suite) -> Literal["built-in", "own"]:
    """Return "built-in" for what this version has under this name, "own" for everything else, whatever it is called."""
    return "built-in" if name in names() and find(name)[1] == content else "own"


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long for any file, or a folder that may not be entered
        return False


def _folder() -> Path:
    return Path(str(files("seqbench"))) / "suites"
