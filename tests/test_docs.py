"""Documents held to the code: commands exist, links lead somewhere, tables list what is registered."""

import re
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from seqbench import catalogue, plan, suite
from seqbench.cli import app
from seqbench.judge.report import verdicts
from seqbench.measure.models import MODELS
from seqbench.measure.probes import PROBES
from seqbench.preregistration import built_in
from seqbench.store import Contents

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
README = (ROOT / "README.md").read_text(encoding="utf-8")
CLAIM_PAGES = ROOT / "docs" / "claims"


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


def benchmark_lines(path):
    """Return (program, its options) of every command line of a document that runs one of benchmarks/."""
    pattern = r"^\s*(?:\w+=\S+ )*python benchmarks/(\w+)\.py(.*)$"
    found = re.findall(pattern, path.read_text(encoding="utf-8"), re.MULTILINE)
    return [(name, re.findall(r"--[a-z-]+", rest)) for name, rest in found]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_benchmarks_in_documents_exist(path):
    """Every `python benchmarks/…` line names a program that is there, and options that it has."""
    for name, options in benchmark_lines(path):
        program = (ROOT / "benchmarks" / f"{name}.py").read_text(encoding="utf-8")
        assert [option for option in options if f'"{option}"' not in program] == [], name


def test_the_page_on_benchmarks_runs_every_program():
    """Each file of benchmarks/ that is a program has a command line on its page."""
    programs = {path.stem for path in (ROOT / "benchmarks").glob("*.py") if "__main__" in path.read_text("utf-8")}
    assert {name for name, _ in benchmark_lines(ROOT / "docs" / "benchmarks.md")} == programs


def test_the_readme_names_every_command():
    """The README's table of commands is the program's."""
    listed = set(re.findall(r"^\| `seqbench ([a-z ]+?)(?: [A-Z-].*?)?`", README, re.MULTILINE))
    assert listed == commands()


def test_the_readme_lists_every_model_and_task():
    """Each registered model and each task card has its name in the README."""
    from seqbench import cards

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


def preregistered(name):
    """Return what a claim's page must hold as it is: the sentence, every rule, and the table of atoms."""
    claim = built_in().claims[name]
    rules = [f"Rule{when and f', {when}'}: `{text}`" for when, text in catalogue.rules_of(claim).items()]
    rows = catalogue.atoms_of(claim)
    table = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return [f"> {claim.sentence}", *rules, *(f"| {' | '.join(cells)} |" for cells in table)]


def held(page):
    """Return the lines of a claim's page that speak for the pre-registration: quotation, rules, tables."""
    return [line for line in page.splitlines() if line.startswith((">", "Rule", "|"))]


@pytest.mark.parametrize("name", built_in().claims)
def test_the_page_of_a_claim_equals_the_preregistration(name):
    """Sentence, rules and every row of atoms stand on the page as they were fixed, in this order, and no others do."""
    right = preregistered(name)
    page = (CLAIM_PAGES / f"{name}.md").read_text(encoding="utf-8")
    right_text = "\n".join(line if line.startswith("|") else f"{line}\n" for line in right)
    told = f"docs/claims/{name}.md differs from the pre-registration; it must hold\n\n{right_text}"
    assert held(page) == right, told


def test_every_claim_has_a_page_and_a_line_in_the_index():
    """The index links each page of a claim once, and there is a page for each claim and for nothing else."""
    index = (CLAIM_PAGES / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[(\w+)\]\((\w+)\.md\) \| (.+?) \|", index, re.MULTILINE)
    claims = built_in().claims
    assert listed == [(name, name, claim.title) for name, claim in claims.items()]
    assert {path.stem for path in CLAIM_PAGES.glob("*.md")} == {*claims, "README"}


@pytest.mark.parametrize("name", built_in().claims)
def test_the_suite_on_the_page_of_a_claim_can_be_planned(name, tmp_path):
    """Whoever copies a page's suite into a file gets cells for every arm of the hypotheses that it brings."""
    page = (CLAIM_PAGES / f"{name}.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    _, content = suite.find(str(path))
    study = plan.study(str(path), content, known_models=MODELS, known_probes=PROBES)
    judged = {entry.claim: entry for entry in verdicts.judge_study(study, Contents(records=(), broken=()))}
    own = [arm for claim in content.own_claims for atom in judged[claim].atoms for arm in atom.arms]
    assert [arm.name for arm in own if not arm.planned] == []
    assert own


def test_the_generator_on_its_page_is_loaded_and_writes(tmp_path, monkeypatch, capsys):
    """The Python of docs/generate.md, as it stands, reads a folder that was saved, and goes on from the prompt."""
    from seqbench import hub
    from seqbench.measure import models
    from seqbench.variant import parse

    vocabulary = "\n Cahilstu\ufffd"
    spec = models.spec_for(parse("lstm"), vocab=len(vocabulary), outputs=len(vocabulary), width=8, layers=1)
    network = models.create(parse("lstm"), spec, seed=0)
    hub.save(tmp_path / "my-generator", *hub.wrap(network, spec, model_name="lstm", vocabulary=vocabulary))
    page = (ROOT / "docs" / "generate.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "docs/generate.md", "exec"), {})  # noqa: S102 - the page's own code
    written = capsys.readouterr().out
    assert written.startswith("Cthulhu is")
    assert len(written) == len("Cthulhu is") + 100 + len("\n")
