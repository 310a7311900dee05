"""A study in one file for publication: a Parquet table of its records' files, byte for byte, with a manifest of hashes.

Beside the files, the table has columns by which any reader of Parquet selects: task, probe, model, length, seed,
status, machine. The manifest stands in the file's own metadata. Nothing of a pack is executed, and names are checked
before a file is written. Needs the extra seqbench[parquet].
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seqbench import record, store
from seqbench.errors import CorruptRecord, StoreError, UsageError
from seqbench.record import Record

SCHEMA = "seqbench.pack/1"
LARGEST_PACK_BYTES = 4 * 2**30
_MANIFEST = b"seqbench.manifest"
_ROWS = 1000
"""Records in memory at a time."""


def pack(folder: Path, out: Path) -> str:
    """Write a study's valid records into one new file and return the sha256 of its manifest.

    Raises UsageError without the extra, StoreError when the folder cannot be read, holds a broken file, or when `out`
    exists or cannot be written.
    """
    pyarrow, parquet = _library()
    store.open_study(folder)
    study = (folder / store.STUDY_FILE).read_bytes()
    held = store.contents(folder)
    if held.broken:
        raise StoreError(f"{held.broken[0].reason}; a pack holds a sound study: see seqbench results validate")
    rows = [_row(folder, name, entry) for name, entry in held.records]
    manifest = json.dumps(
        {
            "schema": SCHEMA,
            "study": study.decode(),
            "sha256": {store.STUDY_FILE: _sha256(study)} | {row["name"]: row["sha256"] for row in rows},
        },
        sort_keys=True,
    ).encode()
    fields = pyarrow.schema(
        [(name, pyarrow.int64() if name in ("length", "seed") else pyarrow.string()) for name in _COLUMNS]
        + [("content", pyarrow.binary())],
        metadata={_MANIFEST: manifest},
    )
    if out.exists():
        raise StoreError(f"{out} exists already; give another --out")
    part = out.with_name(out.name + ".part")
    try:
        parquet.write_table(pyarrow.Table.from_pylist(rows, schema=fields), part, compression="zstd")
        part.replace(out)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StoreError(f"{out} cannot be written ({error.strerror or error}); free space or give another") from error
    return _sha256(manifest)


def unpack(path: Path, out: Path) -> int:
    """Write the files of a pack into a new study folder, byte for byte, and return how many records it has.

    Raises UsageError without the extra, StoreError when it is no pack, a hash does not fit, a name leaves its folder,
    a file is no record of the place where it is to stand, or `out` is there already.
    """
    if out.exists() and any(out.iterdir()):
        raise StoreError(f"{out} is not empty; give another --results")
    manifest, rows = _opened(path)
    hashes = manifest["sha256"]
    if _sha256(manifest["study"].encode()) != hashes.get(store.STUDY_FILE):
        raise StoreError(f"{path}: its study is not what the manifest says; fetch the pack again")
    with store.locked(out):
        store.write_new(out / store.STUDY_FILE, manifest["study"].encode())
        store.open_study(out)
        seen = set()
        for name, content in rows:
            if name in seen or hashes.get(name) != _sha256(content):
                raise StoreError(f"{path}: {name!r} is not what the manifest says; fetch the pack again")
            seen.add(name)
            try:
                entry = record.from_json(content, source=name)
            except CorruptRecord as error:
                raise StoreError(f"{path}: {error}") from error
            if not store.stands_right(name, entry):
                raise StoreError(f"{path}: {name!r} is not where that record stands; nothing of a stranger is trusted")
            store.write_new(out / name, content)
    if missing := set(hashes) - seen - {store.STUDY_FILE}:
        raise StoreError(f"{path}: lacks {min(missing)!r}, which its manifest names; fetch the pack again")
    return len(seen)


_COLUMNS = ("name", "task", "probe", "model", "length", "seed", "status", "machine", "fingerprint", "sha256")


def _row(folder: Path, name: str, entry: Record) -> dict[str, Any]:
    content = (folder / name).read_bytes()
    return {
        "name": name,
        "task": entry.cell.task,
        "probe": entry.cell.probe,
        "model": entry.cell.model,
        "length": entry.cell.length,
        "seed": entry.cell.seed,
        "status": entry.status,
        "machine": entry.environment.machine,
        "fingerprint": entry.fingerprint,
        "sha256": _sha256(content),
        "content": content,
    }


def _opened(path: Path) -> tuple[dict[str, Any], Iterator[tuple[str, bytes]]]:
    """Return a pack's manifest and its files, which are read as they are asked for."""
    pyarrow, parquet = _library()
    try:
        if path.stat().st_size > LARGEST_PACK_BYTES:
            raise StoreError(f"{path}: larger than 4 GiB, so no pack")
        file = parquet.ParquetFile(path)
        manifest = json.loads((file.schema_arrow.metadata or {}).get(_MANIFEST, b"null"))
    except (OSError, pyarrow.ArrowException, ValueError, RecursionError) as error:
        raise StoreError(
            f"{path} is no pack of seqbench ({type(error).__name__}); make one with: results pack"
        ) from error
    if not _is_manifest(manifest):
        raise StoreError(f"{path} is no pack of seqbench (no manifest); make one with: results pack")
    return manifest, _files(path, file, pyarrow)


def _files(path: Path, file: Any, pyarrow: Any) -> Iterator[tuple[str, bytes]]:
    try:
        for batch in file.iter_batches(batch_size=_ROWS, columns=["name", "content"]):
            for name, content in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                if not isinstance(name, str) or not isinstance(content, bytes):
                    raise StoreError(f"{path}: a row without a name or a content; fetch the pack again")
                if len(content) > record.LARGEST_FILE_BYTES:
                    raise StoreError(f"{path}: {name!r} is larger than 64 MiB, so no record")
                yield name, content
    except (OSError, pyarrow.ArrowException, KeyError) as error:
        raise StoreError(f"{path} cannot be read ({type(error).__name__}); fetch the pack again") from error


def _is_manifest(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.get("schema") == SCHEMA
        and isinstance(value.get("study"), str)
        and isinstance(value.get("sha256"), dict)
    )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _library() -> tuple[Any, Any]:
    try:
        import pyarrow  # noqa: PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415 - as above
    except ImportError as error:
        raise UsageError("a pack is a Parquet file; run: pip install 'seqbench[parquet]'") from error
    return pyarrow, parquet
