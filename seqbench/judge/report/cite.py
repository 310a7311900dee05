"""Citing a report or a part of it: what can be named, the sentence that goes with it, and the citation itself.

The date is that of the last record, never that of the clock. BibTeX and CITATION.cff are written by hand: a writer of
another project would put its own key into the one and cannot be asked for the same bytes.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seqbench.errors import UnknownName
from seqbench.judge.claims.base import AtomVerdict, ClaimVerdict, measured
from seqbench.judge.report import published, tabulated, typeset
from seqbench.judge.text import visible
from seqbench.registry import unknown

if TYPE_CHECKING:
    from seqbench.judge.report.build import Report

AUTHOR = "The seqbench developers"
WHOLE = "report"
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A part of a report that can be cited: its stable id, title, sentence, and anchor on the page."""

    id: str
    title: str
    sentence: str
    anchor: str


def items(report: "Report") -> dict[str, Item]:
    """Return what can be cited by its id: the report, claims, atoms as `C1.1a`, figures, tables."""
    found = [_whole(report)]
    for claim in report.claims:
        anchor = claim.claim if claim.atoms else "verdicts"
        found.append(Item(id=claim.claim, title=f"{claim.claim}: {claim.title}", sentence=_claim(claim), anchor=anchor))
        found += [_atom(claim, atom) for atom in claim.atoms]
    for figure in report.figures:
        data = f"{figure.title}. {figure.caption} Data: {figure.rows} rows, sha256 {figure.sha256}."
        name = f"fig-{figure.name}"
        found.append(Item(id=name, title=f"Figure {figure.name}: {figure.title}", sentence=data, anchor=name))
    for table in tabulated.tables(report):
        found.append(Item(id=table.id, title=f"Table {table.name}", sentence=table.caption, anchor=table.anchor))
    return {item.id: item for item in found}


def cite(report: "Report", name: str, *, form: str, url: str = "") -> str:
    """Return sentence and citation of a part of a report in one of `FORMATS`; an atom may be called `C1/1a` too.

    Raises UnknownName for an id that the report lacks, with the nearest one or why it was withdrawn, and for a format.
    """
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)
    return FORMATS[form](report, find(report, name), url)


def find(report: "Report", name: str) -> Item:
    """Return the part of a report with an id.

    Raises UnknownName, with the nearest id, or why it was withdrawn.
    """
    return look_up(name, items(report), withdrawn=published.withdrawn())


def look_up(name: str, known: Mapping[str, Item], *, withdrawn: Mapping[str, str]) -> Item:
    """Return what an id names, `C1/1a` for `C1.1a` too.

    Raises UnknownName as `find` does.
    """
    if name in withdrawn:
        raise UnknownName(f"{name!r} was withdrawn: {withdrawn[name]}")
    claim, _, atom = name.partition("/")
    found = known.get(name) or known.get(f"{claim}.{atom}")
    if found is None:
        raise unknown("part of this report", name, known)
    return found


def files(report: "Report") -> dict[str, str]:
    """Return citation.bib, citation.json and CITATION.cff of the whole report."""
    whole = _whole(report)
    return {
        "citation.bib": bibtex(report, whole),
        "citation.json": csl(report, whole),
        "CITATION.cff": cff(report),
    }


def bibtex(report: "Report", item: Item, url: str = "") -> str:
    """Return a BibTeX entry, in ASCII, with the sentence as its annotation."""
    date = _date(report)
    fields = {
        "author": f"{{{typeset.latex(AUTHOR)}}}",
        "title": f"{{{typeset.latex(_title(report, item))}}}",
        "year": date[:4],
        "month": MONTHS[int(date[5:7]) - 1] if date else "",
        "version": _version(report),
        "url": re.sub(r"[{}\\]", lambda match: f"%{ord(match[0]):02X}", visible(_url(item, url))),
        "note": typeset.latex(_note(report)),
        "annote": typeset.latex(item.sentence),
    }
    lines = [f"  {key} = {value if key == 'month' else f'{{{value}}}'}," for key, value in fields.items() if value]
    return "\n".join([f"@misc{{{_key(report, item)},", *lines, "}", ""])


def csl(report: "Report", item: Item, url: str = "") -> str:
    """Return a list with one entry of CSL-JSON, as pandoc and Zotero read it."""
    date = _date(report)
    entry: dict[str, Any] = {
        "id": _key(report, item),
        "type": "report",
        "title": _title(report, item),
        "author": [{"literal": AUTHOR}],
        **({"issued": {"date-parts": [[int(part) for part in date.split("-")]]}} if date else {}),
        "version": _version(report),
        "number": report.id,
        **({"URL": _url(item, url)} if url else {}),
        "note": _note(report),
        "abstract": item.sentence,
    }
    return json.dumps([_readable(entry)], indent=1, ensure_ascii=False) + "\n"


