"""A study folder: `study.json` and one immutable JSON file per attempt; atomic, append-only, resumable."""

import errno
import gc
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from filelock import FileLock, Timeout
from pydantic import ValidationError

from seqbench import outline, plan, record, tuning
from seqbench.cell import Cell
from seqbench.errors import CorruptRecord, StoreError, StudyLocked, StudyMismatch
from seqbench.outline import Outline
from seqbench.plan import Planned, Study
from seqbench.record import Environment, Record, Status

STUDY_FILE = "study.json"
_PART, _JSON = ".part", ".json"
_HOLDER = ".lock-holder"
"""Beside the lock, not in it: taking a lock may empty its file."""
_ATTEMPT = re.compile(r"(L[0-9]{5,8}-s[0-9]{1,10}(?:-[a-z][a-z0-9_]*)?-[0-9a-f]{6})-a(0[1-9]|[1-9][0-9]{1,5})")
"""The name of an attempt's file without its suffix: what was measured, and which attempt it is."""


Entry = TypeVar("Entry", Record, Outline)


@dataclass(frozen=True, slots=True)
class Broken:
    """A file in the study folder that is not a valid record; it is never used."""

    path: str
    reason: str


@dataclass(frozen=True)
class Held(Generic[Entry]):
    """What a study folder holds: every valid record with its file, a cell's attempts in order, and the broken files.

    Abstract: `Contents` are the records themselves, `Outlines` what planning needs of them.
    """

    records: tuple[tuple[str, Entry], ...]
    broken: tuple[Broken, ...]

    def accepted(self) -> Mapping[str, Entry]:
        """Return the accepted record of every cell, by fingerprint.

        On each machine that is the last attempt, by number and then by when it finished; of several machines' it is
        the one that finished last. Names of folders decide nothing. Cells that were timed together have their records
        from one machine, as ratios are of one panel's rounds: that with the most of them and, among equals, the one
        that finished last.
        """
        return self._accepted

    @cached_property
    def _accepted(self) -> Mapping[str, Entry]:
        return MappingProxyType({fingerprint: entry for fingerprint, (_, entry) in self.placed.items()})

    @cached_property
    def placed(self) -> Mapping[str, tuple[str, Entry]]:
        """The accepted record of every cell and before it its file, by fingerprint."""
        found: dict[str, tuple[str, Entry]] = {}
        panels: dict[tuple[str, str], list[tuple[str, Entry]]] = {}
        for (fingerprint, machine), (name, entry) in sorted(self._latest.items(), key=lambda item: _when(item[1][1])):
            found[fingerprint] = name, entry
            if entry.panel is not None:
                panels.setdefault((machine, entry.panel), []).append((name, entry))
        for members in sorted(panels.values(), key=_worth):
            found.update({entry.fingerprint: (name, entry) for name, entry in members})
        return MappingProxyType(found)

    def latest(self) -> dict[tuple[str, str], Entry]:
        """Return the last attempt at every cell on every machine, by fingerprint and machine."""
        return {key: entry for key, (_, entry) in self._latest.items()}

    @cached_property
    def _latest(self) -> dict[tuple[str, str], tuple[str, Entry]]:
        last: dict[tuple[str, str], tuple[int, str, Entry]] = {}
        for name, entry in self.records:
            key, number = (entry.fingerprint, entry.machine), _number(name)
            before = last.get(key)
            if before is None or (number, entry.finished) >= (before[0], before[2].finished):
                last[key] = number, name, entry
        return {key: (name, entry) for key, (_, name, entry) in last.items()}


def _worth(panel: Sequence[tuple[str, Record | Outline]]) -> tuple[int, int, Any]:
    """Return which of several panels of the same cells counts: the most members that have times, then the last."""
    return sum(entry.status == "ok" for _, entry in panel), len(panel), _when(panel[-1][1])


@dataclass(frozen=True)
class Contents(Held[Record]):
    """What a study folder holds, with everything that its records say."""

    def of(self, planned: Iterable[Planned]) -> dict[Cell, Record]:
        """Return the accepted record of every planned cell that has one, by cell."""
        accepted = self.accepted()
        return {entry.cell: accepted[entry.fingerprint] for entry in planned if entry.fingerprint in accepted}


