"""What only the tasks of keeping and looking up can promise: lags, layouts, balance, and what a guess costs."""

import itertools
import math
from collections import defaultdict

import pytest
import torch
from cases_retrieval import RETRIEVALS, marks_of, triples_of
from generator_case import mean_and_error
from scipy.stats import chi2_contingency, chisquare

from seqbench.errors import InvalidInput
from seqbench.measure.generators import GENERATORS
from seqbench.measure.generators.base import distinct
from seqbench.measure.seeds import stream

every_task = pytest.mark.parametrize("task", RETRIEVALS, ids=str)
HIDDEN = 99  # a token that no task has


def draw(name, *seed, batch, length, **params):
    """Return a batch of this generator from a stream of its own."""
    return GENERATORS.load(name).sample(stream("retrieval", name, *seed), batch=batch, length=length, **params)


def draw_of(task, *seed, batch, length):
    """Return a batch of this task."""
    return draw(task.name, *seed, batch=batch, length=length, **task.params)


def last_answers(batch):
    """Return the target of the last scored position of each row, and that position: (B,), (B,)."""
    places = torch.tensor([scored.nonzero().max().item() for scored in batch.scored])
    return batch.targets[torch.arange(len(places)), places], places


def uniform(counts):
    """Return whether these counts are as of a uniform choice."""
    return chisquare(torch.as_tensor(counts)).pvalue > 1e-3


# every task: balance, lag, information


@every_task
def test_answers_are_balanced(task):
    """Every answer is asked for equally often (protocol 2.0 iii)."""
    batch = draw_of(task, "balance", batch=20_000, length=20)
    answers, _ = last_answers(batch)
    least = int(answers.min())
    assert uniform(torch.bincount(answers - least, minlength=task.answers))


@every_task
@pytest.mark.parametrize("length", [16, 17, 20])
def test_the_lag_is_how_far_back_an_answer_stands_at_most(task, length):
    """Over many sequences the farthest answer stands exactly as many positions back as `lag` says."""
    batch = draw_of(task, "lag", batch=4000, length=length)
    farthest = max(found[1] for row in task.found(batch.inputs, batch) for found in row)
    assert farthest == GENERATORS.load(task.name).lag(length=length, **task.params)


@every_task
def test_changing_the_input_at_the_lag_changes_the_answer(task):
    """Another token at that distance, of those that decide, is another answer."""
    batch = draw_of(task, "change", batch=4000, length=17)
    lag = GENERATORS.load(task.name).lag(length=17, **task.params)
    found = task.found(batch.inputs, batch)
    row, nth = next((r, n) for r, row in enumerate(found) for n, (_, back) in enumerate(row) if back == lag)
    asked = batch.scored[row].nonzero().flatten()[nth]
    changed = batch.inputs.clone()
    token, first = changed[row, asked - lag].item(), task.carriers[0]
    assert token in task.carriers
    changed[row, asked - lag] = first + (token - first + 1) % len(task.carriers)
    assert found[row][nth][0] != task.found(changed, batch)[row][nth][0]


TINY = (
    ("echo", 3, {"items": 2, "scored": 3}),
    ("selective_copy", 4, {"symbols": 2, "items": 2}),
    ("temporal_order", 10, {"order": 2}),
    ("temporal_order", 10, {"order": 3}),
    ("induction", 6, {"form": "special", "tokens": 2}),
    ("induction", 6, {"form": "repeat", "tokens": 4}),
    ("induction", 7, {"form": "repeat", "tokens": 4}),
    ("mqar", 8, {"vocab": 8, "pairs": 2}),
    ("mqar", 9, {"vocab": 8, "pairs": 2, "random_non_queries": True}),
    ("needle", 9, {"pairs": 2, "near": 1, "items": 3, "letters": 2, "distractors": 1}),
    ("needle", 9, {"pairs": 2, "near": 0, "items": 3, "letters": 2, "distractors": 1}),
)


