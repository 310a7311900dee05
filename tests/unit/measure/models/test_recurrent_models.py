"""rnn, lstm and gru: how weights start, that their loops are the library's kernel, and which tier is said to run."""

import math
from itertools import product

import pytest
import torch
from torch import nn

from seqbench.errors import InvalidInput
from seqbench.measure.models import create, implementation, spec_for
from seqbench.measure.seeds import stream
from seqbench.variant import parse

KERNELS = [
    *(
        f"rnn@activation={phi},init={init}"
        for phi, init in product(("tanh", "relu", "sigmoid"), ("default", "orthogonal"))
    ),
    "rnn@init=gaussian,gain=0.5",
    "rnn@activation=relu,init=identity",
    "lstm@forget_bias=1",
    "lstm@chrono=50",
    "gru@update_bias=2",
]
LOOPS = [(text, loop) for text in KERNELS for loop in ("eager", "batched") if (text[:4], loop) != ("lstm", "batched")]


def built(text, *, layers=1, width=32, seed=0):
    """Return the model of a variant over 8 tokens."""
    variant = parse(text)
    return create(variant, spec_for(variant, vocab=8, outputs=8, width=width, layers=layers), seed=seed)


def recurrent_weights(text, **sizes):
    """Return the recurrent matrix of the top layer: (D, D)."""
    return built(text, **sizes).mixer.cells.all_weights[-1][1].detach()


def biases(text, **sizes):
    """Return the two biases of the top layer, one row per gate: 2 × (gates, D)."""
    model = built(text, **sizes)
    return [bias.detach().view(-1, model.mixer.cells.hidden_size) for bias in model.mixer.cells.all_weights[-1][2:]]


def tier_of(text, model):
    """Return the tier that a record would name."""
    variant = parse(text)
    return implementation(variant, spec_for(variant, vocab=8, outputs=8, width=32, layers=1), model)


def twins(text, *, loop, layers):
    """Return the fused model of a variant and one of its loops, with the same weights."""
    fused, looping = (built(f"{text},implementation={how}", layers=layers, seed=5) for how in ("fused", loop))
    looping.load_state_dict(fused.state_dict())
    return fused, looping


def tokens_of(length=20):
    """Return random tokens: (4, length)."""
    return torch.randint(8, (4, length), generator=stream("recurrent models"))


@pytest.mark.parametrize("layers", [1, 2])
def test_orthogonal_weights_are_orthogonal(layers):
    """W Wᵀ = g² I in every layer."""
    W = recurrent_weights("rnn@init=orthogonal,gain=1.5", layers=layers)
    torch.testing.assert_close(W @ W.T, 2.25 * torch.eye(32), rtol=0, atol=1e-5)


def test_gaussian_weights_have_the_spread_of_their_gain():
    """The standard deviation of W is g/√H within 4 of its standard errors, and differs from the default's."""
    W = recurrent_weights("rnn@init=gaussian,gain=3", width=128)
    assert W.std().item() == pytest.approx(3 / math.sqrt(128), rel=4 / math.sqrt(2 * 128**2))


def test_default_weights_are_the_library_s():
    """Without options weights are U(±1/√H), whose standard deviation is 1/√(3H)."""
    W = recurrent_weights("rnn", width=128)
    assert W.abs().max().item() <= 1 / math.sqrt(128)
    assert W.std().item() == pytest.approx(1 / math.sqrt(3 * 128), rel=0.03)


@pytest.mark.parametrize("layers", [1, 2])
def test_identity_is_the_init_of_le_2015(layers):
    """W is the identity, biases are zero, input weights have a standard deviation of 0.001."""
    U, W, b, b_too = built("rnn@activation=relu,init=identity", layers=layers).mixer.cells.all_weights[-1]
    assert torch.equal(W, torch.eye(32))
    assert not torch.cat((b, b_too)).any()
    assert U.std().item() == pytest.approx(0.001, rel=0.1)


