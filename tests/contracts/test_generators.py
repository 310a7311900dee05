"""What every generator must do, whatever it is called: design section 5, row "generator"."""

import math
import subprocess
import sys

import cases_retrieval
import cases_sets
import cases_state
import numpy as np
import pytest
import torch
from generator_case import Case, mean_and_error
from scipy.stats import chi2_contingency, chisquare
from torch import Tensor

from seqbench.errors import InvalidInput, UnknownName
from seqbench.measure.corpora import chronicle
from seqbench.measure.corpora.text import Story, split
from seqbench.measure.generators import GENERATORS
from seqbench.measure.generators.base import Batch
from seqbench.measure.generators.recall import lag_buckets
from seqbench.measure.seeds import stream

TALE = split((Story("tale", "in his house at R'lyeh dead Cthulhu waits dreaming. " * 20),), by="character")
PRESET = "XS"


def recall_answers(inputs: Tensor, batch: Batch) -> Tensor:
    """Return ln p(target) of a reader who looks for the only item: (B, T)."""
    found = torch.where(inputs < 8, inputs, 0).sum(1, keepdim=True)  # items are 0 … 7
    has_one = (inputs < 8).sum(1, keepdim=True) == 1
    right = torch.where(found == batch.targets, 0.0, -math.inf)
    return torch.where(has_one, right, -math.log(8))


def chronicle_answers(inputs: Tensor, batch: Batch) -> Tensor:
    """Return ln p(target) of the exact oracle, NaN before the first document of a row: (B, T)."""
    answers = torch.full(inputs.shape, math.nan, dtype=torch.float64)
    for row, (shown, asked) in enumerate(zip(inputs.tolist(), batch.targets.tolist(), strict=True)):
        text = "".join(chronicle.ALPHABET[i] for i in (*shown, asked[-1]))
        start = text.index("\n") + 1
        bits = chronicle.walk(text[start:], PRESET).bits
        # a text that begins with a document is no fair sample of its first characters: leave 1000 out
        answers[row, start + 1000 :] = torch.from_numpy(-bits[1001:] * math.log(2))
    return answers


def uniform_answers(inputs: Tensor, batch: Batch) -> Tensor:
    """Return ln p(target) where nothing shown tells what comes: (B, T)."""
    assert inputs.shape == batch.targets.shape
    return torch.full(inputs.shape, -math.log(64), dtype=torch.float64)


def adding_answers(inputs: Tensor, batch: Batch) -> Tensor:
    """Return minus the squared error of a reader who adds what is marked, and 1/2 for a mark unseen: (B, T)."""
    answers = torch.zeros(batch.targets.shape)
    for row, sequence in enumerate(inputs.tolist()):
        marked = [number for number, mark in sequence if mark == 1]
        known = sum(marked) + 0.5 * (2 - len(marked))
        answers[row, -1] = -((known - batch.targets[row, -1].item()) ** 2)
    return answers


def copy_answers(inputs: Tensor, batch: Batch) -> Tensor:
    """Return ln p(target) of a reader who writes down, after the delimiter, what was shown at the start: (B, T)."""
    answers = torch.zeros(batch.targets.shape, dtype=torch.float64)
    for row, sequence in enumerate(inputs.tolist()):
        first = sequence.index(9)  # items are 0 … 7, the blank is 8
        for nth, place in enumerate(range(first + 1, len(sequence))):
            shown = sequence[nth]
            if shown == 8:
                answers[row, place] = -math.log(8)
            elif shown != batch.targets[row, place]:
                answers[row, place] = -math.inf
    return answers


CASES = (
    Case(name="recall", params={"lag": "fixed"}, oracle=recall_answers),
    Case(name="recall", params={"lag": "loguniform"}, oracle=recall_answers),
    Case(name="adding", params={"marks": "any"}, oracle=adding_answers),
    Case(name="adding", params={"marks": "halves"}, oracle=adding_answers),
    Case(name="copy", oracle=copy_answers, beyond=20),
    *cases_state.CASES,
    *cases_retrieval.CASES,
    *cases_sets.CASES,
    Case(name="chronicle", params={"preset": PRESET}, oracle=chronicle_answers, oracle_length=4096),
    Case(name="text", params={"text": TALE}),
    Case(name="bits"),
    Case(name="onehot"),
    Case(name="uniform_tokens", oracle=uniform_answers),
)
BOUNDED = tuple(case for case in CASES if case.bounds() is not None)
every_case = pytest.mark.parametrize("case", CASES, ids=str)
every_bounded_case = pytest.mark.parametrize("case", BOUNDED, ids=str)
CLASSIFYING = tuple(case for case in BOUNDED if case.sizes.outputs > 1)
every_classifying_case = pytest.mark.parametrize("case", CLASSIFYING, ids=str)


