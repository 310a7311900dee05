"""What every model must do, whatever it is called: design section 5, row "model"."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from seqbench.measure.models import MODELS, costs, create, spec_for
from seqbench.measure.models.base import tensors_of
from seqbench.measure.seeds import stream
from seqbench.variant import parse

VARIANTS = (
    *(name for name in MODELS.names() if not name.startswith("hf:")),  # they have a file of their own
    "rnn@activation=relu",
    "rnn@activation=sigmoid",
    "rnn@init=orthogonal",
    "rnn@init=gaussian,gain=1.5",
    "rnn@activation=relu,init=identity",
    "rnn@implementation=eager",
    "rnn@activation=sigmoid,implementation=eager",
    "lstm@forget_bias=1",
    "lstm@chrono=12",
    "lstm@implementation=eager",
    "gru@update_bias=2",
    "gru@implementation=eager",
    "transformer@positions=learned,context=32",
    "transformer@positions=none",
    "transformer@room=4",
    "transformer@causal=false",
    "transformer@causal=false,positions=none",
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
    "block:mingru@gate_bias=-3",
    "block:mingru@implementation=step",
    "block:lru@implementation=step",
    "block:linear_attention@implementation=step",
    "block:attention@positions=none",
    "block:attention@causal=false",
    "block:convolution@kernel=4",
)
EAGER = tuple(name for name in VARIANTS if name.endswith(("eager", "step")))
CAUSAL = tuple(name for name in VARIANTS if spec_for(parse(name), vocab=8, outputs=8, width=16, layers=2).causal)
every_variant = pytest.mark.parametrize("name", VARIANTS)
every_causal_variant = pytest.mark.parametrize("name", CAUSAL)
every_encoder = pytest.mark.parametrize("name", sorted({*VARIANTS} - {*CAUSAL}))


def built(name, *, vocab=8, width=16, layers=2, seed=0, **more):
    """Return the model of a variant and its spec, in training mode, at a small size."""
    variant = parse(name)
    spec = spec_for(variant, vocab=vocab, outputs=vocab, width=width, layers=layers, **more)
    return create(variant, spec, seed=seed), spec


def tokens_of(*name, vocab=8, batch=3, length=9) -> Tensor:
    """Return random tokens: (batch, length)."""
    return torch.randint(vocab, (batch, length), generator=stream("test models", *name))


def gradient_to_inputs(model, tokens, place) -> Tensor:
    """Return the size of the gradient of the logits at one place to the embedding at every place: (T,)."""
    kept = []
    front = next(module for module in model.modules() if isinstance(module, nn.Embedding))
    hook = front.register_forward_hook(lambda _module, _inputs, output: kept.append(output))
    logits, _ = model(tokens)
    hook.remove()
    cotangent = torch.randn(logits[:, place].shape, generator=stream("cotangent"), dtype=logits.dtype)
    (gradient,) = torch.autograd.grad((logits[:, place] * cotangent).sum(), kept[0])
    return gradient.norm(dim=-1).sum(0)


@every_variant
def test_logits_have_the_shape_of_the_contract(name):
    """Tokens (B, T) give logits (B, T, V), V the outputs and not the vocabulary."""
    variant = parse(name)
    spec = spec_for(variant, vocab=8, outputs=5, width=16, layers=2)
    assert create(variant, spec, seed=0)(tokens_of())[0].shape == (3, 9, 5)


@every_causal_variant
def test_no_position_has_a_gradient_to_a_later_one(name):
    """The gradient of the logits at place 4 is exactly zero after place 4, and not before it."""
    sizes = gradient_to_inputs(built(name)[0].double(), tokens_of(), 4)
    assert (sizes > 0).tolist() == [True] * 5 + [False] * 4


@every_encoder
def test_every_position_of_an_encoder_has_a_gradient_to_every_other(name):
    """A spec that is not causal gives a model in which place 4 depends on all nine places."""
    sizes = gradient_to_inputs(built(name)[0].double(), tokens_of(), 4)
    assert (sizes > 0).all()


@every_encoder
def test_an_encoder_has_no_state(name):
    """It reads a sequence whole: nothing is carried on, and its file says so."""
    model, spec = built(name)
    assert list(tensors_of(model(tokens_of())[1])) == []
    assert costs(parse(name), spec, 9).state_floats == 0


@every_causal_variant
def test_later_tokens_do_not_change_earlier_logits(name):
    """Other tokens from place 5 on leave the logits before it as they were, bit for bit."""
    model, _ = built(name)
    tokens = tokens_of()
    others = torch.cat((tokens[:, :5], (tokens[:, 5:] + 1) % 8), dim=1)
    before, after = model(tokens)[0], model(others)[0]
    assert torch.equal(before[:, :5], after[:, :5])
    assert not torch.equal(before[:, 5:], after[:, 5:])


@every_variant
def test_sequences_of_a_batch_do_not_meet(name):
    """Another sequence in row 1 leaves the logits of rows 0 and 2 as they were, bit for bit."""
    model, _ = built(name)
    tokens = tokens_of()
    others = tokens.clone()
    others[1] = (others[1] + 1) % 8
    before, after = model(tokens)[0], model(others)[0]
    assert torch.equal(before[[0, 2]], after[[0, 2]])
    assert not torch.equal(before[1], after[1])


@every_causal_variant
def test_reading_in_pieces_is_reading_whole(name):
    """Pieces of 1, 3 and the remaining 5 tokens give the logits of the whole, to 1e-9 in double precision."""
    model, tokens = built(name)[0].double(), tokens_of()
    state, pieces = None, []
    for piece in tokens.split([1, 3, 5], dim=1):
        logits, state = model(piece, state)
        pieces.append(logits)
    torch.testing.assert_close(torch.cat(pieces, dim=1), model(tokens)[0], rtol=0, atol=1e-9)


@every_variant
def test_the_seed_decides_the_weights(name):
    """The same seed gives the same weights, another seed others."""
    first, again, other = (built(name, seed=seed)[0].state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


@every_variant
def test_building_leaves_the_global_generator_alone(name):
    """The global random state is the same before and after a model is made."""
    before = torch.random.get_rng_state()
    built(name)
    assert torch.equal(before, torch.random.get_rng_state())


@every_variant
def test_every_parameter_gets_gradient(name):
    """After one backward every parameter has a gradient, somewhere not zero."""
    model, _ = built(name)
    logits, _ = model(tokens_of())
    functional.cross_entropy(logits.flatten(0, 1), tokens_of("targets").flatten()).backward()
    assert [key for key, value in model.named_parameters() if value.grad is None or not value.grad.any()] == []


@every_variant
@pytest.mark.parametrize("inputs", [None, 3])
@pytest.mark.parametrize("layers", [1, 3])
def test_the_parameter_count_is_the_closed_form(name, inputs, layers):
    """The module has as many parameters as `costs` says, for tokens and for floats."""
    model, spec = built(name, vocab=11, layers=layers, inputs=inputs)
    assert sum(value.numel() for value in model.parameters()) == costs(parse(name), spec, 9).parameters


@every_causal_variant
def test_the_state_has_the_stated_size(name):
    """One sequence's state after 9 tokens, read in two pieces, is as many float32 as `costs` says."""
    model, spec = built(name)
    _, state = model(tokens_of(batch=2, length=4))
    _, state = model(tokens_of(batch=2, length=5), state)
    assert 2 * 4 * costs(parse(name), spec, 9).state_floats == sum(part.nbytes for part in tensors_of(state))


