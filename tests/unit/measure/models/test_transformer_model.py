"""transformer: positions, heads, the encoder, and the cache."""

import pytest
import torch

from seqbench.errors import InvalidInput
from seqbench.measure.models import costs, create, spec_for
from seqbench.measure.models.transformer import angles, appended, rotate
from seqbench.measure.seeds import stream
from seqbench.variant import parse


def built(text, *, width=16, layers=2, **more):
    """Return the model of a variant over 8 tokens, in double precision, and its spec."""
    spec = spec_for(parse(text), vocab=8, outputs=8, width=width, layers=layers, **more)
    return create(parse(text), spec, seed=0).double(), spec


def tokens_of(length=9):
    """Return random tokens: (2, length)."""
    return torch.randint(8, (2, length), generator=stream("transformer model"))


def message(call):
    """Return the text of the InvalidInput that a call raises."""
    with pytest.raises(InvalidInput) as caught:
        call()
    return str(caught.value)


def test_a_rotated_product_depends_on_the_distance_alone():
    """The product of a query at 7 and a key at 3 is that of places 12 and 8, and not that of 8 and 3."""
    q, k = torch.randn(2, 8, generator=stream("rope"), dtype=torch.float64)
    turns = list(zip(*angles(0, 20, width=8, like=q), strict=True))
    products = [(rotate(q, turns[m]) @ rotate(k, turns[n])).item() for m, n in ((7, 3), (12, 8), (8, 3))]
    assert products[0] == pytest.approx(products[1], abs=1e-12)
    assert products[0] != pytest.approx(products[2], abs=1e-3)


def test_a_block_with_rope_does_not_know_where_it_starts():
    """Queries and keys are both turned: five places later the same sequence comes out the same."""
    block = built("transformer")[0].blocks[0]
    x = torch.randn(2, 9, 16, generator=stream("block"), dtype=torch.float64)
    here, later = (block(x, None, angles(start, 9, width=8, like=x))[0] for start in (0, 5))
    torch.testing.assert_close(later, here, rtol=0, atol=1e-12)


def test_angles_continue_where_a_piece_starts():
    """The angles from place 6 on are the last ones of those from place 0 on."""
    whole, rest = (angles(start, 10 - start, width=8, like=torch.zeros(1)) for start in (0, 6))
    assert all(torch.equal(a[6:], b) for a, b in zip(whole, rest, strict=True))