def scored_targets(case, *seed, batches, batch=64) -> list[Tensor]:
    """Return the scored targets of each of some batches."""
    drawn = (case.batch(*seed, number, batch=batch) for number in range(batches))
    return [batch.targets[batch.scored] for batch in drawn]


def equal(one: Batch, other: Batch) -> bool:
    """Return whether two batches are the same to the bit."""
    return (
        torch.equal(one.inputs, other.inputs)
        and torch.equal(one.targets, other.targets)
        and torch.equal(one.scored, other.scored)
        and one.tags.keys() == other.tags.keys()
        and all(torch.equal(one.tags[name], other.tags[name]) for name in one.tags)
    )


def test_every_generator_has_a_case():
    """A generator that is registered is held to this contract."""
    assert set(GENERATORS.names()) == {case.name for case in CASES}


def test_listing_generators_imports_no_torch():
    """Names and summaries of generators are known without torch."""
    code = (
        "import sys; from seqbench.measure.generators import GENERATORS as g;"
        "[g.summary(name) for name in g.names()]; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", GENERATORS.names())
def test_the_docstring_summarises_and_shows_examples(name):
    """A generator's file begins with a one-line summary and two worked examples, input -> output."""
    lines = GENERATORS.load(name).__doc__.splitlines()
    assert lines[1] == ""
    assert sum("->" in line for line in lines[2:]) >= 2


@every_case
def test_the_same_seed_gives_the_same_batch(case):
    """Nothing but the stream decides what is drawn."""
    assert equal(case.batch(1), case.batch(1))


@every_case
def test_another_seed_gives_another_batch(case):
    """The stream does decide."""
    assert not torch.equal(case.batch(1).inputs, case.batch(2).inputs)


@every_case
def test_the_global_generator_is_untouched(case):
    """Drawing a batch leaves torch's own stream where it was."""
    before = torch.get_rng_state()
    case.batch(1)
    assert torch.equal(before, torch.get_rng_state())


@every_case
def test_shapes_types_and_ranges_are_as_declared(case):
    """Inputs, targets, scored and tags are what a model of these sizes can be trained on."""
    batch, sizes = case.batch(1, batch=5, length=case.other_length), case.sizes
    steps = case.other_length + case.beyond
    if sizes.inputs is None:
        assert batch.inputs.shape == (5, steps)
        assert torch.int64 == batch.inputs.dtype
        assert batch.inputs.min() >= 0
        assert batch.inputs.max() < sizes.vocab
    else:
        assert sizes.vocab is None
        assert (5, steps, sizes.inputs) == batch.inputs.shape
        assert torch.float32 == batch.inputs.dtype
    assert (5, steps) == batch.targets.shape == batch.scored.shape
    assert torch.bool == batch.scored.dtype
    if batch.targets.is_floating_point():
        assert (torch.float32, 1) == (batch.targets.dtype, sizes.outputs)
    else:
        assert torch.int64 == batch.targets.dtype
        assert batch.targets.min() >= 0
        assert batch.targets.max() < sizes.outputs
    assert all(tag.shape == (5, steps) and tag.dtype == torch.int64 for tag in batch.tags.values())


@every_case
def test_impossible_sizes_are_refused(case):
    """A batch or a length of nothing is an error that names it."""
    with pytest.raises(InvalidInput, match=r"batch 0: too small; give at least 1"):
        case.batch(1, batch=0)
    with pytest.raises(InvalidInput, match=r"length -1"):
        case.batch(1, length=-1)


