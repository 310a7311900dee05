"""Task cards: one TOML file per task, data only. What a card does not know is refused by name."""

import re
import tomllib
from collections.abc import Sequence
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from seqbench.cell import Length, PlainScalar, Real, task_name
from seqbench.errors import InvalidInput
from seqbench.record import place, reason
from seqbench.registry import unknown

LARGEST_FILE_BYTES = 2**20
_DEEP_KEY = re.compile(
    r"""(?:^|[{,\[])[ \t]*+(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){50}""", re.MULTILINE
)
"""tomllib takes time with the square of a dotted key's parts and more: 4,000 parts are a second, 50,000 have no end."""
Model = TypeVar("Model", bound=BaseModel)


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


Some = Annotated[tuple[Length, ...], BeforeValidator(_as_tuple)]


class Lengths(BaseModel):
    """Sequence lengths T of a task at each scale."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    smoke: Some
    quick: Some
    standard: Some
    full: Some


class TaskCard(BaseModel):
    """What a task asks, why, where it comes from, and what chance and a perfect predictor score.

    chance, floor: loss per scored position, in nats or in squared units of a regression, of the best predictor that
    ignores the informative inputs, and of the exact optimum, for the card's own params (and its first quick length,
    where they depend on it); "measured" where they depend on the text at hand, "none" where nothing is scored.
    scored_by: the probe that scores a trained model, or "none" for measurement-only cards.
    solved_at: the score that ends training early, an accuracy or the R² of a regression, or "never".
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    title: str
    asks: str
    why: str
    source: str
    generator: str
    scored_by: str
    chance: Real | Literal["measured", "none"]
    floor: Real | Literal["measured", "none"]
    solved_at: Real | Literal["never"]
    params: dict[str, PlainScalar] = Field(default_factory=dict)
    lengths: Lengths


def folder() -> Path:
    """Return the folder of the built-in cards: inside the wheel, else beside the package in a checkout."""
    packaged = Path(str(files("seqbench"))) / "_tasks"
    return packaged if packaged.is_dir() else packaged.parent.parent / "tasks"


def names(extra: Sequence[Path] = ()) -> tuple[str, ...]:
    """Return the names of all cards in the built-in and the extra folders, sorted."""
    return tuple(sorted({path.stem for where in (folder(), *extra) for path in where.glob("*.toml")}))


def find(name: str, extra: Sequence[Path] = ()) -> TaskCard:
    """Return the card of this name; an extra folder's card wins over a built-in one.

    Raises UnknownName when there is none, InvalidInput when it is not a valid card.
    """
    for where in (*extra, folder()):
        for path in where.glob("*.toml"):
            if path.stem == name:
                return read(path)
    raise unknown("task", name, names(extra))


def read(path: Path) -> TaskCard:
    """Return the card in a file.

    Raises InvalidInput with every problem of the file at once, or for a file name that no task can have.
    """
    try:
        task_name(path.stem)
    except ValueError as error:
        raise InvalidInput(f"{path.name}: {error}; rename the file") from error
    return validated(TaskCard, read_toml(path), source=path.name)


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file of at most 1 MiB.

    Raises InvalidInput when it cannot be read, is too large or is not TOML.
    """
    try:
        if path.exists() and not path.is_file():
            raise InvalidInput(f"{path.name}: no plain file; give a file of TOML")
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise InvalidInput(f"{path.name}: larger than 1 MiB; cards and suites are short files")
        text = path.read_text(encoding="utf-8")
        if _DEEP_KEY.search(text):
            raise InvalidInput(f"{path.name}: a key of 50 parts or more; cards and suites have keys of a few")
        return tomllib.loads(text)
    except OSError as error:
        raise InvalidInput(f"{path.name}: cannot be read ({error.strerror}); check the file") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, not TOML, or a number of thousands of digits
        raise InvalidInput(f"{path.name}: not readable as TOML ({error})") from error


def validated(kind: type[Model], content: object, *, source: str) -> Model:
    """Return `content` as a value of a closed schema.

    Raises InvalidInput that names the source, every wrong key and the nearest known key.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        problems = [_problem(problem, _known_keys(kind)) for problem in error.errors(include_url=False)]
        raise InvalidInput(f"{source}: {'; '.join(problems)}") from error


def _known_keys(kind: type[BaseModel]) -> set[str]:
    keys = set(kind.model_fields)
    for field in kind.model_fields.values():
        for inner in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                keys |= _known_keys(inner)
    return keys


def _problem(problem: Any, known: set[str]) -> str:
    where = place(problem["loc"])
    if problem["type"] == "extra_forbidden":
        nearest = get_close_matches(str(problem["loc"][-1]), sorted(known), n=1)
        return f"unknown key {where!r}" + (f", did you mean {nearest[0]!r}?" if nearest else "")
    if problem["type"] == "missing":
        return f"missing key {where!r}"
    return f"{where}: {reason(problem['msg'])}" if where else reason(problem["msg"])
