"""Known truths and the verdicts that they must give: each of the five words, for C2, C4 and C5."""

import re
from dataclasses import replace

import judged_studies as studies
import pytest

from seqbench.judge.claims import c2, c4
from seqbench.judge.claims.base import SubVerdict
from seqbench.judge.report import build, verdicts
from seqbench.judge.rules import Verdict
from seqbench.preregistration import Control
from seqbench.record import Series

S, C, I, N, V = (  # noqa: E741 the five words, short enough to read a table of them
    Verdict.SUPPORTED,
    Verdict.CONTRADICTED,
    Verdict.INCONCLUSIVE,
    Verdict.NOT_TESTED,
    Verdict.VACUOUS,
)
C2, C4, C5 = (studies.study((name,)) for name in ("C2", "C4", "C5"))


def verdict_of(claim, study, held):
    return next(entry for entry in verdicts.judge_study(study, held) if entry.claim == claim)


def judged(claim, study, truth=(), **how):
    return verdict_of(claim, study, studies.contents(study, studies.GOOD | dict(truth), **how))


def atom_of(found, name):
    return next(atom for atom in found.atoms if atom.name == name)


@pytest.mark.parametrize(
    ("expected", "truth"),
    [
        (S, {}),
        (C, {"recall_orthogonal": 0.99}),
        (S, {"gates": -0.8}),
        (C, {"gates": -0.8, "vanilla_solves": 50.0}),
        (I, {"recall_orthogonal": 0.86}),
        (V, {"recall_transformer": 0.5}),
    ],
)
def test_c2_gets_the_verdict_of_the_truth(expected, truth):
    """C2 follows recall, and slope or steps to solve: better, as good, one or both worse, little better, vacuous."""
    assert expected == judged("C2", C2, truth).verdict


@pytest.mark.parametrize(
    ("expected", "truth"),
    [
        (S, {}),
        (C, {"training": -0.9}),
        (C, {"decoding": -0.9}),
        (I, {"training": 0.0}),
        (I, {"decoding": 0.225, "spread": 0.05}),
    ],
)
def test_c4_gets_the_verdict_of_the_truth(expected, truth):
    """C4 follows the ratios of both phases: slower, faster in either, as fast, or at the margin."""
    assert expected == judged("C4", C4, truth).verdict


@pytest.mark.parametrize(
    ("expected", "truth"),
    [
        (S, {}),
        (C, {"drop": 0.0}),
        (C, {"symmetry": 0.2}),
        (I, {"drop": 0.06}),
        (V, {"sorted": 0.6, "drop": 0.5}),
    ],
)
def test_c5_gets_the_verdict_of_the_truth(expected, truth):
    """C5 follows drop and symmetry: sensitive, not, an encoder that sees order, a little, or nothing learnt."""
    assert expected == judged("C5", C5, truth).verdict


@pytest.mark.parametrize(
    ("claim", "study", "lost"),
    [
        ("C2", C2, lambda cell: cell.seed == 1003 and cell.model == "rnn@init=orthogonal"),
        ("C4", C4, lambda cell: cell.probe == "decode_time" and cell.model == "lstm"),
        ("C5", C5, lambda cell: cell.seed == 1003 and cell.model == "gru" and cell.task == "count"),
    ],
)
def test_a_missing_cell_leaves_the_claim_untested(claim, study, lost):
    """One cell short of what was planned is an unfinished study, not a smaller one."""
    found = judged(claim, study, drop=lost)
    assert (found.verdict, "cells ran" in found.wording) == (N, True)


@pytest.mark.parametrize(("claim", "study"), [("C2", C2), ("C4", C4), ("C5", C5)])
def test_the_order_of_records_is_irrelevant(claim, study):
    """Shuffled records give the same verdict in every field, and a changed truth gives another one."""
    held = studies.contents(study)
    found = verdict_of(claim, study, held)
    assert found == verdict_of(claim, study, studies.shuffled(held))
    other = studies.GOOD | {"recall_orthogonal": 0.6, "training": 0.5, "drop": 0.7}
    assert found != verdict_of(claim, study, studies.contents(study, other))


def test_a_failed_control_makes_c4_vacuous():
    """A control in the study's own pre-registration decides, though the installed one has none for C4."""
    rules = C4.preregistration
    claim = rules.claims["C4"]
    control = Control(arm="subject", measurement="seconds_per_token", above=1e9)
    atoms = claim.atoms | {"cpu/decoding": claim.atoms["cpu/decoding"].model_copy(update={"controls": (control,)})}
    changed = rules.model_copy(update={"claims": {"C4": claim.model_copy(update={"atoms": atoms})}})
    found = judged("C4", C4.model_copy(update={"preregistration": changed}))
    assert (found.verdict, "control failed: lstm has seconds_per_token" in found.wording) == (V, True)