def test_the_slowest_and_fastest_angles_are_those_of_the_paper():
    """At place 1 and width 4 the pairs turn by 1 and by 10000^(-1/2) = 0.01."""
    cosine, sine = angles(1, 1, width=4, like=torch.zeros(1, dtype=torch.float64))
    turned = torch.atan2(sine, cosine)[0]
    torch.testing.assert_close(turned, torch.tensor([1.0, 0.01], dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("positions", "sees_order"), [("none", False), ("learned", True), ("rope", True)])
def test_one_causal_layer_without_positions_sees_a_set(positions, sees_order):
    """At the last place, one layer without positions gives the same for any order of what came before."""
    model, _ = built(f"transformer@positions={positions}", layers=1)
    tokens = torch.tensor([[0, 1, 2, 3, 4]])
    difference = (model(tokens)[0] - model(tokens[:, [3, 1, 0, 2, 4]])[0])[:, -1].abs().max()
    assert (difference > 1e-12) == sees_order


@pytest.mark.parametrize("positions", ["rope", "learned", "none"])
def test_an_encoder_sees_the_future(positions):
    """With causal=false another last token changes the first logits."""
    model, _ = built(f"transformer@causal=false,positions={positions}")
    tokens = tokens_of()
    others = torch.cat((tokens[:, :-1], (tokens[:, -1:] + 1) % 8), dim=1)
    assert ((model(tokens)[0] - model(others)[0])[:, 0].abs().amax(-1) > 1e-6).all()


def test_an_encoder_without_positions_does_not_see_order():
    """Its outputs are permuted as its inputs are."""
    model, _ = built("transformer@causal=false,positions=none")
    order = torch.tensor([4, 2, 0, 3, 1])
    tokens = tokens_of(5)
    torch.testing.assert_close(model(tokens[:, order])[0], model(tokens)[0][:, order], rtol=0, atol=1e-12)


def test_an_encoder_without_positions_answers_a_set():
    """Read at a fixed last token, it gives the same for any order of the items before it, to 1e-12."""
    model, _ = built("transformer@causal=false,positions=none")
    items, query = tokens_of(12), torch.full((2, 1), 7)
    answer = model(torch.cat((items, query), dim=1))[0][:, -1]
    for number in range(5):
        order = torch.randperm(12, generator=stream("order", number))
        moved = model(torch.cat((items[:, order], query), dim=1))[0][:, -1]
        assert (moved - answer).abs().max() < 1e-12


@pytest.mark.parametrize("positions", ["rope", "learned"])
def test_an_encoder_with_positions_sees_order(positions):
    """Positions make an encoder tell one order of the items from another."""
    model, _ = built(f"transformer@causal=false,positions={positions}")
    tokens = torch.tensor([[0, 1, 2, 3, 4]])
    assert (model(tokens)[0] - model(tokens[:, [3, 1, 0, 2, 4]])[0])[:, -1].abs().max() > 1e-6


@pytest.mark.parametrize(
    ("text", "causal"), [("transformer", True), ("transformer@causal=false", False), ("gru", True)]
)
def test_the_spec_says_whether_a_model_is_causal(text, causal):
    """What a variant asks for is what its spec says; a model without the option is causal."""
    assert built(text)[1].causal is causal


def test_an_encoder_takes_no_state():
    """Its state is empty, and giving any back is an error."""
    model, spec = built("transformer@causal=false")
    _, state = model(tokens_of())
    assert (state, costs(parse("transformer"), spec, 9).state_floats) == ((), 0)
    expected = "an encoder (causal=false) reads a sequence whole; give it no state"
    assert message(lambda: model(tokens_of(), state)) == expected


def test_positions_beyond_the_table_are_refused():
    """With context=8, nine tokens are refused, whole or in pieces."""
    model, _ = built("transformer@positions=learned,context=8")
    expected = "9 positions are more than the 8 of the learned table; use context=9 or more, or positions=rope"
    _, state = model(tokens_of(8))
    assert message(lambda: model(tokens_of(9))) == expected
    assert message(lambda: model(tokens_of(1), state)) == expected


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        (
            "transformer@heads=4",
            12,
            "width 12 does not fit heads=4 with positions=rope; choose a multiple of 8",
        ),
        (
            "transformer@heads=4,positions=none",
            10,
            "width 10 does not fit heads=4 with positions=none; choose a multiple of 4",
        ),
    ],
)
def test_a_width_that_heads_do_not_divide_is_refused(text, width, expected):
    """Heads must divide the width, and with rope each head's width must be even."""
    assert message(lambda: built(text, width=width)) == expected


def test_decoding_token_by_token_is_reading_whole():
    """Nine tokens one at a time give the logits of the whole."""
    model, _ = built("transformer")
    state, logits = None, []
    for token in tokens_of().split(1, dim=1):
        step, state = model(token, state)
        logits.append(step)
    torch.testing.assert_close(torch.cat(logits, dim=1), model(tokens_of())[0], rtol=0, atol=1e-9)


def test_a_state_with_room_is_continued_without_a_copy():
    """Within its room the next state is a view of the same memory; beyond it the keys move to a larger one."""
    past = appended(None, torch.ones(2, 3, 5, 4), room=2)
    within = appended(past, torch.ones(2, 3, 2, 4), room=2)
    beyond = appended(within, torch.ones(2, 3, 1, 4), room=2)
    assert within.data_ptr() == past.data_ptr()
    assert beyond.data_ptr() != past.data_ptr()


@pytest.mark.parametrize("room", [1, 3, 100])
def test_room_changes_no_key(room):
    """However much room there is, the same keys stand in the same order as when the state is copied."""
    pieces = [torch.randn(2, 3, size, 4, generator=stream("keys", size)) for size in (5, 1, 1, 4, 1)]
    grown, roomy = None, None
    for piece in pieces:
        grown, roomy = appended(grown, piece, room=0), appended(roomy, piece, room=room)
        assert torch.equal(grown, roomy)
