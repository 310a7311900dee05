"""Documents held to the code: blocks are marked, commands parse, links lead somewhere, tables list what there is."""

import json
import re
import subprocess
import tomllib
from pathlib import PurePath
from typing import get_args

import make_api
import pytest
from documents import DOCUMENTS, MARKED, PARSED_ALONE, ROOT, blocks, commands, of_seqbench
from typer.main import get_command

import seqbench
from seqbench import catalogue, plan, suite
from seqbench.cli import app
from seqbench.judge.report import verdicts
from seqbench.measure.models import MODELS
from seqbench.measure.probes import PROBES
from seqbench.preregistration import Atom, built_in
from seqbench.store import Contents
from seqbench.suite import Suite

BLOCKS = [block for path in DOCUMENTS for block in blocks(path)]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CLAIM_PAGES = ROOT / "docs" / "claims"
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def every_command():
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


def of(*languages):
    """Return what gives a test every block of these languages."""
    found = [block for block in BLOCKS if block.language in languages]
    return pytest.mark.parametrize("block", found, ids=lambda block: block.place)


def test_every_block_is_marked():
    """Each block of code says in its first line in which language it is, and whether it is run or only parsed."""
    assert [f"{block.place}: {block.info!r}" for block in BLOCKS if block.info not in MARKED | PARSED_ALONE] == []


@of("sh")
def test_commands_of_blocks_parse(block):
    """The program's own parser takes every command line as it stands, and make has every target."""
    for command in commands(block):
        if (words := of_seqbench(command)) is not None:
            parsed(words)
        if command[0] == "make":
            assert set(command[1:]) <= TARGETS, command


def parsed(words):
    """Hand words to the parser of the command that they name, which raises where it does not take one."""
    command, name = get_command(app), "seqbench"
    while words and words[0] in (inner := getattr(command, "commands", {})):
        name, command, words = words[0], inner[words[0]], words[1:]
    if name != "seqbench":
        command.make_context(name, list(words)).close()
        return
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}  # these act at once
    assert words, "no command"
    assert set(words) <= known, words


@of("sh")
def test_blocks_are_scripts_of_bash(block):
    """The shell reads each block without running it."""
    done = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@of("python")
def test_python_blocks_compile(block):
    """Each block is Python, whether it is run or not."""
    compile(block.text, block.place, "exec")


@of("toml")
def test_a_suite_is_one(block):
    """A block that is only parsed is a suite, or tunings of one, as the reader of suites takes them."""
    content = tomllib.loads(block.text)
    if not block.runs:
        group = {"task": "recall", "models": ["rnn"], "lengths": [12], "width": 8, "seeds": 1}
        tuned = [{"name": one["name"], "tuning": one["name"]} for one in content.get("tuning", ())]
        training = {"training": {"steps": 1, "batch": 1}}
        Suite.model_validate({"title": "whole", "groups": [group | names | training for names in tuned]} | content)


def test_files_of_a_page_are_used():
    """A block that names its file is there for a later one, which names it too."""
    for block in BLOCKS:
        if block.runs and block.file:
            others = [other.text for other in blocks(block.path) if other.runs and other.file != block.file]
            assert any(PurePath(block.file).stem in text for text in others), block.place


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
    assert listed == every_command()


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


WHOLE_SUITES = [block for block in BLOCKS if block.info == "toml run" and not block.file]


def test_every_page_of_a_claim_has_a_suite():
    """Whoever doubts a claim finds on its page what to change."""
    assert [block.path.stem for block in WHOLE_SUITES if block.path.parent == CLAIM_PAGES] == [*built_in().claims]


@pytest.mark.parametrize("block", WHOLE_SUITES, ids=lambda block: block.place)
def test_whole_suites_can_be_planned(block, tmp_path):
    """Whoever copies a suite into a file gets cells for every arm of the hypotheses that it brings."""
    path = tmp_path / "mine.toml"
    path.write_text(block.text, encoding="utf-8")
    _, content = suite.find(str(path))
    study = plan.study(str(path), content, known_models=MODELS, known_probes=PROBES)
    judged = {entry.claim: entry for entry in verdicts.judge_study(study, Contents(records=(), broken=()))}
    own = [arm for claim in content.own_claims for atom in judged[claim].atoms for arm in atom.arms]
    assert [arm.name for arm in own if not arm.planned] == []
    assert own


