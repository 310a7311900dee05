"""Probes on planted cases: networks and tensors whose answer is known in closed form."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from seqbench.errors import ContractError
from seqbench.measure import models
from seqbench.measure.generators import adding, copy, mqar, multiset, needle, recall
from seqbench.measure.generators.base import Batch
from seqbench.measure.probes import (
    answers,
    bits_per_character,
    input_gradient,
    memoryless,
    order_shift,
    recall_by_lag,
    saved_bytes,
    state_bytes,
    training_curves,
)
from seqbench.measure.probes.base import Subject
from seqbench.measure.seeds import stream
from seqbench.measure.training import Evaluation, History
from seqbench.variant import parse


class Decay(nn.Module):
    """h_t = λ h_{t-1} + x_t, read out as it is: the gradient at lag k is exactly λ^k."""

    def __init__(self, decay, width=3):
        super().__init__()
        self.decay = nn.Parameter(torch.tensor(decay, dtype=torch.float64))
        self.width = width

    def forward(self, inputs, state=None):
        hidden = torch.zeros(inputs.shape[0], self.width, dtype=inputs.dtype)
        outputs = []
        for x in inputs.unbind(1):
            hidden = self.decay * hidden + x
            outputs.append(hidden)
        return torch.stack(outputs, dim=1), None


class EmbeddedDecay(nn.Module):
    """The same after an embedding of tokens."""

    def __init__(self, decay):
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.decay = Decay(decay)

    def forward(self, tokens, state=None):
        return self.decay(self.embedding(tokens), state)


class Answers(nn.Module):
    """Looks `reach` positions back for an item and names it, else guesses item 0: a recall model with a known reach."""

    def __init__(self, reach, items=8):
        super().__init__()
        self.reach, self.items = reach, items
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, tokens, state=None):
        logits = torch.zeros(*tokens.shape, self.items)
        window = tokens[:, max(0, tokens.shape[1] - 1 - self.reach) : -1]
        for row, seen in enumerate(window):
            items = seen[seen < self.items]
            logits[row, -1, int(items[-1]) if len(items) else 0] = 20.0
        return logits, None


def floats(rng, batch, length):
    inputs = torch.randn(batch, length, 3, generator=rng)
    scored = torch.zeros(batch, length, dtype=torch.bool)
    return Batch(inputs=inputs, targets=torch.zeros(batch, length, dtype=torch.int64), scored=scored)


def tokens(rng, batch, length):
    drawn = torch.randint(0, 5, (batch, length), generator=rng)
    return Batch(inputs=drawn, targets=drawn, scored=torch.ones_like(drawn, dtype=torch.bool))


def subject_of(model, *, length=200, sample=floats, **changes):
    fields = {"task": "t", "seed": 0, "generator": recall, "params": {}, "device": torch.device("cpu")}
    return Subject(model=model, length=length, sample=sample, **(fields | changes))


def by_name(measurements):
    return {measurement.name: measurement for measurement in measurements}


@pytest.mark.parametrize("decay", [0.3, 0.98, 1.0, 1.2])
def test_a_planted_decay_has_its_logarithm_as_slope(decay):
    """H = λh + x gives a gradient of λ^k at lag k: slope ln λ, fitted exactly, whether it vanishes or explodes."""
    found = by_name(input_gradient.measure(subject_of(Decay(decay))))
    assert found["gradient_slope"].value == pytest.approx(math.log(decay), abs=1e-9)
    assert found["gradient_fit_r2"].value == pytest.approx(1.0)


def test_the_profile_of_tokens_is_taken_at_the_embedding():
    """A token model is probed at its embedding's output, with the same slope as the float model behind it."""
    found = by_name(input_gradient.measure(subject_of(EmbeddedDecay(0.9), sample=tokens)))
    assert found["gradient_slope"].value == pytest.approx(math.log(0.9), abs=1e-9)


