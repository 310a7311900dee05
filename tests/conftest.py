"""What several test files build: tiny studies on disk, without training anything long."""

import pytest

from seqbench import plan
from seqbench.measure.models import MODELS
from seqbench.measure.probes import PROBES
from seqbench.suite import Group, Suite


@pytest.fixture
def tiny_study():
    """A study of twelve measurement-only cells: three models, two lengths, two seeds."""
    group = Group(
        name="bytes",
        task="uniform_tokens",
        probe="state_bytes",
        models=("rnn", "lstm", "gru"),
        lengths=(4, 8),
        width=8,
        seeds=2,
    )
    suite = Suite(title="tiny", groups=(group,))
    return plan.study("tiny", suite, known_models=MODELS, known_probes=PROBES, development=True)
