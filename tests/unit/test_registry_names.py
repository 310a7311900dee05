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
