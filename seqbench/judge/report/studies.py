"""What is known of each of several studies, and in what they differ: nothing here joins their records."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from seqbench import plan
from seqbench.judge import table
from seqbench.judge.claims.base import ClaimVerdict
from seqbench.judge.figures import base, style
from seqbench.judge.report import build, verdicts
from seqbench.judge.rules import Verdict
from seqbench.plan import Planned, Study
from seqbench.record import Environment, Record
from seqbench.store import Contents

ENDED_WELL = ("ok", "unsolved")
DIFFER, SAME, UNTESTED = "≠ differ", "= same", "not tested"
OWN = ("Finished", "Report")
"""Facts that no two studies share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the studies: its letter on the page, the name of its folder, its content and its own verdicts.

    planned, held: cells that are no trials, and their accepted records, by fingerprint.
    """

    letter: str
    name: str
    study: Study
    contents: Contents
    planned: Mapping[str, Planned]
    held: Mapping[str, Record]
    claims: Mapping[str, ClaimVerdict]
    report_id: str

    @property
    def missing(self) -> int:
        """Return the number of planned cells without a record."""
        return len(self.planned) - len(self.held)

    @property
    def machines(self) -> tuple[str, ...]:
        """Return the machines that the accepted records were made on."""
        return tuple(sorted({entry.environment.machine for entry in self.held.values()}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of a table of studies: a name, one value per study in their order, and whether these agree, in words."""

    name: str
    values: tuple[Any, ...]
    agreement: str

    @property
    def differs(self) -> bool:
        """Return whether two studies say different things."""
        return self.agreement == DIFFER


def side(letter: str, name: str, study: Study, contents: Contents) -> Side:
    """Return a study with its verdicts, which follow from its own records alone."""
    return Side(
        letter=letter,
        name=name,
        study=study,
        contents=contents,
        planned={entry.fingerprint: entry for entry in plan.planned(study) if not entry.trial},
        held=table.accepted(study, contents),
        claims={verdict.claim: verdict for verdict in verdicts.judge_study(study, contents)},
        report_id=build.report_id(study, contents),
    )


def agreed(words: Mapping[str, Verdict]) -> str:
    """Return whether verdicts by study agree; a study that did not test has no verdict that could differ."""
    tested = {study: word for study, word in words.items() if word is not Verdict.NOT_TESTED}
    if len(set(tested.values())) > 1:
        return DIFFER
    if not tested:
        return UNTESTED
    return SAME if len(tested) == len(words) else f"tested in {', '.join(tested)} alone"


def facts(sides: Sequence[Side]) -> tuple[Row, ...]:
    """Return what is said of every study: identity, extent, place, what its numbers depend on; values are texts."""
    libraries = sorted({name for each in sides for place in _places(each) for name in place.libraries})
    told: dict[str, Callable[[Side], str]] = {
        "Title": lambda each: each.study.suite.title,
        "Suite": lambda each: f"{each.study.suite_name} ({each.study.suite_source})",
        "Cells": _cells,
        "Seeds": _seeds,
        "Finished": _finished,
        "Machine": lambda each: _listed(each.machines),
        "Processor": lambda each: _of_places(each, lambda place: f"{place.cpu}, {base.plural(place.cores, 'core')}"),
        "Device": lambda each: _of_places(each, lambda at: f"{at.device}, {base.plural(at.threads, 'thread')}"),
        "System": lambda each: _of_places(each, lambda place: place.system),
        **{f"Library {name}": _version_of(name) for name in libraries},
        "Commit": lambda each: _of_places(each, lambda place: place.commit or "unknown"),
        "Measurement version": lambda each: str(each.study.measurement_version),
        "Pre-registration": lambda each: each.study.preregistration_sha256,
        "Text": _text,
        "Report": lambda each: each.report_id,
    }
    return tuple(_row(name, [tell(each) for each in sides]) for name, tell in told.items())


