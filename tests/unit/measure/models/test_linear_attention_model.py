"""linear_attention: chunks are the T × T form, and what its widths are."""

import pytest
import torch
from torch.nn.functional import elu

from seqbench.errors import InvalidInput
from seqbench.measure.models import create, spec_for, width_step
from seqbench.measure.models.linear_attention import CHUNK, feature, read_chunks, read_steps
from seqbench.measure.seeds import stream
from seqbench.variant import parse


def parts(length, *, dtype=torch.float64):
    """Return queries and keys behind φ, and values: 3 × (2, 3, length, 5)."""
    q, k, v = torch.randn(3, 2, 3, length, 5, generator=stream("linear attention", length), dtype=dtype).unbind(0)
    return feature(q), feature(k), v


def empty():
    """Return the state before anything was read."""
    return torch.zeros(2, 3, 5, 5, dtype=torch.float64), torch.zeros(2, 3, 5, dtype=torch.float64)


@pytest.mark.parametrize("read", [read_chunks, read_steps])
@pytest.mark.parametrize("length", [1, 7, CHUNK, CHUNK + 1, 3 * CHUNK, 100])
def test_it_is_the_square_form(read, length):
    """Every output is the mean of the values so far, weighted by φ(q)·φ(k), to 1e-9; S and z are the sums."""
    q, k, v = parts(length)
    weights = torch.einsum("bhtd,bhsd->bhts", q, k) * torch.ones(length, length, dtype=q.dtype).tril()
    expected = torch.einsum("bhts,bhse->bhte", weights / weights.sum(-1, keepdim=True), v)
    out, (S, z) = read(q, k, v, empty())
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-9)
    torch.testing.assert_close(S, torch.einsum("bhsd,bhse->bhde", k, v), rtol=0, atol=1e-9)
    torch.testing.assert_close(z, k.sum(2), rtol=0, atol=1e-9)


@pytest.mark.parametrize("read", [read_chunks, read_steps])
def test_pieces_of_any_size_are_the_whole(read):
    """Pieces of 1, 40, 32 and 27 positions with the state carried over give the outputs of all 100, to 1e-9."""
    q, k, v = parts(100)
    state, outputs = empty(), []
    for piece in zip(*(part.split([1, 40, 32, 27], dim=2) for part in (q, k, v)), strict=True):
        out, state = read(*piece, state)
        outputs.append(out)
    torch.testing.assert_close(torch.cat(outputs, dim=2), read(q, k, v, empty())[0], rtol=0, atol=1e-9)


def test_the_feature_is_elu_plus_one():
    """φ(x) = elu(x) + 1 to 1e-15, its slope too, and at -40 it is e^-40 and not zero."""
    x = torch.linspace(-3, 3, 25, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(feature(x), elu(x) + 1, rtol=0, atol=1e-15)
    slopes = [torch.autograd.grad(phi(x).sum(), x)[0] for phi in (feature, elu)]
    torch.testing.assert_close(*slopes, rtol=0, atol=1e-15)
    assert feature(torch.tensor(-40.0)).item() == pytest.approx(4.248e-18, rel=1e-3, abs=0)


def test_a_width_that_heads_do_not_divide_is_refused():
    """Heads must divide the width, and the width's step says so."""
    variant = parse("linear_attention@heads=3")
    spec = spec_for(variant, vocab=8, outputs=8, width=16, layers=1)
    assert width_step(variant, spec) == 3
    with pytest.raises(InvalidInput, match=r"^width 16 does not fit heads=3; choose a multiple of 3$"):
        create(variant, spec, seed=0)


def test_no_heads_are_refused():
    """heads=0 is no attention."""
    with pytest.raises(InvalidInput, match=r"^heads=0 must be at least 1$"):
        spec_for(parse("linear_attention@heads=0"), vocab=8, outputs=8, width=16, layers=1)
