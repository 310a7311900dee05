"""What hangs on each group, what is trimmed to fit into a time, and what costs are made of."""

import re
from itertools import pairwise

import pytest
from pydantic import ValidationError

from seqbench import costs, fitting, plan, priority, store, suite, summary
from seqbench.cell import Cell, RateRule, TimingConfig, TrainConfig
from seqbench.costs import Costs
from seqbench.errors import StudyMismatch, UsageError
from seqbench.judge import evidence, table
from seqbench.judge.report import build, verdicts
from seqbench.measure.models import MODELS
from seqbench.measure.probes import PROBES
from seqbench.plan import Fit
from seqbench.record import CorpusFacts
from seqbench.store import Contents
from seqbench.suite import Suite

KNOWN = {"known_models": MODELS, "known_probes": PROBES}
TRAINING = {"steps": 100, "batch": 32, "learning_rate": 1e-3}
BYTES = {"task": "uniform_tokens", "probe": "state_bytes", "lengths": [8], "width": 8, "seeds": 2}


def atom_of(arms, *, controls=(), test="one_sample", **changes):
    """Return an atom about state bytes; arms: name -> model."""
    found = {name: {"task": "uniform_tokens", "probe": "state_bytes", "model": model} for name, model in arms.items()}
    fields = {"estimand": "e", "unit": "byte", "test": test, "measurement": "state_bytes", "support": 1.0}
    controls = [{"arm": arm, "measurement": "state_bytes", "above": 0.0} for arm in controls]
    return fields | {"arms": found, "controls": controls} | changes


CLAIMS = {
    "X1": {
        "title": "One",
        "sentence": "S.",
        "rule": "a",
        "atoms": {
            "a": atom_of({"subject": "rnn", "ceiling": "transformer"}, controls=["ceiling"]),
            "q": atom_of({"subject": "gru"}),
        },
    },
    "X2": {
        "title": "Two",
        "sentence": "S.",
        "rule": "b",
        "atoms": {"b": atom_of({"subject": "lstm"}), "d": atom_of({"any": "tcn"}, test="descriptive")},
    },
}
GROUPS = {"shown": "lru", "second": "lstm", "told": "tcn", "first": "rnn", "ceiling": "transformer", "further": "gru"}
"""Group -> its one model; the suite's order is not that of priority."""


def study_of(groups=None, *, claims=None, timing=False, **fields):
    content = [BYTES | {"name": name, "models": [model]} for name, model in (groups or GROUPS).items()]
    if timing:
        panel = {"name": "panel", "models": ["rnn"], "probe": "training_time", "timing": {"batch": 1}, "seeds": 1}
        content.append(BYTES | panel)
    written = {"title": "t", "groups": content, "own_claims": CLAIMS if claims is None else claims} | fields
    return plan.study("mine", Suite.model_validate(written), **KNOWN)


def equal_costs(study, *, seconds=10.0):
    """Return costs at which every cell takes as long."""
    known = {costs.kind_of(entry.cell): seconds for entry in plan.planned(study)}
    return Costs(known)


def trimmed_of(study, *, seconds, workers=1):
    found = fitting.fit(study, equal_costs(study), hours=seconds / 3600, workers=workers)
    return set(found.fit.trimmed)


def test_a_group_that_decides_comes_before_one_that_qualifies_before_one_that_is_shown():
    """Within what decides, the first claim comes first; then the suite's order."""
    known = priority.priorities(study_of())
    assert sorted(known, key=known.get) == ["first", "ceiling", "second", "further", "told", "shown"]
    assert {name: (entry.name, entry.claims) for name, entry in known.items()} == {
        "first": ("decides", ("X1",)),
        "ceiling": ("decides", ("X1",)),
        "second": ("decides", ("X2",)),
        "further": ("qualifies", ("X1",)),
        "told": ("qualifies", ("X2",)),
        "shown": ("shows", ()),
    }


def test_an_arm_beside_the_test_does_not_decide():
    """A strong baseline that an atom prints is not what its verdict hangs on, and a reference is."""
    pair = {"subject": "rnn", "reference": "gru", "strong": "lstm"}
    claim = CLAIMS["X1"] | {"atoms": {"a": atom_of(pair, test="two_sample")}}
    known = priority.priorities(study_of(claims={"X1": claim}))
    assert [known[name].name for name in ("first", "further", "second")] == ["decides", "decides", "qualifies"]


