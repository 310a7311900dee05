"""What every model must do, whatever it is called: design section 5, row "model"."""

import re
from functools import cache

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from seqbench.measure.check import DEMANDS, answer, candidate
from seqbench.measure.models import MODELS, implementation
from seqbench.measure.models.base import TIERS, tensors_of
from seqbench.measure.seeds import stream
from seqbench.variant import parse

VARIANTS = (
    *MODELS.names(),
    "rnn@activation=relu",
    "rnn@activation=sigmoid",
    "rnn@init=orthogonal",
    "rnn@init=gaussian,gain=1.5",
    "rnn@activation=relu,init=identity",
    "rnn@implementation=eager",
    "rnn@activation=sigmoid,implementation=eager",
    "rnn@implementation=batched",
    "rnn@activation=relu,implementation=batched",
    "rnn@activation=sigmoid,implementation=batched",
    "lstm@forget_bias=1",
    "lstm@chrono=12",
    "lstm@implementation=eager",
    "gru@update_bias=2",
    "gru@implementation=eager",
    "gru@implementation=batched",
    "transformer@positions=learned,context=32",
    "transformer@positions=none",
    "transformer@room=4",
    "transformer@causal=false",
    "transformer@causal=false,positions=none",
    "tcn@kernel=2",
    "tcn@kernel=4",
    "mingru@gate_bias=-3",
    "mingru@implementation=step",
    "minlstm@gate_bias=-3",
    "minlstm@implementation=step",
    "lru@r_min=0,r_max=0.5,max_phase=0.3",
    "lru@implementation=step",
    "linear_attention@heads=1",
    "linear_attention@implementation=step",
    "block:rnn@implementation=eager",
    "block:lstm@forget_bias=1",
    "block:gru@implementation=eager",
    "block:gru@implementation=batched",
    "block:mingru@gate_bias=-3",
    "block:mingru@implementation=step",
    "block:lru@implementation=step",
    "block:linear_attention@implementation=step",
    "block:attention@positions=none",
    "block:attention@causal=false",
    "block:convolution@kernel=4",
    "hf:llama@attn_implementation=eager",
    "hf:llama@num_attention_heads=4,num_key_value_heads=2",
    "hf:mamba2@n_groups=8",
)
LOOPS = tuple(name for name in VARIANTS if re.search("[@,]implementation=(eager|batched|step)", name))
UNSTATED = dict.fromkeys(("parameters", "operations", "state size"), "not applicable")
EXPECTED = {name: UNSTATED for name in VARIANTS if name.startswith("hf:")}  # the library's: counted, not stated
"""Variant -> demand -> outcome, where a demand that applies is answered by something else than "passed"."""


@cache
def asked(name):
    """Return a variant at the sizes at which it is looked at."""
    return candidate(parse(name))


@pytest.mark.parametrize("demand", DEMANDS, ids=lambda name: name.replace(" ", "_"))
@pytest.mark.parametrize("name", VARIANTS)
def test_a_model_meets_the_demand(name, demand):
    """What `seqbench check` asks of anybody's model is asked of every variant here, and nothing fails."""
    found = answer(demand, asked(name))
    applies = DEMANDS[demand].of in ("every", asked(name).kind)
    expected = EXPECTED.get(name, {}).get(demand, "passed" if applies else "not applicable")
    assert expected == found.outcome, found.reason


class BytesMade(TorchDispatchMode):
    """Counts the bytes of every tensor that an operation returns."""

    def __init__(self):
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        self.total += sum(part.nbytes for part in tensors_of(made))
        return made


def bytes_of_backward(model, tokens) -> int:
    """Return the bytes that all operations of one backward return, freed or not."""
    loss = model(tokens)[0].sum()
    with BytesMade() as made:
        loss.backward()
    return made.total


@pytest.mark.parametrize("name", LOOPS)
def test_backward_of_a_loop_is_linear_in_length(name):
    """Behind an embedding, twice the steps make backward write twice the bytes, not four times.

    Indexing `x[:, t]` in place of `x.unbind(1)` would make it fill a (B, T, D) tensor at every step.
    """
    model = asked(name).model(layers=1)
    tokens = torch.randint(8, (3, 80), generator=stream("linear"))
    small, middle, large = (bytes_of_backward(model, tokens[:, :length]) for length in (20, 40, 80))
    assert (large - middle) / (middle - small) == pytest.approx(2, rel=0.02)


OURS = tuple(name for name in VARIANTS if not name.startswith("hf:"))


@pytest.mark.parametrize("name", OURS)
def test_a_model_names_its_tier(name):
    """Every record of a model of ours says how it ran, in words that `TIERS` explains."""
    variant = parse(name)
    told = implementation(variant, asked(name).spec(), asked(name).model())
    assert {tier.removesuffix(" without gradients") for tier in told.split("; ")} <= set(TIERS)


@pytest.mark.parametrize("name", ["mingru", "minlstm", "lru", "linear_attention"])
def test_a_loop_in_place_of_a_scan_is_told(name):
    """The same model by its scan and by its loop are two tiers."""
    by_scan, by_loop = (asked(text) for text in (name, f"{name}@implementation=step"))
    told = [implementation(found.variant, found.spec(), found.model()) for found in (by_scan, by_loop)]
    assert told == ["scan", "eager"]
