"""Training that carries its state: what a row reads goes on, the state too, and no gradient crosses the edge."""

import math
from itertools import islice

import numpy as np
import pytest
import torch
from torch import nn

from seqbench import plan
from seqbench.cell import TrainConfig
from seqbench.errors import CorpusError, InvalidInput
from seqbench.measure import models, prepare, runner, training
from seqbench.measure.corpora.chronicle import ALPHABET, walk
from seqbench.measure.corpora.text import Story, split
from seqbench.measure.environment import describe
from seqbench.measure.generators import chronicle, text
from seqbench.measure.generators.base import Batch
from seqbench.measure.models import MODELS
from seqbench.measure.probes import PROBES
from seqbench.measure.probes.base import carried_surprisal
from seqbench.measure.seeds import stream
from seqbench.suite import Group, Suite
from seqbench.variant import parse

TEXT = split([Story("one", "".join(chr(97 + (i * i + i // 7) % 26) for i in range(1000)))], by="character")


def rows_of(batches, count):
    """Return what every row reads in so many batches: (B, count · T)."""
    return torch.cat([batch.inputs for batch in islice(batches, count)], dim=1)


def test_each_row_of_a_text_goes_on_where_it_ended():
    """Four readers walk through the training part as a ring, a quarter of it apart, and ask for what comes next."""
    batches = text.streams(stream("a"), batch=4, window=10, text=TEXT)
    first, second = next(batches), next(batches)
    assert torch.equal(first.targets[:, -1], second.inputs[:, 0])
    read = rows_of(text.streams(stream("a"), batch=4, window=10, text=TEXT), 100)
    doubled = np.concatenate([TEXT.train, TEXT.train, TEXT.train])
    starts = [
        int(np.flatnonzero([(doubled[i : i + 1000] == row.numpy()).all() for i in range(900)])[0]) for row in read
    ]
    assert [(start - starts[0]) % 900 for start in starts] == [0, 225, 450, 675]


def test_another_stream_begins_elsewhere():
    """The random stream decides where the readers begin."""
    reads = [rows_of(text.streams(stream(name), batch=1, window=30, text=TEXT), 1) for name in ("a", "a", "b")]
    assert torch.equal(reads[0], reads[1])
    assert not torch.equal(reads[0], reads[2])


def test_a_text_shorter_than_a_window_is_refused():
    """Validation and test must hold a window too, as for windows that are drawn."""
    with pytest.raises(CorpusError, match="the validation part has 50 characters"):
        text.streams(stream("a"), batch=1, window=60, text=TEXT)


def test_each_row_of_a_chronicle_is_one_text():
    """What a row reads, from its first whole document on, is a text of the grammar; rows differ."""
    read = rows_of(chronicle.streams(stream("a"), batch=3, window=40, preset="XS"), 20)
    texts = ["".join(ALPHABET[i] for i in row) for row in read.tolist()]
    assert len(set(texts)) == 3
    for row in texts:
        whole = row[row.index("#") :]
        assert len(walk(whole, "XS").bits) == len(whole) > 500


class Counter(nn.Module):
    """Counts its calls in its state, and learns one number."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(4))
        self.states = []

    def forward(self, tokens, state=None):
        self.states.append(state)
        before = torch.zeros(len(tokens), 1) if state is None else state[0]
        logits = self.weight.expand(*tokens.shape, 4) + 0 * before[:, None]
        return logits, (before + 1 + 0 * self.weight.sum(),)


def batch_of(_step):
    tokens = torch.zeros(2, 3, dtype=torch.int64)
    return Batch(inputs=tokens, targets=tokens, scored=torch.ones_like(tokens, dtype=torch.bool))


def test_the_state_goes_from_update_to_update_without_its_history():
    """The first update begins with nothing, each later one with the last state, from which no gradient flows back."""
    model = Counter()
    training.train(model, batch_of, TrainConfig(steps=4, batch=2, learning_rate=0.1, carry=True))
    assert model.states[0] is None
    assert [float(state[0][0, 0]) for state in model.states[1:]] == [1.0, 2.0, 3.0]
    assert not any(state[0].requires_grad for state in model.states[1:])


def test_without_carrying_every_update_begins_with_nothing():
    """The default is as it was: sequences of their own."""
    model = Counter()
    training.train(model, batch_of, TrainConfig(steps=3, batch=2, learning_rate=0.1))
    assert model.states == [None, None, None]


def test_training_is_stopped_by_who_follows_it():
    """It is told of every evaluation, and the first answer of no ends training there."""
    seen = []

    def follow(progress):
        seen.append((progress.step, progress.evaluation))
        return len(seen) < 2

    config = TrainConfig(steps=20, batch=2, learning_rate=0.1, evaluate_every=4)
    history = training.train(Counter(), batch_of, config, follow=follow)
    assert seen == [(4, None), (8, None)]
    assert (history.steps, history.outcome) == (8, "stopped")


def test_what_is_followed_is_the_mean_loss_since_the_evaluation_before():
    """The losses of a stretch are averaged, not those of all of training."""
    told = []
    config = TrainConfig(steps=8, batch=2, learning_rate=0.5, warmup_steps=0, evaluate_every=4)
    history = training.train(Counter(), batch_of, config, follow=lambda progress: told.append(progress.loss) is None)
    assert told == pytest.approx([sum(history.losses[:4]) / 4, sum(history.losses[4:]) / 4])


def test_a_window_without_a_carried_state_is_refused():
    """A window says how much of a stream an update sees; without a stream it means nothing."""
    with pytest.raises(ValueError, match="give carry = true, or no window"):
        TrainConfig(steps=1, batch=1, learning_rate=0.1, window=8)


def test_fields_that_are_not_given_leave_no_trace_in_a_fingerprint():
    """What was planned before there were carried states keeps its records."""
    plain = TrainConfig(steps=1, batch=1, learning_rate=0.1).model_dump(exclude_none=True)
    assert not {"carry", "window"} & set(plain)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("lstm", ""),
        ("gru", ""),
        ("tcn", ""),
        ("mingru", ""),
        ("lru", ""),
        ("linear_attention", ""),
        ("block:gru", ""),
        ("transformer", "grows with every token"),
        ("transformer@causal=false", "carries no state"),
        ("hf:mamba", "grows with every token"),
    ],
)
def test_a_state_that_is_bounded_can_be_carried(name, why):
    """Recurrent states and the past of a convolution can, keys and values without end cannot."""
    variant = parse(name)
    model = models.create(variant, models.spec_for(variant, vocab=9, outputs=9, width=16, layers=2), seed=1)
    told = training.carry_refusal(model, torch.zeros(1, 3, dtype=torch.int64))
    assert why in told
    assert bool(why) == bool(told)


def study_of(model="rnn", *, task="chronicle", **changes):
    trained = {"steps": 3, "batch": 2, "learning_rate": 1e-2, "carry": True, "window": 16} | changes
    params = {"preset": "XS"} if task == "chronicle" else {}
    group = Group(
        name="g", task=task, models=(model,), lengths=(24,), width=8, seeds=1, params=params, training=trained
    )
    known = {"known_models": MODELS, "known_probes": PROBES}
    return plan.study("s", Suite(title="t", groups=(group,)), development=True, **known)


def run(study):
    (planned,) = plan.planned(study)
    cards = {"cards": study.cards, "preregistration": "", "environment": describe("cpu", threads=1)}
    return runner.run_cell(planned, context=prepare.Context(**cards))


def test_a_carried_cell_records_window_and_carrying_and_is_scored_once_more():
    """Tokens are those of the windows; the score with carried state stands beside the one in windows."""
    record = run(study_of())
    assert record.status == "ok"
    assert (record.cell.training.carry, record.cell.training.window) == (True, 16)
    assert record.measured("tokens").value == 3 * 2 * 16
    assert record.measured("stateful_bits_per_character").value == pytest.approx(
        record.measured("bits_per_character").value, abs=0.05
    )


def test_a_cell_that_carries_nothing_has_no_such_score():
    """Windows alone are what every model is compared by."""
    assert run(study_of(carry=None, window=None)).measured("stateful_bits_per_character") is None


def test_attention_cannot_carry_and_the_record_says_why():
    """A cell that cannot stand before its training is structural."""
    record = run(study_of("transformer"))
    assert record.status == "structural"
    assert "grows with every token" in record.error


def test_only_texts_can_be_read_on_and_on():
    """A task of its own sequences has nothing that goes on."""
    with pytest.raises(InvalidInput, match=r"training\.carry reads a text on and on, and task recall is none"):
        study_of(task="recall")


class Remembers(nn.Module):
    """Knows after how many characters it is: it is sure of a 1 from character `after` on, and guesses before."""

    def __init__(self, after):
        super().__init__()
        self.after = after
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, tokens, state=None):
        begun = torch.zeros(len(tokens), 1) if state is None else state[0]
        read = begun + torch.arange(1, tokens.shape[1] + 1)  # (B, T)
        logits = torch.zeros(*tokens.shape, 2)
        logits[..., 1] = torch.where(read >= self.after, 60.0, 0.0)
        return logits, (begun + tokens.shape[1],)


def test_carried_scores_know_what_windows_forget():
    """What can be told after 300 characters alone costs a bit before, in every reader's part, and nothing after."""
    ids = np.ones(8000, dtype=np.int64)
    bits = carried_surprisal(Remembers(300), ids, context=100, readers=4)
    assert len(bits) == 7900
    per_reader = bits.reshape(4, -1)
    assert per_reader[:, :199] == pytest.approx(np.ones((4, 199)))
    assert per_reader[:, 200:].max() < 1e-9


def test_every_character_is_scored_once_when_the_parts_do_not_divide_the_text():
    """The last readers step back: no place is left unscored."""
    ids = np.arange(1003) % 2
    bits = carried_surprisal(Remembers(1), ids, context=7, readers=16)
    assert len(bits) == 996
    right = ids[7:] == 1
    assert bits[right].max() < 1e-9
    assert bits[~right].min() == pytest.approx(60 / math.log(2), rel=1e-3)
