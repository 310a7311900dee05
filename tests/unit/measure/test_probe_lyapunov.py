"""Lyapunov exponents: planted maps, and the equality of forward exponents and backward slope off chaos."""

import math
from copy import deepcopy

import pytest
import torch
from torch import nn

from seqbench.measure import models, states
from seqbench.measure.generators import onehot
from seqbench.measure.probes import lyapunov
from seqbench.measure.probes.base import Subject
from seqbench.measure.seeds import stream
from seqbench.variant import parse

OFF_CHAOS = ("rnn", "rnn@activation=sigmoid", "rnn@init=orthogonal", "lstm", "lstm@forget_bias=1", "gru")


class Linear(nn.Module):
    """h_t = A h_{t-1} + x_t: the Jacobian of every step is A."""

    def __init__(self, matrix):
        super().__init__()
        self.matrix = nn.Parameter(torch.tensor(matrix))

    def forward(self, inputs, state=None):
        S = len(self.matrix)
        hidden = inputs.new_zeros(len(inputs), S) if state is None else state
        outputs = []
        for x in inputs.unbind(1):
            hidden = hidden @ self.matrix.T + x[:, :S]
            outputs.append(hidden)
        return torch.stack(outputs, dim=1), hidden


def subject_of(model, *, length=600, seed=0):
    return Subject(
        model=model,
        task="onehot",
        length=length,
        seed=seed,
        sample=lambda rng, batch, length: onehot.sample(rng, batch=batch, length=length),
        generator=onehot,
        params={},
        device=torch.device("cpu"),
    )


def built(name, *, seed, width=32):
    spec = models.spec_for(parse(name), vocab=5, outputs=16, width=width, layers=1, inputs=16)
    return models.create(parse(name), spec, seed=seed)


def measured(model, **changes):
    return {found.name: found for found in lyapunov.measure(subject_of(model, **changes))}


def test_a_diagonal_map_has_the_logarithms_of_its_entries():
    """diag(.5, -2, .9, .1): exponents ln 2, ln .9, ln .5, ln .1, the largest first; the slope back is ln 2."""
    found = measured(Linear(torch.diag(torch.tensor([0.5, -2.0, 0.9, 0.1])).tolist()))
    exponents = found["lyapunov_exponent"]
    expected = [math.log(size) for size in (2.0, 0.9, 0.5, 0.1)]
    assert exponents.series.values == pytest.approx(expected, abs=1e-6)
    assert (exponents.series.axis, exponents.series.at) == ("index", (1.0, 2.0, 3.0, 4.0))
    assert exponents.value == exponents.series.values[0]
    assert found["backward_slope"].value == pytest.approx(math.log(2.0), abs=1e-6)
    assert [found[name].unit for name in ("lyapunov_exponent", "backward_slope")] == ["nat/step"] * 2


def test_a_rotation_that_shrinks_has_one_exponent_twice():
    """Turning by 1 and shrinking by .7: both exponents and the slope are ln .7, at every angle of the directions."""
    turned = [[0.7 * math.cos(1), -0.7 * math.sin(1)], [0.7 * math.sin(1), 0.7 * math.cos(1)]]
    found = measured(Linear(turned), length=60)
    assert found["lyapunov_exponent"].series.values == pytest.approx([math.log(0.7)] * 2, abs=1e-6)
    assert found["backward_slope"].value == pytest.approx(math.log(0.7), abs=1e-6)


def test_exponents_of_a_shear_are_those_of_the_long_run():
    """[[.9, 10], [0, .5]] stretches tenfold in one step, yet its exponents are ln .9 and ln .5."""
    found = measured(Linear([[0.9, 10.0], [0.0, 0.5]]))
    assert found["lyapunov_exponent"].series.values == pytest.approx([math.log(0.9), math.log(0.5)], abs=1e-6)
    assert found["backward_slope"].value == pytest.approx(math.log(0.9), abs=1e-6)


def test_what_is_forgotten_at_once_is_minus_infinity():
    """A map of rank one has one exponent and one that is -inf; a map to nothing has no slope but -inf."""
    found = measured(Linear([[0.8, 0.0], [0.0, 0.0]]), length=30)
    assert found["lyapunov_exponent"].series.values == (pytest.approx(math.log(0.8)), -math.inf)
    nothing = measured(Linear([[0.0, 0.0], [0.0, 0.0]]), length=30)
    assert (nothing["lyapunov_exponent"].value, nothing["backward_slope"].value) == (-math.inf, -math.inf)


def test_eight_exponents_of_a_large_state_and_all_of_a_small_one():
    """At most eight directions are followed."""
    counts = [
        len(measured(built("rnn", seed=0, width=width), length=12)["lyapunov_exponent"].series.at) for width in (3, 9)
    ]
    assert counts == [3, 8]


def test_the_window_leaves_as_much_behind_as_before():
    """Of the 599 steps between 600 states 100 at either end do not count; of fewer a sixth."""
    assert lyapunov.window(599) == range(99, 500)
    assert lyapunov.window(2000) == range(100, 1900)
    assert lyapunov.window(12) == range(2, 10)
    assert measured(Linear([[0.5]]))["lyapunov_window"].value == 401.0


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", OFF_CHAOS)
def test_the_largest_exponent_is_the_backward_slope(name, seed):
    """Off chaos directions forwards and gradients backwards have one rate: equal within 0.002 nat per step."""
    found = measured(built(name, seed=seed), seed=seed)
    assert found["lyapunov_exponent"].value < 0
    assert abs(found["lyapunov_exponent"].value - found["backward_slope"].value) < 0.002


@pytest.mark.parametrize("seed", range(2))
def test_a_chaotic_network_has_a_positive_exponent(seed):
    """Weights of gain 3 at 64 units: neighbouring states part, and gradients explode."""
    found = measured(built("rnn@init=gaussian,gain=3", seed=seed, width=64), seed=seed)
    assert found["lyapunov_exponent"].value > 0.02
    assert found["backward_slope"].value > 0.02


@pytest.mark.parametrize("name", OFF_CHAOS)
def test_single_and_double_precision_have_the_same_slope(name):
    """A product that is made of length 1 at each step has the same slope in float32 and float64, to 1e-5."""
    model = built(name, seed=0).eval()
    inputs = onehot.sample(stream("x"), batch=4, length=600).inputs
    cotangents = torch.randn(4, 64 if name.startswith("lstm") else 32, generator=stream("v"))
    slopes = []
    for precision in (torch.float32, torch.float64):
        steps = states.walk(deepcopy(model).to(precision), inputs.to(precision))
        slopes.append(float(lyapunov.backward_slope(steps, cotangents.to(precision), lyapunov.window(599)).mean()))
    assert slopes[0] != slopes[1]
    assert abs(slopes[0] - slopes[1]) < 1e-5


def test_the_backward_slope_is_that_of_one_backward_pass():
    """Where float64 still holds the whole product, ln of its norm is the sum of the logarithms of the pieces."""
    model = built("gru", seed=1).double().eval()
    inputs = onehot.sample(stream("x"), batch=1, length=40).inputs.double()
    cotangent = torch.randn(1, 32, generator=stream("v"), dtype=torch.float64)
    steps = states.walk(model, inputs)
    start = steps[0].state[0].detach().requires_grad_()
    _, (last,) = model(inputs[:, 1:], (start,))
    (whole,) = torch.autograd.grad(last.flatten(1), start, cotangent)
    slope = lyapunov.backward_slope(steps, cotangent, range(39))
    assert float(slope) == pytest.approx(math.log(float(whole.norm() / cotangent.norm())) / 39, abs=1e-12)