@dataclass(frozen=True)
class Outlines(Held[Outline]):
    """What planning needs of a study folder: the outline of every record, and by file those that were read whole."""

    whole: Mapping[str, Record]

    def of(self, planned: Iterable[Planned]) -> dict[Cell, Record]:
        """Return the accepted record of every planned cell that has one and was read whole, by cell."""
        found = ((entry.cell, self.placed.get(entry.fingerprint)) for entry in planned)
        return {cell: self.whole[place[0]] for cell, place in found if place is not None and place[0] in self.whole}

    def plus(self, brought: Mapping[str, Record]) -> "Outlines":
        """Return these with further records, by file: what a call wrote itself, it need not read again."""
        further = ((name, outline.of(entry)) for name, entry in brought.items())
        return Outlines((*self.records, *further), self.broken, {**self.whole, **brought})


def open_study(folder: Path) -> Study:
    """Return the study of a folder.

    Raises StoreError when the folder holds none, or one that cannot be read.
    """
    path = folder / STUDY_FILE
    if folder.suffix == ".parquet" and folder.is_file():
        raise StoreError(
            f"{folder} is a pack; write its files into a folder first: seqbench results unpack {folder} "
            f"--results {folder.with_suffix('')}"
        )
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise StoreError(f"{path} is no plain file; put the study's own file there")
        if facts.st_size > plan.LARGEST_STUDY_BYTES:
            raise StoreError(f"{path}: larger than 64 MiB, so not written by seqbench; move it away")
        return Study.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise StoreError(
            f"{folder} holds no study; make one with: seqbench run --suite smoke --results {folder}"
        ) from None
    except OSError as error:
        raise _not_readable(path, error) from error
    except ValidationError as error:
        raise StoreError(f"{path} is no study of this version: {record.problems(error)}") from error


def as_fitted(folder: Path, study: Study, *, hours: float | None = None) -> Study:
    """Return a study as the folder's was fitted, if that holds one: what was trimmed once stays trimmed.

    Raises StudyMismatch when the folder's study was fitted into another number of `hours`, or into none, and StoreError
    when it cannot be read.
    """
    if not (folder / STUDY_FILE).exists():
        return study
    fit = open_study(folder).fit
    if hours is not None and (fit is None or fit.hours != hours):
        was = "without --fit-hours" if fit is None else f"with --fit-hours {fit.hours:g}"
        raise StudyMismatch(
            f"{folder} holds a study that was made {was}, asked for {hours:g}; what is planned stays as it is: "
            "leave --fit-hours out, or give another --results"
        )
    return study.model_copy(update={"fit": fit})


def create_study(folder: Path, study: Study) -> None:
    """Write `study.json`, or check that the folder already holds this very study.

    Raises StudyMismatch when it holds another one, StoreError when the folder cannot be written.
    """
    if not (folder / STUDY_FILE).exists():
        write_new(folder / STUDY_FILE, study.model_dump_json(by_alias=True, indent=1).encode() + b"\n")
        return
    held = open_study(folder)
    if held != study:
        raise StudyMismatch(
            f"{folder} holds another study ({difference(held, study)}); give another --results, or ask for the same"
        )


def contents(folder: Path) -> Contents:
    """Return every record of a study folder; what is not a valid record is listed as broken, with the reason.

    Raises StoreError when the folder cannot be read.
    """
    places: dict[str, Environment] = {}

    def read(name: str, content: bytes) -> Record:
        return _sharing(record.from_json(content, source=name), places)

    return Contents(*_read_all(folder, read))


def outlines(folder: Path, *, whole: Iterable[Planned] = ()) -> Outlines:
    """Return the outline of every record of a study folder, and those of these cells whole; broken files as `contents`.

    Raises StoreError when the folder cannot be read.
    """
    wanted = {_stem(entry.cell, entry.fingerprint) for entry in whole}
    found: dict[str, Record] = {}

    def read(name: str, content: bytes) -> Outline:
        if not wanted or name.rpartition("/")[2].rpartition("-a")[0] not in wanted:
            return outline.from_json(content, source=name)
        found[name] = record.from_json(content, source=name)
        return outline.of(found[name])

    return Outlines(*_read_all(folder, read), found)


def _read_all(
    folder: Path, read: Callable[[str, bytes], Entry]
) -> tuple[tuple[tuple[str, Entry], ...], tuple[Broken, ...]]:
    """Return what `read` makes of every file by its name and content, and the files that hold no valid record."""
    entries: list[tuple[str, Entry]] = []
    broken: list[Broken] = []
    try:
        names = sorted(_below(str(folder)), key=_order) if folder.exists() else []
    except OSError as error:
        raise _not_readable(folder, error) from error
    with uncollected():
        for name in names:
            try:
                entries.append((name, read(name, _content(f"{folder}/{name}", name))))
            except CorruptRecord as error:
                broken.append(Broken(name, str(error)))
    return tuple(entries), tuple(broken)


