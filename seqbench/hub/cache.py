"""A model's state as the library's `Cache`, for rows of a batch that have read differently much.

A state is opaque, its tensors have the batch first. Rows that read the same number of tokens share one state; a padded
batch therefore begins as several groups, which are joined again where their states have the same shape: after one call
for a recurrent model, never for one whose state grows.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten
from transformers import Cache

from seqbench.errors import InvalidInput
from seqbench.measure.models.base import tensors_of


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Rows of a batch that share a state. rows: ascending. state: of these, in that order; None before any token."""

    rows: tuple[int, ...]
    state: Any


class RecurrentCache(Cache):
    """What the model carries from one call to the next.

    groups: which rows share which state; none before the first call.
    last: (B, V) logits after the last token that each row read; zeros, every token alike, before the first.
    length: columns of the batch that were read, padding included.
    """

    is_compileable = False
    is_croppable = False

    def __init__(self) -> None:
        super().__init__(layers=[])
        self.groups: tuple[Group, ...] = ()
        self.last: Tensor | None = None
        self.length = 0

    def __repr__(self) -> str:
        return f"RecurrentCache(rows={self.batch_size}, length={self.length}, groups={len(self.groups)})"

    def keep(self, groups: Iterable[Group], *, last: Tensor, columns: int) -> None:
        """Take the state after `columns` more columns: groups whose states have one shape become one."""
        self.groups = tuple(_joined(list(groups)))
        self.last = last
        self.length += columns

    def get_seq_length(self, layer_idx: int = 0) -> int:  # noqa: ARG002 - one state for all layers
        """Return how many columns were read, padding included; the library cuts them from a prompt that goes on."""
        return self.length

    def get_max_length(self, layer_idx: int | None = None) -> int:  # noqa: ARG002 - as above
        """Return -1: nothing here ends; a model with a table of positions refuses by itself."""
        return -1

    @property
    def batch_size(self) -> int:
        """Return the number of rows, -1 before the first call."""
        return sum(len(group.rows) for group in self.groups) or -1

    @property
    def is_initialized(self) -> bool:
        """Return whether anything was read."""
        return bool(self.groups)

    @property
    def is_linear(self) -> list[bool]:
        """Return one False: the library then cuts what was read from a prompt that it continues."""
        return [False]

    def reset(self) -> None:
        """Forget everything."""
        self.groups, self.last, self.length = (), None, 0

    def crop(self, tokens_to_remove: int) -> None:
        """Refuse to go back: a recurrent state does not hold what it was. Raises InvalidInput unless 0."""
        if tokens_to_remove:
            raise InvalidInput("a recurrent state cannot be taken back; keep a copy of the cache from before")

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Let row i become what row beam_idx[i] was: (B,) rows."""
        self.batch_select_indices(beam_idx)

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Let every row stand `repeats` times, one after another."""
        if self.last is not None:
            self.batch_select_indices(torch.arange(len(self.last)).repeat_interleave(repeats))

    def batch_select_indices(self, indices: Tensor) -> None:
        """Let row i become what row indices[i] was: any number of rows."""
        if self.last is None:
            return
        chosen = indices.tolist()
        place = {row: (number, at) for number, group in enumerate(self.groups) for at, row in enumerate(group.rows)}
        groups = []
        for number, group in enumerate(self.groups):
            rows = tuple(new for new, old in enumerate(chosen) if place[old][0] == number)
            if rows:
                groups.append(Group(rows, select(group.state, [place[chosen[row]][1] for row in rows])))
        self.groups = tuple(groups)
        self.last = self.last[indices.to(self.last.device)]


def select(state: Any, rows: Sequence[int]) -> Any:
    """Return the state of these rows: every tensor that has a batch gets it chosen; what holds no tensor is shared."""
    first = next((tensor for tensor in tensors_of(state) if tensor.dim()), None)
    if first is None or list(rows) == list(range(len(first))):
        return state
    return _chosen(state, torch.tensor(rows, device=first.device))


def _chosen(part: Any, rows: Tensor) -> Any:
    if isinstance(part, Tensor):
        return part.index_select(0, rows) if part.dim() else part
    if next(tensors_of(part), None) is None:
        return part
    if isinstance(part, dict):
        return type(part)({key: _chosen(value, rows) for key, value in part.items()})
    if isinstance(part, tuple) and hasattr(part, "_fields"):
        return type(part)(*(_chosen(value, rows) for value in part))
    if isinstance(part, list | tuple):
        return type(part)(_chosen(value, rows) for value in part)
    twin = object.__new__(type(part))
    vars(twin).update({name: _chosen(value, rows) for name, value in vars(part).items()})
    return twin


def _joined(groups: list[Group]) -> Iterator[Group]:
    """Yield the groups, those of one shape as one; rows ascending within each."""
    while groups:
        first, *rest = groups
        alike = [first, *(group for group in rest if _shape(group.state) == _shape(first.state) is not None)]
        groups = [group for group in rest if group not in alike]
        yield first if len(alike) == 1 else _one(alike)


def _one(groups: Sequence[Group]) -> Group:
    rows = [row for group in groups for row in group.rows]
    order = sorted(range(len(rows)), key=rows.__getitem__)
    leaves, made = zip(*(tree_flatten(group.state) for group in groups), strict=True)
    state = tree_unflatten([torch.cat(parts) for parts in zip(*leaves, strict=True)], made[0])
    return Group(tuple(rows[place] for place in order), select(state, order))


def _shape(state: Any) -> object:
    """Return what two states must have alike to stand in one: make, sizes, kinds; None where they cannot."""
    leaves, made = tree_flatten(state)
    if not leaves or not all(isinstance(leaf, Tensor) and leaf.dim() for leaf in leaves):
        return None
    return made, tuple((leaf.shape[1:], leaf.dtype) for leaf in leaves)
