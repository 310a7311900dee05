"""Capacity on planted states: what a state holds for certain is what the probe must read out of it."""

import math

import pytest
import torch
from scipy.stats import chisquare
from torch import nn

from seqbench import plan
from seqbench.cell import TrainConfig
from seqbench.errors import ContractError, InvalidInput
from seqbench.measure import models, prepare, runner
from seqbench.measure.environment import describe
from seqbench.measure.generators import bits
from seqbench.measure.models import MODELS
from seqbench.measure.probes import PROBES, capacity
from seqbench.measure.probes.base import Subject
from seqbench.measure.seeds import stream
from seqbench.suite import Group, Suite
from seqbench.variant import parse

SHORT = TrainConfig(steps=300, batch=64, learning_rate=1e-2, warmup_steps=20, final_fraction=0.0)


class Planted(nn.Module):
    """A model without weights whose state is a known function of the tokens."""

    def __init__(self, state_of):
        super().__init__()
        self.state_of = state_of

    def forward(self, tokens, state=None):
        return torch.zeros(*tokens.shape, 2), self.state_of(tokens.float())


def last(count):
    """A shift register: the last `count` symbols and nothing else."""
    return Planted(lambda tokens: tokens[:, -count:])


def subject_of(model, *, length, **params):
    def sample(rng, batch, length):
        return bits.sample(rng, batch=batch, length=length, **params)

    return Subject(
        model=model,
        task="capacity",
        length=length,
        seed=100,
        sample=sample,
        generator=bits,
        params=params,
        device=torch.device("cpu"),
    )


def measured(model, *, length, config=SHORT, **params):
    _, found = capacity.train_and_measure(subject_of(model, length=length, **params), config)
    return {entry.name: entry for entry in found}


def test_a_shift_register_recalls_what_it_holds():
    """The last 3 of 8 bits are in the state: 3 bits are recalled, at the last 3 positions, and no other."""
    found = measured(last(3), length=8)
    recalled, error = found["bits_recalled"], found["bits_recalled_error"].value
    assert recalled.value == pytest.approx(3, abs=0.02)
    assert recalled.series.axis == "position"
    assert recalled.series.at == tuple(range(1, 9))
    assert recalled.series.values == pytest.approx([0] * 5 + [1] * 3, abs=0.01)
    assert error < 0.01
    assert (found["state_floats"].value, found["load"].value) == (3, pytest.approx(8 / 3))
    assert found["bits_per_state_float"].value == pytest.approx(recalled.value / 3)
    assert found["recall"].value == pytest.approx(3 / 8, abs=4 * math.sqrt(5) / (8 * math.sqrt(8192)))


def test_a_perfect_memory_recalls_everything():
    """A state that is the whole sequence recalls all 6 bits, and every symbol is named."""
    found = measured(last(6), length=6)
    assert found["bits_recalled"].value == pytest.approx(6, abs=0.02)
    assert found["recall"].value == 1.0


def test_more_symbols_than_two_are_worth_more_bits():
    """The last 2 of 4 symbols out of 4 are 4 bits; the load counts log2 4 bits for each symbol."""

    def one_hot(tokens):
        return nn.functional.one_hot(tokens[:, -2:].long(), 4).float()

    found = measured(Planted(one_hot), length=4, items=4)
    assert found["bits_recalled"].value == pytest.approx(4, abs=0.02)
    assert (found["state_floats"].value, found["load"].value) == (8, 1)


def test_a_constant_state_recalls_nothing():
    """A state that says nothing recalls 0 bits within 4 standard errors: the test is on fresh sequences."""
    slow = SHORT.model_copy(update={"learning_rate": 1e-3})  # a bias of b costs b²/8 nats, and falls with the rate
    found = measured(Planted(lambda tokens: torch.ones(len(tokens), 4)), length=8, config=slow)
    assert abs(found["bits_recalled"].value) <= 4 * found["bits_recalled_error"].value
    assert abs(found["recall"].value) <= 4 / math.sqrt(8 * 8192)