def test_the_horizon_is_where_one_percent_is_left():
    """0.9^k falls under 1 % of its largest value, at k = 1, after k = 44."""
    found = by_name(input_gradient.measure(subject_of(Decay(0.9))))
    assert found["gradient_horizon"].value == 44


def test_a_gradient_beyond_the_range_of_squares_is_still_measured():
    """At 0.02^k the norm itself would underflow in squares after lag 95; the slope is exact all the same."""
    found = by_name(input_gradient.measure(subject_of(Decay(0.02))))
    assert found["gradient_slope"].value == pytest.approx(math.log(0.02), abs=1e-9)
    assert found["lags_below_resolution"].value == 9  # 0.02^190 is the last that float64 holds


def test_an_exact_zero_is_below_resolution_and_not_dropped_silently():
    """A model that forgets everything has a slope of NaN and says how many lags it could not resolve."""
    found = by_name(input_gradient.measure(subject_of(Decay(0.0))))
    assert math.isnan(found["gradient_slope"].value)
    assert found["lags_below_resolution"].value == 199


def test_a_token_model_without_embedding_is_refused():
    """The gradient of a model with no embedding cannot be taken, and the error says what to do."""
    with pytest.raises(ContractError, match=r"^the model has no nn\.Embedding"):
        input_gradient.measure(subject_of(Answers(3), sample=tokens))


def test_a_planted_tensor_is_counted_to_the_byte():
    """Exp saves its output, a multiplication its two factors: each distinct storage once, parameters never."""
    weight = nn.Linear(4, 4, bias=False)
    x = torch.randn(10, 4, requires_grad=True)

    def forward():
        return ((x @ weight.weight).exp() * x).sum()  # saves x, the exponential's output, and the weight

    assert saved_bytes.saved_bytes(forward, ignoring=weight) == 2 * 10 * 4 * 4


def test_a_view_counts_its_whole_storage_once():
    """Two views of one tensor are one storage."""
    x = torch.randn(100, requires_grad=True)
    y = x * 1.0

    def forward():
        return (y[:50].exp() * y[50:].sin()).sum()

    exponential, sine, storage = 50 * 4, 50 * 4, 100 * 4
    assert saved_bytes.saved_bytes(forward, ignoring=nn.Module()) == exponential + sine + storage


@pytest.mark.parametrize(
    ("model", "expected"),
    [("rnn", 16 * 4), ("gru", 16 * 4), ("lstm", 2 * 16 * 4), ("transformer", 2 * 16 * 30 * 4)],
)
def test_state_bytes_follow_the_closed_form(model, expected):
    """H floats for RNN and GRU, 2H for the LSTM, 2·D·t for one layer of attention."""
    variant = parse(model)
    spec = models.spec_for(variant, vocab=5, outputs=5, width=16, layers=1)
    subject = subject_of(models.create(variant, spec, seed=0), length=30, sample=tokens)
    (found,) = state_bytes.measure(subject)
    assert found.value == expected


def test_explicit_attention_is_the_only_model_whose_bytes_per_token_grow():
    """Bytes saved per token do not grow with T for any of the four architectures: their kernels keep O(T)."""
    for name in ("rnn", "lstm", "gru", "transformer"):
        variant = parse(name)
        spec = models.spec_for(variant, vocab=5, outputs=5, width=16, layers=1)
        model = models.create(variant, spec, seed=0)
        short, long = (
            by_name(saved_bytes.measure(subject_of(model, length=length, sample=tokens)))["saved_bytes_per_token"].value
            for length in (64, 256)
        )
        assert long <= short, name


def sample_recall(rng, batch, length):
    return recall.sample(rng, batch=batch, length=length, lag="loguniform")


