"""The training loop: the schedule, the stops, and what is logged."""

import math

import pytest
import torch
from torch import nn

from seqbench.cell import TrainConfig
from seqbench.measure import training
from seqbench.measure.generators.base import Batch
from seqbench.measure.training import Evaluation, Stopping, train


class Table(nn.Module):
    """Logits that depend on the token alone: (B, T) -> (B, T, 4)."""

    def __init__(self, start=0.0):
        super().__init__()
        self.rows = nn.Parameter(torch.full((4, 4), start))

    def forward(self, tokens, state=None):
        return self.rows[tokens], state


def batch_of(step, *, size=8):
    tokens = torch.arange(size).remainder(4).view(2, -1)
    return Batch(inputs=tokens, targets=(tokens + 1) % 4, scored=torch.ones_like(tokens, dtype=torch.bool))


def config_of(**changes):
    return TrainConfig(**({"steps": 40, "batch": 2, "learning_rate": 0.1, "warmup_steps": 10} | changes))


def scores(*values):
    """Evaluations with these scores, one after the other, whatever the model does."""
    left = list(values)
    return lambda _model, step: Evaluation(step=step, loss=1.0, score=left.pop(0))


def test_training_lowers_the_loss_of_a_learnable_task():
    """A table learns which token follows which: the loss falls far under ln 4, where it started."""
    history = train(Table(), batch_of, config_of())
    assert math.isclose(history.losses[0], math.log(4), rel_tol=1e-6)
    assert history.losses[-1] < 0.2


def test_the_learning_rate_warms_up_and_then_falls_along_a_cosine():
    """Linear to the peak at the end of warm-up, half way down in the middle, the final fraction at the end."""
    config = config_of(steps=110, warmup_steps=10, final_fraction=0.05)
    rates = [training.learning_rate(step, config) for step in (0, 4, 9, 10, 60, 110)]
    assert rates == pytest.approx([0.01, 0.05, 0.1, 0.1, 0.0525, 0.005])


def test_a_budget_shorter_than_the_warm_up_still_reaches_the_peak():
    """Warm-up never takes more than half of the steps."""
    config = config_of(steps=8, warmup_steps=100)
    assert max(training.learning_rate(step, config) for step in range(8)) == pytest.approx(0.1)


def test_the_logged_norm_is_the_one_before_clipping():
    """A gradient of norm far over the clip is logged as it was, and clipped in the update."""
    model = Table()
    before = training.scored_loss(model(batch_of(0).inputs)[0], batch_of(0))
    (gradient,) = torch.autograd.grad(before, model.rows)
    history = train(model, batch_of, config_of(steps=1, clip_norm=1e-6))
    assert history.gradient_norms[0] == pytest.approx(float(gradient.norm()))


def test_two_good_evaluations_in_a_row_end_training_as_solved():
    """One good evaluation is luck, two are a solution: the step of the first of them is when it was solved."""
    history = train(
        Table(),
        batch_of,
        config_of(evaluate_every=10),
        evaluate=scores(1.0, 0.5, 0.99, 1.0),
        stopping=Stopping(solved_at=0.99),
    )
    assert (history.outcome, history.solved_after, history.steps) == ("solved", 30, 40)


def test_an_unsolved_budget_is_used_up():
    """Without two good evaluations in a row the whole budget is used."""
    history = train(
        Table(),
        batch_of,
        config_of(evaluate_every=10),
        evaluate=scores(1.0, 0.5, 1.0, 0.5),
        stopping=Stopping(solved_at=0.99),
    )
    assert (history.outcome, history.solved_after, history.steps) == ("finished", None, 40)


def test_a_loss_that_is_no_number_is_divergence():
    """Not-a-number in the loss stops training at the next look."""
    history = train(Table(start=math.nan), batch_of, config_of(evaluate_every=5))
    assert (history.outcome, history.steps) == ("diverged", 5)


def test_a_loss_far_over_chance_three_times_is_divergence():
    """Three evaluations in a row over three times the chance loss, after warm-up, stop training."""

    def terrible(_model, step):
        return Evaluation(step=step, loss=4.0, score=0.0)

    history = train(
        Table(), batch_of, config_of(evaluate_every=5), evaluate=terrible, stopping=Stopping(chance_loss=1.3)
    )
    assert (history.outcome, history.steps) == ("diverged", 25)  # evaluations at 15, 20 and 25 count


def test_the_best_weights_on_validation_are_kept():
    """With `keep_best` the model ends with the weights of its best evaluation, and stops once none is better."""
    model, seen = Table(), []
    losses = iter([3.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0])

    def evaluate(model, step):
        seen.append(model.rows.detach().clone())
        return Evaluation(step=step, loss=next(losses), score=0.0)

    history = train(model, batch_of, config_of(evaluate_every=5), evaluate=evaluate, stopping=Stopping(keep_best=True))
    assert torch.equal(model.rows.detach(), seen[1])
    assert history.steps == 35  # the seventh evaluation is the fifth without a better one


def test_the_loss_counts_scored_positions_only():
    """Positions that are not scored do not enter the loss."""
    batch = batch_of(0)
    logits = Table()(batch.inputs)[0].detach()
    logits[0, 0] = torch.tensor([99.0, -99.0, -99.0, -99.0])  # far from right
    masked = Batch(inputs=batch.inputs, targets=batch.targets, scored=batch.scored.clone())
    masked.scored[0, 0] = False
    assert float(training.scored_loss(logits, masked)) == pytest.approx(math.log(4))
    assert float(training.scored_loss(logits, batch)) > 10
