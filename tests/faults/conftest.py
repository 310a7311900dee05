"""What the tests of faults share: a study of tiny cells, and the command line as a process."""

import subprocess
import sys

import pytest

from seqbench import plan, store
from seqbench.measure import conduct
from seqbench.measure.models import MODELS
from seqbench.measure.probes import PROBES
from seqbench.suite import Group, Suite


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    """Run where own model files lie: a study names them by relative paths only."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def study_of():
    """Return a maker of a study of one group on recall; its fields may be changed."""

    def make(**changes):
        fields = {"name": "g", "task": "uniform_tokens", "probe": "state_bytes", "models": ("rnn",), "lengths": (8,)}
        group = Group(**(fields | {"width": 8, "seeds": 2} | changes))
        suite = Suite(title="t", groups=(group,))
        return plan.study("s", suite, development=True, known_models=MODELS, known_probes=PROBES)

    return make


@pytest.fixture
def conducted(tmp_path):
    """Return a function that runs a study in two workers and returns its accepted records by model."""

    def run(study, **settings):
        chosen = {"executor": "pool", "workers": 2, "timeout_seconds": 60.0} | settings
        conduct.conduct(study, tmp_path / "R", settings=conduct.Settings(**chosen))
        assert store.validate(tmp_path / "R") == ()
        accepted = store.contents(tmp_path / "R").accepted().values()
        return {(record.cell.model, record.cell.seed): record for record in accepted}

    return run


@pytest.fixture
def command():
    """Return a function that runs the command line and returns what it said, after its exit code was as expected."""

    def run(*arguments, expect=0, **options):
        done = subprocess.run(
            [sys.executable, "-m", "seqbench", *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            **options,
        )
        assert done.returncode == expect, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run
