"""Plans and the store: deterministic cells, atomic files, nothing overwritten, nothing believed that is not valid."""

import json
import math
import multiprocessing
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from seqbench import cards, outline, plan, record, store, suite
from seqbench.cell import TimingConfig, TrainConfig
from seqbench.costs import Costs
from seqbench.errors import InvalidInput, StoreError, StudyLocked, StudyMismatch, UnknownName, UsageError
from seqbench.measure.models import MODELS
from seqbench.measure.probes import PROBES
from seqbench.record import CorpusFacts, Environment, Record
from seqbench.suite import Group, Suite

HERE = Environment(
    machine="m1", cpu="c", cores=2, memory_gib=8, device="cpu", threads=1, system="s", libraries={"torch": "2"}
)


def study_of(*groups, **changes):
    known = {"known_models": MODELS, "known_probes": PROBES}
    return plan.study("mine", Suite(title="t", groups=groups, **changes.pop("suite", {})), **known, **changes)


def group_of(**changes):
    fields = {"name": "g", "task": "uniform_tokens", "probe": "state_bytes", "models": ("rnn",), "lengths": (8,)}
    return Group(**(fields | {"width": 8, "seeds": 1} | changes))


def record_of(planned, study, **changes):
    fields = {
        "cell": planned.cell,
        "fingerprint": planned.fingerprint,
        "preregistration": study.preregistration_sha256,
        "status": "ok",
        "environment": HERE,
        "wall_seconds": 2.0,
        "finished": "2026-01-01T00:00:00+00:00",
    }
    return Record(**(fields | changes))


def filled(folder, study):
    store.create_study(folder, study)
    for planned in plan.planned(study):
        store.save(folder, record_of(planned, study))


def test_confirmatory_seeds_start_at_1000_and_development_ones_at_100():
    """Seeds come from the pre-registration: 1000, 1001, … or, for development, 100, 101, …"""
    seeds = [[p.cell.seed for p in plan.planned(study_of(group_of(seeds=2), development=d))] for d in (False, True)]
    assert seeds == [[1000, 1001], [100, 101]]


def test_cells_listed_twice_are_planned_once():
    """Two groups that ask for the same cell share it."""
    assert len(plan.planned(study_of(group_of(), group_of(name="again")))) == 1


def test_a_text_group_without_a_text_is_left_out_with_a_reason():
    """Without --corpus the real-text cells are not planned, and the plan says why."""
    study = study_of(group_of(), group_of(name="text", task="text"))
    assert [p.cell.task for p in plan.planned(study)] == ["uniform_tokens"]
    assert plan.left_out(study) == (plan.LeftOut("text", 1, "no real text was given; name one with --corpus"),)


def test_another_text_gives_other_fingerprints_to_text_cells_only():
    """The corpus hash is part of what makes a text cell, and of nothing else."""
    groups = (group_of(), group_of(name="text", task="text"))
    one, two = (
        {
            p.cell.task: p.fingerprint
            for p in plan.planned(study_of(*groups, text=CorpusFacts(name="n", sha256=s, split="story")))
        }
        for s in ("a", "b")
    )
    assert one["uniform_tokens"] == two["uniform_tokens"]
    assert one["text"] != two["text"]


def test_exclude_leaves_out_matching_cells_only():
    """A cell is left out when every entry of a table matches it."""
    study = study_of(
        group_of(models=("rnn", "gru"), lengths=(4, 8)), suite={"exclude": ({"model": "gru", "length": 8},)}
    )
    assert [(p.cell.model, p.cell.length) for p in plan.planned(study)] == [("rnn", 4), ("gru", 4), ("rnn", 8)]


def test_a_misspelt_model_is_refused_before_anything_runs():
    """An unknown model in a suite is answered with the nearest one."""
    with pytest.raises(UnknownName, match=r"^no model named 'ltsm'; did you mean lstm\?"):
        study_of(group_of(models=("ltsm",)))


def test_a_group_without_budget_or_probe_is_refused():
    """A group must say what to measure or how long to train."""
    with pytest.raises(ValidationError, match=r"group 'g': give training\.steps and so on, or a probe"):
        group_of(probe=None)


