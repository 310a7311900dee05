"""Remember one item over a lag among distractors, and name it when asked (delayed recall).

Items are 0 … K-1, distractors follow them, the query is the last token. With items=3, distractors=2 (so the
query is 5), as letters a b c for items, . , for distractors and ? for the query:

    lag = fixed, length 6         b . , , . ?      ->  - - - - - b        the lag is 5
    lag = loguniform, length 6    . , . a , ?      ->  - - - - - a        the lag drawn was 2

Only the last position is scored. Tag "lag" is, there, how many positions back the item stands; 0 elsewhere.
"""

from itertools import pairwise
from math import log

import torch

from seqbench.errors import InvalidInput
from seqbench.measure.generators.base import Batch, Bounds, Sizes, at_least, at_the_end

_BUCKETS = (2, 5, 11, 26, 51, 100)
_LEAST_LENGTH = {"fixed": 2, "loguniform": 3}


def sample(
    rng: torch.Generator, *, batch: int, length: int, items: int = 8, distractors: int = 8, lag: str = "fixed"
) -> Batch:
    """Return sequences with one item each, `lag` positions before the query at the end.

    lag="fixed" puts the item first: the lag is T-1. lag="loguniform" draws it as ⌊exp(u)⌋ with u uniform on
    [ln 2, ln T), so a lag k of 2 … T-1 has probability ln((k+1)/k) / ln(T/2): short lags teach the long ones.
    Raises InvalidInput when the length leaves no room for the lag or a parameter is impossible.
    """
    _check(items=items, distractors=distractors, lag=lag, length=length)
    at_least(1, batch=batch)
    inputs = torch.randint(items, items + distractors, (batch, length), generator=rng)  # (B, T)
    answers = torch.randint(0, items, (batch,), generator=rng)  # (B,)
    lags = _lags(rng, batch=batch, length=length, lag=lag)  # (B,)
    inputs[torch.arange(batch), length - 1 - lags] = answers
    inputs[:, -1] = items + distractors
    return Batch(
        inputs=inputs,
        targets=at_the_end(answers, length),
        scored=at_the_end(torch.ones(batch, dtype=torch.bool), length),
        tags={"lag": at_the_end(lags, length)},
    )


def sizes(*, items: int = 8, distractors: int = 8, lag: str = "fixed") -> Sizes:
    """Return what a model must fit: items, distractors and the query in, items out."""
    _check(items=items, distractors=distractors, lag=lag)
    return Sizes(vocab=items + distractors + 1, outputs=items)


def bounds(*, length: int, items: int = 8, distractors: int = 8, lag: str = "fixed") -> Bounds:
    """Return chance, 1 in `items`, and the floor, which is perfect."""
    _check(items=items, distractors=distractors, lag=lag, length=length)
    return Bounds(chance_loss=log(items), floor_loss=0.0, chance_accuracy=1 / items, floor_accuracy=1.0)


def lag(*, length: int, items: int = 8, distractors: int = 8, lag: str = "fixed") -> int:
    """Return the longest lag that is asked for: T-1, always or at times."""
    _check(items=items, distractors=distractors, lag=lag, length=length)
    return length - 1


def lag_buckets(length: int) -> tuple[tuple[int, int], ...]:
    """Return the lags that are scored together, as (lowest, highest).

    2-4, 5-10, 11-25, 26-50, 51-99, 100-199, then doubling. The last bucket is cut at T-1.
    """
    at_least(3, length=length)
    edges = list(_BUCKETS)
    while edges[-1] < length:
        edges.append(2 * edges[-1])
    return tuple((low, min(high, length) - 1) for low, high in pairwise(edges) if low < length)


def _lags(rng: torch.Generator, *, batch: int, length: int, lag: str) -> torch.Tensor:
    if lag == "fixed":
        return torch.full((batch,), length - 1)
    u = torch.rand(batch, generator=rng, dtype=torch.float64)
    # rounding may reach either end of the range itself
    return (2 * (length / 2) ** u).floor().long().clamp(2, length - 1)


def _check(*, items: int, distractors: int, lag: str, length: int | None = None) -> None:
    at_least(2, items=items)
    at_least(1, distractors=distractors)
    if lag not in _LEAST_LENGTH:
        raise InvalidInput(f"lag {lag!r} is unknown; give one of {', '.join(_LEAST_LENGTH)}")
    if length is not None and length < _LEAST_LENGTH[lag]:
        raise InvalidInput(f"length {length} leaves no room for a {lag} lag; give at least {_LEAST_LENGTH[lag]}")