def latex(report: "Report", item: Item, url: str = "") -> str:
    """Return the sentence with the citation as a footnote; it needs no package."""
    place = rf" \texttt{{{typeset.latex(_url(item, url))}}}." if url else ""
    title, note = typeset.latex(_title(report, item)), typeset.latex(_note(report))
    by = f"{typeset.latex(AUTHOR)}. \\emph{{{title}}}. {_when(report)}{note}.{place}"
    return f"{typeset.latex(item.sentence)}\\footnote{{{by}}}\n"


def markdown(report: "Report", item: Item, url: str = "") -> str:
    """Return the sentence with the citation as a footnote of Markdown."""
    key = _key(report, item)
    place = f" {typeset.markdown(_url(item, url))}" if url else ""
    title, note = typeset.markdown(_title(report, item)), typeset.markdown(_note(report))
    by = f"{typeset.markdown(AUTHOR)}. *{title}*. {_when(report)}{note}.{place}"
    return f"{typeset.markdown(item.sentence)}[^{key}]\n\n[^{key}]: {by}\n"


Writer = Callable[["Report", Item, str], str]
FORMATS: Mapping[str, Writer] = {"bibtex": bibtex, "csl": csl, "latex": latex, "markdown": markdown}


def cff(report: "Report") -> str:
    """Return CITATION.cff 1.2.0 of the report; values are JSON strings, which YAML reads as its own."""
    date = _date(report)
    lines = [
        ("cff-version", "1.2.0"),
        ("message", "If you use numbers of this report, please cite it with its report id."),
        ("title", _title(report, _whole(report))),
        ("type", "dataset"),
        ("version", _version(report)),
        *([("date-released", date)] if date else []),
        ("abstract", _whole(report).sentence),
    ]
    text = [f"{key}: {_yaml(value)}" for key, value in lines]
    text += ["authors:", f"  - name: {_yaml(AUTHOR)}"]
    text += ["identifiers:", "  - type: other", f"    value: {_yaml(report.id)}"]
    text += [f"    description: {_yaml('The report id: sha256 of records, study and library versions')}"]
    return "\n".join([*text, ""])


def _whole(report: "Report") -> Item:
    words = ", ".join(f"{claim.claim} {claim.verdict.value}" for claim in report.claims)
    sentence = f"Verdicts of the study: {words}."
    return Item(id=WHOLE, title="", sentence=f"{sentence} {_caution(report)}".strip(), anchor="")


def _claim(claim: ClaimVerdict) -> str:
    """Return sentence, verdict in words, what decided, scope and qualifications of a claim."""
    atom = claim.deciding
    decided = f" Decided by {atom.name}: {measured(atom)}." if atom else ""
    beside = f" Qualification: {'; '.join(claim.qualifications)}." if claim.qualifications else ""
    return f"{claim.claim}, “{claim.sentence}” {claim.verdict.value}. {claim.wording}{decided}{beside}"


def _atom(claim: ClaimVerdict, atom: AtomVerdict) -> Item:
    name = f"{claim.claim}.{atom.name}"
    where = f"; {claim.scope}" if claim.scope else ""
    why = f" ({atom.reason})" if atom.reason else ""
    sentence = f"{name}, {atom.estimand}: {measured(atom)}; {tabulated.word(atom)}{why}{where}."
    return Item(id=name, title=f"{name}: {atom.estimand}", sentence=sentence, anchor=claim.claim)


def _caution(report: "Report") -> str:
    return "Exploratory: no verdict of this study is confirmatory." if report.exploratory else ""


def _title(report: "Report", item: Item) -> str:
    whole = f"seqbench report: {report.title}"
    return visible(f"{item.title}. In: {whole}" if item.title else whole)


def _note(report: "Report") -> str:
    cells = f"{report.provenance['accepted']} cells, seeds {report.seeds}"
    named = f"seqbench {_version(report)}, report id {report.id}, {cells}"
    return f"{named}. {_caution(report)}".rstrip(". ") if report.exploratory else named


def _readable(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: visible(value) if isinstance(value, str) else value for key, value in entry.items()}


def _key(report: "Report", item: Item) -> str:
    """Return the key of a bibliography: letters, digits and hyphens, which every one takes."""
    part = "".join(char if char.isascii() and char.isalnum() else "-" for char in item.id)
    return f"seqbench-{report.id[:12]}-{part}"


def _url(item: Item, url: str) -> str:
    return f"{url}#{item.anchor}" if url and item.anchor else url


def _version(report: "Report") -> str:
    return str(report.provenance["rendered_with"]["seqbench"])


def _date(report: "Report") -> str:
    """Return the day on which the last record was finished, as 2026-01-31; "" where there is none."""
    return (report.provenance["last_finished"] or "")[:10]


def _when(report: "Report") -> str:
    date = _date(report)
    return f"{date}, " if date else ""


def _yaml(text: str) -> str:
    return json.dumps(visible(text), ensure_ascii=False)