def test_the_cost_of_a_cell_is_what_it_took_before():
    """Stored records of this machine beat the model; other machines' records do not count."""
    study = study_of(group_of())
    (planned,) = plan.planned(study)
    known = Costs.of([outline.of(record_of(planned, study))], machine="m1")
    elsewhere = Costs.of([outline.of(record_of(planned, study))], machine="m2")
    assert (known.seconds(planned.cell), elsewhere.seconds(planned.cell)) == (2.0, 0.05)


def test_planning_imports_no_torch():
    """A plan can be made on a machine without torch: nothing on the way imports it."""
    code = (
        "import sys; from seqbench import plan, suite, store; from seqbench.measure.models import MODELS;"
        "from seqbench.measure.probes import PROBES;"
        "s = plan.study('quick', suite.find('quick')[1], known_models=MODELS, known_probes=PROBES);"
        "assert plan.planned(s); assert not {'torch', 'pandas'} & set(sys.modules)"
    )
    process = multiprocessing.get_context("spawn").Process(target=exec, args=[code, {}])
    process.start()
    process.join()
    assert process.exitcode == 0


def test_a_study_reads_back_from_its_file(tmp_path):
    """`study.json` holds the whole study, so that judging needs nothing else."""
    study = plan.study("quick", suite.find("quick")[1], known_models=MODELS, known_probes=PROBES)
    store.create_study(tmp_path, study)
    assert store.open_study(tmp_path) == study


def test_another_study_is_refused_by_what_differs(tmp_path):
    """A folder that holds another study is not written into, and the error says what differs."""
    store.create_study(tmp_path, study_of(group_of()))
    with pytest.raises(StudyMismatch, match=r"holds another study \(development: False, asked for True\)"):
        store.create_study(tmp_path, study_of(group_of(), development=True))


def test_every_attempt_is_a_new_file_and_the_last_one_counts(tmp_path):
    """Saving twice keeps both files; the accepted record is the later attempt."""
    study = study_of(group_of())
    (planned,) = plan.planned(study)
    store.create_study(tmp_path, study)
    first = store.save(tmp_path, record_of(planned, study, status="crashed"))
    second = store.save(tmp_path, record_of(planned, study))
    assert [first.name[-8:], second.name[-8:]] == ["a01.json", "a02.json"]
    assert store.contents(tmp_path).accepted()[planned.fingerprint].status == "ok"


def test_a_record_stands_where_its_cell_says(tmp_path):
    """The place of a record: machine, task, model, then length, seed, probe, fingerprint and attempt."""
    study = study_of(group_of(models=("rnn@init=identity",)))
    (planned,) = plan.planned(study)
    path = store.save(tmp_path, record_of(planned, study)).relative_to(tmp_path).as_posix()
    name = f"L00008-s1000-state_bytes-{planned.fingerprint[:6]}-a01.json"
    assert path == f"m1/uniform_tokens/rnn@init=identity/{name}"


@pytest.mark.parametrize("model", ["../../etc/x.py:build", "/abs/own.py:build", "..", "a\\b"])
def test_no_model_name_leaves_the_study_folder(model):
    """Whatever a model is called, its folder is one plain name."""
    assert re.fullmatch(r"[A-Za-z0-9@=,_+-][A-Za-z0-9@=,._+-]*", store.slug(model))


def test_a_broken_file_is_listed_and_never_used(tmp_path):
    """A half-written record is reported with a reason, and its cell counts as missing."""
    study = study_of(group_of())
    filled(tmp_path, study)
    (path,) = tmp_path.glob("*/*/*/*.json")
    path.write_bytes(path.read_bytes()[:100])
    held = store.contents(tmp_path)
    assert [item.reason for item in held.broken] == [
        f"{path.relative_to(tmp_path).as_posix()}: not JSON (half-written or edited?); move the file away and run again"
    ]
    assert store.missing(plan.planned(study), held) == plan.planned(study)


def test_a_complete_study_validates(tmp_path):
    """Every planned cell with one accepted record and no broken file: nothing to report."""
    study = study_of(group_of(seeds=3))
    filled(tmp_path, study)
    assert store.validate(tmp_path) == ()


