"""Studies side by side: each is judged on its own records, and only what was judged, counted or hashed is compared.

No time of one study meets a time of another: of timed cells only the verdicts, which rest on ratios within a panel,
stand side by each.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from seqbench import store
from seqbench.cell import canonical_json
from seqbench.errors import UsageError
from seqbench.judge.claims.base import AtomVerdict, ClaimVerdict
from seqbench.judge.report import build, cellwise, effects, pages, studies, svg, verdicts
from seqbench.judge.report.cellwise import Agreement, Difference
from seqbench.judge.report.studies import DIFFER, Row, Side, agreed, side
from seqbench.judge.rules import Verdict
from seqbench.plan import Study
from seqbench.store import Contents

MOST_STUDIES = len(effects.LOOKS)
SHOWN_DIFFERENCES = 60
EXTENT = ("ran", "planned", "agreement")
COUNTS = ("one", "other", "shared", "only_one", "only_other", "measured", "numbers", "equal", "differing", "share")
DIFFERENCE = ("cell", "fingerprint", "what", "one", "other", "relative")


@dataclass(frozen=True, slots=True, kw_only=True)
class Forest:
    """The figure of one claim's effects with the data behind it."""

    name: str
    title: str
    file: str
    element: Markup
    csv: str
    rows: int

    @property
    def sha256(self) -> str:
        """Return the sha256 of the data's file, in hexadecimal."""
        return pages.sha256(self.csv)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One claim by study: the verdicts of its hypotheses, None where a study has none of that name, and the figure.

    rules: each rule with the letters of the studies that have it. incomplete: by study, whether it lacks cells.
    """

    claim: str
    title: str
    sentence: str
    agreement: str
    rules: tuple[tuple[str, tuple[str, ...]], ...]
    incomplete: tuple[bool, ...]
    atoms: tuple[Row, ...]
    forest: Forest

    @property
    def differs(self) -> bool:
        """Return whether two studies come to different verdicts."""
        return self.agreement == DIFFER


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Everything that the page of a comparison says. The same studies in the same order give the same value and bytes.

    rows: a claim's `ClaimVerdict` by study. sizes: texts by study.
    """

    id: str
    sides: tuple[Side, ...]
    facts: tuple[Row, ...]
    alerts: tuple[str, ...]
    rows: tuple[Row, ...]
    parts: tuple[Part, ...]
    sizes: tuple[Row, ...]
    agreements: tuple[Agreement, ...]
    tables: Mapping[str, str]

    @property
    def hashes(self) -> dict[str, str]:
        """Return the sha256 of every table's CSV, by its name."""
        return {name: pages.sha256(text) for name, text in self.tables.items()}


def compare_folders(folders: Sequence[Path]) -> Comparison:
    """Return the comparison of the studies in these folders, in this order.

    Raises StoreError when a folder holds no study, UsageError for fewer than two or more than eight studies, and for a
    study that is given twice.
    """
    if not 2 <= len(folders) <= MOST_STUDIES:
        raise UsageError(f"{len(folders)} studies given; compare 2 to {MOST_STUDIES}, with one --results for each")
    for one, other in combinations(folders, 2):
        if one.resolve() == other.resolve():
            raise UsageError(f"{other} is given twice; give each study once")
    return compare(
        [(folder.resolve().name, store.open_study(folder), store.contents(folder)) for folder in folders],
    )


