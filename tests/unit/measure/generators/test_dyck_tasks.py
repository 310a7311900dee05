"""Brackets of bounded depth: the texts that are drawn, their exact entropy, and what the stack is worth."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import chi2_contingency, chisquare

from seqbench.errors import InvalidInput
from seqbench.measure.generators import GENERATORS
from seqbench.measure.seeds import stream

DYCK = GENERATORS.load("dyck")


def drawn(*seed, batch, length, **params):
    """Return a batch from the stream of these tests."""
    return DYCK.sample(stream("dyck", *seed), batch=batch, length=length, **params)


def texts(length, *, kinds, depth, stack=()):
    """Yield every text that can follow these open brackets, with its probability."""
    if length == 0:
        yield (), 1.0
        return
    moves = []
    if len(stack) < depth:
        share = (1.0 if not stack else 0.5) / kinds
        moves += [(kind, share, (*stack, kind)) for kind in range(kinds)]
    if stack:
        moves.append((kinds + stack[-1], 1.0 if len(stack) == depth else 0.5, stack[:-1]))
    for bracket, share, left in moves:
        for rest, probability in texts(length - 1, kinds=kinds, depth=depth, stack=left):
            yield (bracket, *rest), share * probability


def closing_share(length, depth):
    """Return how many of the brackets of a text close, by powers of the matrix that moves the depth."""
    matrix = np.zeros((depth + 1, depth + 1))
    for level in range(depth + 1):
        for other in (level - 1, level + 1):
            if 0 <= other <= depth:
                matrix[level, other] = 1.0 if level in (0, depth) else 0.5
    deep = np.linalg.matrix_power(matrix, length)[0] @ np.arange(depth + 1)  # as many open as the text is deep
    return (1 - deep / length) / 2


@pytest.mark.parametrize(("kinds", "depth", "length"), [(2, 2, 6), (1, 3, 7), (3, 1, 5), (2, 9, 4), (4, 3, 1)])
def test_bounds_count_every_text(kinds, depth, length):
    """The floor is the entropy of all texts per bracket, chance that of their brackets, listed one by one."""
    listed = list(texts(length, kinds=kinds, depth=depth))
    assert math.fsum(p for _, p in listed) == pytest.approx(1)
    entropy = -math.fsum(p * math.log(p) for _, p in listed) / length
    shares = [math.fsum(p * text.count(bracket) for text, p in listed) / length for bracket in range(2 * kinds)]
    bounds = DYCK.bounds(length=length, kinds=kinds, depth=depth)
    assert bounds.floor_loss == pytest.approx(entropy, rel=1e-12, abs=1e-15)
    assert bounds.chance_loss == pytest.approx(-sum(p * math.log(p) for p in shares if p > 0), rel=1e-12)
    assert bounds.chance_accuracy == pytest.approx(max(shares), rel=1e-12)


def test_the_floor_is_that_of_the_protocol():
    """A text of 64 brackets of four kinds, three deep, holds 1.6806 bits per bracket (protocol 2.11)."""
    assert DYCK.bounds(length=64).floor_loss / math.log(2) == pytest.approx(1.6806, abs=5e-5)


@pytest.mark.parametrize(("kinds", "depth"), [(4, 3), (2, 1), (8, 5)])
def test_a_long_text_has_the_entropy_rate(kinds, depth):
    """Without end the floor is (1 - 1/D) + ½ log2 k bits (protocol 2.11), from above."""
    rate = (1 - 1 / depth) + math.log2(kinds) / 2
    bits = DYCK.bounds(length=20_000, kinds=kinds, depth=depth).floor_loss / math.log(2)
    assert rate <= bits + 1e-12
    assert bits == pytest.approx(rate, abs=1e-3)


def test_texts_come_as_often_as_they_should():
    """Every text of six brackets comes with the probability of its decisions, and no other comes."""
    batch = drawn("texts", batch=50_000, length=6, kinds=2, depth=2)
    expected = dict(texts(6, kinds=2, depth=2))
    seen, counts = batch.targets.unique(dim=0, return_counts=True)
    counted = dict(zip(map(tuple, seen.tolist()), counts.tolist(), strict=True))
    assert counted.keys() <= expected.keys()
    observed = [counted.get(text, 0) for text in expected]
    assert chisquare(observed, [50_000 * p for p in expected.values()]).pvalue > 1e-3


@pytest.mark.parametrize(("kinds", "depth", "length"), [(4, 3, 50), (2, 1, 9), (3, 8, 300)])
def test_tags_are_what_a_stack_says(kinds, depth, length):
    """Depth, closing and distance follow from the text by pushing and popping positions."""
    batch = drawn("tags", batch=20, length=length, kinds=kinds, depth=depth)
    tags = {name: tag.tolist() for name, tag in batch.tags.items()}
    assert {"depth", "closes", "distance"} == tags.keys()
    for row, text in enumerate(batch.targets.tolist()):
        stack = []
        for position, bracket in enumerate(text):
            assert len(stack) == tags["depth"][row][position]
            assert int(bracket >= kinds) == tags["closes"][row][position]
            if bracket < kinds:
                stack.append((position, bracket))
                assert tags["distance"][row][position] == 0
            else:
                opened, kind = stack.pop()
                assert bracket == kinds + kind
                assert position - opened == tags["distance"][row][position]


def test_each_position_asks_for_the_next_bracket():
    """The input is the start token and the text; every position is scored."""
    batch = drawn("next", batch=20, length=30)
    assert (batch.inputs[:, 0] == 8).all()
    assert torch.equal(batch.inputs[:, 1:], batch.targets[:, :-1])
    assert batch.scored.all()


def test_kinds_are_balanced():
    """Every kind opens equally often, whatever kind opened before, and closes equally often (protocol 2.0 iii)."""
    text = drawn("balance", batch=5000, length=20).targets
    assert chisquare(torch.bincount(text[text < 4], minlength=4)).pvalue > 1e-3
    assert chisquare(torch.bincount(text[:, 19][text[:, 19] >= 4] - 4, minlength=4)).pvalue > 1e-3
    first, second = text[:, 0], text[:, 1]
    both = second < 4
    pairs = torch.bincount(4 * first[both] + second[both], minlength=16)
    assert chisquare(pairs).pvalue > 1e-3


@pytest.mark.parametrize("back", [0, 1])
def test_only_its_opener_tells_what_closes(back):
    """The brackets just before a closing one say nothing of its kind, where they are not its opener (2.0 iv)."""
    batch = drawn("mask", batch=4000, length=20)
    far = batch.tags["distance"] > back + 1
    rows, steps = far.nonzero().unbind(1)
    near = batch.inputs[rows, steps - back] % 4
    pairs = torch.bincount(4 * near + batch.targets[rows, steps] - 4, minlength=16).view(4, 4)
    assert chi2_contingency(pairs.numpy()).pvalue > 1e-4


@pytest.mark.parametrize(("kinds", "depth"), [(4, 3), (3, 1)])
def test_a_reader_without_a_stack_pays_for_every_closing_bracket(kinds, depth):
    """Who knows the depth but not the kinds loses ln k more at each closing bracket, as many as there are."""
    losses = []
    for number in range(100):
        batch = drawn("blind", number, batch=16, length=64, kinds=kinds, depth=depth)
        deep, closes = batch.tags["depth"], batch.tags["closes"]
        forced = (deep == 0) | (deep == depth)
        losses.append((math.log(kinds) + torch.where(forced, 0.0, math.log(2))).mean().item())
        assert closes[deep == depth].all()
    floor = DYCK.bounds(length=64, kinds=kinds, depth=depth).floor_loss
    expected = floor + math.log(kinds) * closing_share(64, depth)
    error = np.std(losses, ddof=1) / math.sqrt(len(losses))
    assert abs(np.mean(losses) - expected) <= 4 * error + 1e-6
    assert closing_share(10_000, depth) == pytest.approx(0.5, abs=1e-3)  # ½ ln k per bracket of a long text


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("length", range(1, 11))
def test_the_lag_is_to_the_farthest_opener(depth, length):
    """Some closing bracket is asked as far after its opener as the lag says, and takes its kind; none is further."""
    batch = drawn("lag", batch=20_000, length=length, depth=depth)
    apart = torch.where(batch.tags["closes"] == 1, batch.tags["distance"] - 1, 0)  # from the opener to the question
    far = DYCK.lag(length=length, depth=depth)
    assert far == apart.max()
    rows, steps = ((apart == far) & (batch.tags["closes"] == 1)).nonzero().unbind(1)
    assert torch.equal(batch.inputs[rows, steps - far] + 4, batch.targets[rows, steps])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"length": 0}, "length 0: too small; give at least 1"),
        ({"length": 9, "kinds": 0}, "kinds 0: too small; give at least 1"),
        ({"length": 9, "depth": 0, "kinds": -1}, "kinds -1, depth 0: too small; give at least 1"),
    ],
)
def test_dyck_refuses_what_it_cannot_ask(params, message):
    """An impossible parameter is named with what would be possible, wherever it is given."""
    for refuse in (lambda: drawn("refused", batch=2, **params), lambda: DYCK.bounds(**params)):
        with pytest.raises(InvalidInput) as caught:
            refuse()
        assert message == str(caught.value)
