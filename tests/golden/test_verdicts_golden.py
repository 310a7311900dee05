"""Known truths and the verdicts that they must give: each of the five words, for C1 and for C8, and what is common."""

import json
import re
import sys
from dataclasses import replace

import judged_studies as studies
import numpy as np
import pytest
from scipy import stats as scipy_stats

from seqbench import store
from seqbench.cell import Match
from seqbench.cli import main
from seqbench.judge import table
from seqbench.judge.report import build, verdicts
from seqbench.judge.rules import Verdict
from seqbench.preregistration import Control


def verdict_of(claim, study, held):
    return next(entry for entry in verdicts.judge_study(study, held) if entry.claim == claim)


C1 = studies.study(("C1",))
C8 = studies.study(("C8",))


def lost(cell):
    return cell.seed == 1003 and cell.model == "rnn" and cell.task in ("recall_loguniform", "chronicle")


@pytest.mark.parametrize(
    ("expected", "truth"),
    [
        (Verdict.SUPPORTED, {}),
        (Verdict.CONTRADICTED, {"recall_rnn": 0.99}),
        (Verdict.INCONCLUSIVE, {"recall_rnn": 0.88}),
        (Verdict.VACUOUS, {"recall_lstm": 0.6, "recall_rnn": 0.2}),
    ],
)
def test_c1_gets_the_verdict_of_the_truth(expected, truth):
    """C1 follows recall: far less than the LSTM, as much, a little less, or an LSTM that did not learn itself."""
    found = verdict_of("C1", C1, studies.contents(C1, studies.GOOD | truth))
    assert expected == found.verdict


def test_a_vanilla_network_that_keeps_up_is_said_to_in_spite_of_its_gradients():
    """Where recall contradicts C1, the gradients that do vanish stand in the same sentence, with both arms' recall."""
    wording = verdict_of("C1", C1, studies.contents(C1, studies.GOOD | {"recall_rnn": 0.98})).wording
    pattern = (
        r"^Contradicted: once trained, a vanilla RNN kept up with an LSTM with forget bias 1 at lags 51–99: LSTM minus "
        r"vanilla \S+ normalised recall \[.+\], n = 8 seeds per arm \(vanilla 0\.9\d+, LSTM 0\.9\d+\); "
        r"so it did in spite of its gradients: the gradient of a vanilla RNN shrank by 0\.5\d+ nat per step of lag"
    )
    assert re.search(pattern, wording)


@pytest.mark.parametrize(
    ("expected", "truth"),
    [
        (Verdict.SUPPORTED, {}),
        (Verdict.CONTRADICTED, {"bits": 1.6}),
        (Verdict.INCONCLUSIVE, {"bits": 0.88, "spread": 0.05}),
    ],
)
def test_c8_gets_the_verdict_of_the_truth(expected, truth):
    """C8 follows bits per character: below all baselines, above order 2, or at the edge of the floor margin."""
    found = verdict_of("C8", C8, studies.contents(C8, studies.GOOD | truth))
    assert expected == found.verdict


@pytest.mark.parametrize(("claim", "study"), [("C1", C1), ("C8", C8)])
def test_a_missing_seed_leaves_the_claim_untested(claim, study):
    """Seven of eight planned seeds are no smaller study; they are an unfinished one."""
    found = verdict_of(claim, study, studies.contents(study, drop=lost))
    assert (found.verdict, "cells ran" in found.wording) == (Verdict.NOT_TESTED, True)


def test_a_failed_control_makes_c8_vacuous():
    """A control in the study's own pre-registration decides, though the installed one has none for C8."""
    rules = C8.preregistration
    claim = rules.claims["C8"]
    control = Control(arm="subject", measurement="bits_per_character", above=2.0)
    atoms = claim.atoms | {"8a/order2": claim.atoms["8a/order2"].model_copy(update={"controls": (control,)})}
    changed = rules.model_copy(update={"claims": {"C8": claim.model_copy(update={"atoms": atoms})}})
    study = C8.model_copy(update={"preregistration": changed})
    assert verdict_of("C8", study, studies.contents(study)).verdict == Verdict.VACUOUS


