"""Cells and records: one text, one fingerprint, one JSON form, and nothing unknown accepted."""

import hashlib
import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqbench import cell as cells
from seqbench import record as records
from seqbench.cell import Cell, TrainConfig, fingerprint, fingerprint_by_seed
from seqbench.errors import CorruptRecord, InvalidInput
from seqbench.record import Environment, Measurement, Record, Series

SMALL = Cell(task="recall", model="rnn", length=20, seed=1000, width=8)
HERE = Environment(
    machine="test-machine",
    cpu="a cpu",
    cores=2,
    memory_gib=8,
    device="cpu",
    threads=1,
    system="Linux",
    libraries={"torch": "2"},
)


def record_of(cell=SMALL, **changes):
    fields = {
        "cell": cell,
        "fingerprint": fingerprint(cell, card="{}", corpus_sha256=None, model_sha256=None),
        "preregistration": "0" * 64,
        "status": "ok",
        "environment": HERE,
        "wall_seconds": 1.0,
        "finished": "2026-01-01T00:00:00+00:00",
    }
    return Record(**(fields | changes))


@given(
    length=st.integers(1, 10**6),
    seed=st.integers(0, 10**6),
    probe=st.sampled_from([None, "input_gradient"]),
    params=st.dictionaries(st.sampled_from(["lag", "items"]), st.one_of(st.integers(0, 9), st.sampled_from(["fixed"]))),
    training=st.sampled_from([None, TrainConfig(steps=3, batch=2, learning_rate=0.1)]),
)
def test_a_cell_reads_back_from_its_text(length, seed, probe, params, training):
    """Parsing the text of a cell gives the cell again."""
    made = Cell(
        task="recall",
        probe=probe,
        model="lstm@forget_bias=1",
        length=length,
        seed=seed,
        width=8,
        params=tuple(params.items()),
        training=training,
    )
    assert cells.parse(str(made)) == made


def test_two_spellings_of_a_model_are_one_cell():
    """Options in another order give an equal cell."""
    one = SMALL.model_copy(update={"model": "rnn@activation=relu,init=identity"})
    assert Cell(**(dict(SMALL) | {"model": "rnn@init=identity,activation=relu"})) == one


def test_what_is_no_cell_is_refused():
    """A text that is no cell is refused with the form of one."""
    with pytest.raises(InvalidInput, match=r"^'recall/rnn' is no cell; write task/model/L00100-s1000"):
        cells.parse("recall/rnn")


@pytest.mark.parametrize("field", ["card", "corpus_sha256", "model_sha256"])
def test_the_fingerprint_depends_on_everything_that_decides_the_numbers(field):
    """Another card, text or model source gives another fingerprint."""
    same = {"card": {"a": 1}, "corpus_sha256": "c", "model_sha256": "m"}
    assert fingerprint(SMALL, **same) != fingerprint(SMALL, **(same | {field: '{"a":2}' if field == "card" else "x"}))


def test_the_fingerprint_is_the_same_on_every_machine():
    """The fingerprint of a fixed cell is pinned: a change would orphan every stored record."""
    found = fingerprint(SMALL, card='{"title":"t"}', corpus_sha256=None, model_sha256=None)
    assert found == "2ed66a3b89d3aafdcdd15163df7841d9bc86e472b6eff72d4ecea0e6d5f01031"


def test_a_record_reads_back_from_its_json():
    """A record with infinities and not-a-number survives the way through its file."""
    series = Series(axis="lag", at=(1.0, 2.0), values=(-math.inf, 0.5))
    made = record_of(measurements=(Measurement(name="x", value=math.inf, unit="step", series=series),))
    assert records.from_json(records.to_json(made), source="x.json") == made


def test_non_finite_numbers_are_strings_in_the_file():
    """The file is strict JSON: no bare NaN or Infinity stands in it."""
    made = record_of(measurements=(Measurement(name="x", value=math.nan, unit="step"),))
    content = json.loads(records.to_json(made), parse_constant=lambda name: pytest.fail(f"bare {name}"))
    assert content["measurements"][0]["value"] == "NaN"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"schema": "seqbench.rec', "r.json: not JSON (half-written or edited?); move the file away and run again"),
        (
            b'{"schema": "other/1"}',
            "r.json: no seqbench record (schema 'other/1', expected 'seqbench.record/1'); move the file away",
        ),
        (
            b'{"schema": "seqbench.record/2"}',
            "r.json: schema 'seqbench.record/2' is newer than this version of seqbench reads ('seqbench.record/1'); "
            "upgrade seqbench",
        ),
    ],
)
def test_what_is_no_record_is_refused_with_a_reason(content, message):
    """A half-written file, another schema and a newer schema are each told apart."""
    with pytest.raises(CorruptRecord, match=f"^{re.escape(message)}$"):
        records.from_json(content, source="r.json")


def test_an_edited_record_names_the_wrong_field():
    """A field that no record has is refused by name."""
    content = json.loads(records.to_json(record_of())) | {"verdict": "SUPPORTED"}
    with pytest.raises(CorruptRecord, match="verdict: extra inputs are not permitted"):
        records.from_json(json.dumps(content).encode(), source="r.json")


@pytest.mark.parametrize("model", ["rnn", 'own "seed":1003,.py:build'])
def test_a_fingerprint_by_seed_is_that_of_the_cell_with_the_seed(model):
    """It is the sha256 of the canonical JSON of everything that decides the cell, whatever in it looks like a seed."""
    pattern = Cell(task="recall", model=model, length=8, seed=1003, width=8, probe="x", params=(("seed", 1003),))
    given = {"corpus_sha256": None, "model_sha256": "m", "reference_sha256": "r", "trials": ["t"]}
    for seed in (0, 1003, 99_999):
        whole = {
            "card": {"seed": 1003},
            "cell": pattern.model_copy(update={"seed": seed}).model_dump(mode="json", exclude_none=True),
            "corpus": None,
            "model": "m",
            "measurement": cells.MEASUREMENT_VERSION,
            "reference": "r",
            "trials": ["t"],
        }
        expected = hashlib.sha256(cells.canonical_json(whole).encode()).hexdigest()
        assert fingerprint_by_seed(pattern, card='{"seed":1003}', **given)(seed) == expected
