"""What training looked like: loss and gradient norm by step, tokens used, and how long it took to solve the task."""

import math
from collections.abc import Callable, Sequence
from statistics import median

import torch

from seqbench.measure.probes.base import Subject
from seqbench.record import Measurement, Series

POINTS = 200
"""A curve is stored as at most this many points, each the mean (losses) or median (norms) of its stretch of steps."""


def measure(subject: Subject) -> tuple[Measurement, ...]:
    """Return the curves of the subject's training; nothing where nothing was trained.

    `gradient_norm` is the global norm before clipping, `steps_to_solve` infinite where the task was not solved
    within the budget. `gradient_burst_index` is how far the worst step in a thousand stands above the median one, of
    the norms that are numbers; `nonfinite_share` is the share of steps whose norm is none. Only where clipping is off
    do they tell what bursts would do to a training. `steps_replayed`, of a GPU: how many steps were one launch of a
    CUDA graph; the others were launched kernel by kernel, as the model does not let itself be recorded.
    """
    history = subject.history
    if history is None:
        return ()
    solved = history.solved_after
    curves = [
        _curve("training_loss", history.loss_unit, history.losses, lambda part: sum(part) / len(part)),
        _curve("gradient_norm", "1", history.gradient_norms, median),
        Measurement(name="gradient_burst_index", value=burst_index(history.gradient_norms), unit="1"),
        Measurement(name="nonfinite_share", value=nonfinite_share(history.gradient_norms), unit="1"),
        Measurement(name="steps", value=float(history.steps), unit="step"),
        Measurement(name="tokens", value=float(history.tokens), unit="token"),
        Measurement(name="steps_to_solve", value=math.inf if solved is None else float(solved), unit="step"),
    ]
    if history.replayed is not None:
        curves.append(Measurement(name="steps_replayed", value=float(history.replayed), unit="step"))
    if history.evaluations:
        steps = tuple(float(entry.step) for entry in history.evaluations)
        for name, unit in (("loss", history.loss_unit), ("score", "1")):
            values = tuple(float(getattr(entry, name)) for entry in history.evaluations)
            series = Series(axis="step", at=steps, values=values)
            curves.append(Measurement(name=f"evaluation_{name}", value=values[-1], unit=unit, series=series))
    return tuple(curves)


def burst_index(norms: Sequence[float]) -> float:
    """Return the 99.9 % quantile of the finite norms over their median; not a number where there is none."""
    finite = torch.tensor([norm for norm in norms if math.isfinite(norm)], dtype=torch.float64)
    if not len(finite):
        return math.nan
    return float(finite.quantile(0.999) / finite.quantile(0.5))


def nonfinite_share(norms: Sequence[float]) -> float:
    """Return the share of norms that are infinite or no number."""
    return sum(not math.isfinite(norm) for norm in norms) / len(norms)


def _curve(
    name: str, unit: str, values: tuple[float, ...], summary: Callable[[tuple[float, ...]], float]
) -> Measurement:
    stride = max(1, math.ceil(len(values) / POINTS))
    starts = range(0, len(values), stride)
    ends = tuple(float(min(start + stride, len(values))) for start in starts)
    points = tuple(float(summary(values[start : start + stride])) for start in starts)
    value = points[-1] if name == "training_loss" else float(median(values))
    return Measurement(name=name, value=value, unit=unit, series=Series(axis="step", at=ends, values=points))
