"""Everything of a report that somebody else's document takes: tables, macros, citations."""

from typing import TYPE_CHECKING

from seqbench.judge.report import cite, macros, tabulated

if TYPE_CHECKING:
    from seqbench.judge.report.build import Report


def files(report: "Report") -> dict[str, str]:
    """Return the exported files: path in the report's folder -> content."""
    return tabulated.files(report) | {"macros.tex": macros.macros(report)} | cite.files(report)
