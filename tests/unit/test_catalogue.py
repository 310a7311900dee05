"""What `show` tells about a claim."""

import pytest

from seqbench import catalogue
from seqbench.preregistration import Claim, built_in

ARM = {"task": "recall", "model": "rnn"}
ATOMS = {
    "a": {"test": "one_sample", "unit": "nat", "support": 0.5, "contradict": -0.25},
    "b": {"test": "tost", "unit": "1", "equivalence": 0.02},
    "c": {"test": "exact", "unit": "1", "below": 1e-12},
    "d": {"test": "descriptive", "unit": "bit", "support": 3.0},
}


def claim(**rules):
    """Return a claim with an atom per kind of margin; its first one has a control."""
    atoms = {
        name: {"estimand": "θ", "measurement": "m", "arms": {"subject": ARM}, **given} for name, given in ATOMS.items()
    }
    atoms["a"]["controls"] = [{"arm": "subject", "measurement": "recall_auc", "above": 0.7}]
    return Claim.model_validate({"title": "t", "sentence": "s", "rule": "a", "atoms": atoms, **rules})


def column(key, **rules):
    return [row[key] for row in catalogue.atoms_of(claim(**rules))]


def test_margins_say_on_which_side_of_what_an_atom_is_decided():
    """Each kind of test has its own words; a unit of 1 is left out; a descriptive atom has no margin."""
    assert column("supported") == ["above 0.5 nat", "within ±0.02", "every seed below 1e−12", "–"]
    assert column("contradicted") == ["below −0.25 nat", "outside ±0.02", "no seed below 1e−12", "–"]
    assert column("control") == ["subject has recall_auc above 0.7", "–", "–", "–"]


def test_the_place_of_an_atom_says_which_rules_name_it():
    """An atom of every rule is plainly in, one of none plainly out; else the rules that name it are named."""
    rules = {"rule": "a", "by_device": {"cpu": "a or b", "gpu": "a and (c or b)"}}
    assert column("in the rule", **rules) == ["yes", "on a CPU, on a GPU", "on a GPU", "no"]
    assert column("in the rule", where_planned=["b", "c"]) == ["yes", "where planned", "where planned", "no"]
    assert column("in the rule", rule="b", by_device={"gpu": "a"}) == ["on a GPU", "by default", "no", "no"]


@pytest.mark.parametrize("name", built_in().claims)
def test_show_tells_rules_and_all_that_is_known_of_each_atom(name):
    """Every rule of a claim, and every filled field of every atom, stands in what `show` prints."""
    told = catalogue.describe(name)
    known = built_in().claims[name]
    lines = {line.split()[0]: line for line in told.partition("Atoms:")[2].splitlines() if line}
    assert all(text in told for text in catalogue.rules_of(known).values())
    for row in catalogue.atoms_of(known):
        assert [text for text in row.values() if text != catalogue.NOTHING and text not in lines[row["atom"]]] == []
