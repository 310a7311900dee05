"""Resuming: what was finished is known by its outline, and only what is missing runs."""

import pytest

from seqbench import plan, record, store
from seqbench.measure import conduct


def test_a_study_is_resumed_without_looking_at_what_was_measured(tmp_path, tiny_study, monkeypatch):
    """Of twelve cells one has lost its record: it alone runs, and no finished record is read as a whole."""
    settings = conduct.Settings(executor="serial")
    conduct.conduct(tiny_study, tmp_path, settings=settings)
    lost = sorted(tmp_path.glob("*/*/*/*.json"))[4]
    lost.unlink()
    ran = []
    with monkeypatch.context() as patched:
        patched.setattr(record, "from_json", lambda *_, source, **__: pytest.fail(f"{source} was read as a whole"))
        conduct.conduct(tiny_study, tmp_path, settings=settings, finished=lambda entry: ran.append(entry.cell.address))
    assert len(ran) == 1
    assert lost.exists()
    assert store.validate(tmp_path) == ()


def test_an_edited_record_is_run_again_beside_it(tmp_path, tiny_study):
    """A finished record in which one digit of a measurement was changed counts as missing when a study is resumed."""
    settings = conduct.Settings(executor="serial")
    conduct.conduct(tiny_study, tmp_path, settings=settings)
    edited = sorted(tmp_path.glob("*/*/*/*.json"))[4]
    before = edited.read_bytes()
    edited.write_bytes(before.replace(b'"value": ', b'"value": 1', 1))
    assert edited.read_bytes() != before
    ran = []
    conduct.conduct(tiny_study, tmp_path, settings=settings, finished=ran.append)
    (again,) = ran
    assert store.outlines(tmp_path).accepted().keys() == {entry.fingerprint for entry in plan.planned(tiny_study)}
    assert edited.with_name(edited.name.replace("-a01", "-a02")).exists()
    assert again.fingerprint[:6] in edited.name
