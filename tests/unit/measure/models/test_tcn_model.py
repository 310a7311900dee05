"""tcn: what a stack of dilated convolutions sees, and what it refuses."""

import pytest
import torch

from seqbench.errors import InvalidInput
from seqbench.measure.models import create, refusal, spec_for
from seqbench.measure.models.base import tensors_of
from seqbench.measure.models.tcn import receptive_field
from seqbench.measure.seeds import stream
from seqbench.variant import parse


def spec_of(text, *, layers=3):
    """Return the spec of a variant over 8 tokens."""
    return spec_for(parse(text), vocab=8, outputs=8, width=16, layers=layers)


def tokens_of(length=40):
    """Return random tokens: (4, length)."""
    return torch.randint(8, (4, length), generator=stream("tcn"))


@pytest.mark.parametrize(
    ("text", "layers", "field"),
    [("tcn", 3, 15), ("tcn", 6, 127), ("tcn@kernel=2", 4, 16), ("tcn@kernel=5", 1, 5), ("block:convolution", 3, 15)],
)
def test_the_receptive_field_is_the_closed_form(text, layers, field):
    """1 + (k-1)(2^L - 1) positions, that of six levels of kernel 3 is 127."""
    assert receptive_field(spec_of(text, layers=layers)) == field


@pytest.mark.parametrize(
    ("text", "layers"), [("tcn", 3), ("tcn@kernel=2", 4), ("tcn@kernel=4", 2), ("block:convolution", 3)]
)
def test_nothing_is_seen_beyond_the_receptive_field(text, layers):
    """The gradient to an input `lag` back is exactly zero from the field on, and not zero one lag before."""
    spec = spec_of(text, layers=layers)
    model = create(parse(text), spec, seed=0).double()
    kept = []
    hook = model.front.register_forward_hook(lambda _module, _inputs, output: kept.append(output))
    logits, _ = model(tokens_of())
    hook.remove()
    (gradient,) = torch.autograd.grad(logits[:, -1].pow(2).sum(), kept[0])
    by_lag = gradient.abs().sum((0, 2)).flip(0)  # (B, T, D) -> (T,)
    field = receptive_field(spec)
    assert by_lag[field - 1] > 0
    assert not by_lag[field:].any()


def test_an_answer_beyond_the_receptive_field_is_refused():
    """Six levels of kernel 3 see 127 positions, seven 255: lag 150 needs seven."""
    expected = "an answer 150 positions back lies beyond the receptive field of 127 positions; use layers=7 or more"
    for text in ("tcn", "block:convolution"):
        assert refusal(parse(text), spec_of(text, layers=6), length=200, lag=150) == expected


@pytest.mark.parametrize(("lag", "refused"), [(None, False), (126, False), (127, True)])
def test_the_last_lag_that_is_seen_is_not_refused(lag, refused):
    """A field of 127 positions reaches lag 126; where answers lie at no one distance nothing is refused."""
    assert bool(refusal(parse("tcn"), spec_of("tcn", layers=6), length=500, lag=lag)) == refused


@pytest.mark.parametrize(("lag", "layers"), [(127, 7), (254, 7), (255, 8)])
def test_the_refusal_names_the_fewest_levels_that_see_far_enough(lag, layers):
    """Levels named in the refusal see the lag, and one fewer do not."""
    text = refusal(parse("tcn"), spec_of("tcn", layers=6), length=500, lag=lag)
    assert text.endswith(f"use layers={layers} or more")


def test_a_level_is_a_residual_around_a_rectified_convolution():
    """One level, written out here from its weights with zeros before the start, to 1e-12."""
    model = create(parse("tcn"), spec_of("tcn", layers=2), seed=0).double()
    x = model.front(tokens_of(9))
    for level, dilation in zip(model.levels, (1, 2), strict=True):
        K, b = level.convolution.weight, level.convolution.bias
        zeros = torch.zeros(4, 2 * dilation, 16, dtype=torch.float64)
        seen = torch.cat((zeros, x), dim=1)
        total = b + sum(seen[:, j * dilation : j * dilation + 9] @ K[:, :, j].T for j in range(3))
        x = x + total.clamp(min=0)
    torch.testing.assert_close(model(tokens_of(9))[0], model.head(x), rtol=0, atol=1e-12)


def test_the_state_is_what_the_convolutions_still_need():
    """Of three levels of kernel 3 the last 2, 4 and 8 inputs, however many there were."""
    _, state = create(parse("tcn"), spec_of("tcn"), seed=0)(tokens_of(3))
    assert [tuple(part.shape) for part in tensors_of(state)] == [(4, 2, 16), (4, 4, 16), (4, 8, 16)]


def test_a_kernel_that_sees_only_the_present_is_refused():
    """kernel=1 would be no network over time."""
    with pytest.raises(InvalidInput, match=r"^kernel=1 sees no earlier position; give 2 or more$"):
        spec_of("tcn@kernel=1")
