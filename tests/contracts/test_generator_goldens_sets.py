"""What the tasks on sets and the pixel tasks draw, to the bit: a changed stream is a changed task."""

import hashlib

import pytest

from seqbench import cards
from seqbench.measure.generators import GENERATORS
from seqbench.measure.seeds import stream

GOLDEN = {
    "count": "99a3f88a21a333d1",
    "majority": "0d110df19e2fa5a7",
    "max": "406aa0baf07086e9",
    "set_sum": "c35b469afd7f12d1",
    "distinct": "1edb7385b96058f5",
    "pixels": "ae237e6154272f76",
    "pixels_permuted": "4eb083623e3fb707",
}


def digest(name):
    """Return the first 16 hex digits of sha256 over inputs, targets and scored of four sequences of a card."""
    card = cards.find(name)
    batch = GENERATORS.load(card.generator).sample(
        stream("golden", name), batch=4, length=card.lengths.quick[0], **card.params
    )
    content = b"".join(part.numpy().tobytes() for part in (batch.inputs, batch.targets, batch.scored))
    return hashlib.sha256(content).hexdigest()[:16]


@pytest.mark.parametrize("name", GOLDEN)
def test_a_card_draws_what_it_always_drew(name):
    """The same stream shows the same sequences and asks the same, in every version and on every machine.

    All of it is whole numbers, or halves of whole numbers, which no machine rounds.
    """
    assert GOLDEN[name] == digest(name)
