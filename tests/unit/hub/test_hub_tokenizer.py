import pickletools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from seqbench import hub
from seqbench.errors import InvalidInput
from seqbench.measure.corpora.base import encode as corpus_ids

ALPHABET = "".join(
    sorted("\x00\t\n\r abcé\N{COMBINING ACUTE ACCENT}\N{GRINNING FACE}\N{LINE SEPARATOR}\N{REPLACEMENT CHARACTER}")
)
UNSEEN = ALPHABET.index("\N{REPLACEMENT CHARACTER}")
TOKENIZER = hub.make_tokenizer(ALPHABET)


@settings(max_examples=200, deadline=None)
@given(st.text(st.one_of(st.sampled_from(ALPHABET), st.characters(exclude_categories=["Cs"])), max_size=30))
def test_ids_are_those_of_the_corpora(text):
    """One id per character, whatever stands beside it, as the text was encoded that the model was trained on."""
    expected = corpus_ids(text, alphabet=ALPHABET, otherwise=UNSEEN).tolist() if text else []
    assert TOKENIZER(text)["input_ids"] == expected
    ids, strange = hub.encode(TOKENIZER, text)
    assert ids == expected
    assert set(strange) == set(text) - set(ALPHABET)


@settings(max_examples=100, deadline=None)
@given(st.text(ALPHABET, max_size=30))
def test_text_comes_back(text):
    """What is decoded is what was encoded: no space added, none lost."""
    assert TOKENIZER.decode(TOKENIZER(text)["input_ids"]) == text


def test_an_unknown_character_is_read_as_the_replacement_character():
    """It takes one place, is decoded as U+FFFD, and each is told once, in order."""
    assert (
        TOKENIZER.decode(TOKENIZER("aΩbŁΩ")["input_ids"])
        == "a\N{REPLACEMENT CHARACTER}b" + 2 * "\N{REPLACEMENT CHARACTER}"
    )
    assert hub.encode(TOKENIZER, "aΩbŁΩ") == (
        [*corpus_ids("a", alphabet=ALPHABET), UNSEEN, *corpus_ids("b", alphabet=ALPHABET), UNSEEN, UNSEEN],
        "ΩŁ",
    )


def test_without_a_replacement_character_unknown_ones_are_refused():
    """A vocabulary that is closed says what it does not know."""
    with pytest.raises(InvalidInput) as caught:
        hub.encode(hub.make_tokenizer("ab\n"), "abc\nd")
    assert str(caught.value) == r"the model knows no 'cd'; write with 'ab\n'"


def test_padding_stands_to_the_left_and_is_masked():
    """A replacement character in the text is a token, one that pads is none."""
    batch = TOKENIZER(["a\N{REPLACEMENT CHARACTER}", "abcab"], padding=True)
    assert batch["attention_mask"] == [[0, 0, 0, 1, 1], [1] * 5]
    assert batch["input_ids"][0] == [UNSEEN, UNSEEN, UNSEEN, ALPHABET.index("a"), UNSEEN]


def test_saved_and_loaded_it_is_the_same_and_no_pickle(tmp_path):
    """The Auto class reads it from plain JSON."""
    TOKENIZER.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = "".join(reversed(ALPHABET)) + "Ω  a"
    assert loaded(text)["input_ids"] == TOKENIZER(text)["input_ids"]
    assert hub.vocabulary_of(loaded) == ALPHABET
    assert loaded.padding_side == "left"
    for file in tmp_path.iterdir():
        assert file.suffix == ".json"
        with pytest.raises(ValueError, match="opcode"):
            list(pickletools.genops(file.read_bytes()))


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        ("", "a vocabulary has each character once; it is empty"),
        ("abca", "a vocabulary has each character once; 'a' stands twice"),
    ],
)
def test_a_vocabulary_is_a_set_of_characters(vocabulary, message):
    """Anything else is refused."""
    with pytest.raises(InvalidInput) as caught:
        hub.make_tokenizer(vocabulary)
    assert str(caught.value) == message