def compare(held: Sequence[tuple[str, Study, Contents]]) -> Comparison:
    """Return the comparison of studies, each with its name; the order in which records were read does not matter.

    Raises UsageError for a study that is given twice: the same plan with the same records.
    """
    sides = tuple(side(letter, *each) for letter, each in zip(effects.LOOKS, held, strict=False))
    for one, other in combinations(sides, 2):
        if one.report_id == other.report_id:
            raise UsageError(
                f"{one.name} and {other.name} hold the same study with the same records; give each study once"
            )
    names = _names(each.claims for each in sides)
    asked = _names(each.study.preregistration.claims for each in sides)
    agreements = tuple(_agreement(one, other) for one, other in combinations(sides, 2))
    shown = {
        "studies": studies.facts(sides),
        "verdicts": tuple(_claim_row(claim, sides) for claim in names),
        "sizes": studies.sizes(sides),
    }
    return Comparison(
        id=hashlib.sha256(canonical_json([[each.name, each.report_id] for each in sides]).encode()).hexdigest(),
        sides=sides,
        facts=shown["studies"],
        alerts=tuple(studies.alerts(sides)),
        rows=shown["verdicts"],
        parts=tuple(_part(claim, sides) for claim in names if claim in asked),
        sizes=shown["sizes"],
        agreements=agreements,
        tables={
            "studies": pages.csv(_texts(shown["studies"], sides)),
            "verdicts": pages.csv(_verdicts(shown["verdicts"], sides)),
            "sizes": pages.csv(_texts(shown["sizes"], sides)),
            "cells": pages.csv(_counts(agreements)),
            "differences": pages.csv(_differences(agreements)),
        },
    )


def write(comparison: Comparison, out: Path) -> Path:
    """Write the page and the files beside it (claims, provenance, data, figures), and return the page.

    Raises StoreError when the folder cannot be written.
    """
    forests = [part.forest for part in comparison.parts]
    content = {
        "index.html": page(comparison),
        "claims.json": pages.pretty([_claims_json(each) for each in comparison.sides]),
        "provenance.json": pages.pretty(_provenance(comparison)),
    }
    content |= {f"data/{item.name}.csv": item.csv for item in forests}
    content |= {f"data/{name}.csv": text for name, text in comparison.tables.items()}
    content |= {f"figures/{item.name}.svg": item.file for item in forests}
    return pages.save(out, content)


def page(comparison: Comparison) -> str:
    """Return the whole page: one HTML document without a single outside request."""
    return pages.render(
        "compare.html.jinja",
        names={},
        comparison=comparison,
        version=version("seqbench"),
        worst=_worst(comparison.agreements),
        shown=SHOWN_DIFFERENCES,
        caption=effects.CAPTION,
    )


def _names(each: Iterable[Iterable[str]]) -> tuple[str, ...]:
    """Return every name once, in the order in which they are met."""
    return tuple(dict.fromkeys(name for names in each for name in names))


def _claim_row(claim: str, sides: Sequence[Side]) -> Row:
    found = {each.letter: each.claims.get(claim) for each in sides}
    words = {study: verdict.verdict if verdict else Verdict.NOT_TESTED for study, verdict in found.items()}
    return Row(name=claim, values=tuple(found.values()), agreement=agreed(words))


def _part(claim: str, sides: Sequence[Side]) -> Part:
    found = {each.letter: each.claims[claim] for each in sides if claim in each.claims}
    asked = {study: verdict for study, verdict in found.items() if verdict.atoms}
    first = next(iter(asked.values()))
    row = _claim_row(claim, sides)
    atoms = _names((atom.name for atom in verdict.atoms) for verdict in asked.values())
    return Part(
        claim=claim,
        title=first.title,
        sentence=first.sentence,
        agreement=row.agreement,
        rules=tuple(
            (rule, tuple(study for study, verdict in asked.items() if verdict.rule == rule))
            for rule in dict.fromkeys(verdict.rule for verdict in asked.values())
        ),
        incomplete=tuple(verdict is not None and verdict.ran != verdict.planned for verdict in row.values),
        atoms=tuple(_atom_row(atom, claim, sides) for atom in atoms),
        forest=_forest(f"effects-{claim}", f"{claim}: effects by study", effects.select(asked)),
    )


def _atom_row(name: str, claim: str, sides: Sequence[Side]) -> Row:
    found = {each.letter: _atom(name, each.claims.get(claim)) for each in sides}
    shown = [atom for atom in found.values() if atom]
    words = {study: atom.verdict if atom else Verdict.NOT_TESTED for study, atom in found.items()}
    descriptive = all(atom.test == "descriptive" for atom in shown)
    return Row(name=name, values=tuple(found.values()), agreement="descriptive" if descriptive else agreed(words))