def test_recall_by_lag_finds_the_reach_of_a_planted_model():
    """A model that sees 10 positions back recalls lags up to 10 and guesses beyond."""
    subject = subject_of(Answers(10), length=100, sample=sample_recall, params={"lag": "loguniform"})
    found = by_name(recall_by_lag.measure(subject))
    near, far = found["recall_by_lag"].series.values[:2], found["recall_by_lag"].series.values[2:]
    assert near == (1.0, 1.0)
    assert all(abs(value) < 0.1 for value in far)
    assert found["recall_far"].value == far[-1]
    assert found["recall_auc"].value == pytest.approx(sum(near + far) / 5)


def test_normalised_recall_is_zero_at_chance_and_one_when_perfect():
    """R = (accuracy - 1/K)/(1 - 1/K)."""
    assert [recall_by_lag.normalised(a, chance=0.125) for a in (0.125, 1.0, 0.5625)] == [0.0, 1.0, 0.5]


class Counts(nn.Module):
    """Counts the items below 3 among those that `seen` lets through, sure of it, and says so at the last position."""

    def __init__(self, seen):
        super().__init__()
        self.seen = seen
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, tokens, state=None):
        low = tokens[:, :-1] < 3
        logits = torch.zeros(*tokens.shape, 25)
        logits[torch.arange(len(tokens)), -1, (low & self.seen(low)).sum(1)] = 30.0
        return logits, None


def everything(low):
    """Let every item through."""
    return torch.ones_like(low)


def sorted_prefix(low):
    """Let only the first run of low items through, as a model would that expects sorted items."""
    return low.int().cumprod(dim=1).bool()


def order_shift_of(model, *, length=12, **params):
    params = {"order": "sorted", "test_order": "random"} | params

    def sample(rng, batch, length):
        return multiset.sample(rng, batch=batch, length=length, **params)

    subject = subject_of(model, length=length, sample=sample, generator=multiset, params=params)
    return {name: found.value for name, found in by_name(order_shift.measure(subject)).items()}


@pytest.mark.parametrize("order", ["random", "sorted", "reversed"])
def test_a_counter_blind_to_order_loses_nothing_and_flips_nothing(order):
    """A model that counts every item is right in every order: no drop, no flips."""
    found = order_shift_of(Counts(everything), order=order)
    assert (found["accuracy"], found["accuracy_shuffled"]) == (1.0, 1.0)
    assert (found["order_drop"], found["flip_rate"]) == (0.0, 0.0)
    assert (found["loss"], found["floor_loss"]) == (pytest.approx(0.0, abs=1e-9), 0.0)
    assert found["chance_loss"] == pytest.approx(1.87294, abs=1e-5)
    assert found["chance_accuracy"] == pytest.approx(0.2397, abs=1e-5)


def test_a_counter_of_a_sorted_prefix_drops_by_what_a_shuffle_breaks():
    """Sorted, a prefix has all k low items; shuffled with probability 1 / C(12, k), where k ~ Bin(12, 0.3)."""
    right = sum(0.3**k * 0.7 ** (12 - k) for k in range(13))  # C(12, k) · p^k · q^(12-k) / C(12, k)
    found = order_shift_of(Counts(sorted_prefix))
    error = math.sqrt(right * (1 - right) / 4096)
    assert found["accuracy"] == 1.0
    assert abs(found["accuracy_shuffled"] - right) < 4 * error
    assert found["order_drop"] == pytest.approx(1.0 - found["accuracy_shuffled"])
    assert found["flip_rate"] == found["order_drop"]  # this model's answer flips exactly where it becomes wrong


def test_flips_are_counted_where_accuracy_does_not_change():
    """Trained on random orders, a prefix counter is right as often as before, yet most answers flip."""
    found = order_shift_of(Counts(sorted_prefix), order="random")
    assert abs(found["order_drop"]) < 0.02
    assert found["flip_rate"] > 0.3


def test_the_test_order_is_the_one_asked_for():
    """Reversed, the low items come last: a prefix counter is right only where there is none, or nothing else."""
    found = order_shift_of(Counts(sorted_prefix), test_order="reversed")
    expected = 0.7**12 + 0.3**12
    assert abs(found["accuracy_shuffled"] - expected) < 4 * math.sqrt(expected / 4096)


