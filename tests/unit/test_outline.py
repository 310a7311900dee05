"""Outlines: the few lines of a record that planning needs are those of the record, whatever else stands in it."""

import json
import re

import pytest

from seqbench import outline, record
from seqbench.cell import Cell, TrainConfig
from seqbench.errors import CorruptRecord
from seqbench.record import Environment, Measurement, Record, Sample, Series

HERE = Environment(machine="m1", cpu="c", cores=2, memory_gib=8, device="cpu", threads=1, system="s", libraries={})
TRAINING = TrainConfig(steps=1, batch=1, learning_rate=0.1)
SERIES = Series(axis="lag", at=(1.0,), values=(float("nan"),))
LIKE_KEYS = '\n "status": "ok",\n "learning_rate": 7.0,\n "sha256": "0"\n}\n'


def record_of(**changes):
    fields = {
        "cell": Cell(task="text", model="rnn", length=8, seed=1003, width=8, training=TRAINING),
        "fingerprint": "a" * 64,
        "preregistration": "b" * 64,
        "status": "unsolved",
        "measurements": (Measurement(name="x", value=float("inf"), unit="1", series=SERIES),),
        "learning_rate": 0.1,
        "environment": HERE,
        "wall_seconds": 2.5,
        "finished": "2026-01-01T00:00:00+00:00",
    }
    return Record(**(fields | changes))


PROBED = {"task": "recall", "probe": "state_bytes", "model": "rnn", "length": 8, "seed": 0, "width": 8}
RECORDS = {
    "plain": record_of(),
    "in a panel": record_of(panel='"quoted", \\ and\nbroken'),
    "without rate, measurements": record_of(learning_rate=None, measurements=(), status="error", error=LIKE_KEYS),
    "texts like keys": record_of(texts=(Sample(prompt=LIKE_KEYS, text=LIKE_KEYS, temperature=0.0, seed=5),)),
    "parameters like keys": record_of(cell=Cell(**PROBED, params=(("seed", 7), ("status", LIKE_KEYS)))),
    "measured like keys": record_of(measurements=(Measurement(name=LIKE_KEYS, value=1.0, unit=LIKE_KEYS),)),
}


@pytest.mark.parametrize("kind", RECORDS)
def test_the_outline_in_a_file_is_that_of_its_record(kind):
    """Cut out of a sealed file or read from one without a seal, it says what the whole record says."""
    entry = RECORDS[kind]
    content = record.to_json(entry)
    expected = outline.of(entry)
    assert (expected.status, expected.learning_rate, expected.panel, expected.machine, expected.pattern) == (
        entry.status,
        entry.learning_rate,
        entry.panel,
        "m1",
        entry.cell.model_copy(update={"seed": 0}),
    )
    assert outline.from_json(record.sealed(content), source="r.json") == expected
    assert outline.from_json(content, source="r.json") == expected


@pytest.mark.parametrize("kind", RECORDS)
def test_an_outline_is_cut_out_of_what_seqbench_wrote(kind, monkeypatch):
    """No sealed record of this version needs to be read whole, which would be right and slow."""
    monkeypatch.setattr(record, "from_json", lambda *_, **__: pytest.fail("read as a whole"))
    outline.from_json(record.sealed(record.to_json(RECORDS[kind])), source="r.json")


@pytest.mark.parametrize("at", range(0, 1400, 7))
def test_an_edit_anywhere_is_found_out(at):
    """One changed byte, in what is cut out or in what is not looked at, makes the record broken."""
    content = bytearray(record.sealed(record.to_json(record_of())))
    assert len(content) > 1400
    content[at] ^= 1
    with pytest.raises(CorruptRecord, match=r"^r\.json: "):
        outline.from_json(bytes(content), source="r.json")


def laid_out(content):
    """Return a JSON value as the file of a record, with a right seal."""
    return record.sealed(json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n")


@pytest.mark.parametrize(
    ("keys", "value", "reason"),
    [
        (("schema",), "seqbench.record/2", "schema 'seqbench.record/2' is newer than this version"),
        (("strange",), 1, "strange: extra inputs are not permitted"),
        (("status",), "fine", "status: input should be 'ok'"),
        (("wall_seconds",), -1.0, "wall_seconds: input should be greater than or equal to 0"),
        (("cell", "width"), 0, "cell.width: input should be greater than 0"),
        (("cell", "seed"), 10**9 + 1, "cell.seed: input should be less than or equal to 1000000000"),
        (("cell", "strange"), None, "cell.strange: extra inputs are not permitted"),
        (("environment", "cores"), "many", "environment.cores: input should be a valid integer"),
        (("fingerprint",), "a", "fingerprint: string should match pattern"),
        (("panel",), 5, "panel: input should be a valid string"),
        (("error",), 5, "error: input should be a valid string"),
    ],
)
def test_a_record_that_this_version_does_not_know_is_refused_with_its_reason(keys, value, reason):
    """A right seal does not make a record of what another version, or another program, wrote."""
    content = json.loads(record.to_json(record_of()))
    place = content
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    for read in (outline.from_json, record.from_json):
        with pytest.raises(CorruptRecord, match=re.escape(reason)):
            read(laid_out(content), source="r.json")


def test_a_further_key_in_the_middle_is_refused():
    """A key that a newer version may write between what it measured and how it was trained is not passed over."""
    content = json.loads(record.to_json(record_of()))
    order = [*content]
    order.insert(order.index("corpus"), "strange")
    with pytest.raises(CorruptRecord, match="strange: extra inputs are not permitted"):
        outline.from_json(laid_out({key: content.get(key) for key in order}), source="r.json")


def test_cells_of_one_pattern_share_it():
    """A hundred thousand outlines hold a few hundred cells, so that looking at them costs next to nothing."""
    contents = [record.sealed(record.to_json(record_of(cell=Cell(**PROBED | {"seed": seed})))) for seed in (1000, 1001)]
    one, two = (outline.from_json(content, source="r.json") for content in contents)
    assert one.pattern is two.pattern
