"""Suites that tune: what they may say, which cells follow, and which fingerprints."""

import re

import pytest

from seqbench import cards, plan, suite, summary
from seqbench import cell as cells
from seqbench.cell import Cell, Match, TrainConfig, fingerprint
from seqbench.costs import Costs
from seqbench.errors import InvalidInput
from seqbench.measure.models import MODELS
from seqbench.measure.probes import PROBES
from seqbench.record import CorpusFacts
from seqbench.suite import Group, Suite, Tuning

STEPS = {"steps": 3, "batch": 4}
TEXT = CorpusFacts(name="n", sha256="s", split="character")


def tuning_of(**changes):
    return {"name": "t", "task": "recall", "length": 9, "width": 8, "training": STEPS} | changes


def group_of(**changes):
    fields = {"name": "g", "task": "recall", "models": ("rnn",), "lengths": (9,), "width": 16, "seeds": 2}
    return fields | {"tuning": "t", "training": STEPS} | changes


def study_of(*groups, tunings=None, text=None, development=False, **suite_fields):
    content = {"title": "s", "tuning": tunings or [tuning_of()], "groups": groups or [group_of()]} | suite_fields
    checked = cards.validated(Suite, content, source="mine.toml")
    known = {"known_models": MODELS, "known_probes": PROBES}
    return plan.study("mine", checked, text=text, development=development, **known)


def trials_of(study):
    return [entry for entry in plan.planned(study) if entry.trial]


def judged_of(study):
    return [entry for entry in plan.planned(study) if not entry.trial]


def test_a_trained_cell_with_a_rate_has_the_fingerprint_it_always_had(monkeypatch):
    """Cells of suites that do not tune are the same as before there was tuning: no record is orphaned."""
    monkeypatch.setattr(cells, "MEASUREMENT_VERSION", 2)
    training = TrainConfig(steps=400, batch=32, learning_rate=3e-3)
    fields = {"task": "recall_loguniform", "model": "lstm@forget_bias=1", "length": 100, "seed": 1000, "width": 32}
    found = fingerprint(Cell(training=training, **fields), card='{"title":"t"}', corpus_sha256=None, model_sha256=None)
    assert found == "1a3f331d0c7590924e0d30fb885143783c1c48aacc35f2b672bcc03d3a669816"


def test_a_cell_with_a_rule_reads_back_from_its_text():
    """The rule is part of the cell's text, so that any machine can tell which trials it needs."""
    for entry in plan.planned(study_of()):
        assert cells.parse(str(entry.cell)) == entry.cell


def test_every_model_of_the_groups_is_tried_equally_often_before_anything_else():
    """Two groups, three models, one tuning: the union of the models, each with every rate and one more, twice."""
    study = study_of(
        group_of(models=("rnn", "gru")), group_of(name="h", task="copy", models=("gru", "lstm"), lengths=(4, 8))
    )
    entries = plan.planned(study)
    counts = {}
    for entry in trials_of(study):
        counts[entry.cell.model] = counts.get(entry.cell.model, 0) + 1
    assert counts == {"rnn": 10, "gru": 10, "lstm": 10}
    assert [entry.trial for entry in entries] == [True] * 30 + [False] * 12
    assert {(e.cell.probe, e.cell.task, e.cell.length, e.cell.width) for e in trials_of(study)} == {
        ("training_curves", "recall", 9, 8)
    }


@pytest.mark.parametrize("development", [False, True])
def test_seeds_of_trials_are_none_that_is_judged(development):
    """Trials run on seeds from 500 on, whether the study is confirmatory or for development."""
    study = study_of(development=development)
    tried, judged = ({entry.cell.seed for entry in part} for part in (trials_of(study), judged_of(study)))
    assert tried == {500, 501}
    assert judged == ({100, 101} if development else {1000, 1001})


def test_a_suite_whose_seeds_would_meet_is_refused():
    """400 development seeds end at 499 and may be tuned; 401 reach the first seed of tuning."""
    assert study_of(group_of(seeds=400), development=True)
    expected = "tuning 't': its seeds 500-501 are among those that are judged, 100-500; ask for fewer seeds"
    with pytest.raises(InvalidInput, match=f"^{re.escape(expected)}$"):
        study_of(group_of(seeds=401), development=True)
    with pytest.raises(InvalidInput, match="its seeds 500-1000 are among those that are judged, 1000-1001"):
        study_of(tunings=[tuning_of(seeds=501)])


