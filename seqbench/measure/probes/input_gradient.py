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

from seqbench.errors import ContractError
from seqbench.measure.probes.base import Subject
from seqbench.measure.seeds import stream
from seqbench.record import Measurement, Series

SEQUENCES = 4
COTANGENTS = 2
FEWEST_LAGS = 20
"""A slope is fitted only through at least this many lags above the resolution of float64."""


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
        Measurement(name="gradient_horizon", value=float(horizon(quenched)), unit="step"),
        Measurement(name="lags_below_resolution", value=float(torch.isinf(quenched).sum()), unit="step"),
        _profile("log_gradient_norm", quenched),
        _profile("log_gradient_norm_annealed", annealed),
    )


def log_gradient_by_lag(model: nn.Module, inputs: Tensor, rng: torch.Generator) -> Tensor:
    """Return ln‖∂⟨v, y_T⟩/∂e_{T-k}‖ for k = 0 … T-1 with one fresh cotangent v: inputs (B, T[, D]) -> (B, T).

    Exact zeros come out as -inf. Token inputs are probed at the output of the model's first `nn.Embedding`.
    Raises ContractError for a token model without one.
    """
    if inputs.is_floating_point():
        leaf = inputs.double().requires_grad_()
        logits, _ = model(leaf)
    else:
        leaf, logits = through_embedding(model, inputs)
    last = logits[:, -1]  # (B, V)
    cotangent = torch.randn(last.shape, generator=rng, dtype=last.dtype).to(last.device)
    (gradient,) = torch.autograd.grad(last, leaf, cotangent)
    return log_norm(gradient).flip(1).cpu()  # (B, T, D) -> (B, T), lag 0 first


def log_norm(vectors: Tensor) -> Tensor:
    """Return ln of the Euclidean norm over the last axis; no tiny number is ever squared, so nothing underflows."""
    largest = vectors.abs().amax(dim=-1, keepdim=True)
    scaled = vectors / largest.clamp_min(torch.finfo(vectors.dtype).tiny)
    norm = torch.linalg.vector_norm(scaled, dim=-1)
    return torch.where(largest.squeeze(-1) > 0, largest.squeeze(-1).log() + norm.log(), -torch.inf)


def fit_window(length: int) -> tuple[int, int]:
    """Return the first and last lag of the fit: 10 and 150 at T = 200, in proportion elsewhere."""
    return max(1, length // 20), (3 * length) // 4


def fitted_slope(profile: Tensor, window: tuple[int, int]) -> tuple[float, float]:
    """Return the least-squares slope of a profile over the lags of a window, and the R² of the fit.

    Only lags above resolution count; fewer than 20 of them give NaN.
    """
    lags = torch.arange(len(profile), dtype=torch.float64)
    kept = (lags >= window[0]) & (lags <= window[1]) & torch.isfinite(profile)
    if int(kept.sum()) < FEWEST_LAGS:
        return math.nan, math.nan
    x, y = lags[kept] - lags[kept].mean(), profile[kept] - profile[kept].mean()
    slope = float((x * y).sum() / (x * x).sum())
    spread = float((y * y).sum())
    if spread < 1e-12:  # a profile that is flat to rounding is fitted perfectly by a flat line
        return slope, 1.0
    return slope, 1.0 - float(((y - slope * x) ** 2).sum()) / spread


def horizon(profile: Tensor) -> int:
    """Return the largest lag k >= 1 at which the gradient is still 1 % of the largest one: max{k: g_k >= .01 max g}."""
    tail = profile[1:]
    reached = torch.nonzero(tail >= tail.max() + math.log(0.01)).flatten()
    return int(reached[-1]) + 1


def _profile(name: str, profile: Tensor) -> Measurement:
    lags = tuple(float(k) for k in range(1, len(profile)))  # lag 0 is the read-out's own input, not memory
    values = tuple(profile[1:].tolist())
    return Measurement(name=name, value=values[-1], unit="nat", series=Series(axis="lag", at=lags, values=values))


def through_embedding(model: nn.Module, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Return the output of the first embedding as a leaf (B, T, D), and the logits computed from it (B, T, V).

    Raises ContractError for a model without one, or whose first one is not what reads the tokens.
    """
    leaves: list[Tensor] = []

    def cut(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        leaves.append(output.detach().requires_grad_())
        return leaves[-1].clone()  # a model may scale its embeddings in place, which a leaf does not allow

    handle = _first_embedding(model).register_forward_hook(cut)
    try:
        logits, _ = model(tokens)
    finally:
        handle.remove()
    if not leaves or leaves[0].shape[:-1] != tokens.shape:
        raise ContractError("the model's first nn.Embedding does not read the tokens; make their table the first")
    return leaves[0], logits


def _first_embedding(model: nn.Module) -> nn.Embedding:
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            return module
    raise ContractError(
        "the model has no nn.Embedding, so its gradient by lag cannot be taken; embed the tokens with one"
    )
