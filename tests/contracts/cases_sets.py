"""Tasks on sets of items, as the generators' contract is held to them, with readers written without the samplers."""

import math
from collections import Counter
from functools import cache

import numpy as np
import torch
from generator_case import Case
from torch import Tensor

from seqbench.measure.generators.base import Batch
from seqbench.measure.seeds import stream


def counted(items: list[int]) -> int:
    """Count 0, 1 and 2 on fingers."""
    return sum(items.count(low) for low in (0, 1, 2))


def commoner(items: list[int]) -> int:
    """Name the bit that comes more often."""
    (bit, _), *_ = Counter(items).most_common()
    return bit


def largest(items: list[int]) -> int:
    """Keep the largest so far."""
    best = items[0]
    for item in items:
        best = max(best, item)
    return best


def kinds(items: list[int]) -> int:
    """Count what was not seen before."""
    return len(set(items))


def answers(rule):
    """Return a reader that is sure of what a rule says of the items before the query."""

    def read(inputs: Tensor, batch: Batch) -> Tensor:
        """Return ln p(target): (B, T)."""
        sure = torch.zeros(batch.targets.shape, dtype=torch.float64)
        for row, (*items, _) in enumerate(inputs.tolist()):
            sure[row, -1] = 0.0 if rule(items) == batch.targets[row, -1] else -math.inf
        return sure

    return read


def sum_answers(inputs: Tensor, batch: Batch) -> Tensor:
    """Return minus the squared error of a reader who adds digits up, each less 4.5: (B, T)."""
    errors = torch.zeros(batch.targets.shape, dtype=torch.float64)
    for row, (*items, _) in enumerate(inputs.tolist()):
        added = 0.0
        for digit in items:
            added += digit - 4.5
        errors[row, -1] = -((added - batch.targets[row, -1].item()) ** 2)
    return errors


LIT = {
    0: "upper lower upper-left lower-left upper-right lower-right",
    1: "upper-right lower-right",
    2: "upper upper-right middle lower-left lower",
    3: "upper upper-right middle lower-right lower",
    4: "upper-left upper-right middle lower-right",
    5: "upper upper-left middle lower-right lower",
    6: "upper upper-left middle lower-left lower-right lower",
    7: "upper upper-right lower-right",
    8: "upper middle lower upper-left lower-left upper-right lower-right",
    9: "upper middle lower upper-left upper-right lower-right",
}
FLIPPED = {14: 0.10, 28: 0.29}


def segments_at(row, column, side):
    """Return the segments that a pixel of an unshifted digit belongs to, pixel by pixel as one would colour it."""
    thick = side // 7
    top = 1 <= row <= thick
    centre = side // 2 - thick // 2 <= row < side // 2 + thick // 2
    bottom = side - 1 - thick <= row <= side - 2
    left, right = 1 <= column <= thick, side - 1 - thick <= column <= side - 2
    inside = 1 <= row <= side - 2 and 1 <= column <= side - 2
    found = {name for name, here in (("upper", top), ("middle", centre), ("lower", bottom)) if here and inside}
    for half, here in (("upper", row < side // 2 + thick // 2), ("lower", row >= side // 2 - thick // 2)):
        found |= {f"{half}-{edge}" for edge, there in (("left", left), ("right", right)) if here and there and inside}
    return found


@cache
def pictures(side):
    """Return the ten digits in their nine shifts as 0 and 1, written pixel by pixel: (10, 9, T)."""
    drawn = []
    for digit in range(10):
        lit = set(LIT[digit].split())
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                drawn.append(
                    [bool(lit & segments_at(y - down, x - right, side)) for y in range(side) for x in range(side)]
                )
    return np.array(drawn, dtype=np.float64).reshape(10, 9, side**2)


def row_by_row(inputs, order):
    """Return pixels as they stand in the picture, rows from the top: (B, T) -> (B, T)."""
    if order == "raster":
        return inputs.numpy()
    total = inputs.shape[1]
    raster = np.empty(inputs.shape, dtype=np.int64)
    raster[:, torch.randperm(total, generator=stream("pixels", "permuted", math.isqrt(total))).numpy()] = inputs.numpy()
    return raster


def beliefs(raster, *, hidden=None):
    """Return ln P(digit | pixels) by Bayes' rule over ten digits and nine shifts: (B, T) -> (B, 10).

    hidden: (T,) bool, pixels that the reader does not look at.
    """
    side = math.isqrt(raster.shape[1])
    seen = np.ones(side**2) if hidden is None else 1.0 - hidden
    shown, lit = raster.astype(np.float64), pictures(side).reshape(90, -1)
    flips = (shown * seen) @ (1 - lit).T + ((1 - shown) * seen) @ lit.T  # (B, 90)
    logs = flips * math.log(FLIPPED[side]) + (seen.sum() - flips) * math.log(1 - FLIPPED[side])
    weights = np.exp(logs - logs.max(1, keepdims=True)).reshape(-1, 10, 9).sum(2)
    return np.log(weights / weights.sum(1, keepdims=True))


def pixel_answers(order):
    """Return the best reader of pixels in an order."""

    def read(inputs: Tensor, batch: Batch) -> Tensor:
        """Return ln p(target): (B, T)."""
        told = torch.from_numpy(beliefs(row_by_row(inputs, order)))
        answers = torch.zeros(batch.targets.shape, dtype=torch.float64)
        answers[:, -1] = told.gather(1, batch.targets[:, -1:])[:, 0]
        return answers

    return read


def pixel_hits(order):
    """Return whether the best reader's likeliest digit is the right one."""

    def hits(inputs: Tensor, batch: Batch) -> Tensor:
        """Return that at the last position: (B, T)."""
        found = torch.zeros(batch.targets.shape, dtype=torch.bool)
        found[:, -1] = torch.from_numpy(beliefs(row_by_row(inputs, order)).argmax(1)) == batch.targets[:, -1]
        return found

    return hits


ORDERS = ("random", "sorted", "reversed", "key_first")
CASES = (
    *(
        Case(
            name="multiset",
            params={"asks": "count", "order": order},
            length=20,
            oracle=answers(counted),
            oracle_length=12,
            beyond=1,
            swaps=order == "random",  # an ordered sequence with an item of another is no longer in order
        )
        for order in ORDERS
    ),
    *(
        Case(
            name="multiset",
            params={"asks": asks, "order": order, "tokens": tokens},
            length=length,
            oracle=oracle,
            oracle_length=length,
            beyond=1,
            swaps=order == "random",
        )
        for asks, tokens, length, oracle in (
            ("majority", 2, 21, answers(commoner)),
            ("max", 60, 10, answers(largest)),
            ("sum", 10, 10, sum_answers),
            ("distinct", 8, 8, answers(kinds)),
        )
        for order in ORDERS
    ),
    *(
        Case(
            name="pixels",
            params={"order": order},
            length=length,
            oracle=pixel_answers(order),
            right=pixel_hits(order),
            oracle_length=length,
            oracle_batch=256,
            other_length=980 - length,
        )
        for length in (196, 784)
        for order in ("raster", "permuted")
    ),
)
