"""What every claim must do: follow a planted effect, stay silent without one, and never depend on order."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "golden"))

import judged_studies as studies

from seqbench.judge.claims import CLAIMS
from seqbench.judge.figures import FIGURES
from seqbench.judge.report import verdicts
from seqbench.judge.rules import Verdict, parse
from seqbench.preregistration import installed

REVERSED = studies.GOOD | {"recall_rnn": 0.99, "bits": 1.6}


def word(claim, study, held):
    return next(entry for entry in verdicts.judge_study(study, held) if entry.claim == claim).verdict


def test_every_preregistered_claim_has_a_file():
    """The registry and the pre-registration name the same claims."""
    assert set(CLAIMS.entries) == set(installed().claims)


@pytest.mark.parametrize("name", CLAIMS.names())
def test_a_claim_keeps_the_contract(name):
    """Its module has a summary, a finding, qualifications and figures that exist, and its rule names its own atoms."""
    module, claim = CLAIMS.load(name), installed().claims[name]
    assert CLAIMS.summary(name).startswith(f"{name}: ")
    assert set(module.FIGURES) <= set(FIGURES.names())
    assert set(parse(claim.rule).atoms()) <= set(claim.atoms)
    assert set(parse(claim.rule_with_corpus or claim.rule).atoms()) <= set(claim.atoms)
    assert module.qualifications({}) in ((), None) or isinstance(module.qualifications({}), tuple)
    assert module.finding({}) == ""


@pytest.mark.parametrize("name", CLAIMS.names())
def test_a_planted_effect_is_found(name):
    """When the truth is far beyond the margins, the claim is supported."""
    study = studies.study()
    assert word(name, study, studies.contents(study)) == Verdict.SUPPORTED


@pytest.mark.parametrize("name", CLAIMS.names())
def test_a_reversed_effect_is_found(name):
    """When the truth is the other way round, the claim is contradicted."""
    study = studies.study()
    assert word(name, study, studies.contents(study, REVERSED)) == Verdict.CONTRADICTED


@pytest.mark.parametrize("name", CLAIMS.names())
def test_too_few_seeds_decide_nothing(name):
    """Three seeds can never confirm anything here, however large the effect."""
    study = studies.study(seeds=3)
    assert word(name, study, studies.contents(study)) == Verdict.INCONCLUSIVE


def test_row_order_is_irrelevant():
    """Shuffled records give equal verdicts in every field."""
    study = studies.study()
    held = studies.contents(study)
    assert verdicts.judge_study(study, held) == verdicts.judge_study(study, studies.shuffled(held))


def test_terminal_rows_have_the_name_first():
    """A row per claim, as texts, with `name` first."""
    study = studies.study()
    rows = verdicts.rows(verdicts.judge_study(study, studies.contents(study)))
    assert [(next(iter(row)), row["name"]) for row in rows] == [("name", name) for name in installed().claims]
    assert all(isinstance(value, str) for row in rows for value in row.values())
