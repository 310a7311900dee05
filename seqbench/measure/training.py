"""One training loop for every model: same optimiser, same schedule, same batches, everything logged."""

import math
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from seqbench.cell import TrainConfig
from seqbench.errors import ContractError
from seqbench.measure import capture
from seqbench.measure.capture import CannotCapture, Recorder, Replayed
from seqbench.measure.generators.base import UNSCORED, Batch, labelled, located, places_of
from seqbench.measure.models.base import tensors_of

Outcome = Literal["solved", "finished", "diverged", "stopped"]
Best = tuple[float, dict[str, Tensor]]
"""The least validation loss so far, and the weights that had it."""

DIVERGED_FACTOR = 3.0
"""A loss above this many times what it started from (chance, or the first step's loss where that is more), three
evaluations in a row after warm-up, is divergence. An untrained regression may start far above chance."""

PATIENCE = 5
"""Evaluations without a better validation loss after which training on a real text stops."""


AHEAD = 8
"""So many batches are drawn at a time. One of recall (B = 32, T = 100) took 0.26 ms of processor time between two steps
of an LSTM, whose 4.1 ms had taken the caches, and 0.08 ms after another one. Where a batch is scored is looked for then
too: within an LSTM's step of 3.3 ms that took 0.06 ms."""

_NORM_MARGIN = 1e-6
"""What the library's clipping adds to the norm: it multiplies gradients by min(1, clip_norm / (norm + 1e-6))."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Loss (nats, or squared units of a regression) and score after a number of steps."""

    step: int
    loss: float
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What happened in training: losses, and gradient_norms before clipping, one of each per step.

    loss_unit: of all losses, "nat" or "squared error". replayed: so many steps were replayed from a CUDA graph; None
    where the device has none.
    """

    losses: tuple[float, ...]
    gradient_norms: tuple[float, ...]
    evaluations: tuple[Evaluation, ...]
    tokens: int
    outcome: Outcome
    solved_after: int | None = None
    loss_unit: str = "nat"
    replayed: int | None = None

    @property
    def steps(self) -> int:
        """Return how many steps were taken."""
        return len(self.losses)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping:
    """When to stop before the budget is used.

    solved_at: score that ends training when reached twice in a row, or None. chance_loss: in the unit of the loss,
    for noticing divergence, or None. keep_best: go back to the weights of the best evaluation, and stop after
    `PATIENCE` evaluations without a better one (validation of a real text, which can be over-fitted).
    """

    solved_at: float | None = None
    chance_loss: float | None = None
    keep_best: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far training is, at an evaluation.

    loss: the mean of the training losses since the one before, in their unit. evaluation: None where there is none.
    """

    step: int
    loss: float
    evaluation: Evaluation | None


class Carried:
    """The state that truncated backpropagation through time carries from one update to the next; None at first."""

    __slots__ = ("state",)

    def __init__(self) -> None:
        self.state: Any = None


