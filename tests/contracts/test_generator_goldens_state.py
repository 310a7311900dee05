"""The streams of the state tasks: a batch of each card to the bit, all of it integers, so that no machine differs."""

import hashlib

import pytest

from seqbench import cards
from seqbench.measure.generators import GENERATORS
from seqbench.measure.seeds import stream

GOLDENS = {
    "parity": "9e02e5746dee62e7",
    "cycle": "1350bbc6283878cb",
    "modular_addition": "bb850feac1c02892",
    "s3": "f96bfa336dd56211",
    "s5": "90d65ee95d24f04b",
    "flipflop": "7d69ce5419272e23",
    "dyck": "b6916976335ba410",
}


@pytest.mark.parametrize("name", GOLDENS)
def test_a_stream_is_what_it_was(name):
    """What a card draws from a stream stays the same, or old results are no longer of this task."""
    card = cards.find(name)
    generator = GENERATORS.load(card.generator)
    batch = generator.sample(stream("golden", name), batch=4, length=card.lengths.quick[0], **card.params)
    digest = hashlib.sha256()
    for part in (batch.inputs, batch.targets, batch.scored):
        assert not part.is_floating_point()
        digest.update(part.contiguous().numpy().tobytes())
    assert GOLDENS[name] == digest.hexdigest()[:16]
