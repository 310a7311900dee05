"""The same cells on a CUDA device; skipped where there is none."""

import math
from dataclasses import replace

import pytest
import torch

from seqbench import plan, store
from seqbench.cell import TimingConfig
from seqbench.measure import capture, conduct, prepare, runner
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


@pytest.mark.parametrize("model", ["rnn", "rnn@activation=sigmoid", "lstm", "gru", "mingru", "lru", "transformer"])
def test_a_replayed_training_is_the_training(model):
    """Trained from a CUDA graph, a model's losses are those of the same steps launched kernel by kernel."""
    histories = []
    for recorder in (capture.record, _refuse):
        subject, config, card = _to_train(model)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(capture, "record", recorder)
            history, _ = runner.train(subject, config, card)
        histories.append(history)
    assert histories[0].replayed == histories[0].steps == TRAINING["steps"]
    assert histories[1].replayed == 0
    assert histories[0].losses == pytest.approx(histories[1].losses, rel=1e-3)


def _refuse(_call):
    raise capture.CannotCapture("asked not to")


def _to_train(model):
    group = Group(
        name="g", task="recall_loguniform", models=(model,), lengths=(20,), width=16, seeds=1, training=TRAINING
    )
    study = plan.study(
        "gpu", Suite(title="t", groups=(group,)), known_models=MODELS, known_probes=PROBES, development=True
    )
    (planned,) = plan.planned(study)
    context = prepare.Context(
        cards=study.cards,
        preregistration=study.preregistration_sha256,
        environment=describe("cuda", threads=1),
        device="cuda",
    )
    prepared = prepare.prepare(planned.cell, context)
    return prepared.subject, planned.cell.training, prepared.card


def test_a_step_that_asks_the_device_is_launched_kernel_by_kernel():
    """A model whose forward pass looks at a number cannot be recorded; it is trained all the same, and says so."""

    class Asking(torch.nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, tokens, state=None):
            logits, after = self.model(tokens, state)
            return (logits if float(logits[0, 0, 0].detach()) < 1e9 else -logits), after

    subject, config, card = _to_train("lstm")
    history, _ = runner.train(replace(subject, model=Asking(subject.model)), config, card)
    assert history.replayed == 0
    assert history.steps == TRAINING["steps"]
    assert all(map(math.isfinite, history.losses))


@pytest.mark.parametrize(
    "tier",
    [{"launch": "graph"}, {"precision": "tf32"}, {"precision": "bf16"}, {"launch": "graph", "precision": "bf16"}],
    ids=str,
)
def test_a_panel_in_every_tier_has_times(tmp_path, tier):
    """Recorded as a graph, and at fewer digits, all models of the timing panel have times under their tier."""
    timing = TimingConfig(batch=8, processes=1, rounds=3, **tier)
    models = ("rnn", "lstm", "gru", "mingru", "lru", "linear_attention", "transformer", "tcn")
    for record in _timed_panel(tmp_path, timing, models):
        assert record.status in ("ok", "contended"), record.error
        assert record.cell.tier in (", ".join(tier.values()),)
        if record.status == "ok":
            assert record.measured("seconds_per_token").value > 0


def _timed_panel(folder, timing, models):
    group = Group(
        name="g",
        task="uniform_tokens",
        probe="training_time",
        models=models,
        lengths=(64,),
        width=32,
        seeds=1,
        timing=timing,
    )
    suite = Suite(title="t", groups=(group,))
    study = plan.study("gpu", suite, known_models=MODELS, known_probes=PROBES, development=True)
    conduct.conduct(study, folder, settings=conduct.Settings(device="cuda"))
    return store.contents(folder).accepted().values()


def test_a_panel_on_the_device_has_events_and_memory(tmp_path):
    """Timed on the GPU, a model's record has the device's own time, within the wall's, and the peak of its memory."""
    timing = TimingConfig(batch=8, processes=1, rounds=3)
    for record in _timed_panel(tmp_path, timing, ("lstm", "transformer")):
        assert record.status in ("ok", "contended")
        if record.status == "ok":
            assert 0.95 <= record.measured("device_share_of_wall").value <= 1.05
            assert record.measured("peak_allocated_bytes").value > 0
