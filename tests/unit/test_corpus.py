"""Which text was used, which are known by name, and where a copy lies."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from seqbench import corpus
from seqbench.corpus import CorpusIdentity, KnownCorpus, KnownFile
from seqbench.errors import CorpusError, UnknownName
from seqbench.measure.corpora import text as real_text

THREE = {"a.txt": b"one\n", "b.txt": b"two\n", "c.txt": b"three\n"}
ALL = b"".join(THREE.values())


def known(files: dict[str, bytes], *, name: str) -> KnownCorpus:
    """Return a catalogue entry for these files."""
    content = b"".join(files.values())
    return KnownCorpus(
        title="",
        source="",
        licence="",
        base_url="http://127.0.0.1:9/",
        identity=CorpusIdentity(
            name=name, sha256=hashlib.sha256(content).hexdigest(), files=len(files), bytes=len(content)
        ),
        files=tuple(
            KnownFile(name=file, remote=file, sha256=hashlib.sha256(data).hexdigest()) for file, data in files.items()
        ),
    )


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """Return an empty cache; the catalogue is two small texts, `three` of three files and `one` of one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    entries = {"three": known(THREE, name="three"), "one": known({"one.txt": b"1"}, name="one")}
    monkeypatch.setattr(corpus, "catalogue", lambda: entries)
    return tmp_path / "cache" / "seqbench" / "corpora"


def fill(folder: Path, files: dict[str, bytes]) -> None:
    """Write files into a folder."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def test_it_is_known_without_torch_or_numpy():
    """Planning and judging read corpora, and import neither."""
    code = "import sys, seqbench.corpus as c; c.catalogue();assert not {'torch', 'numpy', 'pooch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_folder_is_identified_by_its_texts_in_byte_order(tmp_path):
    """The sha256 is of the .txt files' bytes in byte order of relative names; other files do not count."""
    fill(tmp_path, {"b.txt": b"2", "B.txt": b"1", "a/c.txt": b"3", "z.md": b"no"})
    identity = corpus.identify(tmp_path, name="mine")
    assert identity == CorpusIdentity(name="mine", sha256=hashlib.sha256(b"132").hexdigest(), files=3, bytes=3)


def test_a_file_is_identified_by_its_bytes(tmp_path):
    """The sha256 is of the file as it is, and its name is that of the file without ending or folder."""
    fill(tmp_path, {"tale.txt": b"\xff\r\n"})
    identity = corpus.identify(tmp_path / "tale.txt")
    assert identity == CorpusIdentity(name="tale", sha256=hashlib.sha256(b"\xff\r\n").hexdigest(), files=1, bytes=3)


def test_the_catalogue_knows_two_texts():
    """Lovecraft has 67 files and tiny Shakespeare one, every file pinned."""
    listed = corpus.catalogue()
    assert list(listed) == ["lovecraft", "tinyshakespeare"]
    assert [len(entry.files) for entry in listed.values()] == [67, 1]
    for name, entry in listed.items():
        assert name == entry.identity.name
        assert len(entry.files) == entry.identity.files
        assert all(len(file.sha256) == 64 for file in entry.files)
        assert entry.base_url.startswith("https://")
        assert entry.base_url.endswith("/")
        assert "" not in (entry.title, entry.source, entry.licence)


def test_a_single_file_is_its_own_identity():
    """Of a text of one file the sha256 of the text is that of the file."""
    entry = corpus.known_corpus("tinyshakespeare")
    assert entry.identity.sha256 == entry.files[0].sha256
    assert (entry.files[0].name, entry.files[0].remote) == ("tinyshakespeare.txt", "input.txt")


@pytest.mark.skipif("SEQBENCH_TEST_CORPORA" not in os.environ, reason="SEQBENCH_TEST_CORPORA names no folder of texts")
@pytest.mark.parametrize(("name", "place"), [("lovecraft", "lovecraft"), ("tinyshakespeare", "tinyshakespeare.txt")])
def test_the_catalogue_agrees_with_the_texts(name, place):
    """Every hash and size of the catalogue is that of the real files."""
    path, entry = Path(os.environ["SEQBENCH_TEST_CORPORA"]) / place, corpus.known_corpus(name)
    assert entry.identity == corpus.identify(path, name=name)
    files = {file: hashlib.sha256(found.read_bytes()).hexdigest() for file, found in corpus.text_files(path)}
    assert files == {file.name: file.sha256 for file in entry.files}


