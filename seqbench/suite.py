"""Suites: which cells a study has, written as groups of models x lengths x seeds. Budgets are steps."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from seqbench import cards
from seqbench.cell import TimingConfig, TrainConfig
from seqbench.registry import unknown
from seqbench.variant import Scalar

Count = Annotated[int, Field(gt=0)]
Size = Count | dict[str, Count]


class Group(BaseModel):
    """Cells that belong together: every model at every length with every seed.

    probe: what is measured; left out where models are trained and scored as the task's card says.
    seeds: how many, counted from the study's first seed. params: overrides of the card's parameters.
    width, layers: of every model, or a table from model to its own.
    timing: makes the group one panel per length: its models are timed together, in the exclusive lane.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    task: str
    probe: str | None = None
    models: tuple[str, ...] = Field(min_length=1)
    lengths: tuple[int, ...] = Field(min_length=1)
    width: Size
    layers: Size = 1
    seeds: int = Field(gt=0)
    params: dict[str, Scalar] = Field(default_factory=dict)
    training: TrainConfig | None = None
    timing: TimingConfig | None = None

    def size_of(self, model: str) -> tuple[int, int]:
        """Return the width and the layers of one of the group's models."""
        width = self.width[model] if isinstance(self.width, dict) else self.width
        return width, self.layers[model] if isinstance(self.layers, dict) else self.layers

    @model_validator(mode="after")
    def _complete(self) -> "Group":
        for name, table in (("width", self.width), ("layers", self.layers)):
            if isinstance(table, dict) and set(table) != set(self.models):
                wrong = ", ".join(sorted(set(table) ^ set(self.models)))
                raise ValueError(f"{name} must name every model of the group and no other; look at {wrong}")
        if self.training and self.timing:
            raise ValueError("a group is trained or timed, not both; leave training or timing out")
        return self


class Suite(BaseModel):
    """A named set of groups, the claims that they serve, and where frozen learning rates come from.

    exclude: cells to leave out; a cell is left out when every entry of one of these tables equals its field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    claims: tuple[str, ...] = ()
    rates_from: str = ""
    groups: tuple[Group, ...] = Field(min_length=1)
    exclude: tuple[dict[str, Scalar], ...] = ()


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
    if path.suffix != ".toml":
        path = _folder() / f"{name_or_path}.toml"
    if not path.is_file():
        raise unknown("suite", name_or_path, names())
    return path.stem, cards.validated(Suite, cards.read_toml(path), source=path.name)


def _folder() -> Path:
    return Path(str(files("seqbench"))) / "suites"
