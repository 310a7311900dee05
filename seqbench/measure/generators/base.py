"""What every generator returns: one batch of sequences with what is asked about them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Sequences and the questions asked about them.

    inputs: (B, T) int64 tokens, or (B, T, D) floats of a real-valued task.
    targets: (B, T) int64, the right answer at every scored position; any valid class elsewhere.
    scored: (B, T) bool, where the loss and the score are taken.
    tags: name -> (B, T) int64, facts about each position (its lag, the decision it belongs to) for sliced scores.
    """

    inputs: Tensor
    targets: Tensor
    scored: Tensor
    tags: Mapping[str, Tensor] = field(default_factory=dict)
