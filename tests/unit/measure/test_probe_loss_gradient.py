"""The loss gradient during training: planted networks whose profile is known, and trainings that do not notice."""

import math

import pytest
import torch
from torch import nn

from seqbench import plan
from seqbench.cell import TrainConfig
from seqbench.errors import InvalidInput
from seqbench.measure import conduct, models, prepare, runner, training
from seqbench.measure.environment import describe
from seqbench.measure.generators import recall
from seqbench.measure.generators.base import Batch
from seqbench.measure.models import MODELS
from seqbench.measure.probes import PROBES, loss_gradient
from seqbench.measure.probes.base import Subject
from seqbench.measure.seeds import stream
from seqbench.suite import Group, Suite
from seqbench.variant import parse

LENGTH = 40


class Decay(nn.Module):
    """h_t = λ h_{t-1} + x_t, read out as it is: whatever the loss, its gradient at lag k is λ^k of that at lag 0."""

    def __init__(self, decay):
        super().__init__()
        self.decay = nn.Parameter(torch.tensor(decay))

    def forward(self, inputs, state=None):
        hidden = torch.zeros(len(inputs), inputs.shape[2], dtype=inputs.dtype)
        outputs = []
        for x in inputs.unbind(1):
            hidden = self.decay * hidden + x
            outputs.append(hidden)
        return torch.stack(outputs, dim=1), None


def floats(rng, batch, length, *, scored_at=(-1,)):
    scored = torch.zeros(batch, length, dtype=torch.bool)
    scored[:, list(scored_at)] = True
    targets = torch.randint(0, 3, (batch, length), generator=rng)
    return Batch(inputs=torch.randn(batch, length, 3, generator=rng), targets=targets, scored=scored)


def subject_of(model, *, sample=floats, length=LENGTH):
    return Subject(
        model=model,
        task="t",
        length=length,
        seed=0,
        sample=sample,
        generator=recall,
        params={},
        device=torch.device("cpu"),
    )


def looked_at(decays, *, sample=floats):
    """Return what a watch says that saw a decay of decays[step] after each of these steps."""
    watch = loss_gradient.watch(subject_of(Decay(0.5), sample=sample))
    for step, decay in decays.items():
        watch.look(Decay(decay), step)
    return {found.name: found for found in watch.measurements()}


