"""Chronicle: word lists, writer, closed forms and the exact oracle agree (protocol 2.16)."""

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqbench.errors import CorpusError, UnknownName
from seqbench.measure.corpora import chronicle
from seqbench.measure.corpora.chronicle import Decision, words
from seqbench.measure.generators import chronicle as generator
from seqbench.measure.seeds import stream

PRESETS = tuple(chronicle.PRESETS)
every_preset = pytest.mark.parametrize("preset", PRESETS)

# one document by hand: a plural top-level subject with a bracketed name, an object; then a lone name
BY_HAND = "#Jonas of Garth: the crows {Jonas sees } like the monk . Jonas helps . -- Jonas Garth o\n"
FIRST_DOCUMENT = "#Bruno of Fenwick: Bruno likes the monks . -- Bruno Fenwick e\n"


def drawn(preset, characters, *seed) -> list[tuple[str, float]]:
    """Return whole documents with their surprisal, at least so many characters of them."""
    result, written = [], 0
    for text, bits in chronicle.documents(stream("test chronicle", preset, *seed), preset=preset):
        result.append((text, bits))
        written += len(text)
        if written >= characters:
            return result
    raise AssertionError


def test_names_and_places_begin_with_distinct_capitals():
    """The first letter decides a name or a place."""
    for listed, number in ((words.NAMES, 16), (words.PLACES, 8)):
        assert number == len({word[0] for word in listed}) == len(listed)
        assert all(word.isascii() and word.isalpha() and word.istitle() for word in listed)


def test_nouns_and_verbs_are_told_apart_with_their_s():
    """No noun or verb is another one followed by s, nor begins another one: each form is prefix-free."""
    for listed, number in ((words.NOUNS, 12), (words.VERBS, 10)):
        assert number == len(set(listed)) == len(listed)
        assert all(word.isascii() and word.isalpha() and word.islower() for word in listed)
        assert not any(longer == f"{word}s" for word, longer in permutations(listed, 2))
        assert not any(longer.startswith(word) for word, longer in permutations(listed, 2))
        assert not any(word.endswith("s") for word in listed)


def test_the_alphabet_is_what_is_written():
    """Every character of the alphabet occurs, and no other, in order."""
    text = "".join(text for text, _ in drawn("S", 100_000))
    assert "".join(sorted(set(text))) == words.ALPHABET


def test_the_words_are_of_version_one():
    """The fixed text begins as it did when the word lists got their version: a change must raise it."""
    assert words.WORDS_VERSION == 1
    begins = chronicle.write(stream("held out", "XS"), characters=1, preset="XS")
    assert begins == FIRST_DOCUMENT


@every_preset
def test_closed_forms_are_those_of_the_protocol(preset):
    """Entropy and mean length of a document follow the printed formulas, term by term."""
    rules = chronicle.PRESETS[preset]
    rho, r, o, q, depth = rules.more, rules.bracket, rules.object, rules.name, rules.depth

    def h(p):
        return -p * math.log2(p) - (1 - p) * math.log2(1 - p)

    def mean(listed):
        return sum(map(len, listed)) / len(listed)

    name, place, noun, verb = map(mean, (words.NAMES, words.PLACES, words.NOUNS, words.VERBS))
    bits = 7 + h(rho) / (1 - rho)
    length = 14 + 2 * name + 2 * place
    n = 1 / (1 - rho)
    for d in range(depth + 1):
        opens = d < depth
        bits += n * (h(q) + (1 - q) * math.log2(24) + opens * (h(r) + 2 * r) + math.log2(10) + h(o))
        bits += n * o * math.log2(24)
        length += n * (q * (name + 1) + (1 - q) * (noun + 5.5) + opens * r)
        length += n * (verb + 1 + (1 - (1 - q) / 2) + o * (noun + 5.5) + 2)
        n *= r
    assert chronicle.document_entropy_bits(preset) == pytest.approx(bits, rel=1e-12)
    assert chronicle.expected_length(preset) == pytest.approx(length, rel=1e-12)
    assert chronicle.entropy_rate_bits(preset) == pytest.approx(bits / length, rel=1e-12)


def test_the_entropy_of_a_document_is_the_one_verified():
    """The S preset has 91.871 bits per document, whatever the words."""
    assert chronicle.document_entropy_bits("S") == pytest.approx(91.871, abs=5e-4)


@every_preset
def test_what_is_written_agrees_with_the_closed_forms(preset):
    """Mean length, entropy rate and shares of characters are met within standard errors over documents."""
    texts, bits = zip(*drawn(preset, 250_000), strict=True)
    lengths = np.array([len(text) for text in texts])

    def off(values, share):
        """Return by how many standard errors a ratio over documents misses its closed form."""
        rest = np.asarray(values) - share * lengths
        return abs(rest.mean()) / (rest.std(ddof=1) / math.sqrt(len(rest)))

    assert abs(lengths.mean() - chronicle.expected_length(preset)) <= 4 * lengths.std(ddof=1) / len(lengths) ** 0.5
    assert off(bits, chronicle.entropy_rate_bits(preset)) <= 4
    for character, share in chronicle.character_frequencies(preset).items():
        assert off([text.count(character) for text in texts], share) <= 5  # 52 characters are looked at


