"""A variant: a model's name with its options, as `rnn@activation=relu,init=identity`."""

import math
import re
from dataclasses import dataclass

from seqbench.errors import InvalidInput

Scalar = str | int | float | bool

_OPTION = re.compile(r"([a-z_][a-z0-9_]*)=([^,=]+)")


@dataclass(frozen=True, slots=True, order=True)
class Variant:
    """A model name (registered, or `path/to/file.py:build`) and its options, sorted by name."""

    name: str
    options: tuple[tuple[str, Scalar], ...] = ()

    def __str__(self) -> str:
        """Return the text that `parse` reads back."""
        if not self.options:
            return self.name
        return f"{self.name}@{','.join(f'{key}={_text(value)}' for key, value in self.options)}"


def parse(text: str) -> Variant:
    """Return the variant that `name@option=value,option=value` names; numbers and true/false are recognised.

    Raises InvalidInput when an option has no value, is given twice, or the text has no name.
    """
    name, at, listed = text.partition("@")
    if not name or (at and not listed):
        raise InvalidInput(f"{text!r} is no model; write name or name@option=value,option=value")
    options: dict[str, Scalar] = {}
    for part in listed.split(",") if listed else ():
        found = _OPTION.fullmatch(part)
        if found is None:
            raise InvalidInput(f"{part!r} in {text!r} is no option; write option=value")
        if found[1] in options:
            raise InvalidInput(f"option {found[1]!r} stands twice in {text!r}; keep one")
        options[found[1]] = value_of(found[2])
    return Variant(name, tuple(sorted(options.items())))


def value_of(text: str) -> Scalar:
    """Return the int, float or bool that a text spells, or the text itself; 1, 1.0 and 1e0 are the same number."""
    if text in ("true", "false"):
        return text == "true"
    try:
        number = float(text)
    except ValueError:
        return text
    if not math.isfinite(number):  # "inf" and "nan" are no numbers that JSON has
        return text
    return int(number) if number.is_integer() else number


def _text(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)