def test_the_forget_bias_is_the_sum_of_both_vectors():
    """b_f is 3 for every unit once torch's two biases are added; the other gates keep theirs."""
    total = sum(biases("lstm@forget_bias=3", layers=2))
    assert torch.equal(total[1], torch.full((32,), 3.0))
    assert torch.equal(total[[0, 2, 3]], sum(biases("lstm", layers=2))[[0, 2, 3]])


def test_the_update_bias_is_the_sum_of_both_vectors():
    """b_z is 2 for every unit, and the reset and candidate biases keep theirs."""
    total = sum(biases("gru@update_bias=2", layers=2))
    assert torch.equal(total[1], torch.full((32,), 2.0))
    assert torch.equal(total[[0, 2]], sum(biases("gru", layers=2))[[0, 2]])


def test_a_larger_update_bias_keeps_the_state():
    """With b_z = 10 one token hardly moves the state, with b_z = -10 it replaces it."""
    start = (torch.full((1, 1, 32), 0.5),)
    moved = [
        (built(f"gru@update_bias={bias}")(torch.zeros(1, 1, dtype=torch.int64), start)[1][0] - start[0]).abs().max()
        for bias in (10, -10)
    ]
    assert moved[0] < 1e-3
    assert moved[1] > 0.1


def test_chrono_biases_span_the_distances():
    """exp(b_f) is U(1, T-1): within its bounds, its mean T/2 within 4 standard errors; b_i is -b_f."""
    total = sum(biases("lstm@chrono=100", width=512))
    distances = total[1].exp()
    assert distances.min().item() >= 1
    assert distances.max().item() <= 99.001
    assert distances.mean().item() == pytest.approx(50, abs=4 * 98 / math.sqrt(12 * 512))
    assert torch.equal(total[0], -total[1])


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize(("text", "loop"), LOOPS)
def test_the_loop_is_the_kernel(text, loop, layers):
    """Logits and states of a loop are the library's to 1e-6, from a state that is not zero."""
    fused, looping = twins(text, loop=loop, layers=layers)
    _, state = fused(tokens_of(3))
    (logits, after), (by_loop, after_by_loop) = fused(tokens_of(), state), looping(tokens_of(), state)
    torch.testing.assert_close(by_loop, logits, rtol=0, atol=1e-6)
    torch.testing.assert_close(after_by_loop, after, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize(("text", "loop"), LOOPS)
def test_the_loop_has_the_kernel_s_gradients(text, loop, layers, dtype, tolerance):
    """Every parameter's gradient and the given state's is the same, relative to its largest: to 1e-10 in double.

    The loss reads the last state besides the logits, as a training on pieces of a sequence would.
    """
    gradients = []
    for model in twins(text, loop=loop, layers=layers):
        model.to(dtype)
        with torch.no_grad():
            _, state = model(tokens_of(3))
        state = tuple(part.clone().requires_grad_() for part in state)
        logits, after = model(tokens_of(), state)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), tokens_of().flatten())
        (loss + sum((part**2).mean() for part in after)).backward()
        named = {key: value.grad for key, value in model.named_parameters()}
        gradients.append(named | {f"state {place}": part.grad for place, part in enumerate(state)})
    for key, expected in gradients[0].items():
        assert (gradients[1][key] - expected).abs().max() <= tolerance * expected.abs().max(), key


@pytest.mark.parametrize("text", ["rnn", "gru"])
def test_the_batched_loop_is_one_node_of_the_graph(text):
    """What autograd visits does not grow with the sequence, where the eager loop's nodes do."""
    batched, eager = (built(f"{text}@implementation={how}") for how in ("batched", "eager"))
    assert nodes(batched(tokens_of(20))[0]) == nodes(batched(tokens_of(40))[0])
    assert nodes(eager(tokens_of(40))[0]) > nodes(eager(tokens_of(20))[0]) + 60