@every_preset
def test_the_oracle_agrees_with_the_closed_form(preset):
    """The mean surprisal of 250 000 characters is the entropy rate within 4 SE over documents."""
    texts = [text for text, _ in drawn(preset, 250_000, "oracle")]
    lengths = np.array([len(text) for text in texts])
    bits = chronicle.walk("".join(texts), preset).bits
    per_document = np.add.reduceat(bits, np.r_[0, lengths.cumsum()[:-1]])
    rest = per_document - chronicle.entropy_rate_bits(preset) * lengths
    assert abs(rest.mean()) <= 4 * rest.std(ddof=1) / math.sqrt(len(rest))


@every_preset
def test_the_oracle_charges_a_document_what_the_writer_decided(preset):
    """The surprisals of a document's characters add up to that of the writer's decisions."""
    for text, bits in drawn(preset, 20_000, "documents"):
        assert chronicle.walk(text, preset).bits.sum() == pytest.approx(bits, rel=1e-12)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10**6), preset=st.sampled_from(PRESETS), share=st.floats(0, 1))
def test_what_can_follow_has_probability_one(seed, preset, share):
    """What can follow any past has probability 1 together, and what did follow has its surprisal."""
    text = chronicle.write(stream("test following", seed), characters=300, preset=preset)
    at = int(share * (len(text) - 1))
    following = chronicle.continuations(text[:at], preset)
    assert math.fsum(following.values()) == pytest.approx(1, abs=1e-12)
    bits = chronicle.walk(text, preset).bits[at]
    assert following[text[at]] == pytest.approx(2.0**-bits, rel=1e-12)
    assert (len(following) == 1) == (bits == 0.0)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.floats(0, 1))
def test_the_future_changes_no_surprisal(seed, share):
    """The surprisals of a text are those of any longer text that begins with it."""
    text = chronicle.write(stream("test past", seed), characters=300, preset="S")
    at = int(share * len(text))
    assert np.array_equal(chronicle.walk(text, "S").bits[:at], chronicle.walk(text[:at], "S").bits)


def test_prices_of_a_document_by_hand():
    """Each decision of a small document costs −log2 of its odds, at the characters that take it."""
    bits = chronicle.walk(BY_HAND, "S").bits
    subjects = BY_HAND.index("the crows")
    assert bits[1] == pytest.approx(4)
    assert bits[BY_HAND.index("Garth")] == pytest.approx(3)
    # 't' or 'J' as first subject; then one of 12 nouns, then plural or not
    assert bits[subjects] == pytest.approx(-math.log2(0.75))
    assert bits[subjects : subjects + 8].sum() == pytest.approx(-math.log2(0.75) + math.log2(12))
    assert bits[subjects + 8] == pytest.approx(1)
    assert bits[BY_HAND.index("{")] == pytest.approx(-math.log2(0.1))
    assert bits[BY_HAND.index("}")] == pytest.approx(1)  # no object: 1 bit
    assert bits[BY_HAND.index(" . Jonas") + 1] == pytest.approx(0)  # after an object the clause must end
    assert bits[BY_HAND.index("--")] == pytest.approx(2)
    assert bits[BY_HAND.index("-- ") + 1 :].sum() == 0.0


def test_decisions_of_a_document_by_hand():
    """Each tag stands at the deciding character, with the distance to what the decision needs."""
    known = chronicle.walk(BY_HAND, "S")
    named = {
        Decision.BODY_NAME: [(28, 27), (57, 29)],  # {Jonas from #Jonas; Jonas helps from {Jonas
        Decision.VERB_NUMBER: [(37, 9), (45, 20), (67, 10)],  # sees, like, helps
        Decision.BRACKET_CLOSE: [(39, 12)],
        Decision.FOOTER_NAME: [(74, 17)],
        Decision.FOOTER_PLACE: [(80, 70)],
        Decision.PARITY: [(86, 86)],
    }
    tagged = {
        decision: [(int(at), int(known.distance[at])) for at in np.flatnonzero(known.decision == decision)]
        for decision in named
    }
    assert tagged == named
    assert known.distance[(known.decision == Decision.NONE) | (known.decision == Decision.OTHER)].sum() == 0
    assert all(known.bits[known.decision == Decision.NONE] == 0.0)
    assert all(known.bits[known.decision == Decision.OTHER] > 0.0)


