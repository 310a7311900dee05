"""What is fixed before data: which atoms join a rule in a study, and what its hash stands for."""

import pytest
from pydantic import ValidationError

from seqbench import plan, priority, suite
from seqbench.judge import evidence, table
from seqbench.judge.report import verdicts
from seqbench.measure.models import MODELS
from seqbench.measure.probes import PROBES
from seqbench.plan import Fit
from seqbench.preregistration import Arm, Claim, Preregistration, built_in
from seqbench.record import CorpusFacts
from seqbench.store import Contents
from seqbench.suite import Suite

KNOWN = {"known_models": MODELS, "known_probes": PROBES}
BYTES = {"task": "uniform_tokens", "probe": "state_bytes", "lengths": (8,), "width": 8, "seeds": 2}
SENTENCE = "8a/order0 and 8a/order2 and 8a/floor"
ON_TEXT = " and 8a/text/order0 and 8a/text/order2"
FACTORS = " and 8b/type and 8b/layers and 8b/width and 8b/activation"
FACTORS_ON_TEXT = FACTORS.replace("8b/", "8b/text/")
TEXT = CorpusFacts(name="tales", sha256="ab" * 32, split="story")


def atom_of(subject, *, ceiling=None, shown=None):
    """Return an atom about state bytes; a ceiling is a control, and what is shown decides nothing."""
    models = {"subject": subject, "ceiling": ceiling, "shown": shown}
    arms = {
        name: {"task": "uniform_tokens", "probe": "state_bytes", "model": model}
        for name, model in models.items()
        if model
    }
    controls = [{"arm": "ceiling", "measurement": "state_bytes", "above": 0.0}] if ceiling else []
    fields = {"estimand": "e", "unit": "byte", "test": "one_sample", "measurement": "state_bytes", "support": 1.0}
    return fields | {"arms": arms, "controls": controls}


def claim_of(rule="a", **fields):
    atoms = {
        "a": atom_of("rnn"),
        "b": atom_of("lstm", ceiling="transformer"),
        "c": atom_of("gru", shown="tcn"),
    }
    content = {"title": "T", "sentence": "S.", "rule": rule, "atoms": atoms, "where_planned": ("b", "c")}
    return Claim.model_validate(content | fields)


def study_of(*models, claim=None, exclude=()):
    """Return a study with a group of each model."""
    groups = tuple({"name": model, "models": (model,)} | BYTES for model in models)
    content = {"title": "t", "own_claims": {"X": claim or claim_of()}, "groups": groups, "exclude": exclude}
    return plan.study("mine", Suite.model_validate(content), **KNOWN)


def rule_of(study, claim="X"):
    return study.preregistration.claims[claim].rule


@pytest.mark.parametrize(
    ("models", "rule"),
    [
        (("rnn",), "a"),
        (("rnn", "lstm"), "a"),
        (("rnn", "lstm", "transformer"), "a and b"),
        (("rnn", "gru"), "a and c"),
        (("rnn", "lstm", "transformer", "gru"), "a and b and c"),
    ],
)
def test_an_atom_joins_where_all_that_it_needs_is_planned(models, rule):
    """What the test uses and what controls it must be planned; an arm that is only shown need not be."""
    assert rule_of(study_of(*models)) == rule


def test_a_rule_is_joined_as_a_whole():
    """An `or` outside of parentheses is put into some; one inside is left as it is."""
    assert claim_of("a or b", where_planned=("c",)).whole_rule == "(a or b) and c"
    assert claim_of("a and (b or a)", where_planned=("c",)).whole_rule == "a and (b or a) and c"
    assert claim_of("a or b", where_planned=()).whole_rule == "a or b"


def test_what_the_suite_excludes_is_not_planned():
    """A cell that the suite names and leaves out again is none that it asks for."""
    assert rule_of(study_of("rnn", "gru", exclude=({"model": "gru"},))) == "a"
    assert rule_of(study_of("rnn", "gru", exclude=({"model": "gru", "seed": 1000},))) == "a and c"


