"""Running products: the groups are groups, the answers uniform, chance exact, and every input needed."""

import math
from collections import Counter
from itertools import permutations, product

import pytest
import torch
from scipy.stats import chi2_contingency, chisquare

from seqbench import cards
from seqbench.errors import InvalidInput
from seqbench.measure.generators import GENERATORS
from seqbench.measure.seeds import stream

TRACKING = GENERATORS.load("state_tracking")
GROUPS = (("cyclic", 2), ("cyclic", 60), ("symmetric", 3), ("symmetric", 5))
every_group = pytest.mark.parametrize(("group", "points"), GROUPS)


def drawn(*seed, batch, length, **params):
    """Return a batch from the stream of these tests."""
    return TRACKING.sample(stream("state tracking", *seed), batch=batch, length=length, **params)


def table_of_answers(group, points):
    """Return the multiplication table that answers to all pairs of inputs spell out: (G, G)."""
    order = TRACKING.sizes(group=group, points=points).outputs
    batch = drawn("pairs", batch=30 * order**2, length=2, group=group, points=points)
    table = torch.full((order, order), -1)
    table[batch.inputs[:, 0], batch.inputs[:, 1]] = batch.targets[:, 1]
    assert table.min() >= 0
    return table


@every_group
def test_the_answers_to_pairs_are_a_group(group, points):
    """Products are associative, 0 is neutral, and every row and column holds every element once."""
    table = table_of_answers(group, points)
    elements = torch.arange(len(table))
    assert torch.equal(table[table], table[:, table])  # (a · b) · c = a · (b · c)
    assert torch.equal(table[0], elements)
    assert torch.equal(table[:, 0], elements)
    assert torch.equal(table.sort(dim=0).values, elements[:, None].expand_as(table))
    assert torch.equal(table.sort(dim=1).values, elements.expand_as(table))


@every_group
def test_only_cyclic_groups_commute(group, points):
    """The order of inputs matters in a symmetric group, and in no cyclic one."""
    table = table_of_answers(group, points)
    assert torch.equal(table, table.T) == (group == "cyclic")


def test_products_permute_lists():
    """Every product of two permutations of five points is the first done to a list, and then the second."""
    table = table_of_answers("symmetric", 5)
    named = list(permutations("01234"))
    numbers = {name: number for number, name in enumerate(named)}
    for one, other in product(named, repeat=2):
        done = tuple(other[int(place)] for place in one)  # i goes to one[i], and from there to other[one[i]]
        assert numbers[done] == table[numbers[one], numbers[other]]


def test_first_then_second_as_the_docstring_shows():
    """Of three points, 1 then 2 is 3 and 2 then 1 is 4."""
    table = table_of_answers("symmetric", 3)
    assert (table[1, 2], table[2, 1]) == (3, 4)


def test_steps_go_down_stay_and_go_up():
    """On a ring of five, tokens 0, 1, 2 lead from the start to places 4, 0, 1."""
    batch = drawn("steps", batch=100, length=1, group="cyclic", points=5, moves="step")
    assert {(0, 4), (1, 0), (2, 1)} == set(zip(batch.inputs[:, 0].tolist(), batch.targets[:, 0].tolist(), strict=True))


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 9, 100])
def test_long_products_are_products_of_prefixes(length):
    """At any length, a state is the state before it times the element shown."""
    batch = drawn("prefixes", batch=50, length=length, group="symmetric", points=5)
    table = table_of_answers("symmetric", 5)
    assert torch.equal(batch.inputs[:, 0], batch.targets[:, 0])
    assert torch.equal(table[batch.targets[:, :-1], batch.inputs[:, 1:]], batch.targets[:, 1:])


@every_group
def test_states_are_balanced(group, points):
    """Every element is the answer equally often, at the first position as at the last (protocol 2.0 iii)."""
    batch = drawn("balance", batch=20_000, length=10, group=group, points=points)
    order = TRACKING.sizes(group=group, points=points).outputs
    for column in (batch.inputs[:, 9], batch.targets[:, 0], batch.targets[:, 9]):
        assert chisquare(torch.bincount(column, minlength=order)).pvalue > 1e-4


@pytest.mark.parametrize("hidden", [0, 2, 5])
@pytest.mark.parametrize(("group", "points"), [("cyclic", 2), ("cyclic", 5), ("symmetric", 3)])
def test_all_inputs_but_one_say_nothing(group, points, hidden):
    """With one element masked, whatever it is, what the others make does not tell the state (protocol 2.0 iv)."""
    batch = drawn("mask", hidden, batch=30_000, length=6, group=group, points=points)
    table = table_of_answers(group, points)
    rest = torch.zeros(30_000, dtype=torch.int64)
    for position in set(range(6)) - {hidden}:
        rest = table[rest, batch.inputs[:, position]]
    pairs = torch.bincount(rest * len(table) + batch.targets[:, 5], minlength=len(table) ** 2)
    assert chi2_contingency(pairs.view(len(table), -1).numpy()).pvalue > 1e-4


