"""A known text is downloaded once, checked, and refused when it is not what it should be."""

import hashlib
import io
import logging
import socket
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pooch
import pytest

from seqbench import corpus
from seqbench.corpus import CorpusIdentity, KnownCorpus, KnownFile
from seqbench.errors import CorpusError, UnknownName
from seqbench.measure.corpora.fetch import fetch

FILES = {"a.txt": b"one\n", "b.txt": b"two\n"}


def sha256(content: bytes) -> str:
    """Return the digest of some bytes."""
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Return an empty cache; the catalogue is `pair` (two files) and `single` (one, remotely input.txt)."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    content = b"".join(FILES.values())
    pair = KnownCorpus(
        title="",
        source="",
        licence="",
        base_url="http://127.0.0.1:9/",
        identity=CorpusIdentity(name="pair", sha256=sha256(content), files=2, bytes=len(content)),
        files=tuple(KnownFile(name=name, remote=name, sha256=sha256(data)) for name, data in FILES.items()),
    )
    single = KnownCorpus(
        title="",
        source="",
        licence="",
        base_url="http://127.0.0.1:9/",
        identity=CorpusIdentity(name="single", sha256=sha256(b"1"), files=1, bytes=1),
        files=(KnownFile(name="single.txt", remote="input.txt", sha256=sha256(b"1")),),
    )
    monkeypatch.setattr(corpus, "catalogue", lambda: {"pair": pair, "single": single})
    return tmp_path / "cache" / "seqbench" / "corpora"


@pytest.fixture
def source(tmp_path):
    """Yield a folder that a real server offers on loopback, its address, and the paths asked of it."""
    folder = tmp_path / "source"
    folder.mkdir()
    for name, data in {**FILES, "input.txt": b"1"}.items():
        (folder / name).write_bytes(data)
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            asked.append(arguments[1].split()[1] if "GET" in str(arguments[1]) else "")

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}/", asked
        server.shutdown()
        thread.join()


def test_fetching_needs_no_torch():
    """A text can be downloaded before torch is imported."""
    code = "import sys, seqbench.measure.corpora.fetch; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_text_is_downloaded_and_located(cache, source):
    """Every file arrives under its name, and the name then leads to the copy."""
    _, url, _ = source
    assert cache / "pair" == fetch("pair", base_url=url)
    assert {file.name: file.read_bytes() for file in (cache / "pair").iterdir()} == FILES
    assert cache / "pair" == corpus.locate("pair")


def test_a_file_is_stored_under_its_own_name(cache, source):
    """What the source calls input.txt is stored by the name of the text."""
    _, url, _ = source
    assert cache / "single" / "single.txt" == fetch("single", base_url=url)


def test_what_lies_in_the_cache_is_not_downloaded_again(cache, source):
    """A second fetch asks the server for nothing."""
    _, url, asked = source
    fetch("pair", base_url=url)
    first = list(asked)
    fetch("pair", base_url=url)
    assert ["/a.txt", "/b.txt"] == first == asked
    assert cache.is_dir()


def test_an_altered_copy_is_downloaded_again(cache, source):
    """A file of the cache that is not the known one is replaced, the others stay."""
    _, url, asked = source
    fetch("pair", base_url=url)
    (cache / "pair" / "b.txt").write_bytes(b"not two\n")
    fetch("pair", base_url=url)
    assert asked == ["/a.txt", "/b.txt", "/b.txt"]
    assert FILES["b.txt"] == (cache / "pair" / "b.txt").read_bytes()


def test_fetching_is_quiet(cache, source):
    """Nothing is said of each file: 67 lines are no news."""
    _, url, _ = source
    said = io.StringIO()
    listener = logging.StreamHandler(said)
    pooch.get_logger().addHandler(listener)
    fetch("pair", base_url=url)
    pooch.get_logger().removeHandler(listener)
    assert said.getvalue() == ""
    assert cache.is_dir()


def test_a_corrupted_file_is_refused(cache, source):
    """A file with the wrong bytes is named, with what to do, and does not stay in the cache."""
    folder, url, _ = source
    (folder / "b.txt").write_bytes(b"two?\n")
    with pytest.raises(CorpusError) as caught:
        fetch("pair", base_url=url)
    assert str(caught.value) == (
        f"b.txt of pair from {url} is not the file known here (sha256 {sha256(FILES['b.txt'])}); "
        "give your own text: seqbench run --corpus PATH"
    )
    assert not (cache / "pair" / "b.txt").exists()


def test_a_missing_page_is_named(cache, source):
    """A file the server does not have is named, with what to do."""
    folder, url, _ = source
    (folder / "a.txt").unlink()
    with pytest.raises(CorpusError) as caught:
        fetch("pair", base_url=url)
    assert str(caught.value) == (
        f"a.txt of pair cannot be downloaded from {url}; "
        "try again online, or give your own text: seqbench run --corpus PATH"
    )
    assert not (cache / "pair" / "a.txt").exists()


@pytest.mark.usefixtures("cache")
def test_an_unreachable_server_is_named():
    """Without a network the error says what to do instead."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
    with pytest.raises(CorpusError) as caught:
        fetch("pair", base_url=url)
    assert str(caught.value) == (
        f"a.txt of pair cannot be downloaded from {url}; "
        "try again online, or give your own text: seqbench run --corpus PATH"
    )


@pytest.mark.usefixtures("cache")
def test_an_unknown_name_names_the_nearest():
    """Only texts of the catalogue can be fetched."""
    with pytest.raises(UnknownName) as caught:
        fetch("pear")
    assert str(caught.value) == "no corpus named 'pear'; did you mean pair? (known: pair, single)"
