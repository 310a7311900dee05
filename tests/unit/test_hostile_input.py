"""Whatever is read is accepted or refused with one of our errors: no traceback, whatever stands in a file."""

import hashlib
import json
import os
import re
import resource
import string
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seqbench import cards, cell, corpus, hub, outline, plan, record, store, suite
from seqbench.cards import TaskCard
from seqbench.errors import CheckpointError, SeqbenchError
from seqbench.hub import checkpoint
from seqbench.measure import models
from seqbench.measure.corpora import text as real_text
from seqbench.measure.models import MODELS
from seqbench.measure.probes import PROBES
from seqbench.record import Environment, Measurement, Record, Series
from seqbench.suite import Group, Suite
from seqbench.variant import parse

SOAKED = "SEQBENCH_FUZZ_EXAMPLES" in os.environ
EXAMPLES = int(os.environ.get("SEQBENCH_FUZZ_EXAMPLES", "200"))
"""The same ones in every run of the tests; make soak draws others each time."""
"""Inputs per reader; make soak asks for 10,000."""

LONGEST_S, LARGEST_BYTES = 1.0, 500 * 2**20

KNOWN = {"known_models": MODELS, "known_probes": PROBES}
GROUP = {
    "name": "g",
    "task": "uniform_tokens",
    "probe": "state_bytes",
    "models": ["rnn"],
    "lengths": [8],
    "width": 8,
    "seeds": 1,
}
ATOM = {
    "estimand": "e",
    "unit": "1",
    "test": "one_sample",
    "measurement": "m",
    "support": 0.1,
    "arms": {"subject": {"task": "uniform_tokens", "probe": "state_bytes", "model": "rnn"}},
}
OWN = {"X1": {"title": "t", "sentence": "s", "rule": "a", "atoms": {"a": ATOM}}}
SUITE = {"title": "t", "claims": ["C1"], "own_claims": OWN, "groups": [GROUP], "exclude": [{"seed": 1001}]}
CARD = cards.find("recall").model_dump(mode="json")
STUDY = plan.study("s", suite.Suite.model_validate(SUITE), **KNOWN)
HERE = Environment(machine="m", cpu="c", cores=1, memory_gib=1, device="cpu", threads=1, system="s", libraries={})
PLANNED = plan.planned(plan.study("s", Suite(title="t", groups=(Group.model_validate(GROUP),)), **KNOWN))[0]
RECORD = Record(
    cell=PLANNED.cell,
    fingerprint=PLANNED.fingerprint,
    preregistration="0",
    status="ok",
    measurements=(Measurement(name="x", value=1.0, unit="1", series=Series(axis="lag", at=(1.0,), values=(1.0,))),),
    environment=HERE,
    wall_seconds=1.0,
    finished="2026-01-01T00:00:00+00:00",
)

words = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["rnn", "rnn@gain=1e300", "@", "x@a", "recall", "My-Task", "..x:build", "a" * 300, "\n", "none"]),
)
scalars = st.one_of(
    words,
    st.integers(-10, 10**12),
    st.sampled_from([0, -5, 10**400, -(10**400)]),
    st.booleans(),
    st.floats(),
)
values = st.recursive(
    scalars, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3))
)


def edited(valid):
    """Return a strategy of this JSON-like value with one of its parts replaced, dropped or added."""
    paths = [path for path, _ in _parts(valid)]
    return st.builds(_edit, st.just(valid), st.sampled_from(paths), values, st.sampled_from(["put", "drop", "add"]))


def _parts(value, path=()):
    yield path, value
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from _parts(child, (*path, key))


def _edit(value, path, new, how):
    if not path:
        return {**value, "strange": new} if how == "add" and isinstance(value, dict) else new
    if isinstance(value, list):
        return [_edit(child, path[1:], new, how) if index == path[0] else child for index, child in enumerate(value)]
    kept = {key: child for key, child in value.items() if not (how == "drop" and path == (key,))}
    return {key: _edit(child, path[1:], new, how) if key == path[0] else child for key, child in kept.items()}


def accepted_or_refused(read):
    """Return what `read` returns, or None where it is refused in one line; anything else ends the test."""
    begun, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told = "accepted"
    found = None
    try:
        found = read()
    except SeqbenchError as error:
        told = str(error)
    assert time.process_time() - begun < LONGEST_S
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < LARGEST_BYTES
    assert told.strip()
    assert "\n" not in told
    return found


