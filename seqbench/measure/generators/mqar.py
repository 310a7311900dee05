"""Recall the value of each of several keys, when the key comes again (multi-query associative recall).

Of an even vocabulary V, token 0 fills gaps, 1 … V/2-1 are keys, V/2 … V-1 are values. N keys and their values come
first; then a zone of T-2N positions, in which each key comes once more and asks for its value. With pairs=2 (N), as
small letters for keys, capitals for values, . for 0:

    length 8     a C d B d . a .          ->  - - - - B - C -
    length 12    b A c D . . c . . . b .  ->  - - - - - - D - - - A -

Queries stand at even offsets 0, 2, 4, … of the zone; an odd length leaves its last position free. The i-th of these
offsets, counted from 1, is drawn in proportion to i^(power_a - 1), without replacement, the first key first: by
default most queries come soon. With random_non_queries the free positions hold uniform tokens in place of 0, keys and
values among them; what is asked stays the same. Tag "lag" is, at a query, how many positions back its value stands.

Two guesses are worth knowing: chance, one of the V/2 values, and `context_loss`, one of the N values shown.
"""

# ruff: noqa: ARG001 - all functions take all parameters; what fills the gaps changes neither sizes nor bounds

from math import inf, log

import torch
from torch import Tensor

from seqbench.errors import InvalidInput
from seqbench.measure.generators.base import Batch, Bounds, Sizes, at_least, distinct


def sample(
    rng: torch.Generator,
    *,
    batch: int,
    length: int,
    vocab: int = 64,
    pairs: int = 4,
    power_a: float = 0.01,
    random_non_queries: bool = False,
) -> Batch:
    """Return sequences of `length` tokens, scored at the N queries; keys and values do not repeat within a sequence.

    Raises InvalidInput when the length or the vocabulary leaves no room for the pairs.
    """
    _check(vocab=vocab, pairs=pairs, power_a=power_a, length=length)
    at_least(1, batch=batch)
    keys = 1 + distinct(rng, batch=batch, among=vocab // 2 - 1, count=pairs)  # (B, N)
    values = vocab // 2 + distinct(rng, batch=batch, among=vocab // 2, count=pairs)  # (B, N)
    queries = 2 * pairs + 2 * _slots(rng, batch=batch, among=length // 2 - pairs, count=pairs, power_a=power_a)
    inputs = torch.zeros(batch, length, dtype=torch.int64)
    if random_non_queries:
        inputs = torch.randint(0, vocab, (batch, length), generator=rng)
    inputs[:, : 2 * pairs] = torch.stack((keys, values), dim=2).flatten(1)  # (B, N, 2) -> (B, 2N)
    inputs.scatter_(1, queries, keys)
    nothing = torch.zeros_like(inputs)
    return Batch(
        inputs=inputs,
        targets=nothing.scatter(1, queries, values),
        scored=nothing.scatter(1, queries, 1).bool(),
        tags={"lag": nothing.scatter(1, queries, queries - torch.arange(1, 2 * pairs, 2))},
    )


def sizes(*, vocab: int = 64, pairs: int = 4, power_a: float = 0.01, random_non_queries: bool = False) -> Sizes:
    """Return what a model must fit: the vocabulary in and out, as the literature has it."""
    _check(vocab=vocab, pairs=pairs, power_a=power_a)
    return Sizes(vocab=vocab, outputs=vocab)


def bounds(
    *, length: int, vocab: int = 64, pairs: int = 4, power_a: float = 0.01, random_non_queries: bool = False
) -> Bounds:
    """Return chance, one of the V/2 values, and the floor, which is perfect."""
    _check(vocab=vocab, pairs=pairs, power_a=power_a, length=length)
    return Bounds(chance_loss=log(vocab // 2), floor_loss=0.0, chance_accuracy=2 / vocab, floor_accuracy=1.0)


def context_loss(
    *, length: int, vocab: int = 64, pairs: int = 4, power_a: float = 0.01, random_non_queries: bool = False
) -> float:
    """Return ln N nats: what a guess costs of one who has seen which values there are, and not whose they are.

    As the first keys tend to be asked first, one who also heeds the place of the query guesses a little better: for
    four pairs at 1.289, 1.366 and 1.376 nats with 16, 32 and 64 positions, where ln 4 is 1.386.
    """
    _check(vocab=vocab, pairs=pairs, power_a=power_a, length=length)
    return log(pairs)


def lag(
    *, length: int, vocab: int = 64, pairs: int = 4, power_a: float = 0.01, random_non_queries: bool = False
) -> int:
    """Return how far back a value can stand: from the last even offset of the zone to the first value, position 1.

    Its key, at position 0, is not needed: who finds the asked key in no other pair knows that it is the first.
    """
    _check(vocab=vocab, pairs=pairs, power_a=power_a, length=length)
    return 2 * (length // 2 - 1) - 1


def _slots(rng: torch.Generator, *, batch: int, among: int, count: int, power_a: float) -> Tensor:
    """Return different numbers of 0 … `among`-1, number i-1 in proportion to i^(power_a - 1), as drawn: (B, count).

    Gumbel noise on the logarithms of the weights and the largest first draws without replacement exactly.
    """
    log_weights = (power_a - 1) * torch.arange(1, among + 1, dtype=torch.float64).log()
    waits = -torch.log1p(-torch.rand(batch, among, generator=rng, dtype=torch.float64))  # exponential, never infinite
    return (log_weights - waits.log()).topk(count).indices


def _check(*, vocab: int, pairs: int, power_a: float, length: int | None = None) -> None:
    at_least(1, pairs=pairs)
    if vocab % 2:
        raise InvalidInput(f"vocab {vocab} has no two halves, for keys and for values; give an even number")
    if vocab // 2 - 1 < pairs:
        raise InvalidInput(f"vocab {vocab} has no {pairs} different keys; give at least {2 * pairs + 2}")
    if not 0 < power_a < inf:
        raise InvalidInput(f"power_a {power_a} is no positive number; give one such as 0.01")
    if length is not None and length < 4 * pairs:
        raise InvalidInput(f"length {length} leaves no room for {pairs} pairs and queries; give at least {4 * pairs}")
