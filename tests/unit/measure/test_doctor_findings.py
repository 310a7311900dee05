"""The doctor: what it looks at, and when it objects."""

from pathlib import Path

import pytest

from seqbench.measure import doctor
from seqbench.measure.probes.clock import Load, Ports


def ports_with(foreign):
    """A machine on which others keep this many cores busy during the doctor's one look of a second."""
    looks = iter([0.0, 1.0])
    loads = iter([Load(10.0, 5.0), Load(10.5 + foreign, 5.5)])
    return Ports(
        now=lambda: next(looks),
        load=lambda: next(loads),
        wait=lambda: None,
        run=lambda call: None,
        peak=lambda call: None,
    )


def found(folder, foreign=0.0):
    return {item.name: item for item in doctor.examine(folder, sleep=lambda _: None, ports=ports_with(foreign))}


@pytest.mark.parametrize(("foreign", "fine"), [(0.0, True), (0.25, True), (0.5, False)])
def test_a_busy_machine_is_not_fit_for_timing(tmp_path, foreign, fine):
    """More than a quarter of a foreign core is said to spoil timing; less is quiet enough."""
    quietness = found(tmp_path, foreign)["quietness"]
    assert quietness.fine is fine
    assert f"{foreign:.2f} cores busy" in quietness.found


def test_a_folder_that_would_be_made_is_tried_without_being_made(tmp_path):
    """The results folder need not exist; nothing is left where it would stand."""
    assert found(tmp_path / "a" / "b")["results folder"].fine
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that nobody can write into, as /proc")
def test_a_folder_that_cannot_be_written_is_named():
    """A place without permission is named, and the doctor objects."""
    finding = found(Path("/proc/nowhere"))["results folder"]
    assert (finding.fine, finding.found.startswith("/proc/nowhere cannot be written")) == (False, True)
