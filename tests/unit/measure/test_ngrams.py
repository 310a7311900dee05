"""Count models are proper distributions and agree with a reference that counts in dicts."""

import math
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqbench.errors import InvalidInput
from seqbench.measure.corpora.ngrams import can_count, compressed, kneser_ney, order0
from seqbench.measure.corpora.text import read, split

ALPHABET = 4
texts = st.lists(st.integers(0, ALPHABET - 1), min_size=6, max_size=80).map(lambda ids: np.array(ids, dtype=np.int64))
orders = st.integers(0, 4)


def reference(train: list[int], past: tuple[int, ...], then: int, *, order: int) -> float:
    """Return interpolated Kneser-Ney's p(then | the last `order` of past), counted the slow way."""
    level = Counter(tuple(train[i : i + order + 1]) for i in range(len(train) - order))
    levels = [level]
    for _ in range(order):
        level = Counter(gram[1:] for gram in level)
        levels.append(level)
    probability = 1 / ALPHABET
    for remembered, counts in enumerate(reversed(levels)):
        if remembered > len(past):
            break
        context = past[len(past) - remembered :]
        once, twice = (sum(count == k for count in counts.values()) for k in (1, 2))
        discount = once / (once + 2 * twice) if once else 0.5
        going_on = {gram: count for gram, count in counts.items() if gram[:-1] == context}
        if going_on:
            total = sum(going_on.values())
            kept = max(going_on.get((*context, then), 0) - discount, 0) if (*context, then) in going_on else 0.0
            probability = (kept + discount * len(going_on) * probability) / total
    return probability


@settings(max_examples=60, deadline=None)
@given(train=texts, asked=texts, order=orders)
def test_kneser_ney_agrees_with_the_reference(train, asked, order):
    """Every surprisal, the first ones with little past too, is that of the definition."""
    bits = kneser_ney(train, ALPHABET, order=order).bits(asked)
    expected = [
        -math.log2(reference(train.tolist(), tuple(asked[max(0, at - order) : at].tolist()), int(then), order=order))
        for at, then in enumerate(asked)
    ]
    assert bits == pytest.approx(expected, rel=1e-10)


@settings(max_examples=60, deadline=None)
@given(train=texts, past=texts, order=orders)
def test_kneser_ney_is_a_distribution(train, past, order):
    """After any past, seen or not, the characters have probability 1 together and none is impossible."""
    model = kneser_ney(train, ALPHABET + 1, order=order)  # the last character is never seen
    after = [2 ** -model.bits(np.append(past, then))[-1] for then in range(ALPHABET + 1)]
    assert math.fsum(after) == pytest.approx(1, abs=1e-10)
    assert min(after) > 0


@settings(max_examples=30, deadline=None)
@given(train=texts)
def test_order0_is_the_share_counted_once_more(train):
    """Each character costs −log2 of (its count + 1) over (all + V)."""
    bits = order0(train, ALPHABET + 1).bits(np.arange(ALPHABET + 1))
    counts = Counter(train.tolist())
    expected = [-math.log2((counts[c] + 1) / (len(train) + ALPHABET + 1)) for c in range(ALPHABET + 1)]
    assert bits == pytest.approx(expected)


def test_a_remembered_cycle_costs_next_to_nothing():
    """In a text that repeats, the character after a known context is all but certain."""
    cycle = np.tile(np.arange(3), 1000)
    assert kneser_ney(cycle, 3, order=2).bits(cycle)[2:].max() < 1e-3
    assert order0(cycle, 3).bits(cycle).mean() == pytest.approx(math.log2(3), abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1, 2], 3, 3), "3 characters cannot train order 3; give at least 4"),
        (([0, 1, 2], 92, 9), "order 9 over 92 characters does not fit 63 bits; give a lower order"),
        (([0, 1, 2], 3, -1), "order -1 over 3 characters does not fit 63 bits; give a lower order"),
        (([0, 1, 3], 3, 1), "ids from 0 to 3 over 3 characters; give ids from 0 to 2"),
    ],
)
def test_what_cannot_be_counted_is_refused(arguments, message):
    """An order or an id that is out of range is named with what would do."""
    ids, size, order = arguments
    with pytest.raises(InvalidInput) as caught:
        kneser_ney(np.array(ids), size, order=order)
    assert message == str(caught.value)


@pytest.mark.skipif("SEQBENCH_TEST_CORPORA" not in os.environ, reason="SEQBENCH_TEST_CORPORA names no folder of texts")
def test_more_memory_helps_on_real_text():
    """On held-out Lovecraft each order beats the one below, by about as much as was once measured."""
    text = split(read(Path(os.environ["SEQBENCH_TEST_CORPORA"]) / "lovecraft"), by="character")
    size = len(text.alphabet)
    measured = [order0(text.train, size).bits(text.test).mean()]
    measured += [kneser_ney(text.train, size, order=order).bits(text.test).mean() for order in (2, 4)]
    assert measured == pytest.approx([4.3824, 2.8557, 2.0446], abs=1e-3)


def test_what_was_read_before_costs_a_compressor_little():
    """A test text that stands in the training text costs next to nothing, random letters what their alphabet says."""
    rng = np.random.default_rng(3)
    letters = "".join(rng.choice(list("abcdefgh"), 6000))
    other = "".join(rng.choice(list("abcdefgh"), 2000))
    assert compressed(letters, letters[1000:3000]) < 0.1
    assert compressed(letters, other) == pytest.approx(3, abs=0.4)


def test_an_order_that_cannot_be_counted_is_told_beforehand():
    """A large alphabet or a short text allows less memory."""
    ids = np.arange(5)
    assert [can_count(ids, 5, order=order) for order in (4, 5)] == [True, False]
    assert [can_count(np.zeros(99, dtype=np.int64), 3000, order=order) for order in (4, 5)] == [True, False]