def test_what_joined_stands_in_the_study_alone():
    """The study's own copy has the joined rule and no condition left, comes back from JSON, and is as fixed."""
    study = study_of("rnn", "gru")
    assert study.preregistration.claims["X"].where_planned == ()
    assert study.preregistration_sha256 == study.preregistration.sha256
    assert plan.Study.model_validate_json(study.model_dump_json(by_alias=True)) == study
    assert study.exploratory == ("its suite is its author's own, with claims of its own: X",)


def test_a_trimmed_group_leaves_its_atom_untested_in_the_rule():
    """What fits into the time does not decide what is asked: the rule stays, and the claim has no verdict."""
    study = study_of("rnn", "gru")
    trimmed = study.model_copy(update={"fit": Fit(hours=1.0, seconds=1.0, trimmed={"gru": "trimmed"})})
    found = next(item for item in verdicts.judge_study(trimmed, Contents((), ())) if item.claim == "X")
    assert (found.rule, found.verdict.value) == ("a and c", "NOT TESTED")
    assert {atom.name for atom in found.atoms if atom.in_rule} == {"a", "c"}
    assert "c: trimmed to fit into 1 h: 'gru'" in found.wording
    assert "its margins or arms" not in "".join(trimmed.exploratory)


def test_groups_of_a_joined_atom_decide():
    """A group whose atom joined the rule has the priority of what decides."""
    found = priority.priorities(study_of("rnn", "gru", "lstm"))
    assert {name: found[name].name for name in found} == {"rnn": "decides", "gru": "decides", "lstm": "qualifies"}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"where_planned": ("z",)}, "the rule names the atom 'z', which the claim does not have"),
        ({"where_planned": ("a",)}, "the atom 'a' is in the rule already; leave it out of where_planned"),
        ({"by_device": {"cpu": "a"}}, "where_planned joins the one rule; a claim that is judged by device has several"),
    ],
)
def test_what_cannot_join_is_refused(fields, told):
    """Names that are no atoms, atoms that are there already, and claims without one rule."""
    with pytest.raises(ValidationError) as caught:
        claim_of(**fields)
    assert told in str(caught.value)


def test_a_fixed_model_is_one_of_its_candidates():
    """Where nothing is tuned the arm is a case of what is chosen elsewhere."""
    told = "'tcn' must be one of its candidates"
    with pytest.raises(ValidationError, match=told):
        Arm(task="recall", model="tcn", candidates=("rnn", "gru"))


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("quick", None, SENTENCE),
        ("quick", TEXT, SENTENCE + ON_TEXT),
        ("standard", None, SENTENCE + FACTORS),
        ("standard", TEXT, SENTENCE + ON_TEXT + FACTORS),
        ("full", None, SENTENCE + FACTORS),
        ("article", None, SENTENCE + FACTORS),
        ("article", TEXT, SENTENCE + ON_TEXT + FACTORS + FACTORS_ON_TEXT),
    ],
)
def test_c8_is_judged_on_what_its_suite_varies(name, text, rule):
    """Quick only describes cell types; the others judge all four factors, the article's those of its text too."""
    study = plan.study(*suite.find(name), text=text, **KNOWN)
    assert rule_of(study, "C8") == rule
    assert study.exploratory == ()


def test_a_later_field_at_its_default_leaves_the_hash():
    """A version that adds an optional field must not orphan the records of studies that never knew it."""

    class Later(Preregistration):
        note: str = ""
        extra: tuple[str, ...] = ()

    known = built_in()
    assert Later.model_validate(known.model_dump()).sha256 == known.sha256
    assert Later.model_validate(known.model_dump() | {"note": "said"}).sha256 != known.sha256


