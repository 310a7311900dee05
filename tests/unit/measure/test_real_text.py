"""Real text is read, split and refused as documented."""

import os
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqbench.corpus import identify
from seqbench.errors import CorpusError
from seqbench.measure.corpora.text import REPLACEMENT, Story, facts, read, require, split


def decoded(text, part) -> str:
    """Return what a part says."""
    return "".join(text.alphabet[i] for i in getattr(text, part))


def stories(*lengths) -> list[Story]:
    """Return stories of these lengths, each of one letter."""
    return [Story(f"{n:02}.txt", chr(ord("a") + n % 26) * length) for n, length in enumerate(lengths)]


def test_a_folder_is_read_in_byte_order_of_relative_names(tmp_path):
    """Upper case comes before lower, a folder's files where its name stands, other files are left out."""
    for name in ("b.txt", "a/z.txt", "B.txt", "é.txt", "notes.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8")
    assert [story.name for story in read(tmp_path)] == ["B.txt", "a/z.txt", "b.txt", "é.txt"]
    assert [story.text for story in read(tmp_path)] == ["B.txt", "a/z.txt", "b.txt", "é.txt"]


def test_line_ends_and_marks_are_kept(tmp_path):
    """What is read encodes back to the bytes of the file."""
    content = "\N{ZERO WIDTH NO-BREAK SPACE}one\r\ntwo\rthree\n".encode()
    (tmp_path / "a.txt").write_bytes(content)
    assert content == read(tmp_path / "a.txt")[0].text.encode()


def test_by_character_is_contiguous():
    """A single text is cut at 90 and 95 %, in the order it has."""
    line = "".join(chr(ord("a") + i % 3) for i in range(1000))
    text = split([Story("one", line)], by="character")
    assert (decoded(text, "train"), decoded(text, "valid"), decoded(text, "test")) == (
        line[:900],
        line[900:950],
        line[950:],
    )


def test_by_character_joins_stories_by_name():
    """The order in which stories are handed over does not matter."""
    listed = stories(50, 30, 20)
    one, other = split(listed, by="character"), split(listed[::-1], by="character")
    assert decoded(one, "train") == decoded(other, "train") == "a" * 50 + "b" * 30 + "c" * 10


@settings(deadline=None)
@given(lengths=st.lists(st.integers(1, 400), min_size=3, max_size=40), seed=st.integers(0, 99))
def test_by_story_keeps_stories_whole(lengths, seed):
    """Each story lies whole in one part, no part is empty, and the order of files changes nothing."""
    listed = [Story(f"{n}.txt", f"<{n}>" + "x" * length) for n, length in enumerate(lengths)]
    text = split(listed, by="story")
    # digits may be unseen in training: look for stories by their lengths and brackets
    total = sum(len(story.text) for story in listed)
    assert total == len(text.train) + len(text.valid) + len(text.test)
    assert min(len(text.train), len(text.valid), len(text.test)) > 0
    assert all(decoded(text, part)[0] == "<" for part in ("train", "valid", "test"))
    assert len(listed) == sum(decoded(text, part).count("<") for part in ("train", "valid", "test"))
    shuffled = random.Random(seed).sample(listed, len(listed))
    again = split(shuffled, by="story")
    assert all(np.array_equal(getattr(text, part), getattr(again, part)) for part in ("train", "valid", "test"))
    assert text.identity == again.identity


def test_by_story_holds_out_about_a_twentieth_each():
    """With many stories the parts have about 90, 5 and 5 % of the characters."""
    rng = random.Random(0)
    listed = [Story(f"{n}", f"{n} " + "x" * rng.randint(100, 3000)) for n in range(100)]
    text = split(listed, by="story")
    total = sum(len(story.text) for story in listed)
    assert [len(text.valid) / total, len(text.test) / total] == pytest.approx([0.05, 0.05], abs=0.01)


def test_by_story_survives_renaming():
    """Which part a story goes to hangs on what it says, not on what it is called."""
    texts = [f"{n} " + "x" * (100 + 7 * n) for n in range(40)]
    before = split([Story(f"{n:02}", text) for n, text in enumerate(texts)], by="story")
    after = split([Story(f"{99 - n}", text) for n, text in enumerate(texts)], by="story")
    assert sorted(before.test) == sorted(after.test)
    assert sorted(before.valid) == sorted(after.valid)


def test_the_alphabet_is_of_the_training_part_only():
    """A character that only a held-out part has becomes U+FFFD there, and is counted."""
    text = split([Story("one", "ab" * 45 + "ab" * 2 + "z" + "yaby" + "b")], by="character")
    assert text.alphabet == "ab" + REPLACEMENT
    assert decoded(text, "valid") == "abab" + REPLACEMENT
    assert decoded(text, "test") == f"{REPLACEMENT}ab{REPLACEMENT}b"
    assert text.replaced == {"train": 0, "valid": 1, "test": 2}