def share(decay, *, half=LENGTH // 2, lags=LENGTH - 1):
    """Return Σ_{k>half} λ^k / Σ_{k>=1} λ^k."""
    weights = [decay**k for k in range(1, lags + 1)]
    return sum(weights[half:]) / sum(weights)


def test_slopes_and_far_shares_by_step_are_those_of_planted_decays():
    """Seen with λ = .5, .9 and 1: slopes ln λ, and the far shares of geometric series."""
    found = looked_at({0: 0.5, 1: 0.9, 6: 1.0})
    slopes, shares = found["gradient_slope_training"], found["far_share_training"]
    assert slopes.series.at == shares.series.at == (0.0, 1.0, 6.0)
    assert slopes.series.values == pytest.approx([math.log(0.5), math.log(0.9), 0.0], abs=1e-6)
    assert shares.series.values == pytest.approx([share(decay) for decay in (0.5, 0.9, 1.0)], rel=1e-5)
    assert (slopes.value, shares.value) == (slopes.series.values[-1], shares.series.values[-1])
    assert (slopes.unit, shares.unit) == ("nat/step", "1")


def test_the_profile_of_each_look_is_stored_by_its_step():
    """One profile per look, at every lag of a short sequence; those of two looks differ as their decays do."""
    found = looked_at({0: 0.5, 64: 0.9})
    profile = found["loss_gradient_step_00064"]
    assert (profile.series.axis, profile.unit) == ("lag", "nat")
    assert profile.series.at == tuple(float(lag) for lag in range(1, LENGTH))
    assert profile.series.values[-1] - profile.series.values[0] == pytest.approx(38 * math.log(0.9), abs=1e-5)
    assert found["loss_gradient_step_00000"].value < profile.value


def test_lags_are_counted_from_the_last_answer_asked_for():
    """Asked at position 20 of 40 the answer has 20 lags before it, and what comes after it has no gradient."""
    found = looked_at({0: 0.9}, sample=lambda rng, batch, length: floats(rng, batch, length, scored_at=(3, 20)))
    values = found["loss_gradient_step_00000"].series.values
    assert values[19] - values[0] == pytest.approx(19 * math.log(0.9), abs=1e-5)
    assert all(math.isnan(value) for value in values[20:])
    assert found["far_share_training"].value == 0.0  # no lag beyond 20 is there


def test_sequences_end_each_at_its_own_last_answer():
    """The mask keeps one position of each sequence, the last that is scored, and none of one that asks nothing."""
    scored = torch.tensor([[True, True, False], [True, False, True], [False, False, False]])
    expected = torch.tensor([[False, True, False], [False, False, True], [False, False, False]])
    assert torch.equal(loss_gradient.last_only(scored), expected)


def test_the_gradient_is_that_of_the_loss():
    """At lag 0 a decay is its input: the gradient is softmax minus target, so its norm is known for every sequence."""
    batch = floats(stream("x"), 5, 7)
    logits = Decay(0.5)(batch.inputs)[0][:, -1].detach()
    expected = (logits.softmax(dim=1) - nn.functional.one_hot(batch.targets[:, -1], 3)).norm(dim=1).log()
    found = loss_gradient.log_loss_gradient_by_lag(Decay(0.5).double(), batch)
    assert torch.allclose(found[:, 0], expected.double(), atol=1e-5)


def test_the_gradient_of_a_regression_is_twice_its_error():
    """A single output that is wrong by e has a squared error of gradient 2e."""
    inputs = torch.randn(4, 6, 1, generator=stream("y"))
    scored = torch.zeros(4, 6, dtype=torch.bool)
    scored[:, -1] = True
    batch = Batch(inputs=inputs, targets=torch.ones(4, 6), scored=scored)
    wrong = Decay(0.5)(inputs)[0][:, -1, 0].detach() - 1
    found = loss_gradient.log_loss_gradient_by_lag(Decay(0.5).double(), batch)
    assert torch.allclose(found[:, 0], (2 * wrong).abs().log().double(), atol=1e-5)


def test_weights_that_are_no_numbers_give_no_numbers():
    """After divergence slope and profile are NaN, which is neither flat nor below resolution."""
    found = looked_at({0: 0.9, 8: math.nan})
    assert math.isnan(found["gradient_slope_training"].value)
    assert math.isnan(found["far_share_training"].value)
    assert math.isnan(found["loss_gradient_step_00008"].value)


@pytest.mark.parametrize(("length", "lags"), [(2, 1), (40, 39), (100, 52), (10_000, 64)])
def test_stored_lags_are_few_and_reach_from_end_to_end(length, lags):
    """At most 64 lags, the first 1 and the last T - 1, each once."""
    found = loss_gradient.thinned(length)
    assert (len(found) <= 64, found[0], found[-1]) == (True, 1, length - 1)
    assert len(set(found)) == len(found)


# ------------------------------------------------------------------ in a training


def study_of(**changes):
    train = {"steps": 11, "batch": 4, "learning_rate": 1e-2, "evaluate_every": 4, "evaluation_sequences": 8}
    fields = {"name": "g", "task": "recall", "models": ("gru",), "lengths": (30,), "width": 8, "seeds": 1}
    group = Group(**(fields | {"training": train} | changes))
    known = {"known_models": MODELS, "known_probes": PROBES}
    return plan.study("s", Suite(title="t", groups=(group,)), development=True, **known)


def run(study):
    (planned,) = plan.planned(study)
    context = prepare.Context(
        cards=study.cards,
        preregistration=study.preregistration_sha256,
        environment=describe("cpu", threads=1),
    )
    return runner.run_cell(planned, context=context)


def test_a_learning_cell_is_watched_at_powers_of_two_and_at_its_end():
    """Eleven steps are looked at after 0, 1, 2, 4, 8 and 11, and the curves of the training stand beside."""
    record = run(study_of(probe="loss_gradient"))
    assert (record.status, record.error) == ("unsolved", None)
    assert record.measured("gradient_slope_training").series.at == (0.0, 1.0, 2.0, 4.0, 8.0, 11.0)
    names = {found.name for found in record.measurements}
    assert {f"loss_gradient_step_{step:05d}" for step in (0, 1, 2, 4, 8, 11)} < names
    assert {"gradient_burst_index", "nonfinite_share", "steps_to_solve"} < names
    assert 0 < record.measured("far_share_training").value < 1


def test_a_training_that_is_watched_is_the_same_training():
    """Losses, norms and evaluations of a cell are equal to the last bit with and without the probe."""
    watched, alone = run(study_of(probe="loss_gradient")), run(study_of())
    for name in ("training_loss", "gradient_norm", "evaluation_loss", "evaluation_score"):
        assert watched.measured(name) == alone.measured(name)


def test_watching_leaves_every_weight_as_it_was():
    """History and weights are byte-identical, watched by the probe or by nobody."""

    def trained(*, watched):
        spec = models.spec_for(parse("lstm"), vocab=17, outputs=8, width=8, layers=1)
        model = models.create(parse("lstm"), spec, seed=1)
        sample = lambda rng, batch, length: recall.sample(rng, batch=batch, length=length)  # noqa: E731
        watch = loss_gradient.watch(subject_of(model, sample=sample)).look if watched else None
        config = TrainConfig(steps=9, batch=4, learning_rate=1e-2)
        history = training.train(model, lambda step: sample(stream("train", step), 4, LENGTH), config, watch=watch)
        return history, [weight.detach().numpy().tobytes() for weight in model.state_dict().values()]

    assert trained(watched=True) == trained(watched=False)


def test_the_last_look_is_once_and_before_the_best_weights_are_restored():
    """A step says what the model was after it: eight steps are looked at once, and keep_best does not change that."""

    class Table(nn.Module):
        def __init__(self):
            super().__init__()
            self.rows = nn.Parameter(torch.zeros(4, 4))

        def forward(self, tokens, state=None):
            return self.rows[tokens], state

    def batches(_step):
        tokens = torch.arange(8).remainder(4).view(2, 4)
        return Batch(inputs=tokens, targets=(tokens + 1) % 4, scored=torch.ones_like(tokens, dtype=torch.bool))

    def evaluate(_model, step):
        return training.Evaluation(step=step, loss=float(step), score=0.0)  # the first one is the best

    seen, model = {}, Table()
    config = TrainConfig(steps=6, batch=2, learning_rate=0.1, evaluate_every=2)
    training.train(
        model,
        batches,
        config,
        evaluate=evaluate,
        stopping=training.Stopping(keep_best=True),
        watch=lambda model, step: seen.setdefault(step, model.rows.detach().clone()),
    )
    assert list(seen) == [0, 1, 2, 4, 6]
    assert torch.equal(model.rows.detach(), seen[2])
    assert not torch.equal(seen[6], seen[2])
    steps = []
    training.train(
        Table(),
        batches,
        TrainConfig(steps=8, batch=2, learning_rate=0.1),
        watch=lambda _model, step: steps.append(step),
    )
    assert steps == [0, 1, 2, 4, 8]


def test_a_task_that_asks_nothing_has_no_loss_to_differentiate():
    """Before one-hot vectors with nothing asked the probe is structural."""
    record = run(study_of(task="onehot", probe="loss_gradient"))
    expected = "the task onehot scores no position, so there is no loss whose gradient to take"
    assert (record.status, record.error) == ("structural", expected)


def test_a_group_that_trains_nothing_cannot_be_watched(tmp_path):
    """The probe looks at a training; a group without one is refused before anything runs."""
    expected = "group 'g': loss_gradient looks at models while they are trained; give training.steps and so on"
    study = study_of(probe="loss_gradient", training=None)
    with pytest.raises(InvalidInput, match=f"^{expected}$"):
        conduct.conduct(study, tmp_path, settings=conduct.Settings(executor="serial"))
