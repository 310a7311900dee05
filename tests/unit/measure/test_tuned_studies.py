"""Studies that tune, run for real in a few steps: waves, resuming, edges, replay, and what a trial may look at."""

import json
import math

import pytest

from seqbench import plan, store, summary, tuning
from seqbench.judge import evidence, table
from seqbench.judge.report import build
from seqbench.measure import conduct, prepare, runner, seeds
from seqbench.measure.environment import describe
from seqbench.measure.generators import chronicle
from seqbench.measure.generators import text as text_generator
from seqbench.measure.models import MODELS
from seqbench.measure.probes import PROBES
from seqbench.preregistration import Arm
from seqbench.suite import Suite

STEPS = {"steps": 12, "batch": 16, "evaluate_every": 3, "evaluation_sequences": 16, "warmup_steps": 1}
INSIDE = (1e-5, 3e-2, 1e3)
"""Nothing is learnt at the first of these rates, and everything is lost at the last."""
CLAIM = {
    "title": "Small",
    "sentence": "It remembers.",
    "rule": "a",
    "atoms": {
        "a": {
            "estimand": "recall",
            "unit": "1",
            "test": "one_sample",
            "measurement": "recall_auc",
            "support": 0.5,
            "arms": {"subject": {"task": "recall", "model": "rnn"}},
        }
    },
}


def study_of(*, rates=INSIDE, models=("rnn", "gru"), text=None, **changes):
    fields = {"name": "t", "task": "count", "length": 12, "width": 8, "training": STEPS, "rates": rates}
    group = {"name": "g", "task": "recall", "models": models, "lengths": (9, 12), "width": 8, "seeds": 1}
    suite = Suite.model_validate(
        {
            "title": "t",
            "own_claims": {"X1": CLAIM},
            "tuning": [fields | changes],
            "groups": [group | {"tuning": "t", "training": STEPS}],
        }
    )
    known = {"known_models": MODELS, "known_probes": PROBES}
    return plan.study("s", suite, text=text, development=True, **known)


def conducted(study, folder, *, executor="serial", finished=lambda _record: None, **settings):
    chosen = conduct.Settings(executor=executor, workers=2, **settings)
    conduct.conduct(study, folder, settings=chosen, finished=finished)


def split(study, folder):
    """Return the accepted records of trials and of the cells that are judged."""
    held = store.contents(folder).accepted()
    entries = plan.planned(study)
    return [
        [held[e.fingerprint] for e in entries if e.trial is trial and e.fingerprint in held] for trial in (True, False)
    ]


def choice_of(study, folder, model):
    entries = plan.planned(study)
    (rule,) = {entry.cell.rate for entry in entries if not entry.trial}
    return tuning.choice(rule, model, store.contents(folder).of(entries))


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Return a tuned study and its folder, run once; tests that change anything run their own."""
    study, folder = study_of(), tmp_path_factory.mktemp("tuned") / "R"
    conducted(study, folder)
    return study, folder


def test_each_model_is_trained_at_the_best_of_its_trials(ran):
    """The rate that came out stands in the record; the cell in it holds the rule; the study is sound and complete."""
    study, folder = ran
    trials, judged = split(study, folder)
    assert (len(trials), len(judged)) == (2 * (3 + 1) * 2, 4)
    for record in judged:
        made = choice_of(study, folder, record.cell.model)
        assert not made.at_edge
        assert record.learning_rate == made.rate
        assert min(trial.loss for trial in made.trials) == next(t.loss for t in made.trials if t.rate == made.rate)
        assert record.cell.training.learning_rate is None
        assert record.measured("recall_auc") is not None
    assert store.validate(folder) == ()


def test_the_rate_that_was_found_is_the_one_that_trains(ran):
    """A tuned cell's numbers are those of the same cell with that rate given."""
    study, folder = ran
    _, (record, *_) = split(study, folder)
    context = prepare.Context(
        cards=study.cards, preregistration=study.preregistration_sha256, environment=describe("cpu", threads=1)
    )
    given = record.cell.model_copy(update={"training": record.cell.training.at(record.learning_rate), "rate": None})
    again = runner.run_cell(plan.Planned(given, record.fingerprint, "g"), context=context)
    assert again.measurements == record.measurements


@pytest.mark.slow
def test_the_pool_gives_what_serial_gives(ran, tmp_path):
    """The parent finds the rate, so it does not matter who runs the cell."""
    study, folder = ran
    conducted(study, tmp_path / "R", executor="pool")
    one, two = (
        [(record.fingerprint, record.learning_rate, record.measurements) for record in (*parts[0], *parts[1])]
        for parts in (split(study, folder), split(study, tmp_path / "R"))
    )
    assert one == two
    assert store.validate(tmp_path / "R") == ()