def test_validation_names_each_kind_of_fault(tmp_path):
    """A missing cell, a broken file, a moved file, an edited cell and a leftover part are each named."""
    study = study_of(group_of(seeds=5))
    filled(tmp_path, study)
    one, two, three, four, _ = sorted(tmp_path.glob("*/*/*/*.json"))
    one.unlink()
    two.write_text("{")
    three.rename(three.with_name(three.name.replace("s1002", "s2002")))
    edited = json.loads(four.read_text())
    del edited["sha256"]  # as another tool would write it
    edited["cell"]["width"] = 9
    four.write_text(json.dumps(edited))
    four.with_suffix(".part").write_text("")
    faults = "\n".join(store.validate(tmp_path))
    for expected in (
        r"missing: uniform_tokens/rnn/L00008-s1000-state_bytes ",
        r"missing: uniform_tokens/rnn/L00008-s1001-state_bytes ",
        r"broken: .*s1001.*not JSON",
        r"s2002.*stands in the wrong place",
        r"s1003.*its cell is not the one that its fingerprint stands for",
        r"m1/.*s1003.*\.part: a half-written file",
    ):
        assert re.search(expected, faults), (expected, faults)


def test_retry_asks_again_for_a_status_only():
    """Cells whose accepted record has a status that is to be retried are to do; the others are not."""
    study = study_of(group_of(seeds=2))
    one, two = plan.planned(study)
    held = store.Contents((("a", record_of(one, study, status="error")), ("b", record_of(two, study))), ())
    assert store.missing((one, two), held) == ()
    assert store.missing((one, two), held, retry=["error"]) == (one,)


def test_a_second_writer_is_told_to_wait(tmp_path):
    """While one process writes into a study, another is refused with a clear line."""
    context = multiprocessing.get_context("spawn")
    holding, release = context.Event(), context.Event()
    process = context.Process(target=_hold, args=[tmp_path, holding, release])
    process.start()
    holding.wait(30)
    try:
        with (
            pytest.raises(StudyLocked, match=rf"another seqbench run \(process {process.pid}\) is writing into"),
            store.locked(tmp_path),
        ):
            pass
    finally:
        release.set()
        process.join()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that nobody can write into, as /proc")
def test_an_unwritable_folder_is_named():
    """A results folder that cannot be written is refused with the place and what to do."""
    expected = r"^/proc/nowhere cannot be written \(.*\); free space or give another --results$"
    with pytest.raises(StoreError, match=expected), store.locked(Path("/proc/nowhere")):
        pass


def test_sweeping_leaves_what_is_not_the_stores(tmp_path):
    """Only the store's own half-written files go: users' files of the same ending stay, a folder aborts nothing."""
    study = study_of(group_of())
    filled(tmp_path, study)
    (held,) = tmp_path.glob("*/*/*/*.json")
    own = [tmp_path / "study.part", held.with_suffix(".part")]
    kept = [
        tmp_path / "mine.part",
        tmp_path / "m1" / "x.part",
        held.parent / "film.part",
        tmp_path / "a" / "study.part",
    ]
    (tmp_path / "a").mkdir()
    for path in (*own, *kept):
        path.write_text("")
    held.with_name(held.stem[:-1] + "7.part").mkdir()
    store.sweep(tmp_path)
    assert [path.exists() for path in own] == [False, False]
    assert all(path.exists() for path in kept)


def attempt(folder, number):
    """Return the file of an attempt at the only cell of a study."""
    (first,) = folder.glob("*/*/*/*-a01.json")
    return first.with_name(first.name.replace("-a01", f"-a{number:02d}"))


@pytest.mark.parametrize("status", ["crashed", "oom", "contended", "error", "timeout", "unsolved", "diverged"])
def test_an_attempt_after_one_that_failed_is_sound(tmp_path, status):
    """What the machine spoilt is tried again at once, anything else but ok when it is asked for."""
    study = study_of(group_of())
    (planned,) = plan.planned(study)
    store.create_study(tmp_path, study)
    store.save(tmp_path, record_of(planned, study, status=status))
    store.save(tmp_path, record_of(planned, study))
    assert store.validate(tmp_path) == ()