def test_margins_are_the_studys_own():
    """A support margin that the study raised above the effect takes the support away."""
    rules = C8.preregistration
    claim = rules.claims["C8"]
    atoms = claim.atoms | {"8a/order0": claim.atoms["8a/order0"].model_copy(update={"support": 3.9})}
    changed = rules.model_copy(update={"claims": {"C8": claim.model_copy(update={"atoms": atoms})}})
    study = C8.model_copy(update={"preregistration": changed})
    assert verdict_of("C8", study, studies.contents(study)).verdict == Verdict.INCONCLUSIVE


def test_a_changed_margin_makes_the_report_exploratory():
    """The hash in study.json no longer fits the rules in it, and the page says so."""
    rules = C8.preregistration.model_copy(update={"level": 0.06})
    study = C8.model_copy(update={"preregistration": rules})
    report = build.build(study, studies.contents(study))
    assert (report.exploratory, "its margins were changed after the study was made" in report.alerts[0]) == (True, True)


def test_verdicts_on_the_command_line_are_called_exploratory_too(tmp_path, capsys, monkeypatch):
    """Who reads the verdicts on a terminal alone is warned on standard error; standard output stays plain JSON."""
    study = C8.model_copy(update={"preregistration": C8.preregistration.model_copy(update={"level": 0.06})})
    store.create_study(tmp_path, study)
    monkeypatch.setattr(sys, "argv", ["seqbench", "verdicts", "--results", str(tmp_path), "--json"])
    with pytest.raises(SystemExit, match=r"^0$"):
        main()
    printed = capsys.readouterr()
    assert printed.err.startswith("Exploratory: ")
    assert "its margins were changed after the study was made" in printed.err
    assert "C8" in {entry["claim"] for entry in json.loads(printed.out)}


def test_the_supported_c1_names_its_qualifications():
    """What the sentence leaves out stands beside it: avoidability, the gain of exploding, the strong control."""
    found = verdict_of("C1", C1, studies.contents(C1)).qualifications
    assert list(found[:2]) == [
        "with standard initialisation; the identity initialisation removes the vanishing at initialisation, "
        "the other does not (orthogonal −0.0943 nat/step)",
        "gradients exploded only at recurrent gains above 1 in the sweep; at library initialisation they vanish",
    ]
    assert "strong control: with identity initialisation (IRNN) the vanilla RNN reached 0.898 " in found[2]
    assert found[3] == (
        "a gain above 1 was not sufficient: gradients grew at RNN tanh, gain 1.5 in 0 of 8 seeds, at RNN tanh, gain 2 "
        "in 0 of 8 seeds, at RNN ReLU, gain 1.5 in 0 of 8 seeds, at RNN ReLU, gain 2 in 0 of 8 seeds"
    )
    assert found[4].startswith("the recall of 1c was trained with gradients clipped at a norm of 1: ")


def test_c1_claims_no_clipping_where_there_was_none():
    """Recall that was trained without clipping is not said to be clipped."""
    groups = tuple(
        group.model_copy(update={"training": group.training.model_copy(update={"clip_norm": None})})
        if group.training
        else group
        for group in C1.suite.groups
    )
    free = C1.model_copy(update={"suite": C1.suite.model_copy(update={"groups": groups})})
    assert "clipped" not in " ".join(verdict_of("C1", free, studies.contents(free)).qualifications)


def test_c8_prints_the_excess_over_the_floor():
    """The distance to the exact entropy is printed with the right sign."""
    found = verdict_of("C8", C8, studies.contents(C8)).qualifications[0]
    assert re.match(r"the vanilla RNN stayed 0\.195 bit/character above the exact entropy", found)


def test_two_arms_that_recall_all_are_said_to():
    """Training stops once a task is solved: that both arms get there does not say which is better."""
    told = "both arms of 1c end within 0.0200 of perfect recall, where training stops"
    for rnn, expected in ((0.98, True), (0.9, False)):
        truth = studies.GOOD | {"recall_rnn": rnn, "recall_lstm": 0.99, "spread": 1e-5}
        found = verdict_of("C1", C1, studies.contents(C1, truth))
        assert any(text.startswith(told) for text in found.qualifications) is expected


