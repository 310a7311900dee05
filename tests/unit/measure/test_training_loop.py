"""The training loop: the schedule, the stops, and what is logged."""

import math

import pytest
import torch
from torch import nn

from seqbench.cell import TrainConfig
from seqbench.errors import ContractError
from seqbench.measure import training
from seqbench.measure.generators.base import Batch
from seqbench.measure.seeds import stream
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


@pytest.mark.parametrize("largest", [0.3, 0.999999, 1.0, 1.000001, 7.0, math.inf, math.nan])
def test_gradients_are_clipped_as_the_library_clips_them(largest):
    """Norm and gradients are the library's bit for bit: above the limit, around it, and below."""
    model, like = Table(), Table()
    for table in (model, like):
        table.rows.grad = torch.zeros(4, 4)
        table.rows.grad[1, 2] = largest
        table.rows.grad[3, 0] = 1e-4
    optimiser = training.optimiser_of(model, learning_rate=0.1)
    norm = training._clipped(optimiser, 1.0)
    expected = nn.utils.clip_grad_norm_(like.parameters(), 1.0)
    assert torch.equal(norm, expected) or (norm.isnan() and expected.isnan())
    assert torch.equal(model.rows.grad.nan_to_num(nan=-5.0), like.rows.grad.nan_to_num(nan=-5.0))


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
        return Evaluation(step=step, loss=5.0, score=0.0)

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


def test_a_validation_that_is_no_number_is_the_worst():
    """A first one does not stay the best for ever, and a later one does not take the place of a number."""
    model, seen = Table(), []
    losses = iter([math.nan, 1.0, math.nan, 3.0, 3.0, 3.0, 3.0, 3.0])

    def evaluate(model, step):
        seen.append(model.rows.detach().clone())
        return Evaluation(step=step, loss=next(losses), score=0.0)

    history = train(model, batch_of, config_of(evaluate_every=5), evaluate=evaluate, stopping=Stopping(keep_best=True))
    assert torch.equal(model.rows.detach(), seen[1])
    assert history.steps == 35