def test_an_attempt_after_one_that_was_ok_is_a_fault(tmp_path):
    """A cell that is done has one record; a second one of the same machine is named."""
    study = study_of(group_of())
    (planned,) = plan.planned(study)
    store.create_study(tmp_path, study)
    first = store.save(tmp_path, record_of(planned, study)).relative_to(tmp_path).as_posix()
    second = store.save(tmp_path, record_of(planned, study, wall_seconds=3.0)).relative_to(tmp_path).as_posix()
    expected = f"{second}: the attempt before it, {first}, was ok, so there was nothing to try again"
    assert store.validate(tmp_path) == (expected,)


@pytest.mark.parametrize("status", ["ok", "error"])
def test_a_copy_of_a_record_is_a_fault(tmp_path, status):
    """An attempt that says the same as the one before it, NaN included, is stored twice."""
    study = study_of(group_of())
    (planned,) = plan.planned(study)
    store.create_study(tmp_path, study)
    measured = (record.Measurement(name="x", value=math.nan, unit="1"),)
    store.save(tmp_path, record_of(planned, study, status=status, measurements=measured))
    attempt(tmp_path, 2).write_bytes(attempt(tmp_path, 1).read_bytes())
    (fault,) = store.validate(tmp_path)
    assert re.search(r"-a02\.json: stored twice, the same as m1/.*-a01\.json; remove it$", fault)


def test_a_gap_between_attempts_is_a_fault(tmp_path):
    """Attempts are numbered 1, 2, 3: one that was taken away is missed, a broken one in its place is not."""
    study = study_of(group_of())
    (planned,) = plan.planned(study)
    store.create_study(tmp_path, study)
    store.save(tmp_path, record_of(planned, study, status="crashed"))
    store.save(tmp_path, record_of(planned, study))
    attempt(tmp_path, 2).rename(attempt(tmp_path, 3))
    (fault,) = store.validate(tmp_path)
    assert re.search(r"-a03\.json: attempt 2 before it is not there; restore it$", fault)
    attempt(tmp_path, 2).write_text("{")
    (fault,) = store.validate(tmp_path)
    assert fault.startswith("broken: ")


def test_a_panel_timed_again_is_sound(tmp_path):
    """A panel is timed whole, so a member that was ok has a later attempt when another member was spoilt."""
    timing = TimingConfig(batch=1)
    study = study_of(group_of(probe="training_time", timing=timing))
    (planned,) = plan.planned(study)
    store.create_study(tmp_path, study)
    fields = {"lane": "exclusive"}
    store.save(tmp_path, record_of(planned, study, panel="one", **fields))
    store.save(tmp_path, record_of(planned, study, panel="two", **fields))
    assert store.validate(tmp_path) == ()
    store.save(tmp_path, record_of(planned, study, panel="two", wall_seconds=9.0, **fields))
    assert len(store.validate(tmp_path)) == 1


def test_the_hundredth_attempt_comes_after_the_eleventh(tmp_path):
    """Attempts are ordered by their number, not by their name."""
    study = study_of(group_of())
    (planned,) = plan.planned(study)
    store.create_study(tmp_path, study)
    for number in range(100):
        store.save(tmp_path, record_of(planned, study, status="error", wall_seconds=number))
    held = store.contents(tmp_path)
    assert [entry.wall_seconds for _, entry in held.records] == list(range(100))
    assert held.accepted()[planned.fingerprint].wall_seconds == 99
    assert store.validate(tmp_path) == ()


@pytest.mark.parametrize(("one", "two", "expected"), [("a", "z", "a"), ("z", "a", "z")])
def test_of_two_machines_the_one_that_finished_last_counts(tmp_path, one, two, expected):
    """Two machines may both have run a cell: the later record is accepted, whatever their folders are called."""
    study = study_of(group_of())
    (planned,) = plan.planned(study)
    store.create_study(tmp_path, study)
    times = ("2026-01-02T00:00:00+00:00", "2026-01-01T00:00:00+00:00")
    for machine, finished in zip((one, two), times, strict=True):
        place = HERE.model_copy(update={"machine": machine})
        store.save(tmp_path, record_of(planned, study, environment=place, finished=finished))
    assert store.contents(tmp_path).accepted()[planned.fingerprint].environment.machine == expected
    assert store.validate(tmp_path) == ()


