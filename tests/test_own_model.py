"""The README's own model, suite and claim: checked, run, judged and reported as they stand there."""

import json
import subprocess
import sys

import pytest
from documents import ROOT, blocks, run

README = ROOT / "README.md"


def seqbench(*arguments, cwd, expect=0):
    command = [sys.executable, "-m", "seqbench", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, timeout=600)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def folder(tmp_path):
    """A folder with nothing but the two files that the README shows, under the names that it gives them."""
    for block in blocks(README):
        if block.file:
            (tmp_path / block.file).write_text(block.text, encoding="utf-8")
    assert {path.name for path in tmp_path.iterdir()} == {"mine.py", "mine.toml"}
    return tmp_path


@pytest.mark.slow
def test_the_readmes_model_keeps_the_contract(folder):
    """`check` finds nothing wrong with it; what does not apply is what it does not state or is no encoder's."""
    rows = json.loads(seqbench("check", "mine.py:build", "--json", cwd=folder))
    lacking = {row["name"] for row in rows if row["outcome"] != "passed"}
    assert lacking == {"parameters", "operations", "state size", "floats", "whole view", "no state"}
    assert {row["outcome"] for row in rows} == {"passed", "not applicable"}


@pytest.mark.slow
def test_a_model_that_breaks_the_contract_ends_with_code_4(folder):
    """A look ahead is named on standard output, and the exit code says that a check failed."""
    source = (folder / "mine.py").read_text(encoding="utf-8")
    (folder / "mine.py").write_text(source.replace("torch.stack(outputs, 1)", "torch.stack(outputs, 1).flip(1)"))
    rows = json.loads(seqbench("check", "mine.py:build", "--json", cwd=folder, expect=4))
    assert "causality by tokens" in {row["name"] for row in rows if row["outcome"] == "failed"}
    assert "failed" in seqbench("check", "mine.py:build", "--width", 8, cwd=folder, expect=4)


@pytest.mark.slow
def test_the_readmes_own_claim_gets_a_verdict_and_a_page(tmp_path):
    """Its blocks run; its claim is judged on five seeds, and the page says that all of it is exploratory."""
    run(README, tmp_path)
    told = seqbench("verdicts", "--results", "results/mine", "--json", cwd=tmp_path)
    entries = {entry["claim"]: entry for entry in json.loads(told)}
    assert entries["X1"]["verdict"] in {"SUPPORTED", "CONTRADICTED", "INCONCLUSIVE"}
    assert (entries["X1"]["n"], entries["X1"]["cells"]) == (5, {"planned": 10, "ran": 10})
    page = (tmp_path / "reports" / "mine" / "index.html").read_text(encoding="utf-8")
    assert "X1: Mine forgets" in page
    assert "with claims of its own: X1" in page
    assert json.loads((tmp_path / "reports" / "mine" / "claims.json").read_text("utf-8")) == [*entries.values()]