def test_the_items_that_decide_may_come_first_in_the_test():
    """Trained on low items first, a prefix counter is as right when they come first again, the rest in any order."""
    found = order_shift_of(Counts(sorted_prefix), test_order="key_first")
    assert (found["accuracy_shuffled"], found["order_drop"], found["flip_rate"]) == (1.0, 0.0, 0.0)


class Sums(nn.Module):
    """Says a number about the items at the last position, by a rule."""

    def __init__(self, rule):
        super().__init__()
        self.rule = rule
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, tokens, state=None):
        answers = torch.zeros(*tokens.shape, 1)
        answers[:, -1, 0] = self.rule(tokens[:, :-1] - 4.5)
        return answers, None


def total(digits):
    """Add up."""
    return digits.sum(1)


def ascending_total(digits):
    """Add up, with the wrong sign where the digits do not ascend."""
    ascending = (digits[:, 1:] >= digits[:, :-1]).all(1)
    return torch.where(ascending, 1, -1) * digits.sum(1)


def first_of(digits):
    """Say the first one."""
    return digits[:, 0]


@pytest.mark.parametrize("order", ["random", "sorted", "reversed", "key_first"])
def test_a_sum_blind_to_order_loses_nothing_and_changes_nothing(order):
    """A model that adds all digits is right in every order; the loss of a regression is told in squared units."""
    found = order_shift_of(Sums(total), length=10, asks="sum", order=order)
    assert (found["r2"], found["r2_shuffled"], found["r2_drop"], found["answer_change"]) == (1.0, 1.0, 0.0, 0.0)
    assert (found["loss"], found["chance_loss"], found["floor_loss"]) == (0.0, 82.5, 0.0)
    assert not {"accuracy", "accuracy_shuffled", "order_drop", "flip_rate"} & set(found)


def test_an_answer_of_the_wrong_sign_is_two_deviations_away():
    """Shuffled, the answer -s in place of s costs 4 s²: R² falls from 1 to -3, and the answer changes by 2."""
    found = order_shift_of(Sums(ascending_total), length=10, asks="sum")
    error = 4 * 2**0.5 / math.sqrt(4096)  # of the mean of s², which is near normal, in chances
    assert (found["loss"], found["r2"]) == (0.0, 1.0)
    assert abs(found["r2_shuffled"] + 3) < 4 * error
    assert found["r2_drop"] == pytest.approx(1 - found["r2_shuffled"])
    assert found["answer_change"] == pytest.approx(found["r2_drop"] ** 0.5)
    assert found["answer_change"] != pytest.approx(found["r2_drop"])


def test_answers_change_where_r2_does_not():
    """Who says the first of n digits, in random order: R² = 1/n both times, and the change is [2 (1 - 1/n) / n]^½."""
    found = order_shift_of(Sums(first_of), length=10, asks="sum", order="random")
    assert found["r2"] == pytest.approx(0.1, abs=0.1)
    assert abs(found["r2_drop"]) < 0.05
    assert found["answer_change"] == pytest.approx((2 * 0.9 / 10) ** 0.5, rel=0.04)


def test_a_sum_states_the_units_of_what_it_measures():
    """The loss is a squared error, everything relative to chance is a plain number."""
    params = {"asks": "sum", "test_order": "random"}

    def sample(rng, batch, length):
        return multiset.sample(rng, batch=batch, length=length, **params)

    subject = subject_of(Sums(total), length=10, sample=sample, generator=multiset, params=params)
    units = {name: found.unit for name, found in by_name(order_shift.measure(subject)).items()}
    assert units == {
        "loss": "squared error",
        "chance_loss": "squared error",
        "floor_loss": "squared error",
        "r2": "1",
        "r2_shuffled": "1",
        "r2_drop": "1",
        "answer_change": "1",
    }


def answers_of(model, generator, *, length, **params):
    def sample(rng, batch, length):
        return generator.sample(rng, batch=batch, length=length, **params)

    return by_name(answers.measure(subject_of(model, length=length, sample=sample, generator=generator, params=params)))


