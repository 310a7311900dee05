"""The whole line from the outside: the command in a process of its own, real text, kills, and wrong input."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

CORPORA = os.environ.get("SEQBENCH_TEST_CORPORA")
needs_corpora = pytest.mark.skipif(CORPORA is None, reason="SEQBENCH_TEST_CORPORA names no folder with real text")
HELD = "c1e2ad2237f48c6098c5328172417af9b7f2383bb3a4a9b6f33b59addd5d251e"

SUITE = """
title = "Many small cells, for interrupting"
claims = ["C1"]

[[groups]]
name = "slopes"
task = "onehot"
probe = "input_gradient"
models = ["rnn", "rnn@activation=relu,init=identity", "gru", "sleeper.py:build"]
lengths = [200]
width = 32
seeds = 15
"""
SLEEPER = """
import pathlib, time
from seqbench.measure.models.rnn import Options, build as build_rnn

def build(spec):
    asleep = pathlib.Path("asleep")
    if not asleep.exists():  # once, and longer than the test waits for workers to die
        asleep.touch()
        time.sleep(120)
    return build_rnn(spec)
"""


def seqbench(*arguments, cwd=None, expect=0):
    command = [sys.executable, "-m", "seqbench", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, timeout=600)
    assert done.returncode == expect, done.stdout + done.stderr
    return done


def start(results, suite):
    """Start a run in a session of its own, so that it can be killed alone or as a group."""
    command = [
        sys.executable,
        "-m",
        "seqbench",
        "run",
        "--suite",
        str(suite),
        "--results",
        str(results),
        "--workers",
        "2",
    ]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, start_new_session=True, cwd=suite.parent, **quiet)


def records(results):
    return sorted(results.glob("*/*/*/*.json"))


def wait_for(condition, *, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("whole_group", [False, True], ids=["parent alone", "whole group"])
def test_a_killed_run_leaves_nobody_behind_and_resumes_whole(tmp_path, whole_group):
    """After SIGKILL in the middle of a long cell no process lives on; the next call runs the rest, each cell once."""
    suite, results = tmp_path / "many.toml", tmp_path / "R"
    suite.write_text(SUITE)
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    process = start(results, suite)
    wait_for(lambda: len(records(results)) >= 5 and (tmp_path / "asleep").exists(), seconds=120)
    family = [process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))]
    assert len(family) >= 3  # the parent and two workers at least
    if whole_group:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_for(lambda: not any(alive(pid) for pid in family), seconds=15)
    before = len(records(results))
    assert 5 <= before < 60
    seqbench("run", "--suite", suite, "--results", results, cwd=tmp_path)
    assert len(records(results)) == 60
    validated = seqbench("results", "validate", "--results", results)
    assert validated.stdout == "complete: 60 planned cells, each with exactly one accepted record; no broken file\n"


def alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.slow
@needs_corpora
def test_smoke_on_real_stories_names_the_corpus_in_full(tmp_path):
    """The smoke suite runs on 67 stories with accents, and the page carries their name and whole hash."""
    results, out = tmp_path / "R", tmp_path / "O"
    seqbench("run", "--suite", "smoke", "--corpus", Path(CORPORA, "lovecraft"), "--results", results)
    seqbench("report", "--results", results, "--out", out)
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "lovecraft" in page
    assert HELD in page
    assert CORPORA not in page
    verdicts = json.loads((out / "claims.json").read_text(encoding="utf-8"))
    assert {entry["claim"] for entry in verdicts} >= {"C1", "C8"}
    assert seqbench("results", "validate", "--results", results).returncode == 0


@pytest.mark.slow
def test_smoke_from_run_to_page(tmp_path):
    """Run, status, verdicts and report of the smoke suite; judging twice gives the same bytes."""
    results = tmp_path / "R"
    seqbench("run", "--suite", "smoke", "--results", results)
    rows = {row["name"]: row["cells"] for row in json.loads(seqbench("status", "--results", results, "--json").stdout)}
    assert "missing" not in rows
    told = json.loads(seqbench("verdicts", "--results", results, "--json").stdout)
    words = {"SUPPORTED", "CONTRADICTED", "INCONCLUSIVE", "NOT TESTED", "VACUOUS"}
    assert {entry["verdict"] for entry in told} <= words
    pages = []
    for out in (tmp_path / "one", tmp_path / "two"):
        seqbench("report", "--results", results, "--out", out)
        pages.append({path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()})
    assert pages[0] == pages[1]
    assert json.loads(pages[0][Path("claims.json")]) == told


def test_help_answers_at_once():
    """`seqbench --help` takes under half a second of processor time and names every command."""
    begun = os.times()
    text = seqbench("--help").stdout
    ended = os.times()
    assert (ended.children_user + ended.children_system) - (begun.children_user + begun.children_system) < 0.5
    for command in ("quickstart", "list", "show", "plan", "run", "status", "verdicts", "report", "corpus", "results"):
        assert command in text


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run", "--suite", "qick", "--results", "R"], 2, "seqbench: no suite named 'qick'; did you mean quick?"),
        (["run", "--suite", "typo.toml", "--results", "R"], 2, "seqbench: no model named 'ltsm'; did you mean lstm?"),
        (
            ["run", "--suite", "option.toml", "--results", "R"],
            2,
            "seqbench: no option of rnn named 'activaton'; did you mean activation?",
        ),
        (
            ["run", "--suite", "card.toml", "--tasks", "cards", "--results", "R"],
            2,
            "seqbench: mine.toml: missing key 'source'; unknown key 'sorce', did you mean 'source'?",
        ),
        (["run", "--suite", "smoke", "--results", "/proc/nowhere"], 1, "seqbench: /proc/nowhere cannot be written"),
        (
            ["run", "--suite", "smoke", "--corpus", "absent.txt", "--results", "R"],
            2,
            "seqbench: no corpus, file or folder named 'absent.txt'",
        ),
        (["run", "--suite", "smoke", "--corpus", "empty.txt", "--results", "R"], 2, "seqbench: empty.txt is empty"),
        (
            ["run", "--suite", "smoke", "--corpus", "latin.txt", "--results", "R"],
            2,
            "seqbench: latin.txt is not UTF-8 at byte 3",
        ),
        (["run", "--suite", "smoke", "--corpus", "short.txt", "--results", "R"], 2, "seqbench: the training part has"),
        (
            ["run", "--suite", "smoke", "--executor", "pol", "--results", "R"],
            2,
            "seqbench: no executor named 'pol'; did you mean pool?",
        ),
        (
            ["run", "--suite", "smoke", "--retry", "eror", "--results", "R"],
            2,
            "seqbench: no status named 'eror'; did you mean error?",
        ),
        (["run", "--suite", "smoke", "--device", "tpu", "--results", "R"], 2, "seqbench: no device named 'tpu'"),
        (
            ["report", "--results", "pack.parquet"],
            1,
            "seqbench: pack.parquet is a pack; write its files into a folder first",
        ),
        (["status", "--results", "nothing"], 1, "seqbench: nothing holds no study"),
        (["report", "--results", "nothing"], 1, "seqbench: nothing holds no study"),
        (["verdicts", "--results", "broken"], 1, "seqbench: broken/study.json is no study"),
        (["list", "modles"], 2, "seqbench: no kind named 'modles'; did you mean models?"),
        (["show", "lstn"], 2, "did you mean lstm?"),
        (["check", "lstn"], 2, "seqbench: no model named 'lstn'; did you mean lstm?"),
        (["check", "rnn@gian=2"], 2, "seqbench: no option of rnn named 'gian'; did you mean gain?"),
        (["check", "nowhere.py:build"], 2, "seqbench: no file 'nowhere.py' for 'nowhere.py:build'"),
        (["check", "transformer", "--width", "6"], 2, "seqbench: width 6 does not fit heads=2 with positions=rope"),
        (["corpus", "info", "latin.txt"], 2, "seqbench: latin.txt is not UTF-8 at byte 3"),
    ],
)
def test_wrong_input_is_one_clear_line(tmp_path, arguments, code, message):
    """Whatever is wrong: one line that says what to do, the right exit code, no traceback, nothing written."""
    group = '[[groups]]\nname = "g"\ntask = "{task}"\nprobe = "state_bytes"\nmodels = ["{model}"]\n'
    group += "lengths = [9]\nwidth = 8\nseeds = 1\n"
    for name, task, model in (
        ("typo", "uniform_tokens", "ltsm"),
        ("option", "uniform_tokens", "rnn@activaton=relu"),
        ("card", "mine", "rnn"),
    ):
        (tmp_path / f"{name}.toml").write_text('title = "t"\n' + group.format(task=task, model=model))
    (tmp_path / "cards").mkdir()
    card = (Path(__file__).parents[1] / "tasks" / "recall.toml").read_text(encoding="utf-8")
    (tmp_path / "cards" / "mine.toml").write_text(card.replace("source =", "sorce ="))
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "pack.parquet").write_bytes(b"PAR1")
    (tmp_path / "latin.txt").write_bytes("abcé".encode("latin-1") * 100)
    (tmp_path / "short.txt").write_text("too short")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "study.json").write_text("{")
    done = seqbench(*arguments, cwd=tmp_path, expect=code)
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "R").exists()


def test_a_corrupt_record_is_reported_and_run_again(tmp_path, tiny_study):
    """A damaged record is named by validate, never used, and its cell is run again."""
    from seqbench import store
    from seqbench.measure import conduct

    results = tmp_path / "R"
    conduct.conduct(tiny_study, results, settings=conduct.Settings(executor="serial"))
    victim = records(results)[0]
    victim.write_text('{"schema": "seqbench.record/1"')
    told = seqbench("results", "validate", "--results", results, expect=4).stdout
    assert f"broken: {victim.relative_to(results).as_posix()}: not JSON" in told
    victim.unlink()
    conduct.conduct(tiny_study, results, settings=conduct.Settings(executor="serial"))
    assert store.validate(results) == ()


@pytest.mark.parametrize(
    "kind", ["models", "tasks", "claims", "suites", "probes", "figures", "generators", "executors"]
)
def test_listings_are_lists_of_objects_with_name_first(kind):
    """`--json` prints a list of objects, each with `name` as its first key."""
    rows = json.loads(seqbench("list", kind, "--json").stdout)
    assert rows
    assert all(next(iter(row)) == "name" for row in rows)


def test_a_plan_says_what_is_left_out_and_how_long_it_takes(tmp_path):
    """`plan` counts cells, names what is left out with the reason, and estimates the time."""
    done = seqbench("plan", "--suite", "smoke", cwd=tmp_path)
    assert "no real text was given; name one with --corpus" in done.stdout
    assert "cells to run, about" in done.stderr
    rows = json.loads(seqbench("plan", "--suite", "smoke", "--json", cwd=tmp_path).stdout)
    assert {"name", "task", "cells", "cached", "seconds", "cost", "priority", "claims", "left_out"} == set(rows[0])


HOURS = """
title = "One group that fits and one that does not"
claims = ["C1"]
groups = [
  { name = "slopes", task = "onehot", probe = "input_gradient", models = ["rnn"], lengths = [200], width = 32, seeds = 4 },
  { name = "endless", task = "recall_loguniform", models = ["rnn"], lengths = [100], width = 8, seeds = 2, training = { steps = 10000000, batch = 4, learning_rate = 1e-3 } },
]
"""  # noqa: E501 - an inline table stands in one line


def test_hours_from_the_command_line(tmp_path):
    """A study is fitted once, called several times with little time, and its page and verdicts say what was trimmed."""
    (tmp_path / "mine.toml").write_text(HOURS)
    run = ("run", "--suite", "mine.toml", "--results", "R", "--executor", "serial")
    done = seqbench(*run, "--fit-hours", "0.1", "--max-hours", "0", cwd=tmp_path, expect=3)
    why = "trimmed to fit into 0.1 h: decides C1, about"
    assert f"left out: endless (2 cells): {why}" in done.stderr
    assert "4 of 4 cells to do, about 0 s" in done.stderr
    assert "--max-hours: 4 of the cells left would not have fitted" in done.stderr
    assert "without a record: 4 cells; the same command goes on" in done.stderr
    assert records(tmp_path / "R") == []
    done = seqbench(*run, "--fit-hours", "2", cwd=tmp_path, expect=1)
    assert done.stderr.startswith("seqbench: R holds a study that was made with --fit-hours 0.1, asked for 2; what is")
    assert len(done.stderr.splitlines()) == 1
    seqbench(*run, "--max-hours", "1", cwd=tmp_path)
    assert len(records(tmp_path / "R")) == 4
    assert why in seqbench("status", "--results", "R", cwd=tmp_path).stdout
    assert why in seqbench("plan", "--suite", "mine.toml", "--results", "R", cwd=tmp_path).stdout
    rows = json.loads(seqbench("plan", "--suite", "mine.toml", "--results", "R", "--json", cwd=tmp_path).stdout)
    assert [(row["name"], row["cells"], row["cached"], row["priority"], row["claims"]) for row in rows] == [
        ("slopes", 4, 4, "decides", ["C1"]),
        ("endless", 2, 0, "decides", ["C1"]),
    ]
    (told,) = [
        c
        for c in json.loads(seqbench("verdicts", "--results", "R", "--json", cwd=tmp_path).stdout)
        if c["claim"] == "C1"
    ]
    reasons = {atom["atom"]: (atom["verdict"], atom["reason"]) for atom in told["atoms"]}
    assert reasons["1c"] == ("NOT TESTED", "trimmed to fit into 0.1 h: 'endless'")
    assert reasons["1a"][0] != "NOT TESTED"
    assert "complete: 4 planned cells" in seqbench("results", "validate", "--results", "R", cwd=tmp_path).stdout


def test_a_plan_is_readable_at_a_hundred_columns(tmp_path):
    """No line of the table of the largest suite is longer."""
    done = seqbench("plan", "--suite", "full", cwd=tmp_path)
    table = done.stdout.split("\nleft out\n")[0].splitlines()
    assert max(len(line.rstrip()) for line in table) <= 100
