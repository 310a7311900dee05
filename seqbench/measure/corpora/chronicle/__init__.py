"""Chronicle: an unlimited text of small documents whose entropy is known exactly, character by character.

A document is a random program; each random decision is written as one string of a prefix-free set, so
the surprisals of its characters add up to that of the decision, and what follows from the past costs 0:

    doc  -> '#' NAME ' of ' PLACE ': ' S0 { with `more`: S0 } '-- ' NAME ' ' PLACE ' ' PARITY newline
    Sd   -> SUBJ [ with `bracket`, where d < depth: OPEN S(d+1) ] VERB [ with `object`: OBJ ] END
    SUBJ -> NAME ' ' (the header's, with `name`) | 'the ' NOUN ' ' | 'the ' NOUN 's '
    VERB -> v ' ' after a plural | v 's ' after a singular
    OBJ  -> 'the ' NOUN ' ' | 'the ' NOUN 's '
    END  -> '. ' of S0 | CLOSE ' ' of a bracket, matching its OPEN     OPEN -> one of ( [ { <
    PARITY -> 'e' or 'o': an even or odd number of plural subjects among the S0; nested ones do not count

`write` draws documents, `walk` gives the exact surprisal of each character (and is written independently
of `write`), and the closed forms give the entropy rate that both must agree on.
"""

from seqbench.measure.corpora.chronicle.oracle import Decision, Walk, continuations, is_document, walk
from seqbench.measure.corpora.chronicle.rules import (
    PRESETS,
    Rules,
    character_frequencies,
    document_entropy_bits,
    entropy_rate_bits,
    expected_length,
    rules_of,
)
from seqbench.measure.corpora.chronicle.words import ALPHABET, WORDS_VERSION
from seqbench.measure.corpora.chronicle.writer import documents, write

__all__ = [
    "ALPHABET",
    "PRESETS",
    "WORDS_VERSION",
    "Decision",
    "Rules",
    "Walk",
    "character_frequencies",
    "continuations",
    "document_entropy_bits",
    "documents",
    "entropy_rate_bits",
    "expected_length",
    "is_document",
    "rules_of",
    "walk",
    "write",
]
