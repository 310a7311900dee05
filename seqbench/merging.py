"""Merge study folders: the union of their attempts. What disagrees is listed, and nothing is dropped or overwritten.

Attempts stand in a folder per machine, so that timings of different machines stay apart. Two people with
machines of one kind share such a folder; where both have an attempt of one number, the second one's follows the first
one's, under the next number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seqbench import store
from seqbench.errors import StudyMismatch, UsageError
from seqbench.record import Record, to_json


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge did: records written, records that several folders hold, and what people should look at."""

    written: int
    shared: int
    conflicts: tuple[str, ...]


def merge(sources: Sequence[Path], out: Path) -> Merged:
    """Write the union of several study folders into a new or an existing one of the same study.

    Raises UsageError for fewer than two sources, StudyMismatch when they hold different studies, StoreError when one
    cannot be read or the result cannot be written. Sources are only read.
    """
    if len(sources) < 2 or out.resolve() in {source.resolve() for source in sources}:
        raise UsageError("merge takes two or more study folders and another --results to write into")
    studies = [store.open_study(source) for source in sources]
    for source, study in zip(sources[1:], studies[1:], strict=True):
        if study != studies[0]:
            raise StudyMismatch(
                f"{sources[0]} and {source} hold different studies ({store.difference(studies[0], study)}); "
                "only records of one study can be merged"
            )
    with store.locked(out):
        store.create_study(out, studies[0])
        store.sweep(out)
        return _united(sources, out)


def _united(sources: Sequence[Path], out: Path) -> Merged:
    names: dict[str, bytes] = {}
    held: dict[bytes, str] = {}
    for name, entry in store.contents(out).records:
        names[name] = held_as = to_json(entry)
        held[held_as] = name
    written = shared = 0
    conflicts: list[str] = []
    for source in sources:
        found = store.contents(source)
        conflicts += [f"{source}: {item.reason}; left where it is" for item in found.broken]
        for name, entry in found.records:
            content = to_json(entry)
            if content in held:
                shared += 1
                continue
            place = store.save(out, entry).relative_to(out).as_posix()
            written += 1
            if name in names:
                conflicts.append(f"{source}/{name}: differs from the attempt of that name; written as {place}")
            names[place], held[content] = content, place
    return Merged(written, shared, (*conflicts, *_machines(out)))


def _machines(out: Path) -> list[str]:
    """Return one line per cell that several machines ran with different numbers; timings differ always."""
    found: dict[str, list[Record]] = {}
    for entry in store.contents(out).latest().values():
        found.setdefault(entry.fingerprint, []).append(entry)
    lines = []
    for entries in found.values():
        cell = entries[0].cell
        if cell.timing is None and len({(e.status, repr(e.measurements)) for e in entries}) > 1:
            machines = ", ".join(sorted(e.environment.machine for e in entries))
            lines.append(f"{cell.address}: measured differently on {machines}; the one that finished last counts")
    return sorted(lines)
