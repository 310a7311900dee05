"""C8's second half: a factorial on Chronicle, and one factor at a time on two texts, through to the page."""

import re

import judged_studies as studies
import pytest

from seqbench import plan, suite
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
    words = {atom.name: atom.verdict for atom in judged.atoms if atom.test == "factor" and atom.in_rule}
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
    assert "; ".join(style.look(name).label for name in (*CELL_TYPES, "gru")) in re.sub(r"</?bdi>", "", page)


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
    assert "; on Chronicle at equal tokens results depend on layers, type of layer, activation; on " in found.wording
    assert found.qualifications[-1] == "not varied, so no part of the verdict: width"


def test_without_a_factorial_the_second_half_is_no_part_of_the_verdict():
    """A study of cell types alone, at a size that is not pre-registered for factors, says so."""
    study = studies.study(("C8",))
    found = next(item for item in verdicts.judge_study(study, studies.contents(study)) if item.claim == "C8")
    assert found.verdict is Verdict.SUPPORTED
    assert "results depend on" not in found.wording
    assert found.qualifications[-1].startswith("the second half of the sentence, on layers, neurons and activations, ")


ARTICLE = plan.study(
    *suite.find("article"), text=studies.corpus(), known_models=studies.MODELS, known_probes=studies.PROBES
)
VARIED = ("type", "layers", "width", "activation")


def article_records(*, matched=0.0, text_layers=0.0, drop=lambda _: False, failed=lambda _: None):
    """Return records of the article's suite: type, layers, width and activation count at equal tokens.

    matched: what an LSTM saves at equal parameters. text_layers: what two layers save on the real text.
    """
    held = studies.contents(ARTICLE, studies.GOOD | {"spread": 0.003}, drop=drop, failed=failed)
    found = []
    for path, record in held.records:
        planted = {"lstm": 0.06, "layers": 0.05, "width": 0.1, "relu": 0.04}
        if record.cell.task == "text":
            planted["layers"] = text_layers
        if record.cell.match:
            planted = {"lstm": matched}
        found.append((path, shifted(record, **planted)))
    return Contents(tuple(found), ())


def judged_article(**truth):
    found = verdicts.judge_study(ARTICLE, article_records(**truth))
    return next(item for item in found if item.claim == "C8")


@pytest.fixture(scope="module")
def article():
    return judged_article()


def test_each_text_and_each_kind_of_equality_has_factors_of_its_own(article):
    """On the real text layers do not matter; at equal parameters nothing does, for what mattered was the size."""
    words = {atom.name.removeprefix("8b/"): atom.verdict.value for atom in article.atoms if atom.test == "factor"}
    assert words == {
        **dict.fromkeys(VARIED, "SUPPORTED"),
        **{f"text/{name}": "SUPPORTED" for name in VARIED} | {"text/layers": "CONTRADICTED"},
        "parameters/type": "CONTRADICTED",
        "parameters/layers": "CONTRADICTED",
        "text/parameters/type": "CONTRADICTED",
        "text/parameters/layers": "CONTRADICTED",
    }


def test_one_factor_at_a_time_finds_the_planted_effects(article):
    """Cells that vary something else do not leak in, though the design is not balanced."""
    effects = {atom.name: atom.effect for atom in article.atoms}
    planted = {"8b/type": 0.06, "8b/layers": 0.05, "8b/width": 0.1, "8b/activation": 0.04, "8b/text/type": 0.06}
    assert {name: effects[name] for name in planted} == pytest.approx(planted, abs=0.006)


def test_only_equal_tokens_decide(article):
    """The real text's layers contradict the claim; what happens at equal parameters is printed beside it."""
    assert (article.verdict, article.headline) == (Verdict.CONTRADICTED, "8b/text/layers")
    assert not [atom.name for atom in article.atoms if atom.in_rule and "parameters" in atom.name]
    assert judged_article(text_layers=0.05).verdict is Verdict.SUPPORTED


def test_a_type_may_matter_at_equal_parameters_too():
    """What an LSTM saves there is found in cells whose size was found, and in no others."""
    atoms = {atom.name: atom for atom in judged_article(matched=0.08).atoms}
    assert atoms["8b/parameters/type"].effect == pytest.approx(0.08, abs=0.006)
    assert atoms["8b/type"].effect == pytest.approx(0.06, abs=0.006)
    assert [arm.planned for arm in atoms["8b/parameters/type"].arms] == [9, 9, 3]
    assert [arm.planned for arm in atoms["8b/type"].arms] == [17, 15, 3]


def test_each_factor_has_a_line_with_its_share_of_variance(article):
    """Grouped by text, equal tokens first; what is no part of the verdict says so."""
    lines = [text for text in article.qualifications if text.startswith("does the result depend on ")]
    asked = [line.removeprefix("does the result depend on ").split("?")[0] for line in lines]
    whats = ("layers", "type of layer", "width", "activation")
    assert asked == [
        *(f"{what}, on Chronicle at equal tokens" for what in whats),
        *(f"{what}, on real text at equal tokens" for what in whats),
        *(f"{what}, on Chronicle at equal parameters" for what in whats[:2]),
        *(f"{what}, on real text at equal parameters" for what in whats[:2]),
    ]
    assert all(" between the furthest levels (ω² = " in line for line in lines)
    assert [line.endswith("; no part of the verdict") for line in lines] == [False] * 8 + [True] * 4
    assert not [text for text in article.qualifications if text.startswith("not varied")]


def test_the_sentence_names_each_text():
    """A supported claim says on which text results depend on what."""
    found = judged_article(text_layers=0.05)
    for where in ("Chronicle", "real text"):
        assert (
            f"on {where} at equal tokens results depend on layers, type of layer, width, activation; " in found.wording
        )


def test_a_level_that_was_lost_leaves_its_factor_untested():
    """All cells of three layers failed outside the models: what two layers do is no answer to what was asked."""
    found = judged_article(failed=lambda cell: "error" if cell.layers == 3 and cell.task == "text" else None)
    lost = next(atom for atom in found.atoms if atom.name == "8b/text/layers")
    assert (lost.verdict, lost.reason) == (Verdict.NOT_TESTED, "bits_per_character is in no usable record")
    assert found.verdict is Verdict.NOT_TESTED


def test_the_page_of_the_article_has_its_factors():
    """Every hypothesis about a factor stands on the page of a study that varies them."""
    page = build.page(build.build(ARTICLE, article_records()))
    for design in ("8b", "8b/text", "8b/parameters", "8b/text/parameters"):
        assert f"{design}/layers" in page
    assert "does the result depend on type of layer, on real text at equal parameters?" in page
