"""Transformer (Vaswani et al. 2017), pre-norm: every position looks at all earlier ones at once.

    x ← x + softmax(Q Kᵀ / √d) V · P        Q, K, V linear in LN(x), `heads` times with d = D / heads
    x ← x + W₂ GELU(W₁ LN(x) + b₁) + b₂     W₁: D -> 4D, or as many units as the spec says
    o = V LN(x) + c

Positions: `rope` turns Q and K by an angle that grows with the position (Su et al. 2021), `learned` adds a
table to the embedding, `none` leaves order to the causal mask. The state is every position's keys and values.
With `causal=false` it is an encoder, which has no mask and no state; without positions it does not see order.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from seqbench.errors import InvalidInput
from seqbench.measure.models.base import Block, Costs, ModelSpec, blocks_costs, front, normed_head, options_of

KeysValues = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What may be varied: how positions are told, the number of heads, the size of a learned table, the mask.

    causal: whether position t sees only positions up to t; an encoder (False) sees the whole sequence everywhere.
    room: 0 lets the state grow by what comes in, copying it each time; more reserves so many places at once, and
    writes into them: generation then costs no copy, but a state must be continued only once.
    """

    positions: Literal["rope", "learned", "none"] = "rope"
    heads: int = 2
    context: int = 1024
    causal: bool = True
    room: int = 0

    def __post_init__(self) -> None:
        if self.heads < 1 or self.context < 1:
            raise InvalidInput(f"heads={self.heads} and context={self.context} must be at least 1")
        if self.room < 0:
            raise InvalidInput(f"room={self.room} must be 0 or more places")
        if self.context != 1024 and self.positions != "learned":
            raise InvalidInput(f"context={self.context} needs positions=learned, not positions={self.positions}")


def build(spec: ModelSpec) -> nn.Module:
    """Return the network: (B, T) -> (B, T, V) logits, state of L pairs of (B, heads, t, D/heads) tensors.

    Raises InvalidInput when the heads do not divide the width.
    """
    options = options_of(spec, Options)
    _check_width(spec.width, options)
    return Transformer(spec, options)


def mixer(inputs: int, width: int, options: Options, *, depth: int) -> nn.Module:  # noqa: ARG001 - every layer is alike
    """Return attention alone: (B, T, D) -> (B, T, D), state of a pair of (B, heads, t, D/heads) tensors.

    Raises InvalidInput when the heads do not divide the width, and for a learned table, which belongs to the embedding.
    """
    if options.positions == "learned":
        raise InvalidInput("positions=learned is a table added to the embedding; attention alone takes rope or none")
    _check_width(width, options)
    return Attention(width, options)


class Transformer(nn.Module):
    """Embedding (or a projection of floats), blocks, final norm, linear head."""

    def __init__(self, spec: ModelSpec, options: Options) -> None:
        super().__init__()
        D = spec.width
        self.front = front(spec, projects=True)
        self.table = nn.Parameter(0.02 * torch.randn(options.context, D)) if options.positions == "learned" else None
        self.blocks = nn.ModuleList(Block(Attention(D, options), width=D, hidden=spec.mlp) for _ in range(spec.layers))
        self.norm = nn.LayerNorm(D)
        self.head = normed_head(spec)
        self.causal = spec.causal
        self.turned = D // options.heads if options.positions == "rope" else 0

    def forward(
        self, tokens: Tensor, state: tuple[KeysValues, ...] | None = None
    ) -> tuple[Tensor, tuple[KeysValues, ...]]:
        """Return logits and the keys and values of all positions so far: (B, T) -> (B, T, V), L pairs.

        Raises InvalidInput for positions beyond a learned table, and for a state given to an encoder.
        """
        if not self.causal and state is not None:
            raise InvalidInput("an encoder (causal=false) reads a sequence whole; give it no state")
        past: tuple[KeysValues | None, ...] = state or (None,) * len(self.blocks)
        start = 0 if past[0] is None else past[0][0].shape[2]
        x = self._with_places(self.front(tokens), start)  # (B, T, D)
        turn = angles(start, x.shape[1], width=self.turned, like=x) if self.turned else None  # once for all blocks
        after = []
        for block, before in zip(self.blocks, past, strict=True):
            x, kept = block(x, before, turn)
            after.append(kept)
        return self.head(self.norm(x)), tuple(after) if self.causal else ()

    def _with_places(self, x: Tensor, start: int) -> Tensor:
        if self.table is None:
            return x
        stop, context = start + x.shape[1], len(self.table)
        if stop > context:
            raise InvalidInput(_beyond(stop, context))
        return x + self.table[start:stop]


