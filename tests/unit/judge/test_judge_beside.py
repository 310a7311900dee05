"""The Bayesian line beside a verdict: in claims.json, on the page, and where the two say different words."""

import json
import re

import judged_studies as studies
import pytest

from seqbench.judge.claims import base
from seqbench.judge.posterior import Posterior
from seqbench.judge.report import build, verdicts
from seqbench.judge.rules import Verdict

C8, FEW = studies.study(("C8",)), studies.study(("C8",), seeds=3)
UNDECIDED = "the posterior gives P(θ > δs) = 1.00, while at this level the test decides nothing"


def atoms_of(study, held, claim="C8"):
    judged = verdicts.as_json(verdicts.judge_study(study, held))
    return {atom["atom"]: atom for atom in next(item for item in judged if item["claim"] == claim)["atoms"]}


def test_claims_json_has_the_posterior_of_every_tested_atom():
    """A planted effect is sure to both, so nothing is flagged; what has no hypothesis has null."""
    atoms = atoms_of(C8, studies.contents(C8))
    assert atoms["8a/order0"]["posterior"] == {"support": 1.0, "rope": 0.0, "contradict": 0.0}
    assert atoms["8b"]["posterior"] is None
    assert [name for name, atom in atoms.items() if "flag" in atom] == []


def test_three_seeds_that_agree_are_flagged_as_what_they_are():
    """The level of eight claims is out of reach of three seeds, while the posterior knows no level."""
    atom = atoms_of(FEW, studies.contents(FEW))["8a/order0"]
    assert (atom["verdict"], atom["flag"]) == ("INCONCLUSIVE", UNDECIDED)


def test_what_did_not_run_has_no_posterior():
    """An atom with a missing cell is compared with nothing, nor is one of a claim lost to errors of the suite."""
    partly = studies.contents(FEW, drop=lambda cell: cell.seed == 1001)
    broken = studies.contents(FEW, failed=lambda cell: "error" if cell.model == "gru" else None)
    for held in (partly, broken):
        atom = atoms_of(FEW, held)["8a/order0"]
        assert (atom["verdict"], atom["posterior"], "flag" in atom) == ("NOT TESTED", None, False)


def test_a_vacuous_atom_has_no_posterior():
    """Where the control failed nothing is said of θ."""
    study = studies.study(("C1",), seeds=3)
    held = studies.contents(study, studies.GOOD | {"recall_lstm": 0.6, "recall_rnn": 0.2})
    atom = atoms_of(study, held, "C1")["1c"]
    assert (atom["verdict"], atom["posterior"], "flag" in atom) == ("VACUOUS", None, False)


@pytest.mark.parametrize(
    ("verdict", "found", "equivalence", "expected"),
    [
        (Verdict.INCONCLUSIVE, Posterior(0.97, 0.02, 0.01), None, "P(θ > δs) = 0.970, while at this level the test"),
        (Verdict.INCONCLUSIVE, Posterior(0.01, 0.02, 0.97), None, "P(θ < δc) = 0.970, while at this level the test"),
        (Verdict.INCONCLUSIVE, Posterior(0.96, 0.0, 0.04), 0.1, "P(|θ| < Δ) = 0.960, while at this level the test"),
        (Verdict.SUPPORTED, Posterior(0.84, 0.15, 0.01), None, "P(θ > δs) = 0.840, while the test supports it"),
        (Verdict.SUPPORTED, Posterior(0.01, 0.02, 0.97), None, "P(θ < δc) = 0.970, while the test supports it"),
        (Verdict.CONTRADICTED, Posterior(0.01, 0.15, 0.84), None, "P(θ < δc) = 0.840, while the test contradicts it"),
        (Verdict.CONTRADICTED, Posterior(0.97, 0.02, 0.01), None, "P(θ > δs) = 0.970, while the test contradicts it"),
        (Verdict.CONTRADICTED, Posterior(0.2, 0.0, 0.8), 0.1, "P(|θ| ≥ Δ) = 0.800, while the test contradicts it"),
        (Verdict.SUPPORTED, Posterior(0.97, 0.02, 0.01), None, ""),
        (Verdict.VACUOUS, Posterior(0.97, 0.02, 0.01), None, ""),
    ],
)
def test_a_flag_says_which_two_words_stand_against_each_other(verdict, found, equivalence, expected):
    """The probability that makes the difference, and what the test made of the same values."""
    text = base._flag(verdict, found, equivalence)
    assert text.removeprefix("the posterior gives ").removesuffix(" decides nothing") == expected


def test_the_line_has_a_region_between_margins_only_where_they_differ():
    """Of one margin two probabilities are said, of two margins three, of an equivalence the inside and the outside."""
    study = studies.study(("C1", "C8"))
    found = {atom.name: atom for item in verdicts.judge_study(study, studies.contents(study)) for atom in item.atoms}
    lines = {name: re.sub(r" = [^,]+", "", base.bayesian_line(atom)) for name, atom in found.items()}
    assert lines["8a/order0"] == "P(θ > δs), P(δc ≤ θ ≤ δs), P(θ < δc)"
    assert lines["8a/floor"] == "P(θ > δs), P(θ < δc)"
    assert lines["8b"] == ""
    assert lines["1d"] == "P(|θ| < Δ), P(|θ| ≥ Δ)"


def test_the_page_prints_line_and_flag():
    """Beside the verdict, and the methods say what it is."""
    page = build.page(build.build(FEW, studies.contents(FEW)))
    assert "Bayesian line: P(θ &gt; δs) = 1.00, P(δc ≤ θ ≤ δs) = 0, P(θ &lt; δc) = 0" in page
    assert UNDECIDED.replace(">", "&gt;") in page
    assert "printed beside the verdict and not instead of it" in page
    assert "where it reaches 90 %" in page


def test_probabilities_have_six_decimals():
    """What lies below the grid's resolution depends on how a machine sums."""
    text = json.dumps(verdicts.as_json(verdicts.judge_study(FEW, studies.contents(FEW))))
    for shares in re.findall(r'"posterior": \{([^}]+)\}', text):
        assert all(round(float(share), 6) == float(share) for share in re.findall(r"[\d.e-]+(?=[,}]|$)", shares))
