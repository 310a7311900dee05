"""Tasks on sets of items, as the generators' contract is held to them, with readers written without the samplers."""

import math
from collections import Counter

import torch
from generator_case import Case
from torch import Tensor

from seqbench.measure.generators.base import Batch


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
        )
        for asks, tokens, length, oracle in (
            ("majority", 2, 21, answers(commoner)),
            ("max", 60, 10, answers(largest)),
            ("sum", 10, 10, sum_answers),
            ("distinct", 8, 8, answers(kinds)),
        )
        for order in ORDERS
    ),
)
