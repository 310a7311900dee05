"""Merging and packing: the union of attempts, byte for byte; what disagrees is listed; a stranger's pack is checked."""

import json
import re

import pytest

from seqbench import merging, packing, plan, record, store
from seqbench.errors import StoreError, StudyMismatch, UsageError
from seqbench.record import Environment, Measurement, Record

pyarrow = pytest.importorskip("pyarrow")


def record_of(planned, study, *, machine="m", value=1.0, status="ok", finished="2026-01-01T00:00:00+00:00"):
    return Record(
        cell=planned.cell,
        fingerprint=planned.fingerprint,
        preregistration=study.preregistration_sha256,
        status=status,
        measurements=(Measurement(name="x", value=value, unit="1"),),
        environment=Environment(
            machine=machine, cpu="c", cores=1, memory_gib=1, device="cpu", threads=1, system="s", libraries={}
        ),
        wall_seconds=1.0,
        finished=finished,
    )


def folder_of(place, study, *records):
    store.create_study(place, study)
    for entry in records:
        store.save(place, entry)
    return place


def files(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.json")}


def test_a_merge_is_the_union_of_files(tmp_path, tiny_study):
    """Each half of a study on its own machine: merged, every file is there byte for byte, and nothing disagrees."""
    entries = plan.planned(tiny_study)
    one = folder_of(tmp_path / "A", tiny_study, *(record_of(e, tiny_study, machine="m1") for e in entries[:7]))
    two = folder_of(tmp_path / "B", tiny_study, *(record_of(e, tiny_study, machine="m2") for e in entries[5:]))
    merged = merging.merge([one, two], tmp_path / "C")
    assert (merged.written, merged.shared, merged.conflicts) == (14, 0, ())
    assert files(tmp_path / "C") == files(one) | files(two)
    assert store.validate(tmp_path / "C") == ()
    again = merging.merge([two, one], tmp_path / "C")
    assert (again.written, again.shared) == (0, 14)


def test_the_same_path_with_other_bytes_is_kept_beside_it_and_listed(tmp_path, tiny_study):
    """Two people with machines of one kind: the second one's attempt gets the next number, and both are there."""
    (first, *_) = plan.planned(tiny_study)
    one = folder_of(tmp_path / "A", tiny_study, record_of(first, tiny_study, value=1.0))
    two = folder_of(tmp_path / "B", tiny_study, record_of(first, tiny_study, value=2.0))
    merged = merging.merge([one, two], tmp_path / "C")
    (line,) = merged.conflicts
    assert re.search(r"B/m/.*-a01\.json: differs from the attempt of that name; written as m/.*-a02\.json$", line)
    assert [e.measurements[0].value for _, e in store.contents(tmp_path / "C").records] == [1.0, 2.0]


def test_machines_that_disagree_on_a_number_are_listed(tmp_path, tiny_study):
    """A quality cell measured differently on two machines is named; neither record goes."""
    (first, *_) = plan.planned(tiny_study)
    one = folder_of(tmp_path / "A", tiny_study, record_of(first, tiny_study, machine="m1", value=1.0))
    two = folder_of(tmp_path / "B", tiny_study, record_of(first, tiny_study, machine="m2", value=2.0))
    merged = merging.merge([one, two], tmp_path / "C")
    expected = f"{first.cell.address}: measured differently on m1, m2; the one that finished last counts"
    assert merged.conflicts == (expected,)
    assert merged.written == 2


def test_a_broken_file_is_listed_and_not_merged(tmp_path, tiny_study):
    """What cannot be read stays where it is, by name."""
    (first, *_) = plan.planned(tiny_study)
    one = folder_of(tmp_path / "A", tiny_study, record_of(first, tiny_study))
    two = folder_of(tmp_path / "B", tiny_study, record_of(first, tiny_study, machine="m2"))
    next(two.glob("*/*/*/*.json")).write_text("{")
    (line,) = merging.merge([one, two], tmp_path / "C").conflicts
    assert line.startswith(f"{two}: m2/uniform_tokens/")
    assert "not JSON" in line


def test_different_studies_are_not_merged(tmp_path, tiny_study):
    """The first difference is named, and nothing is written."""
    other = tiny_study.model_copy(update={"suite_name": "another"})
    one, two = folder_of(tmp_path / "A", tiny_study), folder_of(tmp_path / "B", other)
    with pytest.raises(StudyMismatch, match=r"hold different studies \(suite_name: tiny, asked for another\)"):
        merging.merge([one, two], tmp_path / "C")
    assert not (tmp_path / "C").exists()
    with pytest.raises(UsageError, match="merge takes two or more study folders"):
        merging.merge([one, two], one)


def test_a_pack_gives_back_the_same_bytes(tmp_path, tiny_study):
    """Packed and unpacked, each file of the study is the same, and the pack can be queried by columns."""
    entries = plan.planned(tiny_study)
    one = folder_of(tmp_path / "A", tiny_study, *(record_of(e, tiny_study, value=float("nan")) for e in entries))
    digest = packing.pack(one, tmp_path / "p.parquet")
    assert re.fullmatch("[0-9a-f]{64}", digest)
    assert packing.unpack(tmp_path / "p.parquet", tmp_path / "B") == 12
    assert files(tmp_path / "B") == files(one)
    from pyarrow import parquet

    held = parquet.read_table(tmp_path / "p.parquet", columns=["task", "length", "status"]).to_pylist()
    assert {(row["task"], row["status"]) for row in held} == {("uniform_tokens", "ok")}
    with pytest.raises(StoreError, match=r"exists already; give another --out$"):
        packing.pack(one, tmp_path / "p.parquet")
    with pytest.raises(StoreError, match=r"is not empty; give another --results$"):
        packing.unpack(tmp_path / "p.parquet", tmp_path / "B")


def repacked(source, out, *, rows=lambda rows: rows, manifest=lambda value: value):
    """Write a pack again with its rows and its manifest changed; hashes of rows are made to fit."""
    from pyarrow import parquet

    table = parquet.read_table(source)
    told = json.loads(table.schema.metadata[b"seqbench.manifest"])
    changed = rows(table.to_pylist())
    told["sha256"] = {"study.json": told["sha256"]["study.json"]} | {
        row["name"]: packing._sha256(row["content"]) for row in changed
    }
    schema = table.schema.with_metadata({b"seqbench.manifest": json.dumps(manifest(told)).encode()})
    parquet.write_table(pyarrow.Table.from_pylist(changed, schema=schema), out)


@pytest.mark.parametrize(
    "name",
    ["../evil.json", "/evil.json", "m/../../evil.json", "m/uniform_tokens/rnn/../../../../e-a01.json", "x\0.json"],
)
def test_no_name_of_a_pack_leaves_the_folder(tmp_path, tiny_study, name):
    """Names upwards, absolute ones and impossible ones are refused, although their hashes fit."""
    (first, *_) = plan.planned(tiny_study)
    one = folder_of(tmp_path / "A", tiny_study, record_of(first, tiny_study))
    packing.pack(one, tmp_path / "p.parquet")
    repacked(tmp_path / "p.parquet", tmp_path / "q.parquet", rows=lambda rows: [rows[0] | {"name": name}])
    before = {p for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(StoreError, match="is not where that record stands"):
        packing.unpack(tmp_path / "q.parquet", tmp_path / "B")
    new = {p for p in tmp_path.rglob("*") if p.is_file()} - before
    assert all(p.parent == tmp_path / "B" for p in new)


def test_a_machine_whose_name_leaves_the_folder_is_refused(tmp_path, tiny_study):
    """A record may name its machine as it likes; a pack, a merge and a save keep it in the folder."""
    (first, *_) = plan.planned(tiny_study)
    evil = record_of(first, tiny_study, machine="../../evil")
    assert not store.stands_right(f"../../evil/uniform_tokens/rnn/{first.cell.length}-a01.json", evil)
    with pytest.raises(StoreError, match="is no name of a machine"):
        store.save(tmp_path / "A", evil)


def test_a_pack_that_was_changed_is_refused(tmp_path, tiny_study):
    """Another content, a file that lacks, another schema and what is no Parquet are each told."""
    entries = plan.planned(tiny_study)[:2]
    one = folder_of(tmp_path / "A", tiny_study, *(record_of(e, tiny_study) for e in entries))
    good = tmp_path / "p.parquet"
    packing.pack(one, good)
    cases = {
        "is not what the manifest says": {"manifest": lambda m: m | {"sha256": dict.fromkeys(m["sha256"], "0" * 64)}},
        "lacks 'x'": {"manifest": lambda m: m | {"sha256": m["sha256"] | {"x": "0"}}},
        r"no pack of seqbench \(no manifest\)": {"manifest": lambda m: m | {"schema": "seqbench.pack/2"}},
        "not JSON": {"rows": lambda rows: [rows[0] | {"content": b"{"}]},
    }
    for number, (message, change) in enumerate(cases.items()):
        repacked(good, tmp_path / f"{number}.parquet", **change)
        with pytest.raises(StoreError, match=message):
            packing.unpack(tmp_path / f"{number}.parquet", tmp_path / f"U{number}")
    (tmp_path / "no.parquet").write_bytes(b"PAR1" + b"x" * 100)
    with pytest.raises(StoreError, match="is no pack of seqbench"):
        packing.unpack(tmp_path / "no.parquet", tmp_path / "V")


def test_a_study_with_a_broken_file_is_not_packed(tmp_path, tiny_study):
    """A pack is for publication: it holds what validates as records."""
    (first, *_) = plan.planned(tiny_study)
    one = folder_of(tmp_path / "A", tiny_study, record_of(first, tiny_study))
    next(one.glob("*/*/*/*.json")).write_text("{")
    with pytest.raises(StoreError, match="a pack holds a sound study"):
        packing.pack(one, tmp_path / "p.parquet")
    assert record.LARGEST_FILE_BYTES == 2**26