@every_bounded_case
def test_an_independent_oracle_scores_the_floor(case):
    """The best reader, written without the sampler, loses the closed-form floor (protocol 2.0 i)."""
    losses, accuracies = [], []
    for number in range(30):
        batch = case.batch("oracle", number, batch=case.oracle_batch, length=case.oracle_length)
        answers = case.oracle(batch.inputs, batch)[batch.scored]
        answers = answers[~answers.isnan()]
        losses.append(-answers.mean().item())
        hits = case.right(batch.inputs, batch)[batch.scored].double() if case.right else answers.exp()
        accuracies.append(hits.mean().item())
    bounds = case.bounds(case.oracle_length)
    mean, error = mean_and_error(losses)
    assert abs(mean - bounds.floor_loss) <= 4 * error + 1e-12
    if bounds.floor_accuracy is not None:
        mean, error = mean_and_error(accuracies)
        assert abs(mean - bounds.floor_accuracy) <= 4 * error + 1e-6  # of a sure reader the error is 0


@every_classifying_case
def test_a_guess_that_looks_at_nothing_scores_chance(case):
    """Guessing by the share of each answer loses the closed form of chance (protocol 2.0 ii)."""
    seen = torch.cat(scored_targets(case, "chance fit", batches=200, batch=128))
    shares = (torch.bincount(seen, minlength=case.sizes.outputs) + 1).double()
    shares /= shares.sum()
    fitting = (case.sizes.outputs - 1) / (2 * len(seen))  # what shares that were estimated lose on average
    fresh = scored_targets(case, "chance", batches=200, batch=128)
    mean, error = mean_and_error([-shares[targets].log().mean().item() for targets in fresh])
    assert abs(mean - case.bounds().chance_loss) <= 4 * error + fitting
    hits = [(targets == shares.argmax()).double().mean().item() for targets in fresh]
    mean, error = mean_and_error(hits)
    assert abs(mean - case.bounds().chance_accuracy) <= 4 * error


@every_classifying_case
def test_chance_is_no_better_than_the_floor(case):
    """Looking never hurts, and looking at nothing is no worse than not knowing the answers."""
    bounds = case.bounds()
    assert bounds.floor_loss <= bounds.chance_loss <= math.log(case.sizes.outputs)


LAGGED = tuple(case for case in CASES if hasattr(case.module, "lag") and case.swaps)


@pytest.mark.parametrize("case", LAGGED, ids=str)
def test_the_lag_is_the_distance_that_is_asked_for(case):
    """Some answer changes with the input `lag` positions back, and none with the input one position farther."""
    lag = case.module.lag(length=case.oracle_length, **case.params)
    changed = {lag: 0, lag + 1: 0}
    for number in range(40):
        batch = case.batch("lag", number, batch=32, length=case.oracle_length)
        own = case.oracle(batch.inputs, batch)
        reached = [place for place in batch.scored.any(0).nonzero().flatten().tolist() if place >= lag]
        for place in {*reached[:2], *reached[-2:]}:
            for distance in (lag, lag + 1):
                if place >= distance:
                    changed[distance] += changed_answers(case, batch, own, place=place, distance=distance)
    assert changed[lag] > 0
    assert changed[lag + 1] == 0


def changed_answers(case, batch, own, *, place, distance) -> int:
    """Return how many answers at a place change when the inputs `distance` back are those of other sequences."""
    inputs = batch.inputs.clone()
    inputs[:, place - distance] = inputs[:, place - distance].roll(1, dims=0)
    other = case.oracle(inputs, batch)
    return int(((other != own) & batch.scored)[:, place].sum())


# what only one generator can promise


@pytest.mark.parametrize("lag", ["fixed", "loguniform"])
def test_recall_answers_are_balanced(lag):
    """Every item is asked for equally often (protocol 2.0 iii)."""
    batch = GENERATORS.load("recall").sample(stream("balance"), batch=20_000, length=20, lag=lag)
    assert chisquare(torch.bincount(batch.targets[:, -1], minlength=8)).pvalue > 1e-3


@pytest.mark.parametrize("lag", ["fixed", "loguniform"])
def test_recall_stands_where_the_lag_says(lag):
    """The item stands `lag` positions before the query, and nowhere else is an item."""
    batch = GENERATORS.load("recall").sample(stream("lag"), batch=500, length=40, lag=lag)
    lags = batch.tags["lag"][:, -1]
    rows = torch.arange(500)
    assert torch.equal(batch.inputs[rows, 39 - lags], batch.targets[:, -1])
    assert torch.equal((batch.inputs < 8).sum(1), torch.ones(500, dtype=torch.int64))
    assert torch.equal(batch.inputs[:, -1], torch.full((500,), 16))
    assert torch.equal(batch.scored.nonzero(), torch.stack([rows, torch.full((500,), 39)], 1))


