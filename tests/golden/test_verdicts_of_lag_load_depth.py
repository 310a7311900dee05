"""Known truths and the verdicts that they must give: each of the five words, for C3, C6 and C7."""

from dataclasses import replace
from functools import cache

import judged_studies as studies
import pytest

from seqbench.judge.claims import c3, c6
from seqbench.judge.report import verdicts
from seqbench.judge.rules import Verdict

S, C, I, N, V = (  # noqa: E741 the five words, short enough to read a table of them
    Verdict.SUPPORTED,
    Verdict.CONTRADICTED,
    Verdict.INCONCLUSIVE,
    Verdict.NOT_TESTED,
    Verdict.VACUOUS,
)


@cache
def study_of(claim, seeds=8):
    return studies.study((claim,), seeds=seeds)


def judged(claim, truth=(), *, seeds=8, **how):
    study = study_of(claim, seeds)
    held = studies.contents(study, studies.GOOD | dict(truth), **how)
    return next(entry for entry in verdicts.judge_study(study, held) if entry.claim == claim)


def said(found):
    return " | ".join(found.qualifications)


def of_capacity(model):
    return lambda cell: cell.task == "capacity" and cell.model == model and cell.seed == 1002


@pytest.mark.parametrize(
    ("expected", "truth"),
    [
        (S, {}),
        (S, {"gates_solve": 1.0}),
        (S, {"held": 3.2}),
        (C, {"attention_solves": 0.0, "gates_solve": 1.0, "held": 9.0, "attention_recall": 0.8}),
        (I, {"gates_solve": 1.0, "held": 3.2}),
        (V, {"attention_recall": 0.5, "gates_solve": 1.0, "attention_solves": 0.0}),
    ],
)
def test_c3_gets_the_verdict_of_the_truth(expected, truth):
    """C3 follows lag or load: both, one of them, both reversed, neither, or a vacuous load and a reversed lag."""
    assert judged("C3", truth).verdict == expected


def test_c3_says_what_initialisation_changes():
    """Strongly initialised gates solved the lag under the same budget: that they do not struggle is not shown."""
    found = judged("C3")
    assert "an LSTM with forget bias 3 solved 1.00 of its seeds under the same budget" in said(found)
    assert "whether it struggles with this lag in that initialisation too is undecided (3b/lstm INC" in said(found)
    told = "long dependencies mix two things, how far back and how much: lag SUPPORTED, load SUPPORTED; load is that of"
    assert told in said(found)
    assert "initialisation" not in said(judged("C3", {"gates_solve": 1.0}))


@pytest.mark.parametrize(
    ("word", "told"),
    [
        (S, "it struggles with this lag in that initialisation too (3b/gru SUPPORTED, "),
        (C, "at this lag the struggle is one of initialisation (3b/gru CONTRADICTED, "),
        (I, "whether it struggles with this lag in that initialisation too is undecided (3b/gru INCONCLUSIVE, "),
        (N, "a GRU solved 0"),
        (V, "a GRU solved 0"),
    ],
)
def test_c3_says_of_the_strong_control_what_its_hypothesis_says(word, told):
    """Each of the five words has its own sentence, or none."""
    atoms = {atom.name: atom for atom in judged("C3").atoms}
    changed = atoms | {"3b/gru": replace(atoms["3b/gru"], verdict=word)}
    sentence = next(text for text in c3.qualifications(changed) if "a GRU with update bias 3" in text)
    assert told in sentence
    assert sentence.endswith(told) == (word in (N, V))


def test_c3_says_how_steps_to_solve_grow_with_lag():
    """Gates that solve the shortest lag alone, and attention at any; equal growth; and nobody who solved anything."""
    found = {atom.name: atom for atom in judged("C3").atoms}
    assert (found["3c/lstm"].verdict, found["3c/lstm"].in_rule, found["3c/lstm"].upper) == (S, False, None)
    assert "steps to solve recall of one item grow with a power of the lag, that of an LSTM" in said(judged("C3"))
    alike = {atom.name: atom for atom in judged("C3", {"gates_solve": 1.0}).atoms}
    assert (alike["3c/lstm"].verdict, alike["3c/lstm"].effect) == (I, pytest.approx(0.0, abs=0.05))
    never = {atom.name: atom for atom in judged("C3", {"attention_solves": 0.0}).atoms}
    assert never["3c/lstm"].reason == "the arm 'reference' solved the task at no lag"


@pytest.mark.parametrize(
    ("expected", "truth"),
    [
        (S, {}),
        (C, {"held": 4.5}),
        (I, {"held": 3.0}),
        (V, {"attention_recall": 0.6}),
        (V, {"attention_recall": 0.0}),
        (V, {"held": 0.2}),
    ],
)
def test_c6_gets_the_verdict_of_the_truth(expected, truth):
    """C6 follows the bits kept of further ones: none, all, half, or an assay in which somebody learnt nothing."""
    assert judged("C6", truth).verdict == expected


def test_c6_says_what_was_kept_as_a_slope():
    """A slope below 0 is told as one: more than every further bit cannot be lost."""
    wording = judged("C6").wording
    assert "for every further bit written, what a GRU of width 4 recalled changed by " in wording
    atoms = {atom.name: atom for atom in judged("C6").atoms}
    low = replace(atoms["6a/4"], effect=1.02, lower=0.99, upper=1.05)
    assert "changed by −0.0200 bit [−0.0500, 0.0100], n = 8" in c6.finding(atoms | {"6a/4": low}, S)