def test_files_that_could_be_taken_for_records_are_faults(tmp_path):
    """A .json that is neither the study nor an attempt where attempts stand is named, and never used."""
    study = study_of(group_of())
    filled(tmp_path, study)
    content = attempt(tmp_path, 1).read_bytes()
    attempt(tmp_path, 1).with_name("copy of it.json").write_bytes(content)
    (tmp_path / "notes.json").write_text("{}")
    (tmp_path / "m1" / attempt(tmp_path, 1).name).write_bytes(content)
    place = attempt(tmp_path, 1).parent.relative_to(tmp_path).as_posix()
    assert set(store.validate(tmp_path)) == {
        f"broken: {place}/copy of it.json: not named as an attempt; move the file away",
        "notes.json: no file of a study; move it away",
        f"m1/{attempt(tmp_path, 1).name}: no file of a study; move it away",
    }
    assert len(store.contents(tmp_path).records) == 1


def test_a_record_that_cannot_be_read_is_broken(tmp_path):
    """A dangling link and a folder are listed as broken; the rest is used."""
    study = study_of(group_of())
    filled(tmp_path, study)
    attempt(tmp_path, 2).symlink_to(tmp_path / "nowhere")
    attempt(tmp_path, 3).mkdir()
    reasons = [item.reason for item in store.contents(tmp_path).broken]
    place = attempt(tmp_path, 1).parent.relative_to(tmp_path).as_posix()
    assert reasons == [
        f"{place}/{attempt(tmp_path, number).name}: a link or no plain file; put the record itself there"
        for number in (2, 3)
    ]


def test_a_mismatch_names_the_first_key_that_differs(tmp_path):
    """Another study is told by the path of the first key that differs and by both values."""
    store.create_study(tmp_path, study_of(group_of()))
    with pytest.raises(StudyMismatch, match=r"another study \(suite\.groups\.0\.models\.0: rnn, asked for gru\);"):
        store.create_study(tmp_path, study_of(group_of(models=("gru",))))
    with pytest.raises(StudyMismatch, match=r"\(suite\.groups\.0\.lengths\.1: nothing, asked for 9\);"):
        store.create_study(tmp_path, study_of(group_of(lengths=(8, 9))))


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("preregistration", "claims", "C1", "rule"), "1a and 9z", "the rule names the atom '9z', which the claim"),
        (("preregistration", "claims", "C1", "rule"), "1a and", "'1a and' is no rule"),
        (("preregistration", "claims", "C1", "rule"), "(" * 900 + "1a" + ")" * 900, "is no rule"),
        (("preregistration", "claims", "C1", "atoms", "1c", "controls", 0, "arm"), "x", "a control names the arm 'x'"),
        (("preregistration", "claims", "C1", "atoms", "1b", "arms"), {}, "at least 1 item"),
        (("preregistration", "claims", "C1", "atoms", "1a", "test"), "two_sample", "needs the arm 'reference'"),
        (("preregistration", "claims", "C1", "atoms", "1a", "support"), None, "needs the margin 'support'"),
        (("preregistration", "claims"), {}, "preregistration.claims and the suite do not name the same; look at C1"),
        (("preregistration", "level"), "NaN", "preregistration.level: input should be"),
        (("suite", "groups", 0, "task"), "nosuch", "cards and the suite do not name the same; look at nosuch"),
        (("suite", "groups", 0, "lengths"), [0], "suite.groups.0.lengths.0: input should be greater than 0"),
        (("suite", "groups", 0, "models"), ["@"], "'@' is no model"),
        (("own_models",), {"x.py:build": "0"}, "own_models and the suite do not name the same; look at x.py:build"),
    ],
)
def test_an_edited_study_is_refused_by_what_is_wrong(tmp_path, keys, value, message):
    """Every reference inside `study.json` is checked when it is read, so that nothing fails later in judging."""
    store.create_study(tmp_path, study_of(group_of(), suite={"claims": ("C1",)}))
    content = json.loads((tmp_path / "study.json").read_text())
    place = content
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    (tmp_path / "study.json").write_text(json.dumps(content))
    with pytest.raises(StoreError, match=re.escape(message)) as caught:
        store.open_study(tmp_path)
    assert len(str(caught.value).splitlines()) == 1


