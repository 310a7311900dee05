"""Training without clipping: how a suite asks for it, what it changes, and the bursts that it lets through."""

import json
import math

import pytest
import torch
from torch import nn

from seqbench import cell, plan, store
from seqbench.cell import Cell, TrainConfig
from seqbench.measure import training
from seqbench.measure.generators import recall
from seqbench.measure.generators.base import Batch
from seqbench.measure.models import MODELS
from seqbench.measure.probes import PROBES, training_curves
from seqbench.measure.probes.base import Subject
from seqbench.measure.training import History
from seqbench.suite import Group, Suite

TRAINING = {"steps": 4, "batch": 2, "learning_rate": 0.1}


def cell_of(**training):
    return Cell(task="recall", model="rnn", length=9, seed=0, width=8, training=TRAINING | training)


def fingerprint_of(found):
    return cell.fingerprint(found, card="{}", corpus_sha256=None, model_sha256=None)


def test_a_suite_says_off_and_the_cell_has_no_norm():
    """TOML has no null: a suite writes "off", and a cell that is written and read back keeps it."""
    off = cell_of(clip_norm="off")
    assert off.training.clip_norm is None
    assert cell.parse(str(off)) == off
    assert Cell.model_validate_json(off.model_dump_json()) == off


def test_clipping_off_is_another_cell():
    """The default, its number written out and no clipping: the first two are one cell, the third is another."""
    prints = [fingerprint_of(cell_of(**given)) for given in ({}, {"clip_norm": 1.0}, {"clip_norm": "off"})]
    assert prints[0] == prints[1] != prints[2]


def test_cells_that_clip_keep_their_fingerprint():
    """What is hashed of a cell that clips still has its number: no stored record is orphaned."""
    dumped = cell_of().model_dump(mode="json", exclude_none=True)
    assert dumped["training"]["clip_norm"] == 1.0
    assert "clip_norm" not in cell_of(clip_norm=None).model_dump(mode="json", exclude_none=True)["training"]


def test_a_study_that_does_not_clip_is_read_back(tmp_path):
    """The study file says null, which is not the default that a missing key would be."""
    group = Group(
        name="g",
        task="recall",
        models=("rnn",),
        lengths=(9,),
        width=8,
        seeds=1,
        training=TRAINING | {"clip_norm": "off"},
    )
    suite = Suite(title="t", groups=(group,))
    study = plan.study("s", suite, development=True, known_models=MODELS, known_probes=PROBES)
    store.create_study(tmp_path, study)
    written = json.loads((tmp_path / store.STUDY_FILE).read_text())
    assert written["suite"]["groups"][0]["training"]["clip_norm"] is None
    assert plan.Study.model_validate(written) == study


@pytest.mark.parametrize("wrong", ["of", 0, -1.0, math.inf])
def test_other_words_and_numbers_are_refused(wrong):
    """Only "off" and numbers above zero say how gradients are clipped."""
    with pytest.raises(ValueError, match=r"clip_norm"):
        TrainConfig(**TRAINING, clip_norm=wrong)


class Line(nn.Module):
    """One weight: the logits are w·x and -w·x."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1.0))

    def forward(self, inputs, state=None):
        answer = self.weight * inputs[..., 0]
        return torch.stack((answer, -answer), dim=2), state


def gradient_in_update(*, clip_norm, size):
    """Return the norm that one step logs and the gradient that its update saw."""
    model = Line()
    inputs = torch.full((1, 1, 1), size)
    batch = Batch(inputs=inputs, targets=torch.ones(1, 1, dtype=torch.int64), scored=torch.ones(1, 1).bool())
    optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
    _, norm = training.step_of(model, batch, optimiser, clip_norm=clip_norm)
    return float(norm), 1.0 - float(model.weight.detach())


def test_the_update_sees_the_whole_gradient_where_clipping_is_off():
    """A gradient of 2·100 moves the weight by 200 without clipping and by 1 with it; the norm logged is the same."""
    assert gradient_in_update(clip_norm=1.0, size=100.0) == pytest.approx((200.0, 1.0), rel=1e-5)
    assert gradient_in_update(clip_norm=None, size=100.0) == pytest.approx((200.0, 200.0), rel=1e-5)


def curves_of(norms):
    history = History(
        losses=tuple(1.0 for _ in norms), gradient_norms=tuple(norms), evaluations=(), tokens=1, outcome="finished"
    )
    subject = Subject(
        model=nn.Module(),
        task="t",
        length=9,
        seed=0,
        sample=recall.sample,
        generator=recall,
        params={},
        device=torch.device("cpu"),
        history=history,
    )
    return {found.name: found for found in training_curves.measure(subject)}


def test_the_burst_index_is_a_ratio_of_quantiles():
    """Of the norms 1 … 1001 in any order the 99.9 % quantile is 1000 and the median 501."""
    norms = [float((5 * i) % 1001 + 1) for i in range(1001)]
    found = curves_of(norms)["gradient_burst_index"]
    assert (found.value, found.unit) == (pytest.approx(1000 / 501), "1")


def test_one_burst_in_a_hundred_steps_is_seen():
    """99 norms of 2 and one of 50: between the largest and the next, 9.9 tenths of the way to the largest."""
    assert curves_of([2.0] * 99 + [50.0])["gradient_burst_index"].value == pytest.approx((2 + 0.901 * 48) / 2)


def test_a_steady_training_has_no_bursts():
    """Equal norms have a burst index of 1 and no step without a number."""
    found = curves_of([3.0] * 20)
    assert (found["gradient_burst_index"].value, found["nonfinite_share"].value) == (1.0, 0.0)


def test_norms_that_are_no_numbers_are_counted_apart():
    """Of eight steps one is infinite and one no number: a quarter, and the quantiles are those of the other six."""
    found = curves_of([2.0, 2.0, math.inf, 2.0, math.nan, 2.0, 2.0, 2.0])
    assert (found["gradient_burst_index"].value, found["nonfinite_share"].value) == (1.0, 0.25)


def test_a_training_without_any_number_has_no_burst_index():
    """Where every norm is infinite the share says so and the index is no number."""
    found = curves_of([math.inf, math.nan])
    assert math.isnan(found["gradient_burst_index"].value)
    assert found["nonfinite_share"].value == 1.0
