"""A study followed from outside: what is left, at which rate, and for how long."""

from seqbench import plan, store
from seqbench.following import View
from seqbench.record import Environment, Record


def record_of(planned, study):
    here = Environment(machine="m", cpu="c", cores=1, memory_gib=1, device="cpu", threads=1, system="s", libraries={})
    return Record(
        cell=planned.cell,
        fingerprint=planned.fingerprint,
        preregistration=study.preregistration_sha256,
        status="ok",
        environment=here,
        wall_seconds=30.0,
        finished="2026-01-01T00:00:00+00:00",
    )


def test_rate_and_time_left_follow_the_records(tmp_path, tiny_study):
    """Of twelve cells four are there, then six after two minutes: three a minute would be wrong, one is right."""
    entries = plan.planned(tiny_study)
    store.create_study(tmp_path, tiny_study)
    now = iter([0.0, 120.0, 240.0])
    view = View(entries, read=lambda: store.outlines(tmp_path), workers=3, clock=lambda: next(now))
    for entry in entries[:4]:
        store.save(tmp_path, record_of(entry, tiny_study))
    rows, line = view.look()
    assert rows == [{"name": "ok", "cells": 4}, {"name": "missing", "cells": 8}, {"name": "planned", "cells": 12}]
    assert line.startswith("8 of 12 cells left, about ")
    for entry in entries[4:6]:
        store.save(tmp_path, record_of(entry, tiny_study))
    _, line = view.look()
    assert line.startswith("6 of 12 cells left, 1.0 cells a minute, about ")
    assert line.endswith(" min by stored costs on 3 workers")
    assert not view.complete
    for entry in entries[6:]:
        store.save(tmp_path, record_of(entry, tiny_study))
    assert view.look()[1] == "complete: 12 cells"
    assert view.complete
