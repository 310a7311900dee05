"""Effective context on planted models: one that looks k characters back makes use of k, and of no more."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from seqbench import plan
from seqbench.measure import prepare, runner
from seqbench.measure.corpora.base import HeldOut
from seqbench.measure.environment import describe
from seqbench.measure.models import MODELS
from seqbench.measure.probes import PROBES, effective_context
from seqbench.measure.probes.base import Subject
from seqbench.measure.seeds import stream
from seqbench.suite import Group, Suite


def de_bruijn(order):
    """Return a cyclic binary text in which every word of `order` letters stands once: what follows it is certain.

    A shorter word stands as often before a 0 as before a 1, so that it tells nothing.
    """
    text, seen = [0] * order, {(0,) * order}
    while len(seen) < 2**order:
        words = [(*text[len(text) - order + 1 :], letter) for letter in (1, 0)]
        fresh = next(word for word in words if word not in seen)
        seen.add(fresh)
        text.append(fresh[-1])
    return text[: 2**order]


class Remembers(nn.Module):
    """Knows which letter of the text follows the last `reach`, is sure of it, and guesses where it sees fewer."""

    def __init__(self, reach, period):
        super().__init__()
        self.reach = reach
        self.unused = nn.Parameter(torch.zeros(1))
        cycle = [*period, *period]
        self.after = {tuple(cycle[at : at + reach]): cycle[at + reach] for at in range(len(period))}
        self.contexts = set()

    def forward(self, tokens, state=None):
        self.contexts.add(tokens.shape[1])
        logits = torch.zeros(*tokens.shape, 2)
        for row, seen in enumerate(tokens.tolist()):
            known = self.after.get(tuple(seen[-self.reach :]))
            if known is not None and len(seen) >= self.reach:
                logits[row, -1, known] = 30.0
        return logits, None


class TextOf:
    """Stands for the generator of a text."""

    def __init__(self, ids):
        self.ids = np.array(ids, dtype=np.int64)

    def held_out(self):
        return HeldOut(alphabet="ab", ids=self.ids, floor_bits=None)


def measured(model, ids, *, length):
    subject = Subject(
        model=model,
        task="t",
        length=length,
        seed=0,
        sample=None,
        generator=TextOf(ids),
        params={},
        device=torch.device("cpu"),
    )
    return {entry.name: entry for entry in effective_context.measure(subject)}


@pytest.mark.parametrize("reach", [1, 2, 4, 8])
def test_a_model_that_looks_k_back_makes_use_of_k(reach):
    """On a text that k letters determine and fewer do not, k letters of context are worth a bit and more nothing."""
    period = de_bruijn(reach)
    found = measured(Remembers(reach, period), period * 40, length=24)
    assert found["effective_context"].value == reach
    series = found["bits_by_context"].series
    assert (series.axis, series.at) == ("context", (1, 2, 4, 8, 16, 24))
    expected = [1.0 if context < reach else 0.0 for context in series.at]
    assert series.values == pytest.approx(expected, abs=1e-6)
    assert found["bits_by_context"].value == series.values[-1]


def test_a_reach_between_two_contexts_is_rounded_up():
    """The grid doubles: a reach of 5 shows at 8."""
    period = de_bruijn(5)
    assert measured(Remembers(5, period), period * 40, length=16)["effective_context"].value == 8


def test_a_reach_as_long_as_training_is_the_whole_length():
    """Context is never longer than what was trained on, and that length is one of the grid."""
    period = de_bruijn(6)
    assert measured(Remembers(6, period), period * 40, length=6)["effective_context"].value == 6


def test_a_model_that_only_guesses_needs_a_single_character():
    """Where context brings nothing, one character is as good as all."""
    found = measured(Remembers(20, de_bruijn(5)), de_bruijn(5) * 40, length=16)
    assert (found["effective_context"].value, found["bits_by_context"].value) == (1, pytest.approx(1))


@pytest.mark.parametrize(
    ("length", "contexts"),
    [(1, (1,)), (2, (1, 2)), (3, (1, 2, 3)), (8, (1, 2, 4, 8)), (96, (1, 2, 4, 8, 16, 32, 64, 96))],
)
def test_contexts_double_up_to_the_length(length, contexts):
    """The length itself is the last, once."""
    assert contexts == effective_context.contexts_up_to(length)


def test_every_context_is_measured_at_the_same_characters():
    """The model sees windows of exactly c characters, and the cost of a character is that behind all c of them."""

    class ReadsTheFirst(nn.Module):
        """Is sure that what comes is what stands at the front of its window."""

        def __init__(self):
            super().__init__()
            self.unused = nn.Parameter(torch.zeros(1))
            self.shown = {}

        def forward(self, tokens, state=None):
            self.shown.setdefault(tokens.shape[1], []).append(tokens[:, -1])
            return 30.0 * nn.functional.one_hot(tokens[:, :1].expand_as(tokens), 2).float(), None

    model = ReadsTheFirst()
    ids = torch.randint(0, 2, (9000,), generator=stream("text")).tolist()
    found = measured(model, ids, length=4)
    befores = [torch.cat(model.shown[context]) for context in (1, 2, 4)]
    assert torch.equal(befores[0], befores[1])
    assert torch.equal(befores[0], befores[2])
    assert found["characters_scored"].value == 4096 == len(befores[0])


def test_the_stretches_are_spread_over_the_whole_text():
    """16 stretches of 256 characters, the first behind one context and the last at the end; a short text is one."""
    parts = list(effective_context._stretches(200_000, context=96))
    assert [len(part) for part in parts] == [256] * 16
    assert (parts[0].start, parts[-1].stop) == (96, 200_000)
    assert all(one.stop <= other.start for one, other in pairwise(parts))
    assert list(effective_context._stretches(1000, context=96)) == [range(96, 1000)]


def test_weights_that_are_no_numbers_have_no_context():
    """A cost that is no number is near nothing: the effective context is none either."""
    assert math.isnan(effective_context.effective((1, 2), (math.nan, math.nan)))


@pytest.mark.parametrize("task", ["chronicle", "text"])
def test_a_learning_cell_of_a_text_is_probed(task, tmp_path, monkeypatch):
    """With training the probe looks at the trained model, on Chronicle and on a real text."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.txt").write_text("in his house at R'lyeh dead Cthulhu waits dreaming. " * 40)
    given = plan.corpus_facts("mine.txt", split=None) if task == "text" else None
    group = Group(
        name="g",
        task=task,
        probe="effective_context",
        models=("gru",),
        lengths=(20,),
        width=8,
        seeds=1,
        training={"steps": 40, "batch": 16, "learning_rate": 3e-2, "evaluate_every": 20, "warmup_steps": 5},
    )
    known = {"known_models": MODELS, "known_probes": PROBES}
    study = plan.study("s", Suite(title="t", groups=(group,)), text=given, development=True, **known)
    (planned,) = plan.planned(study)
    context = prepare.Context(
        cards=study.cards,
        preregistration=study.preregistration_sha256,
        environment=describe("cpu", threads=1),
        corpus=given,
        corpus_path=tmp_path / "mine.txt",
    )
    record = runner.run_cell(planned, context=context)
    assert (record.status, record.error) == ("ok", None)
    assert record.measured("bits_by_context").series.at == (1, 2, 4, 8, 16, 20)
    assert record.measured("bits_by_context").value < 4.5  # trained: log2 of the alphabet is more
    assert record.measured("effective_context").value in (1, 2, 4, 8, 16, 20)
