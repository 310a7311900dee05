"""A package from outside brings a model, a generator and a claim: installed beside seqbench, all of it works."""

import json
import os
import shutil
import subprocess

import pytest
from wheels import ROOT, environment

PLUGIN = ROOT / "tests" / "plugin"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the plug-in's suite and cards, far from both sources."""
    place = tmp_path_factory.mktemp("work")
    shutil.copytree(PLUGIN / "cards", place / "cards")
    shutil.copy(PLUGIN / "suite.toml", place / "suite.toml")
    return place


@pytest.fixture(scope="module")
def seqbench(tmp_path_factory, folder):
    """Return the installed program of an environment that holds both wheels; `without` uninstalls the plug-in."""
    programs = environment(tmp_path_factory.mktemp("wheels"), ROOT, PLUGIN)

    def call(*arguments, expect=0):
        command = [programs / "seqbench", *map(str, arguments)]
        alone = {
            name: value for name, value in os.environ.items() if name != "PYTHONPATH"
        }  # the wheel, not the checkout
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=alone, check=False, timeout=600)
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout

    def without():
        command = [programs / "python", "-m", "pip", "uninstall", "--yes", "--quiet", "seqbench-plugin-demo"]
        subprocess.run(command, check=True, capture_output=True)

    call.without = without
    return call


@pytest.mark.parametrize(("kind", "name"), [("models", "ema"), ("generators", "first_token"), ("claims", "X1")])
def test_what_a_plug_in_brings_is_listed_and_shown(seqbench, kind, name):
    """Each of its names stands in the listing of its kind, behind those of seqbench, and can be shown."""
    rows = json.loads(seqbench("list", kind, "--json"))
    assert rows[-1]["name"] == name
    assert all(rows[-1].values())
    assert name in seqbench("show", name)


def test_the_model_of_a_plug_in_is_checked(seqbench):
    """It meets every demand on a built-in model, options included."""
    for model in ("ema", "ema@slowest=3"):
        rows = json.loads(seqbench("check", model, "--json"))
        assert {row["outcome"] for row in rows} == {"passed", "not applicable"}
    assert "slowest" in seqbench("show", "ema")


def test_a_plug_in_is_run_judged_and_reported_and_judged_again_without_it(seqbench, folder):
    """Its suite runs to a verdict on its claim; the study alone gives the same verdict after it is uninstalled."""
    seqbench("run", "--suite", "suite.toml", "--tasks", "cards", "--results", "R", "--workers", 2)
    assert seqbench("results", "validate", "--results", "R").startswith("complete: 10 planned cells")
    (own,) = [entry for entry in json.loads(seqbench("verdicts", "--results", "R", "--json")) if entry["claim"] == "X1"]
    assert (own["verdict"], own["n"], own["decided_by"]) == ("SUPPORTED", 5, "kept")
    assert own["wording"].startswith("Supported: moving averages named the first token more often than chance, by ")
    assert own["qualification"] == "at one length only"
    seqbench("report", "--results", "R", "--out", "O")
    assert "Averages keep the first token" in (folder / "O" / "index.html").read_text(encoding="utf-8")
    seqbench.without()
    assert "X1" not in {row["name"] for row in json.loads(seqbench("list", "claims", "--json"))}
    told = {entry["claim"]: entry for entry in json.loads(seqbench("verdicts", "--results", "R", "--json"))}
    same = ("verdict", "effect", "interval", "n", "rule", "sentence", "cells", "level", "atoms")
    assert {key: told["X1"][key] for key in same} == {key: own[key] for key in same}
    seqbench("report", "--results", "R", "--out", "O2")
