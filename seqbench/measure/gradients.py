"""How an output depends on the inputs before it: gradients by position, their logarithms, slopes and horizons.

Everything is taken in float64 and as a logarithm that squares no tiny number: a norm of 1e-170 is as exact as one of 1.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from seqbench.errors import ContractError

FEWEST_LAGS = 20
"""A slope is fitted only through at least this many lags above the resolution of float64."""


def log_gradient_by_position(model: nn.Module, inputs: Tensor, objective: Callable[[Tensor], Tensor]) -> Tensor:
    """Return ln‖∂ objective(logits)/∂e_t‖ for every position t, on the processor: inputs (B, T[, D]) -> (B, T).

    objective: logits (B, T, V) -> scalar. model: in float64. Exact zeros come out as -inf. Token inputs are probed at
    the output of the model's first `nn.Embedding`.
    Raises ContractError for a token model without one.
    """
    if inputs.is_floating_point():
        leaf = inputs.double().requires_grad_()
        logits, _ = model(leaf)
    else:
        leaf, logits = through_embedding(model, inputs)
    (gradient,) = torch.autograd.grad(objective(logits), leaf)
    return log_norm(gradient).cpu()  # (B, T, D) -> (B, T)


def log_norm(vectors: Tensor) -> Tensor:
    """Return ln of the Euclidean norm over the last axis; no tiny number is ever squared, so nothing underflows.

    A vector of zeros has -inf; one with an entry that is infinite or no number has NaN, which is not the same.
    """
    largest = vectors.abs().amax(dim=-1, keepdim=True)
    scaled = vectors / largest.clamp_min(torch.finfo(vectors.dtype).tiny)
    norm = torch.linalg.vector_norm(scaled, dim=-1)
    return torch.where(largest.squeeze(-1) == 0, -torch.inf, largest.squeeze(-1).log() + norm.log())


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


def horizon(profile: Tensor) -> float:
    """Return the largest lag k >= 1 at which the gradient is still 1 % of the largest one: max{k: g_k >= .01 max g}.

    A profile that is no number somewhere has no horizon: NaN.
    """
    tail = profile[1:]
    if tail.isnan().any():
        return math.nan
    reached = torch.nonzero(tail >= tail.max() + math.log(0.01)).flatten()
    return float(reached[-1]) + 1


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