class Constant(nn.Module):
    """The same answer at every position, whatever is shown."""

    def __init__(self, *logits):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, inputs, state=None):
        return self.logits.expand(*inputs.shape[:2], -1), None


def test_answers_of_a_regression_have_a_share_explained_and_no_accuracy():
    """Answering 1 to the adding problem costs chance, 1/6: R² is 0 within its error, and no class is right or wrong."""
    found = answers_of(Constant(1.0), adding, length=9, marks="any")
    assert abs(found["loss"].value - 1 / 6) < 4 * math.sqrt(7 / 180 / 4096)  # the fourth moment of the sum, less 1/36
    assert found["r2"].value == pytest.approx(1 - 6 * found["loss"].value)
    assert {found[name].unit for name in ("loss", "chance_loss", "floor_loss")} == {"squared error"}
    assert not {"accuracy", "chance_accuracy", "diluted_loss"} & set(found)


def test_answers_are_told_by_length():
    """A reader who sees 19 positions back is perfect up to there and guesses beyond; longer lengths make the value."""

    def sample(rng, batch, length, **changed):
        return recall.sample(rng, batch=batch, length=length)

    subject = subject_of(Answers(19), length=10, sample=sample, test_lengths=(5, 20, 40))
    found = by_name(answers.measure(subject))["accuracy_by_length"]
    assert found.series.at == (5.0, 10.0, 20.0, 40.0)
    assert found.series.values[:3] == (1.0, 1.0, 1.0)
    assert found.series.values[3] == pytest.approx(1 / 8, abs=4 * math.sqrt(7 / 64 / 1024))
    assert found.value == (1.0 + found.series.values[3]) / 2


def test_every_test_of_a_task_is_told_by_its_name():
    """A task with a second test, in which the item lies out of reach, is scored in both; the first keeps its names."""

    class Planted:
        LEAST_SCORED = 5000
        bounds = staticmethod(recall.bounds)

    def sample(rng, batch, length, *, far=False):
        return recall.sample(rng, batch=batch, length=length + 10 * far)

    tests = {"": {}, "far": {"far": True}}
    found = by_name(answers.measure(subject_of(Answers(9), length=10, sample=sample, generator=Planted, tests=tests)))
    assert (found["accuracy"].value, found["wrong"].value, found["asked"].value) == (1.0, 0.0, 5120.0)
    asked, wrong = found["asked_far"].value, found["wrong_far"].value
    assert asked == 5120.0
    assert found["accuracy_far"].value == 1 - wrong / asked == pytest.approx(1 / 8, abs=0.02)


def test_answers_to_copy_tell_the_diluted_loss_beside_the_honest_one():
    """Equal logits cost ln 8 at every recall, and on the scale of the literature 10 ln 8 / 40."""
    found = answers_of(Constant(*[0.0] * 8), copy, length=20)
    assert found["loss"].value == pytest.approx(math.log(8))
    assert found["diluted_loss"].value == pytest.approx(10 * math.log(8) / 40)
    assert found["chance_accuracy"].value == 0.125
    assert abs(found["accuracy"].value - 0.125) < 4 * math.sqrt(0.125 * 0.875 / 40_960)


def test_only_a_literature_that_dilutes_is_told_a_diluted_loss():
    """Recall has no such number."""
    assert "diluted_loss" not in answers_of(Answers(99), recall, length=20)


@pytest.mark.parametrize(
    ("generator", "values", "others"), [(mqar, slice(32, 64), slice(0, 32)), (needle, slice(0, 16), slice(0, 0))]
)
def test_a_guess_among_the_answers_shown_stands_beside_chance(generator, values, others):
    """Spread over all values a guess costs chance, and the loss of one who knows which four are shown is ln 4."""
    logits = torch.zeros(max(values.stop, others.stop))
    logits[others] = -40.0
    found = answers_of(Constant(*logits.tolist()), generator, length=24)
    assert found["loss"].value == pytest.approx(found["chance_loss"].value)
    assert (found["context_loss"].value, found["context_loss"].unit) == (math.log(4), "nat")
    assert found["context_loss"].value < math.log(values.stop - values.start) == found["chance_loss"].value