@pytest.mark.parametrize(
    ("expected", "truth"),
    [
        (S, {}),
        (C, {"attention_slope": -0.05}),
        (C, {"forgets": 0.1, "recall_transformer": 0.8}),
        (I, {"attention_slope": 0.01}),
        (V, {"recall_transformer": 0.4}),
    ],
)
def test_c7_gets_the_verdict_of_the_truth(expected, truth):
    """C7 follows gradient and recall by lag: flat, falling, falling recall, at the margin, or no recall to speak of."""
    assert judged("C7", truth).verdict == expected


def test_flat_recall_is_printed_as_zero():
    """The same recall at every lag is a slope of 0, not of the last digits of a sum."""
    assert "and what it recalls by 0 per e-fold of lag [0, 0], n = 8" in judged("C7").wording


@pytest.mark.parametrize("recall", [0.0, 0.6])
def test_a_transformer_that_did_not_learn_is_not_flat(recall):
    """What was never recalled is lost at no lag: the control makes 7b VACUOUS, whatever its slope."""
    atom = next(item for item in judged("C7", {"recall_transformer": recall}).atoms if item.name == "7b")
    assert (atom.verdict, atom.effect) == (V, None)
    assert atom.reason.startswith("control failed: transformer has recall_auc ")


def test_c7_is_judged_with_its_speed_where_a_gpu_ran():
    """On a CPU alone it says that speed was not tested; on a GPU the time of training is part of its rule."""
    alone = judged("C7")
    assert (alone.rule, "mechanism only, speed not tested" in said(alone)) == ("7a and 7b", True)
    fast = judged("C7", place=lambda _: studies.GPU)
    slow = judged("C7", {"training": -0.9}, place=lambda _: studies.GPU)
    assert (fast.rule, fast.verdict, slow.verdict) == ("7a and 7b and gpu/7d", S, C)
    assert "mechanism only" not in said(fast)
    assert (alone.sub_verdicts, fast.sub_verdicts) == ((), ())


def test_c7_says_where_recurrence_wins_and_what_grows():
    """Parity beyond the trained lengths, depth and state are told beside the verdict."""
    told = said(judged("C7"))
    assert "there are sequential tasks where recurrence wins, as parity beyond the trained lengths: LSTM 1.00" in told
    assert "stages that must follow one another grow as T to the power of: rnn 1.00, transformer 0" in told
    assert "bytes carried on after T tokens grow as T to the power of: rnn 0, transformer 1.00" in told
    assert "all tokens at once is work that grows with the square of the length" in told


@pytest.mark.parametrize("model", ["transformer", "gru"])
def test_a_control_that_did_not_run_is_no_control_that_failed(model):
    """Attention, or the GRU at half the load, without a record or impossible leaves C6 untested, with the reason."""
    missing = judged("C6", drop=lambda cell: cell.model == model)
    impossible = judged("C6", failed=lambda cell: "structural" if cell.model == model else None)
    assert (missing.verdict, impossible.verdict) == (N, N)
    assert ("cells ran" in missing.wording, "are structural" in impossible.wording) == (True, True)


def test_a_slope_is_taken_over_the_same_sizes_of_every_seed():
    """A seed that lacks a size, as one that crashed there, is no replicate of the others."""
    found = judged("C6", failed=lambda cell: "crashed" if of_capacity("gru")(cell) and cell.width == 4 else None)
    assert next(atom for atom in found.atoms if atom.name == "6b").n == 7


def test_c3_contradicted_reads_the_right_way_round():
    """Shares are told with their sign, and nobody is said to have solved more often by less than nothing."""
    truth = {"attention_solves": 0.0, "gates_solve": 1.0, "held": 9.0, "attention_recall": 0.8}
    found = judged("C3", truth)
    assert "Transformer minus an LSTM with forget bias 1: −1.00 share of seeds" in found.wording
    assert "more often" not in found.wording


def test_c7_claims_no_win_that_chance_may_have_made():
    """Two networks near chance are told as they are; only one that has the task, and apart from the other, wins."""
    study = study_of("C7")
    held = studies.contents(study)
    close = tuple(
        (name, entry.model_copy(update={"measurements": tuple(map(near_chance, entry.measurements))}))
        for name, entry in held.records
    )
    found = verdicts.judge_study(study, studies.Contents(close, ()))
    told = said(next(entry for entry in found if entry.claim == "C7"))
    assert ("recurrence wins" in told, "parity beyond the trained lengths" in told) == (False, True)


def near_chance(item):
    return item.model_copy(update={"value": 0.5 + 0.01 * item.value}) if item.name == "accuracy_by_length" else item


@pytest.mark.parametrize("claim", ["C3", "C6", "C7"])
def test_a_missing_cell_leaves_the_claim_untested(claim):
    """One planned cell without a record, of every arm, is an unfinished study."""
    assert judged(claim, drop=lambda cell: cell.seed == 1003).verdict == N


@pytest.mark.parametrize(("model", "lost"), [("gru", "diverged"), ("transformer", "oom")])
def test_c6_holds_only_if_failed_cells_cannot_overturn_it(model, lost):
    """A failed cell is filled best and worst; one of eight leaves a large effect, or leaves it open."""
    found = judged("C6", failed=lambda cell: lost if of_capacity(model)(cell) else None)
    assert found.verdict in (S, I)
    assert any("failed cells" in atom.reason for atom in found.atoms)


@pytest.mark.parametrize("claim", ["C3", "C6", "C7"])
def test_three_seeds_decide_nothing(claim):
    """Whatever the effect, three seeds reach no level of Holm's."""
    assert judged(claim, seeds=3).verdict == I
