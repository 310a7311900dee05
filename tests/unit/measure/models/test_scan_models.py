"""mingru, minlstm, lru: the parallel scan is the loop of the equations, and how weights start."""

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from seqbench.errors import InvalidInput
from seqbench.measure.models import create, spec_for
from seqbench.measure.models.base import tensors_of
from seqbench.measure.models.minlstm import _gates
from seqbench.measure.models.scan import positive, scan, steps
from seqbench.measure.probes.sequential_depth import CountStages
from seqbench.measure.seeds import stream
from seqbench.variant import parse

MODELS = (
    "mingru",
    "mingru@gate_bias=-3",
    "minlstm",
    "minlstm@gate_bias=-3",
    "lru",
    "lru@r_min=0,r_max=0.5",
    "linear_attention",
    "block:mingru",
    "block:lru",
)
LONGEST = 4096


def built(text, *, layers=2, width=16, seed=0):
    """Return the model of a variant over 8 tokens."""
    variant = parse(text)
    return create(variant, spec_for(variant, vocab=8, outputs=8, width=width, layers=layers), seed=seed)


def twins(text):
    """Return the parallel model of a variant and the one that goes step by step, both in double precision."""
    return built(text).double(), built(f"{text}{',' if '@' in text else '@'}implementation=step").double()


def tokens_of(length):
    """Return random tokens: (2, length)."""
    return torch.randint(8, (2, length), generator=stream("scan models", length))