def test_a_fixed_lag_is_the_whole_length():
    """A recall of length T asks over exactly T - 1 positions."""
    batch = GENERATORS.load("recall").sample(stream("lag"), batch=9, length=64)
    assert torch.equal(torch.full((9,), 63), batch.tags["lag"][:, -1])


def test_a_loguniform_lag_is_distributed_as_documented():
    """Lag k has probability ln((k+1)/k) / ln(T/2), from 2 to T - 1."""
    batch = GENERATORS.load("recall").sample(stream("lag"), batch=50_000, length=30, lag="loguniform")
    counts = torch.bincount(batch.tags["lag"][:, -1], minlength=30).numpy()
    expected = [50_000 * math.log((k + 1) / k) / math.log(15) for k in range(2, 30)]
    assert counts[:2].tolist() == [0, 0]
    assert chisquare(counts[2:], expected).pvalue > 1e-3


@pytest.mark.parametrize("lag", ["fixed", "loguniform"])
def test_recall_without_its_item_says_nothing(lag):
    """With the item masked the oracle is at chance, and no token depends on the answer (protocol 2.0 iv)."""
    batch = GENERATORS.load("recall").sample(stream("mask"), batch=20_000, length=12, lag=lag)
    masked = torch.where(batch.inputs < 8, 16, batch.inputs)
    loss = -recall_answers(masked, batch)[batch.scored].mean().item()
    assert math.log(8) == pytest.approx(loss, abs=1e-6)
    answers = batch.targets[:, -1]
    for position in range(12):
        pairs = torch.bincount(answers * 17 + masked[:, position], minlength=8 * 17).view(8, 17)
        seen = pairs[:, pairs.sum(0) > 0]
        assert chi2_contingency(seen.numpy()).pvalue > 1e-4


@pytest.mark.parametrize(
    ("length", "buckets"),
    [
        (3, ((2, 2),)),
        (12, ((2, 4), (5, 10), (11, 11))),
        (60, ((2, 4), (5, 10), (11, 25), (26, 50), (51, 59))),
        (100, ((2, 4), (5, 10), (11, 25), (26, 50), (51, 99))),
        (101, ((2, 4), (5, 10), (11, 25), (26, 50), (51, 99), (100, 100))),
        (400, ((2, 4), (5, 10), (11, 25), (26, 50), (51, 99), (100, 199), (200, 399))),
    ],
)
def test_lag_buckets_cover_every_lag_once(length, buckets):
    """Buckets are those of protocol 2.3, doubled after 99 and cut at T - 1."""
    assert buckets == lag_buckets(length)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"length": 1}, "length 1 leaves no room for a fixed lag; give at least 2"),
        ({"length": 2, "lag": "loguniform"}, "length 2 leaves no room for a loguniform lag; give at least 3"),
        ({"length": 9, "lag": "far"}, "lag 'far' is unknown; give one of fixed, loguniform"),
        ({"length": 9, "items": 1}, "items 1: too small; give at least 2"),
        ({"length": 9, "distractors": 0}, "distractors 0: too small; give at least 1"),
    ],
)
def test_recall_refuses_what_it_cannot_ask(params, message):
    """An impossible parameter is named with what would be possible."""
    with pytest.raises(InvalidInput) as caught:
        GENERATORS.load("recall").sample(stream("refused"), batch=2, **params)
    assert message == str(caught.value)


@pytest.mark.parametrize("marks", ["any", "halves"])
def test_a_constant_in_place_of_the_sum_costs_a_sixth(marks):
    """Predicting 1, the mean, costs the variance of the sum of two uniform numbers (protocol 2.0 ii)."""
    case = Case(name="adding", params={"marks": marks})
    drawn = torch.cat(scored_targets(case, "chance", batches=200, batch=128)).double()
    mean, error = mean_and_error(((drawn - 1) ** 2).tolist())
    assert case.bounds().chance_loss == 1 / 6
    assert abs(mean - 1 / 6) <= 4 * error
    mean, error = mean_and_error(drawn.tolist())
    assert abs(mean - 1) <= 4 * error


