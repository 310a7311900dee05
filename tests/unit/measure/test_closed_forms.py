"""The instrument against arithmetic: slopes at initialisation whose closed forms are known.

Weights uniform in ±1/√H have variance 1/(3H), so a backward product shrinks by 1/√3 per step for tanh near zero,
by √(1/6) for ReLU, where half of the units are off, and by 1/(4√3) for the logistic sigmoid, whose slope is ¼. A minGRU
of one layer multiplies by 1 - z alone, which is 1 - σ(b) where the gate's bias b is large beside its input.
"""

import math

import pytest

from seqbench import plan
from seqbench.measure import prepare, runner
from seqbench.measure.environment import describe
from seqbench.measure.models import MODELS
from seqbench.measure.probes import PROBES
from seqbench.suite import Group, Suite


def mean_slope(model, *, width):
    """Return the mean slope at initialisation over eight seeds, from one-hot inputs of scale 1 (nat per step)."""
    group = Group(
        name="slopes", task="onehot", probe="input_gradient", models=(model,), lengths=(200,), width=width, seeds=8
    )
    study = plan.study(
        "slopes", Suite(title="t", groups=(group,)), known_models=MODELS, known_probes=PROBES, development=True
    )
    context = prepare.Context(
        cards=study.cards, preregistration=study.preregistration_sha256, environment=describe("cpu", threads=1)
    )
    records = [runner.run_cell(planned, context=context) for planned in plan.planned(study)]
    slopes = [record.measured("gradient_slope").value for record in records]
    assert len(slopes) == 8
    return sum(slopes) / 8


@pytest.mark.parametrize("width", [32, 64])
@pytest.mark.parametrize(
    ("model", "slope"),
    [
        ("rnn", math.log(1 / math.sqrt(3))),
        ("rnn@activation=relu", math.log(math.sqrt(1 / 6))),
        ("rnn@activation=sigmoid", math.log(1 / (4 * math.sqrt(3)))),
    ],
)
def test_the_mean_slope_of_eight_seeds_is_the_closed_form(model, slope, width):
    """At the library's initialisation the mean slope of eight seeds is within 0.1 nat per step of the closed form."""
    assert abs(mean_slope(model, width=width) - slope) < 0.1


@pytest.mark.parametrize("implementation", ["scan", "step"])
@pytest.mark.parametrize("width", [32, 64])
def test_a_mingru_keeps_what_its_gate_leaves(width, implementation):
    """With b_z = -3 the mean slope of eight seeds is ln(1 - σ(-3)) to within 0.002 nat per step."""
    slope = mean_slope(f"mingru@gate_bias=-3,implementation={implementation}", width=width)
    assert abs(slope - math.log(1 - 1 / (1 + math.exp(3)))) < 0.002