def test_groups_are_trimmed_in_reverse_order_of_priority():
    """Each group takes 20 s; less and less time leaves more and more of them out, never a part of one."""
    study = study_of()
    found = [trimmed_of(study, seconds=seconds) for seconds in (120, 119, 99, 79, 59)]
    order = ["shown", "told", "further", "second"]
    assert found == [set(order[:count]) for count in range(5)]
    fitted = fitting.fit(study, equal_costs(study), hours=79 / 3600, workers=1)
    assert (fitted.fit.hours, fitted.fit.seconds) == (79 / 3600, 60.0)
    assert {entry.group for entry in plan.planned(fitted)} == {"first", "ceiling", "second"}
    assert {entry.cell.seed for entry in plan.planned(fitted)} == {1000, 1001}
    assert plan.Study.model_validate_json(fitted.model_dump_json(by_alias=True)) == fitted


def test_a_control_stays_as_long_as_what_it_controls():
    """The control goes only after the atom's own cells, although it comes later in the order."""
    study = study_of()
    assert trimmed_of(study, seconds=39) == {*GROUPS} - {"ceiling"}
    assert trimmed_of(study, seconds=19) == {*GROUPS}


def test_twice_the_workers_keep_twice_the_cells_but_time_nothing_faster():
    """Shared cells are shared among the workers; a timing cell takes its time alone, and is never trimmed."""
    study = study_of(timing=True)
    assert trimmed_of(study, seconds=10 + 60, workers=1) == {"shown", "told", "further"}
    assert trimmed_of(study, seconds=10 + 60, workers=2) == set()
    assert trimmed_of(study, seconds=10 + 59, workers=2) == {"shown"}
    assert trimmed_of(study, seconds=10, workers=1) == {*GROUPS}
    expected = r"--fit-hours 0.0025 is too little: timing and controls alone take about 0.0028 h here; give more, or"
    with pytest.raises(UsageError, match=re.escape(expected)):
        trimmed_of(study, seconds=9)


def test_what_fits_after_all_is_taken_back():
    """A large group that qualifies had to go; a small one that was trimmed before it still fits."""
    study = study_of()
    known = dict(equal_costs(study).measured)
    for entry in plan.planned(study):
        known[costs.kind_of(entry.cell)] = {"further": 100.0, "shown": 1.0}.get(entry.group, 10.0)
    found = fitting.fit(study, Costs(known), hours=100 / 3600, workers=1)
    assert set(found.fit.trimmed) == {"further"}
    assert found.fit.trimmed["further"] == "trimmed to fit into 0.0277778 h: qualifies X1, about 200 s"


def test_nothing_is_taken_back_without_its_control():
    """The control is too large to come back, so what it controls stays away although that would fit alone."""
    study = study_of()
    known = dict(equal_costs(study).measured)
    for entry in plan.planned(study):
        known[costs.kind_of(entry.cell)] = {"ceiling": 100.0, "first": 1.0}.get(entry.group, 10.0)
    found = fitting.fit(study, Costs(known), hours=45 / 3600, workers=1)
    assert set(found.fit.trimmed) == {"first", "ceiling", "told", "shown"}


def test_cells_that_two_groups_ask_for_are_counted_once_and_stay_with_either():
    """Trimming one of two groups with the same cells saves nothing and loses nothing."""
    study = study_of(GROUPS | {"again": "rnn"})
    assert trimmed_of(study, seconds=120) == set()
    assert trimmed_of(study, seconds=39) == {*GROUPS, "again"} - {"ceiling"}
    lost = study.model_copy(update={"fit": Fit(hours=1, seconds=1, trimmed={"again": "w", "second": "w"})})
    assert priority.untested(lost) == {("X2", "b"): "trimmed to fit into 1 h: 'second'"}
    assert len([entry for entry in plan.planned(lost) if entry.cell.model == "rnn"]) == 2


def test_trials_go_with_the_last_group_that_needs_them():
    """What a tuning costs counts for the groups that name it, and is not run when they are trimmed."""
    training = {"steps": 100, "batch": 32}
    group = {"task": "recall", "models": ["rnn"], "lengths": [9], "width": 8, "seeds": 1}
    tuned = group | {"name": "tuned", "tuning": "t", "training": training}
    given = group | {"name": "given", "training": TRAINING}
    tuning = {"name": "t", "task": "recall", "length": 9, "width": 8, "training": training}
    written = {"title": "t", "tuning": [tuning], "groups": [given, tuned]}
    study = plan.study("mine", Suite.model_validate(written), **KNOWN)
    assert len(plan.planned(study)) == 1 + 10 + 1
    assert trimmed_of(study, seconds=120) == set()
    assert trimmed_of(study, seconds=119) == {"tuned"}
    fitted = fitting.fit(study, equal_costs(study), hours=119 / 3600, workers=1)
    assert [entry.group for entry in plan.planned(fitted)] == ["given"]