def test_the_loss_of_a_guess_among_the_answers_is_known_without_a_model():
    """It stands among the baselines, which are told where training diverged; other tasks have none."""
    subject = subject_of(Constant(0.0), length=24, generator=mqar, params={"pairs": 5})
    assert by_name(answers.baselines(subject))["context_loss"].value == math.log(5)
    plain = subject_of(Constant(0.0), length=24, generator=copy)
    assert set(by_name(answers.baselines(plain))) == {"chance_loss", "floor_loss", "chance_accuracy"}


def test_a_uniform_model_costs_the_logarithm_of_the_alphabet():
    """Equal logits cost log2 V bits at every character, and every character after the context is scored once."""

    class Uniform(nn.Module):
        def __init__(self):
            super().__init__()
            self.unused = nn.Parameter(torch.zeros(1))

        def forward(self, tokens, state=None):
            return torch.zeros(*tokens.shape, 8), None

    ids = torch.randint(0, 8, (1000,), generator=stream("x")).numpy()
    positions, bits = bits_per_character.surprisal(Uniform(), ids, length=30)
    assert bits == pytest.approx(3.0)
    assert sorted(positions) == list(range(bits_per_character.context_of(30), 1000))


def test_the_error_of_a_test_text_is_that_of_the_mean_of_its_blocks():
    """Three whole blocks of 2,048 characters in the order of the text, however they were scored; the rest is left."""
    positions = torch.randperm(3 * 2048 + 500, generator=stream("x")).numpy() + 64
    costs = np.concatenate([np.full(2048, 1.0), np.full(2048, 2.0), np.full(2048, 6.0), np.full(500, 100.0)])
    (found,) = bits_per_character.by_block(positions, costs[positions - 64])
    assert (found.series.at, found.series.values) == ((64, 64 + 2048, 64 + 4096), (1.0, 2.0, 6.0))
    assert found.value == pytest.approx(math.sqrt(7 / 3))  # s² = (4 + 1 + 9) / 2 = 7, over three blocks
    assert bits_per_character.by_block(positions[:4095], costs[:4095]) == ()


def test_the_context_is_64_characters_or_two_thirds_of_the_window():
    """At T = 96 and beyond every scored character has 64 to its left."""
    assert [bits_per_character.context_of(length) for length in (3, 48, 96, 512)] == [2, 32, 64, 64]


def test_training_curves_keep_every_step_in_at_most_200_points():
    """Long curves are thinned by means, so that no step is left out of the stored loss."""
    losses = tuple(float(i) for i in range(1000))
    history = History(
        losses=losses,
        gradient_norms=losses,
        evaluations=(Evaluation(step=1000, loss=0.5, score=0.9),),
        tokens=4000,
        outcome="finished",
    )
    found = by_name(training_curves.measure(subject_of(Decay(1.0), history=history)))
    series = found["training_loss"].series
    assert (len(series.at), series.at[-1]) == (200, 1000.0)
    assert sum(series.values) * 5 == pytest.approx(sum(losses))
    assert (found["steps_to_solve"].value, found["steps"].value, found["tokens"].value) == (math.inf, 1000.0, 4000.0)


class Bag(nn.Module):
    """The sum of what the tokens are worth, at every position the sum so far: blind to order at the last one."""

    def __init__(self):
        super().__init__()
        self.worth = nn.Embedding(5, 4)

    def forward(self, tokens, state=None):
        return self.worth(tokens).cumsum(1), None


class Positions(Bag):
    """Each token's worth times its place: another order is as different as another input."""

    def forward(self, tokens, state=None):
        places = torch.arange(1, tokens.shape[1] + 1, dtype=torch.float64)[None, :, None]
        return (self.worth(tokens) * places).cumsum(1), None


