"""The product is what is installed: the wheel, in an environment of its own, run from another folder."""

import json
import subprocess
import sys

import pytest
from wheels import ROOT, environment


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Return the programs of an environment that holds the wheel and nothing else of ours."""
    return environment(tmp_path_factory.mktemp("wheel"), ROOT)


@pytest.mark.slow
def test_the_wheel_lists_its_tasks_from_anywhere(installed):
    """Installed from the wheel and run from /, the command finds its task cards inside the package."""
    rows = json.loads(subprocess.check_output([installed / "seqbench", "list", "tasks", "--json"], cwd="/", text=True))
    assert {row["name"] for row in rows} == {path.stem for path in (ROOT / "tasks").glob("*.toml")}
    place = subprocess.check_output(
        [installed / "python", "-c", "import seqbench; print(seqbench.__file__)"], cwd="/", text=True
    )
    assert str(installed.parent) in place


@pytest.mark.slow
def test_the_wheel_carries_every_file_that_the_code_reads(installed):
    """Suites, gates, the pre-registration, known texts and cards are in the wheel: every command finds its data."""
    for arguments in (
        ["list", "suites"],
        ["list", "claims"],
        ["list", "figures"],
        ["corpus", "list"],
        ["show", "recall"],
        ["verify"],
    ):
        subprocess.run([installed / "seqbench", *arguments], cwd="/", check=True, capture_output=True)


@pytest.mark.slow
def test_the_wheel_holds_no_results(installed):
    """Results, reports and tests stay in the repository."""
    (wheel,) = installed.parents[1].glob("*.whl")
    names = subprocess.check_output([sys.executable, "-m", "zipfile", "-l", str(wheel)], text=True)
    assert "seqbench/_tasks/recall.toml" in names
    assert not [line for line in names.splitlines() if line.startswith(("results/", "reports/", "tests/"))]