@pytest.mark.parametrize("after", [3, 12, 14, 16, 18])
def test_a_tuned_study_stopped_anywhere_resumes_whole(ran, tmp_path, after):
    """In a wave or between two: nothing judged runs before its trials, nothing runs twice, the end is the same."""
    study, folder = ran
    seen = []

    def stop(record):
        seen.append(record)
        if len(seen) == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        conducted(study, tmp_path / "R", finished=stop)
    trials, judged = split(study, tmp_path / "R")
    assert (len(trials), len(judged)) == (min(after, 16), max(0, after - 16))
    conducted(study, tmp_path / "R")
    assert len(store.contents(tmp_path / "R").records) == 20
    assert store.validate(tmp_path / "R") == ()
    assert [r.measurements for r in split(study, tmp_path / "R")[1]] == [
        r.measurements for r in split(study, folder)[1]
    ]


def test_what_is_missing_counts_the_cells_of_every_wave(ran, tmp_path):
    """Before the first cell all waves are missing; the planned number says so too."""
    study, _ = ran
    store.create_study(tmp_path / "R", study)
    held = store.contents(tmp_path / "R")
    assert len(store.missing(plan.planned(study), held)) == 20
    assert summary.progress(plan.planned(study), held.accepted())[-1] == {"name": "planned", "cells": 20}
    assert sum(fault.startswith("missing: ") for fault in store.validate(tmp_path / "R")) == 20


def plant(study, folder, losses=None, *, beyond=None):
    """Write a further attempt of trials, as if they had been tried again and had ended at these losses."""
    for cell, record in store.contents(folder).of(plan.planned(study)).items():
        if cell.probe != tuning.PROBE or (beyond is None if cell.rate else losses is None):
            continue
        loss = beyond if cell.rate else losses[cell.training.learning_rate]
        series = {"axis": "step", "at": (12.0,), "values": (loss,)}
        measured = {"name": "evaluation_loss", "value": loss, "unit": "nat", "series": series}
        fields = record.model_dump(by_alias=True) | {"status": "unsolved", "measurements": [measured]}
        store.save(folder, type(record).model_validate(fields))


def test_a_best_rate_at_the_edge_is_refused_and_judged_as_not_tested(tmp_path):
    """The lowest of the grid is made to win, then a lower one still: no verdict is made of such cells."""
    study = study_of(models=("rnn",))
    conducted(study, tmp_path)
    plant(study, tmp_path, dict(zip(INSIDE, (1.0, 2.0, 3.0), strict=True)))
    conducted(study, tmp_path)  # tries a further rate, below the grid
    plant(study, tmp_path, beyond=0.5)
    conducted(study, tmp_path)
    _, judged = split(study, tmp_path)
    reason = (
        "best rate at the edge of the grid, 3.16e-06 of 3.16e-06, 1e-05, 0.03, 1e+03, even after its one extension; "
        "excluded from verdicts"
    )
    assert [(record.status, record.error, record.learning_rate) for record in judged] == [
        ("structural", reason, None)
    ] * 2
    assert store.validate(tmp_path) == ()
    report = build.build_folder(tmp_path)
    (claim,) = [claim for claim in report.claims if claim.claim == "X1"]
    assert (claim.verdict.value, claim.atoms[0].reason) == ("NOT TESTED", f"2 of 2 cells are structural: {reason}")
    assert [(row["at_edge"], row["note"]) for row in report.rates] == [(True, reason)]


def test_where_every_trial_diverges_nothing_is_trained(tmp_path):
    """The reason says that no trial gave a loss, and every wave still has its records."""
    study = study_of(rates=(1e28, 1e29, 1e30), models=("rnn",))
    conducted(study, tmp_path)
    trials, judged = split(study, tmp_path)
    assert [record.status for record in trials] == ["diverged"] * 6 + ["structural"] * 2
    reason = "no trial of a learning rate gave a loss; the first: diverged"
    assert [(record.status, record.error) for record in judged] == [("structural", reason)] * 2
    assert store.validate(tmp_path) == ()
    assert [row["note"] for row in build.build_folder(tmp_path).rates] == [reason]


def test_a_trial_that_is_tried_again_and_changes_the_choice_runs_what_follows_from_it_again(tmp_path):
    """Further rate and judged cells are made anew at the rate that now follows, and the study is sound again."""
    study = study_of(models=("rnn",))
    conducted(study, tmp_path)
    before = {record.learning_rate for record in split(study, tmp_path)[1]}
    plant(study, tmp_path, dict(zip(INSIDE, (1.0, 2.0, 3.0), strict=True)))
    faults = store.validate(tmp_path)
    assert [fault for fault in faults if "its trials give" in fault]
    assert "made at another learning rate than the trials give" in " ".join(build.build_folder(tmp_path).alerts)
    conducted(study, tmp_path)
    trials, judged = split(study, tmp_path)
    assert {record.learning_rate for record in trials if record.cell.rate} == {1e-5 / math.sqrt(10)}
    assert store.validate(tmp_path) == ()
    assert {record.learning_rate for record in judged} != before


def unsealed(path):
    """Return the content of a record without its seal, as another tool would write it."""
    return {name: value for name, value in json.loads(path.read_text()).items() if name != "sha256"}


