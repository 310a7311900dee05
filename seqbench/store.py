"""A study folder: `study.json` and one immutable JSON file per attempt; atomic, append-only, resumable."""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ValidationError

from seqbench import plan, record
from seqbench.cell import Cell
from seqbench.errors import CorruptRecord, StoreError, StudyLocked, StudyMismatch
from seqbench.plan import Planned, Study
from seqbench.record import Record, Status

STUDY_FILE = "study.json"
_ATTEMPT = re.compile(r"L\d{5,}-s\d+(-[a-z][a-z0-9_]*)?-[0-9a-f]{6}-a(\d{2,})\.json")


@dataclass(frozen=True, slots=True)
class Broken:
    """A file in the study folder that is not a valid record; it is never used."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Contents:
    """What a study folder holds: every valid record with its file, oldest attempt first, and the broken files."""

    records: tuple[tuple[str, Record], ...]
    broken: tuple[Broken, ...]

    def accepted(self) -> dict[str, Record]:
        """Return the last attempt of every cell, by fingerprint."""
        return {entry.fingerprint: entry for _, entry in self.records}


def open_study(folder: Path) -> Study:
    """Return the study of a folder.

    Raises StoreError when the folder holds none, or one that cannot be read.
    """
    path = folder / STUDY_FILE
    try:
        if path.stat().st_size > plan.LARGEST_STUDY_BYTES:
            raise StoreError(f"{path}: larger than 64 MiB, so not written by seqbench; move it away")
        return Study.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise StoreError(
            f"{folder} holds no study; make one with: seqbench run --suite smoke --results {folder}"
        ) from None
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror}); check its permissions") from error
    except ValidationError as error:
        raise StoreError(f"{path} is no study of this version: {record.problems(error)}") from error


def create_study(folder: Path, study: Study) -> None:
    """Write `study.json`, or check that the folder already holds this very study.

    Raises StudyMismatch when it holds another one, StoreError when the folder cannot be written.
    """
    if not (folder / STUDY_FILE).exists():
        _write_new(folder / STUDY_FILE, study.model_dump_json(by_alias=True, indent=1).encode() + b"\n")
        return
    held = open_study(folder)
    if held != study:
        raise StudyMismatch(
            f"{folder} holds another study ({_difference(held, study)}); give another --results, or ask for the same"
        )


def contents(folder: Path) -> Contents:
    """Return every record of a study folder; what is not a valid record is listed as broken, with the reason."""
    records: list[tuple[str, Record]] = []
    broken: list[Broken] = []
    for path in sorted(folder.glob("*/*/*/*.json")):
        name = path.relative_to(folder).as_posix()
        try:
            records.append((name, _read(path, name)))
        except CorruptRecord as error:
            broken.append(Broken(name, str(error)))
    return Contents(tuple(records), tuple(broken))


def missing(planned: Iterable[Planned], held: Contents, *, retry: Iterable[Status] = ()) -> tuple[Planned, ...]:
    """Return the planned cells without an accepted record, and those whose status is to be tried again."""
    again = set(retry)
    done = {key for key, entry in held.accepted().items() if entry.status not in again}
    return tuple(entry for entry in planned if entry.fingerprint not in done)


def save(folder: Path, entry: Record) -> Path:
    """Write a record as the next attempt at its cell and return its file. Nothing is ever overwritten.

    Raises StoreError when it cannot be written.
    """
    place = folder / entry.environment.machine / entry.cell.task / slug(entry.cell.model)
    stem = _stem(entry.cell, entry.fingerprint)
    try:
        place.mkdir(parents=True, exist_ok=True)
        taken = [int(found[2]) for path in place.glob(f"{stem}-a*.json") if (found := _ATTEMPT.fullmatch(path.name))]
    except OSError as error:
        raise _not_writable(place, error) from error
    path = place / f"{stem}-a{max(taken, default=0) + 1:02d}.json"
    _write_new(path, record.to_json(entry))
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
            f"another seqbench run is writing into {folder}; wait for it, or give another --results"
        ) from None
    except OSError as error:
        raise _not_writable(folder, error) from error
    try:
        yield
    finally:
        lock.release()


def sweep(folder: Path) -> None:
    """Delete the half-written files that a killed run left; call it with the folder locked.

    Raises StoreError when one cannot be deleted.
    """
    for path in folder.rglob("*.part"):
        try:
            path.unlink()
        except OSError as error:
            raise _not_writable(path.parent, error) from error


def validate(folder: Path) -> tuple[str, ...]:
    """Return everything that keeps the study from being complete and sound; nothing means all is well.

    Every planned cell must have exactly one accepted record whose name, fingerprint and pre-registration fit.
    """
    held, study = contents(folder), open_study(folder)
    planned = {entry.fingerprint: entry.cell for entry in plan.planned(study)}
    found = [f"broken: {item.reason}" for item in held.broken]
    for name, entry in held.records:
        found += _faults(name, entry, planned, study)
    names = [name for name, _ in held.records]
    found += [f"{name}: a half-written file; delete it" for name in _temporary(folder)]
    found += [f"{name}: stored twice" for name in {name for name in names if names.count(name) > 1}]
    done = held.accepted()
    found += [f"missing: {cell}" for key, cell in planned.items() if key not in done]
    return tuple(found)


def slug(model: str) -> str:
    """Return a model's text as a folder name: letters, digits and `@=,._+-`, everything else an underscore."""
    return re.sub(r"[^A-Za-z0-9@=,._+-]", "_", model).lstrip(".") or "_"


def _faults(name: str, entry: Record, planned: dict[str, Cell], study: Study) -> Iterator[str]:
    cell = planned.get(entry.fingerprint)
    if cell is None:
        yield f"{name}: belongs to no planned cell of this study"
    elif cell != entry.cell:
        yield f"{name}: its cell is not the one that its fingerprint stands for"
    if entry.preregistration != study.preregistration_sha256:
        yield f"{name}: was made under another pre-registration"
    expected = f"{entry.environment.machine}/{entry.cell.task}/{slug(entry.cell.model)}/"
    if not name.startswith(expected + _stem(entry.cell, entry.fingerprint) + "-a"):
        yield f"{name}: stands in the wrong place"


def _stem(cell: Cell, fingerprint: str) -> str:
    probe = f"-{cell.probe}" if cell.probe else ""
    return f"L{cell.length:05d}-s{cell.seed}{probe}-{fingerprint[:6]}"


def _read(path: Path, name: str) -> Record:
    if path.stat().st_size > record.LARGEST_FILE_BYTES:
        raise CorruptRecord(f"{name}: larger than 64 MiB, so no record; move the file away")
    return record.from_json(path.read_bytes(), source=name)


def _temporary(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.part"))


def _write_new(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, and never replaces another."""
    part = path.with_suffix(".part")
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
        raise _not_writable(path.parent, error) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _not_writable(place: Path, error: OSError) -> StoreError:
    return StoreError(f"{place} cannot be written ({error.strerror}); free space or give another --results")


def _difference(held: Study, asked: Study) -> str:
    names = [name for name in type(held).model_fields if getattr(held, name) != getattr(asked, name)]
    shown = [f"{name.replace('_', ' ')}: {_short(held, name)}, asked for {_short(asked, name)}" for name in names]
    return "; ".join(shown)


def _short(study: Study, name: str) -> str:
    value = getattr(study, name)
    if name in ("suite_name", "development", "measurement_version"):
        return str(value)
    if name == "corpus":
        return f"{value.name} {value.sha256[:12]}" if value else "none"
    if name == "preregistration_sha256":
        return str(value)[:12]
    return "another"
