"""Registries: literal names, plug-ins, own files, and help for misspelt names."""

import hashlib
import re
import sys

import pytest

from seqbench import registry
from seqbench.errors import UnknownName, UsageError
from seqbench.registry import Registry

SOME = Registry("model", "seqbench.test_group_without_plugins", {"lstm": "json", "gru": "csv"})


def test_a_misspelt_name_is_answered_with_the_nearest():
    """An unknown name is refused with the nearest known one and the list of all."""
    expected = "no model named 'ltsm'; did you mean lstm? (known: gru, lstm)"
    with pytest.raises(UnknownName, match=f"^{re.escape(expected)}$"):
        SOME.load("ltsm")


def test_loading_a_name_imports_its_module():
    """A known name gives the module that the dict names."""
    import csv

    assert SOME.load("gru") is csv


def test_a_summary_is_read_without_importing():
    """The one-line summary of a module comes from its source; the module stays unimported."""
    sys.modules.pop("this", None)
    quiet = Registry("poem", "seqbench.test_group_without_plugins", {"zen": "antigravity"})
    quiet.summary("zen")
    assert "antigravity" not in sys.modules


def test_an_own_file_is_loaded_and_hashed(tmp_path):
    """`path/to/file.py:build` names a file; its hash is that of its bytes."""
    file = tmp_path / "mine.py"
    file.write_text("def build(spec):\n    return spec\n")
    reference = f"{file}:build"
    assert registry.is_path(reference)
    assert registry.load_path(reference).build(7) == 7
    assert registry.source_sha256(reference) == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_missing_own_file_is_named():
    """A file that is not there is refused by its path."""
    expected = "no file 'nowhere/mine.py' for 'nowhere/mine.py:build'; give path/to/file.py:build"
    with pytest.raises(UsageError, match=f"^{re.escape(expected)}$"):
        registry.load_path("nowhere/mine.py:build")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("nosuch.pkg:build", "no module 'nosuch.pkg' for 'nosuch.pkg:build'; is it installed here?"),
        ("nosuch:build", "no module 'nosuch' for 'nosuch:build'; is it installed here?"),
        ("..x:build", "no module '..x' for '..x:build'; is it installed here?"),
        (":build", "no module '' for ':build'; is it installed here?"),
        ("json..decoder:build", "no module 'json..decoder' for 'json..decoder:build'; is it installed here?"),
        ("sys:build", "no module 'sys' for 'sys:build'; is it installed here?"),
        ("folder.py:build", "'folder.py' cannot be read (Is a directory); give path/to/file.py:build"),
        (
            f"{'x' * 5000}.py:build",
            f"'{'x' * 5000}.py' cannot be read (File name too long); give path/to/file.py:build",
        ),
        ("\0.py:build", "no file '\\x00.py' for '\\x00.py:build'; give path/to/file.py:build"),
        ("mine.py/x.py:build", "no file 'mine.py/x.py' for 'mine.py/x.py:build'; give path/to/file.py:build"),
    ],
)
def test_a_reference_to_nothing_is_named(tmp_path, monkeypatch, reference, message):
    """A module or file that cannot be hashed is refused in one line, before anything runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "mine.py").write_text("")
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        registry.source_sha256(reference)


@pytest.mark.parametrize("reference", ["nosuch.pkg:build", "nosuch:build", "..x:build", ":build"])
def test_a_module_that_is_not_there_is_not_loaded_either(reference):
    """Loading says the same as hashing."""
    with pytest.raises(UsageError, match=r"^no module .*; is it installed here\?$"):
        registry.load_path(reference)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def build(:\n", "SyntaxError: invalid syntax (mine.py, line 1)"),
        ("import nosuch_library\n", "ModuleNotFoundError: No module named 'nosuch_library'"),
        ("raise ValueError('two\\nlines')\n", "ValueError: two lines"),
        ("raise SystemExit(3)\n", "SystemExit: 3"),
    ],
)
def test_an_own_model_that_cannot_be_imported_says_why(tmp_path, monkeypatch, source, reason):
    """A file or module that fails while it is imported is refused by its name and the reason, in one line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine.py").write_text(source)
    for place in ("mine.py", "mine"):
        expected = f"{place!r} cannot be imported ({reason}); mend it, then run again"
        with pytest.raises(UsageError, match=f"^{re.escape(expected)}$"):
            registry.load_path(f"{place}:build")


def test_a_package_that_cannot_be_imported_says_why(tmp_path, monkeypatch):
    """The packages around a module are imported to find it; what they raise is told, not thrown."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "falling").mkdir()
    (tmp_path / "falling" / "__init__.py").write_text("1 / 0\n")
    (tmp_path / "falling" / "model.py").write_text("")
    expected = "'falling.model' cannot be imported (ZeroDivisionError: division by zero); mend it, then run again"
    for ask in (registry.source_sha256, registry.load_path):
        with pytest.raises(UsageError, match=f"^{re.escape(expected)}$"):
            ask("falling.model:build")
