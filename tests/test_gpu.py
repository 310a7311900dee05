"""The same cells on a CUDA device; skipped where there is none."""

import math

import pytest
import torch

from seqbench import plan
from seqbench.measure import prepare, runner
from seqbench.measure.environment import describe
from seqbench.measure.models import MODELS
from seqbench.measure.probes import PROBES
from seqbench.suite import Group, Suite

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
TRAINING = {"steps": 20, "batch": 8, "learning_rate": 3e-3, "evaluate_every": 10, "evaluation_sequences": 32}


@pytest.mark.parametrize("model", ["rnn", "rnn@activation=sigmoid", "lstm", "gru", "transformer"])
@pytest.mark.parametrize(
    ("task", "probe", "length", "measurement"),
    [
        ("recall_loguniform", None, 20, "loss"),
        ("chronicle", None, 48, "bits_per_character"),
        ("onehot", "input_gradient", 200, "gradient_slope"),
        ("uniform_tokens", "saved_bytes", 64, "saved_bytes"),
        ("uniform_tokens", "state_bytes", 64, "state_bytes"),
    ],
)
def test_a_cell_runs_on_the_device_and_agrees_with_the_cpu(model, task, probe, length, measurement):
    """Every kind of cell runs on the GPU, and what does not depend on kernels equals the CPU's number."""
    training = None if probe else TRAINING
    group = Group(
        name="g", task=task, probe=probe, models=(model,), lengths=(length,), width=16, seeds=1, training=training
    )
    suite = Suite(title="t", groups=(group,))
    study = plan.study("gpu", suite, known_models=MODELS, known_probes=PROBES, development=True)
    (planned,) = plan.planned(study)
    values = []
    for device in ("cpu", "cuda"):
        context = prepare.Context(
            cards=study.cards,
            preregistration=study.preregistration_sha256,
            environment=describe(device, threads=1),
            device=device,
        )
        record = runner.run_cell(planned, context=context)
        assert record.error is None
        values.append(record.measured(measurement).value)
    assert all(map(math.isfinite, values))
    if measurement in ("gradient_slope", "state_bytes"):
        assert values[0] == pytest.approx(values[1], abs=1e-3)


def test_a_panel_on_the_device_has_events_and_memory(tmp_path):
    """Timed on the GPU, a model's record has the device's own time, within the wall's, and the peak of its memory."""
    from seqbench import store
    from seqbench.cell import TimingConfig
    from seqbench.measure import conduct

    timing = TimingConfig(batch=8, processes=1, rounds=3)
    group = Group(
        name="g",
        task="uniform_tokens",
        probe="training_time",
        models=("lstm", "transformer"),
        lengths=(64,),
        width=32,
        seeds=1,
        timing=timing,
    )
    suite = Suite(title="t", groups=(group,))
    study = plan.study("gpu", suite, known_models=MODELS, known_probes=PROBES, development=True)
    conduct.conduct(study, tmp_path, settings=conduct.Settings(device="cuda"))
    for record in store.contents(tmp_path).accepted().values():
        assert record.status in ("ok", "contended")
        if record.status == "ok":
            assert 0 < record.measured("device_share_of_wall").value <= 1.05
            assert record.measured("peak_allocated_bytes").value > 0
