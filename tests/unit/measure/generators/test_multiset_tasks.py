"""Tasks on multisets: their closed forms, their orders, and what a hidden item takes away."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from scipy.stats import binom, chi2_contingency, chisquare

from seqbench import cards
from seqbench.errors import InvalidInput
from seqbench.measure.generators import multiset
from seqbench.measure.seeds import stream

COUNT = {"asks": "count"}
MAJORITY = {"asks": "majority", "tokens": 2}
MAX = {"asks": "max", "tokens": 60}
SUM = {"asks": "sum"}
DISTINCT = {"asks": "distinct", "tokens": 8}
EVERY = [(COUNT, 12), (MAJORITY, 21), (MAX, 10), (SUM, 10), (DISTINCT, 8)]
every_question = pytest.mark.parametrize(("params", "length"), EVERY, ids=[params["asks"] for params, _ in EVERY])


def drawn(name, length, *, batch=20_000, **params):
    """Return the items (B, n) and the answers (B,) of a batch."""
    one = multiset.sample(stream("multiset", name), batch=batch, length=length, **params)
    return one.inputs[:, :length], one.targets[:, -1]


def fits(counts, expected):
    """Return the p-value of counts against expected ones, those below 5 taken together."""
    rare = expected < 5
    observed = [*counts[~rare], counts[rare].sum()] if rare.any() else counts
    wanted = [*expected[~rare], expected[rare].sum()] if rare.any() else expected
    return chisquare(observed, wanted, sum_check=False).pvalue


# what the answers are


def test_counts_are_binomial():
    """How often each count is the answer follows Bin(12, 0.3) (protocol 2.0 iii)."""
    counts = torch.bincount(drawn("balance", 12)[1], minlength=25)
    expected = 20_000 * binom.pmf(np.arange(13), 12, 0.3)
    tail = slice(9, 13)  # too rare to test one by one
    assert counts[13:].sum() == 0
    observed = [*counts[:9].tolist(), counts[tail].sum().item()]
    assert chisquare(observed, [*expected[:9], expected[tail].sum()]).pvalue > 1e-3


def test_either_bit_is_the_commoner_half_the_time():
    """The two answers of a majority are balanced, which an even number of bits could not be (protocol 2.0 iii)."""
    assert chisquare(torch.bincount(drawn("balance", 21, **MAJORITY)[1], minlength=2)).pvalue > 1e-3


def test_maxima_are_distributed_as_documented():
    """How often each of 60 items is the largest of ten follows P(k) = ((k+1)/K)ⁿ - (k/K)ⁿ (protocol 2.0 iii)."""
    counts = torch.bincount(drawn("balance", 10, **MAX)[1], minlength=60).numpy()
    assert fits(counts, 20_000 * np.diff((np.arange(61) / 60) ** 10)) > 1e-3


def test_numbers_of_kinds_are_distributed_as_every_sequence_says():
    """How often 1 … 4 of 4 kinds are among six items follows from all 4⁶ sequences, one by one (protocol 2.0 iii)."""
    kinds = np.array([len(set(items)) for items in product(range(4), repeat=6)])
    shares = np.bincount(kinds, minlength=5) / len(kinds)
    counts = torch.bincount(drawn("balance", 6, asks="distinct", tokens=4)[1], minlength=5).numpy()
    assert counts[0] == 0
    assert fits(counts[1:], 20_000 * shares[1:]) > 1e-3
    found = multiset.bounds(length=6, asks="distinct", tokens=4)
    assert found.chance_loss == pytest.approx(-(shares[1:] * np.log(shares[1:])).sum(), rel=1e-12)
    assert found.chance_accuracy == pytest.approx(shares.max(), rel=1e-12)


@pytest.mark.parametrize("length", [1, 10, 20])
def test_a_sum_varies_by_as_much_as_documented(length):
    """To predict 0, the mean, costs 8.25 for every digit, within 4 standard errors (protocol 2.13)."""
    sums = drawn("chance", length, **SUM)[1].double()
    assert multiset.bounds(length=length, **SUM).chance_loss == 8.25 * length
    assert abs(sums.mean()) <= 4 * sums.std() / math.sqrt(20_000)
    assert abs(sums.square().mean() - 8.25 * length) <= 4 * sums.square().std() / math.sqrt(20_000)


@pytest.mark.parametrize(("tokens", "variance"), [(2, 1 / 4), (3, 2 / 3), (10, 8.25)])
def test_one_item_adds_its_variance(tokens, variance):
    """A fair bit varies by 1/4, one of 0, 1, 2 by 2/3, a digit by 8.25."""
    assert multiset.bounds(length=1, asks="sum", tokens=tokens).chance_loss == pytest.approx(variance)


# chance in closed form


@pytest.mark.parametrize("length", [1, 12, 24])
def test_the_chance_of_counting_is_the_entropy_of_a_binomial(length):
    """Chance is the entropy and the mode of Bin(n, 0.3), as an independent implementation has them."""
    bounds = multiset.bounds(length=length)
    assert bounds.chance_loss == pytest.approx(float(binom(length, 0.3).entropy()), rel=1e-9)
    assert bounds.chance_accuracy == pytest.approx(binom.pmf(np.arange(length + 1), length, 0.3).max(), rel=1e-9)


@pytest.mark.parametrize(
    ("params", "bits"),
    [({**COUNT, "length": 12}, 2.7021), ({"asks": "max", "tokens": 10, "length": 4}, 2.4147)],
)
def test_answers_hold_the_bits_of_the_protocol(params, bits):
    """H(Bin(12, 0.3)) is 2.7021 bits, the largest of four digits has 2.415 (protocol 2.13)."""
    assert multiset.bounds(**params).chance_loss / math.log(2) == pytest.approx(bits, abs=5e-5)


def test_the_commonest_maximum_is_that_of_the_protocol():
    """Nine is the largest of four digits with probability 1 - 0.9⁴ = .3439 (protocol 2.13)."""
    assert multiset.bounds(length=4, asks="max").chance_accuracy == pytest.approx(1 - 0.9**4)


def test_the_largest_is_hard_to_guess_at_every_length_of_its_card():
    """The card of maxima has at most a third as many items as there are numbers (protocol 2.13)."""
    card = cards.find("max")
    lengths = card.lengths
    assert max(*lengths.smoke, *lengths.quick, *lengths.standard, *lengths.full) * 3 <= card.params["tokens"]


def test_chance_is_known_where_single_answers_are_beyond_the_range_of_numbers():
    """0.3^1200 is less than any float holds: such an answer costs nothing, and the entropy is that of the others."""
    bounds = multiset.bounds(length=1200, most=1200)
    assert bounds.chance_loss == pytest.approx(float(binom(1200, 0.3).entropy()), rel=1e-9)


def test_a_single_bit_tells_little_of_a_majority():
    """Who sees one of 21 bits is right with ½ + ½·C(20, 10)/2²⁰ = .5881 (protocol 2.13), within 4 standard errors."""
    expected = 0.5 + 0.5 * math.comb(20, 10) / 2**20
    assert expected == pytest.approx(0.5881, abs=5e-5)
    items, answers = drawn("one bit", 21, batch=100_000, **MAJORITY)
    for place in (0, 10, 20):
        right = (items[:, place] == answers).double().mean()
        assert abs(right - expected) <= 4 * math.sqrt(expected * (1 - expected) / 100_000)


# what a hidden item takes away (protocol 2.0 iv)


def independent(rest, hidden):
    """Return the p-value of two columns of small numbers having nothing to do with each other."""
    table = torch.bincount(rest * (int(hidden.max()) + 1) + hidden).numpy()
    table = np.pad(table, (0, -len(table) % (int(hidden.max()) + 1))).reshape(-1, int(hidden.max()) + 1)
    common = table[table.sum(1) > 200]
    return chi2_contingency(common[:, common.sum(0) > 0]).pvalue


def test_a_count_without_its_items_says_nothing():
    """What one masked item adds to the count does not follow from the others."""
    items, counts = drawn("mask", 12)
    rest = (items[:, 1:] < 3).sum(1)
    hidden = counts - rest
    assert set(hidden.tolist()) == {0, 1}
    assert independent(rest, hidden) > 1e-4


def test_a_sum_without_an_item_says_nothing_of_it():
    """What one masked digit adds to the sum is a uniform digit, whatever the others add up to."""
    items, sums = drawn("mask", 10, **SUM)
    rest = items[:, 1:].sum(1)
    hidden = (sums + 45).long() - rest
    assert chisquare(torch.bincount(hidden, minlength=10)).pvalue > 1e-4
    assert independent(rest, hidden) > 1e-4


def test_a_tie_of_the_others_leaves_a_majority_open():
    """Where twenty bits tie, the answer is the masked one, and that is a fair coin."""
    items, answers = drawn("mask", 21, **MAJORITY)
    tied = answers[items[:, 1:].sum(1) == 10]
    assert len(tied) > 3000
    assert chisquare(torch.bincount(tied, minlength=2)).pvalue > 1e-4


def test_a_masked_item_is_the_largest_as_often_as_any_other():
    """The answer is above the largest of nine with P = Σ_k (59-k)/60 · P(k), and each such number equally often."""
    items, answers = drawn("mask", 10, **MAX)
    rest = items[:, 1:].amax(1)
    shares = np.diff((np.arange(61) / 60) ** 9)
    expected = ((59 - np.arange(60)) / 60 * shares).sum()
    raised = answers > rest
    assert abs(raised.double().mean() - expected) <= 4 * math.sqrt(expected * (1 - expected) / 20_000)
    steps = (answers - rest)[rest == 54]  # 55 … 59 are left
    assert chisquare(torch.bincount(steps, minlength=6)[1:]).pvalue > 1e-4


def test_a_masked_item_is_of_a_new_kind_as_often_as_kinds_are_left():
    """With d of 8 kinds among seven items, the eighth adds one with probability (8 - d)/8."""
    items, answers = drawn("mask", 8, **DISTINCT)
    rest = torch.tensor([len(set(row)) for row in items[:, 1:].tolist()])
    for kinds in (3, 4, 5, 6):
        added = (answers - rest)[rest == kinds].double()
        expected = (8 - kinds) / 8
        assert abs(added.mean() - expected) <= 4 * math.sqrt(expected * (1 - expected) / len(added))


# layout and orders


@every_question
def test_the_query_stands_last_and_alone_is_scored(params, length):
    """The sequence is the items and one query, token K, and only there is anything asked."""
    batch = multiset.sample(stream("layout"), batch=50, length=length, **params)
    tokens = params.get("tokens", 10)
    assert torch.equal(batch.inputs[:, -1], torch.full((50,), tokens))
    assert batch.inputs[:, :-1].max() < tokens
    assert torch.equal(batch.scored.nonzero(), torch.stack([torch.arange(50), torch.full((50,), length)], 1))


@every_question
def test_every_order_shows_the_same_items(params, length):
    """One stream gives the same multiset and the same answer in every order, sorted as each name says."""
    found = {
        order: drawn("orders", length, batch=300, order=order, **params)
        for order in ("random", "sorted", "reversed", "key_first")
    }
    ascending = found["sorted"][0]
    for items, answers in found.values():
        assert torch.equal(items.sort(dim=1).values, ascending)
        assert torch.equal(answers, found["random"][1])
    assert torch.equal(ascending, ascending.sort(dim=1).values)
    assert torch.equal(found["reversed"][0], ascending.flip(1))
    assert (found["random"][0] != ascending).any(1).double().mean() > 0.95


@pytest.mark.parametrize(
    ("params", "key"),
    [
        (COUNT, lambda row, place: row[place] < 3),
        (MAJORITY, lambda row, place: row[place] == 1),
        (MAX, lambda row, place: row[place] == max(row)),
        (DISTINCT, lambda row, place: row[place] not in row[:place]),
    ],
    ids=["count", "majority", "max", "distinct"],
)
def test_key_first_shows_what_decides_before_the_rest(params, key):
    """Counted items, ones, the largest, one of each kind: once the first other item came, none of these follows."""
    items, _ = drawn("key first", 21, batch=300, order="key_first", **params)
    flags = torch.tensor([[key(row, place) for place in range(21)] for row in items.tolist()])
    assert (~flags).any(1).double().mean() > 0.9
    assert torch.equal(flags, flags.int().cumprod(1).bool())


def test_key_first_of_a_sum_falls():
    """Larger digits add more and come before smaller ones."""
    items, _ = drawn("key first", 10, batch=300, order="key_first", **SUM)
    assert torch.equal(items, items.sort(dim=1, descending=True).values)


@pytest.mark.parametrize(("params", "kinds"), [(COUNT, 3), (DISTINCT, 8)], ids=["count", "distinct"])
def test_key_first_is_random_among_what_decides(params, kinds):
    """Any of the counted digits, or of the kinds, may come first of all."""
    items, _ = drawn("key first", 12, order="key_first", **params)
    assert chisquare(torch.bincount(items[:, 0], minlength=10)[:kinds]).pvalue > 1e-3


@pytest.mark.parametrize(
    ("params", "length"), [(COUNT, 12), (MAX, 10), (DISTINCT, 8)], ids=["count", "max", "distinct"]
)
def test_key_first_is_random_among_the_rest(params, length):
    """The last two items, where they differ, rise as often as they fall, within 4 standard errors."""
    items, _ = drawn("key first", length, order="key_first", **params)
    last, before = items[:, -1], items[:, -2]
    apart = last != before
    if params is COUNT:
        apart &= before >= 3  # a low one there would be the last of its group
    if params is DISTINCT:
        apart &= torch.tensor([row[-2] in row[:-2] for row in items.tolist()])
    assert apart.sum() > 2000
    assert abs((last > before)[apart].double().mean() - 0.5) < 4 * 0.5 / math.sqrt(int(apart.sum()))


def test_a_random_order_is_uniform():
    """Every one of the 24 orders of four different items comes equally often."""
    inputs = torch.tensor([0, 1, 2, 3, 10]).repeat(20_000, 1)
    moved = multiset.reordered(inputs, stream("uniform order"), test_order="random")
    numbers = torch.unique(moved, dim=0, return_counts=True)[1]
    assert len(numbers) == 24
    assert chisquare(numbers).pvalue > 1e-3


@pytest.mark.parametrize(
    ("test_order", "expected"),
    [("sorted", [1, 4, 4, 6, 8, 10]), ("reversed", [8, 6, 4, 4, 1, 10])],
)
def test_items_are_shown_again_in_the_test_order(test_order, expected):
    """`reordered` moves the items as asked and leaves the query at the end, whatever the order of training was."""
    inputs = torch.tensor([[4, 8, 1, 6, 4, 10]])
    moved = multiset.reordered(inputs, stream("again"), order="random", test_order=test_order, asks="max")
    assert [expected] == moved.tolist()


def test_items_shown_again_key_first_depend_on_what_is_asked():
    """The same digits come low ones first for a count, the largest first for a maximum, repeats last for kinds."""
    inputs = torch.tensor([[4, 4, 1, 8, 4, 10]])
    heads = {
        asks: multiset.reordered(inputs, stream("again"), test_order="key_first", asks=asks)[0].tolist()
        for asks in ("count", "max", "sum", "distinct")
    }
    assert heads["count"][0] == 1
    assert heads["max"][0] == 8
    assert heads["sum"] == [8, 4, 4, 4, 1, 10]
    assert sorted(heads["distinct"][:3]) == [1, 4, 8]
    assert heads["distinct"][3:] == [4, 4, 10]


# longer sequences, lag


@every_question
def test_a_model_fits_every_length(params, length):
    """What is asked of longer sequences are the same tokens and the same classes, so that longer ones can be tested."""
    sizes = multiset.sizes(**params)
    longer = multiset.sample(stream("longer"), batch=300, length=length + 10, **params)
    assert longer.inputs.max() < sizes.vocab
    if sizes.outputs > 1:
        assert longer.targets.max() < sizes.outputs


@every_question
def test_the_lag_is_the_distance_to_the_first_item(params, length):
    """Another item there, that many positions before the query, makes another answer right."""
    sizes = multiset.sizes(**params)
    batch = multiset.sample(stream("lag"), batch=300, length=length, **params)
    distance = multiset.lag(length=length, **params)
    asked = int(batch.scored[0].nonzero())
    assert asked - distance == 0
    others = batch.inputs.clone()
    others[:, asked - distance] = (others[:, asked - distance] + 1 + torch.arange(300) % (sizes.vocab - 2)) % (
        sizes.vocab - 1
    )
    rule = {
        "count": lambda items: (items < 3).sum(1),
        "majority": lambda items: (items.sum(1) > length / 2).long(),
        "max": lambda items: items.max(1).values,
        "sum": lambda items: items.sum(1) - 4.5 * length,
        "distinct": lambda items: torch.tensor([len(set(row)) for row in items.tolist()]),
    }[params["asks"]]
    assert torch.equal(rule(batch.inputs[:, :length]), batch.targets[:, -1])
    assert (rule(others[:, :length]) != batch.targets[:, -1]).any()


# refusals


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"asks": "median"}, "asks 'median' is unknown; give one of count, majority, max, sum, distinct"),
        ({"order": "up"}, "order 'up' is unknown; give one of random, sorted, reversed, key_first"),
        ({"test_order": "same"}, "test_order 'same' is unknown; give one of random, sorted, reversed, key_first"),
        ({"tokens": 1}, "tokens 1: too small; give at least 2"),
        ({"length": 0}, "length 0: too small; give at least 1"),
        ({"counted": 10}, "counted 10 leaves nothing uncounted; give less than tokens, 10"),
        ({"counted": 0, "most": 0}, "counted 0, most 0: too small; give at least 1"),
        ({"length": 30}, "length 30 can give a count over most, 24; give most of 30 or more"),
        ({"asks": "max", "counted": 3}, "counted 3: asks 'max' does not count; leave it out"),
        ({"asks": "sum", "counted": 3, "most": 9}, "counted 3, most 9: asks 'sum' does not count; leave it out"),
        ({"asks": "majority"}, "tokens 10: a majority is one of bits; give tokens 2"),
        (
            {"asks": "majority", "tokens": 2, "length": 20},
            "length 20 can end in a tie; give an odd one, 19 or 21",
        ),
    ],
)
@pytest.mark.parametrize("ask", ["sample", "bounds", "lag"])
def test_what_cannot_be_asked_is_refused(ask, params, message):
    """An impossible parameter is named with what would be possible, by whatever meets it first."""
    given = {"length": 9} | params
    calls = {
        "sample": lambda: multiset.sample(stream("refused"), batch=2, **given),
        "bounds": lambda: multiset.bounds(**given),
        "lag": lambda: multiset.lag(**given),
    }
    with pytest.raises(InvalidInput) as caught:
        calls[ask]()
    assert message == str(caught.value)


def test_sizes_refuse_without_a_length():
    """What a model must fit is refused for a question that nobody knows."""
    with pytest.raises(InvalidInput, match=r"^asks 'all' is unknown; give one of "):
        multiset.sizes(asks="all")