def test_a_mutated_record_flips_the_verdict():
    """One encoder record that sees the order is enough: the symmetry must hold for every seed."""
    held = studies.contents(C5)
    at = next(
        i
        for i, (_, e) in enumerate(held.records)
        if e.cell.model == studies.ENCODER and e.cell.probe == "order_symmetry"
    )
    name, entry = held.records[at]
    seen = entry.model_copy(update={"measurements": (entry.measurements[0].model_copy(update={"value": 0.3}),)})
    changed = replace(held, records=(*held.records[:at], (name, seen), *held.records[at + 1 :]))
    assert (verdict_of("C5", C5, held).verdict, verdict_of("C5", C5, changed).verdict) == (S, I)


def noisy(*probes):
    return lambda cell: "contended" if cell.probe in probes else None


def test_a_contended_panel_has_no_verdict():
    """A noisy machine tests nothing; the reason is the record's own."""
    found = judged("C4", C4, failed=noisy("training_time"))
    assert found.verdict is N
    assert atom_of(found, "cpu/4c/lstm/transformer").reason == "noisy machine: contended <b>here</b>"
    assert any(text.startswith("contended, so without a number: cpu/4c/rnn") for text in found.qualifications)


def test_contention_does_not_hide_a_contradiction():
    """Training was disturbed; decoding was not, and contradicts the claim alone."""
    found = judged("C4", C4, {"decoding": -0.9}, failed=noisy("training_time", "prefill_time"))
    assert (found.verdict, found.headline) == (C, "cpu/decoding")
    assert found.wording.startswith("Contradicted: on a CPU, per generated token, an LSTM took 0.40")


def test_a_model_that_is_not_there_hides_nothing():
    """Without a TCN the claim is not tested where it would hold, and contradicted where the Transformer shows it."""
    groups = tuple(
        group.model_copy(update={"models": tuple(name for name in group.models if name != "tcn")})
        for group in C4.suite.groups
    )
    study = C4.model_copy(update={"suite": C4.suite.model_copy(update={"groups": groups})})
    assert judged("C4", study).verdict is N
    found = judged("C4", study, {"training": -0.9})
    assert (found.verdict, atom_of(found, "cpu/4c/rnn/tcn").verdict) == (C, N)
    assert atom_of(found, "cpu/4c/rnn/tcn").reason == "no cells planned for reference (tcn)"


def subs(found):
    return {item.name: item.verdict for item in found.sub_verdicts}


def test_sub_verdicts_are_read_at_a_glance():
    """Training supports, decoding contradicts, and nothing ran on a GPU: one line says so."""
    found = judged("C4", C4, {"decoding": -0.9, "prefill": 0.0})
    row = next(row for row in verdicts.rows((found,)) if row["name"] == "C4")
    assert row["wording"].endswith(
        ". By phase: training on CPU SUPPORTED; prefill on CPU INCONCLUSIVE; decoding on CPU CONTRADICTED; "
        "GPU NOT TESTED."
    )
    assert verdicts.as_json((found,))[0]["sub_verdicts"] == [
        {"name": "cpu/training", "verdict": "SUPPORTED"},
        {"name": "cpu/prefill", "verdict": "INCONCLUSIVE"},
        {"name": "cpu/decoding", "verdict": "CONTRADICTED"},
        {"name": "gpu/training", "verdict": "NOT TESTED"},
        {"name": "gpu/prefill", "verdict": "NOT TESTED"},
        {"name": "gpu/decoding", "verdict": "NOT TESTED"},
    ]


def test_what_holds_is_said_beside_what_does_not():
    """Decoding contradicts, training supports: both stand in the qualifications, as ratios of times."""
    found = judged("C4", C4, {"decoding": -0.9}).qualifications
    assert found[0].startswith("decoding contradicts the sentence: on a CPU, per generated token, an LSTM took 0.40")
    assert found[1].startswith("where the sentence holds: on a CPU, per training token, a vanilla RNN took 1.8")
    assert "this speaks of this processor alone; on a GPU it was not tested" in found


