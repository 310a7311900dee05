"""The input-gradient profile: how much the last output still depends on the input k steps back.

g_k = ∂⟨v, y_T⟩/∂e_{T-k} with v ~ N(0, I), one backward pass for all lags, in float64. The quenched profile is the
mean of ln‖g_k‖ over sequences and cotangents, the annealed one ½ ln of the mean of ‖g_k‖². The slope of the quenched
profile is the rate, in nats per step, at which gradients vanish (negative) or explode (positive); Pascanu et al.,
2013, arXiv 1211.5063, give the product of Jacobians behind it.
"""

import math
from copy import deepcopy

import torch
from torch import Tensor, nn

from seqbench.measure.gradients import fit_window, fitted_slope, horizon, log_gradient_by_position
from seqbench.measure.probes.base import Subject
from seqbench.measure.seeds import stream
from seqbench.record import Measurement, Series

SEQUENCES = 4
COTANGENTS = 2


def measure(subject: Subject) -> tuple[Measurement, ...]:
    """Return slope (nat/step), its fit, the horizon and both profiles by lag (nat)."""
    model = deepcopy(subject.model).double().train()  # cuDNN refuses recurrent backward passes in evaluation mode
    rng = stream("input gradient", subject.task, subject.length, subject.seed)
    batch = subject.sample(rng, SEQUENCES, subject.length)
    profiles = torch.cat([log_gradient_by_lag(model, batch.inputs, rng) for _ in range(COTANGENTS)])
    quenched = profiles.mean(dim=0)
    annealed = 0.5 * (torch.logsumexp(2 * profiles, dim=0) - math.log(len(profiles)))
    slope, fit = fitted_slope(quenched, fit_window(len(quenched)))
    return (
        Measurement(name="gradient_slope", value=slope, unit="nat/step"),
        Measurement(name="gradient_fit_r2", value=fit, unit="1"),
        Measurement(name="gradient_horizon", value=horizon(quenched), unit="step"),
        Measurement(name="lags_below_resolution", value=float(torch.isinf(quenched).sum()), unit="step"),
        _profile("log_gradient_norm", quenched),
        _profile("log_gradient_norm_annealed", annealed),
    )


def log_gradient_by_lag(model: nn.Module, inputs: Tensor, rng: torch.Generator) -> Tensor:
    """Return ln‖∂⟨v, y_T⟩/∂e_{T-k}‖ for k = 0 … T-1 with one fresh cotangent v: inputs (B, T[, D]) -> (B, T)."""

    def drawn(logits: Tensor) -> Tensor:
        last = logits[:, -1]  # (B, V)
        return (last * torch.randn(last.shape, generator=rng, dtype=last.dtype).to(last.device)).sum()

    return log_gradient_by_position(model, inputs, drawn).flip(1)  # lag 0 first


def _profile(name: str, profile: Tensor) -> Measurement:
    lags = tuple(float(k) for k in range(1, len(profile)))  # lag 0 is the read-out's own input, not memory
    values = tuple(profile[1:].tolist())
    return Measurement(name=name, value=values[-1], unit="nat", series=Series(axis="lag", at=lags, values=values))