@settings(deadline=None, max_examples=EXAMPLES, derandomize=not SOAKED)
@given(st.one_of(values, edited(SUITE)))
@example({**SUITE, "groups": [{**GROUP, "params": {"items": float("nan")}}]})
@example({**SUITE, "exclude": [{"sede": 1000}]})
@example({**SUITE, "exclude": [{}]})
def test_whatever_stands_in_a_suite_is_planned_or_refused(content):
    """A suite that is accepted can be turned into a study, planned and stored; any other is refused."""

    def read():
        found = cards.validated(Suite, content, source="mine.toml")
        if all(group.seeds <= 3 and len(group.models) * len(group.lengths) <= 9 for group in found.groups):
            study = plan.study("mine", found, **KNOWN)
            assert plan.Study.model_validate_json(study.model_dump_json(by_alias=True)) == study
            assert all(json.dumps(entry.cell.model_dump(), allow_nan=False) for entry in plan.planned(study))

    accepted_or_refused(read)


@settings(deadline=None, max_examples=EXAMPLES, derandomize=not SOAKED)
@given(st.one_of(values, edited(CARD)))
@example({**CARD, "chance": float("nan")})
@example({**CARD, "params": {"items": float("inf")}})
def test_whatever_stands_in_a_card_is_accepted_or_refused(content):
    """A card that is accepted is strict JSON; any other is refused."""
    found = accepted_or_refused(lambda: cards.validated(TaskCard, content, source="mine.toml"))
    if found is not None:
        assert TaskCard.model_validate_json(json.dumps(found.model_dump(mode="json"), allow_nan=False)) == found


def as_bytes(content):
    return json.dumps(content).encode()


@settings(deadline=None, max_examples=EXAMPLES, derandomize=not SOAKED)
@given(
    st.one_of(
        st.binary(max_size=200),
        values.map(as_bytes),
        edited(json.loads(record.to_json(RECORD))).map(as_bytes),
        st.just(b'{"schema": "seqbench.record/1", "cell": ' + b"[" * 100_000),
    )
)
@example(as_bytes(_edit(json.loads(record.to_json(RECORD)), ("cell", "params"), 5, "put")))
@example(as_bytes(_edit(json.loads(record.to_json(RECORD)), ("cell", "params"), [["a", 1], ["a", "b"]], "put")))
def test_whatever_stands_in_a_record_is_accepted_or_refused(content):
    """A record that is accepted is written as it was read; any other is refused."""
    found = accepted_or_refused(lambda: record.from_json(content, source="r.json"))
    if found is not None:
        again = record.from_json(record.to_json(found), source="again.json")
        assert record.to_json(again) == record.to_json(found)


UNSEEN = ("measurements", "texts", "model", "corpus")
"""What an outline does not look at in a file whose seal fits."""