def missing(
    planned: Iterable[Planned], held: Contents | Outlines, *, retry: Iterable[Status] = ()
) -> tuple[Planned, ...]:
    """Return the planned cells without an accepted record, and those whose status is to be tried again."""
    again = set(retry)
    done = {key for key, entry in held.accepted().items() if entry.status not in again}
    return tuple(entry for entry in planned if entry.fingerprint not in done)


def save(folder: Path, entry: Record) -> Path:
    """Write a record as the next attempt at its cell and return its file. Nothing is ever overwritten.

    Raises StoreError when it cannot be written.
    """
    if entry.environment.machine != slug(entry.environment.machine):
        raise StoreError(f"{entry.environment.machine!r} is no name of a machine; write letters, digits and @=,._+-")
    place = folder / entry.environment.machine / entry.cell.task / slug(entry.cell.model)
    stem = _stem(entry.cell, entry.fingerprint)
    try:
        place.mkdir(parents=True, exist_ok=True)
        taken = [_number(name) for name in os.listdir(place) if name.startswith(f"{stem}-a") and name.endswith(_JSON)]  # noqa: PTH208 - as below
    except OSError as error:
        raise _not_writable(place, error) from error
    path = place / f"{stem}-a{max(taken, default=0) + 1:02d}.json"
    write_new(path, record.sealed(record.to_json(entry)))
    return path


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the study folder for writing.

    Raises StudyLocked when another process holds it, StoreError when the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", timeout=0)
        lock.acquire()
    except Timeout:
        raise StudyLocked(
            f"another seqbench run{_holder(folder)} is writing into {folder}; wait for it, or give another --results"
        ) from None
    except OSError as error:
        raise _not_writable(folder, error) from error
    try:
        _note_holder(folder)
        yield
    finally:
        lock.release()


def _note_holder(folder: Path) -> None:
    try:
        (folder / _HOLDER).write_text(f"{os.getpid()}\n", encoding="ascii")
    except OSError as error:
        raise _not_writable(folder, error) from error


def _holder(folder: Path) -> str:
    """Return which process holds the lock, as a part of a sentence; nothing where it has not said so."""
    try:
        with (folder / _HOLDER).open(encoding="ascii") as file:
            told = file.read(32).strip()
    except (OSError, ValueError):
        return ""
    return f" (process {told})" if told.isdecimal() else ""


def sweep(folder: Path) -> None:
    """Delete the half-written files that a killed run left, and no other; call it with the folder locked.

    Raises StoreError when one cannot be deleted.
    """
    for path in _half_written(folder):
        try:
            path.unlink()
        except OSError as error:
            raise _not_writable(path.parent, error) from error


def validate(folder: Path) -> tuple[str, ...]:
    """Return everything that keeps the study from being complete and sound; nothing means all is well.

    Every planned cell must have exactly one accepted record, whose name, fingerprint and pre-registration fit. On one
    machine a cell has more than one only if its attempts are numbered without a gap, no two of them are the same, and
    each but the last failed, was timed again with the whole of its panel, or had another learning rate, which a rule
    had found before one of its trials was tried again. Several machines may each have run it. A learning rate that a
    rule found must be the one that the records of its trials give.
    Nothing else that could be taken for a record may lie in the folder.
    """
    study, held = open_study(folder), contents(folder)
    entries = plan.planned(study)
    planned = {entry.fingerprint: entry.cell for entry in entries}
    found = [f"broken: {item.reason}" for item in held.broken]
    for name, entry in held.records:
        found += _faults(name, entry, planned, study)
    found += _gaps([*(name for name, _ in held.records), *(item.path for item in held.broken)])
    found += _repeated(held.records)
    found += [
        f"{path.relative_to(folder).as_posix()}: a half-written file; delete it" for path in _half_written(folder)
    ]
    found += [f"{name}: no file of a study; move it away" for name in _strangers(folder)]
    found += _wrong_rates(held.of(entries))
    done = held.accepted()
    found += [f"missing: {cell}" for key, cell in planned.items() if key not in done]
    return tuple(found)


def slug(model: str) -> str:
    """Return a model's text as a folder name: letters, digits and `@=,._+-`, everything else an underscore."""
    return re.sub(r"[^A-Za-z0-9@=,._+-]", "_", model).lstrip(".") or "_"


