"""The contract of every model: a frozen spec, `build(spec)`, and one forward for training and streaming.

A model file offers

* `build(spec) -> nn.Module` whose `forward(tokens, state=None) -> (logits, state)` takes (B, T) int64 tokens
  (or (B, T, K) floats where `spec.inputs` is K) and the state that an earlier call returned, and returns
  (B, T, V) logits with the state after the last token, so that feeding a sequence in pieces equals feeding it
  whole. A state is a nested tuple of tensors, each with the batch as its first dimension; only the model
  looks inside;
* `Options`, a frozen dataclass of what may be varied, each field with a default (no class: no options). A
  model that can also be an encoder, in which every position sees the whole sequence, has `causal: bool = True`
  among them; an encoder's state is empty, and it reads a sequence whole;
* `parameters(spec) -> int` and `state_floats(spec, tokens) -> int` (of one sequence), closed forms that tests
  hold against the module.

Only `build` is required; a model that takes only tokens and has no options is complete.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from seqbench.errors import ContractError

State = tuple[Tensor, ...]
Weights = list[nn.Parameter]
Step = Callable[[Weights, Tensor, State], State]
Advance = Callable[[nn.RNNBase, Tensor, State], tuple[Tensor, State]]
OptionsType = TypeVar("OptionsType")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """What a model is built for. `options` is the model file's own frozen `Options`, or None.

    vocab: number of input tokens. outputs: number of classes V of the logits. width: D. layers: L.
    inputs: None for tokens, or the number K of floats per position that `forward` gets in place of tokens.
    """

    vocab: int
    width: int
    layers: int
    outputs: int
    inputs: int | None = None
    options: object = None

    @property
    def causal(self) -> bool:
        """Return whether position t may see only positions up to t: always, unless the options say `causal=False`."""
        return bool(getattr(self.options, "causal", True))


def options_of(spec: ModelSpec, kind: type[OptionsType]) -> OptionsType:
    """Return the spec's options, which must be of the model file's own kind; its defaults for None."""
    if spec.options is None:
        return kind()
    if not isinstance(spec.options, kind):
        raise ContractError(f"options {spec.options!r} are not {kind.__module__}.Options; build specs with spec_for")
    return spec.options


class Recurrent(nn.Module):
    """Embedding, recurrent cells, linear head: all that the recurrent models share.

    front: (B, T) tokens -> (B, T, D); floats go straight into the cells.
    cells: the torch recurrence that holds the weights.
    advance: how the cells run over (B, T, I) inputs from a state of `states` (L, B, D) tensors.
    """

    def __init__(self, spec: ModelSpec, *, cells: Callable[..., nn.RNNBase], advance: Advance, states: int = 1) -> None:
        super().__init__()
        self.front = nn.Embedding(spec.vocab, spec.width) if spec.inputs is None else nn.Identity()
        self.cells = cells(spec.inputs or spec.width, spec.width, spec.layers, batch_first=True)
        self.head = nn.Linear(spec.width, spec.outputs)
        self.advance = advance
        self.states = states

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Return logits and the state after the last token: (B, T) -> (B, T, V), `states` × (B, L, D)."""
        inputs = self.front(tokens)  # (B, T, D), or (B, T, K) floats as they came
        if state is None:
            zeros = inputs.new_zeros(self.cells.num_layers, len(inputs), self.cells.hidden_size)
            before = (zeros,) * self.states
        else:
            before = tuple(part.transpose(0, 1).contiguous() for part in state)  # (B, L, D) -> (L, B, D)
        hidden, after = self.advance(self.cells, inputs, before)
        return self.head(hidden), tuple(part.transpose(0, 1) for part in after)


def loop(cells: nn.RNNBase, inputs: Tensor, state: State, *, step: Step) -> tuple[Tensor, State]:
    """Return the top layer's outputs and the last state, step by step: (B, T, I) -> (B, T, D), (L, B, D).

    `step(weights, x_t, state of one layer) -> state of that layer`, whose first tensor is the output.
    """
    last = []
    for weights, *now in zip(cells.all_weights, *(part.unbind(0) for part in state), strict=True):
        layer: State = tuple(now)  # each (B, D)
        outputs = []
        for x in inputs.unbind(1):  # indexing inputs[:, t] instead would make backward quadratic in T
            layer = step(weights, x, layer)
            outputs.append(layer[0])
        inputs = torch.stack(outputs, dim=1)  # T × (B, D) -> (B, T, D)
        last.append(layer)
    return inputs, tuple(torch.stack(part) for part in zip(*last, strict=True))  # L × (B, D) -> (L, B, D)


def recurrent_parameters(spec: ModelSpec, *, gates: int) -> int:
    """Return the parameters of `Recurrent`: embedding, gates·(I·D + D² + 2D) per layer, head."""
    V, D = spec.vocab, spec.width
    embedding, first = (V * D, D) if spec.inputs is None else (0, spec.inputs)
    cells = gates * (first * D + (spec.layers - 1) * D * D + spec.layers * (D * D + 2 * D))
    return embedding + cells + (D + 1) * spec.outputs
