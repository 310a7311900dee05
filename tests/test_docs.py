"""Documents held to the code: commands exist, links lead somewhere, tables list what is registered."""

import re
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from seqbench.cli import app

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands():
    """Return every command as people type it: 'run', 'corpus fetch', …"""
    found = set()
    for name, command in get_command(app).commands.items():
        inner = getattr(command, "commands", None)
        found |= {f"{name} {part}" for part in inner} if inner else {name}
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    """Every relative link of a document names a file of the repository."""
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_commands_in_documents_exist(path):
    """Every `seqbench …` line names a command and options that the program has."""
    tree = get_command(app)
    for line in re.findall(r"^\s*(?:\$ )?seqbench ([a-z].*)$", path.read_text(encoding="utf-8"), re.MULTILINE):
        words = line.split(" #")[0].split()
        command = tree.commands.get(words[0])
        assert command is not None, line
        rest = words[1:]
        if hasattr(command, "commands"):
            command, rest = command.commands[words[1]], words[2:]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word.split("=")[0] for word in rest if word.startswith("--")} <= known, line


def test_the_readme_names_every_command():
    """The README's table of commands is the program's."""
    listed = set(re.findall(r"^\| `seqbench ([a-z ]+?)(?: [A-Z-].*?)?`", README, re.MULTILINE))
    assert listed == commands()


def test_the_readme_lists_every_model_and_task():
    """Each registered model and each task card has its name in the README."""
    from seqbench import cards
    from seqbench.measure.models import MODELS

    for name in (*MODELS.names(), *cards.names()):
        assert f"`{name}`" in README, name


def test_no_tracked_file_names_a_place_of_one_machine():
    """Documents and code speak of the project alone: no absolute home, temporary or workplace path stands in them."""
    pattern = r"/(root|Users|farm)/[a-z]"
    done = subprocess.run(
        ["git", "grep", "-nIE", pattern, "--", ".", ":!tests/test_docs.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""