@pytest.mark.parametrize(("name", "length", "params"), TINY)
def test_whoever_sees_as_far_as_the_lag_can_answer_and_not_one_position_less(name, length, params):
    """Among all sequences of a tiny task, what stands up to `lag` back fixes the answer; one position less does not.

    So a model whose receptive field reaches that far is not structurally unable, and one that reaches less is, even
    if it were told at which position it stands.
    """
    batch = draw(name, "tiny", batch=40_000, length=length, **params)
    lag = GENERATORS.load(name).lag(length=length, **params)
    enough, too_little = defaultdict(set), defaultdict(set)
    rows = zip(batch.inputs.tolist(), batch.targets.tolist(), batch.scored.tolist(), strict=True)
    for tokens, targets, scored in rows:
        for place in itertools.compress(range(len(tokens)), scored):
            enough[tuple(tokens[max(0, place - lag) : place + 1])].add(targets[place])
            too_little[place, tuple(tokens[max(0, place - lag + 1) : place + 1])].add(targets[place])
    assert max(len(answers) for answers in enough.values()) == 1
    assert max(len(answers) for answers in too_little.values()) > 1


@pytest.mark.parametrize("task", [t for t in RETRIEVALS if t.name not in ("echo", "temporal_order")], ids=str)
def test_the_tag_says_how_far_back_the_answer_stands(task):
    """Tag "lag" is the distance at which a reader finds the answer, and 0 where nothing is asked."""
    batch = draw_of(task, "tag", batch=200, length=32)
    found = [found[1] for row in task.found(batch.inputs, batch) for found in row]
    assert found == batch.tags["lag"][batch.scored].tolist()
    assert not batch.tags["lag"][~batch.scored].any()


def without_what_decides(task, batch):
    """Return the inputs with every token hidden that tells an answer, or, where all tokens may, the one that does."""
    if task.name in ("mqar", "needle", "temporal_order", "selective_copy"):
        hidden = torch.isin(batch.inputs, torch.tensor(task.carriers))
        if task.name == "mqar":
            hidden[:, 2 * task.params["pairs"] :] = False  # random tokens of the zone tell nothing
        return torch.where(hidden, HIDDEN, batch.inputs)
    _, places = last_answers(batch)
    inputs = batch.inputs.clone()
    lags = torch.tensor([row[-1][1] for row in task.found(batch.inputs, batch)])
    inputs[torch.arange(len(places)), places - lags] = HIDDEN
    return inputs


@pytest.mark.parametrize("task", [t for t in RETRIEVALS if t.params.get("form") != "repeat"], ids=str)
def test_without_what_decides_nothing_is_known(task):
    """With the deciding tokens hidden, no token that is left depends on the answer (protocol 2.0 iv)."""
    batch = draw_of(task, "hide", batch=20_000, length=16)
    inputs = without_what_decides(task, batch)
    answers, places = last_answers(batch)
    answers = answers - answers.min()
    for position in range(int(places.min()) + 1):
        pairs = torch.bincount(answers * 100 + inputs[:, position], minlength=100 * task.answers).view(-1, 100)
        seen = pairs[:, pairs.sum(0) > 5 * task.answers]  # rarer tokens cannot be tested
        assert (pairs.sum(0) > 0).sum() == 1 or chi2_contingency(seen.numpy()).pvalue > 1e-4


@pytest.mark.parametrize(
    "task", [t for t in RETRIEVALS if t.name in ("mqar", "needle", "temporal_order", "selective_copy")], ids=str
)
def test_a_reader_without_what_decides_is_at_chance(task):
    """The reader who solves the task loses exactly chance on what is left of it (protocol 2.0 iv)."""
    batch = draw_of(task, "blind", batch=200, length=24)
    loss = -task.oracle(without_what_decides(task, batch), batch)[batch.scored].mean().item()
    chance = GENERATORS.load(task.name).bounds(length=24, **task.params).chance_loss
    assert chance == pytest.approx(loss)


def test_a_repeated_block_without_the_answer_leaves_all_unseen_tokens():
    """Each token that the block does not show is as likely as any other to be the one that was hidden."""
    batch = draw("induction", "unseen", batch=4000, length=12, form="repeat", tokens=9)
    ranks = defaultdict(list)
    for tokens, targets, scored in zip(batch.inputs.tolist(), batch.targets.tolist(), batch.scored, strict=True):
        asked = int(scored.nonzero()[0])
        unseen = [token for token in range(9) if token not in set(tokens[: asked + 1]) - {targets[asked]}]
        ranks[asked].append(unseen.index(targets[asked]))
    assert set(ranks) == set(range(2, 7))
    assert all(uniform(torch.bincount(torch.tensor(found), minlength=10 - period)) for period, found in ranks.items())


