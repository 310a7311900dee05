"""One generator with parameters, as every generator's contract is held to it; each family of tasks lists its own."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from seqbench.measure.generators import GENERATORS
from seqbench.measure.generators.base import Batch, Sizes
from seqbench.measure.seeds import stream


@dataclass(frozen=True, kw_only=True)
class Case:
    """One generator with parameters, and what only someone who knows the task can say of it.

    oracle: ln p(target), or minus the squared error of a regression, at every scored position, written without the
    sampler; None where nothing is known. beyond: positions that the task adds to the length it is given.
    swaps: an input may be replaced by that of another sequence, often enough at the longest lag to see its answer
    change; where that breaks the text or is too rare, the task's own tests hold its lag.
    right: whether the oracle's likeliest answer is the target, (B, T); None where it is right as often as it says,
    being sure or at a loss among equals. oracle_batch: sequences of each of the oracle's batches, more where errors
    are rare. other_length: a second length that the task can have.
    """

    name: str
    length: int = 32
    params: Mapping[str, object] = field(default_factory=dict)
    oracle: Callable[[Tensor, Batch], Tensor] | None = None
    right: Callable[[Tensor, Batch], Tensor] | None = None
    oracle_length: int = 32
    oracle_batch: int = 4
    other_length: int = 17
    beyond: int = 0
    swaps: bool = True

    def __str__(self) -> str:
        return "-".join([self.name, *(str(value) for value in self.params.values() if isinstance(value, str))])

    def batch(self, *seed, batch=64, length=None) -> Batch:
        """Return a batch from the stream of this case and seed."""
        rng = stream("test generators", self.name, *seed)
        return self.module.sample(rng, batch=batch, length=length or self.length, **self.params)

    @property
    def module(self):
        """The generator itself."""
        return GENERATORS.load(self.name)

    @property
    def sizes(self) -> Sizes:
        """Return its sizes."""
        return self.module.sizes(**self.params)

    def bounds(self, length=None):
        """Return its bounds."""
        return self.module.bounds(length=length or self.length, **self.params)


def mean_and_error(values) -> tuple[float, float]:
    """Return the mean of independent values and its standard error."""
    array = np.array(values, dtype=np.float64)
    return float(array.mean()), float(array.std(ddof=1) / math.sqrt(len(array)))
