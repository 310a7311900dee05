"""Arms with candidates: the study's trials of learning rates choose, on their own seeds, and the verdict says which."""

import judged_studies as studies
import numpy as np
import pytest

from seqbench import plan, tuning
from seqbench.judge.report import verdicts
from seqbench.judge.rules import Verdict
from seqbench.measure.models import MODELS
from seqbench.measure.probes import PROBES
from seqbench.plan import Fit
from seqbench.record import Measurement, Series
from seqbench.store import Contents
from seqbench.suite import Suite

LSTM, GRU, RNN, ORTHOGONAL = "lstm@forget_bias=1", "gru", "rnn", "rnn@init=orthogonal"
RATES = (3e-4, 1e-3, 3e-3, 1e-2)
TRUTH = studies.GOOD | {"recall_gru": 0.97}
LOSSES = {LSTM: 0.2, GRU: 0.1, RNN: 0.5, ORTHOGONAL: 0.3}
BUDGET = {"steps": 400, "batch": 32}


def study_of(models=(RNN, ORTHOGONAL, studies.IRNN, LSTM, GRU, "transformer")):
    """Return a study of C2 that tunes these models on recall."""
    recall = {"name": "recall", "tuning": "t", "training": BUDGET} | studies.recall(models) | {"training": BUDGET}
    groups = [recall] + [
        {"name": name} | studies.slopes(of, 32) for name, of in {"slopes": (RNN,), "gates": studies.GATES}.items()
    ]
    tunings = [{"name": "t", "task": "recall_loguniform", "length": 100, "width": 32, "training": BUDGET}]
    content = {
        "title": "Tuned",
        "claims": ("C2",),
        "tuning": tunings,
        "groups": [{"seeds": 8} | group for group in groups],
    }
    return plan.study("synthetic", Suite.model_validate(content), known_models=MODELS, known_probes=PROBES)


def trial_of(entry, study, loss):
    """Return the record of a trial; of the grid the third rate is best, and the further one is no better."""
    rate = entry.cell.training.learning_rate
    grid = {at: (tuning.Curve(at=(1.0,), losses=(loss * (1 + abs(at - 3e-3)),)),) for at in RATES}
    found = grid[rate][0].loss if rate else 2 * loss
    series = Series(axis="step", at=(200.0, 400.0), values=(9.0, found))
    record = studies.record_of(
        entry,
        study,
        measurements=(Measurement(name="evaluation_loss", value=found, unit="nat", series=series),),
        status="unsolved",
    )
    return record.model_copy(update={"learning_rate": rate or tuning.further_rate(grid)})


def records(study, losses=None, truth=TRUTH, *, drop=lambda _: False):
    rng, found = np.random.default_rng(7), []
    for entry in plan.planned(study):
        if entry.trial:
            record = trial_of(entry, study, (LOSSES | (losses or {})).get(entry.cell.model, 0.1))
        else:
            record = studies.record_of(entry, study, measurements=studies.measured(entry.cell, truth, rng))
        if not drop(entry):
            found.append((f"{entry.fingerprint}.json", record))
    return Contents(tuple(found), ())


STUDY = study_of()


def judged(*args, study=STUDY, **how):
    held = records(study, *args, **how)
    found = next(item for item in verdicts.judge_study(study, held) if item.claim == "C2")
    return found, next(atom for atom in found.atoms if atom.name == "2d")


@pytest.mark.parametrize(
    ("losses", "subject", "reference", "effect"),
    [
        ({}, GRU, ORTHOGONAL, 0.47),
        ({LSTM: 0.05}, LSTM, ORTHOGONAL, 0.48),
        ({RNN: 0.2}, GRU, RNN, 0.52),
        ({LSTM: 0.1, RNN: 0.3}, LSTM, RNN, 0.53),
    ],
)
def test_the_best_trials_choose_each_side(losses, subject, reference, effect):
    """Least loss at the best rate, the first named where two did as well; its judged seeds are what is compared."""
    found, recall = judged(losses)
    assert (recall.arm("subject").model, recall.arm("reference").model) == (subject, reference)
    assert recall.effect == pytest.approx(effect, abs=0.015)
    assert found.verdict is Verdict.SUPPORTED


def test_what_is_judged_does_not_choose():
    """A GRU that did best in the trials and fails on the judged seeds is what the claim is judged by."""
    found, recall = judged(truth=TRUTH | {"recall_gru": 0.1})
    assert recall.arm("subject").model == GRU
    assert found.verdict is Verdict.CONTRADICTED


def test_the_verdict_says_what_was_chosen():
    """In the reason of the hypothesis, in the sentence of the verdict, and in a qualification."""
    found, recall = judged()
    assert recall.reason == (
        "chosen by trials of learning rates: gru as subject (of lstm@forget_bias=1, gru), "
        "rnn@init=orthogonal as reference (of rnn, rnn@init=orthogonal)"
    )
    assert found.wording.startswith(
        "Supported: a GRU recalled more than an orthogonally initialised vanilla RNN, by 0.4"
    )
    assert (
        "a GRU and an orthogonally initialised vanilla RNN did best in the study's trials of learning rates, on seeds "
        "that are not judged"
    ) in found.qualifications
    assert "under the same budget, a GRU 0.9" in found.qualifications[-1]


def test_without_its_trials_there_is_no_choice():
    """One missing trial of one candidate leaves the hypothesis, and the claim, untested, with the reason."""
    found, recall = judged(drop=lambda entry: entry.trial and entry.cell.model == GRU and entry.cell.seed == 501)
    told = "no choice among lstm@forget_bias=1, gru: gru: trials of its learning rate are missing"
    assert (found.verdict, recall.verdict, recall.reason) == (Verdict.NOT_TESTED, Verdict.NOT_TESTED, told)
    assert found.wording.startswith(f"Not tested: 2d: {told}; ")


def test_a_trimmed_candidate_is_named_as_trimmed():
    """The reason is that it did not fit into the time, and not that its trials are missing."""
    study = STUDY.model_copy(update={"fit": Fit(hours=1.0, seconds=1.0, trimmed={"recall": "trimmed"})})
    _, recall = judged(study=study)
    assert recall.reason == "trimmed to fit into 1 h: 'recall'"


def test_a_study_that_does_not_tune_all_candidates_has_its_fixed_arms():
    """Without cells of the GRU the LSTM stands alone; the vanilla side is still chosen."""
    study = study_of((RNN, ORTHOGONAL, studies.IRNN, LSTM, "transformer"))
    arms = study.preregistration.claims["C2"].atoms["2d"].arms
    assert (arms["subject"].candidates, arms["reference"].candidates) == ((), (RNN, ORTHOGONAL))
    _, recall = judged({RNN: 0.2}, study=study)
    assert (recall.arm("subject").model, recall.arm("reference").model) == (LSTM, RNN)
    assert studies.study(("C2",)).preregistration.claims["C2"].atoms["2d"].arms["reference"].candidates == ()