def problem(*, length, dtype=torch.float64, same_decay=False):
    """Return decay, inputs and start of a random recurrence of two sequences and three units."""
    rng = stream("scan", length)
    real = torch.float64
    shape = (3,) if same_decay else (2, length, 3)
    decay = torch.rand(shape, generator=rng, dtype=real)
    inputs, start = torch.randn(2, length, 3, generator=rng, dtype=real), torch.randn(2, 3, generator=rng, dtype=real)
    if dtype.is_complex:
        phase = torch.rand(shape, generator=rng, dtype=real) * 6
        decay, inputs, start = torch.polar(decay, phase), torch.complex(inputs, inputs.flip(2)), start * (1 + 1j)
    return tuple(part.to(dtype).requires_grad_() for part in (decay, inputs, start))


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 7, 8, 100])
@pytest.mark.parametrize("same_decay", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("started", [False, True])
def test_a_scan_is_the_loop(length, same_decay, dtype, started):
    """States and all gradients are the loop's to 1e-12, whatever the length, with and without a start."""
    found = []
    for recurrence in (scan, steps):
        decay, inputs, start = problem(length=length, dtype=dtype, same_decay=same_decay)
        states = recurrence(decay, inputs, start if started else None)
        weights = torch.randn(states.shape, generator=stream("weights", length), dtype=dtype)
        total = (weights * states).real.sum()
        found.append((states, *torch.autograd.grad(total, (decay, inputs, start), materialize_grads=True)))
    for by_scan, by_loop in zip(*found, strict=True):
        torch.testing.assert_close(by_scan, by_loop, rtol=0, atol=1e-12)


def test_a_scan_has_no_second_derivative_rather_than_a_wrong_one():
    """Its backward pass is not differentiable, and says so."""
    decay, inputs, _ = problem(length=5)
    with pytest.raises(InvalidInput, match="this implementation has first derivatives alone"):
        torch.autograd.grad(scan(decay, inputs, None).pow(2).sum(), inputs, create_graph=True)


@pytest.mark.parametrize("text", MODELS)
@pytest.mark.parametrize("length", [1, 33, LONGEST])
def test_the_parallel_form_is_the_step_form(text, length):
    """Logits and states of both forms are the same to 1e-9 in double precision, up to 4096 positions."""
    parallel, stepwise = twins(text)
    with torch.no_grad():
        (logits, after), (by_step, after_by_step) = parallel(tokens_of(length)), stepwise(tokens_of(length))
    torch.testing.assert_close(logits, by_step, rtol=0, atol=1e-9)
    for part, other in zip(tensors_of(after), tensors_of(after_by_step), strict=True):
        torch.testing.assert_close(part, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("text", MODELS)
def test_the_parallel_form_in_pieces_is_the_step_form(text):
    """With the state carried over pieces of 1, 40 and 59 positions it is the loop over all 100, to 1e-9."""
    parallel, stepwise = twins(text)
    state, pieces = None, []
    for piece in tokens_of(100).split([1, 40, 59], dim=1):
        logits, state = parallel(piece, state)
        pieces.append(logits)
    torch.testing.assert_close(torch.cat(pieces, dim=1), stepwise(tokens_of(100))[0], rtol=0, atol=1e-9)


@pytest.mark.parametrize("text", MODELS)
def test_both_forms_have_the_same_gradients(text):
    """In double precision every parameter's gradient is the same to 1e-9, relative to its largest."""
    gradients = []
    for model in twins(text):
        nn.functional.cross_entropy(model(tokens_of(50))[0].flatten(0, 1), tokens_of(50).flatten()).backward()
        gradients.append({key: value.grad for key, value in model.named_parameters()})
    for key, expected in gradients[1].items():
        assert (gradients[0][key] - expected).abs().max() <= 1e-9 * expected.abs().max(), key


@pytest.mark.parametrize("text", ["mingru", "minlstm", "lru", "block:mingru"])
def test_twice_the_length_takes_the_scan_four_stages_more(text):
    """The depth of a forward pass grows with the logarithm of T: down and up once more, two operations each."""
    depths = []
    for length in (64, 128, 256, 512):
        with torch.no_grad(), CountStages() as counting:
            built(text, layers=1)(tokens_of(length))
        depths.append(counting.deepest)
    assert [later - earlier for earlier, later in pairwise(depths)] == [4, 4, 4]


@pytest.mark.parametrize("text", ["mingru", "mingru@gate_bias=-3", "mingru@gate_bias=5", "minlstm"])
def test_single_precision_loses_less_than_a_log_space_scan_must(text):
    """At T = 4096 the error is below |Σ ln(1 - z)|·2^-24, which sums of logarithms lose, and below 2e-6 (relative)."""
    exact, single = built(text).double(), built(text)
    layer = single.mixer.layers[0]
    with torch.no_grad():
        x = single.front(tokens_of(LONGEST))
        states = layer(x, None)
        exact_layer = exact.mixer.layers[0]
        decay, driven = exact_layer.gates(exact_layer.maps(x.double()))
        reference = steps(decay, driven, None)
    error = ((states - reference) / reference).abs()
    assert error.max() < min(2e-6, decay.log().sum(1).abs().max().item() * 2**-24)


@pytest.mark.parametrize("text", MODELS)
def test_gradients_of_the_longest_sequence_are_finite(text):
    """In single precision at T = 4096 no gradient is infinite or not a number."""
    model = built(text)
    nn.functional.cross_entropy(model(tokens_of(LONGEST))[0].flatten(0, 1), tokens_of(LONGEST).flatten()).backward()
    assert [key for key, value in model.named_parameters() if not value.grad.isfinite().all()] == []


@pytest.mark.parametrize("text", ["mingru", "minlstm"])
@pytest.mark.parametrize("size", [0.0, 1e3, 1e30])
def test_shut_and_open_gates_give_finite_gradients(text, size):
    """However large the inputs are, gates that saturate on either side divide nothing by zero."""
    layer = built(text).mixer.layers[0]
    x = (size * torch.randn(2, 9, 16, generator=stream("saturated"))).requires_grad_()
    layer(x, None).sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize(("text", "row"), [("mingru", 0), ("minlstm", 1)])
def test_the_gate_bias_is_that_of_the_gate_that_writes(text, row):
    """The bias of z, or of i, is -3 for every unit of every layer; the other biases and all weights keep their draw."""
    for plain, biased in zip(built(text).mixer.layers, built(f"{text}@gate_bias=-3").mixer.layers, strict=True):
        before, after = (layer.maps.bias.detach().view(-1, 16) for layer in (plain, biased))
        assert torch.equal(after[row], torch.full((16,), -3.0))
        assert [torch.equal(*rows) for rows in zip(before, after, strict=True)].count(False) == 1
        assert torch.equal(plain.maps.weight, biased.maps.weight)


def test_the_candidate_is_positive_and_has_no_jump():
    """g(-2) = σ(-2), g(0) = ½, g(2) = 2.5."""
    x = torch.tensor([-2.0, -1e-7, 0.0, 2.0], dtype=torch.float64)
    expected = torch.tensor([1 / (1 + math.exp(2)), 0.5, 0.5, 2.5], dtype=torch.float64)
    torch.testing.assert_close(positive(x), expected, rtol=0, atol=1e-6)


def test_minlstm_gates_are_shares_of_their_sum():
    """f′ = f/(f + i) and i′ = i/(f + i), written out here."""
    f, i, candidate = torch.randn(3, 2, 5, 4, generator=stream("gates"), dtype=torch.float64).unbind(0)
    kept, written = _gates(torch.cat((f, i, candidate), dim=-1))
    total = f.sigmoid() + i.sigmoid()
    torch.testing.assert_close(kept, f.sigmoid() / total, rtol=0, atol=1e-12)
    torch.testing.assert_close(written, i.sigmoid() / total * positive(candidate), rtol=0, atol=1e-12)


def test_mingru_follows_its_equations():
    """One layer, written out here from its weights, to 1e-12."""
    model = built("mingru", layers=1).double()
    x = model.front(tokens_of(20))
    maps = model.mixer.layers[0].maps
    (W_z, W_h), (b_z, b_h) = maps.weight.chunk(2), maps.bias.chunk(2)
    h = torch.zeros(2, 16, dtype=torch.float64)
    for x_t in x.unbind(1):
        z, candidate = torch.sigmoid(x_t @ W_z.T + b_z), x_t @ W_h.T + b_h
        h = (1 - z) * h + z * torch.where(candidate >= 0, candidate + 0.5, torch.sigmoid(candidate))
    torch.testing.assert_close(model(tokens_of(20))[1][0][:, 0], h, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("text", "low", "high"), [("lru", 0.9, 0.999), ("lru@r_min=0.2,r_max=0.5", 0.2, 0.5)])
def test_lru_starts_on_its_ring(text, low, high):
    """|λ| lies between r_min and r_max, |λ|² in the middle of their squares within 4 standard errors."""
    sizes = built(text, layers=1, width=1024).blocks[0].mixer.eigenvalues().detach().abs()
    assert sizes.min() >= low - 1e-6
    assert sizes.max() <= high + 1e-6
    spread = (high**2 - low**2) / math.sqrt(12 * 1024)
    assert sizes.pow(2).mean().item() == pytest.approx((low**2 + high**2) / 2, abs=4 * spread)


def test_lru_phases_go_up_to_the_largest():
    """The phases are uniform up to max_phase: none beyond it, their mean in the middle within 4 standard errors."""
    phases = built("lru@max_phase=1", layers=1, width=1024).blocks[0].mixer.eigenvalues().detach().angle()
    assert phases.min() > 0
    assert phases.max() <= 1 + 1e-6
    assert phases.mean().item() == pytest.approx(0.5, abs=4 / math.sqrt(12 * 1024))


def test_lru_states_are_about_as_large_as_their_inputs():
    """γ = √(1 - |λ|²): of white noise the state's mean square is that of B x, for every λ together, within 10 %."""
    unit = built("lru@r_min=0.5,r_max=0.95", layers=1, width=256).blocks[0].mixer
    x = torch.randn(8, 400, 256, generator=stream("white"))
    with torch.no_grad():
        _, (h,) = unit(x, None)
        driven = nn.functional.linear(x[:, -1], unit.into.weight)
    assert (h.pow(2).mean() / driven.pow(2).mean()).item() == pytest.approx(1, rel=0.1)


def test_lru_follows_its_equations():
    """One unit, written out here with complex matrices, to 1e-12."""
    unit = built("lru", layers=1).double().blocks[0].mixer
    x = torch.randn(2, 20, 16, generator=stream("lru"), dtype=torch.float64)
    B = torch.complex(unit.into.weight[::2], unit.into.weight[1::2])
    C = torch.complex(unit.out.weight[:, ::2], -unit.out.weight[:, 1::2])
    size = torch.exp(-torch.exp(unit.nu))
    eigenvalue = torch.polar(size, torch.exp(unit.theta))
    torch.testing.assert_close(unit.gamma.exp(), torch.sqrt(1 - size**2), rtol=0, atol=1e-6)
    h = torch.zeros(2, 16, dtype=torch.complex128)
    outputs = []
    for x_t in x.unbind(1):
        h = eigenvalue * h + unit.gamma.exp() * (x_t.to(h.dtype) @ B.T)
        outputs.append((h @ C.T).real + unit.around * x_t)
    torch.testing.assert_close(unit(x, None)[0], torch.stack(outputs, dim=1), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lru@r_min=0.9,r_max=0.5", "r_min=0.9 and r_max=0.5 are no ring; give 0 <= r_min < r_max < 1"),
        ("lru@r_max=1", "r_min=0.9 and r_max=1.0 are no ring; give 0 <= r_min < r_max < 1"),
        ("lru@max_phase=0", "max_phase=0.0 must be above 0 radians"),
    ],
)
def test_a_ring_that_is_none_is_refused(text, expected):
    """A λ outside the unit circle, or a ring without area or phase, is an error."""
    with pytest.raises(InvalidInput) as caught:
        built(text)
    assert str(caught.value) == expected