def test_what_is_not_known_may_cost_bits():
    """A decoder trained to be sure of what the state no longer tells scores below 0: nothing is clamped."""
    sure = nn.Linear(1, 8)
    with torch.no_grad():
        sure.bias.copy_(torch.tensor([3.0, 0.0] * 4))
    reader = capacity.Reader(Planted(lambda t: torch.ones(len(t), 1)), sure, items=2, disturb=lambda floats: floats)
    found = capacity._recalled(reader, subject_of(last(1), length=4), batch=64, items=2, floats=1)
    assert found[0].value < -1


def test_noise_takes_bits_away():
    """Each float is a channel for one bit: nearly free at a tenth of the range, 0.17 bit at the range itself.

    Noise in training alone would leave 0.32 bit to a decoder that expects it, noise in the test alone less than none.
    """
    weak, strong = (measured(last(6), length=6, noise=noise)["bits_recalled"].value for noise in (0.1, 1.0))
    assert weak == pytest.approx(6, abs=0.02)
    z = torch.linspace(-8, 8, 20_001, dtype=torch.float64)
    received = 0.5 + z  # ±½ was sent, with Gaussian noise of σ = 1: information = E[1 - log2(1 + e^(-2·½·received))]
    lost = torch.log1p(torch.exp(-received)) / math.log(2)
    channel = 1 - float(torch.trapezoid(lost * torch.exp(-z * z / 2), z)) / math.sqrt(2 * math.pi)
    assert strong == pytest.approx(6 * channel, abs=0.15)


def test_noise_is_a_share_of_the_range_of_each_float():
    """The noise on a float of range 10 is ten times that on one of range 1, and a constant float has none."""
    floats = torch.stack([torch.linspace(0, 1, 4000), torch.linspace(0, 10, 4000), torch.ones(4000)], dim=1)
    added = capacity.noisy(floats, share=0.1, rng=stream("noise")) - floats
    assert added.std(0).tolist() == pytest.approx([0.1, 1.0, 0.0], rel=0.05)


@pytest.mark.parametrize("name", ["rnn", "gru", "lstm", "transformer"])
def test_the_floats_of_a_state_are_counted(name):
    """D for RNN and GRU, 2D for the LSTM, 2·D·M for one layer of attention, whose state grows with what is written."""
    spec = models.spec_for(parse(name), vocab=2, outputs=2, width=8, layers=1)
    model = models.create(parse(name), spec, seed=0)
    expected = {"rnn": 8, "gru": 8, "lstm": 16, "transformer": 2 * 8 * 5}[name]
    assert (
        measured(model, length=5, config=TrainConfig(steps=1, batch=32, learning_rate=1e-3))["state_floats"].value
        == expected
    )


def test_a_state_may_be_nested_complex_or_whole_numbers():
    """Tensors are found in whatever holds them; a complex number is two floats, a bare number none."""
    parts = {"a": [torch.ones(3, 2), (torch.zeros(3, 1, dtype=torch.complex64),)], "b": torch.arange(3), "c": 7}
    assert capacity.flat(parts, batch=3).tolist() == [[1, 1, 0, 0, row] for row in range(3)]
    assert capacity.flat((torch.ones(3, 1), torch.tensor(5)), batch=3).shape == (3, 1)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ((), "the model carries nothing from one token to the next; capacity is asked of a state"),
        (torch.zeros(1, 3, 8), "a state of 3 sequences has a tensor of shape (1, 3, 8); put the batch first"),
    ],
)
def test_a_state_that_cannot_be_read_is_refused(state, message):
    """A model without a state, or with another layout than the contract's, has no capacity to measure."""
    with pytest.raises(ContractError) as caught:
        capacity.flat(state, batch=3)
    assert message == str(caught.value)


