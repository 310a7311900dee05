"""The network around a body of the library, and its two kinds of state: what was read, or the library's cache."""

import inspect
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.errors import InvalidInput
from seqbench.measure.models.base import ModelSpec, normed_head
from seqbench.measure.models.hf.zoo import Kind

_CACHES = ("cache", "past_key_values", "cache_params")  # the name changed between versions and types
_HELD = ("conv1d_state", "recurrent_states")  # RecurrentGemma keeps these on its modules
_APPENDED = ("keys", "values")  # grow by concatenation into new tensors, and are never written into


@dataclass(frozen=True, eq=False)
class Read:
    """A state that is the sequence read so far: (B, t) tokens or (B, t, K) floats."""

    inputs: Tensor


@dataclass(frozen=True, eq=False)
class Cached:
    """A state that is the library's cache after `length` positions; `held` is what modules kept outside it."""

    cache: Any
    held: tuple[Tensor | None, ...]
    length: int


class Causal(nn.Module):
    """A body of the library behind its table, or behind a projection of floats, and the suite's own head."""

    def __init__(self, spec: ModelSpec, body: Any, kind: Kind, *, room: int | None) -> None:
        super().__init__()
        self.body = body
        self.front = nn.Identity() if spec.inputs is None else nn.Linear(spec.inputs, spec.width)
        self.named = "input_ids" if spec.inputs is None else "inputs_embeds"
        if spec.inputs is not None:
            body.set_input_embeddings(nn.Identity())  # a table that nothing reads would be parameters without use
        self.head = normed_head(spec)
        self.kind = kind
        self.room = room
        takes = inspect.signature(body.forward).parameters
        self.cache_name = next((name for name in _CACHES if name in takes), "")
        self.takes_places = "position_ids" in takes
        self.holders = [(module, name) for module in body.modules() for name in _HELD if name in vars(module)]

    def forward(self, tokens: Tensor, state: Read | Cached | None = None) -> tuple[Tensor, Read | Cached]:
        """Return logits and the state after the last token: (B, T) -> (B, T, V).

        A given state is never changed: it is copied before it is continued, but for keys and values, which the
        library appends to a copy of. Under gradients a first piece is read without a cache: the library's caches are
        written in place, which backward refuses. Raises InvalidInput for positions beyond the type's table.
        """
        if isinstance(state, Cached):
            hidden, after = self._continued(tokens, state)
            return self.head(hidden), after
        whole = tokens if state is None else torch.cat((state.inputs, tokens), dim=1)  # (B, t + T)
        hidden, new = self._whole(whole)
        return self.head(hidden[:, -tokens.shape[1] :]), new

    def _whole(self, inputs: Tensor) -> tuple[Tensor, Read | Cached]:
        # counting operations on `meta` needs the cache: without one the library looks at positions, which are not there
        recorded = torch.is_grad_enabled() and not inputs.is_meta
        if recorded or not self.kind.caches:
            self._check_room(inputs.shape[1])
            hidden = self._run(inputs, use_cache=False)
            self._taken_held()
            return hidden, Read(inputs)
        return self._continued(inputs, Cached(cache=self._empty(inputs), held=(), length=0))

    def _continued(self, inputs: Tensor, state: Cached) -> tuple[Tensor, Cached]:
        """Return hidden units and the state after these inputs, one token at a time where the cache wants it so."""
        self._check_room(state.length + inputs.shape[1])
        cache = _copied(state.cache)
        self._put_held(state.held)
        length, hidden = state.length, []
        size = 1 if self.kind.one_by_one and length else inputs.shape[1]
        for piece in torch.split(inputs, size, dim=1):
            hidden.append(self._run(piece, use_cache=True, **self._beside(cache, piece, length)))
            length += piece.shape[1]
        for layer in getattr(cache, "layers", ()):
            vars(layer).pop("_sliding_window_tensor", None)  # a constant, which belongs to no sequence
        after = Cached(cache=cache, held=self._taken_held(), length=length)
        return torch.cat(hidden, dim=1), after  # T × (B, 1, D) -> (B, T, D)

    def _run(self, inputs: Tensor, **beside: Any) -> Tensor:
        hidden: Tensor = self.body(**{self.named: self.front(inputs)}, **beside).last_hidden_state
        return hidden

    def _beside(self, cache: Any, piece: Tensor, length: int) -> dict[str, Any]:
        """Return the cache, and the positions of a continuation: Bamba would count them from 0 again."""
        beside = {self.cache_name: cache}
        if self.takes_places and length:
            places = torch.arange(length, length + piece.shape[1], device=piece.device)
            beside["position_ids"] = places.unsqueeze(0)  # (1, T)
        return beside

    def _empty(self, inputs: Tensor) -> Any:
        """Return a cache that has seen nothing, of the class that the type takes."""
        config = self.body.config
        own = _own_cache(config.model_type)
        if own is None:
            from transformers import DynamicCache  # noqa: PLC0415 - heavy, and loaded by now

            return DynamicCache(config=config)
        if config.model_type == "minimax":
            return own()
        empty = own(config, len(inputs), dtype=self.body.dtype, device=inputs.device)
        empty.seqlen_offset = 0  # the library counts in a tensor, which belongs to no sequence
        return empty

    def _put_held(self, held: tuple[Tensor | None, ...]) -> None:
        for (module, name), value in zip(self.holders, held or (None,) * len(self.holders), strict=True):
            setattr(module, name, value)

    def _taken_held(self) -> tuple[Tensor | None, ...]:
        """Return what modules keep of the state, and take it from them: a graph would stay alive there."""
        held = tuple(getattr(module, name) for module, name in self.holders)
        self._put_held(())
        return held

    def _check_room(self, length: int) -> None:
        if self.room is not None and length > self.room:
            raise InvalidInput(positions_beyond(length, self.room, self.kind.positions))


def _own_cache(model_type: str) -> Any:
    """Return the cache class of a type that has one of its own, or None."""
    if model_type == "xlstm":
        from transformers.models.xlstm.modeling_xlstm import xLSTMCache  # noqa: PLC0415 - heavy, and loaded by now

        return xLSTMCache
    if model_type == "minimax":
        from transformers.models.minimax.modeling_minimax import MiniMaxCache  # noqa: PLC0415 - as above

        return MiniMaxCache
    return None


def positions_beyond(length: int, room: int, option: str) -> str:
    """Return that a sequence is longer than a table of positions, and which option makes the table larger."""
    return f"{length} positions are more than the {room} of the table; use {option}={length} or more"


def _copied(part: Any) -> Any:
    """Return a cache that can be written into while the given one stays: tensors copied, configurations shared."""
    if isinstance(part, Tensor):
        return part.clone()
    if isinstance(part, dict):
        return {key: _copied(value) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return type(part)(_copied(value) for value in part)
    if not _is_of_a_cache(part):
        return part
    twin = object.__new__(type(part))
    vars(twin).update({name: value if name in _APPENDED else _copied(value) for name, value in vars(part).items()})
    return twin


def _is_of_a_cache(part: Any) -> bool:
    """Return whether an object is a cache of the library or one of its layers."""
    kind = type(part)
    return kind.__module__.startswith("transformers.") and kind.__name__.endswith(("Cache", "Layer"))
