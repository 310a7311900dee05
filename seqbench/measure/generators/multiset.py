"""Answer what depends on which items a sequence holds and not on their order: counts, majority, maximum, sum, kinds.

The sequence is `length` items 0 … K-1 and one query, at which the answer is read: T = length + 1. With length 5 and
tokens=10 (K, so the query is 10, written ?), for majority tokens=2:

    asks = count, counted = 3    4 0 9 2 7 ?  ->  - - - - - 2     items less than 3
    asks = majority              1 0 0 1 1 ?  ->  - - - - - 1     the commoner bit of an odd number
    asks = max                   4 0 9 2 7 ?  ->  - - - - - 9     the largest item
    asks = sum                   4 0 9 2 7 ?  ->  - - - - - -.5   a regression, by the squared error
    asks = distinct              4 0 4 2 0 ?  ->  - - - - - 3     different items

The sum is that of the items' distances from their mean, (K-1)/2: here 22 - 5 · 4.5. Its variance is that of the plain
sum. Recurrent networks of 32 units that reach an R² of .976 to .994 on ten digits in 400 steps (32 sequences each, rate
0.003) are on the plain sum still worse than the constant 45: they are on the way to 45, which nobody asked about.

Training may show the items in any of four orders: random; sorted, lowest first; reversed, highest first; or key_first,
those on which the answer hangs before the others, and random within each of the two groups:

    count       items less than `counted`
    majority    ones, so that key_first is reversed
    max         every copy of the largest item
    sum         larger items before smaller ones, so that key_first is reversed
    distinct    one copy of each different item, the repeats after them

`test_order` is the order in which probe order_shift shows the same items once more; it does not change what is drawn.
What a model must fit does not grow with the length: one that was trained on few items can be tested on more.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import comb, log

import torch
from torch import Tensor

from seqbench.errors import InvalidInput
from seqbench.measure.generators.base import Batch, Bounds, Sizes, at_least

_ORDERS = ("random", "sorted", "reversed", "key_first")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """What is asked of items 0 … K-1, and what is known about the answers.

    answer: (B, n) items -> (B,) int64 classes, or the float32 numbers of a regression.
    rank: (B, n) items -> (B, n) int64; key_first sorts by it, lowest first, and leaves equals as they were.
    outputs: how many classes there are, 1 for a regression. variance: of what one item adds to a regression's answer.
    ways: n -> how many of the Kⁿ sequences of n items have the answer 0, 1, … (exact); None for a regression.
    wrong: n -> why it cannot be asked of n items and what to give; nothing where it can.
    """

    answer: Callable[[Tensor], Tensor]
    rank: Callable[[Tensor], Tensor]
    outputs: int
    ways: Callable[[int], Sequence[int]] | None
    variance: float = 0.0
    wrong: Callable[[int], str] = lambda _: ""


def sample(
    rng: torch.Generator,
    *,
    batch: int,
    length: int,
    asks: str = "count",
    order: str = "random",
    test_order: str = "random",
    tokens: int = 10,
    counted: int | None = None,
    most: int | None = None,
) -> Batch:
    """Return sequences of `length` uniform items in an order, and the query; only the query is scored.

    The items are drawn before they are ordered, so that one stream gives the same items in every order.
    counted, most: of asks="count" alone, 3 and 24 where they are not given; see `sizes`.
    """
    at_least(1, batch=batch)
    question = _asked(
        asks=asks, order=order, test_order=test_order, tokens=tokens, counted=counted, most=most, length=length
    )
    items = _in_order(torch.randint(0, tokens, (batch, length), generator=rng), order, rng, question)  # (B, n)
    answers = question.answer(items)  # (B,)
    targets = torch.zeros(batch, length + 1, dtype=answers.dtype)
    targets[:, -1] = answers
    scored = torch.zeros(batch, length + 1, dtype=torch.bool)
    scored[:, -1] = True
    query = torch.full((batch, 1), tokens)
    return Batch(inputs=torch.cat((items, query), dim=1), targets=targets, scored=scored)


def reordered(
    inputs: Tensor,
    rng: torch.Generator,
    *,
    asks: str = "count",
    order: str = "random",
    test_order: str = "random",
    tokens: int = 10,
    counted: int | None = None,
    most: int | None = None,
) -> Tensor:
    """Return the same sequences with their items in `test_order`; the query stays at the end: (B, T) -> (B, T)."""
    question = _asked(asks=asks, order=order, test_order=test_order, tokens=tokens, counted=counted, most=most)
    return torch.cat((_in_order(inputs[:, :-1], test_order, rng, question), inputs[:, -1:]), dim=1)


def sizes(
    *,
    asks: str = "count",
    order: str = "random",
    test_order: str = "random",
    tokens: int = 10,
    counted: int | None = None,
    most: int | None = None,
) -> Sizes:
    """Return what a model must fit: tokens and the query in, answers out, whatever the length.

    The answers are counts 0 … `most`, a bit, one of K items, 0 … K different items, or the one number of a sum.
    """
    question = _asked(asks=asks, order=order, test_order=test_order, tokens=tokens, counted=counted, most=most)
    return Sizes(vocab=tokens + 1, outputs=question.outputs)


def bounds(
    *,
    length: int,
    asks: str = "count",
    order: str = "random",
    test_order: str = "random",
    tokens: int = 10,
    counted: int | None = None,
    most: int | None = None,
) -> Bounds:
    """Return chance, from the exact shares of all answers, and the perfect floor.

    Chance is the entropy of the answer and its commonest share: of Bin(n, counted/K) for a count, of two equal halves
    for a majority, of P(k) = ((k+1)/K)ⁿ - (k/K)ⁿ for a maximum, of the occupancy numbers for different items. For a
    sum it is the variance n(K² - 1)/12, in squared units.
    """
    question = _asked(
        asks=asks, order=order, test_order=test_order, tokens=tokens, counted=counted, most=most, length=length
    )
    if question.ways is None:
        return Bounds(chance_loss=question.variance * length, floor_loss=0.0, loss_unit="squared error")
    shares = [ways / tokens**length for ways in question.ways(length)]
    return Bounds(
        chance_loss=-sum(share * log(share) for share in shares if share),
        floor_loss=0.0,
        chance_accuracy=max(shares),
        floor_accuracy=1.0,
    )


def lag(
    *,
    length: int,
    asks: str = "count",
    order: str = "random",
    test_order: str = "random",
    tokens: int = 10,
    counted: int | None = None,
    most: int | None = None,
) -> int:
    """Return `length`: the answer is read that many positions after the first item, which may decide it."""
    _asked(asks=asks, order=order, test_order=test_order, tokens=tokens, counted=counted, most=most, length=length)
    return length


def _in_order(items: Tensor, order: str, rng: torch.Generator, question: _Question) -> Tensor:
    """Return the items of each row in an order: (B, n) -> (B, n)."""
    if order in ("sorted", "reversed"):
        return items.sort(dim=1, descending=order == "reversed").values
    keys = torch.rand(items.shape, generator=rng, dtype=torch.float64)
    shuffled = items.gather(1, keys.argsort(dim=1))
    if order == "random":
        return shuffled
    return shuffled.gather(1, question.rank(shuffled).argsort(dim=1, stable=True))


def _asked(
    *,
    asks: str,
    order: str,
    test_order: str,
    tokens: int,
    counted: int | None,
    most: int | None,
    length: int | None = None,
) -> _Question:
    """Return the question of this name; raise InvalidInput for what is unknown or cannot be asked."""
    for name, value, known in (
        ("asks", asks, _QUESTIONS),
        ("order", order, _ORDERS),
        ("test_order", test_order, _ORDERS),
    ):
        if value not in known:
            raise InvalidInput(f"{name} {value!r} is unknown; give one of {', '.join(known)}")
    at_least(2, tokens=tokens)
    own = {name: value for name, value in (("counted", counted), ("most", most)) if value is not None}
    if asks != "count" and own:
        given = ", ".join(f"{name} {value}" for name, value in own.items())
        raise InvalidInput(f"{given}: asks {asks!r} does not count; leave it out")
    question = _QUESTIONS[asks](tokens, **own)
    if length is not None:
        at_least(1, length=length)
        if wrong := question.wrong(length):
            raise InvalidInput(f"length {length} {wrong}")
    return question


def _count(tokens: int, *, counted: int = 3, most: int = 24) -> _Question:
    at_least(1, counted=counted, most=most)
    if counted >= tokens:
        raise InvalidInput(f"counted {counted} leaves nothing uncounted; give less than tokens, {tokens}")
    return _Question(
        answer=lambda items: (items < counted).sum(1),
        rank=lambda items: (items >= counted).long(),
        outputs=most + 1,
        ways=lambda n: [comb(n, k) * counted**k * (tokens - counted) ** (n - k) for k in range(n + 1)],
        wrong=lambda n: f"can give a count over most, {most}; give most of {n} or more" if n > most else "",
    )


def _majority(tokens: int) -> _Question:
    if tokens != 2:
        raise InvalidInput(f"tokens {tokens}: a majority is one of bits; give tokens 2")
    return _Question(
        answer=lambda items: (2 * items.sum(1) > items.shape[1]).long(),
        rank=lambda items: 1 - items,
        outputs=2,
        ways=lambda n: [2 ** (n - 1)] * 2,
        wrong=lambda n: "" if n % 2 else f"can end in a tie; give an odd one, {n - 1} or {n + 1}",
    )


def _max(tokens: int) -> _Question:
    return _Question(
        answer=lambda items: items.amax(1),
        rank=lambda items: (items != items.amax(1, keepdim=True)).long(),
        outputs=tokens,
        ways=lambda n: [(k + 1) ** n - k**n for k in range(tokens)],
    )


def _sum(tokens: int) -> _Question:
    return _Question(
        answer=lambda items: items.sum(1) - items.shape[1] * (tokens - 1) / 2,
        rank=lambda items: -items,
        outputs=1,
        ways=None,
        variance=(tokens**2 - 1) / 12,
    )


def _distinct(tokens: int) -> _Question:
    return _Question(
        answer=lambda items: (~_repeated(items)).sum(1),
        rank=lambda items: _repeated(items).long(),
        outputs=tokens + 1,
        ways=lambda n: [comb(tokens, k) * _onto(n, k) for k in range(min(n, tokens) + 1)],
    )


def _repeated(items: Tensor) -> Tensor:
    """Return where an item stands that stood before, further to the left: (B, n) -> (B, n) bool."""
    ordered, places = items.sort(dim=1, stable=True)
    again = torch.zeros_like(items, dtype=torch.bool)
    again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    return again.scatter(1, places, again)


def _onto(n: int, kinds: int) -> int:
    """Return how many sequences of n items hold each of `kinds` kinds at least once: Σ_j (-1)^j C(k, j) (k - j)ⁿ."""
    return sum((-1) ** j * comb(kinds, j) * (kinds - j) ** n for j in range(kinds + 1))


_QUESTIONS: dict[str, Callable[..., _Question]] = {
    "count": _count,
    "majority": _majority,
    "max": _max,
    "sum": _sum,
    "distinct": _distinct,
}