def test_every_pair_says_its_own_word_where_it_is_another():
    """The sentence of a claim marks pairs with another word than its own, and a phase counts its words."""
    found = judged("C4", C4)
    atoms = {atom.name: atom for atom in found.atoms}
    words = dict(zip([name for name in atoms if "/4d/" in name], (C, C, C, I, I, S), strict=True))
    prefill = {name: replace(atoms[name], verdict=word) for name, word in words.items()}
    training = {"cpu/4c/gru/tcn": replace(atoms["cpu/4c/gru/tcn"], verdict=I)}
    wording = c4.finding(atoms | training, S)
    assert [wording.count(f"({word})") for word in (S, I)] == [0, 1]
    assert re.search(r"a GRU 1\.8\d \[[^]]*\] \(INCONCLUSIVE\) times the TCN's", wording)
    told = next(text for text in c4.qualifications(atoms | prefill) if text.startswith("reading a prompt"))
    assert [told.count(f"({word})") for word in (C, I, S)] == [3, 2, 1]
    mixed = SubVerdict("cpu", "prefill", C, ran=True, atoms=tuple(words.values()))
    sentence = verdicts.sub_verdicts_text(replace(found, sub_verdicts=(mixed,)))
    assert sentence == (
        "By phase: prefill on CPU CONTRADICTED (1 of 6 SUPPORTED, 3 of 6 CONTRADICTED, 2 of 6 INCONCLUSIVE)."
    )


def test_c4_tells_of_a_recurrent_network_that_is_trained_by_a_scan():
    """Timed in the same panel, it stands beside the others as a description; its reference is the Transformer."""
    groups = tuple(
        group.model_copy(update={"models": (*group.models, "mingru")}) if group.name == "training time" else group
        for group in C4.suite.groups
    )
    study = C4.model_copy(update={"suite": C4.suite.model_copy(update={"groups": groups})})
    scanned = [text for text in judged("C4", study).qualifications if "by a scan" in text]
    assert re.search(r"on a CPU, minGRU (0\.99\d|1\.0\d) \[.*\] \(n = 15 rounds\) times the Transformer", scanned[0])
    assert not [text for text in judged("C4", C4).qualifications if "by a scan" in text]


def test_the_page_shows_the_sub_verdicts():
    """The section of the claim has a table of phases by device, and the verdict table has the line."""
    page = build.page(build.build(C4, studies.contents(C4, studies.GOOD | {"decoding": -0.9})))
    assert "By phase: training on CPU SUPPORTED; prefill on CPU SUPPORTED; decoding on CPU CONTRADICTED" in page
    table = page[page.index('<table class="stack phases">') :]
    assert re.findall(r"<th scope=\"row\">(\w+)</th>", table)[:2] == ["CPU", "GPU"]


BOTH = studies.study(("C4",), timed_seeds=2)


def by_seed(cell):
    return studies.GPU if cell.timing and cell.seed == 1001 else studies.PLACE


def test_every_class_of_device_that_ran_must_agree():
    """On a CPU and on a GPU: each enters Holm once, the claim is supported only where both are."""
    found = judged("C4", BOTH, place=by_seed)
    assert (found.verdict, set(subs(found).values())) == (S, {S, N})
    assert [name for name, word in subs(found).items() if word is N] == ["gpu/prefill"]
    assert found.rule.startswith("(cpu/4c/rnn/transformer and ")
    levels = {atom.name.partition("/")[0]: atom.levels.support for atom in found.atoms if atom.in_rule}
    assert sorted(levels.values()) == [0.025, 0.05]


def test_a_contradiction_is_divided_among_the_atoms_that_could_make_it():
    """Seven atoms of a class's rule share its level, and so do the six of a phase outside the rule."""
    found = judged("C4", BOTH, place=by_seed)
    shares = {name: atom_of(found, name).levels.contradict for name in ("cpu/decoding", "gpu/decoding")}
    assert shares == pytest.approx(dict.fromkeys(shares, 0.025 / 7))
    assert atom_of(found, "cpu/4d/gru/transformer").levels.contradict == pytest.approx(0.025 / 6)


def test_a_contradiction_on_one_device_contradicts():
    """A GPU alone: its rule has other margins, and it is the only one that is judged."""
    found = judged("C4", C4, {"training": -0.3}, place=lambda _: studies.GPU)
    assert (found.verdict, subs(found)["cpu/training"], subs(found)["gpu/training"]) == (C, N, C)
    assert found.rule.startswith("gpu/4a/rnn/transformer and ")
    assert "this speaks of this GPU alone; on a CPU it was not tested" in found.qualifications


