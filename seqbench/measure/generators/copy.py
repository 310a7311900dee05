"""Hold a few symbols over a delay, then write them down in order (copy memory).

Symbols are drawn from items 0 … K-1; a blank and a delimiter follow them as tokens K and K+1. The sequence is M
symbols, T-1 blanks and M+1 delimiters: T+2M positions. With symbols=2 (M) and items=3 (K), as letters a b c for items,
. for the blank and ? for the delimiter:

    length 1 (T)    c a ? ? ?          ->  - - - c a
    length 4        b b . . . ? ? ?    ->  - - - - - - b b

Only the last M positions are scored. Each symbol is asked for T+M positions after it was shown.
"""

from math import log

import torch

from seqbench.measure.generators.base import Batch, Bounds, Sizes, at_least


def sample(rng: torch.Generator, *, batch: int, length: int, symbols: int = 10, items: int = 8) -> Batch:
    """Return sequences of `length` + 2 · `symbols` tokens: uniform items, blanks, delimiters.

    The first delimiter stands where nothing is asked yet, one position before the first recall.
    """
    _check(symbols=symbols, items=items)
    at_least(1, batch=batch, length=length)
    total = length + 2 * symbols
    shown = torch.randint(0, items, (batch, symbols), generator=rng)  # (B, M)
    inputs = torch.full((batch, total), items)
    inputs[:, :symbols] = shown
    inputs[:, -symbols - 1 :] = items + 1
    targets = torch.zeros(batch, total, dtype=torch.int64)
    targets[:, -symbols:] = shown
    scored = torch.zeros(batch, total, dtype=torch.bool)
    scored[:, -symbols:] = True
    return Batch(inputs=inputs, targets=targets, scored=scored)


def sizes(*, symbols: int = 10, items: int = 8) -> Sizes:
    """Return what a model must fit: items, the blank and the delimiter in, items out."""
    _check(symbols=symbols, items=items)
    return Sizes(vocab=items + 2, outputs=items)


def bounds(*, length: int, symbols: int = 10, items: int = 8) -> Bounds:
    """Return chance, 1 in `items` at each recall, and the floor, which is perfect."""
    _check(symbols=symbols, items=items)
    at_least(1, length=length)
    return Bounds(chance_loss=log(items), floor_loss=0.0, chance_accuracy=1 / items, floor_accuracy=1.0)


def lag(*, length: int, symbols: int = 10, items: int = 8) -> int:
    """Return the lag of every recall, T+M."""
    _check(symbols=symbols, items=items)
    at_least(1, length=length)
    return length + symbols


def diluted_loss(loss: float, *, length: int, symbols: int = 10, items: int = 8) -> float:
    """Return a loss on the recalls as the literature reports it, averaged over all T+2M positions, in nats.

    The positions where nothing is asked are taken to cost nothing, so that chance is M ln K / (T+2M).
    """
    _check(symbols=symbols, items=items)
    at_least(1, length=length)
    return loss * symbols / (length + 2 * symbols)


def _check(*, symbols: int, items: int) -> None:
    at_least(1, symbols=symbols)
    at_least(2, items=items)
