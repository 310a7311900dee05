"""What every claim must do: follow a planted effect, stay silent without one, and never depend on order."""

import sys
from functools import cache
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "golden"))

import judged_studies as studies

from seqbench.judge.claims import CLAIMS
from seqbench.judge.figures import FIGURES
from seqbench.judge.report import verdicts
from seqbench.judge.rules import Verdict, parse
from seqbench.preregistration import installed

REVERSED = studies.GOOD | {
    "recall_rnn": 0.99,
    "recall_orthogonal": 0.99,
    "training": -0.9,
    "decoding": -0.9,
    "drop": 0.0,
    "bits": 1.6,
    "attention_solves": 0.0,
    "gates_solve": 1.0,
    "held": 100.0,
    "attention_recall": 0.8,
    "attention_slope": -0.05,
}


PLANTED, FEW = studies.study(), studies.study(seeds=3)


@cache
def words(*, reverse=False, few=False):
    study = FEW if few else PLANTED
    found = verdicts.judge_study(study, studies.contents(study, REVERSED if reverse else studies.GOOD))
    return {entry.claim: entry.verdict for entry in found}


def test_every_preregistered_claim_has_a_file():
    """The registry and the pre-registration name the same claims."""
    assert set(CLAIMS.entries) == set(installed().claims)


@pytest.mark.parametrize("name", CLAIMS.names())
def test_a_claim_keeps_the_contract(name):
    """Its module has a summary, a finding, qualifications and figures that exist, and its rule names its own atoms."""
    module, claim = CLAIMS.load(name), installed().claims[name]
    assert CLAIMS.summary(name).startswith(f"{name}: ")
    assert set(module.FIGURES) <= set(FIGURES.names())
    texts = (claim.whole_rule, *claim.by_device.values())
    assert all(set(parse(text).atoms()) <= set(claim.atoms) for text in texts)
    assert isinstance(module.qualifications({}), tuple)
    assert [module.finding({}, word) for word in Verdict] == [""] * len(Verdict)


@pytest.mark.parametrize("name", CLAIMS.names())
def test_a_planted_effect_is_found(name):
    """When the truth is far beyond the margins, the claim is supported."""
    assert words()[name] == Verdict.SUPPORTED


@pytest.mark.parametrize("name", CLAIMS.names())
def test_a_reversed_effect_is_found(name):
    """When the truth is the other way round, the claim is contradicted."""
    assert words(reverse=True)[name] == Verdict.CONTRADICTED


@pytest.mark.parametrize("name", CLAIMS.names())
def test_too_few_seeds_decide_nothing(name):
    """Three seeds can never confirm anything here, however large the effect."""
    assert words(few=True)[name] == Verdict.INCONCLUSIVE


def test_row_order_is_irrelevant():
    """Shuffled records give equal verdicts in every field."""
    held = studies.contents(PLANTED)
    assert verdicts.judge_study(PLANTED, held) == verdicts.judge_study(PLANTED, studies.shuffled(held))


def test_terminal_rows_have_the_name_first():
    """A row per claim, as texts, with `name` first."""
    rows = verdicts.rows(verdicts.judge_study(PLANTED, studies.contents(PLANTED)))
    assert [(next(iter(row)), row["name"]) for row in rows] == [("name", name) for name in installed().claims]
    assert all(isinstance(value, str) for row in rows for value in row.values())
