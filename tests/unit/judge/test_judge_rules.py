"""The rule language: how it is read, what AND and OR make of verdicts, and the p-values of a claim."""

import itertools

import pytest

from seqbench.errors import InvalidInput
from seqbench.judge import rules
from seqbench.judge.rules import AtomLevels, AtomP, Node, Verdict

S, C, I, N, V = (  # noqa: E741 the five words, short enough to read a table of them
    Verdict.SUPPORTED,
    Verdict.CONTRADICTED,
    Verdict.INCONCLUSIVE,
    Verdict.NOT_TESTED,
    Verdict.VACUOUS,
)


def leaf(name):
    return Node("atom", name=name)


def test_a_rule_is_read_with_its_parentheses():
    """The parentheses of C1 group the alternative before the conjunction."""
    expected = Node("and", parts=(Node("or", parts=(leaf("1a"), leaf("1b"))), leaf("1c")))
    assert rules.parse("(1a or 1b) and 1c") == expected


def test_and_binds_more_tightly_than_or():
    """Without parentheses `a or b and c` is a or (b and c)."""
    assert rules.parse("a or b and c") == Node("or", parts=(leaf("a"), Node("and", parts=(leaf("b"), leaf("c")))))


def test_atom_names_may_have_slashes():
    """The atoms of a device or a corpus have slashes in their names."""
    assert rules.parse("8a/order0 and 8a/text/order2").atoms() == ("8a/order0", "8a/text/order2")


@pytest.mark.parametrize("text", ["", "a and", "(a or b", "a b", "and a", "a)"])
def test_what_is_no_rule_is_refused(text):
    """The error shows what was given and how a rule is written."""
    with pytest.raises(InvalidInput) as caught:
        rules.parse(text)
    assert str(caught.value) == (
        f"{text!r} is no rule; write atoms joined by and, or and parentheses, as (1a or 1b) and 1c"
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [((S, S), S), ((S, I), I), ((I, N), N), ((N, V), V), ((V, C), C), ((S, C), C), ((S, N), N)],
)
def test_and_takes_the_gravest_word(words, expected):
    """Contradicted, then vacuous, not tested, inconclusive; supported only when all are."""
    for order in itertools.permutations(words):
        assert rules.verdict(rules.parse("a and b"), dict(zip("ab", order, strict=True))) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [((C, C), C), ((C, V), V), ((V, N), N), ((N, I), I), ((I, S), S), ((C, S), S), ((C, I), I)],
)
def test_or_is_the_dual(words, expected):
    """Supported, then inconclusive, not tested, vacuous; contradicted only when all are."""
    for order in itertools.permutations(words):
        assert rules.verdict(rules.parse("a or b"), dict(zip("ab", order, strict=True))) == expected


RULE = rules.parse("(a or b) and c")
P = {"a": AtomP(0.01, 0.9), "b": AtomP(0.5, 0.02), "c": AtomP(0.015, 0.3)}


def test_support_doubles_the_smallest_of_two_alternatives():
    """max(2 · min(.01, .5), .015) = .02."""
    assert rules.support_p(RULE, P) == pytest.approx(0.02)


def test_contradiction_swaps_the_roles():
    """2 · min(max(.9, .02), .3) = .6: the alternative counts its largest, the conjunction twice its smallest."""
    assert rules.contradict_p(RULE, P) == pytest.approx(0.6)


def test_a_part_that_did_not_run_is_no_try_at_contradiction():
    """With c alone of two parts, its p counts once; for support the claim cannot pass."""
    only = {"a": None, "b": None, "c": P["c"]}
    assert (rules.support_p(RULE, only), rules.contradict_p(RULE, only)) == (1.0, 0.3)


def test_levels_are_divided_where_a_choice_is_made():
    """Support at half inside the alternative; contradiction at half in each of two conjuncts."""
    found = rules.atom_levels(RULE, P, AtomLevels(0.05, 0.04))
    assert found == {"a": AtomLevels(0.025, 0.02), "b": AtomLevels(0.025, 0.02), "c": AtomLevels(0.05, 0.02)}


@pytest.mark.parametrize("text", ["a", "a and b", "a or b", "(a or b) and c", "a and (b or c and d)"])
def test_the_claims_p_agrees_with_its_atoms(text):
    """For every mix of p-values the claim passes at a level exactly when its atoms' verdicts say so."""
    rule, level = rules.parse(text), AtomLevels(0.05, 0.05)
    for choice in itertools.product((0.001, 0.02, 0.03, 0.2), repeat=len(rule.atoms())):
        for support in (True, False):
            p = {
                name: AtomP(value, 1.0) if support else AtomP(1.0, value)
                for name, value in zip(rule.atoms(), choice, strict=True)
            }
            levels = rules.atom_levels(rule, p, level)
            words = {
                name: S
                if item.support <= levels[name].support
                else C
                if item.contradict <= levels[name].contradict
                else I
                for name, item in p.items()
            }
            reached = rules.support_p(rule, p) if support else rules.contradict_p(rule, p)
            assert (rules.verdict(rule, words) == (S if support else C)) == (reached <= 0.05)
