"""Follow a state that every input changes: the running product of group elements, asked after each one.

The state starts at the identity, element 0; the answer at position t is the product x_1 · x_2 · … · x_t, where a · b
does a first, then b. A cyclic group of n `points` turns a ring of n places, and element e turns it by e: the product
is the sum modulo n, and for n = 2 the parity. With moves="step" the inputs 0 1 2 (written - 0 +) turn the ring by
-1, 0 and +1 only, and the answers are its n places. As input -> output:

    cyclic, points 2, moves any        1 0 1 1 0  ->  1 1 0 1 1
    cyclic, points 5, moves any        3 4 0 2 4  ->  3 2 2 4 3
    cyclic, points 5, moves step       + + - - -  ->  1 2 1 0 4

A symmetric group has every permutation of its `points`, in the order of their digits; permutation p sends i to p[i].
Of 3 points the elements 0 … 5 are 012 021 102 120 201 210. Element 1 sends 0 1 2 to 0 2 1 and element 2 sends them to
1 0 2, so that first 1, then 2 sends 0 -> 0 -> 1, 1 -> 2 -> 2 and 2 -> 1 -> 0: that is 120, element 3. The other way
round it is 201, element 4, for the group does not commute:

    symmetric, points 3                1 2        ->  1 3
    symmetric, points 3                2 1        ->  2 4

Every position is scored. With ragged=true each sequence ends at a length of its own, uniform on 1 … T, and is scored
up to there; what follows is noise that a causal model has not seen by then. A model must carry log2 |G| bits of state,
log2 of how many elements the group has: 1 for parity, 6.9 for the 120 elements of 5 points.
"""

from functools import cache
from itertools import permutations
from math import factorial, log
from typing import Literal

import torch

from seqbench.errors import InvalidInput
from seqbench.measure.generators.base import Batch, Bounds, Sizes, at_least
from seqbench.variant import Scalar

Group = Literal["cyclic", "symmetric"]
Moves = Literal["any", "step"]

_MOST_POINTS = {"cyclic": 720, "symmetric": 6}  # 720 elements: a table of 4 MB
_MOVES = ("any", "step")


def sample(
    rng: torch.Generator,
    *,
    batch: int,
    length: int,
    group: Group = "cyclic",
    points: int = 2,
    moves: Moves = "any",
    ragged: bool = False,
) -> Batch:
    """Return sequences of `length` uniform moves, with the state after each of them.

    Lengths of ragged sequences are drawn last, so that one stream gives the same sequences with and without.
    """
    _check(group=group, points=points, moves=moves)
    at_least(1, batch=batch, length=length)
    inputs = torch.randint(0, _choices(group, points, moves), (batch, length), generator=rng)  # (B, T)
    elements = inputs if moves == "any" else (inputs - 1) % points
    scored = torch.ones(batch, length, dtype=torch.bool)
    if ragged:
        lengths = torch.randint(1, length + 1, (batch, 1), generator=rng)
        scored = torch.arange(length) < lengths  # (B, T)
    return Batch(inputs=inputs, targets=_running_products(elements, _table(group, points)), scored=scored)


def sizes(*, group: Group = "cyclic", points: int = 2, moves: Moves = "any", ragged: bool = False) -> Sizes:
    """Return what a model must fit: the moves in, the elements of the group out, however the sequences end."""
    del ragged
    _check(group=group, points=points, moves=moves)
    return Sizes(vocab=_choices(group, points, moves), outputs=_elements(group, points))