@pytest.mark.parametrize(("unseen", "loss"), [(1, 1 / 12), (2, 1 / 6)])
@pytest.mark.parametrize("marks", ["any", "halves"])
def test_an_unseen_mark_costs_a_twelfth(marks, unseen, loss):
    """Knowing one addend leaves the variance of the other, knowing none leaves chance (protocol 2.0 iv)."""
    batch = GENERATORS.load("adding").sample(stream("mask", marks), batch=20_000, length=9, marks=marks)
    masked = batch.inputs.clone()
    places = masked[..., 1].nonzero()[:, 1].view(-1, 2)  # (B, 2)
    for which in range(unseen):
        masked[torch.arange(20_000), places[:, which]] = 0.0
    mean, error = mean_and_error((-adding_answers(masked, batch)[batch.scored]).tolist())
    assert abs(mean - loss) <= 4 * error


@pytest.mark.parametrize("marks", ["any", "halves"])
def test_two_positions_are_marked_as_documented(marks):
    """Every allowed pair of positions is marked equally often: any two, or one of each half."""
    batch = GENERATORS.load("adding").sample(stream("marks", marks), batch=20_000, length=7, marks=marks)
    assert torch.equal(batch.inputs[..., 1].sum(1), torch.full((20_000,), 2.0))
    assert torch.equal(batch.inputs[..., 1], batch.inputs[..., 1].bool().float())
    first, second = batch.inputs[..., 1].nonzero()[:, 1].view(-1, 2).unbind(1)
    pairs = torch.bincount(7 * first + second, minlength=49)
    allowed = [7 * i + j for i in range(7) for j in range(i + 1, 7) if marks == "any" or i < 3 <= j]
    assert pairs.sum() == pairs[allowed].sum()
    assert chisquare(pairs[allowed]).pvalue > 1e-3


def test_numbers_to_add_are_uniform():
    """The numbers fill [0, 1) evenly, and the sum is asked for at the last position only."""
    batch = GENERATORS.load("adding").sample(stream("numbers"), batch=2000, length=10)
    assert chisquare(torch.histc(batch.inputs[..., 0], bins=20, min=0, max=1)).pvalue > 1e-3
    assert torch.equal(batch.scored.nonzero(), torch.stack([torch.arange(2000), torch.full((2000,), 9)], 1))


def test_a_copy_is_laid_out_as_documented():
    """Ten symbols, T-1 blanks and eleven delimiters; each symbol is asked for T+10 positions after it stood."""
    batch = GENERATORS.load("copy").sample(stream("layout"), batch=50, length=6)
    assert batch.inputs.shape == (50, 26)
    assert torch.equal(batch.inputs[:, 10:15], torch.full((50, 5), 8))
    assert torch.equal(batch.inputs[:, 15:], torch.full((50, 11), 9))
    assert torch.equal(batch.inputs[:, :10], batch.targets[:, 16:])
    assert batch.scored[:, 16:].all()
    assert not batch.scored[:, :16].any()


def test_symbols_to_copy_are_balanced():
    """Every item is asked for equally often at each place, whatever the one before it (protocol 2.0 iii)."""
    shown = GENERATORS.load("copy").sample(stream("balance"), batch=5000, length=1).targets[:, -10:]
    assert all(chisquare(torch.bincount(column, minlength=8)).pvalue > 1e-4 for column in shown.unbind(1))
    pairs = torch.bincount((8 * shown[:, :-1] + shown[:, 1:]).flatten(), minlength=64)
    assert chisquare(pairs).pvalue > 1e-4


def test_a_copy_without_its_symbols_says_nothing():
    """With the symbols masked the oracle is at chance, and every row shows the same (protocol 2.0 iv)."""
    batch = GENERATORS.load("copy").sample(stream("mask"), batch=200, length=6)
    masked = torch.where(batch.inputs < 8, 8, batch.inputs)
    loss = -copy_answers(masked, batch)[batch.scored].mean().item()
    assert math.log(8) == pytest.approx(loss)
    assert len(masked.unique(dim=0)) == 1