def test_a_model_below_the_exact_entropy_is_an_alert():
    """No model that sees the past alone stays there, whatever it is judged by."""
    for bits, expected in ((0.73, False), (0.4, True)):
        held = studies.contents(C8, studies.GOOD | {"bits": bits, "spread": 1e-5})
        alerts = build.build(C8, held).alerts
        assert (
            any("RNN tanh is 0.130 bit/character below the exact entropy of chronicle" in a for a in alerts) is expected
        )


def test_diverged_recall_counts_as_chance():
    """A vanilla RNN that diverged recalls nothing: its cells count zero in place of being dropped."""
    held = studies.contents(C1, failed=lambda cell: "diverged" if lost(cell) else None)
    arm = next(atom for atom in verdict_of("C1", C1, held).atoms if atom.name == "1c").arm("reference")
    assert (len(arm.values), arm.failed, arm.values[3]) == (8, 1, 0.0)


def test_diverged_bits_count_as_the_order_0_model():
    """A diverged text model scores what a predictor without context scores, taken from the task's other cells."""
    held = studies.contents(C8, failed=lambda cell: "diverged" if lost(cell) else None)
    arm = next(atom for atom in verdict_of("C8", C8, held).atoms if atom.name == "8a/order0").arm("subject")
    assert pytest.approx(arm.values[3]) == 4.43


def test_a_failed_cell_that_could_overturn_the_verdict_makes_it_inconclusive():
    """Without the crashed LSTM the claim would pass, with it at its worst it would not: nothing is decided."""
    truth = studies.GOOD | {"recall_lstm": 0.99, "recall_rnn": 0.80}

    def lost_lstm(cell):
        return "crashed" if cell.model.startswith("lstm") and cell.seed == 1003 else None

    whole = verdict_of("C1", C1, studies.contents(C1, truth))
    partly = verdict_of("C1", C1, studies.contents(C1, truth, failed=lost_lstm))
    assert (whole.verdict, partly.verdict) == (Verdict.SUPPORTED, Verdict.INCONCLUSIVE)


def test_too_many_errors_leave_the_claim_untested():
    """More than a tenth of a claim's cells lost to errors of the suite itself: nothing is concluded."""
    held = studies.contents(C8, failed=lambda cell: "error" if cell.model == "gru" else None)
    found = verdict_of("C8", C8, held)
    assert found.wording == "Not tested: 8 of 32 cells ended in an error or a crash and say nothing, more than 10 %."


def test_every_installed_claim_has_one_entry():
    """A claim that the study did not pre-register is NOT TESTED, not absent, and stands behind the others."""
    judged = verdicts.judge_study(C8, studies.contents(C8))
    assert [entry.claim for entry in judged] == ["C8", *(name for name in studies.ALL if name != "C8")]
    found = {entry.claim: entry.verdict.value for entry in judged}
    assert found == dict.fromkeys(studies.ALL, "NOT TESTED") | {"C8": "SUPPORTED"}


def test_an_empty_study_is_not_tested_and_can_be_rendered(tmp_path):
    """Before the first record there is a page already: no verdict, empty figures, an alert."""
    study = studies.study()
    report = build.build(study, studies.contents(study, drop=lambda _: True))
    page = build.write(report, tmp_path).read_text()
    assert {"NOT TESTED"} == {entry.verdict.value for entry in report.claims}
    empty = [figure.name for figure in report.figures if not figure.rows]
    named = {"verdict_overview", "solve_rate_by_lag"}  # they name what is planned
    assert {figure.name for figure in report.figures} - set(empty) <= named
    assert page.count("No record of this study shows it.") == len(empty)


def test_the_scope_of_matched_timings_names_the_rule():
    """Models timed at widths that a rule found have no one width: the wording says what they were matched in."""
    study = studies.study(("C4",))
    rule = Match(by="parameters", model="lstm", width=48)
    groups = tuple(
        group.model_copy(update={"width": None, "match": rule}) if group.name == "training time" else group
        for group in study.suite.groups
    )
    study = study.model_copy(update={"suite": study.suite.model_copy(update={"groups": groups})})
    wording = verdict_of("C4", study, studies.contents(study)).wording
    assert "training time at batch 16, T 256, matched in parameters to lstm of width 48" in wording
    assert "prefill time at batch 16, T 256, width 48" in wording


