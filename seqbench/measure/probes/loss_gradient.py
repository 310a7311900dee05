"""The loss-gradient profile during training: how far back the loss of one answer still reaches, step by step.

g_k = ∂ℓ/∂e_{s-k}, where ℓ is the loss of the last answer asked for in a sequence and s its position, on real
sequences of the task, in float64: the profile of `input_gradient` with the cotangent that training itself sends back.
It is taken before training, after 1, 2, 4, 8, … steps and at the end, which is where the task was solved or the budget
used, always on the same fresh sequences, so that what changes from look to look is the model.

The share that comes from afar is Σ_{k>K} ‖g_k‖ / Σ_k ‖g_k‖ over lags k >= 1, with K half of the cell's length; at
T = 100 those are the lags 51 … 99 by which recall is called far.
"""

from copy import deepcopy
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from seqbench.measure.generators.base import Batch
from seqbench.measure.gradients import fit_window, fitted_slope, log_gradient_by_position
from seqbench.measure.probes.base import Subject, Watch
from seqbench.measure.seeds import stream
from seqbench.measure.training import scored_loss
from seqbench.record import Measurement, Series

SEQUENCES = 16
LAGS = 64
"""A profile is stored at so many lags at most, spaced by their logarithm."""


def refusal(subject: Subject) -> str:
    """Return that the task asks nothing, or nothing."""
    asked = _drawn(subject).scored.any()
    return "" if asked else f"the task {subject.task} scores no position, so there is no loss whose gradient to take"


def watch(subject: Subject) -> Watch:
    """Return what looks at a training of the subject's model: slope (nat/step), far share (1), profiles (nat)."""
    batch = _drawn(subject)
    kept = batch.scored.any(dim=1)
    asked = Batch(inputs=batch.inputs[kept], targets=batch.targets[kept], scored=last_only(batch.scored[kept]))
    return _Watch(asked, half=subject.length // 2)


def _drawn(subject: Subject) -> Batch:
    rng = stream("loss gradient", subject.task, subject.length, subject.seed)
    return subject.sample(rng, SEQUENCES, subject.length)


@dataclass(frozen=True, slots=True)
class _Watch:
    """Looks at the same sequences each time; half: the longest lag that is not far."""

    batch: Batch
    half: int
    seen: dict[int, Tensor] = field(default_factory=dict)

    def look(self, model: nn.Module, step: int, /) -> None:
        """Keep the profiles after so many steps, (B, T); a copy of the model is what is looked at."""
        copied = deepcopy(model).double().train()  # cuDNN refuses recurrent backward passes in evaluation mode
        self.seen[step] = log_loss_gradient_by_lag(copied, self.batch)

    def measurements(self) -> tuple[Measurement, ...]:
        """Return slope and far share by step, and one profile by lag for each look, named by its step."""
        steps = tuple(self.seen)
        typical = {step: quenched(profiles, answered_at(self.batch)) for step, profiles in self.seen.items()}
        slopes = [fitted_slope(profile, fit_window(len(profile)))[0] for profile in typical.values()]
        shares = [far_share(profiles, self.half) for profiles in self.seen.values()]
        return (
            _by_step("gradient_slope_training", "nat/step", steps, slopes),
            _by_step("far_share_training", "1", steps, shares),
            *(_by_lag(f"loss_gradient_step_{step:05d}", profile) for step, profile in typical.items()),
        )


def log_loss_gradient_by_lag(model: nn.Module, batch: Batch) -> Tensor:
    """Return ln‖∂ℓ/∂e_{s-k}‖ for k = 0 … T-1, ℓ the loss at the one scored position s of each sequence: -> (B, T).

    Lags that reach beyond the beginning are -inf like exact zeros; a gradient that overflowed is NaN.
    """
    B, T = batch.scored.shape

    def total(logits: Tensor) -> Tensor:
        return B * scored_loss(logits, batch)  # the mean over B answers; a sequence's own gradient does not depend on B

    by_position = log_gradient_by_position(model, batch.inputs, total)
    places = answered_at(batch)[:, None] - torch.arange(T)  # (B, T)
    return by_position.gather(1, places.clamp_min(0)).where(places >= 0, -torch.inf)


def answered_at(batch: Batch) -> Tensor:
    """Return the first scored position of every sequence, on the processor: -> (B,) int64."""
    return batch.scored.int().argmax(dim=1).cpu()


def quenched(profiles: Tensor, answers: Tensor) -> Tensor:
    """Return the mean at every lag over the sequences that reach so far back, NaN where none does: (B, T) -> (T,)."""
    reaching = torch.arange(profiles.shape[1]) <= answers[:, None]  # (B, T)
    return profiles.where(reaching, 0.0).sum(dim=0) / reaching.sum(dim=0)


def last_only(scored: Tensor) -> Tensor:
    """Return a mask of the last scored position of every sequence: (B, T) bool -> (B, T) bool."""
    return scored & (scored.flip(1).cumsum(1).flip(1) == 1)


def far_share(profiles: Tensor, half: int) -> float:
    """Return Σ_{k>half} ‖g_k‖ / Σ_{k>=1} ‖g_k‖, mean over sequences: (B, T) -> scalar; NaN without any gradient."""
    logs = profiles[:, 1:]  # lag 0 is the read-out's own input
    shares = (logs[:, half:].logsumexp(dim=1) - logs.logsumexp(dim=1)).exp()
    return float(shares.mean())


def thinned(length: int) -> tuple[int, ...]:
    """Return at most 64 lags from 1 to length - 1: all of a short sequence, else spaced by their logarithm."""
    if length - 1 <= LAGS:
        return tuple(range(1, length))
    return tuple(sorted({round(lag) for lag in torch.logspace(0, 1, LAGS, base=length - 1).tolist()}))


def _by_step(name: str, unit: str, steps: tuple[int, ...], values: list[float]) -> Measurement:
    series = Series(axis="step", at=tuple(float(step) for step in steps), values=tuple(values))
    return Measurement(name=name, value=values[-1], unit=unit, series=series)


def _by_lag(name: str, profile: Tensor) -> Measurement:
    lags = thinned(len(profile))
    values = tuple(float(profile[lag]) for lag in lags)
    return Measurement(
        name=name, value=values[-1], unit="nat", series=Series(axis="lag", at=tuple(map(float, lags)), values=values)
    )
