"""Write down, in order, the few symbols that stood scattered among blanks (selective copying).

Symbols are drawn from items 0 … K-1; a blank and a marker follow them as tokens K and K+1. A stream of `length`
positions holds M symbols at random places, M markers follow it: T+M positions. With symbols=2 (M) and items=3 (K), as
letters a b c for items, . for the blank and ? for the marker:

    length 6    . b . . a . ? ?    ->  - - - - - - b a
    length 4    c c . . ? ?        ->  - - - - c c

Only the markers are scored. Tag "lag" is, there, how many positions back the symbol stands; 0 elsewhere. A symbol keeps
no fixed distance from its marker, so that weighing inputs by their distance alone does not line them up.
"""

from math import log

import torch

from seqbench.errors import InvalidInput
from seqbench.measure.generators.base import Batch, Bounds, Sizes, at_least, distinct


def sample(rng: torch.Generator, *, batch: int, length: int, symbols: int = 4, items: int = 16) -> Batch:
    """Return sequences of `length` + `symbols` tokens: uniform items at uniform places among blanks, then markers.

    Every choice of places is equally likely. Raises InvalidInput when the stream is shorter than its symbols.
    """
    _check(symbols=symbols, items=items, length=length)
    at_least(1, batch=batch)
    shown = torch.randint(0, items, (batch, symbols), generator=rng)  # (B, M)
    places = distinct(rng, batch=batch, among=length, count=symbols).sort(dim=1).values  # (B, M)
    inputs = torch.full((batch, length + symbols), items)
    inputs.scatter_(1, places, shown)
    inputs[:, length:] = items + 1
    return Batch(
        inputs=inputs,
        targets=_at_the_markers(shown, length),
        scored=_at_the_markers(torch.ones_like(shown, dtype=torch.bool), length),
        tags={"lag": _at_the_markers(torch.arange(length, length + symbols) - places, length)},
    )


def sizes(*, symbols: int = 4, items: int = 16) -> Sizes:
    """Return what a model must fit: items, the blank and the marker in, items out."""
    _check(symbols=symbols, items=items)
    return Sizes(vocab=items + 2, outputs=items)


def bounds(*, length: int, symbols: int = 4, items: int = 16) -> Bounds:
    """Return chance, 1 in `items` at each marker, and the floor, which is perfect."""
    _check(symbols=symbols, items=items, length=length)
    return Bounds(chance_loss=log(items), floor_loss=0.0, chance_accuracy=1 / items, floor_accuracy=1.0)


def lag(*, length: int, symbols: int = 4, items: int = 16) -> int:
    """Return how far back a symbol can stand from its marker: `length`, where all symbols come first.

    Nothing farther is needed: who counts the symbols from the last one back need not see those that came before.
    """
    _check(symbols=symbols, items=items, length=length)
    return length


def _at_the_markers(values: torch.Tensor, length: int) -> torch.Tensor:
    """Return zeros, then these values at the M markers: (B, M) -> (B, T+M)."""
    return torch.cat((torch.zeros(len(values), length, dtype=values.dtype), values), dim=1)


def _check(*, symbols: int, items: int, length: int | None = None) -> None:
    at_least(1, symbols=symbols)
    at_least(2, items=items)
    if length is not None and length < symbols:
        raise InvalidInput(f"length {length} leaves no room for {symbols} symbols; give at least {symbols}")