def test_a_study_says_whether_its_suite_was_built_in(tmp_path):
    """An own suite that is called like a built-in one is still an own one."""
    own = tmp_path / "quick.toml"
    own.write_text('title = "t"\n[[groups]]\nname="g"\ntask="recall"\nprobe="state_bytes"\nmodels=["rnn"]\n')
    own.write_text(own.read_text() + "lengths=[9]\nwidth=8\nseeds=1\n")
    known = {"known_models": MODELS, "known_probes": PROBES}
    studies = [plan.study(*suite.find(name), **known) for name in ("quick", str(own))]
    assert [(study.suite_name, study.suite_source) for study in studies] == [("quick", "built-in"), ("quick", "own")]


TEXT = CorpusFacts(name="n", sha256="a", split="story")
TRAINING = TrainConfig(steps=1, batch=1, learning_rate=0.1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "text", "params": {"part": "test"}}, "no parameter of text named 'part' (known: split)"),
        ({"task": "text", "params": {"split": "word"}}, "group 'g': split 'word' is neither story nor character"),
        (
            {"task": "text", "params": {"split": "character"}},
            "group 'g': split 'character' is asked for, and the study's text is split by story; "
            "give --split character, or leave split out",
        ),
        (
            {"task": "onehot", "probe": None, "training": TRAINING},
            "group 'g': task onehot scores nothing, so training on it says nothing; give a probe",
        ),
        ({"models": ("/own/x.py:build",)}, "model '/own/x.py:build' is an absolute path; give a path relative to"),
    ],
)
def test_a_group_that_cannot_run_is_refused(changes, message):
    """What a group asks of its task, text or model that these do not have is refused before anything runs."""
    with pytest.raises(UsageError, match=f"^{re.escape(message)}"):
        study_of(group_of(**changes), text=TEXT)


def test_a_text_group_may_repeat_the_studys_split():
    """The split that the study has anyway may stand in a group."""
    (planned,) = plan.planned(study_of(group_of(task="text", params={"split": "story"}), text=TEXT))
    assert planned.cell.params == (("split", "story"),)


def test_a_card_scored_by_an_unknown_probe_is_refused(tmp_path):
    """`scored_by` of an own card must name a probe."""
    card = (cards.folder() / "recall.toml").read_text(encoding="utf-8").replace('"recall_by_lag"', '"recal_by_lag"')
    (tmp_path / "mine.toml").write_text(card)
    expected = r"^no probe that scores mine named 'recal_by_lag'; did you mean recall_by_lag\?"
    with pytest.raises(UnknownName, match=expected):
        study_of(group_of(task="mine"), extra_cards=[tmp_path])


def test_exclude_reads_models_as_cells_do():
    """Options in another order name the same model, so they leave it out too."""
    model = "rnn@activation=relu,init=identity"
    excluded = {"exclude": ({"model": "rnn@init=identity,activation=relu"},)}
    study = study_of(group_of(models=(model, "gru")), suite=excluded)
    assert [entry.cell.model for entry in plan.planned(study)] == ["gru"]


def test_a_results_name_that_no_folder_can_have_is_one_line():
    """A name of 5000 letters is refused by the store, whatever is asked of it."""
    place = Path("x" * 5000)
    for ask in (store.open_study, store.contents, store.validate):
        with pytest.raises(StoreError, match=r"cannot be read \(File name too long\); check its name"):
            ask(place)


def _hold(folder, holding, release):
    with store.locked(folder):
        holding.set()
        release.wait(30)


OWN = {
    "title": "Small",
    "sentence": "A vanilla network's state is small.",
    "rule": "a",
    "atoms": {
        "a": {
            "estimand": "bytes",
            "unit": "byte",
            "test": "exact",
            "measurement": "state_bytes",
            "below": 100.0,
            "arms": {"subject": {"task": "uniform_tokens", "probe": "state_bytes", "model": "rnn"}},
        }
    },
}