def laid_out(content):
    """Return a JSON value as the file of a record, with a right seal."""
    return record.sealed(json.dumps(content, indent=1, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")


@settings(deadline=None, max_examples=EXAMPLES, derandomize=not SOAKED)
@given(edited(json.loads(record.to_json(RECORD))))
def test_whatever_stands_in_a_sealed_record_its_outline_is_the_records(content):
    """With a right seal a record is outlined as it is, and refused where it is, but for what planning never reads."""
    found = accepted_or_refused(lambda: outline.from_json(laid_out(content), source="r.json"))
    whole = accepted_or_refused(lambda: record.from_json(laid_out(content), source="r.json"))
    if whole is None and found is not None:
        seen = {**content, **{key: value for key, value in json.loads(record.to_json(RECORD)).items() if key in UNSEEN}}
        whole = record.from_json(laid_out(seen), source="r.json")
    assert found == (None if whole is None else outline.of(whole))


@settings(deadline=None, max_examples=EXAMPLES, derandomize=not SOAKED)
@given(
    st.one_of(
        st.binary(max_size=200),
        values.map(as_bytes),
        edited(json.loads(STUDY.model_dump_json(by_alias=True))).map(as_bytes),
    )
)
def test_whatever_stands_in_a_study_is_opened_or_refused(content):
    """A study that is opened can be planned and validated; any other is refused by the store."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "study.json").write_bytes(content)

        def read():
            study = store.open_study(folder)
            if sum(group.seeds for group in study.suite.groups) <= 9:
                store.validate(folder)

        accepted_or_refused(read)


@settings(deadline=None, max_examples=EXAMPLES, derandomize=not SOAKED)
@given(st.text(alphabet=string.printable, max_size=40))
def test_whatever_is_given_as_a_cell_is_read_or_refused(text):
    """A text is a cell that reads back, or is refused."""
    found = accepted_or_refused(lambda: cell.parse(text))
    assert found is None or cell.parse(str(found)) == found


def toml_of(**changes):
    """Return the TOML of a small suite with these lines of its group changed."""
    lines = {key: json.dumps(value) for key, value in GROUP.items()} | changes
    return 'title = "t"\n{top}\n[[groups]]\n'.format(top=changes.pop("top", "")) + "\n".join(
        f"{key} = {value}" for key, value in lines.items() if key != "top"
    )


TRAINED = "{{ steps = 1, batch = 1, learning_rate = {rate}, clip_norm = {clip} }}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"training": TRAINED.format(rate="inf", clip="1.0")},
            "groups.0.training.learning_rate: input should be a fin",
        ),
        ({"training": TRAINED.format(rate="0.1", clip="inf")}, "groups.0.training.clip_norm: input should be a finite"),
        ({"params": "{ items = nan }"}, "groups.0.params.items: nan cannot be a parameter; give a finite number"),
        ({"top": "exclude = [{ length = nan }]"}, "exclude.0.length: input should be a valid integer"),
        ({"top": "exclude = [{ sede = 1000 }]"}, "unknown key 'exclude.0.sede', did you mean 'seed'?"),
        ({"top": "exclude = [{}]"}, "exclude.0: leaves nothing out; give at least one of task, probe, model, length"),
        ({"lengths": "[0]"}, "groups.0.lengths.0: input should be greater than 0"),
        ({"lengths": "[-5]"}, "groups.0.lengths.0: input should be greater than 0"),
        ({"lengths": f"[{10**400}]"}, "groups.0.lengths.0: input should be less than or equal to 10000000"),
        ({"lengths": "[" + "1" * 5000 + "]"}, "not readable as TOML (Exceeds the limit"),
        ({"lengths": "[true]"}, "groups.0.lengths.0: input should be a valid integer"),
        ({"seeds": str(10**12)}, "groups.0.seeds: input should be less than or equal to 100000"),
        ({"task": '"My-Task"'}, "groups.0.task: 'My-Task' is no name of a task or probe; write at most 60 small"),
        ({"timing": "{ batch = 1 }", "probe": '""'}, "groups.0.probe: '' is no name of a task or probe"),
    ],
)
def test_an_impossible_entry_of_a_suite_is_named(tmp_path, changes, message):
    """Numbers that are none, sizes beyond reason and unknown keys are refused by where they stand."""
    path = tmp_path / "mine.toml"
    path.write_text(toml_of(**changes))
    with pytest.raises(SeqbenchError, match=f"^mine\\.toml: {re.escape(message)}") as caught:
        suite.find(str(path))
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_two_groups_of_one_name_are_refused():
    """A plan and a panel tell groups by their names."""
    with pytest.raises(SeqbenchError, match=r"^mine\.toml: two groups are named 'g'; name each differently$"):
        cards.validated(Suite, {**SUITE, "groups": [GROUP, GROUP]}, source="mine.toml")


@pytest.mark.parametrize("name", ["x" * 5000, "x" * 5000 + ".toml", "../suites/quick", "\0.toml"])
def test_a_suite_that_no_file_can_be_is_unknown(name):
    """A name of 5000 letters, a path into the package and a null character are answered with the known suites."""
    with pytest.raises(SeqbenchError, match=r"^no suite named .*\(known: .*quick.*\)$"):
        suite.find(name)


def test_a_card_whose_file_name_no_task_can_have_is_refused(tmp_path):
    """A card is called as its task; a name that no cell could carry is refused when the card is read."""
    path = tmp_path / "My-Task.toml"
    path.write_text((cards.folder() / "recall.toml").read_text(encoding="utf-8"))
    expected = "My-Task.toml: 'My-Task' is no name of a task or probe; write at most 60 small letters, digits and _, "
    with pytest.raises(SeqbenchError, match=f"^{re.escape(expected)}beginning with a letter; rename the file$"):
        cards.find("My-Task", [tmp_path])


def test_a_series_has_a_place_for_every_value():
    """A record with more values than places is refused; nothing would know where they were measured."""
    content = json.loads(record.to_json(RECORD))
    content["measurements"][0]["series"]["at"] = [1.0, 2.0]
    with pytest.raises(SeqbenchError, match="1 values stand at 2 places; each value needs its own"):
        record.from_json(as_bytes(content), source="r.json")


def test_a_record_whose_model_is_none_is_broken_and_not_an_ill_request(tmp_path):
    """A model's text that cannot be read makes its own record broken; the others are used."""
    store.create_study(tmp_path, STUDY)
    content = json.loads(record.to_json(RECORD))
    content["cell"]["model"] = "@"
    path = store.save(tmp_path, RECORD)
    path.write_bytes(as_bytes(content))
    (item,) = store.contents(tmp_path).broken
    assert "cell.model: '@' is no model" in item.reason


NESTED = {
    "lists": "x = " + "[" * 50_000 + "]" * 50_000,
    "tables": "x = " + "{a=" * 50_000 + "1" + "}" * 50_000,
    "keys": ".".join("a" * 50_000) + " = 1",
    "a long key": "a" * 900_000 + " = 1",
}


@pytest.mark.parametrize("kind", NESTED)
def test_what_is_nested_beyond_reason_is_refused(tmp_path, kind):
    """Tens of thousands of brackets or dots in a card or suite are an error, not an exhausted machine."""
    path = tmp_path / "deep.toml"
    path.write_text(NESTED[kind])
    for read in (lambda: suite.find(str(path)), lambda: cards.read(path)):
        assert accepted_or_refused(read) is None


@pytest.mark.parametrize("kind", ["card", "suite", "study", "record"])
def test_ten_gigabytes_are_refused_unread(tmp_path, kind):
    """A file of 10 GiB, with holes for content, is refused by its size."""
    store.create_study(tmp_path / "R", STUDY)
    path = {
        "study": tmp_path / "R" / "study.json",
        "record": tmp_path / "R" / "m" / "uniform_tokens" / "rnn" / "L00008-s1000-state_bytes-abcdef-a01.json",
    }.get(kind, tmp_path / "x.toml")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(10 * 2**30)
    if kind == "record":
        (item,) = store.contents(tmp_path / "R").broken
        assert "larger than 64 MiB" in item.reason
        return
    read = {"card": lambda: cards.read(path), "suite": lambda: suite.find(str(path))}
    with pytest.raises(SeqbenchError, match="larger than"):
        read.get(kind, lambda: store.open_study(tmp_path / "R"))()


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_record_that_is_no_plain_file_is_broken(tmp_path, kind):
    """A link may lead anywhere and a pipe never ends: neither is read, at once."""
    store.create_study(tmp_path / "R", STUDY)
    path = store.save(tmp_path / "R", RECORD)
    outside = tmp_path / "outside.json"
    path.rename(outside)
    if kind == "link":
        path.symlink_to(outside)
    else:
        os.mkfifo(path)
    (item,) = store.contents(tmp_path / "R").broken
    assert "a link or no plain file" in item.reason


def test_a_suite_that_is_a_pipe_is_refused_at_once(tmp_path):
    """Nothing waits for a writer that never comes."""
    os.mkfifo(tmp_path / "x.toml")
    with pytest.raises(SeqbenchError):
        cards.read(tmp_path / "x.toml")


@settings(deadline=None, max_examples=EXAMPLES, derandomize=not SOAKED)
@given(st.one_of(st.text(max_size=200), st.binary(max_size=200), edited(SUITE).map(json.dumps)))
def test_whatever_stands_in_a_toml_file_is_read_or_refused(content):
    """The bytes of a suite's or card's file are read as TOML, or refused in one line."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "x.toml")
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
        accepted_or_refused(lambda: cards.read_toml(path))


names = st.text(alphabet='ab. é\n\\"\N{GRINNING FACE}', min_size=1, max_size=6)
texts = st.one_of(
    st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.binary(max_size=60),
    st.sampled_from(
        [b"", b"\xef\xbb\xbfa", b"a\r\nb\rc", b"\0" * 50, "\N{REPLACEMENT CHARACTER}".encode(), b"ab" * 500]
    ),
)
folders = st.dictionaries(
    st.tuples(st.lists(names, max_size=2), names, st.sampled_from([".txt", ".txt", ".TXT", "", ".json"])).map(
        lambda parts: "/".join([*parts[0], parts[1] + parts[2]])
    ),
    texts,
    max_size=6,
)


def filled(folder, files):
    """Write files by relative name; those whose names no file can have here, or that are a folder's, are left out."""
    for name, content in files.items():
        with suppress(OSError):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if (folder / name).resolve().is_relative_to(folder.resolve()):
                (folder / name).write_bytes(content)


@settings(deadline=None, max_examples=EXAMPLES, derandomize=not SOAKED)
@given(st.one_of(folders, texts.map(lambda content: {"one.txt": content})), st.booleans())
def test_whatever_stands_in_a_folder_of_texts_is_split_or_refused(files, by_story):
    """A text that is accepted is split into parts that hold all of its characters, under the identity of its bytes."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "corpus")
        folder.mkdir()
        filled(folder, files)
        path = folder / "one.txt" if [*files] == ["one.txt"] and by_story else folder
        identity = accepted_or_refused(lambda: corpus.identify(path))
        stories = accepted_or_refused(lambda: real_text.read(path))
        if stories is None:
            return
        split = accepted_or_refused(lambda: real_text.split(stories, by="story" if by_story else "character"))
        if split is None:
            return
        assert split.identity == identity.sha256
        read = "".join(split.alphabet[i] for part in (split.train, split.valid, split.test) for i in part)
        given = "".join(story.text for story in stories)
        assert sorted(read) == sorted(c if c in split.alphabet else real_text.REPLACEMENT for c in given)


VOCABULARY = "abc\N{REPLACEMENT CHARACTER}"


@cache
def checkpoint_files():
    """Return the files of a checkpoint of a tiny network, by name."""
    variant = parse("gru")
    spec = models.spec_for(variant, vocab=4, outputs=4, width=2, layers=1)
    wrapped, tokenizer = hub.wrap(models.create(variant, spec, seed=1), spec, model_name="gru", vocabulary=VOCABULARY)
    with tempfile.TemporaryDirectory() as place:
        hub.save(Path(place), wrapped, tokenizer)
        return {path.name: path.read_bytes() for path in Path(place).iterdir() if path.name != "README.md"}


@st.composite
def checkpoints(draw):
    """Draw a checkpoint's files, one of which was changed, with hashes that fit the change or that do not."""
    files = dict(checkpoint_files())
    name = draw(st.sampled_from(sorted(files)))
    content = files[name]
    cut = draw(st.integers(0, len(content)))
    ways = [st.binary(max_size=60), st.just(content[:cut]), st.just(content + content[:cut])]
    if cut < len(content):
        ways.append(st.integers(0, 255).map(lambda byte: content[:cut] + bytes([byte]) + content[cut + 1 :]))
    if name.endswith(".json"):
        ways += 4 * [edited(json.loads(content)).map(as_bytes)]
    files[name] = draw(st.one_of(ways))
    if name != checkpoint.MANIFEST and draw(st.integers(0, 3)):
        manifest = json.loads(files[checkpoint.MANIFEST])
        manifest["files"][name] = hashlib.sha256(files[name]).hexdigest()
        files[checkpoint.MANIFEST] = as_bytes(manifest)
    return files


@pytest.mark.parametrize("name", ["../away", "/dev/zero", "in/a/folder", "a\nline"])
def test_a_manifest_names_files_beside_it_alone(tmp_path, name):
    """Nothing outside the folder is opened, and what is named stands in one line."""
    files = dict(checkpoint_files())
    manifest = json.loads(files[checkpoint.MANIFEST])
    manifest["files"][name] = ""
    filled(tmp_path, files | {checkpoint.MANIFEST: as_bytes(manifest)})
    with pytest.raises(CheckpointError) as refused:
        hub.load(tmp_path)
    assert "\n" not in str(refused.value)


def test_a_tokenizer_whose_settings_tell_only_in_use_is_refused(tmp_path):
    """A length that is a text is read by the library without a word, and compared with a number at the first text."""
    files = dict(checkpoint_files())
    content = as_bytes(json.loads(files["tokenizer_config.json"]) | {"model_max_length": ""})
    manifest = json.loads(files[checkpoint.MANIFEST])
    manifest["files"]["tokenizer_config.json"] = hashlib.sha256(content).hexdigest()
    filled(tmp_path, files | {"tokenizer_config.json": content, checkpoint.MANIFEST: as_bytes(manifest)})
    with pytest.raises(CheckpointError, match="cannot be read"):
        hub.load(tmp_path)


@pytest.mark.filterwarnings("ignore")  # the library warns of much that it then reads or refuses
@settings(deadline=None, max_examples=EXAMPLES, derandomize=not SOAKED)
@given(checkpoints())
def test_whatever_stands_in_a_checkpoint_is_loaded_or_refused(files):
    """A checkpoint that is accepted reads text and writes a character; any other is refused in one line."""
    with tempfile.TemporaryDirectory() as place:
        filled(Path(place), files)
        found = accepted_or_refused(lambda: hub.load(Path(place)))
        if found is not None:
            model, tokenizer = found
            logits = model(**tokenizer("abc", return_tensors="pt", return_token_type_ids=False)).logits
            assert logits.shape == (1, 3, 4)
