"""Look a name up: in a folder's literal dict, among entry points, or as `file.py:build` or `module:build`."""

import ast
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from seqbench.errors import ContractError, UnknownName, UsageError


def unknown(kind: str, name: str, known: Iterable[str]) -> UnknownName:
    """Return the error for a name that is not among `known`, with the nearest known one."""
    names = sorted(known)
    nearest = get_close_matches(name, names, n=1)
    hint = f"; did you mean {nearest[0]}?" if nearest else ""
    return UnknownName(f"no {kind} named {name!r}{hint} (known: {', '.join(names) or 'none'})")


@dataclass(frozen=True, slots=True)
class Registry:
    """What one folder offers by name: `entries` maps a name to the module that holds it.

    A module is imported when its name is loaded, not before, so that listing names costs nothing.
    """

    kind: str
    group: str
    entries: Mapping[str, str]

    def names(self) -> tuple[str, ...]:
        """Return every known name, built-in ones first, plug-ins after them."""
        return (*self.entries, *(name for name in sorted(self._plugins()) if name not in self.entries))

    def load(self, name: str) -> ModuleType:
        """Return the module behind a name.

        Raises UnknownName with the nearest name when there is none.
        """
        if name in self.entries:
            return importlib.import_module(self.entries[name])
        plugins = self._plugins()
        if name in plugins:
            return _plugin_module(self.kind, plugins[name])
        raise unknown(self.kind, name, self.names())

    def summary(self, name: str) -> str:
        """Return the first line of the module's docstring; a built-in module is read, not imported."""
        if name not in self.entries:
            return _first_line(self.load(name).__doc__)
        found = importlib.util.find_spec(self.entries[name])
        if found is None or found.origin is None:
            raise ContractError(f"{self.kind} {name}: module {self.entries[name]} is missing; reinstall seqbench")
        return _first_line(ast.get_docstring(ast.parse(Path(found.origin).read_text(encoding="utf-8"))))

    def _plugins(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=self.group)}


def load_path(reference: str) -> ModuleType:
    """Return the module of a `path/to/file.py:build` or `module:build` reference.

    Raises UsageError when there is no such file or module.
    """
    place, _, _ = reference.rpartition(":")
    if not place.endswith(".py"):
        try:
            return importlib.import_module(place)
        except ModuleNotFoundError as error:
            raise UsageError(f"no module {place!r} for {reference!r}; is it installed here?") from error
    path = Path(place)
    if not path.is_file():
        raise UsageError(f"no file {place!r} for {reference!r}; give path/to/file.py:build")
    name = f"seqbench_own_{source_sha256(reference)[:12]}"
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:
        raise UsageError(f"{place!r} cannot be read as Python source; give path/to/file.py:build")
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module  # dataclasses and pickles of an own file look their module up
    found.loader.exec_module(module)
    return module


def source_sha256(reference: str) -> str:
    """Return the sha256 of the source file behind a `file.py:build` or `module:build` reference, unimported.

    Raises UsageError when there is no such file or module.
    """
    place, _, _ = reference.rpartition(":")
    path = Path(place)
    if not place.endswith(".py"):
        found = importlib.util.find_spec(place)
        if found is None or found.origin is None:
            raise UsageError(f"no module {place!r} for {reference!r}; is it installed here?")
        path = Path(found.origin)
    if not path.is_file():
        raise UsageError(f"no file {place!r} for {reference!r}; give path/to/file.py:build")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def is_path(name: str) -> bool:
    """Return whether a name is a `file.py:build` or `module:build` reference rather than a registered name."""
    return name.endswith(":build")


def _plugin_module(kind: str, point: EntryPoint) -> ModuleType:
    loaded = point.load()
    if not isinstance(loaded, ModuleType):
        raise ContractError(f"{kind} {point.name}: entry point {point.value!r} must name a module, as 'package.module'")
    return loaded


def _first_line(docstring: str | None) -> str:
    return (docstring or "").strip().partition("\n")[0]
