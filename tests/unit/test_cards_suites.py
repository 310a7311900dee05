"""Cards and suites: closed schemas that name every problem at once."""

import math
import re

import pytest

from seqbench import cards, suite
from seqbench.errors import InvalidInput, UnknownName, UsageError
from seqbench.record import CorpusFacts

GOOD = (cards.folder() / "recall.toml").read_text(encoding="utf-8")


def test_every_problem_of_a_card_is_named_with_the_nearest_key(tmp_path):
    """A misspelt key is refused by name, with the nearest known key, beside the key that is then missing."""
    path = tmp_path / "mine.toml"
    path.write_text(GOOD.replace("scored_by =", "scored_bye =").replace("title =", "titel ="))
    expected = (
        "mine.toml: missing key 'title'; missing key 'scored_by'; "
        "unknown key 'titel', did you mean 'title'?; unknown key 'scored_bye', did you mean 'scored_by'?"
    )
    with pytest.raises(InvalidInput, match=f"^{re.escape(expected)}$"):
        cards.read(path)


def test_a_card_that_is_no_toml_is_refused(tmp_path):
    """A file that is not TOML is refused by name."""
    path = tmp_path / "mine.toml"
    path.write_text("title = ")
    with pytest.raises(InvalidInput, match=r"^mine\.toml: not readable as TOML \("):
        cards.read(path)


def test_an_unknown_task_is_answered_with_the_nearest():
    """A misspelt task is refused with the nearest card."""
    with pytest.raises(UnknownName, match=r"^no task named 'recal'; did you mean recall\?"):
        cards.find("recal")


@pytest.mark.parametrize("name", cards.names())
def test_a_card_says_what_its_generator_computes(name):
    """Chance and floor on a card equal the generator's closed forms for the card's own params."""
    from seqbench.measure.generators import GENERATORS

    card = cards.find(name)
    if card.chance == "measured":  # the bounds of a real text are not known beforehand, and are not half known
        assert card.floor == "measured"
        return
    bounds = GENERATORS.load(card.generator).bounds(length=card.lengths.quick[0], **card.params)
    if bounds is None:
        assert (card.chance, card.floor) == ("none", "none")
        return
    assert math.isclose(card.chance, bounds.chance_loss, rel_tol=1e-12)
    assert math.isclose(card.floor, bounds.floor_loss, rel_tol=1e-12)


@pytest.mark.parametrize("name", cards.names())
def test_a_card_is_scored_by_a_probe_that_exists(name):
    """`scored_by` and `generator` of every card name something that is registered."""
    from seqbench.measure.generators import GENERATORS
    from seqbench.measure.probes import PROBES

    card = cards.find(name)
    assert card.scored_by in ("none", *PROBES.names())
    assert card.generator in GENERATORS.names()


def test_a_folder_of_own_cards_comes_first(tmp_path):
    """A card in an extra folder is found, and wins over a built-in one of the same name."""
    (tmp_path / "recall.toml").write_text(GOOD.replace("Delayed recall, fixed lag", "Mine"))
    assert cards.find("recall", [tmp_path]).title == "Mine"


@pytest.mark.parametrize("name", suite.names())
def test_every_built_in_suite_is_valid(name):
    """Each suite of the package can be read and names models, tasks and claims that exist."""
    from seqbench import plan
    from seqbench.measure.models import MODELS
    from seqbench.measure.probes import PROBES

    text = CorpusFacts(name="tales", sha256="ab" * 32, split="story")
    study = plan.study(name, suite.find(name)[1], text=text, known_models=MODELS, known_probes=PROBES)
    assert {entry.group for entry in plan.planned(study)} >= {group.name for group in study.suite.groups}


def test_an_unknown_key_of_a_suite_is_named(tmp_path):
    """A key that no suite has is refused by name."""
    path = tmp_path / "mine.toml"
    path.write_text(
        'title = "x"\nsteps = 3\n[[groups]]\nname="a"\ntask="recall"\n'
        'probe="state_bytes"\nmodels=["rnn"]\nlengths=[9]\nwidth=8\nseeds=1\n'
    )
    with pytest.raises(InvalidInput, match=r"^mine\.toml: unknown key 'steps'"):
        suite.find(str(path))


@pytest.mark.parametrize("name", cards.names())
def test_a_cards_params_are_what_its_generator_takes(name):
    """Every built-in card passes the check that own cards and suites meet."""
    from seqbench.measure import generators

    card = cards.find(name)
    generators.check_parameters(card.generator, card.params)


@pytest.mark.parametrize(
    ("generator", "given", "message"),
    [
        ("recall", {"items": "eight"}, "parameter items of recall cannot be 'eight'; give a whole number"),
        ("recall", {"items": 8.5}, "parameter items of recall cannot be 8.5; give a whole number"),
        ("recall", {"items": True}, "parameter items of recall cannot be True; give a whole number"),
        ("chronicle", {"preset": 3}, "parameter preset of chronicle cannot be 3; give a text"),
        ("recall", {"itms": 8}, "no parameter of recall named 'itms'; did you mean items? "),
        ("recall", {"batch": 8}, "no parameter of recall named 'batch'"),
        ("text", {"text": "x"}, "no parameter of text named 'text' (known: none)"),
    ],
)
def test_a_parameter_that_a_generator_does_not_take_is_refused(generator, given, message):
    """Names and kinds of parameters are those that the generator's `sample` is annotated with."""
    from seqbench.measure import generators

    with pytest.raises(UsageError, match=f"^{re.escape(message)}"):
        generators.check_parameters(generator, given)
