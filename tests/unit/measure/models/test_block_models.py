"""block:…: the same surroundings for every mixer, with the options of the model that the mixer comes from."""

import subprocess
import sys

import pytest
import torch

from seqbench import catalogue, store
from seqbench.errors import InvalidInput, UnknownName
from seqbench.judge.figures import style
from seqbench.measure.models import MIXERS, MODELS, create, refusal, spec_for, width_step
from seqbench.measure.seeds import stream
from seqbench.variant import parse

SIZES = {"vocab": 8, "outputs": 8, "width": 16, "layers": 2}


def spec_of(text, **more):
    """Return the spec of a variant over 8 tokens."""
    return spec_for(parse(text), **{**SIZES, **more})


def built(text, **more):
    """Return the model of a variant over 8 tokens."""
    return create(parse(text), spec_of(text, **more), seed=0)


def test_every_mixer_is_a_model_and_every_member_a_mixer():
    """The two registries name the same members."""
    assert {f"block:{name}" for name in MIXERS.names()} == {name for name in MODELS.names() if name[:6] == "block:"}


def test_members_differ_in_their_mixer_alone():
    """Outside the mixers, all members have parameters of the same names and shapes."""
    around = [
        {key: value.shape for key, value in built(f"block:{name}").named_parameters() if ".mixer." not in key}
        for name in MIXERS.names()
    ]
    assert all(names == around[0] for names in around)


@pytest.mark.parametrize("text", ["transformer", "lru", "linear_attention"])
def test_a_model_that_is_made_of_blocks_is_its_member(text):
    """The same draw gives the same logits whether the model or the member of its mixer is asked for."""
    tokens = torch.randint(8, (2, 9), generator=stream("block models"))
    member = {"transformer": "attention"}.get(text, text)
    assert torch.equal(built(text)(tokens)[0], built(f"block:{member}")(tokens)[0])


def test_a_member_takes_the_options_of_its_mixer():
    """block:lstm@forget_bias=1 sets the forget bias of every block."""
    cells = [block.mixer.cells for block in built("block:lstm@forget_bias=3").blocks]
    forget = [(cell.bias_ih_l0 + cell.bias_hh_l0).detach().view(4, 16)[1] for cell in cells]
    assert all(torch.equal(bias, torch.full((16,), 3.0)) for bias in forget)


def test_an_option_of_another_member_is_refused():
    """The option `positions` belongs to attention, not to an LSTM."""
    expected = "no option of block:lstm named 'positions' (known: chrono, forget_bias, implementation)"
    with pytest.raises(UnknownName) as caught:
        spec_of("block:lstm@positions=none")
    assert str(caught.value) == expected


def test_an_unknown_member_names_the_nearest():
    """A misspelt member is refused with the nearest model."""
    with pytest.raises(UnknownName, match=r"^no model named 'block:lstn'; did you mean block:lstm\?"):
        spec_of("block:lstn")


def test_a_recurrent_member_is_no_encoder():
    """The option `causal` is one of attention alone."""
    expected = "block:gru reads from left to right and cannot be an encoder; leave causal out"
    with pytest.raises(InvalidInput) as caught:
        spec_of("block:gru@causal=false")
    assert str(caught.value) == expected


def test_an_encoder_takes_no_state():
    """Its state is empty, and giving any back is an error."""
    model = built("block:attention@causal=false")
    tokens = torch.zeros(2, 5, dtype=torch.int64)
    _, state = model(tokens)
    assert state == ()
    with pytest.raises(InvalidInput, match=r"^an encoder \(causal=false\) reads a sequence whole; give it no state$"):
        model(tokens, state)


@pytest.mark.parametrize(
    ("text", "step"),
    [("block:attention@heads=4", 8), ("block:linear_attention@heads=4", 4), ("block:rnn", 1), ("block:convolution", 1)],
)
def test_a_member_s_width_goes_in_its_mixer_s_steps(text, step):
    """What the width must be a multiple of is the mixer's."""
    assert width_step(parse(text), spec_of(text)) == step


def test_a_member_s_refusal_is_its_mixer_s():
    """A convolution refuses what it cannot see with its own kernel; a recurrent member refuses nothing."""
    expected = "an answer 4 positions back lies beyond the receptive field of 4 positions; use layers=3 or more"
    text = "block:convolution@kernel=2"
    assert refusal(parse(text), spec_of(text), length=9, lag=4) == expected
    assert refusal(parse("block:rnn"), spec_of("block:rnn"), length=9, lag=4) == ""


def test_showing_a_member_shows_its_mixer_s_options():
    """`seqbench show block:lstm` lists the LSTM's options below the arm's own text."""
    shown = catalogue.describe("block:lstm")
    assert shown.startswith("model block:lstm\n\nSame-block arm:")
    assert "  forget_bias: float | None = None" in shown.split("Options:")[1].splitlines()


def test_listing_and_showing_members_needs_no_torch():
    """Rows and descriptions are read from source."""
    code = (
        "import sys; from seqbench import catalogue; catalogue.rows('models'); "
        "catalogue.describe('block:attention'); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_folders_and_looks_of_members_are_their_own():
    """No two models share a folder of the store, none has a colon in it, no two a label, and none of ours a look.

    The library's types are more than there are looks: their labels tell them apart.
    """
    folders = [store.slug(name) for name in MODELS.names()]
    assert len(set(folders)) == len(folders)
    assert not any(":" in folder for folder in folders)
    looks = [style.look(name) for name in MODELS.names()]
    assert len({look.label for look in looks}) == len(looks)
    ours = [style.look(name) for name in MODELS.names() if not name.startswith("hf:")]
    assert len({(look.colour, look.marker, look.line) for look in ours}) == len(ours)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("block:lstm@forget_bias=1", "LSTM, forget bias 1, in a block"),
        ("block:linear_attention", "linear attention, in a block"),
        ("block:attention@positions=none", "attention, no positions, in a block"),
    ],
)
def test_members_are_named_for_people(text, label):
    """A label says the mixer, its options, and that it stands in a block."""
    assert style.look(text).label == label


def test_a_member_has_the_colour_of_its_mixer_s_model():
    """Attention in a block is drawn as the Transformer is, a convolution as the TCN, but for the line."""
    for member, model in (("lru", "lru"), ("attention", "transformer"), ("convolution", "tcn")):
        inside, alone = style.look(f"block:{member}"), style.look(model)
        assert (inside.colour, inside.marker) == (alone.colour, alone.marker)
        assert inside.line != alone.line