def sizes(sides: Sequence[Side]) -> tuple[Row, ...]:
    """Return the size of every model that several studies or one have built, by task and the size that was asked for.

    A value is what the records of a study say was built: parameters, width × layers, implementation; None: nothing.
    """
    found: dict[tuple[str, str, int, int, str], dict[str, set[tuple[int, int, int, str]]]] = {}
    for each in sides:
        for entry in each.held.values():
            if (model := entry.model) is not None:
                cell = entry.cell
                key = (cell.task, cell.model, cell.width, cell.layers, str(cell.match or ""))
                built = (model.parameters, model.width, model.layers, model.implementation)
                found.setdefault(key, {}).setdefault(each.letter, set()).add(built)
    order = style.ordered(model for _, model, *_ in found)
    keys = sorted(found, key=lambda key: (key[0], order.index(key[1]), *key[2:]))
    return tuple(_size_row(key, found[key], sides) for key in keys)


def alerts(sides: Sequence[Side]) -> Iterator[str]:
    """Yield what a reader must know before comparing: differences between the studies, then what each lacks."""
    yield from _about_tests(sides)
    yield from _about_places(sides)
    yield from _about_content(sides)
    for each in sides:
        yield from _about_one(each)


def _about_tests(sides: Sequence[Side]) -> Iterator[str]:
    if grouped := _different(sides, lambda each: each.study.preregistration_sha256[:12]):
        yield f"Different pre-registration ({grouped}): verdicts are not of the same test. {_claims_shared(sides)}"
    if grouped := _different(sides, lambda each: str(each.study.measurement_version)):
        yield f"Different measurement version ({grouped}): the same cell was not measured in the same way."


def _claims_shared(sides: Sequence[Side]) -> str:
    """Return which claims are the same to the letter, and which differ or stand in some studies alone."""
    held = [each.study.preregistration for each in sides]
    names = tuple(dict.fromkeys(name for rules in held for name in rules.claims))
    kinds: dict[str, list[str]] = {"the same to the letter": [], "fixed differently": [], "not in every study": []}
    for name in names:
        versions = [rules.claims.get(name) for rules in held]
        same = all(content == versions[0] for content in versions)
        kind = "not in every study" if None in versions else "the same to the letter" if same else "fixed differently"
        kinds[kind].append(name)
    told = [f"{kind}: {', '.join(listed)}" for kind, listed in kinds.items() if listed]
    return f"Claims {'; '.join(told)}. Levels also depend on how many claims a study tests." if told else ""


def _about_places(sides: Sequence[Side]) -> Iterator[str]:
    machines = {name for each in sides for name in each.machines}
    rule = "times are never pooled, only ratios within a panel are put side by side"
    if len(machines) == 1:
        yield f"Same machine ({machines.pop()}): even so {rule}."
    elif machines:
        yield f"Different machines ({_grouped(sides, lambda each: _listed(each.machines))}): {rule}."
    devices = _different(sides, lambda each: _of_places(each, lambda place: place.device))
    if devices:
        yield f"Different devices ({devices}): claims that are judged by device speak of those that ran."
    names = sorted({name for each in sides for place in _places(each) for name in place.libraries})
    differing = [(name, _different(sides, _version_of(name))) for name in names]
    if told := [f"{name} {grouped}" for name, grouped in differing if grouped]:
        yield f"Different library versions: {'; '.join(told)}. Numbers may differ in their last digits, or by more."


def _about_content(sides: Sequence[Side]) -> Iterator[str]:
    if grouped := _different(sides, _text):
        yield f"Different texts ({grouped})."
    if grouped := _different(sides, _seeds):
        yield f"Different seeds ({grouped})."
    tasks = sorted({name for each in sides for name in each.study.cards})
    changed = [name for name in tasks if len({str(each.study.cards[name]) for each in _with_card(sides, name)}) > 1]
    if changed:
        yield f"Different task cards of one name: {', '.join(changed)}. These are not the same task."
    for one, other in combinations(sides, 2):
        shared = len(one.planned.keys() & other.planned.keys())
        only = [base.plural(len(a.planned.keys() - b.planned.keys()), "cell") for a, b in ((one, other), (other, one))]
        if one.planned.keys() != other.planned.keys():
            yield (
                f"{one.letter} and {other.letter} plan {base.plural(shared, 'cell')} in common; {only[0]} stand in "
                f"{one.letter} alone, {only[1]} in {other.letter} alone."
            )


