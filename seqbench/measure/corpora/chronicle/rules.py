"""How often each decision of Chronicle is taken, and what follows from it in closed form (protocol §2.16)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import log2

from seqbench.measure.corpora.chronicle.words import CLOSERS, NAMES, NOUNS, OPENERS, PLACES, VERBS
from seqbench.registry import unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Probabilities of the decisions.

    more: one more sentence (ρ). bracket: a bracket after a subject (r). object: an object after a verb (o).
    name: the name of the header as subject (q).
    depth: how deep brackets nest (D).
    """

    more: float
    bracket: float
    object: float
    name: float
    depth: int


PRESETS: Mapping[str, Rules] = {
    "XS": Rules(more=0.5, bracket=0.3, object=0.5, name=0.25, depth=1),
    "S": Rules(more=0.75, bracket=0.4, object=0.5, name=0.25, depth=3),
    "M": Rules(more=0.9, bracket=0.4, object=0.5, name=0.25, depth=3),
    "L": Rules(more=0.97, bracket=0.3, object=0.5, name=0.25, depth=3),
}


def rules_of(preset: str) -> Rules:
    """Return the rules of a preset; raises UnknownName with the nearest one when there is none."""
    if preset not in PRESETS:
        raise unknown("Chronicle preset", preset, PRESETS)
    return PRESETS[preset]


def document_entropy_bits(preset: str) -> float:
    """Return the entropy of one document, in bits."""
    rules = rules_of(preset)
    bits = log2(len(NAMES)) + log2(len(PLACES)) + _clauses(rules)[0] * _coin(rules.more)
    noun_form = log2(2 * len(NOUNS))
    for depth, number in enumerate(_clauses(rules)):
        subject = _coin(rules.name) + (1 - rules.name) * noun_form
        bracket = _coin(rules.bracket) + rules.bracket * log2(len(OPENERS)) if depth < rules.depth else 0.0
        bits += number * (subject + bracket + log2(len(VERBS)) + _coin(rules.object) + rules.object * noun_form)
    return bits


def expected_length(preset: str) -> float:
    """Return the mean length of a document, in characters."""
    return sum(_expected_counts(rules_of(preset)).values())


def entropy_rate_bits(preset: str) -> float:
    """Return the entropy rate in bits per character: documents are i.i.d. and delimit themselves."""
    return document_entropy_bits(preset) / expected_length(preset)


def character_frequencies(preset: str) -> Mapping[str, float]:
    """Return the long-run share of each character: the best prediction that looks at nothing."""
    counts = _expected_counts(rules_of(preset))
    length = sum(counts.values())
    return {character: counts[character] / length for character in sorted(counts)}


def _clauses(rules: Rules) -> tuple[float, ...]:
    """Return the mean number of clauses at each depth 0 … D of a document."""
    return tuple(rules.bracket**depth / (1 - rules.more) for depth in range(rules.depth + 1))


def _expected_counts(rules: Rules) -> dict[str, float]:
    """Return how often each character occurs in a document, on average."""
    counts: dict[str, float] = defaultdict(float)
    _add(counts, ["# of : --   \n"], 1.0)
    _add(counts, NAMES, 2.0)
    _add(counts, PLACES, 2.0)
    odd = _odd(rules)
    _add(counts, "o", odd)
    _add(counts, "e", 1 - odd)
    plural = (1 - rules.name) / 2
    for depth, number in enumerate(_clauses(rules)):
        noun_phrases = number * (1 - rules.name + rules.object)
        _add(counts, [f"{name} " for name in NAMES], number * rules.name)
        _add(counts, [f"the {noun} " for noun in NOUNS], noun_phrases)
        _add(counts, "s", noun_phrases / 2 + number * (1 - plural))
        _add(counts, [f"{verb} " for verb in VERBS], number)
        _add(counts, [". "] if depth == 0 else [f"{closer} " for closer in CLOSERS], number)
        _add(counts, OPENERS, number if depth > 0 else 0.0)
    return counts


def _odd(rules: Rules) -> float:
    """Return how often the number of plural top-level subjects is odd: (1 − E[q^n]) / 2, n geometric."""
    return (1 - (1 - rules.more) * rules.name / (1 - rules.more * rules.name)) / 2


def _add(counts: dict[str, float], strings: Iterable[str], weight: float) -> None:
    """Add the characters of one of the strings, drawn uniformly, `weight` times."""
    listed = list(strings)
    for character in "".join(listed):
        counts[character] += weight / len(listed)


def _coin(probability: float) -> float:
    return -probability * log2(probability) - (1 - probability) * log2(1 - probability)