def test_what_has_no_cells_is_not_trimmed_but_left_out_for_its_own_reason():
    """Without a text, the text groups keep the reason that they have."""
    study = plan.study("smoke", suite.find("smoke")[1], **KNOWN)
    fitted = fitting.fit(study, equal_costs(study), hours=91 / 3600, workers=1)
    told = {entry.what: entry.why for entry in plan.left_out(fitted)}
    assert told.pop("text") == "no real text was given; name one with --corpus"
    assert told == fitted.fit.trimmed
    assert {"training time", "decode time"}.isdisjoint(told)


def test_a_verdict_without_its_cells_is_not_tested_and_says_why():
    """The atom and its claim say what was trimmed; the other claim lacks only its records."""
    fitted = fitting.fit(study_of(), equal_costs(study_of()), hours=59 / 3600, workers=1)
    judged = {entry.claim: entry for entry in verdicts.judge_study(fitted, Contents((), ()))}
    atoms = {atom.name: (atom.verdict.value, atom.reason) for atom in (*judged["X1"].atoms, *judged["X2"].atoms)}
    assert atoms["b"] == ("NOT TESTED", f"trimmed to fit into {59 / 3600:g} h: 'second'")
    assert atoms["q"] == ("NOT TESTED", f"trimmed to fit into {59 / 3600:g} h: 'further'")
    assert atoms["a"] == ("NOT TESTED", "0 of 4 cells ran")  # two of its arms, two of its control
    assert "trimmed to fit into" in judged["X2"].wording


def test_the_report_names_what_was_trimmed(tmp_path):
    """Every trimmed group stands among what is left out, with its reason."""
    fitted = fitting.fit(study_of(), equal_costs(study_of()), hours=99 / 3600, workers=1)
    store.create_study(tmp_path, fitted)
    told = build.build_folder(tmp_path).alerts
    assert "Left out: shown (2 cells): trimmed to fit into 0.0275 h: only shown, about 20 s." in told


def test_a_fit_that_names_no_group_that_could_be_trimmed_is_refused():
    """Neither an unknown group, nor one that is timed."""
    content = study_of(timing=True).model_dump(mode="json", by_alias=True)
    for name in ("panel", "nowhere"):
        content["fit"] = {"hours": 1.0, "seconds": 1.0, "trimmed": {name: "w"}}
        with pytest.raises(ValidationError, match=f"fit.trimmed names '{name}', which is no group that could be"):
            plan.Study.model_validate(content)


def test_a_fitted_study_stays_as_it_is(tmp_path):
    """Asked for without hours, or with the same, it goes on; other hours are refused, as are any on one not fitted."""
    study = study_of()
    fitted = fitting.fit(study, equal_costs(study), hours=0.5, workers=1)
    assert store.as_fitted(tmp_path / "new", study, hours=2) == study
    store.create_study(tmp_path / "fitted", fitted)
    store.create_study(tmp_path / "whole", study)
    for hours in (None, 0.5):
        assert store.as_fitted(tmp_path / "fitted", study, hours=hours) == fitted
    assert store.as_fitted(tmp_path / "whole", study) == study
    for folder, was in (("fitted", "with --fit-hours 0.5"), ("whole", "without --fit-hours")):
        expected = f"{folder} holds a study that was made {was}, asked for 2; what is planned stays as it is: "
        with pytest.raises(StudyMismatch, match=re.escape(expected)):
            store.as_fitted(tmp_path / folder, study, hours=2)


@pytest.mark.parametrize("name", suite.names())
def test_arms_take_the_same_cells_from_a_plan_and_from_a_frame(name):
    """Judging and planning agree on every arm of every built-in suite about which cells are its own."""
    text = CorpusFacts(name="n", sha256="a" * 64, split="story")
    study = plan.study(name, suite.find(name)[1], text=text, **KNOWN)
    cells = table.cells(study, Contents((), ()))
    judged = [entry for entry in plan.planned(study) if not entry.trial]
    taken = 0
    for claim in study.preregistration.claims.values():
        for atom in claim.atoms.values():
            for arm in atom.arms.values():
                fits = [arm.fits(entry.cell) for entry in judged]
                assert fits == evidence.matches(arm, cells).tolist()
                taken += sum(fits)
    assert taken