def test_noise_over_a_batch_of_one_is_refused():
    """One sequence has no range, and noise of no size would pass for robustness."""
    with pytest.raises(InvalidInput, match=r"^noise is a share of the range over a batch; give training.batch of 2"):
        measured(last(2), length=4, config=TrainConfig(steps=1, batch=1, learning_rate=1e-3), noise=0.1)


def test_symbols_to_hold_are_uniform():
    """Every symbol comes equally often at each position, whatever the one before it, and none is asked for."""
    batch = bits.sample(stream("symbols"), batch=20_000, length=4, items=3)
    pairs = torch.bincount((3 * batch.inputs[:, :-1] + batch.inputs[:, 1:]).flatten(), minlength=9)
    assert chisquare(pairs).pvalue > 1e-3
    assert all(chisquare(torch.bincount(column)).pvalue > 1e-3 for column in batch.inputs.unbind(1))
    assert not batch.scored.any()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"items": 1}, "items 1: too small; give at least 2"),
        ({"noise": -0.1}, "noise -0.1 is no share of a range; give 0 or more"),
        ({"noise": math.inf}, "noise inf is no share of a range; give 0 or more"),
    ],
)
def test_impossible_symbols_are_refused(params, message):
    """An impossible parameter is named with what would be possible."""
    with pytest.raises(InvalidInput) as caught:
        bits.sample(stream("refused"), batch=2, length=4, **params)
    assert message == str(caught.value)


def cell_of(model, *, training, length=4, **params):
    group = Group(
        name="g",
        task="capacity",
        probe="capacity",
        models=(model,),
        lengths=(length,),
        width=8,
        seeds=1,
        params=params,
        training=training,
    )
    known = {"known_models": MODELS, "known_probes": PROBES}
    study = plan.study("s", Suite(title="t", groups=(group,)), development=True, **known)
    (planned,) = plan.planned(study)
    context = prepare.Context(
        cards=study.cards, preregistration=study.preregistration_sha256, environment=describe("cpu", threads=1)
    )
    return runner.run_cell(planned, context=context)


def test_attention_recalls_a_few_bits_whole():
    """In a real cell attention, whose state is every symbol's keys and values, recalls 4 of 4 bits."""
    record = cell_of("transformer", training=SHORT)
    assert (record.status, record.error) == ("ok", None)
    assert record.measured("bits_recalled").value == pytest.approx(4, abs=0.05)
    assert record.measured("training_loss").series.at[-1] == 300.0


def test_a_cell_trains_by_its_own_probe_alone():
    """The loss is that of the decoder from the first step on, ln 2, and as many steps are taken as asked for."""
    record = cell_of("gru", training=TrainConfig(steps=2, batch=32, learning_rate=1e-9))
    assert record.measured("steps").value == 2
    assert record.measured("training_loss").series.values == pytest.approx([math.log(2)] * 2, abs=0.05)


def test_a_cell_run_twice_recalls_the_same():
    """Decoder, symbols and noise come from streams that the cell names."""
    config = TrainConfig(steps=3, batch=32, learning_rate=1e-2)
    assert (
        cell_of("gru", training=config, noise=0.1).measurements
        == cell_of("gru", training=config, noise=0.1).measurements
    )


def test_a_diverged_cell_has_no_bits():
    """Weights that are not numbers hold nothing: the size of the state stays, and what happened in training."""
    record = cell_of("rnn", training=TrainConfig(steps=40, batch=4, learning_rate=1e30, clip_norm=1e30))
    assert record.status == "diverged"
    assert record.measured("bits_recalled") is None
    assert record.measured("state_floats").value == 8
    assert record.measured("training_loss") is not None


def test_capacity_without_training_is_an_error_that_helps():
    """The probe trains by itself, but not without being told how long."""
    record = cell_of("gru", training=None)
    assert record.status == "error"
    assert record.error.startswith("InvalidInput: probe capacity trains the model itself; give its group a training")