class Line(nn.Module):
    """One number per position, linear in the floats shown: (B, T, 2) -> (B, T, 1)."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 1)

    def forward(self, inputs, state=None):
        return self.linear(inputs), state


def sums(step, *, size=64):
    """A regression: the sum of two uniform numbers, of variance 1/6, at the last of three positions."""
    inputs = torch.rand(size, 3, 2, generator=stream("sums", step))
    scored = torch.zeros(size, 3, dtype=torch.bool)
    scored[:, -1] = True
    return Batch(inputs=inputs, targets=inputs.sum(2), scored=scored)


def test_a_regression_is_learnt_and_its_losses_are_squared_errors():
    """A line learns to add: the squared error falls to nothing, and the history names its unit."""
    history = train(Line(), sums, config_of(steps=300, learning_rate=0.05))
    assert history.losses[-1] < 1e-3
    assert history.loss_unit == "squared error"


def test_the_loss_of_classes_is_in_nats():
    """Where targets are classes, the history names the nat."""
    assert train(Table(), batch_of, config_of(steps=1)).loss_unit == "nat"


def test_the_loss_of_a_regression_is_the_mean_squared_error_where_it_is_scored():
    """Answers 0 to the targets 1 and 3, with 100 where nothing is scored: (1 + 9) / 2."""
    scored = torch.tensor([[False, True], [False, True]])
    batch = Batch(inputs=torch.zeros(2, 2, 2), targets=torch.tensor([[100.0, 1.0], [100.0, 3.0]]), scored=scored)
    assert float(training.scored_loss(torch.zeros(2, 2, 1), batch)) == 5.0


@pytest.mark.parametrize(("answer", "expected"), [(0.0, 0.0), (0.5, 0.75), (1.0, 1.0), (3.0, -3.0)])
def test_a_regression_is_scored_by_what_it_explains(answer, expected):
    """R² = 1 - loss / chance loss: 0 at chance, 1 when perfect, negative when worse than chance."""
    batch = Batch(inputs=torch.zeros(1, 1, 2), targets=torch.ones(1, 1), scored=torch.ones(1, 1, dtype=torch.bool))
    logits = torch.full((1, 1, 1), answer)
    assert training.score(logits, batch, chance_loss=1.0) == expected


def test_classes_are_scored_by_accuracy_whatever_chance_is():
    """Two of eight answers are right: the score is 1/4, with or without a chance loss."""
    batch = batch_of(0)
    logits = nn.functional.one_hot(batch.targets, 4).float()
    logits[:, 1:] = -logits[:, 1:]
    scores_found = [training.score(logits, batch, chance_loss=chance) for chance in (None, 1.0)]
    assert scores_found == [0.25, 0.25]


def test_a_regression_without_chance_cannot_be_scored():
    """Without its chance loss R² means nothing, and the error says whose duty it is."""
    expected = "a regression is scored against its chance loss; its generator's bounds must state one"
    with pytest.raises(ContractError, match=f"^{expected}$"):
        training.score(torch.zeros(64, 3, 1), sums(0), chance_loss=None)


def test_a_regression_that_starts_far_over_chance_is_slow_and_not_diverged():
    """An untrained regression may start at many times its chance loss; staying there is no divergence."""

    @torch.no_grad()
    def evaluate(model, step):
        batch = sums(step)
        logits, _ = model(batch.inputs)
        loss = float(training.scored_loss(logits, batch))
        return Evaluation(step=step, loss=loss, score=training.score(logits, batch, chance_loss=1 / 6))

    model = Line()
    with torch.no_grad():
        model.linear.bias.fill_(9.0)
    config = config_of(evaluate_every=5, learning_rate=1e-6)
    history = train(model, sums, config, evaluate=evaluate, stopping=Stopping(chance_loss=1 / 6, solved_at=0.94))
    assert history.evaluations[0].loss > 3 * (1 / 6)
    assert (history.outcome, history.steps) == ("finished", 40)
    assert history.evaluations[-1].score < -100


def test_the_loss_counts_scored_positions_only():
    """Positions that are not scored do not enter the loss."""
    batch = batch_of(0)
    logits = Table()(batch.inputs)[0].detach()
    logits[0, 0] = torch.tensor([99.0, -99.0, -99.0, -99.0])  # far from right
    masked = Batch(inputs=batch.inputs, targets=batch.targets, scored=batch.scored.clone())
    masked.scored[0, 0] = False
    assert float(training.scored_loss(logits, masked)) == pytest.approx(math.log(4))
    assert float(training.scored_loss(logits, batch)) > 10


@pytest.mark.parametrize("evaluate_every", [1, 3, 8, 20, 50])
def test_every_step_has_its_own_batch_though_several_are_drawn_at_a_time(evaluate_every):
    """Batches are drawn in the order of the steps, each once, and as many as the budget has."""
    drawn = []
    train(
        Table(), lambda step: drawn.append(step) or batch_of(step), config_of(steps=37, evaluate_every=evaluate_every)
    )
    assert drawn == list(range(37))


def test_the_batch_of_a_step_is_what_the_step_trains_on():
    """With one token per step, in turn, the rows of a table move in that order."""
    seen = []
    train(
        Table(),
        lambda step: Batch(
            inputs=torch.full((1, 1), step % 4),
            targets=torch.zeros(1, 1, dtype=torch.int64),
            scored=torch.ones(1, 1) > 0,
        ),
        config_of(steps=16, clip_norm=None),
        watch=lambda model, step: seen.append((step, model.rows.detach().any(dim=1).nonzero().flatten().tolist())),
    )
    assert seen[:4] == [(0, []), (1, [0]), (2, [0, 1]), (4, [0, 1, 2, 3])]


def test_no_batch_is_drawn_that_training_may_end_before():
    """Solved at the second evaluation, after 20 steps, it has drawn 20 batches: what is drawn is trained on."""
    drawn = []
    history = train(
        Table(),
        lambda step: drawn.append(step) or batch_of(step),
        config_of(evaluate_every=10),
        evaluate=scores(1.0, 1.0),
        stopping=Stopping(solved_at=0.9),
    )
    assert (history.steps, len(drawn)) == (20, 20)