def stands_right(name: str, entry: Record) -> bool:
    """Return whether a file of this name, relative to the study folder, is where a record stands by its content."""
    place = f"{slug(entry.environment.machine)}/{entry.cell.task}/{slug(entry.cell.model)}"
    path = PurePosixPath(name)
    stem = _ATTEMPT.fullmatch(path.stem)
    own = stem is not None and stem[1] == _stem(entry.cell, entry.fingerprint)
    return own and name == f"{place}/{path.stem}.json" and entry.environment.machine == slug(entry.environment.machine)


def _faults(name: str, entry: Record, planned: dict[str, Cell], study: Study) -> Iterator[str]:
    cell = planned.get(entry.fingerprint)
    if cell is None:
        yield f"{name}: belongs to no planned cell of this study"
    elif cell != entry.cell:
        yield f"{name}: its cell is not the one that its fingerprint stands for"
    if entry.preregistration != study.preregistration_sha256:
        yield f"{name}: was made under another pre-registration"
    if not stands_right(name, entry):
        yield f"{name}: stands in the wrong place"


def _wrong_rates(records: Mapping[Cell, Record]) -> Iterator[str]:
    """Yield a fault for every record whose learning rate is not what the records of its rule's trials give."""
    for cell, entry in records.items():
        if cell.rate is not None and tuning.outdated(entry, records):
            given = tuning.settle(cell.rate, cell.model, records)
            expected = given.reason if isinstance(given, tuning.Refused) else f"learning rate {given}"
            yield (
                f"{cell.address} ({entry.fingerprint[:6]}): ran at learning rate {entry.learning_rate}, but its trials "
                f"give: {expected}; run it again"
            )


def _gaps(names: Iterable[str]) -> Iterator[str]:
    """Yield a fault for every cell whose attempts on a machine are not numbered without a gap."""
    numbers: dict[str, set[int]] = {}
    for name in names:
        if (found := _attempt(name)) is not None:
            numbers.setdefault(f"{name.rpartition('/')[0]}/{found[1]}", set()).add(int(found[2]))
    for stem, taken in sorted(numbers.items()):
        if lacking := sorted(set(range(1, max(taken))) - taken):
            yield f"{stem}-a{max(taken):02d}.json: attempt {lacking[0]} before it is not there; restore it"


def _repeated(records: Iterable[tuple[str, Record]]) -> Iterator[str]:
    """Yield a fault for every record that a later attempt on the same machine repeats, or had no reason to follow."""
    attempts: dict[tuple[str, str], list[tuple[str, Record]]] = {}
    for name, entry in records:
        attempts.setdefault((entry.fingerprint, entry.environment.machine), []).append((name, entry))
    for held in attempts.values():
        ordered = sorted(held, key=lambda item: (_number(item[0]), item[1].finished))
        for (before, earlier), (name, later) in pairwise(ordered):
            if record.to_json(earlier) == record.to_json(later):  # as files, where NaN equals itself
                yield f"{name}: stored twice, the same as {before}; remove it"
            elif earlier.status == "ok" and not _had_reason(earlier, later):
                yield f"{name}: the attempt before it, {before}, was ok, so there was nothing to try again"


def _had_reason(earlier: Record, later: Record) -> bool:
    """Return whether what went well was rightly done again: with its whole panel, or at another rate that was found."""
    if earlier.cell.rate is not None and earlier.learning_rate != later.learning_rate:
        return True
    return earlier.panel is not None and earlier.panel != later.panel


def _strangers(folder: Path) -> list[str]:
    """Return the .json files that are neither `study.json` nor stand where a record does."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*.json"))
    return sorted(name for name in names if name != STUDY_FILE and name.count("/") != 3)


def _half_written(folder: Path) -> list[Path]:
    """Return the temporary files of the store's own making: of `study.json`, and of attempts where attempts stand."""
    found = [
        *folder.glob(f"{Path(STUDY_FILE).stem}{_PART}"),
        *(path for path in folder.glob(f"*/*/*/*{_PART}") if _ATTEMPT.fullmatch(path.stem)),
    ]
    return sorted(path for path in found if path.is_file() and not path.is_symlink())


@contextmanager
def uncollected() -> Iterator[None]:
    """Look for no cycles within this block: nothing read is one, and the search grows with all that was read."""
    active = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if active:
            gc.enable()


def _sharing(entry: Record, places: dict[str, Environment]) -> Record:
    """Return the record with an environment that all records with an equal one share: one call's differ in nothing."""
    place = places.setdefault(entry.environment.model_dump_json(), entry.environment)
    return entry if place is entry.environment else entry.model_copy(update={"environment": place})


