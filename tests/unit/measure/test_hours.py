"""Studies that are fitted into hours and calls that end in time, run for real in a few steps."""

import re

import pytest

from seqbench import plan, priority, store
from seqbench.costs import Costs, kind_of_steps
from seqbench.errors import StudyMismatch, UsageError
from seqbench.measure import calibrate, conduct, prepare
from seqbench.measure.environment import describe
from seqbench.measure.models import MODELS
from seqbench.measure.probes import PROBES
from seqbench.suite import Suite

KNOWN = {"known_models": MODELS, "known_probes": PROBES}
STEPS = {"steps": 4, "batch": 4, "learning_rate": 1e-3, "evaluate_every": 2, "evaluation_sequences": 8}
ARM = {"task": "recall", "model": "rnn"}
CLAIM = {
    "title": "t",
    "sentence": "S.",
    "rule": "a",
    "atoms": {
        "a": {
            "estimand": "recall",
            "unit": "1",
            "test": "one_sample",
            "measurement": "recall_auc",
            "support": 0.5,
            "arms": {"subject": ARM},
        }
    },
}
ENDLESS = 10**7
"""Steps of a training that fits into no time."""


def study_of(*, steps=4, models=("rnn",), further=(), **group):
    decides = {"name": "decides", "task": "recall", "models": list(models), "lengths": [9], "width": 8, "seeds": 2}
    shows = decides | {"name": "shows", "models": ["gru"], "training": STEPS | {"steps": steps}}
    groups = [decides | {"training": STEPS} | group, shows, *further]
    suite = Suite.model_validate({"title": "t", "own_claims": {"X1": CLAIM}, "groups": groups})
    return plan.study("s", suite, development=True, **KNOWN)


def conducted(study, folder, **settings):
    told = []
    chosen = {"executor": "serial"} | settings
    clock = chosen.pop("clock", None)
    more = {} if clock is None else {"clock": clock}
    left = conduct.conduct(study, folder, settings=conduct.Settings(**chosen), started=told.append, **more)
    return told[0], left


def numbers(folder):
    """Return what was measured, by cell."""
    held = store.contents(folder).accepted().values()
    return {entry.cell: (entry.status, entry.measurements, entry.learning_rate) for entry in held}


def test_a_study_is_fitted_once_before_the_first_cell(tmp_path):
    """An endless group is trimmed; the folder alone says so; the next calls go on with what was planned."""
    study = study_of(steps=ENDLESS)
    outlook, _ = conducted(study, tmp_path, fit_hours=0.1)
    assert (outlook.outstanding, outlook.planned) == (2, 2)
    (left,) = outlook.trimmed
    assert (left.what, left.cells) == ("shows", 2)
    assert re.fullmatch(r"trimmed to fit into 0\.1 h: only shown, about \d+ s", left.why)
    held = store.open_study(tmp_path)
    assert held.model_copy(update={"fit": None}) == study
    assert [*held.fit.trimmed] == ["shows"]
    assert 0 < held.fit.seconds < 360
    assert store.validate(tmp_path) == ()
    for hours in (None, 0.1):
        again, _ = conducted(study, tmp_path, fit_hours=hours)
        assert (again.outstanding, again.planned, again.trimmed) == (0, 2, outlook.trimmed)
    with pytest.raises(StudyMismatch, match=r"made with --fit-hours 0\.1, asked for 0\.2"):
        conducted(study, tmp_path, fit_hours=0.2)
    assert store.open_study(tmp_path) == held


def test_a_study_that_was_not_fitted_is_not_fitted_later(tmp_path):
    """What ran without --fit-hours is not trimmed in a later call."""
    study = study_of()
    conducted(study, tmp_path)
    with pytest.raises(StudyMismatch, match=r"made without --fit-hours, asked for 1;"):
        conducted(study, tmp_path, fit_hours=1)


def test_another_suite_is_refused_in_a_fitted_folder_too(tmp_path):
    """A fit does not hide that the rest of the study is another one."""
    conducted(study_of(steps=ENDLESS), tmp_path, fit_hours=0.1)
    with pytest.raises(StudyMismatch, match=r"training\.steps: 10000000, asked for 4"):
        conducted(study_of(), tmp_path)


def test_what_cannot_fit_is_refused_and_leaves_no_study(tmp_path):
    """Where timing alone does not fit, nothing is written, and the next call may ask for more."""
    timed = {"name": "panel", "task": "uniform_tokens", "probe": "training_time", "models": ["rnn"], "lengths": [8]}
    timed |= {"width": 8, "seeds": 1, "timing": {"batch": 1, "processes": 100, "rounds": 100}}
    study = study_of(further=[timed])
    with pytest.raises(UsageError, match=r"^--fit-hours 0\.001 is too little: timing and controls alone take about"):
        conducted(study, tmp_path, fit_hours=0.001)
    assert not (tmp_path / "study.json").exists()


