"""Time to the first token: what is read, what is answered, and what it counts."""

import torch
from torch import nn

from seqbench.cell import TimingConfig
from seqbench.measure.generators import GENERATORS
from seqbench.measure.probes import PROBES
from seqbench.measure.probes.base import Subject


class Adds(nn.Module):
    """Its most likely token is the sum of all tokens so far, modulo five; it notes what it was given."""

    def __init__(self):
        super().__init__()
        self.given = []

    def forward(self, tokens, state=None):
        self.given.append((tokens, state))
        return nn.functional.one_hot(tokens.cumsum(dim=1) % 5, 5).float(), tokens.sum(dim=1)


def subject_of(model, *, length):
    generator = GENERATORS.load("uniform_tokens")
    return Subject(
        model=model,
        task="uniform_tokens",
        length=length,
        seed=1,
        sample=lambda rng, batch, length, /: generator.sample(rng, batch=batch, length=length, tokens=5),
        generator=generator,
        params={"tokens": 5},
        device=torch.device("cpu"),
    )


def test_every_call_reads_the_whole_prompt_from_nothing_and_answers_once():
    """A call reads T tokens of each sequence without a state before, and answers with the token behind the last."""
    model = Adds()
    subject = subject_of(model, length=1500)
    block = PROBES.load("first_token_time").block(subject, TimingConfig(batch=3))
    answers = [block.call(), block.call()]
    assert [(tuple(tokens.shape), state) for tokens, state in model.given] == [((3, 1500), None)] * 2
    assert all(torch.equal(answer, model.given[0][0].sum(dim=1) % 5) for answer in answers)
    assert len(set(answers[0].tolist())) > 1


def test_it_counts_one_token_per_sequence_at_the_cost_of_its_prompt():
    """Three prompts of 20 tokens are three tokens answered, each of 20 forward passes of a token."""
    subject = subject_of(Adds(), length=20)
    block = PROBES.load("first_token_time").block(subject, TimingConfig(batch=3))
    assert (block.tokens, block.passes) == (3, 20.0)
