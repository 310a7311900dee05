"""Transformer (Vaswani et al. 2017), pre-norm: every position looks at all earlier ones at once.

    x ← x + softmax(Q Kᵀ / √d) V · P        Q, K, V linear in LN(x), `heads` times with d = D / heads
    x ← x + W₂ GELU(W₁ LN(x) + b₁) + b₂     W₁: D -> 4D
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
from seqbench.measure.models.base import ModelSpec, options_of

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
    unit = options.heads * (2 if options.positions == "rope" else 1)  # rope turns pairs of numbers
    if spec.width % unit:
        raise InvalidInput(
            f"width {spec.width} does not fit heads={options.heads} with positions={options.positions}; "
            f"choose a multiple of {unit}"
        )
    return Transformer(spec, options)


class Transformer(nn.Module):
    """Embedding (or a projection of floats), blocks, final norm, linear head."""

    def __init__(self, spec: ModelSpec, options: Options) -> None:
        super().__init__()
        D = spec.width
        self.front = nn.Embedding(spec.vocab, D) if spec.inputs is None else nn.Linear(spec.inputs, D)
        self.table = nn.Parameter(0.02 * torch.randn(options.context, D)) if options.positions == "learned" else None
        self.blocks = nn.ModuleList(
            Block(D, options.heads, causal=spec.causal, room=options.room) for _ in range(spec.layers)
        )
        self.norm = nn.LayerNorm(D)
        self.head = nn.Linear(D, spec.outputs)
        # The norm hands the head unit variance: the default U(±1/√D) starts at ln V + 1/6 nat (measured: up
        # to ln V + 0.22 at D = 16 … 64, past the contract's 0.2), half of it at ln V + 1/24, at every width.
        nn.init.uniform_(self.head.weight, -0.5 / D**0.5, 0.5 / D**0.5)
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
        turn = angles(start, x.shape[1], width=self.turned, like=x) if self.turned else None
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
            raise InvalidInput(
                f"{stop} positions are more than the {context} of the learned table; "
                f"use context={stop} or more, or positions=rope"
            )
        return x + self.table[start:stop]


class Block(nn.Module):
    """Attention and MLP, each with a norm before and a residual around: 12 D² + 9 D parameters."""

    def __init__(self, width: int, heads: int, *, causal: bool, room: int) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.project = nn.Linear(width, width, bias=False)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.heads = heads
        self.causal = causal
        self.room = room

    def forward(self, x: Tensor, past: KeysValues | None, turn: KeysValues | None) -> tuple[Tensor, KeysValues]:
        """Return the output, and the keys and values: (B, T, D) -> (B, T, D), 2 × (B, heads, t, D/heads)."""
        mixed, kept = self._attention(self.norm_attention(x), past, turn)
        x = x + mixed
        return x + self.mlp(self.norm_mlp(x)), kept

    def _attention(self, x: Tensor, past: KeysValues | None, turn: KeysValues | None) -> tuple[Tensor, KeysValues]:
        B, T, D = x.shape
        split = self.qkv(x).view(B, T, 3, self.heads, D // self.heads)  # (B, T, 3D) -> (B, T, 3, heads, D/heads)
        q, k, v = split.permute(2, 0, 3, 1, 4).unbind(0)  # 3 × (B, heads, T, D/heads)
        if turn is not None:
            q, k = rotate(q, turn), rotate(k, turn)
        before = past or (None, None)
        k, v = appended(before[0], k, room=self.room), appended(before[1], v, room=self.room)  # (B, heads, t, D/heads)
        mask = None if past is None or T == 1 else _seen(T, k.shape[2], like=x)
        mixed = nn.functional.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=self.causal and past is None
        )
        return self.project(mixed.transpose(1, 2).reshape(B, T, D)), (
            k,
            v,
        )  # (B, heads, T, D/heads) -> (B, T, D)


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


def parameters(spec: ModelSpec) -> int:
    """Return the number of parameters: front, learned table, 12 D² + 9 D per block, final norm, head."""
    options, D = options_of(spec, Options), spec.width
    front = spec.vocab * D if spec.inputs is None else (spec.inputs + 1) * D
    table = options.context * D if options.positions == "learned" else 0
    return front + table + spec.layers * (12 * D * D + 9 * D) + 2 * D + (D + 1) * spec.outputs


def state_floats(spec: ModelSpec, tokens: int) -> int:
    """Return the floats of one sequence's state: key and value per layer and token; an encoder has none."""
    return 2 * spec.layers * spec.width * tokens if spec.causal else 0
