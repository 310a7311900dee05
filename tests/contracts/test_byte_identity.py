"""The same cell on the same machine, run alone or beside others: byte for byte the same measurements."""

import json
from functools import partial

import pytest

from seqbench import plan
from seqbench.measure import prepare, runner
from seqbench.measure.environment import describe
from seqbench.measure.executors import EXECUTORS
from seqbench.measure.executors.base import Work
from seqbench.measure.models import MODELS
from seqbench.measure.probes import PROBES
from seqbench.suite import Group, Suite

NAMES = ("rnn", "lstm", "gru", "transformer", "tcn", "mingru")
TRAINING = {"steps": 12, "batch": 8, "learning_rate": 3e-3, "evaluate_every": 6, "evaluation_sequences": 16}


def study_of():
    """Return a study of twelve cells: each model learns a little, and each is asked for its gradients."""
    common = {"models": NAMES, "width": 16, "seeds": 1}
    groups = (
        Group(name="learning", task="recall_loguniform", lengths=(12,), layers=3, training=TRAINING, **common),
        Group(name="gradients", task="onehot", probe="input_gradient", lengths=(40,), **common),
    )
    suite = Suite(title="bytes", groups=groups)
    return plan.study("bytes", suite, known_models=MODELS, known_probes=PROBES, development=True)


def measurements(study, executor, workers, *, order=1):
    """Return the JSON of every cell's status and measurements, by address: wall seconds and times are no part of it."""
    context = prepare.Context(
        cards=study.cards, preregistration=study.preregistration_sha256, environment=describe("cpu", threads=1)
    )
    work = Work(
        run=partial(runner.run_cell, context=context),
        failed=partial(runner.failed, context=context),
        timeout_seconds=120.0,
        workers=workers,
    )
    found = {}
    for record in EXECUTORS.load(executor).execute(work, plan.planned(study)[::order]):
        assert record.error is None, record.error
        found[record.cell.address] = json.dumps([item.model_dump(mode="json") for item in record.measurements]).encode()
    return found


@pytest.mark.slow
def test_measurements_are_the_same_bytes_alone_and_beside_others():
    """Twelve cells in this process, again in it, and two at a time in others: nothing measured differs."""
    study = study_of()
    alone = measurements(study, "serial", 1)
    assert len(alone) == 2 * len(NAMES)
    assert len(set(alone.values())) == len(alone)  # cells differ, so that equal bytes say something
    assert measurements(study, "serial", 1, order=-1) == alone
    assert measurements(study, "serial", 1, order=3).items() <= alone.items()  # whatever else runs, or does not
    assert measurements(study, "pool", 2) == alone


@pytest.mark.slow
def test_measurements_are_the_same_bytes_on_a_ray_cluster():
    """The same twelve cells, handed out by Ray: nothing measured differs."""
    ray = pytest.importorskip("ray")
    study = study_of()
    try:
        assert measurements(study, "ray", 2, order=-1) == measurements(study, "serial", 1)
    finally:
        ray.shutdown()