def test_the_waves_are_what_has_its_rate_then_further_rates_then_the_best():
    """A cell that is not tuned waits for nothing."""
    study = study_of(group_of(), group_of(name="h", tuning=None, training=STEPS | {"learning_rate": 1e-3}))
    first, second, third = plan.waves(plan.planned(study))
    assert [len(first), len(second), len(third)] == [8 + 2, 2, 2]
    assert {entry.cell.rate.pick for entry in second} == {"extension"}
    assert {entry.cell.rate.pick for entry in third} == {"best"}


def test_a_study_without_tuning_runs_in_one_wave():
    """Nothing waits where every cell has its rate."""
    study = study_of(group_of(tuning=None, training=STEPS | {"learning_rate": 1e-3}), tuning=())
    assert plan.waves(plan.planned(study)) == (plan.planned(study),)


@pytest.mark.parametrize(
    "changes",
    [{"rates": (1e-3, 2e-3, 3e-3)}, {"seeds": 3}, {"length": 8}, {"params": {"items": 4}}, {"task": "copy"}],
)
def test_the_fingerprint_of_a_tuned_cell_holds_the_rule(changes):
    """Another grid, more seeds, another length, parameter or task of the tuning: other cells."""
    one, two = ({e.fingerprint for e in judged_of(study_of(tunings=[tuning_of(**c)]))} for c in ({}, changes))
    assert not one & two


def test_the_fingerprint_of_a_tuned_cell_depends_on_the_card_that_it_was_tuned_on(tmp_path):
    """The cell's own task is another one, and yet a changed card of the tuning's task makes another cell of it."""
    study = study_of(group_of(task="copy"))
    card = study.cards["recall"].model_copy(update={"why": "Because."})
    changed = study.model_copy(update={"cards": study.cards | {"recall": card}})
    assert not {e.fingerprint for e in judged_of(study)} & {e.fingerprint for e in judged_of(changed)}


def test_a_matched_tuning_and_a_width_per_model_are_as_of_a_group():
    """A rule of matching, or a table whose keys may spell a model's options in any order."""
    match = {"by": "parameters", "model": "lstm", "width": 12}
    (matched, *_) = trials_of(study_of(tunings=[tuning_of(width=None, match=match)]))
    assert (matched.cell.width, matched.cell.match) == (12, Match.model_validate(match))
    model = "rnn@init=orthogonal,activation=relu"
    tables = {"width": {model: 8, "hf:gpt2": 16}, "layers": {"rnn@activation=relu,init=orthogonal": 2, "hf:gpt2": 1}}
    study = study_of(group_of(models=(model, "hf:gpt2")), tunings=[tuning_of(**tables)])
    sizes = {(entry.cell.model, entry.cell.width, entry.cell.layers) for entry in trials_of(study)}
    assert sizes == {("rnn@activation=relu,init=orthogonal", 8, 2), ("hf:gpt2", 16, 1)}


def test_an_own_models_source_is_part_of_the_fingerprint_of_its_trials(tmp_path, monkeypatch):
    """The file's content decides its trials and, through them, the cells that its rate is for."""
    monkeypatch.chdir(tmp_path)
    found = []
    for content in ("build = None", "build = 1"):
        (tmp_path / "mine.py").write_text(content)
        found.append({entry.fingerprint for entry in plan.planned(study_of(group_of(models=("mine.py:build",))))})
    assert not found[0] & found[1]


def test_a_model_that_no_cell_needs_is_not_tried():
    """What the suite excludes needs no rate."""
    study = study_of(group_of(models=("rnn", "gru")), exclude=[{"model": "gru"}])
    assert {entry.cell.model for entry in plan.planned(study)} == {"rnn"}


def test_without_a_text_what_is_tuned_on_one_is_left_out_with_the_reason():
    """The group could run, but its rate cannot be found; with a text its trials are cells of that text."""
    tuned = {"tunings": [tuning_of(task="text", length=8)]}
    study = study_of(**tuned)
    assert plan.planned(study) == ()
    why = "no real text was given, and tuning 't' needs one; name one with --corpus"
    assert plan.left_out(study) == (plan.LeftOut("g", 2, why),)
    assert {entry.cell.params for entry in trials_of(study_of(text=TEXT, **tuned))} == {(("split", "character"),)}


