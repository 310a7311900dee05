"""Real text: read a file or a folder, split it, and know every character of the training part by an id."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

from seqbench.corpus import CorpusIdentity, read_bytes, shown, text_files
from seqbench.errors import CorpusError
from seqbench.measure.corpora.base import Ids, encode

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
"""U+FFFD, which always has an id and stands for every character that the training part does not hold."""

_HELD_OUT_SHARE = 0.05  # of all characters, for the test and for the validation part each


@dataclass(frozen=True, slots=True)
class Story:
    """One file of a text: its name relative to the folder, and what it says."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Text:
    """A real text in three parts, as ids over the characters of its training part and U+FFFD.

    alphabet: sorted; the character of id i stands at i.
    train, valid, test: (N,) int64 each.
    identity: sha256 of all files, as `seqbench.corpus.identify` gives it.
    replaced: part -> how many of its characters became U+FFFD.
    """

    alphabet: str
    train: Ids
    valid: Ids
    test: Ids
    identity: str
    replaced: Mapping[str, int]


def facts(path: Path, identity: CorpusIdentity, *, by: Literal["story", "character"]) -> dict[str, object]:
    """Return what a text is and how it would be split, as one row with `name` first.

    Raises CorpusError when it cannot be read or split.
    """
    text = split(read(path), by=by)
    return {
        "name": identity.name,
        "files": identity.files,
        "bytes": identity.bytes,
        "characters": len(text.train) + len(text.valid) + len(text.test),
        "alphabet": len(text.alphabet) - 1,  # without the replacement character
        "split": by,
        "train": len(text.train),
        "valid": len(text.valid),
        "test": len(text.test),
        "unseen": sum(text.replaced.values()),
        "sha256": identity.sha256,
    }


def read(path: Path) -> tuple[Story, ...]:
    """Return a file, or every .txt below a folder in byte order of relative names; line ends are kept.

    Raises CorpusError when there is nothing to read, or a file cannot be read, is empty or is not UTF-8.
    """
    return tuple(_story(name, file) for name, file in text_files(path))


def split(stories: Sequence[Story], *, by: Literal["story", "character"]) -> Text:
    """Return about 90 % of the characters to train on, 5 % to validate and 5 % to test.

    by="character" cuts the stories, joined in byte order of their names, at 90 and 95 %.
    by="story" keeps stories whole: in order of the sha256 of their bytes, each goes to the one of test and
    valid that lacks more characters to its 5 % (test when they lack the same) if that brings it nearer to
    them, and to train otherwise; a held-out part that is still empty then takes the shortest of train. The
    rule looks at no order of files and no name, unless two stories are the same. Each part joins its stories
    in byte order of their names.
    Raises CorpusError when there are fewer than 3 stories to keep whole, or no character at all.
    """
    ordered = sorted(stories, key=lambda story: os.fsencode(story.name))
    if not any(story.text for story in ordered):
        raise CorpusError("the text is empty; give one with characters in it")
    parts = _by_story(ordered) if by == "story" else _by_character(ordered)
    alphabet = "".join(sorted({*parts["train"], REPLACEMENT}))
    unseen = alphabet.index(REPLACEMENT)
    known = frozenset(alphabet)
    ids = {part: encode(text, alphabet=alphabet, otherwise=unseen) for part, text in parts.items()}
    for array in ids.values():
        array.flags.writeable = False
    return Text(
        alphabet=alphabet,
        **ids,
        identity=_identity(ordered),
        replaced={part: sum(text.count(c) for c in set(text) - known) for part, text in parts.items()},
    )


def require(text: Text, length: int) -> None:
    """Raise CorpusError when a part of the text is too short for one window of `length` characters."""
    for part, ids in (("training", text.train), ("validation", text.valid), ("test", text.test)):
        if len(ids) <= length:
            held = _counted(len(ids), "character", "characters")
            raise CorpusError(
                f"the {part} part has {held}; a window of length {length} needs {length + 1}: "
                "give a longer text or a shorter length"
            )


def _story(name: str, file: Path) -> Story:
    content = read_bytes(file, name=name)
    if not content:
        raise CorpusError(f"{shown(name)} is empty; remove it or fill it")
    try:
        return Story(name, content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise CorpusError(f"{shown(name)} is not UTF-8 at byte {error.start}; convert it to UTF-8") from error


def _identity(ordered: Sequence[Story]) -> str:
    digest = hashlib.sha256()
    for story in ordered:
        digest.update(story.text.encode())
    return digest.hexdigest()


def _by_character(ordered: Sequence[Story]) -> dict[str, str]:
    text = "".join(story.text for story in ordered)
    cuts = (0, len(text) * 90 // 100, len(text) * 95 // 100, len(text))
    return {part: text[start:end] for part, (start, end) in zip(_PARTS, pairwise(cuts), strict=True)}


def _by_story(ordered: Sequence[Story]) -> dict[str, str]:
    if len(ordered) < 3:
        few = f"{_counted(len(ordered), 'story is', 'stories are')} too few to keep whole in three parts"
        raise CorpusError(f"{few}; give at least 3, or split by character")
    drawn = sorted(ordered, key=lambda story: (hashlib.sha256(story.text.encode()).digest(), os.fsencode(story.name)))
    parts: dict[str, list[Story]] = {"test": [], "valid": [], "train": []}
    goal = _HELD_OUT_SHARE * sum(len(story.text) for story in drawn)
    for story in drawn:
        lacking = {part: goal - _length(parts[part]) for part in ("test", "valid")}
        part = max(lacking, key=lambda held_out: lacking[held_out])
        nearer = abs(lacking[part] - len(story.text)) < abs(lacking[part])
        parts[part if nearer else "train"].append(story)
    for part in ("test", "valid"):
        if not parts[part]:
            shortest = min(parts["train"], key=lambda story: len(story.text))
            parts["train"].remove(shortest)
            parts[part].append(shortest)
    place = {story.name: rank for rank, story in enumerate(ordered)}
    return {
        part: "".join(story.text for story in sorted(parts[part], key=lambda story: place[story.name]))
        for part in _PARTS
    }


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _length(stories: Sequence[Story]) -> int:
    return sum(len(story.text) for story in stories)


_PARTS = ("train", "valid", "test")