def test_validate_replays_the_rule(tmp_path):
    """A judged record whose rate is not what its trials give is a fault, whoever wrote it."""
    study = study_of(models=("rnn",))
    conducted(study, tmp_path)
    _, (record, *_) = split(study, tmp_path)
    (path,) = tmp_path.glob(f"*/*/*/*{record.fingerprint[:6]}-a01.json")
    content = unsealed(path)
    path.write_text(json.dumps(content | {"learning_rate": 0.5}))
    rate = record.learning_rate
    expected = f"{record.cell.address} ({record.fingerprint[:6]}): ran at learning rate 0.5, but its trials give: "
    assert store.validate(tmp_path) == (f"{expected}learning rate {rate}; run it again",)


def test_another_rate_is_a_reason_to_run_again_what_was_ok(tmp_path):
    """A cell that was ok may have a further attempt at another rate that was found, and none at the same."""
    study = study_of(models=("rnn",))
    conducted(study, tmp_path)
    _, (record, *_) = split(study, tmp_path)
    (path,) = tmp_path.glob(f"*/*/*/*{record.fingerprint[:6]}-a01.json")
    content = unsealed(path) | {"status": "ok"}
    store.save(tmp_path, record)
    path.write_text(json.dumps(content | {"learning_rate": 0.5}))
    assert store.validate(tmp_path) == ()
    path.write_text(json.dumps(content))
    (fault,) = store.validate(tmp_path)
    assert fault.endswith("was ok, so there was nothing to try again")


def test_no_frame_holds_a_trial(ran):
    """Neither what is judged nor what is drawn: not even an arm that asks for the probe of the trials finds them."""
    study, folder = ran
    frames = table.tables(study, store.contents(folder))
    for frame in (frames.cells, frames.measurements, frames.series):
        assert set(frame[table.SEED]) == {100}
    arm = Arm(task="recall", probe=tuning.PROBE, model="rnn")
    assert not evidence.matches(arm, frames.cells).any()
    assert table.unplanned(study, store.contents(folder)) == ()


def test_the_page_tells_the_rates(ran):
    """One row per model: what was tried, the best, whether at an edge, how many rates are as good."""
    study, folder = ran
    report = build.build_folder(folder)
    assert [row["model"] for row in report.rates] == ["rnn", "gru"]
    made = choice_of(study, folder, "rnn")
    row = report.rates[0]
    assert (row["rate"], row["at_edge"], row["trials"]) == (made.rate, False, made.trials)
    assert (row["robust_width"], row["grid"]) == (made.robust_width, 3)
    assert row["expected_best"] == pytest.approx(tuning.expected_best(made.losses, 4))
    page = build.page(report)
    assert '<table id="learning-rates" class="stack">' in page
    assert f"{made.rate:.3g}" in page.split('<table id="learning-rates" class="stack">')[1].split("</table>")[0]


@pytest.mark.parametrize("task", ["recall", "chronicle", "text"])
def test_a_trial_never_draws_from_what_tests(task, tmp_path, monkeypatch):
    """Of all streams and parts that a trial asks for, none is a test's; a cell that is scored does ask for them."""
    text, path = None, None
    if task == "text":
        path = tmp_path / "mine.txt"
        path.write_text("the cats of Ulthar. " * 200)
        text = plan.corpus_facts(str(path), split="character")
    chronicle.held_out.cache_clear()  # what another test drew would not be drawn again
    drawn, number = [], seeds._number
    monkeypatch.setattr(seeds, "_number", lambda parts: (drawn.append(str(parts[0])), number(parts))[1])
    parts, held_out = [], text_generator.held_out
    monkeypatch.setattr(
        text_generator,
        "held_out",
        lambda **asked: (parts.append(asked.get("part", "test")), held_out(**asked))[1],
    )
    study = study_of(task=task, length=8, params={"preset": "XS"} if task == "chronicle" else {}, text=text)
    context = prepare.Context(
        cards=study.cards,
        preregistration=study.preregistration_sha256,
        environment=describe("cpu", threads=1),
        corpus=text,
        corpus_path=path,
    )
    trial = next(entry for entry in plan.planned(study) if entry.trial)
    record = runner.run_cell(trial, context=context)
    assert record.error is None
    assert tuning.curve_of(record).loss < math.inf
    assert "train" in drawn
    assert not {"test", "held out"} & set(drawn)
    assert "test" not in parts
    scored = plan.Planned(trial.cell.model_copy(update={"probe": None}), trial.fingerprint, "g")
    runner.run_cell(scored, context=context)
    assert {"test", "held out"} & {*drawn, *parts}


def test_an_own_model_and_a_matched_size_are_tuned_like_any_other(tmp_path, monkeypatch):
    """A file's model and a rule of matching go through all three waves."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("from seqbench.measure.models.gru import Options, build\n")
    match = {"by": "parameters", "model": "lstm", "width": 8}
    study = study_of(models=("rnn", "mine.py:build"), width=None, match=match)
    conducted(study, tmp_path / "R")
    trials, judged = split(study, tmp_path / "R")
    assert {record.status for record in judged} == {"unsolved"}
    assert {record.model.matched.reference for record in trials} == {"lstm"}
    assert store.validate(tmp_path / "R") == ()
