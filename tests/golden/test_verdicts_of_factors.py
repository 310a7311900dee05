"""C8's second half: a factorial of models, layers and widths on Chronicle, planted and absent, through to the page."""

import judged_studies as studies
import pytest

from seqbench import plan
from seqbench.judge.figures import style
from seqbench.judge.report import build, verdicts
from seqbench.judge.rules import Verdict
from seqbench.store import Contents
from seqbench.suite import Group, Suite

CELL_TYPES = ("rnn", "rnn@activation=relu", "rnn@activation=sigmoid", "lstm@forget_bias=1")


def factorial_study(*, seeds=3, widths=(64, 128)):
    """Return a study of C8 that varies type, layers, activation and, where there are several, width."""
    groups = tuple(
        Group(
            name=f"chronicle, {layers} layers, width {width}",
            task="chronicle",
            models=CELL_TYPES,
            params={"preset": "S"},
            lengths=(96,),
            width=width,
            layers=layers,
            seeds=seeds,
            training=studies.SHORT,
        )
        for layers in (1, 2)
        for width in widths
    )
    return plan.study(
        "synthetic",
        Suite(title="A factorial", claims=("C8",), groups=groups),
        known_models=studies.MODELS,
        known_probes=studies.PROBES,
    )


def records(study, **by):
    """Return records in which an LSTM, two layers and width 128 each lower the bits by what is given."""
    held = studies.contents(study, studies.GOOD | {"spread": 0.003})
    return Contents(tuple((path, shifted(record, **by)) for path, record in held.records), ())


def shifted(record, *, lstm=0.0, layers=0.0, width=0.0, relu=0.0):
    cell = record.cell
    less = (
        relu * ("relu" in cell.model)
        + lstm * cell.model.startswith("lstm")
        + layers * (cell.layers == 2)
        + width * (cell.width == 128)
    )
    values = [
        item.model_copy(update={"value": item.value - less}) if item.name == "bits_per_character" else item
        for item in record.measurements
    ]
    return record.model_copy(update={"measurements": tuple(values)})


STUDY = factorial_study()


@pytest.fixture(scope="module")
def judged():
    found = verdicts.judge_study(STUDY, records(STUDY, lstm=0.06, layers=0.04, width=0.3))
    return next(item for item in found if item.claim == "C8")


def test_every_factor_gets_its_own_verdict(judged):
    """Type, layers and width matter, activation does not."""
    words = {atom.name: atom.verdict for atom in judged.atoms if atom.test == "factor"}
    assert words == {
        "8b/type": Verdict.SUPPORTED,
        "8b/layers": Verdict.SUPPORTED,
        "8b/width": Verdict.SUPPORTED,
        "8b/activation": Verdict.CONTRADICTED,
    }
    effects = {atom.name: atom.effect for atom in judged.atoms}
    assert (effects["8b/layers"], effects["8b/type"]) == pytest.approx((0.04, 0.06), abs=0.005)


def test_what_the_result_depends_on_is_a_qualification(judged):
    """In place of the sentence that nothing was varied."""
    asked = [text for text in judged.qualifications if text.startswith("does the result depend on ")]
    assert [text.split("? ")[1].split(",")[0] for text in asked] == ["SUPPORTED"] * 3 + ["CONTRADICTED"]
    assert not [text for text in judged.qualifications if "is no part of the verdict" in text]


def test_the_page_prints_the_share_of_variance_of_a_factor():
    """Beside the hypothesis, with its interval; the arms name every model of a level."""
    page = build.page(build.build(STUDY, records(STUDY, layers=0.04)))
    assert "ω² = 0." in page
    assert "twice the SD of seeds = 0.00" in page
    assert "; ".join(style.look(name).label for name in ("rnn", "lstm@forget_bias=1")) in page


def test_factors_are_in_the_rule(judged):
    """The claim is contradicted by the one factor that makes no difference, and says which atom decided."""
    assert judged.rule.endswith("and 8b/type and 8b/layers and 8b/width and 8b/activation")
    assert (judged.verdict, judged.headline) == (Verdict.CONTRADICTED, "8b/activation")


def test_a_supported_claim_says_on_what_results_depend():
    """It names the factors of the rule, and those that the study did not vary."""
    study = factorial_study(seeds=8, widths=(64,))
    found = next(
        item
        for item in verdicts.judge_study(study, records(study, lstm=0.06, layers=0.04, relu=0.05))
        if item.claim == "C8"
    )
    assert found.verdict is Verdict.SUPPORTED
    assert "; results depend on layers, type of layer, activation; on " in found.wording
    assert found.qualifications[-1] == "not varied, so no part of the verdict: width"


def test_without_a_factorial_the_second_half_is_no_part_of_the_verdict():
    """A study of cell types alone, at a size that is not pre-registered for factors, says so."""
    study = studies.study(("C8",))
    found = next(item for item in verdicts.judge_study(study, studies.contents(study)) if item.claim == "C8")
    assert found.verdict is Verdict.SUPPORTED
    assert "results depend on" not in found.wording
    assert found.qualifications[-1].startswith("the second half of the sentence, on layers, neurons and activations, ")