def _below(folder: str, prefix: str = "", depth: int = 3) -> Iterator[str]:
    """Yield the names of the files that stand where records do, with the folders in which they stand."""
    with os.scandir(folder) as found:
        for item in found:
            if not depth:
                if item.name.endswith(_JSON):
                    yield prefix + item.name
            elif item.is_dir():
                yield from _below(item.path, f"{prefix}{item.name}/", depth - 1)


def _attempt(name: str) -> "re.Match[str] | None":
    return _ATTEMPT.fullmatch(name.rpartition("/")[2].removesuffix(_JSON))


def _number(name: str) -> int:
    """Return which attempt a file is by its name; 0 for a name that is not an attempt's."""
    found = _attempt(name)
    return int(found[2]) if found else 0


def _order(name: str) -> tuple[str, int, str]:
    """Return the key that puts files in order of folder and cell, and attempts in order of their number."""
    found, folder = _attempt(name), name.rpartition("/")[0]
    if found is None:
        return name.removesuffix(_JSON), 0, name
    return f"{folder}/{found[1]}", int(found[2]), name


def _when(entry: Record | Outline) -> tuple[str, str]:
    return entry.finished, entry.machine


def _stem(cell: Cell, fingerprint: str) -> str:
    probe = f"-{cell.probe}" if cell.probe else ""
    return f"L{cell.length:05d}-s{cell.seed}{probe}-{fingerprint[:6]}"


def _content(path: str, name: str) -> bytes:
    """Return the bytes of an attempt's file. Raises CorruptRecord when it is none, or cannot be read."""
    if _attempt(name) is None:
        raise CorruptRecord(f"{name}: not named as an attempt; move the file away")
    try:
        # By descriptor: for each of many small files a Path or a file object takes longer than reading it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            return _plain(descriptor, name)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link, which may lead out of the folder
            raise CorruptRecord(f"{name}: {_NO_FILE}") from error
        raise CorruptRecord(f"{name}: cannot be read ({error.strerror}); move it away or mend it") from error


_NO_FILE = "a link or no plain file; put the record itself there"


def _plain(descriptor: int, name: str) -> bytes:
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode):  # a pipe or a device has no end
        raise CorruptRecord(f"{name}: {_NO_FILE}")
    if facts.st_size > record.LARGEST_FILE_BYTES:
        raise CorruptRecord(f"{name}: larger than 64 MiB, so no record; move the file away")
    content = os.read(descriptor, facts.st_size + 1)
    while len(content) < facts.st_size and (further := os.read(descriptor, facts.st_size)):
        content += further  # the system may give less than it was asked for
    return content


def write_new(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, and never replaces another."""
    part = path.with_suffix(_PART)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            raise StoreError(f"{path} exists already; records are never overwritten")
        part.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)  # on a full disk its half would take the room that is left
        raise _not_writable(path.parent, error) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _not_writable(place: Path, error: OSError) -> StoreError:
    return StoreError(f"{place} cannot be written ({error.strerror}); free space or give another --results")


def _not_readable(place: Path, error: OSError) -> StoreError:
    return StoreError(f"{place} cannot be read ({error.strerror}); check its name and permissions")


def difference(held: Study, asked: Study) -> str:
    """Return the first key that differs, as a path through `study.json`, with both of its values."""
    path, mine, other = _first_difference(*(study.model_dump(mode="json", by_alias=True) for study in (held, asked)))
    return f"{'.'.join(path)}: {_shown(mine)}, asked for {_shown(other)}"


def _first_difference(mine: Any, other: Any) -> tuple[tuple[str, ...], Any, Any]:
    pairs = _children(mine), _children(other)
    if pairs[0] and pairs[1]:
        for key in (*pairs[0], *(key for key in pairs[1] if key not in pairs[0])):
            one, two = pairs[0].get(key, _ABSENT), pairs[1].get(key, _ABSENT)
            if one != two or type(one) is not type(two):
                path, *values = _first_difference(one, two)
                return (key, *path), values[0], values[1]
    return (), mine, other


_ABSENT = object()


def _children(value: Any) -> Mapping[str, Any]:
    if isinstance(value, list):
        return {str(index): item for index, item in enumerate(value)}
    return value if isinstance(value, dict) else {}


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "nothing"
    text = str(value)
    if re.fullmatch(r"[0-9a-f]{64}", text):
        return text[:12]
    return text if len(text) <= 60 else f"{text[:60]}…"
