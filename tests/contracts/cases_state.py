"""Cases and oracles of the tasks that keep a state: running products, a flip-flop, brackets."""

import math
from collections.abc import Callable

import torch
from generator_case import Case
from torch import Tensor

from seqbench.measure.generators.base import Batch

SURE, WRONG = 0.0, -math.inf


def ring_answers(points: int, turn: Callable[[int], int]) -> Callable[[Tensor, Batch], Tensor]:
    """Return a reader who walks a ring of points by `turn(token)`."""

    def answers(inputs: Tensor, batch: Batch) -> Tensor:
        found = torch.full(inputs.shape, WRONG, dtype=torch.float64)
        for row, sequence in enumerate(inputs.tolist()):
            place = 0
            for step, token in enumerate(sequence):
                place = (place + turn(token)) % points
                if place == batch.targets[row, step]:
                    found[row, step] = SURE
        return found

    return answers


def permutations_by_insertion(points: int) -> list[list[int]]:
    """Return all permutations, in the order of their digits, by putting the last point everywhere into the others."""
    if points == 0:
        return [[]]
    shorter = permutations_by_insertion(points - 1)
    return sorted([*old[:at], points - 1, *old[at:]] for old in shorter for at in range(points))


def symmetric_answers(points: int) -> Callable[[Tensor, Batch], Tensor]:
    """Return a reader who moves labelled things about: the thing at place i goes to place p[i]."""
    elements = permutations_by_insertion(points)

    def answers(inputs: Tensor, batch: Batch) -> Tensor:
        found = torch.full(inputs.shape, WRONG, dtype=torch.float64)
        for row, sequence in enumerate(inputs.tolist()):
            things = list(range(points))  # things[place]: who stands there
            for step, token in enumerate(sequence):
                moved = [0] * points
                for place, thing in enumerate(things):
                    moved[elements[token][place]] = thing
                things = moved
                went_to = [things.index(thing) for thing in range(points)]
                if elements[batch.targets[row, step]] == went_to:
                    found[row, step] = SURE
        return found

    return answers


def flipflop_answers(inputs: Tensor, batch: Batch) -> Tensor:
    """Return ln p(target) of a reader who keeps the bit last written: (B, T)."""
    found = torch.zeros(inputs.shape, dtype=torch.float64)
    for row, sequence in enumerate(inputs.tolist()):
        kept = None
        for step, token in enumerate(sequence):
            if token == 2:  # write
                kept = sequence[step + 1]
            elif token == 3:  # read
                found[row, step] = SURE if kept == batch.targets[row, step] else WRONG
    return found


def dyck_answers(kinds: int, depth: int) -> Callable[[Tensor, Batch], Tensor]:
    """Return a reader who keeps the open brackets on a stack and knows how the text is drawn."""

    def answers(inputs: Tensor, batch: Batch) -> Tensor:
        found = torch.zeros(inputs.shape, dtype=torch.float64)
        for row, sequence in enumerate(inputs.tolist()):
            stack: list[int] = []
            for step, token in enumerate(sequence):
                if token < kinds:
                    stack.append(token)
                elif token < 2 * kinds:
                    assert stack.pop() == token - kinds
                found[row, step] = next_bracket(int(batch.targets[row, step]), stack, kinds=kinds, depth=depth)
        return found

    return answers


def next_bracket(asked: int, stack: list[int], *, kinds: int, depth: int) -> float:
    """Return ln p of the next bracket after these open ones."""
    opens = asked < kinds
    if not stack:
        return -math.log(kinds) if opens else WRONG
    if len(stack) == depth:
        return SURE if asked == kinds + stack[-1] else WRONG
    if opens:
        return -math.log(2 * kinds)
    return -math.log(2) if asked == kinds + stack[-1] else WRONG


def tracking(group: str, points: int, oracle, *, moves: str = "any", ragged: bool = False) -> Case:
    """Return a case of state tracking."""
    params = {"group": group, "points": points, "moves": moves, "ragged": ragged}
    return Case(name="state_tracking", params=params, oracle=oracle)


CASES = (
    tracking("cyclic", 2, ring_answers(2, int), ragged=True),
    tracking("cyclic", 60, ring_answers(60, int)),
    tracking("cyclic", 5, ring_answers(5, lambda token: token - 1), moves="step"),
    tracking("cyclic", 5, ring_answers(5, lambda token: token - 1), moves="step", ragged=True),
    tracking("symmetric", 3, symmetric_answers(3)),
    tracking("symmetric", 5, symmetric_answers(5), ragged=True),
    Case(name="flipflop", oracle=flipflop_answers),
    Case(name="flipflop", params={"ignore": 0.1}, oracle=flipflop_answers, swaps=False),
    Case(name="dyck", oracle=dyck_answers(4, 3), swaps=False),
    Case(name="dyck", params={"kinds": 2, "depth": 1}, oracle=dyck_answers(2, 1), swaps=False),
    Case(
        name="dyck",
        params={"kinds": 3, "depth": 7},
        length=15,
        oracle=dyck_answers(3, 7),
        oracle_length=15,
        swaps=False,
    ),
)
