"""The stated operations per token are those that torch counts while a model runs.

On the meta device, where every product is counted and none is computed: on CPU the counter sees no LSTM at all, and
scaled dot product attention only where it runs as plain matrix products.
"""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from seqbench.measure.models import MODELS, costs, create, spec_for
from seqbench.variant import parse

STATED = tuple(name for name in MODELS.names() if not name.startswith("hf:"))  # the library's models state none
VARIANTS = (
    *STATED,
    *(f"{name}@implementation=eager" for name in ("rnn", "lstm", "gru", "block:rnn")),
    *(f"{name}@implementation=step" for name in ("mingru", "minlstm", "lru", "linear_attention", "block:lru")),
    "rnn@activation=sigmoid",
    "transformer@causal=false",
    "transformer@positions=learned,heads=4",
    "tcn@kernel=2",
    "linear_attention@heads=4",
    "block:linear_attention@heads=1",
    "block:attention@causal=false",
    "block:convolution@kernel=4",
)
BATCH = 3


def counted(text, *, length, **sizes):
    """Return the operations of one forward pass as torch counts them, and the stated ones per token."""
    variant = parse(text)
    spec = spec_for(variant, vocab=11, outputs=7, width=16, layers=2, **sizes)
    model = create(variant, spec, seed=0).to("meta")
    shape = (BATCH, length) if spec.inputs is None else (BATCH, length, spec.inputs)
    dtype = torch.int64 if spec.inputs is None else torch.float32
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model(torch.zeros(shape, dtype=dtype, device="meta"))
    return counter.get_total_flops(), costs(variant, spec, length).flops


@pytest.mark.parametrize("length", [1, 9, 64])
@pytest.mark.parametrize("text", VARIANTS)
def test_the_stated_operations_are_those_counted(text, length):
    """Per token, times tokens and sequences, `costs` gives exactly what torch counts."""
    total, per_token = counted(text, length=length)
    assert total == per_token * length * BATCH


@pytest.mark.parametrize("text", STATED)
def test_the_stated_operations_are_those_counted_for_floats_and_another_mlp(text):
    """So it is where floats come in place of tokens and MLPs have 24 units."""
    total, per_token = counted(text, length=9, inputs=5, hidden=24)
    assert total == per_token * 9 * BATCH


@pytest.mark.parametrize("length", [33, 50, 100])
@pytest.mark.parametrize("text", ["linear_attention", "block:linear_attention"])
def test_a_chunk_that_is_filled_up_is_counted_to_the_nearest_whole(text, length):
    """Where chunks do not divide a sequence, the count per token is no whole number: each layer's is rounded."""
    total, per_token = counted(text, length=length)
    assert abs(total / (length * BATCH) - per_token) <= 2 * 0.5