@pytest.mark.parametrize(("length", "chance"), [(100, 0.1733), (1000, 0.02039)])
def test_the_diluted_chance_is_that_of_the_literature(length, chance):
    """Averaged over all T+20 positions, ln 8 at ten of them is 10 ln 8 / (T+20) (protocol 2.2)."""
    assert GENERATORS.load("copy").diluted_loss(math.log(8), length=length) == pytest.approx(chance, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("adding", {"length": 1}, "length 1: too small; give at least 2"),
        ("adding", {"length": 9, "marks": "all"}, "marks 'all' is unknown; give one of any, halves"),
        ("copy", {"length": 0}, "length 0: too small; give at least 1"),
        ("copy", {"length": 9, "symbols": 0}, "symbols 0: too small; give at least 1"),
        ("copy", {"length": 9, "items": 1}, "items 1: too small; give at least 2"),
    ],
)
def test_impossible_parameters_are_refused(name, params, message):
    """An impossible parameter is named with what would be possible."""
    with pytest.raises(InvalidInput) as caught:
        GENERATORS.load(name).sample(stream("refused"), batch=2, **params)
    assert message == str(caught.value)


def test_onehot_vectors_are_uniform():
    """Every position holds a single 1, equally often at each place, and nothing is asked."""
    batch = GENERATORS.load("onehot").sample(stream("onehot"), batch=100, length=100, inputs=16)
    assert torch.equal(torch.ones(100, 100), batch.inputs.sum(2))
    assert torch.equal(batch.inputs, batch.inputs.bool().float())
    assert chisquare(batch.inputs.sum((0, 1)).numpy()).pvalue > 1e-3
    assert not batch.scored.any()


def test_chronicle_rows_are_one_text():
    """Each window goes on where the one above it ends, and asks for the next character everywhere."""
    batch = GENERATORS.load("chronicle").sample(stream("rows"), batch=6, length=50, preset="S")
    assert torch.equal(batch.inputs[:, 1:], batch.targets[:, :-1])
    assert torch.equal(batch.inputs[1:, 0], batch.targets[:-1, -1])
    assert batch.scored.all()


def test_chronicle_windows_begin_anywhere():
    """The first character of a batch has the shares of the whole text, not those of a document's start."""
    first = [
        GENERATORS.load("chronicle").sample(stream("first", n), batch=1, length=1, preset="XS").inputs.item()
        for n in range(4000)
    ]
    counts = np.bincount(first, minlength=len(chronicle.ALPHABET))
    shares = chronicle.character_frequencies("XS")
    expected = 4000 * np.array([shares[character] for character in chronicle.ALPHABET])
    assert expected.min() > 5
    assert chisquare(counts, expected).pvalue > 1e-3


def test_chronicle_refuses_an_unknown_preset():
    """A preset that does not exist is answered with the nearest ones."""
    with pytest.raises(UnknownName, match=r"no Chronicle preset named 'XXS'; did you mean XS\? "):
        GENERATORS.load("chronicle").sample(stream("refused"), batch=2, length=9, preset="XXS")


def test_text_windows_are_of_the_training_part():
    """Every window, with the character asked for last, stands in the training part."""
    batch = GENERATORS.load("text").sample(stream("windows"), batch=50, length=30, text=TALE)
    train = "".join(TALE.alphabet[i] for i in TALE.train)
    for shown, asked in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        assert shown[1:] == asked[:-1]
        assert "".join(TALE.alphabet[i] for i in (*shown, asked[-1])) in train


def test_text_windows_reach_both_ends():
    """The first and the last window of the training part are drawn too, and none beyond."""
    short = split((Story("short", "".join(chr(0x4E00 + i) for i in range(100))),), by="character")
    batch = GENERATORS.load("text").sample(stream("ends"), batch=2000, length=4, text=short)
    train = short.train.tolist()
    assert len(train) == 90
    drawn = {tuple(row) for row in torch.cat([batch.inputs, batch.targets[:, -1:]], 1).tolist()}
    assert drawn == {tuple(train[i : i + 5]) for i in range(86)}


@pytest.mark.parametrize("part", ["test", "valid"])
def test_held_out_text_is_the_part_asked_for(part):
    """A held-out text has the characters of its part and claims no floor."""
    held_out = GENERATORS.load("text").held_out(text=TALE, part=part)
    assert np.array_equal(getattr(TALE, part), held_out.ids)
    assert TALE.alphabet == held_out.alphabet
    assert held_out.floor_bits is None


def test_training_text_is_not_held_out():
    """Asking to test on the training part is an error."""
    with pytest.raises(InvalidInput, match=r"^part 'train' is not held out; give one of test, valid$"):
        GENERATORS.load("text").held_out(text=TALE, part="train")