def test_nothing_ran_is_one_case():
    """Before the first record the claim has one rule and no verdict; missing cells count as planned."""
    found = judged("C4", C4, drop=lambda _: True)
    assert (found.verdict, found.ran, found.rule) == (N, 0, "cpu/4c/lstm/transformer and cpu/decoding")
    assert found.planned > 0


def decoding(held, change):
    """Return the LSTM's decoding atom after a change to the records of decoding behind 1,024 tokens."""
    records = []
    for name, entry in held.records:
        ours = entry.cell.probe == "decode_time" and entry.cell.length == 1024
        records.append((name, change(entry) if ours else entry))
    return atom_of(verdict_of("C4", C4, replace(held, records=tuple(records))), "cpu/decoding")


def with_rounds(entry, name, values):
    """Return a record whose series of one measurement has other values."""
    changed = []
    for item in entry.measurements:
        series = Series(axis="round", at=tuple(map(float, range(len(values)))), values=tuple(values))
        changed.append(item.model_copy(update={"series": series}) if item.name == name else item)
    return entry.model_copy(update={"measurements": tuple(changed)})


def test_a_round_discarded_in_one_model_is_dropped_in_both():
    """A round that counts for the LSTM alone is no pair: 13 of 15 remain when each model lost another one."""
    lost = {"lstm": 2, "transformer@heads=1,room=128": 9}

    def change(entry):
        keep = [float(index != lost.get(entry.cell.model)) for index in range(15)]
        return with_rounds(entry, "round_kept", keep)

    assert decoding(studies.contents(C4), change).n == 13


def test_rounds_are_paired_by_their_number():
    """The effect is the median of ln ratios round by round: reversing one model's rounds changes it."""
    held = studies.contents(C4)

    def reverse(entry):
        if entry.cell.model != "lstm":
            return entry
        return with_rounds(entry, "seconds_per_token", entry.measured("seconds_per_token").series.values[::-1])

    straight, reversed_rounds = decoding(held, lambda entry: entry), decoding(held, reverse)
    assert straight.effect == pytest.approx(0.6, abs=0.01)
    assert reversed_rounds.upper - reversed_rounds.lower > 10 * (straight.upper - straight.lower)


@pytest.mark.parametrize(
    "change",
    [
        {"panel": "another"},
        {"environment": studies.PLACE.model_copy(update={"machine": "another"})},
    ],
)
def test_panels_and_machines_are_never_paired(change):
    """An LSTM that was timed in another panel, or on another machine, has nobody to be compared with."""
    found = decoding(
        studies.contents(C4),
        lambda entry: entry.model_copy(update=change) if entry.cell.model == "lstm" else entry,
    )
    assert (found.verdict, found.reason) == (N, "no round of one panel has both models")


def test_panels_of_two_machines_are_not_pooled():
    """Two seeds on two machines: one panel decides, the other is told; on one machine both count."""
    other = studies.PLACE.model_copy(update={"machine": "another"})
    apart = judged("C4", BOTH, place=lambda cell: other if cell.seed == 1001 else studies.PLACE)
    together = judged("C4", BOTH)
    assert (atom_of(apart, "cpu/decoding").n, atom_of(together, "cpu/decoding").n) == (15, 30)
    assert "1 further machines or sizes are left out" in atom_of(apart, "cpu/decoding").reason


@pytest.mark.parametrize("changed", [{"batch": 64}, {"threads": 2}])
def test_times_at_another_batch_or_with_more_threads_are_no_replicates(changed):
    """An atom names batch and threads; rounds of another panel at the same length leave it as it was."""
    group = next(group for group in C4.suite.groups if group.name == "training time")
    further = group.model_copy(update={"name": "further", "timing": group.timing.model_copy(update=changed)})
    suite = C4.suite.model_copy(update={"groups": (*C4.suite.groups, further)})
    both = C4.model_copy(update={"suite": suite})
    atom = atom_of(judged("C4", both), "cpu/4c/gru/tcn")
    assert (atom.n, "left out" in atom.reason) == (15, False)


def test_processes_that_differ_are_the_replicates():
    """Three processes a third of the effect apart are three replicates, which decide nothing here."""
    found = judged("C4", C4, {"decoding": 0.5, "process": 0.2})
    atom = atom_of(found, "cpu/decoding")
    assert "more processes, or a quieter machine, would be needed" in atom.reason
    assert (atom.verdict, atom.n) == (I, 15)


