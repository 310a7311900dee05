"""The exclusive lane on this machine: a quiet panel has numbers, one beside a busy neighbour has none."""

import multiprocessing
import time

import pytest

from seqbench import plan, store
from seqbench.cell import TimingConfig
from seqbench.measure import conduct, rounds
from seqbench.measure.models import MODELS
from seqbench.measure.probes import PROBES
from seqbench.measure.probes.decode_time import generate, read
from seqbench.suite import Group, Suite

TIMING = TimingConfig(batch=2, processes=2, rounds=4, warmup_seconds=0.05, decoded_tokens=4)


def study_of(probe, **changes):
    fields = {"models": ("rnn", "transformer@room=8"), "lengths": (32,), "width": 16, "seeds": 1}
    group = Group(**({"name": "panel", "task": "uniform_tokens", "probe": probe, "timing": TIMING} | fields | changes))
    suite = Suite(title="t", groups=(group,))
    return plan.study("timing", suite, known_models=MODELS, known_probes=PROBES, development=True)


def burn(until):
    while not until.is_set():
        sum(range(10_000))


@pytest.fixture
def neighbour():
    """A process that computes for nothing on one core, until the test is over."""
    context = multiprocessing.get_context("spawn")
    until = context.Event()
    busy = context.Process(target=burn, args=[until], daemon=True)
    busy.start()
    time.sleep(0.5)
    yield
    until.set()
    busy.join()


@pytest.mark.slow
@pytest.mark.parametrize("probe", ["training_time", "prefill_time", "decode_time", "first_token_time"])
def test_a_panel_gives_one_record_per_model_with_a_shared_id(tmp_path, probe):
    """Each model of a panel has its own record in the exclusive lane, and all of them share the panel's id."""
    conduct.conduct(study_of(probe), tmp_path, settings=conduct.Settings())
    records = list(store.contents(tmp_path).accepted().values())
    assert [record.lane for record in records] == ["exclusive"] * 2
    assert {record.status for record in records} <= {"ok", "contended"}
    assert len({record.panel for record in records}) == 1
    assert all(len(record.measured("canary_seconds").series.values) == 8 for record in records)
    assert store.validate(tmp_path) == ()
    for record in records:
        if record.status == "ok":
            assert len(record.measured("peak_flops").series.values) == TIMING.processes
            passes = {"training_time": 3, "first_token_time": 32}.get(probe, 1)
            expected = passes * record.model.flops_per_token / record.measured("seconds_per_token").value
            assert record.measured("mfu").value == pytest.approx(expected / record.measured("peak_flops").value)


@pytest.mark.slow
def test_a_panel_beside_a_busy_neighbour_is_contended(tmp_path, neighbour):
    """With another process burning a core beside it, a panel is tried twice and comes out contended, numberless."""
    conduct.conduct(study_of("training_time"), tmp_path, settings=conduct.Settings())
    held = store.contents(tmp_path)
    assert len(held.records) == 4  # two models, two attempts
    for record in held.accepted().values():
        assert record.status == "contended"
        assert record.measured("seconds_per_token") is None
        assert record.measured("foreign_cores").value > rounds.MOST_FOREIGN_CORES


def test_decoding_from_a_state_equals_decoding_from_the_whole_text():
    """Tokens generated behind a context read in pieces are those that a full forward pass would choose."""
    import torch

    from seqbench.measure import models
    from seqbench.measure.seeds import stream
    from seqbench.variant import parse

    for name in ("rnn", "lstm", "gru", "transformer", "transformer@room=3"):
        spec = models.spec_for(parse(name), vocab=7, outputs=7, width=16, layers=2)
        model = models.create(parse(name), spec, seed=0).double().eval()
        context = torch.randint(0, 7, (2, 9), generator=stream("context"))
        state = read(model, context[:, :-1])
        found = generate(model, context[:, -1:], state, tokens=5)
        text = context
        for _ in range(5):
            text = torch.cat((text, model(text)[0][:, -1:].argmax(-1)), dim=1)
        assert torch.equal(found, text[:, 9:]), name