def train(
    model: nn.Module,
    batches: Callable[[int], Batch],
    config: TrainConfig,
    *,
    evaluate: Callable[[nn.Module, int], Evaluation] | None = None,
    stopping: Stopping | None = None,
    watch: Callable[[nn.Module, int], object] | None = None,
    follow: Callable[[Progress], bool] | None = None,
    recorder: Recorder | None = None,
) -> History:
    """Train in place and return what happened; `batches(step)` gives the batch of a step, whatever the model.

    Losses and norms stay on the device between evaluations, so that logging does not stall it. Where the config carries
    state, the batch of a step goes on where that of the step before ended.
    watch: shown the model after 0, 1, 2, 4, 8, … steps and after the last; it must leave the model as it is.
    follow: told of the progress after every evaluation; training is stopped where it returns False.
    recorder: records a step so that it can be replayed; None: as the model's device does, if it does.
    """
    rules = stopping or Stopping()
    optimiser = optimiser_of(model, learning_rate=config.rate, weight_decay=config.weight_decay)
    take = _Stepping(model, optimiser, config, recorder=recorder or _recorder_of(model))
    losses: list[float] = []
    norms: list[float] = []
    pending: list[Tensor] = []
    evaluations: list[Evaluation] = []
    best: Best | None = None
    tokens = 0
    unit = "nat"
    outcome: Outcome = "finished"
    model.train()
    _show(model, 0, watch)
    for step, batch in enumerate(_drawn(batches, config)):
        pending.append(take(batch, rate=learning_rate(step, config)))
        tokens += batch.targets.numel()
        unit = loss_unit(batch)
        _show(model, step + 1, watch)
        if (step + 1) % config.evaluate_every and step + 1 < config.steps:
            continue
        for loss, norm in torch.stack(pending).tolist():
            losses.append(loss)
            norms.append(norm)
        recent = losses[-len(pending) :]
        pending.clear()
        if not all(map(math.isfinite, (*losses[-config.evaluate_every :], *norms[-config.evaluate_every :]))):
            outcome = "diverged"
            break
        if evaluate is not None:
            evaluations.append(evaluate(model, step + 1))
            model.train()
        if _diverged(evaluations, _worst_start(losses, rules.chance_loss), warmup_steps=config.warmup_steps):
            outcome = "diverged"
            break
        if _solved(evaluations, rules.solved_at):
            outcome = "solved"
            break
        if rules.keep_best and evaluations:
            best = _better(best, evaluations[-1].loss, model)
            if _stale(evaluations):
                break
        progress = Progress(
            step=step + 1, loss=sum(recent) / len(recent), evaluation=evaluations[-1] if evaluations else None
        )
        if follow is not None and not follow(progress) and step + 1 < config.steps:
            outcome = "stopped"
            break
    _show(model, len(losses), watch, last=True)
    if best is not None:
        model.load_state_dict(best[1])
    model.eval()
    return History(
        losses=tuple(losses),
        gradient_norms=tuple(norms),
        evaluations=tuple(evaluations),
        tokens=tokens,
        outcome=outcome,
        solved_after=evaluations[-2].step if outcome == "solved" else None,
        loss_unit=unit,
        replayed=take.replayed,
    )


class _Stepping:
    """Takes the steps of one training: call by call, or replayed where a recorder is given and the step lets itself.

    replayed: how many steps were; None without a recorder.
    """

    def __init__(
        self, model: nn.Module, optimiser: torch.optim.Optimizer, config: TrainConfig, *, recorder: Recorder | None
    ) -> None:
        self._optimiser = optimiser
        self._carried = Carried() if config.carry else None
        self._step = partial(step_of, model, optimiser=optimiser, clip_norm=config.clip_norm, carried=self._carried)
        self._replay: Replayed | None = None
        if recorder is not None and self._carried is None:  # a carried state lies elsewhere after every step
            self._replay = Replayed(self._step, model=model, optimiser=optimiser, recorder=recorder)
        self.replayed = None if recorder is None else 0

    def __call__(self, batch: Batch, *, rate: float) -> Tensor:
        """Take one step at a learning rate; return (loss, gradient norm before clipping)."""
        set_rate(self._optimiser, rate)
        if self._replay is not None and self.replayed is not None:
            try:
                found = self._replay(batch)
            except CannotCapture:
                self._replay = None
            else:
                self.replayed += 1
                return found
        return self._step(batch)


def _recorder_of(model: nn.Module) -> Recorder | None:
    return capture.record if _is_on_cuda(model) else None


def _is_on_cuda(model: nn.Module) -> bool:
    return any(parameter.is_cuda for parameter in model.parameters())


