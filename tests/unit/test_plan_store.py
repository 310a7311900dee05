"""Plans and the store: deterministic cells, atomic files, nothing overwritten, nothing believed that is not valid."""

import json
import multiprocessing
import re
from pathlib import Path

import pytest

from seqbench import plan, store, suite
from seqbench.errors import InvalidInput, StoreError, StudyLocked, StudyMismatch, UnknownName
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
    with pytest.raises(InvalidInput, match=r"^group 'g': give training\.steps and so on, or a probe"):
        study_of(group_of(probe=None))


def test_the_cost_of_a_cell_is_what_it_took_before():
    """Stored records of this machine beat the model; other machines' records do not count."""
    study = study_of(group_of())
    (planned,) = plan.planned(study)
    known = plan.Costs.of([record_of(planned, study)], machine="m1")
    elsewhere = plan.Costs.of([record_of(planned, study)], machine="m2")
    assert (known.seconds(planned.cell), elsewhere.seconds(planned.cell)) == (2.0, 0.1)


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
    edited["cell"]["width"] = 9
    four.write_text(json.dumps(edited))
    (tmp_path / "m1" / "x.part").write_text("")
    faults = "\n".join(store.validate(tmp_path))
    for expected in (
        r"missing: uniform_tokens/rnn/L00008-s1000-state_bytes ",
        r"missing: uniform_tokens/rnn/L00008-s1001-state_bytes ",
        r"broken: .*s1001.*not JSON",
        r"s2002.*stands in the wrong place",
        r"s1003.*its cell is not the one that its fingerprint stands for",
        r"m1/x\.part: a half-written file",
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
        with pytest.raises(StudyLocked, match="another seqbench run is writing into"), store.locked(tmp_path):
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


def _hold(folder, holding, release):
    with store.locked(folder):
        holding.set()
        release.wait(30)
