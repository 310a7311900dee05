"""Ids that were ever offered for citing, in published.toml: none is used for another thing, none vanishes unsaid."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any


def ids() -> tuple[str, ...]:
    """Return every id that was ever published, withdrawn ones too."""
    return tuple(_content()["published"])


def withdrawn() -> dict[str, str]:
    """Return the tombstones: withdrawn id -> why, and what to cite instead."""
    return dict(_content()["withdrawn"])


@cache
def _content() -> dict[str, Any]:
    return tomllib.loads(files("seqbench.judge.report").joinpath("published.toml").read_text(encoding="utf-8"))