def test_an_own_claim_joins_what_the_study_fixed():
    """A suite's own claim stands in the pre-registration beside those that it names, and comes back from JSON."""
    study = study_of(group_of(), suite={"claims": ("C1",), "own_claims": {"X1": OWN}})
    assert [*study.preregistration.claims] == ["C1", "X1"]
    assert study.preregistration.claims["X1"].model_dump(exclude_defaults=True) == OWN
    assert plan.Study.model_validate_json(study.model_dump_json(by_alias=True)) == study
    assert study.exploratory == ("its suite is its author's own, with claims of its own: X1",)


def test_an_own_claim_that_no_cell_is_planned_for_is_refused():
    """A model misspelt in an arm would be found out when all else had run."""
    arm = {"task": "uniform_tokens", "probe": "state_bytes", "model": "gru"}
    wrong = OWN | {"atoms": {"a": OWN["atoms"]["a"] | {"arms": {"subject": arm}}}}
    expected = "claim X1, atom a: no group plans cells for the arm 'subject' (task uniform_tokens, model gru, "
    with pytest.raises(InvalidInput, match=f"^{re.escape(expected)}probe state_bytes\\)$"):
        study_of(group_of(), suite={"own_claims": {"X1": wrong}})


def test_an_own_claim_leaves_the_cells_as_they_are():
    """What is judged does not decide what is measured: the same fingerprints with and without the claim."""
    with_claim, without = study_of(group_of(), suite={"own_claims": {"X1": OWN}}), study_of(group_of())
    assert plan.planned(with_claim) == plan.planned(without)
    assert with_claim.preregistration_sha256 != without.preregistration_sha256


def test_an_own_claim_takes_no_name_that_is_there():
    """Nobody judges something else under the name of a claim that seqbench carries."""
    expected = "there is a claim C1 already (Gradients vanish or explode); give yours another name"
    with pytest.raises(InvalidInput, match=f"^{re.escape(expected)}$"):
        study_of(group_of(), suite={"own_claims": {"C1": OWN}})


def test_a_study_whose_own_claim_was_changed_says_so():
    """A margin that differs from the suite's is no longer what was fixed."""
    study = study_of(group_of(), suite={"own_claims": {"X1": OWN}})
    content = study.model_dump(mode="json", by_alias=True)
    content["preregistration"]["claims"]["X1"]["atoms"]["a"]["below"] = 200.0
    changed = plan.Study.model_validate(content)
    assert "its margins were changed after the study was made" in changed.exploratory
    assert changed.caution == f"Exploratory: {'; '.join(changed.exploratory)}. No verdict here is confirmatory."
    del content["preregistration"]["claims"]["X1"]
    with pytest.raises(ValidationError, match=r"do not name the same; look at X1"):
        plan.Study.model_validate(content)


def test_an_own_claim_that_is_none_is_refused_with_all_its_faults(tmp_path):
    """A misspelt key of an atom is named with its place in the suite file, and an impossible name with the pattern."""
    wrong = tmp_path / "mine.toml"
    text = 'title = "t"\n[[groups]]\nname = "g"\ntask = "recall"\nprobe = "state_bytes"\nmodels = ["rnn"]\n'
    text += 'lengths = [9]\nwidth = 8\nseeds = 1\n[own_claims.X1]\ntitle = "t"\nsentnce = "s"\nrule = "a"\n'
    text += '[own_claims.X1.atoms.a]\nestimand = "e"\nunit = "1"\ntest = "exact"\nmeasurement = "m"\nblow = 1.0\n'
    wrong.write_text(text + 'arms.subject = { task = "recall", model = "rnn" }\n')
    with pytest.raises(InvalidInput) as caught:
        suite.find(str(wrong))
    for part in ("missing key 'own_claims.X1.sentence'", "did you mean 'sentence'?", "did you mean 'below'?"):
        assert part in str(caught.value)