@every_preset
def test_distances_lead_to_what_the_decision_needs(preset):
    """At its distance back from a decision stands the character that settles it."""
    held_out = generator.held_out(preset=preset, characters=150_000)
    text = "".join(held_out.alphabet[i] for i in held_out.ids)
    decision, distance = held_out.tags["decision"], held_out.tags["distance"]
    pairs = {tag: set() for tag in Decision}
    for at in np.flatnonzero(distance):
        pairs[Decision(decision[at])].add((text[at], text[at - distance[at]]))
    names = {(name[0], name[0]) for name in words.NAMES}
    assert names == pairs[Decision.BODY_NAME]
    assert names == pairs[Decision.FOOTER_NAME]
    assert {(place[0], place[0]) for place in words.PLACES} == pairs[Decision.FOOTER_PLACE]
    assert set(zip(words.CLOSERS, words.OPENERS, strict=True)) == pairs[Decision.BRACKET_CLOSE]
    assert {("s", " "), (" ", "s"), *(("s", name[0]) for name in words.NAMES)} == pairs[Decision.VERB_NUMBER]
    assert {("e", "#"), ("o", "#")} == pairs[Decision.PARITY]


def test_parity_counts_plural_subjects_of_sentences_only():
    """The parity letter follows from the text: plural subjects outside brackets, objects left out."""
    for text, _ in drawn("S", 30_000, "parity"):
        plurals = 0
        for sentence in text.partition(": ")[2].partition("-- ")[0].split(". ")[:-1]:
            # the subject comes first: up to its bracket or its verb
            subject = sentence.split(" ", 2)[:2]
            plurals += subject[0] == "the" and subject[1].endswith("s")
        assert text[-2] == "eo"[plurals % 2]


def test_the_place_is_said_nowhere_else():
    """Between header and footer nothing tells the place: with the header masked it is one of eight."""
    for text, _ in drawn("M", 30_000, "place"):
        place = text.rsplit(" ", 2)[1]
        assert text.count(place) == 2


@every_preset
def test_written_documents_are_documents(preset):
    """The oracle's grammar accepts each document whole, and nothing less or more."""
    for text, _ in drawn(preset, 5_000, "accepted"):
        assert chronicle.is_document(text, preset)
        assert not chronicle.is_document(text[:-1], preset)
        assert not chronicle.is_document(text + "#", preset)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("Garth o", "Holm o"),
        ("Garth o", "Garth e"),
        ("Jonas Garth o", "Hugo Garth o"),
        ("sees }", "sees )"),
        ("crows {Jonas sees } like", "crows {Jonas sees } likes"),
        ("Jonas helps", "Jonas help"),
        ("monk .", "monk."),
        ("#", ""),
    ],
)
def test_a_broken_document_is_none(right, wrong):
    """A wrong copy, parity, closer, number or mark is told from a document."""
    assert chronicle.is_document(BY_HAND, "S")
    assert BY_HAND.count(right) == 1
    assert not chronicle.is_document(BY_HAND.replace(right, wrong), "S")


def test_brackets_nest_no_deeper_than_the_preset():
    """A bracket in a bracket is a document of S and none of XS."""
    text = "#Jonas of Garth: Jonas (Jonas [Jonas sees ] sees ) sees . -- Jonas Garth e\n"
    assert chronicle.is_document(text, "S")
    assert not chronicle.is_document(text, "XS")


def test_text_that_is_no_chronicle_is_refused():
    """The error says where, what came, what could have come, and after what."""
    with pytest.raises(CorpusError) as caught:
        chronicle.walk(BY_HAND + "#Jonah", "S")
    message = "character 93 cannot be 'h' after ' Jonas Garth o\\n#Jona' in a Chronicle text; expected one of 's'"
    assert message == str(caught.value)


def test_an_unknown_preset_names_the_nearest():
    """A preset that does not exist is answered with those that do."""
    with pytest.raises(UnknownName, match=r"^no Chronicle preset named 'XL'; did you mean L\? \(known: L, M, S, XS\)$"):
        chronicle.walk(BY_HAND, "XL")


def test_held_out_text_is_fixed_and_aligned():
    """The test text never changes, a longer one begins with it, and its floor is that of the oracle."""
    short = generator.held_out(preset="XS", characters=500)
    long = generator.held_out(preset="XS", characters=5_000)
    assert (500,) == short.ids.shape == short.floor_bits.shape == short.tags["distance"].shape
    assert np.array_equal(short.ids, long.ids[:500])
    text = "".join(long.alphabet[i] for i in long.ids)
    assert text.startswith(FIRST_DOCUMENT)
    assert np.array_equal(long.floor_bits, chronicle.walk(text, "XS").bits)


def test_held_out_text_is_made_once():
    """A second request costs nothing."""
    assert generator.held_out(preset="XS", characters=500) is generator.held_out(preset="XS", characters=500)