def test_calibrating_changes_no_measurement(tmp_path):
    """Fitted or not, a cell's numbers are the same bit for bit."""
    study = study_of()
    conducted(study, tmp_path / "whole")
    conducted(study, tmp_path / "fitted", fit_hours=1)
    assert store.open_study(tmp_path / "fitted").fit.trimmed == {}
    assert numbers(tmp_path / "fitted") == numbers(tmp_path / "whole")
    assert len(numbers(tmp_path / "whole")) == 4


def context_of(study):
    return prepare.Context(
        cards=study.cards, preregistration=study.preregistration_sha256, environment=describe("cpu", threads=1)
    )


def test_each_kind_of_training_is_timed_once(tmp_path, monkeypatch):
    """Seeds, rates and budgets make no further kind; what crashes or trains itself is left out."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dies.py").write_text("import os\ndef build(spec):\n    os._exit(1)\n")
    capacity = {"name": "c", "task": "capacity", "probe": "capacity", "models": ["gru"], "lengths": [8], "width": 4}
    bytes_ = {"name": "b", "task": "uniform_tokens", "probe": "state_bytes", "models": ["rnn"], "lengths": [8]}
    more = {"name": "m", "task": "recall", "models": ["rnn"], "lengths": [9], "width": 8}
    further = [
        capacity | {"seeds": 1, "training": STEPS},
        bytes_ | {"seeds": 1, "width": 8},
        more | {"seeds": 1, "training": STEPS | {"steps": 9, "learning_rate": 1.0}},
    ]
    study = study_of(models=("dies.py:build", "rnn", "gru"), further=further)
    entries = plan.planned(study)
    found = calibrate.calibrate(entries, context=context_of(study), timeout_seconds=60)
    assert sorted(cell.model for cell, _ in found) == ["gru", "rnn"]
    assert all(0 < seconds < 10 for _, seconds in found)
    assert len({kind_of_steps(cell) for cell, _ in found}) == 2


def test_a_slower_model_is_timed_as_slower():
    """Sixteen times the length of the same model takes longer."""
    study = study_of(lengths=[16, 256])
    cells = {entry.cell.length: entry.cell for entry in plan.planned(study) if entry.group == "decides"}
    short, long = (calibrate.step_seconds(cells[length], context=context_of(study)) for length in (16, 256))
    assert short < long


class Clock:
    """A clock that a record moves on by as many seconds as it stands for."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_a_call_begins_nothing_that_would_not_fit_and_the_next_one_goes_on(tmp_path):
    """Cells of 0.05 s: with 0.12 s two are begun; what a call left the next ones run, and nothing is trimmed."""
    group = {"name": "b", "task": "uniform_tokens", "probe": "state_bytes", "models": ["rnn"], "lengths": [8]}
    suite = Suite.model_validate({"title": "t", "groups": [group | {"width": 8, "seeds": 5}]})
    study = plan.study("s", suite, development=True, **KNOWN)
    clock = Clock()
    settings = conduct.Settings(executor="serial", max_hours=0.12 / 3600)

    def finished(_record):
        clock.now += 0.05

    left = conduct.conduct(study, tmp_path, settings=settings, finished=finished, clock=clock)
    assert len(store.contents(tmp_path).records) == 2
    assert len(left.passed_over) == 3
    assert re.fullmatch(
        r"--max-hours: 3 of the cells left would not have fitted, about 0 s on one core; the longest, "
        r"uniform_tokens/rnn/L00008-s10\d-state_bytes, about 0 s",
        left.waiting(),
    )
    assert store.open_study(tmp_path) == study
    conduct.conduct(study, tmp_path, settings=conduct.Settings(executor="serial"))
    assert len(store.contents(tmp_path).records) == 5
    assert store.validate(tmp_path) == ()


def test_a_shorter_cell_that_fits_is_run_where_a_longer_one_does_not(tmp_path):
    """The endless cells wait; the others do not wait for them."""
    study = study_of(steps=ENDLESS)
    outlook, left = conducted(study, tmp_path, max_hours=0.1)
    assert (outlook.outstanding, outlook.trimmed) == (4, ())
    assert outlook.seconds > 360
    assert {entry.cell.model for entry in left.passed_over.values()} == {"gru"}
    assert {entry.model for entry in numbers(tmp_path)} == {"rnn"}


