"""Linear attention (Katharopoulos et al. 2020, arXiv 2006.16236): attention whose past is one matrix per head.

    o_t = S_t φ(q_t) / (z_t · φ(q_t))       φ(x) = elu(x) + 1
    S_t = S_{t-1} + v_t φ(k_t)ᵀ             z_t = z_{t-1} + φ(k_t)
    q, k, v linear in the input, `heads` times with d = D / heads; the heads' outputs are mixed by a matrix

Layers are the residual blocks of the same-block arm. Nothing tells positions but causality; the state does not grow.
`chunk` reads pieces of 32 positions with matrix products and hands S and z from one to the next; `step` is the loop
that reads like the equations.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from seqbench.errors import InvalidInput
from seqbench.measure.models.base import Blocks, Costs, ModelSpec, State, blocks_costs, options_of

CHUNK = 32
"""Positions per piece. Measured on one core, B = 16, T = 256, two heads of 32, forward and backward: 30, 22, 24 and
35 ms with 16, 32, 64 and 128, and 52 ms with the T × T matrix; at B = 4, T = 4096 184, 165, 190, 241 and 8994 ms; at
B = 64, T = 100 43, 48, 51, 54 and 40 ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What may be varied: the number of heads, and which implementation runs."""

    heads: int = 2
    implementation: Literal["chunk", "step"] = "chunk"

    def __post_init__(self) -> None:
        if self.heads < 1:
            raise InvalidInput(f"heads={self.heads} must be at least 1")


def build(spec: ModelSpec) -> nn.Module:
    """Return the network: (B, T) -> (B, T, V) logits, state of L pairs S (B, heads, d, d) and z (B, heads, d).

    Raises InvalidInput when the heads do not divide the width.
    """
    options = options_of(spec, Options)
    return Blocks(spec, lambda depth: mixer(spec.width, spec.width, options, depth=depth))


def mixer(inputs: int, width: int, options: Options, *, depth: int) -> nn.Module:  # noqa: ARG001 - every layer is alike
    """Return linear attention alone: (B, T, D) -> (B, T, D), state of S (B, heads, d, d) and z (B, heads, d).

    Raises InvalidInput when the heads do not divide the width.
    """
    if width % options.heads:
        raise InvalidInput(f"width {width} does not fit heads={options.heads}; choose a multiple of {options.heads}")
    return LinearAttention(width, options)


class LinearAttention(nn.Module):
    """Attention without softmax, of `heads` heads: 4 D² parameters."""

    def __init__(self, width: int, options: Options) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.project = nn.Linear(width, width, bias=False)
        self.heads = options.heads
        self.read = read_chunks if options.implementation == "chunk" else read_steps

    def forward(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Return outputs and the state: (B, T, D) -> (B, T, D), S (B, heads, d, d) and z (B, heads, d)."""
        B, T, D = x.shape
        split = self.qkv(x).view(B, T, 3, self.heads, D // self.heads)  # (B, T, 3D) -> (B, T, 3, heads, d)
        q, k, v = split.permute(2, 0, 3, 1, 4).unbind(0)  # 3 × (B, heads, T, d)
        if state is None:
            z = x.new_zeros(B, self.heads, D // self.heads)
            state = z.new_zeros(*z.shape, z.shape[-1]), z
        mixed, after = self.read(feature(q), feature(k), v, state)
        return self.project(mixed.transpose(1, 2).reshape(B, T, D)), after  # (B, heads, T, d) -> (B, T, D)


def feature(x: Tensor) -> Tensor:
    """Return φ(x) = elu(x) + 1: x + 1 above zero, and below it e^x, which is not zero where e^x - 1 rounds to -1."""
    return torch.relu(x) + torch.exp(x.clamp(max=0))


def read_chunks(q: Tensor, k: Tensor, v: Tensor, state: State) -> tuple[Tensor, State]:
    """Return outputs and S, z after the last position, all chunks at once: 3 × (B, heads, T, d) -> (B, heads, T, d)."""
    B, heads, T, d = q.shape
    size = min(CHUNK, T)
    padding = -T % size
    if padding:  # keys and values of zero add nothing to S and z
        q, k, v = (nn.functional.pad(part, (0, 0, 0, padding)) for part in (q, k, v))
    q, k, v = (part.reshape(B, heads, -1, size, d) for part in (q, k, v))  # (B, heads, T, d) -> (B, heads, n, size, d)
    S = _running(state[0], k.transpose(-1, -2) @ v)  # (B, heads, n + 1, d, d), S_t as its transpose
    z = _running(state[1], k.sum(-2))  # (B, heads, n + 1, d)
    scores = (q @ k.transpose(-1, -2)).tril()  # (B, heads, n, size, size)
    read = scores @ v + q @ S[:, :, :-1]
    weight = scores.sum(-1) + (q * z[:, :, :-1, None]).sum(-1)  # (B, heads, n, size)
    if padding:
        read, weight = (part.flatten(2, 3)[:, :, :T] for part in (read, weight))
    out = read / weight[..., None]
    return out.reshape(B, heads, T, d), (S[:, :, -1].clone(), z[:, :, -1].clone())


def _running(start: Tensor, added: Tensor) -> Tensor:
    """Return start and its sums with all that was added, in order: (B, heads, …), (B, heads, n, …) -> n + 1 of them."""
    return torch.cat((start[:, :, None], added), dim=2).cumsum(dim=2)


def read_steps(q: Tensor, k: Tensor, v: Tensor, state: State) -> tuple[Tensor, State]:
    """Return what `read_chunks` returns, position by position."""
    S, z = state
    outputs = []
    for q_t, k_t, v_t in zip(q.unbind(2), k.unbind(2), v.unbind(2), strict=True):  # each (B, heads, d)
        S = S + k_t[..., :, None] * v_t[..., None, :]
        z = z + k_t
        read = (q_t[..., None, :] @ S).squeeze(-2)  # (B, heads, 1, d) -> (B, heads, d)
        outputs.append(read / (q_t * z).sum(-1, keepdim=True))
    return torch.stack(outputs, dim=2), (S, z)  # T × (B, heads, d) -> (B, heads, T, d)


def width_step(spec: ModelSpec) -> int:
    """Return what the width must be a multiple of: the heads."""
    return options_of(spec, Options).heads


def implementation(spec: ModelSpec, model: nn.Module) -> str:  # noqa: ARG001 - the option alone decides
    """Return the tier that really runs."""
    return "eager" if options_of(spec, Options).implementation == "step" else "scan"


def costs(spec: ModelSpec, tokens: int) -> Costs:
    """Return what the network costs: `Blocks` of linear attention."""
    attention = mixer_costs(spec.width, spec.width, options_of(spec, Options), tokens, depth=0)
    return blocks_costs(spec, lambda _: attention)


def mixer_costs(inputs: int, width: int, options: Options, tokens: int, *, depth: int) -> Costs:  # noqa: ARG001 - every layer is alike
    """Return what linear attention alone costs: 4 D² weights; per position and head reading and writing S, and scores.

    The last chunk is filled up, so that operations per token are a whole number only where chunks divide the sequence;
    the nearest is stated elsewhere.
    """
    d, size = width // options.heads, min(CHUNK, tokens)
    by_chunk = (4 * width * d + 4 * width * size) * (tokens + -tokens % size)
    mixing = round(by_chunk / tokens) if options.implementation == "chunk" else 2 * width * d
    weights = 4 * width * width
    return Costs(parameters=weights, flops=2 * weights + mixing, state_floats=width * d + width)