@every_causal_variant
def test_the_batch_is_the_first_dimension_of_the_state(name):
    """Every tensor of the state has one row per sequence, so that sequences can be picked and reordered."""
    _, state = built(name)[0](tokens_of(batch=5))
    assert {5} == {len(part) for part in tensors_of(state)}


@every_variant
@pytest.mark.parametrize("vocab", [8, 65])
def test_an_untrained_model_knows_nothing(name, vocab):
    """The loss before training is within 0.2 nat of ln V for each of three seeds."""
    for seed in range(3):
        logits, _ = built(name, vocab=vocab, width=32, seed=seed)[0](tokens_of(vocab=vocab, batch=32))
        targets = tokens_of("targets", vocab=vocab, batch=32)
        loss = functional.cross_entropy(logits.flatten(0, 1), targets.flatten()).item()
        assert loss == pytest.approx(math.log(vocab), abs=0.2)


@every_causal_variant
def test_eight_sequences_are_memorised(name):
    """Next-token accuracy on eight sequences passes 99 % within 400 steps of Adam (measured: at most 222).

    Each is a first token of its own and 12 random ones of 8 others: where the first token may occur again,
    attention without absolute positions cannot tell "3" from "3 3", and 95 of 96 is all it can reach.
    """
    model, _ = built(name, vocab=16, width=32)
    tokens = torch.cat((torch.arange(8, 16)[:, None], tokens_of("memorised", batch=8, length=12)), dim=1)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(400):
        logits, _ = model(tokens[:, :-1])
        if (logits.argmax(-1) == tokens[:, 1:]).double().mean() > 0.99:
            return
        optimiser.zero_grad()
        functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    pytest.fail("not memorised")


@every_causal_variant
def test_floats_are_accepted_in_place_of_tokens(name):
    """A spec with inputs=3 makes a model of (B, T, 3) floats, which reads in pieces as well."""
    model = built(name, inputs=3)[0].double()
    floats = torch.randn(2, 7, 3, generator=stream("floats"), dtype=torch.float64)
    whole, _ = model(floats)
    first, state = model(floats[:, :4])
    second, _ = model(floats[:, 4:], state)
    torch.testing.assert_close(torch.cat((first, second), dim=1), whole, rtol=0, atol=1e-9)


@every_variant
def test_double_precision_stays_double(name):
    """After model.double() logits and state are float64."""
    logits, state = built(name)[0].double()(tokens_of())
    assert {torch.float64} == {part.dtype for part in (logits, *tensors_of(state))}


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


@pytest.mark.parametrize("name", EAGER)
def test_backward_of_a_loop_is_linear_in_length(name):
    """Behind an embedding, twice the steps make backward write twice the bytes, not four times.

    Indexing `x[:, t]` in place of `x.unbind(1)` would make it fill a (B, T, D) tensor at every step.
    """
    model, _ = built(name, layers=1)
    small, middle, large = (bytes_of_backward(model, tokens_of(length=length)) for length in (20, 40, 80))
    assert (large - middle) / (middle - small) == pytest.approx(2, rel=0.02)
