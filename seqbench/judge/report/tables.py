"""A table as a value, and as a file for LaTeX (booktabs, siunitx), for Markdown and as CSV.

A CSV holds every number in full; LaTeX and Markdown hold fewer columns, with numbers as the page prints them. The id of
a table, `tab-NAME`, never changes; its label is `tab:seqbench-NAME`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from seqbench.judge.report import pages, typeset

Row = Mapping[str, Any]
MISSING = "–"


@dataclass(frozen=True, slots=True)
class Column:
    """A column under its name in the CSV.

    title: for people; "" where the column stands in the CSV alone. show: how its numbers are printed, None where it
    holds text. share: of the line, of a text that breaks; 0 where it does not.
    """

    key: str
    title: str = ""
    show: Callable[[Any], str] | None = None
    share: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table with its caption and its anchor on the page; long: whether LaTeX may break it across pages."""

    name: str
    caption: str
    anchor: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    long: bool = True

    @property
    def id(self) -> str:
        """Return the stable id."""
        return f"tab-{self.name}"


def csv(table: Table) -> str:
    """Return a table as CSV: numbers in full, nothing where there is none, no text that a spreadsheet would run."""
    rows = [[row[column.key] for column in table.columns] for row in table.rows]
    return pages.csv(pd.DataFrame(rows, columns=[column.key for column in table.columns], dtype=object))


def markdown(table: Table) -> str:
    """Return a table as GitHub's Markdown, numbers aligned to the right, with its caption above."""
    columns = [column for column in table.columns if column.title]
    marks = ["---:" if column.show else "---" for column in columns]
    rows = [[typeset.markdown(_shown(column, row)) for column in columns] for row in table.rows]
    heads = [typeset.markdown(column.title) for column in columns]
    lines = [f"| {' | '.join(cells)} |" for cells in (heads, marks, *rows)]
    return "\n".join([f"{typeset.markdown(table.caption)}", "", *lines, ""])


def latex(table: Table, *, report_id: str) -> str:
    """Return a table for LaTeX; it needs booktabs and siunitx, and longtable where it may break across pages."""
    columns = [column for column in table.columns if column.title]
    rows = [[_tex_cell(column, row) for column in columns] for row in table.rows]
    frame = pd.DataFrame(rows, columns=[typeset.latex(column.title) for column in columns], dtype=object)
    text: str = frame.style.hide(axis="index").to_latex(
        hrules=True,
        siunitx=True,
        column_format="".join(_tex_format(column, table.rows) for column in columns),
        caption=typeset.latex(table.caption),
        label=f"tab:seqbench-{table.name}",
        environment="longtable" if table.long else "table",
        position_float=None if table.long else "centering",
    )
    needs = "booktabs,siunitx,longtable" if table.long else "booktabs,siunitx"
    head = f"% {table.id} of seqbench report {report_id}; needs \\usepackage{{{needs}}}\n"
    size = r"\footnotesize" if table.long else ""
    return f"{head}\\begingroup{size}\\setlength{{\\tabcolsep}}{{3pt}}\n{text}\\endgroup\n"


def _shown(column: Column, row: Row) -> str:
    value = row[column.key]
    if value is None or value == "":
        return MISSING
    return column.show(value) if column.show else str(value)


def _tex_cell(column: Column, row: Row) -> str:
    shown = _shown(column, row)
    if column.show is None:
        return typeset.latex(shown)
    if shown == MISSING:
        return r"{\textendash}"
    return f"{{{typeset.maths(shown)}}}" if "e" in shown else typeset.siunitx(shown)


def _tex_format(column: Column, rows: Iterable[Row]) -> str:
    """Return what LaTeX must know of a column: where text breaks, how many digits stand around a decimal point.

    Powers of ten stand in the middle of the column: aligned, they would widen it by half for the few that have one.
    """
    if column.share:
        return rf">{{\raggedright\arraybackslash}}p{{{column.share:g}\linewidth}}"
    if column.show is None:
        return "l"
    numbers = [re.fullmatch(r"(-?)([0-9]+)(?:\.([0-9]+))?", _tex_cell(column, row)) for row in rows]
    groups = [match.groups(default="") for match in numbers if match]
    sign, whole, decimals = (max((group[place] for group in groups), key=len, default="") for place in range(3))
    return f"S[table-format={sign}{max(1, len(whole))}.{len(decimals)}]"
