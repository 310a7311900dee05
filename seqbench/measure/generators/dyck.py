"""Continue a text of nested brackets, whose closing kinds follow from a stack of bounded depth (Dyck language).

Brackets are of `kinds` kinds and at most `depth` deep. At depth 0 one is opened, at the greatest depth one is closed,
between them either with probability 1/2; the kind of an opening bracket is uniform, a closing bracket is of the kind
last opened. The input is a start token and T-1 brackets, the answer at each position is the bracket that comes next.
Tokens are 0 … k-1 to open, k … 2k-1 to close, 2k for the start. With kinds 2, brackets ( ) [ ] and ^ for the start:

    depth 2, length 8     ^ ( [ ] [ ] ) [   ->  ( [ ] [ ] ) [ ]
    depth 1, length 5     ^ [ ] ( )         ->  [ ] ( ) (

Every position is scored. Tags: "depth" is how deep the text stands after the token shown, "closes" is 1 where the next
bracket closes, "distance" is there how many positions before it the bracket that it closes was opened, 0 elsewhere.

The best prediction knows the depth and the stack. Without the stack it would pay ln k more at each closing bracket,
which are nearly half of all: ½ ln k per position in a long text.
"""

from math import log

import torch

from seqbench.measure.generators.base import Batch, Bounds, Sizes, at_least


def sample(rng: torch.Generator, *, batch: int, length: int, kinds: int = 4, depth: int = 3) -> Batch:
    """Return the start and `length` - 1 brackets, with the bracket that follows each of them."""
    _check(kinds=kinds, depth=depth)
    at_least(1, batch=batch, length=length)
    depths = _depths(rng, batch=batch, length=length, depth=depth)  # (B, T+1)
    before, after = depths[:, :-1], depths[:, 1:]
    closes = after < before
    opener = _openers(torch.minimum(before, after))
    drawn = torch.randint(0, kinds, (batch, length), generator=rng)
    brackets = torch.where(closes, kinds + drawn.gather(1, opener), drawn)  # (B, T)
    start = torch.full((batch, 1), 2 * kinds)
    return Batch(
        inputs=torch.cat((start, brackets[:, :-1]), dim=1),
        targets=brackets,
        scored=torch.ones(batch, length, dtype=torch.bool),
        tags={
            "depth": before.contiguous(),
            "closes": closes.long(),
            "distance": torch.where(closes, torch.arange(length) - opener, 0),
        },
    )


def sizes(*, kinds: int = 4, depth: int = 3) -> Sizes:
    """Return what a model must fit: opening and closing brackets and the start in, brackets out."""
    _check(kinds=kinds, depth=depth)
    return Sizes(vocab=2 * kinds + 1, outputs=2 * kinds)


def bounds(*, length: int, kinds: int = 4, depth: int = 3) -> Bounds:
    """Return chance, the entropy of the brackets over all positions, and the floor, that of the text itself.

    The floor is the mean over t of Σ_d p_t(d) · h_d, where p_t(d) is the probability of depth d before bracket t and
    h_d the entropy of the next one there: ln k at 0, nothing at the greatest depth, ln 2 + ½ ln k between. A text
    starts at depth 0, so that this is more than the entropy rate, which it reaches in long texts. How often the best
    prediction is right is not told.
    """
    _check(kinds=kinds, depth=depth)
    at_least(1, length=length)
    shares = _shares_of_depths(length=length, depth=min(depth, length))  # deeper than `length` no text comes
    surprise = [log(kinds), *[log(2) + log(kinds) / 2] * (len(shares) - 2), 0.0]
    opening = shares[0] + sum(shares[1:-1]) / 2
    sides = [share for share in (opening, 1 - opening) if share > 0]
    return Bounds(
        chance_loss=log(kinds) - sum(share * log(share) for share in sides),
        floor_loss=sum(share * nats for share, nats in zip(shares, surprise, strict=True)),
        chance_accuracy=max(sides) / kinds,
    )


def lag(*, length: int, kinds: int = 4, depth: int = 3) -> int:
    """Return T-2, or T-3 if T is odd: from the last position at which a bracket can close what was opened first.

    At depth 1 a bracket closes at once, and the token shown says all.
    """
    _check(kinds=kinds, depth=depth)
    at_least(1, length=length)
    return 0 if depth == 1 or length == 1 else 2 * (length // 2) - 2


def _depths(rng: torch.Generator, *, batch: int, length: int, depth: int) -> torch.Tensor:
    """Return the depth before the first bracket and after each: (B, T+1).

    A free walk of ±1, folded at 0 and at every multiple of the greatest depth, is the walk that must turn round there.
    """
    steps = 2 * torch.randint(0, 2, (batch, length), generator=rng) - 1
    walk = torch.nn.functional.pad(steps.cumsum(dim=1), (1, 0))
    return ((walk + depth) % (2 * depth) - depth).abs()


def _openers(levels: torch.Tensor) -> torch.Tensor:
    """Return where the bracket was opened that each closing bracket closes: (B, T) -> (B, T).

    levels: the depth outside each bracket. The brackets of one level open and close by turns, so that a closing
    bracket closes the one before it on its level. What is returned at an opening bracket means nothing.
    """
    by_level = levels.argsort(dim=1, stable=True)
    return torch.empty_like(by_level).scatter_(1, by_level, by_level.roll(1, dims=1))


def _shares_of_depths(*, length: int, depth: int) -> list[float]:
    """Return how often a bracket of a text of `length` is chosen at each depth 0 … `depth`."""
    now = [1.0, *[0.0] * depth]
    visits = [0.0] * (depth + 1)
    for _ in range(length):
        visits = [visit + share for visit, share in zip(visits, now, strict=True)]
        up = [now[0], *(share / 2 for share in now[1:-1]), 0.0]
        down = [0.0, *(share / 2 for share in now[1:-1]), now[-1]]
        now = [rising + falling for rising, falling in zip([0.0, *up[:-1]], [*down[1:], 0.0], strict=True)]
    return [visit / length for visit in visits]


def _check(*, kinds: int, depth: int) -> None:
    at_least(1, kinds=kinds, depth=depth)