def test_a_plan_counts_the_cells_of_every_wave():
    """A line for the grid, one for its extension, and one for the group; together they are all planned cells."""
    study = study_of(group_of(models=("rnn", "gru")))
    lines = summary.summary(study, {}, costs=Costs({}))
    assert [(line.name, line.cells) for line in lines] == [("tuning t, grid", 16), ("tuning t, extension", 4), ("g", 4)]
    assert sum(line.cells for line in lines) == len(plan.planned(study))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"groups": [group_of(tuning="u")]}, "group 'g': no tuning named 'u' (known: t)"),
        ({"groups": [group_of(tuning=None)]}, "group 'g': give either training.learning_rate, or tuning, the name of"),
        (
            {"groups": [group_of(training=STEPS | {"learning_rate": 1e-3})]},
            "group 'g': give either training.learning_rate, or tuning, the name of what finds it",
        ),
        (
            {"groups": [group_of(training=None, probe="state_bytes")]},
            "group 'g': trains nothing, so there is nothing to tune; leave tuning out",
        ),
        ({"groups": [group_of(), group_of()]}, "two groups are named 'g'; name each differently"),
        ({"tuning": [tuning_of(), tuning_of()]}, "two tunings are named 't'; name each differently"),
        ({"tuning": [tuning_of(), tuning_of(name="u")]}, "tuning 'u': no group names it; leave it out, or name it"),
        (
            {"tuning": [tuning_of(width={"gru": 8})]},
            "tuning 't': width must name every model of the groups that name it and no other; look at gru, rnn",
        ),
        (
            {"tuning": [tuning_of(layers={"rnn": 1, "gru": 1})]},
            "tuning 't': layers must name every model of the groups that name it and no other; look at gru",
        ),
        ({"tuning": [tuning_of(width=None)]}, "tuning 't': give width, or match, which finds the width of every"),
        (
            {"tuning": [tuning_of(match={"by": "parameters", "model": "lstm", "width": 8})]},
            "tuning 't': match finds the width of every model; leave width out",
        ),
        (
            {"tuning": [tuning_of(training=STEPS | {"learning_rate": 1e-3})]},
            "tuning 't': finds the learning rate; give rates, not training.learning_rate",
        ),
        ({"tuning": [tuning_of(rates=[1e-3, 1e-2])]}, "tuple should have at least 3 items"),
        ({"tuning": [tuning_of(rates=[1e-3, 1e-2, 1e-2])]}, "the rates are ascending and told once"),
        ({"tuning": [tuning_of(probe="recall_by_lag")]}, "unknown key 'tuning.0.probe'"),
        ({"tuning": [tuning_of(task="uniform_tokens")]}, "task uniform_tokens scores nothing, so no rate is better on"),
    ],
)
def test_what_cannot_be_tuned_is_refused_by_name(content, message):
    """Unknown names, a rate twice or not at all, incomplete tables, another probe: each says what to do."""
    with pytest.raises(InvalidInput, match=re.escape(message)):
        study_of(**({"tunings": None} | content))


def test_a_trained_cell_has_one_way_to_its_rate():
    """Neither a training without any rate, nor a rule for one that is given."""
    (entry,) = (entry for entry in judged_of(study_of()) if entry.cell.seed == 1000)
    fields = entry.cell.model_dump()
    for changes in ({"rate": None}, {"training": STEPS | {"learning_rate": 1e-3}}, {"training": None}):
        with pytest.raises(ValueError, match=r"either training\.learning_rate or the rule that finds it"):
            Cell.model_validate(fields | changes)


def test_a_suite_that_tunes_can_be_written_as_toml(tmp_path):
    """The form that users write; the grid and the number of seeds have defaults."""
    (tmp_path / "mine.toml").write_text(
        'title = "t"\n[[tuning]]\nname = "t"\ntask = "recall"\nlength = 9\nwidth = 8\n'
        "training = { steps = 3, batch = 4 }\n"
        '[[groups]]\nname = "g"\ntask = "recall"\nmodels = ["rnn"]\nlengths = [9]\nwidth = 16\nseeds = 2\n'
        'tuning = "t"\ntraining = { steps = 3, batch = 4 }\n'
    )
    _, found = suite.find(str(tmp_path / "mine.toml"))
    group = Group.model_validate(group_of())
    assert found == Suite(title="t", tuning=(Tuning.model_validate(tuning_of()),), groups=(group,))
    assert (found.tuning[0].rates, found.tuning[0].seeds) == ((3e-4, 1e-3, 3e-3, 1e-2), 2)