def test_ragged_sequences_end_anywhere():
    """Lengths are uniform on 1 … T, and everything up to them is scored, nothing after."""
    batch = drawn("ragged", batch=20_000, length=8, ragged=True)
    lengths = batch.scored.sum(1)
    assert torch.equal(batch.scored, torch.arange(8) < lengths[:, None])
    counts = torch.bincount(lengths, minlength=9)
    assert counts[0] == 0
    assert chisquare(counts[1:]).pvalue > 1e-3


def test_ragged_sequences_are_the_same_sequences():
    """One stream gives the same inputs and answers, whether all or only their beginnings are scored."""
    ragged, full = (drawn("same", batch=50, length=20, points=60, ragged=ragged) for ragged in (True, False))
    assert torch.equal(ragged.inputs, full.inputs)
    assert torch.equal(ragged.targets, full.targets)
    assert full.scored.all()
    assert not ragged.scored.all()


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize(("points", "length"), [(5, 1), (5, 6), (2, 5), (30, 6)])
def test_chance_on_a_ring_counts_every_walk(points, length, ragged):
    """Chance is the entropy of the places that all walks come to, counted one by one."""
    places = Counter()
    for walk in product((-1, 0, 1), repeat=length):
        for end in range(1, length + 1) if ragged else [length]:
            places.update(sum(walk[:step]) % points for step in range(1, end + 1))
    total = sum(places.values())
    entropy = -sum(count / total * math.log(count / total) for count in places.values())
    bounds = TRACKING.bounds(length=length, group="cyclic", points=points, moves="step", ragged=ragged)
    assert bounds.chance_loss == pytest.approx(entropy, rel=1e-12)
    assert bounds.chance_accuracy == pytest.approx(max(places.values()) / total, rel=1e-12)


def test_a_long_walk_forgets_its_start():
    """Chance on a ring of five comes near ln 5 in long sequences, and stays below it."""
    chance = TRACKING.bounds(length=5000, group="cyclic", points=5, moves="step").chance_loss
    assert math.log(5) - 1e-6 < chance < math.log(5)


@pytest.mark.parametrize(
    ("name", "order"), [("parity", 2), ("cycle", 5), ("modular_addition", 60), ("s3", 6), ("s5", 120)]
)
def test_cards_train_on_ragged_lengths_and_test_on_full_ones(name, order):
    """Each card's group has the order it is known for, and its one test differs from training in raggedness alone."""
    params = dict(cards.find(name).params)
    assert TRACKING.sizes(**params).outputs == order
    assert params["ragged"] is True
    assert {"": {**params, "ragged": False}} == TRACKING.tests(**params)


@pytest.mark.parametrize("length", [1, 2, 9])
def test_the_lag_is_from_the_first_input_to_the_last_answer(length):
    """Another first element makes another last state, T-1 positions on; nothing lies further back."""
    batch = drawn("lag", batch=20, length=length, group="symmetric", points=5)
    table = table_of_answers("symmetric", 5)
    far = TRACKING.lag(length=length, group="symmetric", points=5)
    state = (batch.inputs[:, length - 1 - far] + 1) % 120
    for position in range(length - far, length):
        state = table[state, batch.inputs[:, position]]
    assert far == length - 1
    assert (state != batch.targets[:, -1]).all()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"length": 0}, "length 0: too small; give at least 1"),
        ({"length": 9, "points": 1}, "points 1: too small; give at least 2"),
        ({"length": 9, "group": "dihedral"}, "group 'dihedral' is unknown; give one of cyclic, symmetric"),
        ({"length": 9, "moves": "all"}, "moves 'all' is unknown; give one of any, step"),
        ({"length": 9, "points": 721}, "points 721: too many elements in a cyclic group; give at most 720"),
        (
            {"length": 9, "group": "symmetric", "points": 7},
            "points 7: too many elements in a symmetric group; give at most 6",
        ),
        (
            {"length": 9, "group": "symmetric", "points": 3, "moves": "step"},
            "moves 'step' goes round a ring, which a symmetric group has not; give group 'cyclic'",
        ),
    ],
)
def test_state_tracking_refuses_what_it_cannot_ask(params, message):
    """An impossible parameter is named with what would be possible, when sampling as when computing bounds."""
    with pytest.raises(InvalidInput) as caught:
        drawn("refused", batch=2, **params)
    assert message == str(caught.value)
    with pytest.raises(InvalidInput) as caught:
        TRACKING.bounds(**params)
    assert message == str(caught.value)


@pytest.mark.parametrize("of", ["sizes", "tests"])
def test_groups_are_checked_without_a_length_too(of):
    """What has no length refuses an unknown group all the same."""
    with pytest.raises(InvalidInput, match=r"^group 'free' is unknown; give one of cyclic, symmetric$"):
        vars(TRACKING)[of](group="free")