def test_a_plan_says_where_costs_come_from_and_what_hangs_on_each_line():
    """All fields are in the row; half of the cells of one group are known from records."""
    study = study_of()
    rows = {line.name: line for line in summary.summary(study, {}, costs=Costs({}))}
    assert rows["first"].row() == {
        "name": "first",
        "task": "uniform_tokens",
        "cells": 2,
        "cached": 0,
        "seconds": 0.1,
        "cost": "model",
        "priority": "decides",
        "claims": ["X1"],
        "left_out": "",
    }
    fitted = fitting.fit(study, equal_costs(study), hours=79 / 3600, workers=1)
    known = {line.name: line for line in summary.summary(fitted, {}, costs=equal_costs(study))}
    assert [known["first"].cost, known["shown"].cost] == ["measured", ""]
    assert (known["shown"].cells, known["shown"].seconds) == (2, 0)
    assert known["shown"].short_row()["priority"] == "left out"
    assert known["shown"].row()["left_out"].startswith("trimmed to fit into")


def cell_of(**changes):
    fields = {"task": "recall", "model": "lstm", "length": 100, "seed": 1, "width": 64}
    return Cell.model_validate(fields | changes)


def test_the_model_of_costs_grows_with_what_a_cell_does():
    """More steps, longer sequences, wider, deeper, more tests, more often evaluated, more rounds, longer contexts."""
    timed = {"probe": "decode_time", "model": "transformer"}
    ladders = [
        [{"training": TRAINING | {"steps": steps}} for steps in (100, 200, 400)],
        [{"training": TRAINING, "length": length} for length in (50, 100, 200)],
        [{"training": TRAINING, "width": width} for width in (16, 32, 64)],
        [{"training": TRAINING, "layers": layers} for layers in (1, 2)],
        [{"training": TRAINING, "test_lengths": lengths} for lengths in ([], [200], [200, 800])],
        [{"training": TRAINING | {"evaluate_every": every}} for every in (50, 25, 5)],
        [{"training": TRAINING, "probe": "capacity", "length": length} for length in (8, 16, 32)],
        [{"probe": probe, "length": 600} for probe in ("state_bytes", "lyapunov")],
        [{"probe": "training_time", "timing": {"batch": 1, "rounds": rounds}} for rounds in (3, 5, 7)],
        [{"probe": "training_time", "timing": {"batch": batch}} for batch in (64, 256)],
        [timed | {"timing": {"batch": 1}, "length": length} for length in (64, 16384, 65536)],
    ]
    for ladder in ladders:
        found = [costs.modelled_seconds(cell_of(**changes)) for changes in ladder]
        assert all(one < two for one, two in pairwise(found)), ladder


def test_a_trial_is_not_tested_and_a_rule_costs_nothing_itself():
    """A trial costs its training and its evaluations; the rate of a cell does not change its cost."""
    rule = RateRule(
        task="recall",
        length=9,
        width=8,
        training=TrainConfig(steps=9, batch=1),
        rates=(1, 2, 3),
        seeds=1,
        first_seed=5,
        pick="best",
    )
    given = costs.modelled_seconds(cell_of(training=TRAINING))
    found = costs.modelled_seconds(cell_of(training=TRAINING | {"learning_rate": None}, rate=rule))
    assert costs.modelled_seconds(cell_of(training=TRAINING, probe="training_curves")) < given == found


def test_timed_steps_beat_the_model_and_tell_how_slow_the_machine_is():
    """A timed kind costs its steps; what was not timed is as much slower as those are; records beat both."""
    timed, other = cell_of(training=TRAINING), cell_of(training=TRAINING, model="gru")
    slow = Costs({}).timed([(timed, 3 * costs.step_seconds(timed))])
    for cell in (timed, other, cell_of(probe="training_time", timing=TimingConfig(batch=4).model_dump())):
        assert slow.seconds(cell) == pytest.approx(3 * Costs({}).seconds(cell))
    assert [slow.source(timed), slow.source(other)] == ["timed", "model"]
    another_seed = cell_of(training=TRAINING | {"learning_rate": 0.5, "steps": 200}, seed=7)
    assert slow.source(another_seed) == "timed"
    known = Costs({costs.kind_of(timed): 7.0}).timed([(timed, 1.0)])
    assert (known.seconds(timed), known.source(timed)) == (7.0, "measured")