def optimiser_of(model: nn.Module, *, learning_rate: float, weight_decay: float = 0.0) -> torch.optim.Optimizer:
    """Return the optimiser that every model is trained with: AdamW with betas (0.9, 0.95), fused.

    On a GPU its learning rate and its count of steps lie there, so that a step of it can be recorded.
    """
    on_cuda = _is_on_cuda(model)
    return torch.optim.AdamW(
        model.parameters(),
        lr=torch.tensor(learning_rate, device="cuda") if on_cuda else learning_rate,
        betas=(0.9, 0.95),
        weight_decay=weight_decay,
        fused=True,
        capturable=on_cuda,
    )


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate, where it lies."""
    for group in optimiser.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def _drawn(batches: Callable[[int], Batch], config: TrainConfig) -> Iterator[Batch]:
    """Yield the batch of every step; they are drawn several at a time, but none before training may end without it."""
    for begin in range(0, config.steps, config.evaluate_every):
        end = min(begin + config.evaluate_every, config.steps)
        for first in range(begin, end, AHEAD):
            yield from [located(batches(step)) for step in range(first, min(first + AHEAD, end))]


def learning_rate(step: int, config: TrainConfig) -> float:
    """Return the learning rate of a step: linear warm-up, then cosine down to `final_fraction` of the peak."""
    warmup = min(config.warmup_steps, config.steps // 2)
    if step < warmup:
        return config.rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, config.steps - warmup)
    low = config.final_fraction
    return config.rate * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * progress)))


def scored_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Return the mean loss over the scored positions: logits (B, T, V) -> scalar.

    That is the cross-entropy in nats, or for a regression the squared error of the single output.
    """
    if logits.is_cuda:
        return _loss_of_fixed_shape(logits, batch)
    if is_regression(batch):
        return nn.functional.mse_loss(logits[..., 0][batch.scored], batch.targets[batch.scored])
    places = places_of(batch)  # found once: a mask is searched at each use, and backward
    flat, targets = logits.flatten(0, 1), batch.targets.flatten()
    if len(places) < len(targets):
        flat, targets = flat.index_select(0, places), targets.index_select(0, places)
    return nn.functional.cross_entropy(flat, targets)


def _loss_of_fixed_shape(logits: Tensor, batch: Batch) -> Tensor:
    """Return the same loss without asking how many positions are scored, which would wait for a device's answer."""
    if is_regression(batch):
        squares = (logits[..., 0] - batch.targets).square()
        return (squares * batch.scored).sum() / batch.scored.sum()
    labels = labelled(batch) if batch.labels is None else batch.labels
    return nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=UNSCORED)


def accuracy(logits: Tensor, batch: Batch) -> float:
    """Return the share of scored positions at which the most likely class is the target."""
    return float(right(logits, batch).double().mean())


def right(logits: Tensor, batch: Batch) -> Tensor:
    """Return whether the most likely class is the target, at the S scored positions: (B, T, V) -> (S,) bool."""
    return (logits.argmax(dim=-1) == batch.targets)[batch.scored]


def score(logits: Tensor, batch: Batch, *, chance_loss: float | None) -> float:
    """Return how well a batch is answered, at most 1: the accuracy, or for a regression R² = 1 - loss / chance loss.

    Raises ContractError for a regression without a chance loss.
    """
    if not is_regression(batch):
        return accuracy(logits, batch)
    if chance_loss is None:
        raise ContractError("a regression is scored against its chance loss; its generator's bounds must state one")
    return 1 - float(scored_loss(logits, batch)) / chance_loss


def is_regression(batch: Batch) -> bool:
    """Return whether the targets are numbers rather than classes."""
    return batch.targets.is_floating_point()


def loss_unit(batch: Batch) -> str:
    """Return the unit of `scored_loss`."""
    return "squared error" if is_regression(batch) else "nat"