def test_a_replacement_character_in_the_text_is_a_character():
    """U+FFFD that the training part holds has one id, like any other, and counts as nothing replaced."""
    text = split([Story("one", f"a{REPLACEMENT}" * 50)], by="character")
    assert text.alphabet == "a" + REPLACEMENT
    assert text.replaced == {"train": 0, "valid": 0, "test": 0}


def test_parts_cannot_be_written_to():
    """A text is a value: its arrays are read-only."""
    text = split([Story("one", "ab" * 50)], by="character")
    with pytest.raises(ValueError, match="read-only"):
        text.train[0] = 1


def test_identity_is_that_of_the_files(tmp_path):
    """The identity of a split text is the sha256 that `identify` gives its folder."""
    for name in ("b.txt", "a.txt", "c.txt"):
        (tmp_path / name).write_text(f"{name} é\r\n" * 9, encoding="utf-8", newline="")
    assert identify(tmp_path).sha256 == split(read(tmp_path), by="story").identity


def test_the_facts_of_a_text_are_one_row(tmp_path):
    """Name, sizes, split and hash of a text, with the name first."""
    (tmp_path / "tale.txt").write_text("ab" * 45 + "c" * 10)
    row = facts(tmp_path / "tale.txt", identify(tmp_path / "tale.txt"), by="character")
    assert next(iter(row)) == "name"
    assert row == {
        "name": "tale",
        "files": 1,
        "bytes": 100,
        "characters": 100,
        "alphabet": 2,
        "split": "character",
        "train": 90,
        "valid": 5,
        "test": 5,
        "unseen": 10,
        "sha256": identify(tmp_path / "tale.txt").sha256,
    }


def message_of(call) -> str:
    """Return the text of the CorpusError that a call raises."""
    with pytest.raises(CorpusError) as caught:
        call()
    return str(caught.value)


def test_a_missing_path_is_named(tmp_path):
    """Nothing to read is an error that says what to give."""
    assert message_of(lambda: read(tmp_path / "no")) == (
        f"no file or folder {str(tmp_path / 'no')!r}; give a text file or a folder of .txt files"
    )


def test_a_folder_without_text_is_named(tmp_path):
    """A folder needs a .txt."""
    (tmp_path / "notes.md").write_text("x")
    assert message_of(lambda: read(tmp_path)) == (
        f"folder {str(tmp_path)!r} holds no .txt file; give a text file or a folder of .txt files"
    )


def test_an_empty_file_is_named(tmp_path):
    """An empty story is a mistake, not a text."""
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "b.txt").write_text("")
    assert message_of(lambda: read(tmp_path)) == "b.txt is empty; remove it or fill it"


def test_bytes_that_are_no_utf8_are_pointed_at(tmp_path):
    """The error names the file and the byte."""
    (tmp_path / "a.txt").write_bytes("é".encode() + b"abc\xe9d")
    assert message_of(lambda: read(tmp_path)) == "a.txt is not UTF-8 at byte 5; convert it to UTF-8"


def test_two_stories_are_too_few_to_keep_whole():
    """Three parts need three stories."""
    assert message_of(lambda: split(stories(10, 10), by="story")) == (
        "2 stories are too few to keep whole in three parts; give at least 3, or split by character"
    )


def test_no_characters_are_no_text():
    """A text of nothing is refused by either split."""
    assert message_of(lambda: split([], by="character")) == "the text is empty; give one with characters in it"


def test_a_text_too_short_for_a_window_is_refused():
    """The error names the part, its length and the window."""
    text = split([Story("one", "ab" * 50)], by="character")
    require(text, 4)
    assert message_of(lambda: require(text, 5)) == (
        "the validation part has 5 characters; a window of length 5 needs 6: give a longer text or a shorter length"
    )


@pytest.mark.skipif("SEQBENCH_TEST_CORPORA" not in os.environ, reason="SEQBENCH_TEST_CORPORA names no folder of texts")
def test_lovecraft_is_split_as_documented():
    """67 stories give about 90/5/5 by story, and 90/5/5 by character."""
    folder = Path(os.environ["SEQBENCH_TEST_CORPORA"]) / "lovecraft"
    by_story, by_character = (split(read(folder), by=by) for by in ("story", "character"))
    total = len(by_story.train) + len(by_story.valid) + len(by_story.test)
    assert [len(by_story.valid) / total, len(by_story.test) / total] == pytest.approx([0.05, 0.05], abs=0.005)
    assert [len(part) for part in (by_character.train, by_character.valid, by_character.test)] == [
        2_601_279,
        144_516,
        144_516,
    ]
    assert len(by_character.alphabet) == 92
