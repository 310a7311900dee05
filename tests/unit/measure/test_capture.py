"""Steps that are recorded and replayed: on a machine without a GPU, by a recorder that calls instead of replaying."""

import pytest
import torch
from torch import nn

from seqbench.cell import TrainConfig
from seqbench.measure import training
from seqbench.measure.capture import WARM_UPS, CannotCapture, Recording
from seqbench.measure.generators.base import Batch
from seqbench.measure.seeds import stream


class Calling:
    """A recorder for the processor: it warms up as a real one does, and its replay makes the call again."""

    def __init__(self, *, off_by=0.0):
        self.off_by = off_by
        self.recorded = 0

    def __call__(self, call):
        self.recorded += 1
        for _ in range(WARM_UPS):
            call()
        result = torch.zeros(2)
        return Recording(lambda: result.copy_(call() + self.off_by), result, call)


def refuse(_call):
    raise CannotCapture("it asks the device")


def small():
    torch.manual_seed(3)
    return nn.ModuleDict({"table": nn.Embedding(5, 6), "net": nn.LSTM(6, 6, batch_first=True), "out": nn.Linear(6, 5)})


class Net(nn.Module):
    """A small LSTM: (B, T) -> (B, T, 5)."""

    def __init__(self):
        super().__init__()
        self.parts = small()

    def forward(self, tokens, state=None):
        hidden, after = self.parts["net"](self.parts["table"](tokens), state)
        return self.parts["out"](hidden), after


def drawn(step, *, length=7):
    rng = stream("test of capture", step)
    inputs = torch.randint(5, (4, length), generator=rng)
    return Batch(inputs=inputs, targets=inputs.roll(1, 1), scored=torch.rand(4, length, generator=rng) < 0.5)


def trained(recorder, batches=drawn, **changes):
    model = Net()
    config = TrainConfig(**({"steps": 12, "batch": 4, "learning_rate": 0.05, "evaluate_every": 5} | changes))
    history = training.train(model, batches, config, recorder=recorder)
    return history, torch.cat([part.detach().flatten() for part in model.parameters()])


def test_replayed_steps_give_the_numbers_of_steps_that_are_called():
    """Losses, norms and weights are equal to the bit: warm-ups and the trial of a recording leave no trace."""
    plain, weights = trained(None)
    recorder = Calling()
    replayed, other = trained(recorder)
    assert plain.replayed is None
    assert (replayed.replayed, recorder.recorded) == (12, 1)
    assert plain.losses == replayed.losses
    assert plain.gradient_norms == replayed.gradient_norms
    assert torch.equal(weights, other)


def test_each_shape_of_a_batch_is_recorded_once():
    """Where lengths change from step to step, each has its recording, made without moving weights or moments."""
    recorder = Calling()

    def of_two_lengths(step):
        return drawn(step, length=5 + step % 2)

    plain, weights = trained(None, of_two_lengths)
    replayed, other = trained(recorder, of_two_lengths)
    assert (replayed.replayed, recorder.recorded) == (12, 2)
    assert plain.losses == replayed.losses
    assert torch.equal(weights, other)


@pytest.mark.parametrize(
    "recorder", [refuse, Calling(off_by=0.1)], ids=["cannot be recorded", "replays something else"]
)
def test_a_step_that_cannot_be_replayed_is_called(recorder):
    """Nothing is lost but time: the numbers are those without a recorder, and none is said to be replayed."""
    plain, weights = trained(None)
    called, other = trained(recorder)
    assert called.replayed == 0
    assert plain.losses == called.losses
    assert torch.equal(weights, other)


def test_a_carried_state_is_not_recorded():
    """The state of a stream lies elsewhere after every step; such a training is called step by step."""
    recorder = Calling()
    history, _ = trained(recorder, carry=True)
    assert (history.replayed, recorder.recorded) == (0, 0)


def test_a_new_shape_that_cannot_be_recorded_ends_replaying():
    """A refusal in the middle leaves the weights as they were, and the rest of the training is called."""
    recorder = Calling()

    def once(call):
        return refuse(call) if recorder.recorded else recorder(call)

    def longer_at_last(step):
        return drawn(step, length=5 if step < 8 else 6)

    plain, weights = trained(None, longer_at_last)
    history, other = trained(once, longer_at_last)
    assert history.replayed == 8
    assert plain.losses == history.losses
    assert torch.equal(weights, other)


class Counting(Net):
    """It counts what it has seen, in a buffer: in its place, or in a new one each time."""

    def __init__(self, *, in_place):
        super().__init__()
        self.in_place = in_place
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, tokens, state=None):
        if self.training and self.in_place:
            self.seen.add_(1)
        elif self.training:
            self.seen = self.seen + 1
        return super().forward(tokens, state)


@pytest.mark.parametrize(("in_place", "replayed"), [(True, 12), (False, 0)])
def test_a_buffer_that_is_replaced_cannot_be_replayed(in_place, replayed):
    """What a recording would go on reading where it lay before is refused, and the trial has left no trace."""
    model = Counting(in_place=in_place)
    config = TrainConfig(steps=12, batch=4, learning_rate=0.05, evaluate_every=5)
    history = training.train(model, drawn, config, recorder=Calling())
    assert history.replayed == replayed
    assert float(model.seen) == 12


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_the_loss_of_fixed_shape_is_the_loss(share):
    """Cross-entropy and squared error over the scored positions alone, whether positions are gathered or masked."""
    rng = stream("loss", share)
    logits = torch.randn(6, 9, 5, generator=rng)
    scored = torch.rand(6, 9, generator=rng) < share
    classes = Batch(
        inputs=torch.zeros(6, 9, dtype=torch.int64), targets=torch.randint(5, (6, 9), generator=rng), scored=scored
    )
    numbers = Batch(inputs=classes.inputs, targets=torch.randn(6, 9, generator=rng), scored=scored)
    for batch in (classes, numbers):
        expected = training.scored_loss(logits, batch)
        torch.testing.assert_close(training._loss_of_fixed_shape(logits, batch), expected, rtol=1e-6, atol=0)


def test_a_rate_lies_where_the_optimiser_has_it():
    """On a GPU the rate is a tensor that a recording reads; it is overwritten in place."""
    weight = nn.Parameter(torch.ones(3))
    rate = torch.tensor(0.5)
    plain, on_device = torch.optim.AdamW([weight], lr=0.5), torch.optim.AdamW([weight], lr=rate, capturable=False)
    for optimiser in (plain, on_device):
        training.set_rate(optimiser, 0.25)
    assert plain.param_groups[0]["lr"] == 0.25
    assert on_device.param_groups[0]["lr"] is rate
    assert float(rate) == 0.25
