"""The state Jacobian on planted cases: maps whose matrix is known, and what has no Jacobian at all."""

import math

import pytest
import torch
from torch import nn

from seqbench import plan
from seqbench.errors import InvalidInput
from seqbench.measure import models, prepare, runner, states
from seqbench.measure.environment import describe
from seqbench.measure.generators import onehot
from seqbench.measure.models import MODELS
from seqbench.measure.probes import PROBES, state_jacobian
from seqbench.measure.probes.base import Subject
from seqbench.measure.seeds import stream
from seqbench.suite import Group, Suite
from seqbench.variant import parse

QUARTER = [[0.0, -1.0], [1.0, 0.0]]


class Linear(nn.Module):
    """h_t = A h_{t-1} + x_t: the Jacobian of every step is A. The state is nested, and counts positions beside."""

    def __init__(self, matrix):
        super().__init__()
        self.matrix = nn.Parameter(torch.tensor(matrix))

    def forward(self, inputs, state=None):
        S = len(self.matrix)
        hidden = inputs.new_zeros(len(inputs), S)
        count = torch.zeros(len(inputs), dtype=torch.int64)
        if state is not None:
            (front, behind), (count, _) = state
            hidden = torch.cat((front, behind["rest"].flatten(1)), dim=1)
        outputs = []
        for x in inputs.unbind(1):
            hidden = hidden @ self.matrix.T + x[:, :S]
            outputs.append(hidden)
            count = count + 1
        after = (hidden[:, :1], {"rest": hidden[:, 1:, None]}), (count, "two kinds of state")
        return torch.stack(outputs, dim=1), after


class Turning(nn.Module):
    """h_t = λ h_{t-1} + x_t with λ = r·exp(iφ): a complex state, which is a rotation of two numbers that shrinks."""

    def __init__(self, modulus):
        super().__init__()
        self.modulus = nn.Parameter(torch.tensor(modulus))

    def forward(self, inputs, state=None):
        factor = torch.polar(self.modulus, torch.ones_like(self.modulus))
        hidden = torch.zeros(len(inputs), 1, dtype=factor.dtype) if state is None else state
        for x in inputs.unbind(1):
            hidden = factor * hidden + x[:, :1]
        return torch.view_as_real(hidden), hidden


def subject_of(model, *, length=20, sequences=onehot.sample):
    def sample(rng, batch, length):
        return sequences(rng, batch=batch, length=length)

    return Subject(
        model=model,
        task="t",
        length=length,
        seed=0,
        sample=sample,
        generator=onehot,
        params={},
        device=torch.device("cpu"),
    )


def measured(model):
    return {found.name: found for found in state_jacobian.measure(subject_of(model))}


def built(name, *, width=6, seed=0):
    spec = models.spec_for(parse(name), vocab=5, outputs=16, width=width, layers=1, inputs=16)
    return models.create(parse(name), spec, seed=seed)


def test_a_diagonal_map_has_its_entries_as_singular_values():
    """diag(-.5, .8, 2): singular values .5, .8, 2 whatever the sign, their geometric mean and the radius 2."""
    found = measured(Linear([[-0.5, 0.0, 0.0], [0.0, 0.8, 0.0], [0.0, 0.0, 2.0]]))
    assert found["jacobian_singular_value"].value == pytest.approx(2.0)
    assert found["jacobian_smallest_singular_value"].value == pytest.approx(0.5)
    assert found["jacobian_geometric_mean"].value == pytest.approx((0.5 * 0.8 * 2.0) ** (1 / 3))
    assert found["jacobian_spectral_radius"].value == pytest.approx(2.0)
    assert {measurement.unit for measurement in found.values()} == {"1"}


def test_singular_values_are_told_by_quantile():
    """Of three singular values the quantiles 0, .5 and 1 are the values themselves."""
    series = measured(Linear([[0.5, 0.0, 0.0], [0.0, 0.8, 0.0], [0.0, 0.0, 2.0]]))["jacobian_singular_value"].series
    assert series.axis == "quantile"
    assert [series.values[series.at.index(quantile)] for quantile in (0.0, 0.5, 1.0)] == pytest.approx([0.5, 0.8, 2.0])


def test_stretch_is_not_what_a_repeated_step_does():
    """A shear [[.5, 10], [0, .5]] stretches tenfold in one step, and shrinks by half in the long run."""
    found = measured(Linear([[0.5, 10.0], [0.0, 0.5]]))
    assert found["jacobian_spectral_radius"].value == pytest.approx(0.5, abs=1e-6)
    largest = found["jacobian_singular_value"].value
    assert largest * found["jacobian_smallest_singular_value"].value == pytest.approx(0.25)
    assert 10.0 < largest < 10.1


