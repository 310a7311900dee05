"""A model's state as a vector: a walk along a sequence, and the Jacobian of each of its steps.

Derivatives are taken in reverse mode alone. Fused kernels and parallel scans have no forward mode, some of them no
second derivative either, and every model has this one. Many cotangents at once are as many copies of the batch: the
sequences of a batch do not see each other.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from seqbench.errors import InvalidInput
from seqbench.measure.models.base import tensors_of

LARGEST_STATE = 512
"""A Jacobian is taken of states of up to so many floats; its cost grows with the third power."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a walk. state: s_{t-1}, as the model left it. inputs: x_t, (B, 1) tokens or (B, 1, D) floats."""

    model: nn.Module
    state: Any
    inputs: Tensor

    def after(self, before: Tensor) -> Tensor:
        """Return s_t from any s_{t-1}, with gradients: (N·B, S) -> (N·B, S), N copies of the batch one after another.

        What is no number of the state, as a count of positions, is taken from the walk.
        """
        copies = len(before) // len(self.inputs)
        _, state = self.model(_repeated(self.inputs, copies), _filled(self.state, before, copies))
        return vector(state)


def refusal(model: nn.Module, inputs: Tensor) -> str:
    """Return why a step of this model has no Jacobian, or nothing: inputs (B, T[, D])."""
    with torch.no_grad():
        first, last = (model(inputs[:1, :count])[1] for count in (1, inputs.shape[1]))
    if len(list(tensors_of(last))) > sum(isinstance(leaf, Tensor) for leaf in tree_leaves(last)):
        return (
            "the model's state is an object of its own, whose tensors cannot be exchanged; "
            "return tuples, lists or dicts of tensors"
        )
    sizes = [sum(leaf[0].numel() for leaf in _numbers(state)) for state in (first, last)]
    if sizes[1] == 0:
        return "the model carries no state from one position to the next; compare it by input_gradient"
    if sizes[0] != sizes[1]:
        return (
            f"the model's state grows with the sequence, from {sizes[0]} floats after 1 position to {sizes[1]} after "
            f"{inputs.shape[1]}, so that a step of it has no square Jacobian; compare it by input_gradient"
        )
    if sizes[1] > LARGEST_STATE:
        return f"the model's state has {sizes[1]} floats, and Jacobians are taken of up to {LARGEST_STATE}"
    return ""


@torch.no_grad()
def walk(model: nn.Module, inputs: Tensor) -> tuple[Step, ...]:
    """Return the steps s_1 -> s_2 … s_{T-1} -> s_T of a model along sequences: inputs (B, T[, D]) -> T-1 steps.

    The step out of nothing to s_1 is none of them. Raises InvalidInput for a sequence without any other.
    """
    if inputs.shape[1] < 2:
        raise InvalidInput(
            f"a sequence of {inputs.shape[1]} has no step from state to state; give a length of at least 2"
        )
    first, *rest = (inputs[:, t : t + 1] for t in range(inputs.shape[1]))  # T × (B, 1[, D])
    _, state = model(first)
    steps = []
    for x in rest:
        steps.append(Step(model=model, state=state, inputs=x))
        _, state = model(x, state)
    return tuple(steps)


def vector(state: Any) -> Tensor:
    """Return all numbers of a state side by side, a complex one as two: -> (B, S)."""
    return torch.cat([leaf.flatten(1) for leaf in _numbers(state)], dim=1)


def pulled_back(step: Step, cotangents: Tensor) -> Tensor:
    """Return J_tᵀ v with J_t = ∂s_t/∂s_{t-1}, for N cotangents per sequence: (N·B, S) -> (N·B, S)."""
    before = vector(step.state)
    before = before.repeat(len(cotangents) // len(before), 1).requires_grad_()
    with torch.enable_grad():
        after = step.after(before)
    (pulled,) = torch.autograd.grad(after, before, cotangents)
    return pulled


def jacobian(step: Step) -> Tensor:
    """Return J_t = ∂s_t/∂s_{t-1}, row i being ∂s_{t,i}: -> (B, S, S)."""
    before = vector(step.state)
    B, S = before.shape
    each = torch.eye(S, dtype=before.dtype, device=before.device).repeat_interleave(B, dim=0)  # (S·B, S)
    return pulled_back(step, each).view(S, B, S).transpose(0, 1)


def _numbers(state: Any) -> Iterator[Tensor]:
    """Yield what of a state is real numbers: (B, …) each."""
    for leaf in tree_leaves(state):
        if _is_complex(leaf):
            yield torch.view_as_real(leaf)
        elif _is_real(leaf):
            yield leaf


def _filled(state: Any, numbers: Tensor, copies: int) -> Any:
    """Return a state of the same make whose numbers are these: (N·B, S)."""
    taken = 0

    def exchanged(leaf: Any) -> Any:
        nonlocal taken
        if not (_is_real(leaf) or _is_complex(leaf)):
            return _repeated(leaf, copies) if isinstance(leaf, Tensor) and leaf.dim() else leaf
        like = torch.view_as_real(leaf) if _is_complex(leaf) else leaf
        size = like[0].numel()
        part = numbers[:, taken : taken + size].reshape(len(numbers), *like.shape[1:])
        taken += size
        return torch.view_as_complex(part) if _is_complex(leaf) else part

    return tree_map(exchanged, state)


def _repeated(tensor: Tensor, copies: int) -> Tensor:
    return tensor.repeat(copies, *(1,) * (tensor.dim() - 1))


def _is_real(leaf: object) -> bool:
    return isinstance(leaf, Tensor) and leaf.is_floating_point()


def _is_complex(leaf: object) -> bool:
    return isinstance(leaf, Tensor) and leaf.is_complex()