def step_of(
    model: nn.Module,
    batch: Batch,
    optimiser: torch.optim.Optimizer,
    *,
    clip_norm: float | None,
    carried: Carried | None = None,
) -> Tensor:
    """Take one step; return (loss, gradient norm before clipping) as one tensor of two; None clips nothing.

    carried: holds the state that the step begins with, and then the one it left.
    """
    optimiser.zero_grad(set_to_none=True)
    if carried is None:
        logits, _ = model(batch.inputs)
    else:
        logits, after = model(batch.inputs, carried.state)
        carried.state = _detached(after)
    loss = scored_loss(logits, batch)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = _clipped(optimiser, clip_norm)
    optimiser.step()
    return torch.stack((loss.detach(), norm))


def carry_refusal(model: nn.Module, tokens: Tensor) -> str:
    """Return why the state of this model cannot be carried from update to update, or nothing: tokens (1, T ≥ 2).

    It is asked under gradients, as training is: there a cache of the library's models is not one but all that was read.
    """
    with torch.enable_grad():
        first, last = (model(tokens[:, :count])[1] for count in (1, tokens.shape[1]))
    sizes = [sum(part.numel() for part in tensors_of(state)) for state in (first, last)]
    if sizes[1] == 0:
        return "the model carries no state that truncated backpropagation could go on from; leave training.carry out"
    if sizes[0] != sizes[1]:
        return (
            "the model's state grows with every token, so that carried on and on it would never end; "
            "leave training.carry out"
        )
    if len(list(tensors_of(last))) > sum(isinstance(leaf, Tensor) for leaf in tree_leaves(last)):
        return "the model's state is an object of its own; truncated backpropagation needs tuples, lists or dicts"
    return ""


def _detached(state: Any) -> Any:
    """Return the state cut off from how it came about: truncated backpropagation stops at the window's edge."""
    return tree_map(lambda part: part.detach() if isinstance(part, Tensor) else part, state)


def _clipped(optimiser: torch.optim.Optimizer, clip_norm: float | None) -> Tensor:
    """Return the global norm of the gradients as they were; scale them down to `clip_norm` where there is one."""
    # the optimiser has them in a list; to walk through the model's modules took as long as the clipping of an LSTM
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    # no large norm would do for none: clipping multiplies an infinite gradient by 0 and makes it no number
    norm = nn.utils.get_total_norm([weight.grad for weight in weights if weight.grad is not None])
    if clip_norm is not None and (norm.is_cuda or not norm + _NORM_MARGIN <= clip_norm):  # a GPU would have to be asked
        nn.utils.clip_grads_with_norm_(weights, clip_norm, norm)  # below that it multiplies by exactly one
    return norm


def _show(model: nn.Module, step: int, watch: Callable[[nn.Module, int], object] | None, *, last: bool = False) -> None:
    """Show the model to who watches, after 0, 1, 2, 4, 8, … steps and after the last, each step once."""
    is_power_of_two = step & (step - 1) == 0
    if watch is not None and is_power_of_two != last:
        watch(model, step)


def _worst_start(losses: list[float], chance_loss: float | None) -> float | None:
    return None if chance_loss is None else max(chance_loss, losses[0])


def _diverged(evaluations: list[Evaluation], start: float | None, *, warmup_steps: int) -> bool:
    late = [entry for entry in evaluations if entry.step > warmup_steps][-3:]
    return start is not None and len(late) == 3 and all(entry.loss > DIVERGED_FACTOR * start for entry in late)


def _solved(evaluations: list[Evaluation], solved_at: float | None) -> bool:
    return solved_at is not None and len(evaluations) > 1 and min(e.score for e in evaluations[-2:]) >= solved_at


def _better(best: Best | None, loss: float, model: nn.Module) -> Best:
    rank = _rank(loss)
    return (rank, deepcopy(model.state_dict())) if best is None or rank < best[0] else best


def _stale(evaluations: list[Evaluation]) -> bool:
    best = min(range(len(evaluations)), key=lambda i: _rank(evaluations[i].loss))
    return len(evaluations) - 1 - best >= PATIENCE


def _rank(loss: float) -> float:
    """Return a loss as it compares with others: one that is no number is the worst, and not the best for ever."""
    return math.inf if math.isnan(loss) else loss
