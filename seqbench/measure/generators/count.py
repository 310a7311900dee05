"""Count the low tokens of a sequence, whose order does not matter.

The sequence is `length` items and one query; the answer, how many items are less than `counted`, is read at the query.
With tokens=10, counted=3 (so the query is 10, written ?) and length 5:

    order = random    4 0 9 2 7 ?  ->  - - - - - 2
    order = sorted    0 1 1 5 8 ?  ->  - - - - - 3

`test_order` is the order in which probe order_shift shows the same items once more; it does not change what is drawn.
"""

from math import comb, log

import torch

from seqbench.errors import InvalidInput
from seqbench.measure.generators.base import Batch, Bounds, Sizes, at_least

_ORDERS = ("random", "sorted", "reversed")


def sample(
    rng: torch.Generator,
    *,
    batch: int,
    length: int,
    order: str = "random",
    test_order: str = "random",
    tokens: int = 10,
    counted: int = 3,
    most: int = 24,
) -> Batch:
    """Return sequences of `length` uniform items in an order, and the query; only the query is scored.

    The items are drawn before they are ordered, so that one stream gives the same items in every order.
    """
    at_least(1, batch=batch)
    _check(length=length, order=order, test_order=test_order, tokens=tokens, counted=counted, most=most)
    items = in_order(torch.randint(0, tokens, (batch, length), generator=rng), order, rng)  # (B, n)
    targets = torch.zeros(batch, length + 1, dtype=torch.int64)
    targets[:, -1] = (items < counted).sum(1)
    scored = torch.zeros(batch, length + 1, dtype=torch.bool)
    scored[:, -1] = True
    query = torch.full((batch, 1), tokens)
    return Batch(inputs=torch.cat((items, query), dim=1), targets=targets, scored=scored)


def in_order(items: torch.Tensor, order: str, rng: torch.Generator) -> torch.Tensor:
    """Return the items of each row in an order: sorted (lowest first), reversed, or random: (B, n) -> (B, n)."""
    if order == "random":
        keys = torch.rand(items.shape, generator=rng, dtype=torch.float64)
        return items.gather(1, keys.argsort(dim=1).to(items.device))
    return items.sort(dim=1, descending=order == "reversed").values


def sizes(
    *,
    order: str = "random",
    test_order: str = "random",
    tokens: int = 10,
    counted: int = 3,
    most: int = 24,
) -> Sizes:
    """Return what a model must fit: tokens and the query in, counts 0 … `most` out, whatever the length."""
    _check(order=order, test_order=test_order, tokens=tokens, counted=counted, most=most)
    return Sizes(vocab=tokens + 1, outputs=most + 1)


def bounds(
    *,
    length: int,
    order: str = "random",
    test_order: str = "random",
    tokens: int = 10,
    counted: int = 3,
    most: int = 24,
) -> Bounds:
    """Return chance, the entropy and the largest probability of Bin(n, counted/tokens), and the perfect floor."""
    _check(length=length, order=order, test_order=test_order, tokens=tokens, counted=counted, most=most)
    share = counted / tokens
    shares = [comb(length, k) * share**k * (1 - share) ** (length - k) for k in range(length + 1)]
    return Bounds(
        chance_loss=-sum(p * log(p) for p in shares),
        floor_loss=0.0,
        chance_accuracy=max(shares),
        floor_accuracy=1.0,
    )


def _check(*, order: str, test_order: str, tokens: int, counted: int, most: int, length: int | None = None) -> None:
    at_least(1, counted=counted, most=most)
    for name, value in (("order", order), ("test_order", test_order)):
        if value not in _ORDERS:
            raise InvalidInput(f"{name} {value!r} is unknown; give one of {', '.join(_ORDERS)}")
    if counted >= tokens:
        raise InvalidInput(f"counted {counted} leaves nothing uncounted; give less than tokens, {tokens}")
    if length is not None:
        at_least(1, length=length)
        if length > most:
            raise InvalidInput(f"length {length} can give a count over most, {most}; give most of {length} or more")