class Attention(nn.Module):
    """Softmax attention of `heads` heads: 4 D² parameters."""

    def __init__(self, width: int, options: Options) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.project = nn.Linear(width, width, bias=False)
        self.heads = options.heads
        self.causal = options.causal
        self.room = options.room
        self.turned = width // options.heads if options.positions == "rope" else 0

    def forward(
        self, x: Tensor, past: KeysValues | None, turn: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, KeysValues]:
        """Return the output, and the keys and values: (B, T, D) -> (B, T, D), 2 × (B, heads, t, D/heads).

        turn: the angles of these positions, where many layers share them; made here where none are given.
        """
        B, T, D = x.shape
        split = self.qkv(x).view(B, T, 3, self.heads, D // self.heads)  # (B, T, 3D) -> (B, T, 3, heads, D/heads)
        q, k, v = split.permute(2, 0, 3, 1, 4).unbind(0)  # 3 × (B, heads, T, D/heads)
        if self.turned:
            start = 0 if past is None else past[0].shape[2]
            turn = turn or angles(start, T, width=self.turned, like=x)
            q, k = rotate(q, turn), rotate(k, turn)
        before = past or (None, None)
        k, v = appended(before[0], k, room=self.room), appended(before[1], v, room=self.room)  # (B, heads, t, D/heads)
        mask = None if past is None or T == 1 else _seen(T, k.shape[2], like=x)
        mixed = nn.functional.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=self.causal and past is None
        )
        return self.project(mixed.transpose(1, 2).reshape(B, T, D)), (k, v)  # (B, heads, T, D/heads) -> (B, T, D)


def appended(past: Tensor | None, new: Tensor, *, room: int) -> Tensor:
    """Return keys or values with new ones behind them: (B, heads, t, d), (B, heads, T, d) -> (B, heads, t + T, d).

    With room, what is returned is a view of a larger tensor, and the next call writes into the rest of it.
    """
    if room == 0:
        return new if past is None else torch.cat((past, new), dim=2)
    B, heads, T, d = new.shape
    t = 0 if past is None else past.shape[2]
    if past is not None and t + T <= past.stride(1) // d:  # the places between one head's keys and the next one's
        whole = past.as_strided((B, heads, t + T, d), past.stride())
    else:
        whole = new.new_empty(B, heads, t + T + room, d)[:, :, : t + T]
        if past is not None:
            whole[:, :, :t] = past
    whole[:, :, t:] = new
    return whole


def _seen(new: int, total: int, *, like: Tensor) -> Tensor:
    """Return which of all positions each of the last `new` ones may see: (new, total) bool."""
    return torch.ones(new, total, dtype=torch.bool, device=like.device).tril(total - new)


def angles(start: int, count: int, *, width: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return cos and sin of position · 10000^(-2i/width), positions from `start`: 2 × (count, width/2)."""
    exact = torch.promote_types(like.dtype, torch.float32)  # half precision cannot count positions
    places = torch.arange(start, start + count, device=like.device, dtype=exact)
    rates = 10_000 ** -torch.arange(0, 1, 2 / width, device=like.device, dtype=exact)
    turned = torch.outer(places, rates)  # (count, width/2)
    return turned.cos().to(like.dtype), turned.sin().to(like.dtype)


def rotate(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Return x, its pairs (x_i, x_{i + width/2}) turned by their position's angles: (B, heads, T, width)."""
    (cosine, sine), (left, right) = turn, x.chunk(2, dim=-1)
    return torch.cat((left * cosine - right * sine, right * cosine + left * sine), dim=-1)


def width_step(spec: ModelSpec) -> int:
    """Return what the width must be a multiple of: the heads, twice with rope, which turns pairs of numbers."""
    return _width_step(options_of(spec, Options))


def refusal(spec: ModelSpec, *, length: int, lag: int | None) -> str:  # noqa: ARG001 - attention reaches every lag
    """Return that a sequence is longer than the learned table, or nothing."""
    options = options_of(spec, Options)
    return _beyond(length, options.context) if options.positions == "learned" and length > options.context else ""


def implementation(spec: ModelSpec, model: nn.Module) -> str:  # noqa: ARG001 - there is one
    """Return the tier that really runs."""
    return "parallel"


def costs(spec: ModelSpec, tokens: int) -> Costs:
    """Return what the network costs: `Blocks` of attention, and a learned table."""
    options = options_of(spec, Options)
    table = options.context * spec.width if options.positions == "learned" else 0
    attention = mixer_costs(spec.width, spec.width, options, tokens, depth=0)
    return blocks_costs(spec, lambda _: attention) + Costs(parameters=table, flops=0, state_floats=0)


def mixer_costs(inputs: int, width: int, options: Options, tokens: int, *, depth: int) -> Costs:  # noqa: ARG001 - as above
    """Return what attention alone costs: 4 D² weights; 4·D·T more operations per token; a key and a value per token."""
    weights = 4 * width * width
    return Costs(
        parameters=weights,
        flops=2 * weights + 4 * width * tokens,
        state_floats=2 * width * tokens if options.causal else 0,
    )


def _check_width(width: int, options: Options) -> None:
    step = _width_step(options)
    if width % step:
        raise InvalidInput(
            f"width {width} does not fit heads={options.heads} with positions={options.positions}; "
            f"choose a multiple of {step}"
        )


def _width_step(options: Options) -> int:
    return options.heads * (2 if options.positions == "rope" else 1)


def _beyond(length: int, context: int) -> str:
    return (
        f"{length} positions are more than the {context} of the learned table; "
        f"use context={length} or more, or positions=rope"
    )
