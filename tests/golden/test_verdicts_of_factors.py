"""C8's second half: a factorial of models, layers and widths on Chronicle, planted and absent, through to the page."""

import judged_studies as studies
import pytest

from seqbench import plan
from seqbench.judge.figures import style
from seqbench.judge.report import build, verdicts
from seqbench.judge.rules import Verdict
from seqbench.preregistration import Atom
from seqbench.store import Contents
from seqbench.suite import Group, Suite

CELL_TYPES = ("rnn", "rnn@activation=relu", "lstm@forget_bias=1", "gru")
FACTORS = {
    "8b/layers": {str(n): {"model": CELL_TYPES, "layers": n} for n in (1, 2)},
    "8b/type": {name.partition("@")[0]: {"model": name} for name in ("rnn", "lstm@forget_bias=1", "gru")},
    "8b/activation": {"tanh": {"model": "rnn"}, "relu": {"model": "rnn@activation=relu"}},
}
BLOCKS = {"8b/layers": ("model", "width"), "8b/type": ("layers", "width"), "8b/activation": ("layers", "width")}


def factorial_study():
    """Return a study of C8 whose atoms ask for three factors; the claim's rule stays as it is."""
    groups = tuple(
        Group(
            name=f"chronicle, {layers} layers, width {width}",
            task="chronicle",
            models=CELL_TYPES,
            lengths=(96,),
            width=width,
            layers=layers,
            seeds=3,
            training=studies.SHORT,
        )
        for layers in (1, 2)
        for width in (64, 128)
    )
    study = plan.study(
        "synthetic",
        Suite(title="A factorial", claims=("C8",), groups=groups),
        known_models=studies.MODELS,
        known_probes=studies.PROBES,
    )
    claim = study.preregistration.claims["C8"]
    atoms = {name: factor(name, arms) for name, arms in FACTORS.items()}
    claim = claim.model_copy(update={"atoms": claim.atoms | atoms})
    rules = study.preregistration.model_copy(update={"claims": {"C8": claim}})
    return study.model_copy(update={"preregistration": rules})


def factor(name, arms):
    return Atom.model_validate(
        {
            "estimand": f"largest difference of bits per character by {name.removeprefix('8b/')}",
            "unit": "bit/character",
            "test": "factor",
            "measurement": "bits_per_character",
            "blocks": BLOCKS[name],
            "support": 0.02,
            "contradict": 0.02,
            "arms": {key: {"task": "chronicle"} | fields for key, fields in arms.items()},
        }
    )


def records(study, **by):
    """Return records in which a GRU, two layers and width 128 each lower the bits by what is given."""
    held = studies.contents(study, studies.GOOD | {"spread": 0.003})
    return Contents(tuple((path, shifted(record, **by)) for path, record in held.records), ())


def shifted(record, *, gru=0.0, layers=0.0, width=0.0):
    cell = record.cell
    less = gru * (cell.model == "gru") + layers * (cell.layers == 2) + width * (cell.width == 128)
    values = [
        item.model_copy(update={"value": item.value - less}) if item.name == "bits_per_character" else item
        for item in record.measurements
    ]
    return record.model_copy(update={"measurements": tuple(values)})


STUDY = factorial_study()


@pytest.fixture(scope="module")
def judged():
    found = verdicts.judge_study(STUDY, records(STUDY, gru=0.06, layers=0.04, width=0.3))
    return next(item for item in found if item.claim == "C8")


def test_every_factor_gets_its_own_verdict(judged):
    """Type and layers matter, activation does not, whatever width adds to all of them."""
    words = {atom.name: atom.verdict for atom in judged.atoms if atom.test == "factor"}
    assert words == {
        "8b/layers": Verdict.SUPPORTED,
        "8b/type": Verdict.SUPPORTED,
        "8b/activation": Verdict.CONTRADICTED,
    }
    effects = {atom.name: atom.effect for atom in judged.atoms}
    assert (effects["8b/layers"], effects["8b/type"]) == pytest.approx((0.04, 0.06), abs=0.005)


def test_what_the_result_depends_on_is_a_qualification(judged):
    """In place of the sentence that nothing was varied."""
    asked = [text for text in judged.qualifications if text.startswith("does the result depend on ")]
    assert [text.split("? ")[1].split(",")[0] for text in asked] == ["SUPPORTED", "SUPPORTED", "CONTRADICTED"]
    assert not [text for text in judged.qualifications if "untested" in text]


def test_the_page_prints_the_share_of_variance_of_a_factor():
    """Beside the hypothesis, with its interval; the arms name every model of a level."""
    page = build.page(build.build(STUDY, records(STUDY, layers=0.04)))
    assert "ω² = 0." in page
    assert "twice the SD of seeds = 0.00" in page
    assert "; ".join(style.look(name).label for name in CELL_TYPES) in page