def test_a_map_that_forgets_has_no_volume():
    """A singular matrix has 0 as its smallest singular value and as its geometric mean."""
    found = measured(Linear([[0.0, 0.0], [0.0, 0.7]]))
    assert (found["jacobian_smallest_singular_value"].value, found["jacobian_geometric_mean"].value) == (0.0, 0.0)


def test_a_complex_state_is_two_numbers():
    """λ = .9·exp(i) turns the plane and shrinks it by .9: both singular values and the radius are .9."""
    (step, *_) = states.walk(Turning(0.9).double(), torch.randn(3, 4, 2, generator=stream("x"), dtype=torch.float64))
    matrix = states.jacobian(step)
    assert matrix.shape == (3, 2, 2)
    turned = torch.tensor([[math.cos(1), -math.sin(1)], [math.sin(1), math.cos(1)]], dtype=torch.float64)
    assert torch.allclose(matrix, 0.9 * turned.expand(3, 2, 2), atol=1e-7)  # 0.9 was written in single precision


def test_rows_are_outputs_and_columns_inputs():
    """The Jacobian of h ↦ A h is A and not its transpose, for every sequence and with a state in pieces."""
    matrix = torch.tensor([[1.0, 2.0, 3.0], [0.0, 4.0, 5.0], [6.0, 0.0, 7.0]], dtype=torch.float64)
    steps = states.walk(Linear(matrix.tolist()).double(), torch.randn(2, 4, 3, generator=stream("x")).double())
    for step in steps:
        assert torch.equal(states.jacobian(step), matrix.expand(2, 3, 3))


@pytest.mark.parametrize("name", ["rnn", "rnn@implementation=eager"])
def test_the_jacobian_of_tanh_is_its_slope_times_the_weights(name):
    """∂h_t/∂h_{t-1} = diag(1 - h_t²) W, at every step of a trajectory and for each of its sequences."""
    model = built(name).double()
    inputs = onehot.sample(stream("x"), batch=3, length=9).inputs.double()
    hidden, _ = model.mixer(inputs)  # (B, T, D)
    W = model.mixer.cells.weight_hh_l0.detach()
    steps = states.walk(model, inputs)
    assert len(steps) == 8
    for number, step in enumerate(steps):
        slope = 1 - hidden[:, number + 1].detach() ** 2
        assert torch.allclose(states.jacobian(step), slope[:, :, None] * W, atol=1e-12)


@pytest.mark.parametrize("name", ["lstm", "gru", "lstm@implementation=eager", "rnn@activation=sigmoid"])
def test_the_jacobian_is_the_limit_of_differences(name):
    """Moving each number of the full state by a little, h and c, moves the next state along its column."""
    model = built(name, width=4).double().eval()
    inputs = onehot.sample(stream("x"), batch=2, length=5).inputs.double()
    step = states.walk(model, inputs)[-1]
    before = states.vector(step.state)
    S = before.shape[1]
    assert (8 if "lstm" in name else 4) == S
    moved = 1e-6 * torch.eye(S, dtype=torch.float64)
    with torch.no_grad():
        columns = [(step.after(before + each) - step.after(before - each)) / 2e-6 for each in moved]
    assert torch.allclose(states.jacobian(step), torch.stack(columns, dim=2), atol=1e-8)


def test_a_walk_ends_where_the_whole_sequence_ends():
    """The step out of the last state of a walk gives the state that the sequence read whole leaves."""
    model = built("lstm").double().eval()
    inputs = onehot.sample(stream("x"), batch=2, length=7).inputs.double()
    last = states.walk(model, inputs)[-1]
    with torch.no_grad():
        whole = states.vector(model(inputs)[1])
        assert torch.allclose(last.after(states.vector(last.state)), whole, atol=1e-12)


def test_a_sequence_of_one_has_no_step():
    """There is nothing to differentiate before the second position."""
    expected = "a sequence of 1 has no step from state to state; give a length of at least 2"
    with pytest.raises(InvalidInput, match=f"^{expected}$"):
        states.walk(Linear(QUARTER), torch.zeros(1, 1, 2))