def test_the_cache_follows_the_environment(monkeypatch):
    """XDG_CACHE_HOME says where copies lie; without it, or with an empty one, ~/.cache does."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert Path("/somewhere/seqbench/corpora") == corpus.cache_folder()
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", "/home/reader")
    assert Path("/home/reader/.cache/seqbench/corpora") == corpus.cache_folder()


def test_a_known_name_is_located_in_the_cache(cache):
    """A text of several files is its folder, one of a single file is that file."""
    fill(cache / "three", THREE)
    fill(cache / "one", {"one.txt": b"1"})
    assert cache / "three" == corpus.locate("three")
    assert cache / "one" / "one.txt" == corpus.locate("one")


@pytest.mark.usefixtures("cache")
def test_a_path_is_located_as_itself(tmp_path):
    """An own file or folder stands for itself."""
    assert tmp_path == corpus.locate(str(tmp_path))


@pytest.mark.usefixtures("cache")
def test_a_known_name_that_is_not_fetched_says_how():
    """The error names the command."""
    with pytest.raises(CorpusError) as caught:
        corpus.locate("three")
    assert str(caught.value) == (
        "three is not fetched: run seqbench corpus fetch three, or give your own text with --corpus PATH"
    )


@pytest.mark.parametrize(
    "files", [{"a.txt": b"one\n"}, {**THREE, "b.txt": b"two!"}, {**THREE, "d.txt": b"four\n"}], ids=str
)
def test_a_copy_that_is_not_the_text_is_refused(cache, files):
    """A missing, altered or added file is found out before anything is trained on it."""
    fill(cache / "three", files)
    with pytest.raises(CorpusError) as caught:
        corpus.locate("three")
    assert str(caught.value) == (
        f"three in {cache / 'three'} is incomplete or altered: remove the folder, then run seqbench corpus fetch three"
    )


@pytest.mark.usefixtures("cache")
def test_what_is_neither_name_nor_path_names_the_nearest():
    """A misspelt name is answered with the known ones."""
    with pytest.raises(UnknownName) as caught:
        corpus.locate("tree")
    assert str(caught.value) == ("no corpus, file or folder named 'tree'; did you mean three? (known: one, three)")


def test_a_folder_is_split_by_story_and_a_file_by_character(tmp_path):
    """Unless told otherwise."""
    fill(tmp_path, {"a.txt": b"1"})
    assert (corpus.split_of(tmp_path, None), corpus.split_of(tmp_path, "character")) == ("story", "character")
    assert (corpus.split_of(tmp_path / "a.txt", None), corpus.split_of(tmp_path, "story")) == ("character", "story")


def test_an_unknown_split_names_the_nearest(tmp_path):
    """A text is split by story or by character."""
    with pytest.raises(
        UnknownName, match=r"^no split named 'stories'; did you mean story\? \(known: character, story\)$"
    ):
        corpus.split_of(tmp_path, "stories")


@pytest.mark.usefixtures("cache")
def test_records_name_a_text_and_never_its_path():
    """A known text has its name, an own one the last part of its path without suffix."""
    assert [corpus.name_of(given) for given in ("three", "/my/tales.txt", "tales")] == ["three", "tales", "tales"]


@pytest.mark.usefixtures("cache")
def test_a_name_that_no_file_can_have_is_one_line():
    """5000 letters are neither a known text nor a path."""
    expected = f"^{'x' * 60}… cannot be read \\(File name too long\\); check its name and permissions$"
    with pytest.raises(CorpusError, match=expected):
        corpus.locate("x" * 5000)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that fails under reading, as /proc/*/mem")
@pytest.mark.parametrize("ask", [corpus.identify, real_text.read])
def test_a_file_that_fails_under_reading_is_named(tmp_path, ask):
    """An unreadable file of a text is named as it is called in the text, and never by where it lies."""
    (tmp_path / "a.txt").symlink_to("/proc/self/mem")
    with pytest.raises(CorpusError, match=r"^a\.txt cannot be read \(Input/output error\); check its name and"):
        ask(tmp_path)


@pytest.mark.parametrize("ask", [corpus.identify, real_text.read])
def test_a_folder_that_cannot_be_entered_makes_no_shorter_text(tmp_path, monkeypatch, ask):
    """A part of a text that cannot be listed is an error: leaving it out would make another text."""
    fill(tmp_path, {"a.txt": b"1", "b/c.txt": b"2"})
    scandir = os.scandir

    def locked(place):
        if Path(place).name == "b":
            raise PermissionError(13, "Permission denied", str(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", locked)
    with pytest.raises(CorpusError, match=r"cannot be read \(Permission denied\); check its name and permissions$"):
        ask(tmp_path)


def test_few_stories_and_characters_are_counted_in_good_grammar():
    """One story is, two stories are; one character, two characters."""
    one = real_text.Story("a", "ab")
    for stories, told in (([one], "1 story is too few"), ([one, real_text.Story("b", "c")], "2 stories are too few")):
        with pytest.raises(CorpusError, match=f"^{told} to keep whole in three parts; give at least 3"):
            real_text.split(stories, by="story")
    with pytest.raises(CorpusError, match=r"^the training part has 1 character; a window of length 9 needs 10: "):
        real_text.require(real_text.split([one], by="character"), 9)
