"""What every page is made and written with."""

import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup

from seqbench.errors import StoreError
from seqbench.judge import text
from seqbench.judge.claims.base import given, interval, number
from seqbench.judge.figures.base import plural
from seqbench.judge.report import typeset, verdicts


def render(template: str, *, names: Mapping[str, Any], **values: Any) -> str:
    """Return a page from a template of this folder: one HTML document that asks for nothing from outside.

    names: functions that this template calls, besides those that every page has.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_readable
    )
    environment.filters |= {"number": number, "given": given, "plural": plural, "grouped": _grouped}
    environment.globals |= {"interval": interval, "sub_verdicts_text": verdicts.sub_verdicts_text, **names}
    css = Markup(_ours("page.css"))  # noqa: S704 our own file
    return environment.from_string(_ours(template)).render(css=css, **values)


def save(out: Path, content: Mapping[str, str | bytes]) -> Path:
    """Write files into a folder, by name, and return its index.html.

    Raises StoreError when the folder cannot be written.
    """
    try:
        for name, file in content.items():
            path = out / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.encode() if isinstance(file, str) else file)
    except OSError as error:
        raise StoreError(f"{out} cannot be written ({error.strerror}); give another --out") from error
    return out / "index.html"


def csv(frame: pd.DataFrame) -> str:
    """Return a frame as CSV: numbers in full, nothing where there is none, no text that a spreadsheet would run."""
    return frame.apply(_safe).to_csv(index=False, lineterminator="\n")


def _safe(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return a column of a frame with its texts as `typeset.csv_text` writes them: of many rows few differ."""
    if column.dtype.kind in "biuf" and isinstance(column.dtype, np.dtype):
        return column
    if not isinstance(column.dtype, pd.StringDtype):
        return column.map(lambda value: typeset.csv_text(value) if isinstance(value, str) else value)
    written = {value: typeset.csv_text(value) for value in column.unique() if isinstance(value, str)}
    return column.map(written)


def sha256(content: str) -> str:
    """Return the sha256 of a text, in hexadecimal."""
    return hashlib.sha256(content.encode()).hexdigest()


def pretty(value: object) -> str:
    """Return a value as JSON that is read by people too."""
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _ours(name: str) -> str:
    return files("seqbench.judge.report").joinpath(name).read_text(encoding="utf-8")


def _readable(value: object) -> object:
    """Return what a page prints with characters spelt out that are not seen but act."""
    return text.spelt(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _grouped(count: float | None) -> str:
    """Return a whole number in groups of three digits, or a dash."""
    return "–" if count is None else f"{count:,.0f}".replace(",", " ")