def timed_on(folder, study, machine, *, panel, finished, only=None):
    """Store the records of a panel, or of some of its models, as a machine made them one after another."""
    place = HERE.model_copy(update={"machine": machine})
    for planned, moment in zip(plan.planned(study), finished, strict=True):
        if only is None or planned.cell.model in only:
            fields = {"environment": place, "panel": panel, "lane": "exclusive"}
            store.save(folder, record_of(planned, study, finished=f"2026-01-01T00:00:{moment:02d}+00:00", **fields))


@pytest.mark.parametrize("read", [store.contents, store.outlines])
@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (((10, 13), None), ((11, 12), None), "m1"),
        (((10, 12), None), ((11, 13), None), "m2"),
        (((10, 11), None), ((20, 21), ("rnn",)), "m1"),
        (((10, 11), ("gru",)), ((5, 6), None), "m2"),
    ],
    ids=["finished last, begun first", "finished last", "whole before later", "whole before later, the other one"],
)
def test_a_panel_is_taken_whole_from_one_machine(tmp_path, read, first, second, expected):
    """Ratios are of one panel's rounds: whichever of its cells finished when, all its records are of one machine."""
    study = study_of(group_of(probe="training_time", models=("rnn", "gru"), timing=TimingConfig(batch=1)))
    store.create_study(tmp_path, study)
    for machine, (finished, only) in (("m1", first), ("m2", second)):
        timed_on(tmp_path, study, machine, panel=f"of {machine}", finished=finished, only=only)
    found = read(tmp_path).accepted()
    assert {found[planned.fingerprint].machine for planned in plan.planned(study)} == {expected}


def test_outlines_say_what_the_contents_say(tmp_path):
    """Attempts, order, what is accepted and what is broken, with the reasons, do not depend on how much is read."""
    study = study_of(group_of(models=("rnn", "gru"), seeds=6))
    filled(tmp_path, study)
    one, two, three, four, five, *_ = sorted(tmp_path.glob("*/*/rnn/*.json"))
    one.write_bytes(one.read_bytes()[:100])
    two.write_bytes(two.read_bytes().replace(b'"wall_seconds": 2.0', b'"wall_seconds": 3.0'))
    three.unlink()
    three.symlink_to(four)
    five.rename(five.with_name("mine.json"))
    store.save(tmp_path, record_of(plan.planned(study)[1], study, status="crashed", panel='"x"\n'))
    whole, outlined = store.contents(tmp_path), store.outlines(tmp_path)
    assert len(whole.broken) == 4
    assert outlined.broken == whole.broken
    assert outlined.records == tuple((name, outline.of(entry)) for name, entry in whole.records)
    assert outlined.accepted() == {key: outline.of(entry) for key, entry in whole.accepted().items()}
    assert store.missing(plan.planned(study), outlined) == store.missing(plan.planned(study), whole)


def test_cells_that_are_asked_for_are_read_whole(tmp_path):
    """The trials of a rule are needed with what they measured: their last attempts, and no other cell's."""
    study = study_of(group_of(seeds=2))
    one, _ = plan.planned(study)
    filled(tmp_path, study)
    measured = (record.Measurement(name="x", value=1.0, unit="1"),)
    store.save(tmp_path, record_of(one, study, measurements=measured))
    held = store.outlines(tmp_path, whole=[one])
    assert held.of(plan.planned(study)) == {one.cell: record_of(one, study, measurements=measured)}


def test_what_a_call_wrote_joins_what_it_had_read(tmp_path):
    """A further record given by file counts as if the folder had been read again."""
    study = study_of(group_of(seeds=2))
    one, two = plan.planned(study)
    store.create_study(tmp_path, study)
    store.save(tmp_path, record_of(one, study, status="crashed"))
    before = store.outlines(tmp_path, whole=[one, two])
    written = [record_of(one, study), record_of(two, study)]
    names = [store.save(tmp_path, entry).relative_to(tmp_path).as_posix() for entry in written]
    joined = before.plus(dict(zip(names, written, strict=True)))
    again = store.outlines(tmp_path, whole=[one, two])
    assert joined.accepted() == again.accepted()
    assert joined.of([one, two]) == again.of([one, two]) == {one.cell: written[0], two.cell: written[1]}
