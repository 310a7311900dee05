"""Time to the first token: what is read, what is answered, and what it counts."""

import pytest
import torch
from torch import nn

from seqbench.cell import TimingConfig
from seqbench.measure.generators import GENERATORS
from seqbench.measure.probes import PROBES, base
from seqbench.measure.probes.base import Subject


class Adds(nn.Module):
    """Its state is the sum of all tokens so far, and its answer that sum; it notes what it was given."""

    def __init__(self):
        super().__init__()
        self.given = []

    def forward(self, tokens, state=None):
        self.given.append(tuple(tokens.shape))
        before = 0 if state is None else state
        sums = before + tokens.cumsum(dim=1)  # (B, T)
        return sums[..., None].float(), sums[:, -1:]


def subject_of(model, *, length):
    def sample(rng, batch, length, /):
        return GENERATORS.load("uniform_tokens").sample(rng, batch=batch, length=length, symbols=5)

    return Subject(
        model=model,
        task="uniform_tokens",
        length=length,
        seed=1,
        sample=sample,
        generator=GENERATORS.load("uniform_tokens"),
        params={"symbols": 5},
        device=torch.device("cpu"),
    )


@pytest.mark.parametrize("length", [7, 1024, 2500])
def test_reading_in_pieces_ends_where_reading_whole_does(length):
    """The state and the answer behind a context do not depend on the pieces, and the last may be short."""
    model, tokens = Adds(), torch.arange(2 * length).reshape(2, length)
    answer, state = base.read(model, tokens)
    assert torch.equal(state[:, 0], tokens.sum(dim=1))
    assert torch.equal(answer[:, 0], tokens.sum(dim=1).float())
    assert sum(shape[1] for shape in model.given) == length
    assert max(shape[1] for shape in model.given) <= base.PIECE


def test_every_call_reads_the_whole_prompt_from_nothing():
    """A call reads T tokens of each sequence without a state before, and counts as one token answered for each."""
    model = Adds()
    block = PROBES.load("first_token_time").block(subject_of(model, length=1500), TimingConfig(batch=3))
    block.call()
    block.call()
    assert model.given == [(3, 1024), (3, 476)] * 2
    assert (block.tokens, block.passes) == (3, 1500.0)