def _about_one(each: Side) -> Iterator[str]:
    """Yield what keeps one study from being whole and confirmatory; its own report says it in full."""
    study = each.study
    if study.exploratory:
        yield f"{each.letter} is exploratory: {'; '.join(study.exploratory)}. No verdict of it is confirmatory."
    if each.missing:
        yield (
            f"{each.letter} is unfinished: {each.missing} of {len(each.planned)} planned cells have no record yet; "
            "verdicts of claims that lack cells are shown pale."
        )
    if len(each.machines) > 1:
        yield (
            f"Cells of {each.letter} ran on {len(each.machines)} machines: {', '.join(each.machines)}. Where both ran "
            "one cell, the record that was finished last counts; ratios are of one machine's panels alone."
        )
    stray = len(table.unplanned(study, each.contents))
    if stray:
        yield f"{base.plural(stray, 'record')} in {each.letter} of no planned cell, not used."
    if each.contents.broken:
        yield f"{base.plural(len(each.contents.broken), 'broken file')} in {each.letter}, not used."
    other = sum(entry.preregistration != study.preregistration_sha256 for entry in each.held.values())
    if other:
        yield f"{base.plural(other, 'record')} in {each.letter} made under another pre-registration."


def _with_card(sides: Iterable[Side], task: str) -> list[Side]:
    return [each for each in sides if task in each.study.cards]


def _grouped(sides: Sequence[Side], tell: Callable[[Side], str]) -> str:
    """Return what a fact is in which studies, as "3 in A, C; 4 in B"."""
    found: dict[str, list[str]] = {}
    for each in sides:
        found.setdefault(tell(each), []).append(each.letter)
    return "; ".join(f"{value} in {', '.join(letters)}" for value, letters in found.items())


def _different(sides: Sequence[Side], tell: Callable[[Side], str]) -> str:
    """Return what a fact is in which studies, or nothing where it is the same in all that can tell it."""
    able = [each for each in sides if tell(each) != "–"]
    return _grouped(able, tell) if len({tell(each) for each in able}) > 1 else ""


def _row(name: str, values: Sequence[str]) -> Row:
    agreement = "" if name in OWN else SAME if len(set(values)) == 1 else DIFFER
    return Row(name=name, values=tuple(values), agreement=agreement)


def _size_row(
    key: tuple[str, str, int, int, str], built: Mapping[str, set[tuple[int, int, int, str]]], sides: Sequence[Side]
) -> Row:
    task, model, width, layers, match = key
    asked = match or f"width {width}, {base.plural(layers, 'layer')}"
    values = tuple(_built(built[each.letter]) if each.letter in built else None for each in sides)
    told = {value for value in values if value is not None}
    alone = f"built in {', '.join(each.letter for each in sides if each.letter in built)} alone"
    return Row(
        name=f"{task}: {style.look(model).label} ({asked})",
        values=values,
        agreement=DIFFER if len(told) > 1 else SAME if len(built) == len(sides) else alone,
    )


def _built(found: set[tuple[int, int, int, str]]) -> str:
    """Return every size that was built: parameters, width × layers, implementation."""
    return "; ".join(f"{count} parameters, {width} × {layers}, {how}" for count, width, layers, how in sorted(found))


def _cells(each: Side) -> str:
    counts: dict[str, int] = {}
    for entry in each.held.values():
        if entry.status not in ENDED_WELL:
            counts[entry.status] = counts.get(entry.status, 0) + 1
    failed = "".join(f"; {count} {status}" for status, count in sorted(counts.items()))
    return f"{len(each.held)} of {len(each.planned)} measured{failed}"


def _seeds(each: Side) -> str:
    found = sorted({entry.cell.seed for entry in each.planned.values()})
    return f"{found[0]} to {found[-1]}" if found else "–"


def _finished(each: Side) -> str:
    found = sorted(entry.finished for entry in each.held.values())
    return f"{found[0]} to {found[-1]}" if found else "–"


def _text(each: Side) -> str:
    text = each.study.corpus
    return f"{text.name}, split by {text.split}, {text.sha256}" if text else "none"


def _places(each: Side) -> list[Environment]:
    return [entry.environment for entry in each.held.values()]


def _of_places(each: Side, tell: Callable[[Environment], str]) -> str:
    return _listed(sorted({tell(place) for place in _places(each)}))


def _version_of(name: str) -> Callable[[Side], str]:
    return lambda each: _of_places(each, lambda place: place.libraries.get(name, "absent"))


def _listed(values: Iterable[str]) -> str:
    return ", ".join(values) or "–"