def test_the_page_on_the_api_is_made_from_the_docstrings():
    """Who changes a docstring, a signature or an export makes the page anew."""
    assert make_api.PAGE.read_text(encoding="utf-8") == make_api.page(), "run `make api`"


def test_the_page_on_the_api_has_every_export_and_every_kind_of_extension():
    """Nothing that a package exports, and no registry that takes plug-ins, is left out of the page."""
    from seqbench import hub

    page = make_api.page()
    headings = set(re.findall(r"^### `(\w+)`$", page, re.MULTILINE))
    assert ({*seqbench.__all__, *hub.__all__} - {"__version__"}) - headings == set()
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    groups = set(re.findall(r"`(seqbench\.\w+)`", contributing))
    assert groups == {registry.group for registry, _, _ in make_api.CONTRACTS.values()}
    assert {group for group in groups if f"group `{group}`" not in page} == set()


def test_the_page_on_statistics_has_every_test():
    """Each kind of test that an atom may have stands in the page's table, and no other does."""
    page = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
    listed = [name for row in re.findall(r"^\| (`.+?) \|", page, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)]
    assert sorted(listed) == sorted(get_args(Atom.model_fields["test"].annotation))


def test_the_index_links_every_page():
    """Who opens docs/ finds the way to each page of it; the claims have an index of their own."""
    linked = re.findall(r"\]\(([^)]+)\)", (ROOT / "docs" / "README.md").read_text(encoding="utf-8"))
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages - set(linked) == set()
    assert "claims/README.md" in linked


INSTRUCTIONS = re.findall(r"^([A-Z]+) (.+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)


def test_the_dockerfile_is_one():
    """Every line is a comment or an instruction that Docker knows, and the first of them names the image."""
    lines = [line for line in (ROOT / "Dockerfile").read_text("utf-8").splitlines() if line and line[0] != "#"]
    assert lines == [" ".join(parts) for parts in INSTRUCTIONS]
    assert {name for name, _ in INSTRUCTIONS} <= {"FROM", "COPY", "RUN", "ENV", "USER", "WORKDIR", "ENTRYPOINT", "CMD"}
    assert INSTRUCTIONS[0][0] == "FROM"
    for _, script in (parts for parts in INSTRUCTIONS if parts[0] == "RUN"):
        done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_the_image_runs_seqbench_and_not_as_root():
    """Its command is the program that the package installs, its user has a name that it made, its Python is ours."""
    last = dict(INSTRUCTIONS)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (program,) = json.loads(last["ENTRYPOINT"])
    assert program in project["scripts"]
    parsed(json.loads(last["CMD"]))
    assert any(
        name == "RUN" and text.startswith("useradd ") and text.endswith(f" {last['USER']}")
        for name, text in INSTRUCTIONS
    )
    made = [name for name, _ in INSTRUCTIONS]
    assert made.index("USER") < made.index("ENTRYPOINT")
    version = re.fullmatch(r"python:3\.(\d+)-slim", last["FROM"])
    assert int(version[1]) >= int(project["requires-python"].removeprefix(">=3."))


def test_the_image_gets_what_the_wheel_is_made_of():
    """What .dockerignore lets through exists, and holds all that the build reads."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    kept = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert {name for name in kept if not (ROOT / name).exists()} == set()
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    needed = {"pyproject.toml", content["project"]["readme"], *content["project"]["license-files"]}
    wheel = content["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert {*needed, *wheel["packages"], *wheel["force-include"]} - kept == set()


def test_the_dev_container_makes_what_the_makefile_does():
    """Its command after creation makes a file of the Makefile, in the environment that its editor is told of."""
    content = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    make, target = content["postCreateCommand"].split()
    assert make == "make"
    assert re.search(rf"^{re.escape(target)}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    python = content["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"]
    assert python.startswith(f"${{containerWorkspaceFolder}}/{PurePath(target).parent}/")
