"""Find the one key that is asked for among others like it, and give its value (needle retrieval with distractors).

A key is two letters; a pair is a key and its value, three tokens in a row. N pairs stand anywhere in a stream of noise
without overlapping, and one of their keys, at the end, asks for its value. Tokens are values 0 … K-1,
then letters, then noise. With pairs=2 (N), as digits for values, small letters for letters and . , for noise:

    near = 0, length 12    . a b 3 , . d c 1 . a b    ->  - - - - - - - - - - - 3
    near = 1, length 12    c b 2 , c d 0 . . , c d    ->  - - - - - - - - - - - 0

`near` of the other N-1 keys are near duplicates: they share exactly one letter with the asked key, at its place. The
others share none with it. Keys are different, and so are values. Only the last position is scored. Tag "lag" is,
there, how many positions back the value stands; 0 elsewhere.

Two guesses are worth knowing: chance, one of the K values, and `context_loss`, one of the N values shown.
"""

from math import log

import torch
from torch import Tensor

from seqbench.errors import InvalidInput
from seqbench.measure.generators.base import Batch, Bounds, Sizes, at_least, at_the_end, distinct


def sample(
    rng: torch.Generator,
    *,
    batch: int,
    length: int,
    pairs: int = 4,
    near: int = 2,
    items: int = 16,
    letters: int = 8,
    distractors: int = 8,
) -> Batch:
    """Return sequences of `length` tokens: noise, N pairs at uniform places in it, and the asked key at the end.

    Raises InvalidInput when the length leaves no room, or there are too few letters or items for keys or values.
    """
    _check(pairs=pairs, near=near, items=items, letters=letters, distractors=distractors, length=length)
    at_least(1, batch=batch)
    noise = items + letters
    inputs = torch.randint(noise, noise + distractors, (batch, length), generator=rng)  # (B, T)
    keys = items + _keys(rng, batch=batch, pairs=pairs, near=near, letters=letters)  # (B, N, 2), the asked one first
    values = distinct(rng, batch=batch, among=items, count=pairs)  # (B, N)
    starts = _starts(rng, batch=batch, pairs=pairs, room=length - 2)  # (B, N)
    places = starts[..., None] + torch.arange(3)  # (B, N, 3)
    triples = torch.cat((keys, values[..., None]), dim=2)  # (B, N, 3)
    inputs.scatter_(1, places.flatten(1), triples.flatten(1))
    inputs[:, -2:] = keys[:, 0]
    return Batch(
        inputs=inputs,
        targets=at_the_end(values[:, 0], length),
        scored=at_the_end(torch.ones(batch, dtype=torch.bool), length),
        tags={"lag": at_the_end(length - 1 - places[:, 0, 2], length)},
    )


def sizes(*, pairs: int = 4, near: int = 2, items: int = 16, letters: int = 8, distractors: int = 8) -> Sizes:
    """Return what a model must fit: values, letters and noise in, values out."""
    _check(pairs=pairs, near=near, items=items, letters=letters, distractors=distractors)
    return Sizes(vocab=items + letters + distractors, outputs=items)


def bounds(
    *, length: int, pairs: int = 4, near: int = 2, items: int = 16, letters: int = 8, distractors: int = 8
) -> Bounds:
    """Return chance, one of the `items` values, and the floor, which is perfect."""
    _check(pairs=pairs, near=near, items=items, letters=letters, distractors=distractors, length=length)
    return Bounds(chance_loss=log(items), floor_loss=0.0, chance_accuracy=1 / items, floor_accuracy=1.0)


def context_loss(
    *, length: int, pairs: int = 4, near: int = 2, items: int = 16, letters: int = 8, distractors: int = 8
) -> float:
    """Return ln N nats: what a guess costs of one who has seen which values there are, and not whose they are."""
    _check(pairs=pairs, near=near, items=items, letters=letters, distractors=distractors, length=length)
    return log(pairs)


def lag(*, length: int, pairs: int = 4, near: int = 2, items: int = 16, letters: int = 8, distractors: int = 8) -> int:
    """Return how far back a value can stand: T-3, behind a key that comes first of all.

    That key itself is not needed: who finds the asked key before no other value knows that it was the first.
    """
    _check(pairs=pairs, near=near, items=items, letters=letters, distractors=distractors, length=length)
    return length - 3


def _keys(rng: torch.Generator, *, batch: int, pairs: int, near: int, letters: int) -> Tensor:
    """Return different keys, the asked one, then its near duplicates, then those that share nothing: (B, N, 2)."""
    asked = torch.randint(0, letters, (batch, 1, 2), generator=rng)
    swaps = distinct(rng, batch=batch, among=2 * (letters - 1), count=near)  # (B, near), a place and a letter
    swapped = _except(swaps[..., None] % (letters - 1), asked)  # (B, near, 2), another letter for either place
    which = swaps[..., None] // (letters - 1) == torch.arange(2)  # (B, near, 2), the place where it differs
    far = pairs - 1 - near
    others = torch.stack([distinct(rng, batch=batch, among=letters - 1, count=far) for _ in range(2)], dim=2)
    return torch.cat((asked, torch.where(which, swapped, asked), _except(others, asked)), dim=1)


def _except(numbers: Tensor, taken: Tensor) -> Tensor:
    """Return numbers of 0 … L-2 as numbers of 0 … L-1 that are not `taken`."""
    return numbers + (numbers >= taken)


def _starts(rng: torch.Generator, *, batch: int, pairs: int, room: int) -> Tensor:
    """Return where each of N triples begins in so many positions, no two overlapping, in random order: (B, N).

    Triples shrunk to a point leave `room` - 2N points, of which every choice is equally likely; each triple before
    one pushes it two positions on.
    """
    points = distinct(rng, batch=batch, among=room - 2 * pairs, count=pairs)
    before = points.argsort(dim=1).argsort(dim=1)  # (B, N), how many stand before each
    return points + 2 * before


def _check(*, pairs: int, near: int, items: int, letters: int, distractors: int, length: int | None = None) -> None:
    at_least(1, pairs=pairs, distractors=distractors)
    at_least(0, near=near)
    at_least(2, items=items, letters=letters)
    if near >= pairs:
        raise InvalidInput(f"near {near} leaves no asked key; give less than pairs, {pairs}")
    if items <= pairs:  # were all values shown, the farthest would follow from the others
        raise InvalidInput(f"items {items} leave none unshown by {pairs} pairs; give at least {pairs + 1}")
    least = max(pairs - near, (near + 3) // 2)
    if letters < least:
        raise InvalidInput(
            f"letters {letters} are too few for {pairs} different keys, {near} of them near; give at least {least}"
        )
    if length is not None and length < 3 * pairs + 2:
        raise InvalidInput(f"length {length} leaves no room for {pairs} pairs; give at least {3 * pairs + 2}")