# layouts


def test_distinct_numbers_come_in_every_order_equally_often():
    """All ordered choices of 2 among 4 are equally likely, and a choice of none is empty."""
    first, second = distinct(stream("distinct"), batch=24_000, among=4, count=2).unbind(1)
    counts = torch.bincount(4 * first + second, minlength=16)
    assert counts[[0, 5, 10, 15]].tolist() == [0] * 4
    assert uniform(counts[counts > 0])
    assert (counts > 0).sum() == 12
    assert distinct(stream("distinct"), batch=3, among=4, count=0).shape == (3, 0)


def test_an_echo_is_asked_at_the_last_positions():
    """The sequence has the lag and `scored` positions, of which the last `scored` ask for the first."""
    batch = draw("echo", "layout", batch=50, length=5, items=4, scored=7)
    assert batch.inputs.shape == (50, 12)
    assert torch.equal(batch.targets[:, 5:], batch.inputs[:, :7])
    assert batch.scored[:, 5:].all()
    assert not batch.scored[:, :5].any()


def test_symbols_to_copy_stand_anywhere_among_blanks():
    """Every choice of two of six places is equally likely, blanks stand elsewhere, two markers ask at the end."""
    batch = draw("selective_copy", "layout", batch=15_000, length=6, symbols=2)
    body = batch.inputs[:, :6]
    places = (body < 16).nonzero()[:, 1].view(-1, 2)  # fails unless each row has two
    assert torch.equal(((body == 16) | (body < 16)).sum(1), torch.full((15_000,), 6))
    counts = torch.bincount(6 * places[:, 0] + places[:, 1], minlength=36)
    assert (counts > 0).sum() == math.comb(6, 2)
    assert uniform(counts[counts > 0])
    assert torch.equal(batch.inputs[:, 6:], torch.full((15_000, 2), 17))
    assert torch.equal(batch.scored, (batch.inputs == 17))


@pytest.mark.parametrize(
    ("order", "length", "stretches"),
    [
        (2, 100, ((10, 20), (50, 60))),
        (3, 100, ((10, 20), (33, 43), (66, 76))),
        (2, 10, ((1, 2), (5, 6))),
        (3, 15, ((1, 3), (4, 6), (9, 11))),
    ],
)
def test_marks_stand_in_their_stretches(order, length, stretches):
    """Each mark is uniform in its share of the length; E, B and uniform distractors stand elsewhere."""
    batch = draw("temporal_order", "layout", batch=6000, length=length, order=order)
    marks = torch.tensor([marks_of(tokens) for tokens in batch.inputs.tolist()])  # fails unless all have as many
    for column, (low, high) in zip(marks.unbind(1), stretches, strict=True):
        counts = torch.bincount(column, minlength=length)
        assert counts[low : high + 1].sum() == 6000
        assert uniform(counts[low : high + 1])
    assert torch.equal(batch.inputs[:, [0, -1]], torch.tensor([[6, 7]]).expand(6000, 2))
    between = torch.bincount(batch.inputs[:, 1:-1].flatten(), minlength=8)
    assert uniform(between[:4])
    assert between[4:6].sum() == 6000 * order
    assert between[6:].sum() == 0


@pytest.mark.parametrize(("order", "loss", "accuracy"), [(2, math.log(2) / 2, 3 / 4), (3, 0.75 * math.log(3), 1 / 2)])
def test_order_is_worth_what_the_marks_alone_do_not_tell(order, loss, accuracy):
    """Knowing how many X and Y there are costs (ln 2)/2 and is right in 3/4 for two marks (protocol 2.4)."""
    batch = draw("temporal_order", "order-blind", batch=20_000, length=10, order=order)
    losses, hits = [], []
    for tokens, target in zip(batch.inputs.tolist(), batch.targets[:, -1].tolist(), strict=True):
        ys = tokens.count(5)
        possible = [c for c in range(2**order) if c.bit_count() == ys]
        assert target in possible
        losses.append(math.log(len(possible)))
        hits.append(float(target == possible[0]))
    mean, error = mean_and_error(losses)
    assert abs(mean - loss) <= 4 * error
    mean, error = mean_and_error(hits)
    assert abs(mean - accuracy) <= 4 * error