def test_no_verdict_says_cannot():
    """A verdict is about what was done under a budget, never about what is possible."""
    texts = []
    for truth in ({"training": -0.9, "bits": 1.6}, {"recall_rnn": 0.88, "bits": 0.88, "spread": 0.05}):
        study = studies.study(seeds=5)
        texts += verdicts.judge_study(study, studies.contents(study, studies.GOOD | truth))
    assert not [entry for entry in texts if "cannot" in " ".join((entry.wording, *entry.qualifications))]
    assert all("under a budget of 400 steps" in entry.wording for entry in texts if entry.claim != "C4")
    assert all("on cpu, decode time at batch 1," in entry.wording for entry in texts if entry.claim == "C4")


def test_claims_json_is_plain_json():
    """claims.json has no NaN, upper-case words and exactly the promised keys first in use."""
    study = studies.study()
    held = studies.contents(study, failed=lambda cell: "error" if cell.model == "gru" else None)
    text = json.dumps(verdicts.as_json(verdicts.judge_study(study, held)), allow_nan=False)
    for entry in json.loads(text):
        assert {"claim", "verdict", "effect", "interval", "n", "qualification", "atoms"} <= set(entry)
        assert entry["verdict"] in {word.value for word in Verdict}
        for atom in entry["atoms"]:
            assert {"atom", "verdict", "effect", "interval", "n"} <= set(atom)


def test_record_order_does_not_change_a_byte(tmp_path):
    """The same records read in another order give the same files."""
    study = studies.study(("C4", "C8"), text=studies.corpus(), seeds=2)
    held = studies.contents(study)
    for name, order in (("a", held), ("b", studies.shuffled(held))):
        build.write(build.build(study, order), tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert len(files) > 10
    assert [
        name for name in files if (tmp_path / "a" / name).read_bytes() != (tmp_path / "b" / name).read_bytes()
    ] == []


def test_the_report_id_follows_the_records():
    """One changed number gives another report id."""
    held = studies.contents(C8)
    other = studies.contents(C8, studies.GOOD | {"bits": 0.7300001})
    assert build.report_id(C8, held) != build.report_id(C8, other)


def test_a_stray_record_is_reported_and_never_used():
    """A record of no planned cell changes no verdict and is named among the alerts."""
    _, stray = studies.contents(C8).records[0]
    stray = stray.model_copy(update={"fingerprint": "f" * 64})
    held = studies.contents(C8)
    more = replace(held, records=(*held.records, ("strange.json", stray)))
    assert verdicts.judge_study(C8, held) == verdicts.judge_study(C8, more)
    assert "1 record of no planned cell, not used: strange.json." in build.build(C8, more).alerts


@pytest.mark.slow
def test_at_the_margin_support_is_rare():
    """Of 150 studies whose truth is exactly the support margin, at most the 99 % binomial limit are SUPPORTED."""
    study = studies.study(("C8",), seeds=6)
    one = study.suite.groups[0].model_copy(update={"models": ("rnn",)})
    study = study.model_copy(update={"suite": study.suite.model_copy(update={"groups": (one,)})})
    claim = study.preregistration.claims["C8"]
    only = claim.model_copy(update={"atoms": {"8a/floor": claim.atoms["8a/floor"]}, "rule": "8a/floor"})
    rules = study.preregistration.model_copy(update={"claims": {"C8": only}})
    study = study.model_copy(update={"preregistration": rules})
    tables = table.tables(study, studies.contents(study))
    rng = np.random.default_rng(11)
    supported = 0
    for _ in range(150):
        bits = 0.53 + 0.35 + 0.05 * rng.standard_normal(len(tables.wide))
        drawn = replace(tables, wide=tables.wide.assign(bits_per_character=bits))
        supported += (
            next(v for v in verdicts.judge_tables(study, drawn) if v.claim == "C8").verdict is Verdict.SUPPORTED
        )
    assert 1 <= supported <= scipy_stats.binom.ppf(0.99, 150, study.preregistration.level)