def nodes(tensor):
    """Return how many nodes the graph behind a tensor has."""
    seen, waiting = set(), [tensor.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting.extend(following for following, _ in node.next_functions)
    return len(seen)


@pytest.mark.parametrize(
    ("text", "tier"),
    [
        ("rnn", "batched; library loop without gradients"),
        ("rnn@activation=sigmoid", "batched; library loop without gradients"),
        ("rnn@implementation=fused", "library loop"),
        ("gru@implementation=fused", "library loop"),
        ("lstm", "fused"),
        ("block:lstm", "fused"),
        ("rnn@implementation=eager", "eager"),
        ("lstm@implementation=eager", "eager"),
        ("gru@implementation=batched", "batched"),
        ("block:gru@implementation=batched", "batched"),
    ],
)
def test_the_tier_that_runs_is_told(text, tier):
    """On a CPU torch has a fused kernel of the LSTM alone, and calls a loop of its own by the same name."""
    assert tier == tier_of(text, built(text))


@pytest.mark.parametrize("text", ["rnn", "rnn@activation=sigmoid", "gru", "block:gru"])
def test_the_fastest_tier_is_batched_where_gradients_are_taken(text):
    """With gradients it gives bit for bit what `batched` gives, without them what the library gives."""
    tokens = torch.arange(24).view(2, 12) % 7
    others = [built(f"{text}{',' if '@' in text else '@'}implementation={tier}") for tier in ("batched", "fused")]
    fastest, (batched, library) = built(text), others
    assert torch.equal(fastest(tokens)[0], batched(tokens)[0])
    with torch.no_grad():
        assert torch.equal(fastest(tokens)[0], library(tokens)[0])
        assert not torch.equal(batched(tokens)[0], library(tokens)[0])


@pytest.mark.parametrize("text", ["rnn", "gru", "mingru"])
def test_a_second_derivative_is_refused_where_the_first_is_written_by_hand(text):
    """Torch would leave out what passes through the loop; the eager form, or the scan's steps, have it whole."""
    model = built(text)
    loss = model(torch.arange(24).view(2, 12) % 8)[0].square().sum()
    with pytest.raises(InvalidInput, match="this implementation has first derivatives alone"):
        torch.autograd.grad(loss, next(model.parameters()), create_graph=True)


@pytest.mark.parametrize("text", ["rnn", "gru"])
def test_the_fastest_tier_runs_under_autocast(text):
    """In mixed precision it is the library's call, which knows how to mix."""
    with torch.autocast("cpu", torch.bfloat16):
        logits, _ = built(text)(torch.arange(24).view(2, 12) % 8)
    logits.float().sum().backward()


def test_the_fused_lstm_is_a_loop_in_double_precision():
    """The kernel of oneDNN is one of single precision; what a model in double runs is not it."""
    assert tier_of("lstm", built("lstm").double()) == "library loop"


def test_the_fused_lstm_is_a_loop_where_its_library_is_switched_off(monkeypatch):
    """The tier is what this process runs and not what the name of an option promises."""
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    assert tier_of("lstm", built("lstm")) == "library loop"


def test_a_sigmoid_network_s_states_are_sigmoids():
    """The fused sigmoid network follows h_t = σ(U x_t + W h_{t-1} + b), written out here, to 1e-12."""
    model = built("rnn@activation=sigmoid").double()
    U, W, b, b_too = model.mixer.cells.all_weights[0]
    h = torch.zeros(4, 32, dtype=torch.float64)
    for x in model.front(tokens_of()).unbind(1):
        h = 1 / (1 + torch.exp(-(x @ U.T + h @ W.T + b + b_too)))
    torch.testing.assert_close(model(tokens_of())[1][0][:, 0], h, rtol=0, atol=1e-12)


def test_a_sigmoid_network_starts_as_the_tanh_network_does():
    """The weights drawn and saved are the sigmoid network's own: the same draw for every activation."""
    first, second = built("rnn@activation=sigmoid").state_dict(), built("rnn").state_dict()
    assert all(torch.equal(first[key], second[key]) for key in second)