def bounds(
    *, length: int, group: Group = "cyclic", points: int = 2, moves: Moves = "any", ragged: bool = False
) -> Bounds:
    """Return chance, the entropy and the largest share of the answers over all scored positions; the floor is perfect.

    Where any element may come, the state is uniform after each move: chance is ln |G|. After t steps on a ring it
    still leans towards where it began; chance is then that of one guess for all scored positions together, whose
    shares are summed exactly, short sequences included.
    """
    _check(group=group, points=points, moves=moves)
    at_least(1, length=length)
    if moves == "step":
        shares = _shares_of_places(length=length, points=points, ragged=ragged)
        chance, best = -sum(share * log(share) for share in shares if share > 0), max(shares)
    else:
        chance, best = log(_elements(group, points)), 1 / _elements(group, points)
    return Bounds(chance_loss=chance, floor_loss=0.0, chance_accuracy=best, floor_accuracy=1.0)


def lag(*, length: int, group: Group = "cyclic", points: int = 2, moves: Moves = "any", ragged: bool = False) -> int:
    """Return T-1: the last state hangs on the first move as on every other, in the longest of ragged sequences too."""
    del ragged
    _check(group=group, points=points, moves=moves)
    at_least(1, length=length)
    return length - 1


def tests(
    *,
    group: Group = "cyclic",
    points: int = 2,
    moves: Moves = "any",
    ragged: bool = False,
) -> dict[str, dict[str, Scalar]]:
    """Return the one test: sequences of full length, whatever lengths were trained on."""
    del ragged
    _check(group=group, points=points, moves=moves)
    return {"": {"group": group, "points": points, "moves": moves, "ragged": False}}


def _elements(group: str, points: int) -> int:
    return points if group == "cyclic" else factorial(points)


def _choices(group: str, points: int, moves: str) -> int:
    return 3 if moves == "step" else _elements(group, points)


@cache
def _table(group: str, points: int) -> torch.Tensor:
    """Return the multiplication table, entry [a, b] being first a, then b: (G, G)."""
    if group == "cyclic":
        turns = torch.arange(points)
        return (turns[:, None] + turns) % points
    elements = torch.tensor(list(permutations(range(points))))  # (G, N): row p is where p sends each point
    products = elements[:, elements]  # (G, G, N): [b, a, i] = elements[b, elements[a, i]]
    digits = points ** torch.arange(points - 1, -1, -1)  # (N,): rows read as numbers stand in ascending order
    return torch.searchsorted((elements * digits).sum(-1), (products * digits).sum(-1)).T.contiguous()


def _running_products(elements: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Return the product of the first t elements at each t: (B, T) -> (B, T).

    By doubling: when `reach` is r, every place holds the product of the r elements that end there, or of all before.
    """
    products, reach = elements, 1
    while reach < products.shape[1]:
        joined = table.take(products[:, :-reach] * len(table) + products[:, reach:])
        products = torch.cat((products[:, :reach], joined), dim=1)
        reach *= 2
    return products


def _shares_of_places(*, length: int, points: int, ragged: bool) -> list[float]:
    """Return how often each place of the ring is the answer, over all scored positions."""
    spread = torch.zeros(points, dtype=torch.float64)  # (N,): the chances of each place after so many steps
    spread[0] = 1.0
    total = torch.zeros_like(spread)
    for before in range(length):
        spread = (spread.roll(-1) + spread + spread.roll(1)) / 3
        total += spread * (length - before if ragged else length)  # of `length` sequences, those that come so far
    shares: list[float] = (total / total.sum()).tolist()
    return shares


def _check(*, group: str, points: int, moves: str) -> None:
    at_least(2, points=points)
    if group not in _MOST_POINTS:
        raise InvalidInput(f"group {group!r} is unknown; give one of {', '.join(_MOST_POINTS)}")
    if moves not in _MOVES:
        raise InvalidInput(f"moves {moves!r} is unknown; give one of {', '.join(_MOVES)}")
    if points > _MOST_POINTS[group]:
        raise InvalidInput(f"points {points}: too many elements in a {group} group; give at most {_MOST_POINTS[group]}")
    if moves == "step" and group != "cyclic":
        raise InvalidInput(f"moves 'step' goes round a ring, which a {group} group has not; give group 'cyclic'")