def test_the_special_token_stands_once_before_the_end():
    """Its place is uniform on 0 … T-3, so that an ordinary token follows it, and it ends the sequence."""
    batch = draw("induction", "layout", batch=6000, length=9)
    special = (batch.inputs == 16).nonzero()[:, 1].view(-1, 2)  # fails unless each row has two
    assert torch.equal(special[:, 1], torch.full((6000,), 8))
    counts = torch.bincount(special[:, 0], minlength=9)
    assert counts[7:].sum() == 0
    assert uniform(counts[:7])
    assert torch.equal(batch.scored.nonzero()[:, 1], torch.full((6000,), 8))


def test_the_shortest_sequence_has_one_place_for_the_special_token():
    """Three positions are S, the answer, S."""
    batch = draw("induction", "shortest", batch=50, length=3)
    assert torch.equal(batch.inputs[:, [0, 2]], torch.full((50, 2), 16))
    assert torch.equal(batch.inputs[:, 1], batch.targets[:, 2])


def test_a_block_is_repeated_from_its_period_on():
    """A block of P different tokens goes round and round; P is uniform on 2 … ⌊T/2⌋; all after it is asked."""
    batch = draw("induction", "layout", batch=5000, length=13, form="repeat", tokens=20)
    periods = (~batch.scored).sum(1)
    counts = torch.bincount(periods, minlength=7)
    assert counts[:2].sum() == counts[7:].sum() == 0
    assert uniform(counts[2:7])
    rows = zip(batch.inputs.tolist(), batch.targets.tolist(), periods.tolist(), strict=True)
    for tokens, targets, period in rows:
        assert len(set(tokens[:period])) == period
        assert (tokens + targets[-1:]) == (tokens[:period] * 7)[:14]
        assert targets[:-1] == tokens[1:]


@pytest.mark.parametrize("length", [24, 25])
def test_pairs_come_first_and_every_key_comes_once_more(length):
    """Keys 1 … V/2-1 with values V/2 … V-1, all different; queries at even offsets; 0 elsewhere."""
    batch = draw("mqar", "layout", batch=500, length=length, vocab=20, pairs=5)
    keys, values = batch.inputs[:, 0:10:2], batch.inputs[:, 1:10:2]
    assert (keys.min(), keys.max(), values.min(), values.max()) == (1, 9, 10, 19)
    assert all(len(set(row)) == 5 for row in [*keys.tolist(), *values.tolist()])
    for tokens, scored in zip(batch.inputs.tolist(), batch.scored, strict=True):
        queries = [place for place in range(10, length) if tokens[place]]
        assert queries == scored.nonzero().flatten().tolist()
        assert sorted(tokens[place] for place in queries) == sorted(tokens[0:10:2])
        assert all(place % 2 == 0 and place < 24 for place in queries)


@pytest.mark.parametrize("part", [slice(0, 8, 2), slice(1, 8, 2)])
def test_keys_and_values_are_uniform(part):
    """Every key, and every value, is taken equally often at each of the four places."""
    batch = draw("mqar", "uniform", batch=6000, length=16, vocab=16, pairs=4)
    for column in batch.inputs[:, part].unbind(1):
        counts = torch.bincount(column, minlength=16)
        assert (counts > 0).sum() == (7 if part.start == 0 else 8)
        assert uniform(counts[counts > 0])


