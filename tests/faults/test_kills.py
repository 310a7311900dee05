"""Kills at random moments: whatever dies, no record is lost, doubled or spoilt, and the next call goes on."""

import os
import sys

import killing
import pytest

MOMENTS = int(os.environ.get("SEQBENCH_SOAK_KILLS", "6"))


@pytest.mark.slow
@pytest.mark.faults
def test_runs_killed_at_random_moments_end_whole(tmp_path, capsys):
    """Parent, group or workers die by SIGKILL in runs of 200 cells; resumed, each study is complete and sound."""
    tally = killing.killed_often(tmp_path, moments=MOMENTS, seed=20_261)
    with capsys.disabled():
        sys.stderr.write(f"\n{tally}\n")
    assert (tally.lost, tally.changed) == (0, 0)
    assert tally.kills.total() >= MOMENTS
    assert all(tally.kills[kind] for kind in killing.KINDS)