def test_a_diverged_count_is_left_out_but_counted():
    """No chance is defined for a drop: the verdict must hold with 0 and with 1 in the cell's place."""

    def lost(cell):
        return "diverged" if cell.model == "gru" and cell.seed == 1003 and ("order", "sorted") in cell.params else None

    atom = atom_of(judged("C5", C5, failed=lost), "5b/gru")
    arm = atom.arm("subject")
    assert (len(arm.values), arm.failed, atom.verdict) == (7, 1, S)
    assert "1 failed cells" in atom.reason
    weaker = atom_of(judged("C5", C5, {"drop": 0.12}, failed=lost), "5b/gru")
    assert weaker.verdict is I


def test_c2_prints_what_the_library_starts_with():
    """Slopes by cell type, equivalence at the best initialisation, and the strong control, in words."""
    found = judged("C2", C2, {"recall_irnn": 0.97}).qualifications
    assert found[0].startswith("at library initialisation the slopes are vanilla −0.5")
    assert "so at initialisation it is the forget-gate bias that mitigates" in found[0]
    assert found[1].startswith(
        "an identity-initialised vanilla RNN is equivalent at initialisation within ±0.02 nat/step"
    )
    assert found[2].endswith("an identity-initialised ReLU RNN reaches the same")


def test_c2_names_gates_that_an_orthogonal_network_beats():
    """Where an LSTM's gradient shrinks faster than an orthogonal tanh network's, it says so with a positive rate."""
    with_orthogonal = studies.study(("C1", "C2"))
    told = verdict_of("C2", with_orthogonal, studies.contents(with_orthogonal)).qualifications[-1]
    assert told.startswith("gates alone do not do it: at initialisation the gradient shrinks faster than in an orth")
    assert re.search(
        r"in an LSTM with forget bias 1 by 0\.0[67]\d+ nat per step of lag \[0\.0\d+, 0\.0\d+\], n = 8", told
    )
    held = studies.contents(with_orthogonal, studies.GOOD | {"gates": -0.02})
    assert "an LSTM with forget bias 1" not in verdict_of("C2", with_orthogonal, held).qualifications[-1]


def test_c2_says_of_the_gradient_only_what_is_supported():
    """Supported by recall and by steps to solve, with a gradient that shrinks faster: the sentence names those two."""
    atoms = {atom.name: atom for atom in judged("C2", C2).atoms}
    changed = atoms | {"2b": replace(atoms["2b"], verdict=C), "2e": replace(atoms["2e"], verdict=S)}
    told = c2.finding(changed, S)
    assert ("the gradient of an LSTM" in told, atoms["2e"].estimand in told) == (False, True)
    assert "forget-gate bias that mitigates" not in c2.qualifications(changed)[0]


def test_c2_does_not_say_the_same_of_another():
    """A strong control 0.08 short of the LSTM is printed without that sentence."""
    found = judged("C2", C2).qualifications
    assert not [text for text in found if "reaches the same" in text]
    assert "(IRNN) reached 0.899 " in found[2]


def test_c5_tells_who_sees_order():
    """A set task can be learnt, positions make attention see order, two causal layers too, one does not."""
    found = judged("C5", C5).qualifications
    assert found[0] == (
        "a set task can be solved by a recurrent network: trained on random orders the flip rate fell to "
        "0.0200 (a vanilla RNN), 0.0200 (an LSTM), 0.0200 (a GRU)"
    )
    assert found[1].startswith("causal self-attention, or attention with positions, sees the order: S = 0.300")
    assert found[2].startswith("causal attention without positions is invariant in the prefix with 1 layer")
    assert found[3].startswith("an encoder without positions, trained on sorted input, changed its answer")
    assert found[4].startswith("equivariance is not invariance")
    assert not [text for text in judged("C5", C5, {"symmetry": 0.2}).qualifications if "equivariance" in text]


def test_c5_tells_a_drop_as_a_difference():
    """What is lost is a difference of two accuracies, no share of the first one."""
    wording = judged("C5", C5).wording
    assert [text.split()[1] for text in wording.split("lost ")[1:]] == ["in", "in", "in"]
    assert wording.count(" in accuracy [") == 3


def test_c5_does_not_praise_what_was_not_unlearned():
    """A flip rate of a half after training on random orders is no solution."""
    found = judged("C5", C5, {"flip": 0.5}).qualifications[0]
    assert found.startswith("trained on random orders the flip rate stayed at 0.500")
