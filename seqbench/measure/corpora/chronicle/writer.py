"""Draw documents of Chronicle."""

from collections.abc import Callable, Iterator
from math import log2

import torch

from seqbench.measure.corpora.chronicle.rules import Rules, rules_of
from seqbench.measure.corpora.chronicle.words import CLOSERS, NAMES, NOUNS, OPENERS, PLACES, VERBS

Draw = Callable[[], float]


def write(rng: torch.Generator, *, characters: int, preset: str = "S") -> str:
    """Return whole documents, as many as it takes to reach at least `characters` characters."""
    written, parts = 0, []
    for text, _ in documents(rng, preset=preset):
        parts.append(text)
        written += len(text)
        if written >= characters:
            break
    return "".join(parts)


def documents(rng: torch.Generator, *, preset: str = "S") -> Iterator[tuple[str, float]]:
    """Yield documents without end, each with its surprisal: −log2 of the product of its decisions' odds."""
    rules, draw = rules_of(preset), _uniforms(rng).__next__
    while True:
        yield _document(draw, rules)


def _uniforms(rng: torch.Generator) -> Iterator[float]:
    """Yield numbers in [0, 1) without end, drawn in blocks: each call of torch costs microseconds."""
    while True:
        yield from torch.rand(256, generator=rng, dtype=torch.float64).tolist()


def _document(draw: Draw, rules: Rules) -> tuple[str, float]:
    name, place = _one_of(NAMES, draw), _one_of(PLACES, draw)
    out = [f"#{name} of {place}: "]
    bits = log2(len(NAMES)) + log2(len(PLACES))
    odd = False
    while True:
        plural, price = _clause(draw, rules, name=name, depth=0, end=". ", out=out)
        odd ^= plural
        bits += price
        if draw() >= rules.more:
            break
        bits -= log2(rules.more)
    out.append(f"-- {name} {place} {'o' if odd else 'e'}\n")
    return "".join(out), bits - log2(1 - rules.more)


def _clause(draw: Draw, rules: Rules, *, name: str, depth: int, end: str, out: list[str]) -> tuple[bool, float]:
    """Append one clause to `out`; return whether its subject is plural, and its surprisal in bits."""
    if draw() < rules.name:
        plural, bits = False, -log2(rules.name)
        out.append(f"{name} ")
    else:
        plural, price = _noun_phrase(draw, out)
        bits = price - log2(1 - rules.name)
    if depth < rules.depth:
        if draw() < rules.bracket:
            kind = int(draw() * len(OPENERS))
            out.append(OPENERS[kind])
            _, inner = _clause(draw, rules, name=name, depth=depth + 1, end=f"{CLOSERS[kind]} ", out=out)
            bits += inner - log2(rules.bracket / len(OPENERS))
        else:
            bits -= log2(1 - rules.bracket)
    out.append(_one_of(VERBS, draw) + (" " if plural else "s "))
    bits += log2(len(VERBS))
    if draw() < rules.object:
        bits += _noun_phrase(draw, out)[1] - log2(rules.object)
    else:
        bits -= log2(1 - rules.object)
    out.append(end)
    return plural, bits


def _noun_phrase(draw: Draw, out: list[str]) -> tuple[bool, float]:
    form = int(draw() * 2 * len(NOUNS))
    plural = form >= len(NOUNS)
    out.append(f"the {NOUNS[form % len(NOUNS)]}{'s ' if plural else ' '}")
    return plural, log2(2 * len(NOUNS))


def _one_of(words: tuple[str, ...], draw: Draw) -> str:
    return words[int(draw() * len(words))]
