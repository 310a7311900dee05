"""The exact surprisal of every character of a Chronicle text, given all characters before it.

A decision is read through the trie of its possible strings: the probability of a character is the mass of the
strings that go on with it over the mass of those still possible. The reader is a recursive descent that knows
the grammar and the odds, and nothing of how documents are drawn.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from math import fsum, log2

import numpy as np

from seqbench.errors import CorpusError
from seqbench.measure.corpora.base import Bits, Ids
from seqbench.measure.corpora.chronicle.rules import Rules, rules_of
from seqbench.measure.corpora.chronicle.words import CLOSERS, NAMES, NOUNS, OPENERS, PLACES, VERBS


class Decision(IntEnum):
    """What hangs on a character; only the character that decides bears the tag, never the ones it forces."""

    NONE = 0
    BODY_NAME = 1
    BRACKET_CLOSE = 2
    VERB_NUMBER = 3
    FOOTER_NAME = 4
    FOOTER_PLACE = 5
    PARITY = 6
    OTHER = 7


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Walk:
    """What the oracle knows of a text of N characters.

    bits: (N,) float64, exact surprisal of each character given the past; exactly 0 where it was forced.
    decision: (N,) int64, the Decision that the character takes.
    distance: (N,) int64, characters back to what is needed to decide: the first letter of the last mention of
        a name or place, the opener of a bracket, the character that shows the number of a verb's subject, the
        '#' of the document for parity; 0 elsewhere.
    """

    bits: Bits
    decision: Ids
    distance: Ids


def walk(text: str, preset: str) -> Walk:
    """Return the exact surprisal and the decision of every character of a text that begins with a document.

    The text may end anywhere; a word it breaks off in bears no tag.
    Raises CorpusError where a character cannot follow.
    """
    reader = _Reader(text, rules_of(preset))
    try:
        while True:
            reader.document()
    except _TextEnds:
        return reader.walk()


def is_document(text: str, preset: str) -> bool:
    """Return whether a text is exactly one whole document, down to its line end."""
    reader = _Reader(text, rules_of(preset))
    try:
        reader.document()
    except (_TextEnds, CorpusError):
        return False
    return reader.at == len(text)


def continuations(past: str, preset: str) -> Mapping[str, float]:
    """Return the probability of every character that can follow the past, which begins with a document."""
    reader = _Reader(past, rules_of(preset))
    try:
        while True:
            reader.document()
    except _TextEnds as end:
        return {character: 2.0**-bits for character, (bits, _) in end.node.items()}


class _Trie(dict[str, "tuple[float, _Trie]"]):
    """The strings still possible: next character -> (its surprisal in bits, the strings after it)."""


class _TextEnds(Exception):
    def __init__(self, node: _Trie) -> None:
        super().__init__()
        self.node = node


class _Reader:
    """Reads documents from the front of a text and notes the surprisal of each character it passes."""

    __slots__ = ("at", "bits", "rules", "tagged", "text")

    def __init__(self, text: str, rules: Rules) -> None:
        self.text = text
        self.rules = rules
        self.at = 0
        self.bits: list[float] = []
        self.tagged: list[tuple[int, Decision, int]] = []

    def walk(self) -> Walk:
        """Return what was noted."""
        bits = np.array(self.bits, dtype=np.float64)
        decision = np.where(bits > 0, int(Decision.OTHER), int(Decision.NONE)).astype(np.int64)
        distance = np.zeros(len(bits), dtype=np.int64)
        if self.tagged:
            where, what, far = np.array(self.tagged, dtype=np.int64).T
            decision[where], distance[where] = what, far
        return Walk(bits=bits, decision=decision, distance=distance)

    def document(self) -> None:
        """Read one document."""
        start = self.at
        self.read(_forced("#"))
        named = self.at
        name = self.read(_even(NAMES))
        self.read(_forced(" of "))
        placed = self.at
        place = self.read(_even(PLACES))
        self.read(_forced(": "))
        odd, going_on = False, False
        while True:
            begin = self.at
            subject = self.read(_subjects(self.rules, name, may_stop=going_on))
            if subject == "-- ":
                break
            named = self.note_name(subject, begin, named)
            odd ^= _is_plural(subject)
            named = self.after_subject(subject, name, named=named, depth=0, end=". ")
            going_on = True
        self.tag(self.at, Decision.FOOTER_NAME, named)
        self.read(_forced(f"{name} "))
        self.tag(self.at, Decision.FOOTER_PLACE, placed)
        self.read(_forced(f"{place} "))
        self.tag(self.at, Decision.PARITY, start)
        self.read(_forced("o\n" if odd else "e\n"))

    def after_subject(self, subject: str, name: str, *, named: int, depth: int, end: str) -> int:
        """Read the rest of a clause after its subject; return where the name was mentioned last."""
        plural = _is_plural(subject)
        # what shows the number: the 's' or the space after the noun, the first letter of a name
        shown = self.at - (2 if plural else 1) if subject.startswith("the ") else self.at - len(subject)
        begin, opened = self.at, self.at
        bracket = self.rules.bracket if depth < self.rules.depth else 0.0
        verb = self.read(_verbs(plural, bracket))
        if verb in OPENERS:
            begin = self.at
            inner = self.read(_subjects(self.rules, name, may_stop=False))
            named = self.note_name(inner, begin, named)
            closer = CLOSERS[OPENERS.index(verb)]
            named = self.after_subject(inner, name, named=named, depth=depth + 1, end=f"{closer} ")
            self.tag(self.at - 2, Decision.BRACKET_CLOSE, opened)
            verb = self.read(_verbs(plural, 0.0))
        self.tag(self.at - (1 if plural else 2), Decision.VERB_NUMBER, shown)
        if self.read(_after_verb(self.rules.object, end)) != end:
            self.read(_forced(end))
        return named

    def note_name(self, subject: str, begin: int, named: int) -> int:
        """Tag a subject that is the name; return where the name was mentioned last."""
        if subject.startswith("the "):
            return named
        self.tag(begin, Decision.BODY_NAME, named)
        return begin

    def tag(self, at: int, decision: Decision, needed: int) -> None:
        """Note that the character at `at` decides, and where the last thing it needs to know stands."""
        if at < len(self.text):
            self.tagged.append((at, decision, at - needed))

    def read(self, node: _Trie) -> str:
        """Read one whole string of the trie and return it."""
        text, at, bits = self.text, self.at, self.bits
        while node:
            if at == len(text):
                raise _TextEnds(node)
            step = node.get(text[at])
            if step is None:
                raise CorpusError(_misfit(text, at, node))
            bits.append(step[0])
            node = step[1]
            at += 1
        read = text[self.at : at]
        self.at = at
        return read


def _misfit(text: str, at: int, node: _Trie) -> str:
    return (
        f"character {at} cannot be {text[at]!r} after {text[max(0, at - 20) : at]!r} in a Chronicle text; "
        f"expected one of {''.join(sorted(node))!r}"
    )


def _is_plural(subject: str) -> bool:
    return subject.startswith("the ") and subject.endswith("s ")


def _trie(strings: Iterable[tuple[str, float]]) -> _Trie:
    """Return the trie of prefix-free strings with their probabilities."""
    branches: dict[str, list[tuple[str, float]]] = {}
    for string, mass in strings:
        if string and mass > 0:
            branches.setdefault(string[0], []).append((string[1:], mass))
    masses = {character: fsum(mass for _, mass in rest) for character, rest in branches.items()}
    total = fsum(masses.values())  # of an only branch exactly its mass: what is forced costs exactly 0
    price = {character: log2(total / mass) for character, mass in masses.items()}
    return _Trie({character: (price[character], _trie(rest)) for character, rest in branches.items()})


@cache
def _forced(string: str) -> _Trie:
    return _trie([(string, 1.0)])


@cache
def _even(strings: tuple[str, ...]) -> _Trie:
    return _trie((string, 1 / len(strings)) for string in strings)


@cache
def _subjects(rules: Rules, name: str, *, may_stop: bool) -> _Trie:
    going_on = rules.more if may_stop else 1.0
    return _trie(
        [
            ("-- ", 1 - going_on),
            (f"{name} ", going_on * rules.name),
            *_noun_phrases(going_on * (1 - rules.name)),
        ]
    )


@cache
def _verbs(plural: bool, bracket: float) -> _Trie:
    ending = " " if plural else "s "
    return _trie(
        [
            *((opener, bracket / len(OPENERS)) for opener in OPENERS),
            *((f"{verb}{ending}", (1 - bracket) / len(VERBS)) for verb in VERBS),
        ]
    )


@cache
def _after_verb(odds_of_object: float, end: str) -> _Trie:
    return _trie([(end, 1 - odds_of_object), *_noun_phrases(odds_of_object)])


def _noun_phrases(mass: float) -> list[tuple[str, float]]:
    return [(f"the {noun}{ending}", mass / (2 * len(NOUNS))) for noun in NOUNS for ending in (" ", "s ")]