@pytest.mark.parametrize("executor", ["serial", "pool"])
def test_without_any_time_no_executor_begins_anything(tmp_path, executor):
    """Neither shared cells nor panels."""
    timed = {"name": "panel", "task": "uniform_tokens", "probe": "training_time", "models": ["rnn"], "lengths": [8]}
    study = study_of(further=[timed | {"width": 8, "seeds": 1, "timing": {"batch": 1}}])
    _, left = conducted(study, tmp_path, executor=executor, workers=2, max_hours=0.0)
    assert len(left.passed_over) == 5
    assert store.contents(tmp_path).records == ()


def test_what_records_of_this_machine_took_is_what_a_call_expects(tmp_path):
    """A cell whose like took an hour is not begun in half of one, however short the model has it."""
    study = study_of()
    conducted(study, tmp_path / "once")
    (one, *_) = [entry for entry in store.contents(tmp_path / "once").accepted().values() if entry.cell.model == "rnn"]
    store.create_study(tmp_path / "R", study)
    store.save(tmp_path / "R", one.model_copy(update={"wall_seconds": 3600.0}))
    _, left = conducted(study, tmp_path / "R", max_hours=0.5)
    assert [entry.cell.model for entry in left.passed_over.values()] == ["rnn"]
    assert len(numbers(tmp_path / "R")) == 1 + 2


def test_costs_of_a_real_run_are_within_a_factor_of_ten(tmp_path):
    """The model is there for planning: on any machine it has the order of magnitude of a training."""
    training = {"steps": 40, "batch": 32, "learning_rate": 1e-3}
    group = {"name": "g", "task": "recall_loguniform", "models": ["lstm"], "lengths": [100], "width": 32, "seeds": 1}
    suite = Suite.model_validate({"title": "t", "groups": [group | {"training": training}]})
    study = plan.study("s", suite, development=True, **KNOWN)
    conducted(study, tmp_path)
    ((cell, _),) = numbers(tmp_path).items()
    (record,) = store.contents(tmp_path).accepted().values()
    assert 0.1 < record.wall_seconds / Costs({}).seconds(cell) < 10


def test_verdicts_of_a_fitted_study_need_its_file_alone(tmp_path):
    """What was trimmed is read from the folder."""
    study = study_of(steps=4, training=STEPS | {"steps": ENDLESS})
    conducted(study, tmp_path, fit_hours=0.1)
    assert priority.untested(store.open_study(tmp_path)) == {("X1", "a"): "trimmed to fit into 0.1 h: 'decides'"}


def test_a_lane_is_run_alone(tmp_path):
    """Timed cells on a quiet machine, all others elsewhere: each call runs its lane, and both make the study."""
    timed = {
        "name": "timed",
        "task": "uniform_tokens",
        "probe": "training_time",
        "models": ["rnn"],
        "lengths": [8],
        "width": 8,
        "seeds": 1,
        "timing": {"batch": 2, "processes": 1, "rounds": 2, "warmup_seconds": 0.0},
    }
    study = study_of(further=(timed,))
    outlook, _ = conducted(study, tmp_path, lane="shared")
    assert outlook.outstanding == 4
    assert {entry.lane for entry in store.contents(tmp_path).accepted().values()} == {"shared"}
    outlook, _ = conducted(study, tmp_path, lane="exclusive")
    assert outlook.outstanding == 1
    assert not store.missing(plan.planned(study), store.contents(tmp_path))


def test_a_panel_is_timed_whole_where_time_is_short(tmp_path):
    """One of three records is lost: with a limit, too, all of the panel is timed again and its records pair."""
    timed = {
        "name": "timed",
        "task": "uniform_tokens",
        "probe": "training_time",
        "models": ["rnn", "lstm", "gru"],
        "lengths": [8],
        "width": 8,
        "seeds": 1,
        "timing": {"batch": 2, "processes": 1, "rounds": 2, "warmup_seconds": 0.0},
    }
    study = study_of(further=(timed,))
    conducted(study, tmp_path)
    next(tmp_path.rglob("uniform_tokens/gru/*.json")).unlink()
    conducted(study, tmp_path, max_hours=1.0)
    held = store.contents(tmp_path).accepted().values()
    assert len({entry.panel for entry in held if entry.lane == "exclusive"}) == 1


def test_where_time_is_short_claims_come_before_what_is_only_shown(tmp_path):
    """The longer cells are only shown: with a limit they come last, without one they come first."""
    order = []
    for folder, settings in (("short", {"max_hours": 1.0}), ("long", {})):
        conduct.conduct(
            study_of(steps=40),
            tmp_path / folder,
            settings=conduct.Settings(executor="serial", **settings),
            finished=lambda record: order.append(record.cell.model),
        )
    assert order == ["rnn", "rnn", "gru", "gru", "gru", "gru", "rnn", "rnn"]
