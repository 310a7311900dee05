"""How atoms make a verdict: the rule text as a tree, its AND/OR algebra, and the p-values of a claim."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from seqbench.errors import InvalidInput


class Verdict(StrEnum):
    """The five words a claim or an atom can be given."""

    SUPPORTED = "SUPPORTED"
    CONTRADICTED = "CONTRADICTED"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_TESTED = "NOT TESTED"
    VACUOUS = "VACUOUS"


@dataclass(frozen=True, slots=True)
class Node:
    """A rule: `atom` is a leaf with its name, `and` and `or` have parts."""

    kind: Literal["atom", "and", "or"]
    name: str = ""
    parts: tuple["Node", ...] = ()

    def atoms(self) -> tuple[str, ...]:
        """Return the names of all atoms of the rule, from left to right."""
        if self.kind == "atom":
            return (self.name,)
        return tuple(name for part in self.parts for name in part.atoms())


@dataclass(frozen=True, slots=True)
class AtomP:
    """The one-sided p-values of one atom that ran."""

    support: float
    contradict: float


@dataclass(frozen=True, slots=True)
class AtomLevels:
    """The levels at which an atom is tested in the two directions."""

    support: float
    contradict: float


def decided(p: AtomP | None, levels: AtomLevels) -> Verdict:
    """Return the verdict of an atom with these p-values at its levels; NOT TESTED where it did not run."""
    if p is None:
        return Verdict.NOT_TESTED
    if p.support <= levels.support:
        return Verdict.SUPPORTED
    return Verdict.CONTRADICTED if p.contradict <= levels.contradict else Verdict.INCONCLUSIVE


def parse(text: str) -> Node:
    """Return the tree of a rule such as `(1a or 1b) and 1c`; `and` binds more tightly than `or`.

    Raises InvalidInput when the text is no rule.
    """
    tokens = re.findall(r"[()]|[^\s()]+", text)
    node, rest = _either(tokens, text)
    if rest:
        raise _no_rule(text)
    return node


def verdict(rule: Node, atoms: Mapping[str, Verdict]) -> Verdict:
    """Return what the rule makes of its atoms' verdicts.

    AND: any CONTRADICTED; else any VACUOUS, NOT TESTED, INCONCLUSIVE, in this order; else SUPPORTED.
    OR: any SUPPORTED; else any INCONCLUSIVE, NOT TESTED, VACUOUS, in this order; else CONTRADICTED.
    """
    if rule.kind == "atom":
        return atoms[rule.name]
    found = {verdict(part, atoms) for part in rule.parts}
    return next(word for word in (_AND_ORDER if rule.kind == "and" else _OR_ORDER) if word in found)


_AND_ORDER = (
    Verdict.CONTRADICTED,
    Verdict.VACUOUS,
    Verdict.NOT_TESTED,
    Verdict.INCONCLUSIVE,
    Verdict.SUPPORTED,
)
_OR_ORDER = (
    Verdict.SUPPORTED,
    Verdict.INCONCLUSIVE,
    Verdict.NOT_TESTED,
    Verdict.VACUOUS,
    Verdict.CONTRADICTED,
)


def support_p(rule: Node, atoms: Mapping[str, AtomP | None]) -> float:
    """Return the claim's p-value of SUPPORTED: AND counts its largest, OR of k counts k times its smallest.

    An atom that did not run counts 1.
    """
    if rule.kind == "atom":
        found = atoms[rule.name]
        return found.support if found else 1.0
    p_values = [support_p(part, atoms) for part in rule.parts]
    return max(p_values) if rule.kind == "and" else min(1.0, len(p_values) * min(p_values))


def contradict_p(rule: Node, atoms: Mapping[str, AtomP | None]) -> float:
    """Return the claim's p-value of CONTRADICTED: AND counts k times its smallest over the k that ran.

    OR counts its largest.
    """
    if rule.kind == "atom":
        found = atoms[rule.name]
        return found.contradict if found else 1.0
    ran = _ran(rule, atoms)
    p_values = [contradict_p(part, atoms) for part in rule.parts]
    return max(p_values) if rule.kind == "or" else min(1.0, max(1, ran) * min(p_values))


def atom_levels(rule: Node, atoms: Mapping[str, AtomP | None], level: AtomLevels) -> dict[str, AtomLevels]:
    """Return the level of every atom of a rule whose claim is tested at `level`.

    Bonferroni where a choice is made.
    """
    return dict(_levels(rule, atoms, level))


def _levels(rule: Node, atoms: Mapping[str, AtomP | None], level: AtomLevels) -> Iterator[tuple[str, AtomLevels]]:
    if rule.kind == "atom":
        yield rule.name, level
        return
    inner = (
        AtomLevels(level.support, level.contradict / max(1, _ran(rule, atoms)))
        if rule.kind == "and"
        else AtomLevels(level.support / len(rule.parts), level.contradict)
    )
    for part in rule.parts:
        yield from _levels(part, atoms, inner)


def _ran(rule: Node, atoms: Mapping[str, AtomP | None]) -> int:
    return sum(any(atoms[name] is not None for name in part.atoms()) for part in rule.parts)


def _either(tokens: Sequence[str], text: str) -> tuple[Node, Sequence[str]]:
    return _joined("or", tokens, text, _both)


def _both(tokens: Sequence[str], text: str) -> tuple[Node, Sequence[str]]:
    return _joined("and", tokens, text, _single)


def _joined(
    word: Literal["and", "or"],
    tokens: Sequence[str],
    text: str,
    inner: Callable[[Sequence[str], str], tuple[Node, Sequence[str]]],
) -> tuple[Node, Sequence[str]]:
    first, rest = inner(tokens, text)
    parts = [first]
    while rest and rest[0] == word:
        part, rest = inner(rest[1:], text)
        parts.append(part)
    return (parts[0] if len(parts) == 1 else Node(word, parts=tuple(parts))), rest


def _single(tokens: Sequence[str], text: str) -> tuple[Node, Sequence[str]]:
    if tokens and tokens[0] == "(":
        node, rest = _either(tokens[1:], text)
        if not rest or rest[0] != ")":
            raise _no_rule(text)
        return node, rest[1:]
    if not tokens or tokens[0] in ("and", "or", ")"):
        raise _no_rule(text)
    return Node("atom", name=tokens[0]), tokens[1:]


def _no_rule(text: str) -> InvalidInput:
    return InvalidInput(f"{text!r} is no rule; write atoms joined by and, or and parentheses, as (1a or 1b) and 1c")
