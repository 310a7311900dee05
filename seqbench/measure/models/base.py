"""The contract of every model: a frozen spec, `build(spec)`, and one forward for training and streaming.

A model file offers

* `build(spec) -> nn.Module` whose `forward(tokens, state=None) -> (logits, state)` takes (B, T) int64 tokens (or
  (B, T, D) floats where `spec.inputs` is D) and the state that an earlier call returned, and returns (B, T, V) logits
  with the state after the last token, so that feeding a sequence in pieces equals feeding it whole;
* `Options`, a frozen dataclass of what may be varied, each field with a default (none: the model has no options);
* `parameters(spec) -> int` and `state_floats(spec, tokens) -> int`, closed forms that tests hold against the module.

Only `build` is required; a model that takes only tokens and has no options is complete.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """What a model is built for. `options` is the model file's own frozen `Options`, or None.

    vocab: number of input tokens. outputs: number of classes V of the logits. width: D. layers: L.
    causal: whether position t may see only positions up to t. inputs: None for tokens, or the number D of floats
    per position that `forward` gets in place of tokens.
    """

    vocab: int
    width: int
    layers: int
    outputs: int
    causal: bool = True
    inputs: int | None = None
    options: object = None