def test_a_default_written_out_hashes_as_one_left_out():
    """0 as contradiction margin is the same rule, whoever wrote it."""
    content = built_in().model_dump(exclude_unset=True)
    assert "contradict" not in content["claims"]["C2"]["atoms"]["2b"]
    content["claims"]["C2"]["atoms"]["2b"]["contradict"] = 0.0
    assert Preregistration.model_validate(content).sha256 == built_in().sha256


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("level",), 0.1),
        (("confirmatory_seeds_from",), 2000),
        (("failures", "oom"), "excluded"),
        (("claims", "C1", "rule"), "1a and 1c"),
        (("claims", "C1", "atoms", "1a", "support"), 0.06),
        (("claims", "C1", "atoms", "1d", "equivalence"), 0.03),
        (("claims", "C2", "atoms", "2b", "contradict"), 0.01),
        (("claims", "C5", "atoms", "5a", "below"), 1e-11),
        (("claims", "C1", "atoms", "1a", "arms", "subject", "width"), 64),
        (("claims", "C2", "atoms", "2d", "controls"), ()),
        (("claims", "C8", "where_planned"), ()),
    ],
)
def test_whatever_was_fixed_changes_the_hash(place, value):
    """Level, seeds, failure rules, rules, margins, arms, controls and what joins are all in it."""
    content = built_in().model_dump()
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    assert inner[place[-1]] != value
    inner[place[-1]] = value
    assert Preregistration.model_validate(content).sha256 != built_in().sha256


def design_of(arms, groups, **fields):
    """Return a study whose claim asks about one factor; groups: fields of each."""
    atom = {
        "estimand": "e",
        "unit": "bit/character",
        "test": "factor",
        "measurement": "bits_per_character",
        "support": 0.02,
        "contradict": 0.02,
        "blocks": ("layers", "width"),
        "arms": {name: {"task": "chronicle"} | arm for name, arm in arms.items()},
    }
    claim = claim_of(atoms={"a": atom_of("rnn"), "f": atom | fields}, where_planned=("f",))
    shared = {
        "task": "chronicle",
        "lengths": (8,),
        "seeds": 2,
        "training": {"steps": 1, "batch": 1, "learning_rate": 0.1},
    }
    made = tuple({"name": str(place)} | shared | group for place, group in enumerate(groups))
    content = {"title": "t", "own_claims": {"X": claim}, "groups": ({"name": "b", "models": ("rnn",)} | BYTES, *made)}
    return plan.study("mine", Suite.model_validate(content), **KNOWN)


TYPES = {name: {"model": name} for name in ("rnn", "lstm", "gru")}


@pytest.mark.parametrize(
    ("groups", "levels", "rule"),
    [
        ([{"models": ("rnn",), "width": 8}], ["rnn", "lstm", "gru"], "a"),
        ([{"models": ("rnn", "gru"), "width": 8}], ["rnn", "gru"], "a and f"),
        ([{"models": ("rnn",), "width": 8}, {"models": ("gru",), "width": 9}], ["rnn", "gru"], "a"),
        ([{"models": ("rnn", "lstm"), "width": 8}, {"models": ("gru",), "width": 9}], ["rnn", "lstm", "gru"], "a"),
        (
            [{"models": ("rnn", "lstm"), "width": 8}, {"models": ("gru", "lstm"), "width": 8, "layers": 2}],
            ["rnn", "lstm", "gru"],
            "a and f",
        ),
    ],
    ids=["one level", "two of three", "confounded", "one apart", "a chain"],
)
def test_a_factor_has_the_levels_that_are_planned(groups, levels, rule):
    """It joins the rule where they can be compared: at the same layers and width, or by way of another level."""
    study = design_of(TYPES, groups)
    assert list(study.preregistration.claims["X"].atoms["f"].arms) == levels
    assert rule_of(study) == rule


def test_an_arm_tells_sizes_that_were_found_from_those_that_were_given():
    """In plans and in frames alike; an arm that says nothing takes both."""
    matched = {"match": {"by": "parameters", "model": "lstm", "width": 8}}
    groups = [{"models": ("rnn", "lstm"), "width": 8}, {"models": ("rnn", "lstm")} | matched]
    study = design_of(TYPES, groups)
    cells = [entry.cell for entry in plan.planned(study) if entry.cell.task == "chronicle"]
    frame = table.cells(study, Contents((), ()))
    for match, count in ((None, 4), ("none", 2), ("parameters", 2), ("flops", 0)):
        arm = Arm(task="chronicle", model="rnn", width=8, match=match)
        assert sum(arm.fits(cell) for cell in cells) == count
        assert int(evidence.matches(arm, frame).sum()) == count
