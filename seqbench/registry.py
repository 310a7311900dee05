"""Look a name up: in a folder's literal dict, among entry points, or as `file.py:build` or `module:build`."""

import ast
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterable, Mapping, Sequence
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
    if name.endswith(".py"):
        hint = f"; what a file builds is named {name}:build"
    elif name.endswith(".toml"):
        hint = ", and no such file"
    return UnknownName(f"no {kind} named {name!r}{hint} (known: {', '.join(names) or 'none'})")


@dataclass(frozen=True, slots=True)
class Registry:
    """What one folder offers by name: `entries` maps a name to the module that holds it.

    A module is imported when its name is loaded, not before, so that listing names costs nothing.
    group: of entry points that announce plug-ins, each a module. needs: what such a module must have, each by its name
    or by several of which one will do; a plug-in that lacks something, or takes the name of another, is refused.
    """

    kind: str
    group: str
    entries: Mapping[str, str]
    needs: Sequence[Sequence[str]] = ()

    def names(self) -> tuple[str, ...]:
        """Return every known name, built-in ones first, plug-ins after them."""
        return (*self.entries, *self.plugins())

    def plugins(self) -> tuple[str, ...]:
        """Return the names of what is announced from outside.

        Raises ContractError for a name that something else has already.
        """
        return tuple(self._points())

    def load(self, name: str) -> ModuleType:
        """Return the module behind a name.

        Raises UnknownName with the nearest name when there is none, ContractError for a plug-in that lacks something.
        """
        if name in self.entries:
            return importlib.import_module(self.entries[name])
        points = self._points()
        if name in points:
            return _plugin_module(self.kind, points[name], needs=self.needs)
        raise unknown(self.kind, name, self.names())

    def summary(self, name: str) -> str:
        """Return the first line of the module's docstring; a built-in module is read, not imported."""
        if name not in self.entries:
            return _first_line(self.load(name).__doc__)
        found = importlib.util.find_spec(self.entries[name])
        if found is None or found.origin is None:
            raise ContractError(f"{self.kind} {name}: module {self.entries[name]} is missing; reinstall seqbench")
        return _first_line(ast.get_docstring(ast.parse(Path(found.origin).read_text(encoding="utf-8"))))

    def _points(self) -> dict[str, EntryPoint]:
        found: dict[str, EntryPoint] = {}
        for point in sorted(entry_points(group=self.group), key=lambda point: (point.name, point.value)):
            taken = self.entries.get(point.name) or (found[point.name].value if point.name in found else "")
            if taken and taken != point.value:
                raise ContractError(
                    f"{self.kind} {point.name}: the plug-in {point.value!r} takes the name of {taken!r}; "
                    "give it another name, or uninstall it"
                )
            found[point.name] = point
        return found


def load_path(reference: str) -> ModuleType:
    """Return the module of a `path/to/file.py:build` or `module:build` reference.

    Raises UsageError when there is no such file or module, or when importing it fails, with the reason.
    """
    place, _, _ = reference.rpartition(":")
    try:
        if not place.endswith(".py"):
            return importlib.import_module(place)
        return _file_module(Path(place), name=f"seqbench_own_{source_sha256(reference)[:12]}")
    except UsageError:
        raise
    except (Exception, SystemExit) as error:  # a user's file may raise anything while it is imported
        if not place.endswith(".py") and _lacks(place, error):
            raise _no_module(place, reference) from error
        raise UsageError(f"{place!r} cannot be imported ({_reason(error)}); mend it, then run again") from error


def source_sha256(reference: str) -> str:
    """Return the sha256 of the source file behind a `file.py:build` or `module:build` reference, unimported.

    Only the packages around a module are imported. Raises UsageError when there is no such file or module, or when
    it cannot be read.
    """
    place, _, _ = reference.rpartition(":")
    path = Path(place) if place.endswith(".py") else _origin(place, reference)
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: a null character in the name
        raise UsageError(f"no file {place!r} for {reference!r}; give path/to/file.py:build") from error
    except OSError as error:
        raise UsageError(f"{place!r} cannot be read ({error.strerror}); give path/to/file.py:build") from error


def is_path(name: str) -> bool:
    """Return whether a name is a `file.py:build` or `module:build` reference rather than a registered name."""
    return name.endswith(":build")


def _file_module(path: Path, *, name: str) -> ModuleType:
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:
        raise UsageError(f"{str(path)!r} cannot be read as Python source; give path/to/file.py:build")
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module  # dataclasses and pickles of an own file look their module up
    try:
        found.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _origin(place: str, reference: str) -> Path:
    """Return the source file of a module; the packages around it are imported on the way."""
    try:
        found = importlib.util.find_spec(place)
    except (Exception, SystemExit) as error:
        if _lacks(place, error):
            raise _no_module(place, reference) from error
        raise UsageError(f"{place!r} cannot be imported ({_reason(error)}); mend it, then run again") from error
    if found is None or not found.has_location or found.origin is None:
        raise _no_module(place, reference)
    return Path(found.origin)


def _lacks(place: str, error: BaseException) -> bool:
    """Return whether an import failed for want of the module itself, rather than of something that it imports."""
    if not place.strip(".") or place.startswith("."):
        return True
    return isinstance(error, ModuleNotFoundError) and f"{place}.".startswith(f"{error.name}.")


def _no_module(place: str, reference: str) -> UsageError:
    return UsageError(f"no module {place!r} for {reference!r}; is it installed here?")


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _plugin_module(kind: str, point: EntryPoint, *, needs: Sequence[Sequence[str]]) -> ModuleType:
    try:
        loaded = point.load()
    except (Exception, SystemExit) as error:  # somebody's package may raise anything while it is imported
        raise ContractError(
            f"{kind} {point.name}: plug-in {point.value!r} cannot be imported ({_reason(error)}); mend or uninstall it"
        ) from error
    if not isinstance(loaded, ModuleType):
        raise ContractError(f"{kind} {point.name}: entry point {point.value!r} must name a module, as 'package.module'")
    lacking = [" or ".join(names) for names in needs if not any(name in vars(loaded) for name in names)]
    if lacking:
        raise ContractError(
            f"{kind} {point.name}: plug-in {point.value!r} is no {kind}, for it lacks {', '.join(lacking)}"
        )
    return loaded


def _first_line(docstring: str | None) -> str:
    return (docstring or "").strip().partition("\n")[0]
