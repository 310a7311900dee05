"""What the tasks of keeping and looking up draw, to the bit: whoever changes a stream changes every stored result.

All three tensors hold whole numbers, which come from comparisons of random doubles; those of mqar pass through a
logarithm, whose last bit could differ between machines without changing an order that is not a tie.
"""

import hashlib

import pytest

from seqbench import cards
from seqbench.measure.generators import GENERATORS
from seqbench.measure.seeds import stream

GOLDEN = {
    "selective_copy": "64b862ea6fbfe22f",
    "echo": "074034105811ec59",
    "temporal_order": "020bfd206d149db7",
    "induction": "eb84145cc911ff89",
    "mqar": "9aaed9ada8193d5f",
    "mqar_zoology": "fcb537449433761a",
    "needle": "4b0783925884011c",
}


def digest_of(name):
    """Return the first 16 hexadecimal digits of the SHA-256 of a batch of this task, at its first quick length."""
    card = cards.find(name)
    rng = stream("golden", name)
    batch = GENERATORS.load(card.generator).sample(rng, batch=4, length=card.lengths.quick[0], **card.params)
    sha = hashlib.sha256()
    for tensor in (batch.inputs, batch.targets, batch.scored):
        sha.update(tensor.contiguous().numpy().tobytes())
    return sha.hexdigest()[:16]


@pytest.mark.parametrize("name", GOLDEN)
def test_a_task_draws_what_it_always_drew(name):
    """The same name of a stream gives the same batch in every version."""
    assert GOLDEN[name] == digest_of(name)