def test_an_order_blind_model_has_symmetry_zero():
    """A sum does not see order: S is zero to rounding, read at the last position or as the mean over positions."""
    from seqbench.measure.probes import order_symmetry

    (found,) = order_symmetry.measure(subject_of(Bag(), length=32, sample=tokens))
    assert found.value < 1e-12


def test_a_model_that_weighs_places_sees_the_order():
    """Weights that grow with the place make another order matter: S is far from zero."""
    from seqbench.measure.probes import order_symmetry

    (found,) = order_symmetry.measure(subject_of(Positions(), length=32, sample=tokens))
    assert 0.3 < found.value < 1.5


class Chain(nn.Module):
    """T additions that wait for each other beside as many that do not: T + 1 stages deep, not 2T."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Embedding(5, 4)

    def forward(self, tokens, state=None):
        level = torch.zeros(1)
        beside = [torch.ones(1) + 1 for _ in range(tokens.shape[1])]
        for _ in range(tokens.shape[1]):
            level = level + 1
        return level.view(1, 1, 1) + len(beside), None


def test_sequential_depth_counts_what_waits_and_not_what_runs_beside():
    """A chain of T operations is T stages deep, views are free, and independent work beside it adds nothing."""
    from seqbench.measure.probes import sequential_depth

    depths = [
        sequential_depth.measure(subject_of(Chain(), length=length, sample=tokens))[0].value for length in (10, 20)
    ]
    assert depths[1] - depths[0] == 10


def test_recurrence_is_as_deep_as_the_sequence_and_attention_is_not():
    """Stages of an eager recurrent loop grow in proportion to T; those of a Transformer stay as they are."""
    from seqbench.measure.probes import sequential_depth

    depths = {}
    for name in ("rnn@implementation=eager", "transformer"):
        spec = models.spec_for(parse(name), vocab=5, outputs=5, width=8, layers=1)
        model = models.create(parse(name), spec, seed=0)
        depths[name] = [
            sequential_depth.measure(subject_of(model, length=length, sample=tokens))[0].value for length in (50, 100)
        ]
    short, long = depths["rnn@implementation=eager"]
    assert long - short == pytest.approx(short, rel=0.1)
    assert len(set(depths["transformer"])) == 1


def test_the_memoryless_answer_costs_what_arithmetic_says():
    """The variance 1/6 of a sum of two numbers, ln 8 of a symbol; printed tables spread the latter over T + 20."""
    drawn = {
        generator: (lambda rng, batch, length, g=generator: g.sample(rng, batch=batch, length=length))
        for generator in (adding, copy)
    }
    found = {}
    for generator, sample in drawn.items():
        subject = subject_of(nn.Identity(), length=100, sample=sample, generator=generator)
        found |= {(generator, entry.name): entry.value for entry in memoryless.measure(subject)}
    assert found == {
        (adding, "memoryless_loss"): pytest.approx(1 / 6, abs=0.0125),  # four standard errors of 4,096 sequences
        (copy, "memoryless_loss"): pytest.approx(math.log(8), rel=1e-3),
        (copy, "diluted_memoryless_loss"): pytest.approx(10 * math.log(8) / 120, rel=1e-3),
    }


def test_the_memoryless_answer_is_the_best_constant_one():
    """Of classes that come unequally often it costs their entropy, and not ln of their number."""

    def sample(rng, batch, length):
        del rng
        targets = torch.zeros(batch, length, dtype=torch.int64)
        targets[: batch // 4] = 1
        return Batch(inputs=targets, targets=targets, scored=torch.ones(batch, length, dtype=torch.bool))

    (found,) = memoryless.measure(subject_of(nn.Identity(), length=3, sample=sample))
    assert found.value == pytest.approx(-(0.25 * math.log(0.25) + 0.75 * math.log(0.75)))
