"""Which text a study used: its identity by sha256, the texts known by name, and where a copy lies.

This file stands below `measure/`: planning and judging read it, so it imports neither torch nor numpy.
"""

import hashlib
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from seqbench.errors import CorpusError
from seqbench.registry import unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusIdentity:
    """What a record stores of a text: never its path.

    sha256: 64 hexadecimal digits, of the files' bytes concatenated in byte order of their relative names.
    """

    name: str
    sha256: str
    files: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFile:
    """One file of a known text: the name it is stored under, its name at the source, its sha256."""

    name: str
    remote: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCorpus:
    """A text that `seqbench corpus fetch NAME` downloads; every file is pinned by its sha256."""

    title: str
    source: str
    licence: str
    base_url: str
    identity: CorpusIdentity
    files: tuple[KnownFile, ...]


def identify(path: Path, *, name: str | None = None) -> CorpusIdentity:
    """Return the identity of a file or folder; its name is the path's last part unless one is given.

    Raises CorpusError when there is nothing to read, or a file cannot be read.
    """
    digest, size, number = hashlib.sha256(), 0, 0
    for relative, file in text_files(path):
        content = read_bytes(file, name=relative)
        digest.update(content)
        size += len(content)
        number += 1
    given = name if name is not None else path.resolve().stem
    return CorpusIdentity(name=given, sha256=digest.hexdigest(), files=number, bytes=size)


def text_files(path: Path) -> Iterator[tuple[str, Path]]:
    """Yield (relative name, file) of a file, or of every .txt below a folder in byte order of relative names.

    Raises CorpusError when the path is missing, a folder cannot be read or holds no .txt.
    """
    try:
        if path.is_file():
            yield path.name, path
            return
        if not path.is_dir():
            raise CorpusError(f"no file or folder {str(path)!r}; give a text file or a folder of .txt files")
        found = {file.relative_to(path).as_posix(): file for file in _below(path)}
    except OSError as error:
        raise _not_readable(str(path), error) from error
    if not found:
        raise CorpusError(f"folder {str(path)!r} holds no .txt file; give a text file or a folder of .txt files")
    for relative in sorted(found, key=os.fsencode):
        yield relative, found[relative]


def read_bytes(file: Path, *, name: str) -> bytes:
    """Return what a file of a text holds; raises CorpusError with the name it has there when it cannot be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise _not_readable(name, error) from error


@cache
def catalogue() -> Mapping[str, KnownCorpus]:
    """Return the texts known by name, as `corpora.toml` lists them."""
    with Path(__file__).with_name("corpora.toml").open("rb") as file:
        tables = tomllib.load(file)
    return {name: _known(name, table) for name, table in tables.items()}


def known_corpus(name: str) -> KnownCorpus:
    """Return the entry of the catalogue; raises UnknownName with the nearest name when there is none."""
    if name not in catalogue():
        raise unknown("corpus", name, catalogue())
    return catalogue()[name]


def cache_folder() -> Path:
    """Return the folder that downloaded texts lie in, `corpora` of the cache."""
    return cache_home() / "corpora"


def cache_home() -> Path:
    """Return the folder of whatever can be made or fetched again: XDG_CACHE_HOME, or ~/.cache, then seqbench."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "seqbench"


def cached_copy(name: str) -> Path:
    """Return where the copy of a known text belongs: its folder, or its file when it has only one."""
    known = known_corpus(name)
    folder = cache_folder() / name
    return folder / known.files[0].name if len(known.files) == 1 else folder


def locate(name_or_path: str) -> Path:
    """Return the cached copy of a known text, or the path itself; a known name comes before a path.

    Raises CorpusError when the known text is not fetched, its copy is damaged or a path cannot be looked up,
    UnknownName when the argument is neither a known name nor an existing path.
    """
    if name_or_path not in catalogue():
        path = Path(name_or_path)
        try:
            if path.exists():
                return path
        except OSError as error:
            raise _not_readable(name_or_path, error) from error
        raise unknown("corpus, file or folder", name_or_path, catalogue())
    copy, wanted = cached_copy(name_or_path), known_corpus(name_or_path).identity
    advice = f"run seqbench corpus fetch {name_or_path}"
    if not copy.exists():
        raise CorpusError(f"{name_or_path} is not fetched: {advice}, or give your own text with --corpus PATH")
    if identify(copy, name=name_or_path) != wanted:
        folder = cache_folder() / name_or_path
        raise CorpusError(f"{name_or_path} in {folder} is incomplete or altered: remove the folder, then {advice}")
    return copy


def split_of(path: Path, wanted: str | None) -> Literal["story", "character"]:
    """Return how a text is split: as wanted, else a folder by story and a single file by character.

    Raises UnknownName for another word.
    """
    if wanted is None:
        return "story" if path.is_dir() else "character"
    if wanted not in ("story", "character"):
        raise unknown("split", wanted, ("story", "character"))
    return "story" if wanted == "story" else "character"


def name_of(name_or_path: str) -> str:
    """Return the name that records give a text: the known name, or the last part of a path without its suffix."""
    return name_or_path if name_or_path in catalogue() else Path(name_or_path).resolve().stem


def _below(folder: Path) -> Iterator[Path]:
    """Yield every .txt file below a folder; one that cannot be entered is an error, not a shorter text."""
    for place, _, names in os.walk(folder, onerror=_raise):
        yield from (file for name in names if name.endswith(".txt") and (file := Path(place, name)).is_file())


def _raise(error: OSError) -> None:
    raise error


def _not_readable(name: str, error: OSError) -> CorpusError:
    return CorpusError(f"{shown(name)} cannot be read ({error.strerror}); check its name and permissions")


def shown(name: str) -> str:
    """Return the name of a file as it may stand in a line: printable, and at most 60 characters of it."""
    plain = name if name.isprintable() else name.encode("unicode_escape").decode()
    return plain if len(plain) <= 60 else f"{plain[:60]}…"


def _known(name: str, table: Mapping[str, object]) -> KnownCorpus:
    text = {key: str(table[key]) for key in ("title", "source", "licence", "base_url", "sha256")}
    files, size = table["files"], table["bytes"]
    if not isinstance(files, dict) or not isinstance(size, int):
        raise CorpusError(f"corpora.toml: {name} needs a table of files and its bytes; reinstall seqbench")
    renamed = table.get("remote_names", {})
    remote = renamed if isinstance(renamed, dict) else {}
    return KnownCorpus(
        title=text["title"],
        source=text["source"],
        licence=text["licence"],
        base_url=text["base_url"],
        identity=CorpusIdentity(name=name, sha256=text["sha256"], files=len(files), bytes=size),
        files=tuple(
            KnownFile(name=file, remote=str(remote.get(file, file)), sha256=str(sha)) for file, sha in files.items()
        ),
    )