def test_positions_are_spread_from_end_to_end():
    """All steps of a short walk, 32 of a long one, first and last among them."""
    assert state_jacobian.spread(5, 32) == (0, 1, 2, 3, 4)
    assert state_jacobian.spread(1, 32) == (0,)
    long = state_jacobian.spread(199, 32)
    assert (len(long), long[0], long[-1]) == (32, 0, 198)


# ------------------------------------------------------------------ what has none


class Keeps(nn.Module):
    """Answers the first two floats, and keeps what it is told to keep."""

    def __init__(self, kept):
        super().__init__()
        self.kept = kept
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, inputs, state=None):
        return inputs[..., :2], self.kept(inputs, state)


class Cache:
    """An object of somebody else's."""

    def __init__(self, tensor):
        self.tensor = tensor


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        (lambda _x, _s: None, "the model carries no state from one position to the next; compare it by input_gradient"),
        (lambda _x, _s: (), "the model carries no state from one position to the next; compare it by input_gradient"),
        (
            lambda x, s: x if s is None else torch.cat((s, x), dim=1),
            "the model's state grows with the sequence, from 16 floats after 1 position to 320 after 20, so that a "
            "step of it has no square Jacobian; compare it by input_gradient",
        ),
        (
            lambda x, _s: x.new_zeros(len(x), 513),
            "the model's state has 513 floats, and Jacobians are taken of up to 512",
        ),
        (
            lambda x, _s: Cache(x[:, 0]),
            "the model's state is an object of its own, whose tensors cannot be exchanged; return tuples, lists or "
            "dicts of tensors",
        ),
        (lambda x, _s: x.new_zeros(len(x), 512), ""),
    ],
    ids=["nothing", "empty", "growing", "too large", "an object", "the largest"],
)
def test_what_has_no_jacobian_says_why(kept, expected):
    """No state, a growing one, one too large and one that cannot be exchanged are refused in a sentence."""
    assert state_jacobian.refusal(subject_of(Keeps(kept))) == expected


def run(*, model, probe, task="recall", **changes):
    group = Group(
        **({"name": "g", "task": task, "models": (model,), "lengths": (24,), "width": 8, "seeds": 1} | changes),
        probe=probe,
    )
    known = {"known_models": MODELS, "known_probes": PROBES}
    study = plan.study("s", Suite(title="t", groups=(group,)), development=True, **known)
    context = prepare.Context(
        cards=study.cards,
        preregistration=study.preregistration_sha256,
        environment=describe("cpu", threads=1),
    )
    return runner.run_cell(plan.planned(study)[0], context=context)


@pytest.mark.parametrize("probe", ["state_jacobian", "lyapunov"])
@pytest.mark.parametrize("training", [None, {"steps": 10**8, "batch": 64, "learning_rate": 0.1}])
def test_attention_is_structural_before_anything_is_trained(probe, training):
    """A cell of a growing state is structural at once, even one whose training would take for ever."""
    record = run(model="transformer", probe=probe, training=training)
    assert (record.status, record.measurements) == ("structural", ())
    assert record.error.startswith("the model's state grows with the sequence, from 16 floats after 1 position to 384")


@pytest.mark.parametrize("probe", ["state_jacobian", "lyapunov"])
def test_an_encoder_is_structural(probe):
    """A model that reads a sequence whole carries nothing from step to step."""
    record = run(model="transformer@causal=false,positions=none", probe=probe, task="count")
    assert record.status == "structural"
    assert record.error == "the model carries no state from one position to the next; compare it by input_gradient"


@pytest.mark.parametrize("probe", ["state_jacobian", "lyapunov"])
@pytest.mark.parametrize("task", ["onehot", "recall", "adding", "copy"])
def test_recurrent_models_are_probed_before_every_kind_of_task(task, probe):
    """Tokens or floats, two layers, (h, c): the cell is ok, and twice the same."""
    first, second = (run(model="lstm", probe=probe, task=task, layers=2) for _ in range(2))
    assert (first.status, first.error) == ("ok", None)
    assert first.measurements == second.measurements


def test_a_trained_model_is_probed_as_it_is_after_training():
    """With a training the cell's Jacobian is that of the trained weights, which is another one."""
    training = {"steps": 20, "batch": 8, "learning_rate": 0.03, "evaluation_sequences": 8}
    untrained, trained = (run(model="gru", probe="state_jacobian", training=given) for given in (None, training))
    assert trained.status == "unsolved"
    values = [record.measured("jacobian_singular_value").value for record in (untrained, trained)]
    assert abs(values[0] - values[1]) > 1e-3
