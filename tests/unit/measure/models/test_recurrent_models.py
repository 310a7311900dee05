"""rnn, lstm and gru: how weights start, and that the loop of the equations is the library's kernel."""

import math
from itertools import product

import pytest
import torch
from torch import nn

from seqbench.measure.models import create, spec_for
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


def twins(text, *, layers):
    """Return the fused and the eager model of a variant, with the same weights."""
    fused, eager = (built(f"{text},implementation={how}", layers=layers, seed=5) for how in ("fused", "eager"))
    eager.load_state_dict(fused.state_dict())
    return fused, eager


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
@pytest.mark.parametrize("text", KERNELS)
def test_the_loop_is_the_kernel(text, layers):
    """Logits and states of the eager loop are the fused kernel's to 1e-6, from a state that is not zero."""
    fused, eager = twins(text, layers=layers)
    _, state = fused(tokens_of(3))
    (logits, after), (by_loop, after_by_loop) = fused(tokens_of(), state), eager(tokens_of(), state)
    torch.testing.assert_close(by_loop, logits, rtol=0, atol=1e-6)
    torch.testing.assert_close(after_by_loop, after, rtol=0, atol=1e-6)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("text", KERNELS)
def test_the_loop_has_the_kernel_s_gradients(text, layers):
    """In double precision every parameter's gradient is the same to 1e-9, relative to its largest."""
    gradients = []
    for model in twins(text, layers=layers):
        nn.functional.cross_entropy(model.double()(tokens_of())[0].flatten(0, 1), tokens_of().flatten()).backward()
        gradients.append({key: value.grad for key, value in model.named_parameters()})
    for key, expected in gradients[0].items():
        assert (gradients[1][key] - expected).abs().max() <= 1e-9 * expected.abs().max(), key


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