@pytest.mark.parametrize("power_a", [0.01, 2.0])
def test_queries_are_drawn_by_their_power_law_without_replacement(power_a):
    """The first two keys take slots i and j with probability w_i / W · w_j / (W - w_i), w_i = i^(a-1)."""
    batch = draw("mqar", "slots", power_a, batch=30_000, length=14, pairs=2, vocab=8, power_a=power_a)
    keys = batch.inputs[:, 0:4:2]
    zone = batch.inputs[:, 4:]
    first, second = ((zone == keys[:, i : i + 1]).nonzero()[:, 1] // 2 for i in (0, 1))
    counts = torch.bincount(5 * first + second, minlength=25).view(5, 5)
    weights = [i ** (power_a - 1) for i in range(1, 6)]
    expected = {
        (i, j): 30_000 * weights[i] / sum(weights) * weights[j] / (sum(weights) - weights[i])
        for i, j in itertools.permutations(range(5), 2)
    }
    assert counts.trace() == 0
    assert chisquare([int(counts[pair]) for pair in expected], list(expected.values())).pvalue > 1e-3


def test_free_positions_are_filled_if_asked():
    """Random tokens of the whole vocabulary stand where nothing else does; pairs, queries and answers stay."""
    batch = draw("mqar", "filled", batch=3000, length=16, vocab=8, pairs=2, random_non_queries=True)
    free = ~batch.scored
    free[:, :4] = False
    assert uniform(torch.bincount(batch.inputs[free], minlength=8))
    queries = batch.inputs[batch.scored].view(-1, 2).sort(dim=1).values
    assert torch.equal(queries, batch.inputs[:, 0:4:2].sort(dim=1).values)


def guess_among_the_values(batch, values):
    """Return what it costs to spread the guess over the values that a row shows, (B,) each with at least one."""
    losses = []
    for tokens, targets, scored in zip(batch.inputs, batch.targets, batch.scored, strict=True):
        shown = set(tokens[torch.isin(tokens, torch.tensor(values))].tolist())
        losses += [-math.log((target in shown) / len(shown)) for target in targets[scored].tolist()]
    return losses


@pytest.mark.parametrize(
    ("name", "params", "values"),
    [
        ("mqar", {"pairs": 5}, range(32, 64)),
        ("needle", {"pairs": 5, "near": 2}, range(16)),
        ("needle", {"pairs": 1, "near": 0}, range(16)),
    ],
)
def test_which_values_there_are_without_whose_they_are_costs_the_context_loss(name, params, values):
    """A reader who guesses among the values shown loses ln N at every query, less than chance and more than 0."""
    batch = draw(name, "context", batch=200, length=24, **params)
    expected = GENERATORS.load(name).context_loss(length=24, **params)
    assert expected == math.log(params["pairs"])
    assert guess_among_the_values(batch, values) == pytest.approx([expected] * int(batch.scored.sum()))


def test_no_value_is_the_likelier_for_its_size_or_its_place():
    """Of the values of a needle, each rank and each place in the row is asked for equally often: ln N is the best."""
    batch = draw("needle", "ranks", batch=6000, length=30)
    ranks, places = [], []
    for tokens, target in zip(batch.inputs.tolist(), batch.targets[:, -1].tolist(), strict=True):
        values = [tokens[place + 2] for place in triples_of(tokens)]
        ranks.append(sorted(values).index(target))
        places.append(values.index(target))
    assert uniform(torch.bincount(torch.tensor(ranks), minlength=4))
    assert uniform(torch.bincount(torch.tensor(places), minlength=4))


def whose_turn(slots, pairs, power_a=0.01):
    """Return the probability that slot s asks for pair i, by summing over all draws: [slot][pair]."""
    weights = [i ** (power_a - 1) for i in range(1, slots + 1)]
    found = [[0.0] * pairs for _ in range(slots)]
    for drawn in itertools.permutations(range(slots), pairs):
        chance, left = 1.0, sum(weights)
        for slot in drawn:
            chance *= weights[slot] / left
            left -= weights[slot]
        for pair, slot in enumerate(drawn):
            found[slot][pair] += chance
    return found


@pytest.mark.parametrize(("length", "loss"), [(16, 1.289), (32, 1.366), (64, 1.376)])
def test_the_place_of_a_query_tells_a_little_of_its_pair(length, loss):
    """Guessing by the place of the query costs what the docstring says, and a little less than ln 4 as measured."""
    shares = whose_turn(length // 2 - 4, 4)
    exact = -sum(p * math.log(p / sum(row)) for row in shares for p in row) / 4
    assert exact == pytest.approx(loss, abs=5e-4)
    batch = draw("mqar", "turns", batch=4000, length=length)
    rows, places = batch.scored.nonzero().unbind(1)
    pairs = (batch.inputs[rows, 1:8:2] == batch.targets[rows, places][:, None]).nonzero()[:, 1]
    turns = [shares[place // 2 - 4] for place in places.tolist()]
    told = torch.tensor([-math.log(row[pair] / sum(row)) for row, pair in zip(turns, pairs.tolist(), strict=True)])
    mean, error = mean_and_error(told.view(-1, 4).mean(1).tolist())
    assert abs(mean - exact) <= 4 * error


@pytest.mark.parametrize("near", [0, 1, 3])
def test_near_duplicates_share_one_letter_and_the_others_none(near):
    """`near` keys have exactly one letter of the asked key at its place, no other has any; keys and values differ."""
    batch = draw("needle", "near", batch=500, length=32, pairs=4, near=near)
    for tokens in batch.inputs.tolist():
        triples = triples_of(tokens)
        keys = [tuple(tokens[place : place + 2]) for place in triples]
        asked = tuple(tokens[-2:])
        shared = sorted((key[0] == asked[0]) + (key[1] == asked[1]) for key in keys)
        assert shared == [0] * (3 - near) + [1] * near + [2]
        assert len(set(keys)) == len({tokens[place + 2] for place in triples}) == 4
        assert sum(token < 24 for token in tokens) == 3 * 4 + 2


def test_a_near_duplicate_shares_either_letter_equally_often():
    """One half of the key is shared as often as the other, and the letter in its place is uniform over the rest."""
    batch = draw("needle", "half", batch=6000, length=12, pairs=2, near=1)
    first, other = [], []
    for tokens in batch.inputs.tolist():
        asked = tokens[-2:]
        (key,) = [k for p in triples_of(tokens) if (k := tokens[p : p + 2]) != asked]
        first.append(key[0] == asked[0])
        place = int(key[0] == asked[0])
        other.append((key[place] - asked[place]) % 8)
    assert uniform([sum(first), 6000 - sum(first)])
    counts = torch.bincount(torch.tensor(other), minlength=8)
    assert counts[0] == 0
    assert uniform(counts[1:])


def test_pairs_stand_anywhere_without_overlapping():
    """Of the ways to place two triples in eight positions, each is equally likely, with either one asked."""
    batch = draw("needle", "places", batch=12_000, length=10, pairs=2, near=0)
    seen = defaultdict(int)
    for tokens in batch.inputs.tolist():
        places = triples_of(tokens)
        asked = next(place for place in places if tokens[place : place + 2] == tokens[-2:])
        seen[(*places, asked)] += 1
    assert {key[:2] for key in seen} == {(0, 3), (0, 4), (0, 5), (1, 4), (1, 5), (2, 5)}
    assert len(seen) == 12
    assert uniform(list(seen.values()))


def test_letters_of_keys_and_noise_are_uniform():
    """Every letter is asked for, and stands in other keys, equally often; so does every token of the noise."""
    batch = draw("needle", "letters", batch=4000, length=20, near=1)
    for column in batch.inputs[:, -2:].unbind(1):
        assert uniform(torch.bincount(column - 16, minlength=8))
    noise = batch.inputs[batch.inputs >= 24] - 24
    assert uniform(torch.bincount(noise, minlength=8))


def test_a_published_batch_has_eight_thousand_tokens():
    """Zoology's cell of 64 positions and 4 pairs: keys below 4096, values from there on, over all of the range."""
    batch = draw("mqar", "zoology", batch=2000, length=64, vocab=8192)
    keys, values = batch.inputs[:, 0:8:2], batch.inputs[:, 1:8:2]
    assert 1 <= keys.min() < 20
    assert 4076 < keys.max() < 4096
    assert 4096 <= values.min() < 4116
    assert 8172 < values.max() < 8192
    assert GENERATORS.load("mqar").bounds(length=64, vocab=8192).chance_loss == pytest.approx(8.3178, abs=5e-5)


# refusals


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("echo", {"length": 0}, "length 0: too small; give at least 1"),
        ("echo", {"length": 9, "items": 1}, "items 1: too small; give at least 2"),
        ("echo", {"length": 9, "scored": 0}, "scored 0: too small; give at least 1"),
        ("selective_copy", {"length": 3}, "length 3 leaves no room for 4 symbols; give at least 4"),
        ("selective_copy", {"length": 9, "symbols": 0}, "symbols 0: too small; give at least 1"),
        ("selective_copy", {"length": 9, "items": 1}, "items 1: too small; give at least 2"),
        ("temporal_order", {"length": 9}, "length 9: too small; give at least 10"),
        ("temporal_order", {"length": 20, "order": 4}, "order 4 is unknown; give one of 2, 3"),
        ("induction", {"length": 2}, "length 2: too small; give at least 3"),
        ("induction", {"length": 3, "form": "repeat"}, "length 3: too small; give at least 4"),
        ("induction", {"length": 9, "tokens": 1}, "tokens 1: too small; give at least 2"),
        ("induction", {"length": 9, "form": "block"}, "form 'block' is unknown; give one of special, repeat"),
        (
            "induction",
            {"length": 32, "form": "repeat"},
            "length 32 repeats blocks of up to 16 different tokens; give tokens of 17 or more, not 16",
        ),
        ("mqar", {"length": 15}, "length 15 leaves no room for 4 pairs and queries; give at least 16"),
        ("mqar", {"length": 20, "pairs": 0}, "pairs 0: too small; give at least 1"),
        (
            "mqar",
            {"length": 20, "vocab": 63},
            "vocab 63 has no two halves, for keys and for values; give an even number",
        ),
        ("mqar", {"length": 20, "vocab": 8}, "vocab 8 has no 4 different keys; give at least 10"),
        ("mqar", {"length": 20, "power_a": 0.0}, "power_a 0.0 is no positive number; give one such as 0.01"),
        ("mqar", {"length": 20, "power_a": math.nan}, "power_a nan is no positive number; give one such as 0.01"),
        ("mqar", {"length": 20, "power_a": math.inf}, "power_a inf is no positive number; give one such as 0.01"),
        ("needle", {"length": 13}, "length 13 leaves no room for 4 pairs; give at least 14"),
        ("needle", {"length": 20, "pairs": 0, "near": 0}, "pairs 0: too small; give at least 1"),
        ("needle", {"length": 20, "distractors": 0}, "distractors 0: too small; give at least 1"),
        ("needle", {"length": 20, "near": -1}, "near -1: too small; give at least 0"),
        ("needle", {"length": 20, "items": 1}, "items 1: too small; give at least 2"),
        ("needle", {"length": 20, "letters": 1}, "letters 1: too small; give at least 2"),
        ("needle", {"length": 20, "near": 4}, "near 4 leaves no asked key; give less than pairs, 4"),
        ("needle", {"length": 20, "items": 4}, "items 4 leave none unshown by 4 pairs; give at least 5"),
        (
            "needle",
            {"length": 20, "letters": 3, "near": 0},
            "letters 3 are too few for 4 different keys, 0 of them near; give at least 4",
        ),
        (
            "needle",
            {"length": 40, "pairs": 6, "letters": 3, "near": 5},
            "letters 3 are too few for 6 different keys, 5 of them near; give at least 4",
        ),
    ],
)
@pytest.mark.parametrize("function", ["sample", "bounds", "lag"])
def test_what_cannot_be_asked_is_refused(function, name, params, message):
    """An impossible parameter is named with what would be possible, by every function that meets it."""
    module = GENERATORS.load(name)
    calls = {
        "sample": lambda: module.sample(stream("refused"), batch=2, **params),
        "bounds": lambda: module.bounds(**params),
        "lag": lambda: module.lag(**params),
    }
    with pytest.raises(InvalidInput) as caught:
        calls[function]()
    assert message == str(caught.value)


@pytest.mark.parametrize("name", ["mqar", "needle"])
def test_a_context_loss_of_an_impossible_task_is_refused(name):
    """No loss is told of a sequence that cannot be drawn."""
    with pytest.raises(InvalidInput, match=r"^length 8 leaves no room for 4 pairs"):
        GENERATORS.load(name).context_loss(length=8)


@pytest.mark.parametrize(("pairs", "near", "letters"), [(4, 0, 4), (6, 5, 4), (5, 4, 3), (3, 1, 2)], ids=str)
def test_the_fewest_letters_are_enough(pairs, near, letters):
    """With as few letters as are asked for, all keys still differ."""
    batch = draw("needle", "fewest", batch=100, length=40, pairs=pairs, near=near, letters=letters)
    for tokens in batch.inputs.tolist():
        keys = {tuple(tokens[place : place + 2]) for place in triples_of(tokens, letters=letters)}
        assert len(keys) == pairs