def _atom(name: str, verdict: ClaimVerdict | None) -> AtomVerdict | None:
    return next((atom for atom in verdict.atoms if atom.name == name), None) if verdict else None


def _forest(name: str, title: str, frame: pd.DataFrame) -> Forest:
    file = svg.standalone(effects.draw(frame))
    element = Markup(svg.inline(file, name=name, title=title))  # noqa: S704 drawn here; matplotlib escapes text
    return Forest(name=name, title=title, file=file, element=element, csv=pages.csv(frame), rows=len(frame))


def _agreement(one: Side, other: Side) -> Agreement:
    return cellwise.agreement((one.letter, one.planned, one.held), (other.letter, other.planned, other.held))


def _texts(rows: Sequence[Row], sides: Sequence[Side]) -> pd.DataFrame:
    """Return rows of texts as they are shown, a column per study."""
    letters = [each.letter for each in sides]
    values = [(row.name, *row.values, row.agreement) for row in rows]
    return pd.DataFrame(values, columns=["name", *letters, "agreement"])


def _verdicts(rows: Sequence[Row], sides: Sequence[Side]) -> pd.DataFrame:
    """Return one row per claim and study: verdict, the effect that decided with its interval and n, cells."""
    found = []
    for row in rows:
        for each, verdict in zip(sides, row.values, strict=True):
            if verdict is not None:
                atom = verdict.deciding
                numbers = (atom.name, atom.effect, atom.lower, atom.upper, atom.unit, atom.n) if atom else (None,) * 6
                extent = (verdict.ran, verdict.planned, row.agreement)
                found.append((row.name, each.letter, verdict.verdict.value, *numbers, *extent))
    names = [*("claim", "study", "verdict", "decided_by", "effect", "lower", "upper", "unit", "n"), *EXTENT]
    return pd.DataFrame(found, columns=names)


def _counts(agreements: Sequence[Agreement]) -> pd.DataFrame:
    return pd.DataFrame([[getattr(pair, name) for name in COUNTS] for pair in agreements], columns=list(COUNTS))


def _differences(agreements: Sequence[Agreement]) -> pd.DataFrame:
    rows = [
        (pair.one, pair.other, *(getattr(item, name) for name in DIFFERENCE))
        for pair in agreements
        for item in pair.differences
    ]
    return pd.DataFrame(rows, columns=["study_one", "study_other", *DIFFERENCE])


def _worst(agreements: Sequence[Agreement]) -> tuple[tuple[Agreement, Difference, int], ...]:
    """Return, of every cell that differs, the difference that is largest and how many there are.

    What has no relative difference, as a status, stands before numbers.
    """
    found = []
    for pair in agreements:
        cells: dict[str, list[Difference]] = {}
        for item in pair.differences:
            cells.setdefault(item.fingerprint, []).append(item)
        for items in cells.values():
            found.append((pair, max(items, key=_badness), len(items)))
    return tuple(sorted(found, key=lambda row: _badness(row[1]), reverse=True))


def _badness(item: Difference) -> float:
    return math.inf if item.relative is None else item.relative


def _claims_json(each: Side) -> dict[str, Any]:
    return {
        "study": each.letter,
        "name": each.name,
        "report_id": each.report_id,
        "claims": verdicts.as_json(tuple(each.claims.values())),
    }


def _provenance(comparison: Comparison) -> dict[str, Any]:
    names = [row.name for row in comparison.facts]
    told = zip(*(row.values for row in comparison.facts), strict=True)
    return {
        "comparison_id": comparison.id,
        "studies": [
            {"study": each.letter, "name": each.name, "facts": dict(zip(names, values, strict=True))}
            for each, values in zip(comparison.sides, told, strict=True)
        ],
        "rendered_with": {name: version(name) for name in build.LIBRARIES},
        "data": {part.forest.name: part.forest.sha256 for part in comparison.parts} | comparison.hashes,
    }
