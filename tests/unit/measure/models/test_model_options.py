"""Variants become specs: options are checked against the model file's own `Options`."""

import subprocess
import sys

import pytest

from seqbench.errors import ContractError, InvalidInput, UnknownName
from seqbench.measure.models import MODELS, costs, create, spec_for
from seqbench.variant import Variant, parse

SIZES = {"vocab": 8, "outputs": 8, "width": 16, "layers": 1}


def error_of(text, kind):
    """Return the text of the error that a variant gives."""
    with pytest.raises(kind) as caught:
        spec_for(parse(text), **SIZES)
    return str(caught.value)


def own_model(folder, *lines):
    """Return the variant name of a model file with these lines before a build that makes a linear layer."""
    path = folder / "own.py"
    path.write_text("\n".join(("from torch import nn", *lines, "")), encoding="utf-8")
    return f"{path}:build"


def test_names_are_listed_without_torch():
    """Importing the folder and listing its names imports no torch."""
    code = "import sys, seqbench.measure.models as m; m.MODELS.names(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("name", MODELS.names())
def test_every_model_has_a_summary_line(name):
    """The first docstring line of every model's file names it in one line."""
    assert MODELS.summary(name).endswith(".")


def test_options_are_completed_with_their_defaults():
    """The spec holds the model file's own Options, given values and defaults together."""
    options = spec_for(parse("rnn@activation=relu"), **SIZES).options
    assert (options.activation, options.init, options.gain) == ("relu", "default", 1.0)


def test_a_whole_number_is_taken_as_a_float():
    """gain=2 and gain=2.0 are the same options, both with a float."""
    first, second = (spec_for(parse(f"rnn@init=gaussian,gain={gain}"), **SIZES).options for gain in ("2", "2.0"))
    assert first == second
    assert type(first.gain) is float


def test_an_unknown_model_names_the_nearest():
    """A misspelt model is refused with the nearest name."""
    listed = ", ".join(sorted(MODELS.names()))
    expected = f"no model named 'ltsm'; did you mean lstm? (known: {listed})"
    assert error_of("ltsm", UnknownName) == expected


def test_an_unknown_option_names_the_nearest():
    """A misspelt option is refused with the nearest name and all known ones."""
    expected = (
        "no option of rnn named 'activaton'; did you mean activation? (known: activation, gain, implementation, init)"
    )
    assert error_of("rnn@activaton=relu", UnknownName) == expected


def test_a_value_outside_the_choices_lists_them():
    """A value that is not among the choices is refused with all of them."""
    expected = "rnn does not take activation='tahn'; it must be one of tanh, relu, sigmoid"
    assert error_of("rnn@activation=tahn", InvalidInput) == expected


def test_a_value_of_the_wrong_kind_says_which_kind():
    """A fraction where a whole number is meant is refused."""
    assert error_of("lstm@chrono=1.5", InvalidInput) == "lstm does not take chrono=1.5; it must be a whole number"


def test_true_is_no_number():
    """A truth value is no number, although Python counts with it."""
    assert error_of("rnn@gain=true", InvalidInput) == "rnn does not take gain=True; it must be a number"


def test_all_wrong_options_are_named_at_once():
    """Two wrong values and an unknown option come in one error."""
    expected = (
        "rnn does not take gain='big'; it must be a number\n"
        "rnn does not take init='zero'; it must be one of default, orthogonal, identity, gaussian\n"
        "no option of rnn named 'bias' (known: activation, gain, implementation, init)"
    )
    assert error_of("rnn@init=zero,gain=big,bias=1", InvalidInput) == expected


def test_two_unknown_options_are_named_at_once():
    """Two unknown options come in one error."""
    assert error_of("gru@bias=1,size=2", UnknownName).count("no option of gru named") == 2


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("value", ["true", "false"])
def test_a_model_that_cannot_be_an_encoder_says_so(name, value):
    """A recurrent model never sees the future, so that the option is refused and not ignored."""
    expected = f"{name} reads from left to right and cannot be an encoder; leave causal out"
    assert error_of(f"{name}@causal={value}", InvalidInput) == expected


def test_an_own_model_without_options_is_no_encoder(tmp_path):
    """A file that states no option `causal` is taken to read from left to right."""
    name = own_model(tmp_path, "def build(spec): return nn.Embedding(spec.vocab, spec.outputs)")
    with pytest.raises(InvalidInput, match=r"reads from left to right and cannot be an encoder; leave causal out$"):
        spec_for(Variant(name, (("causal", False),)), **SIZES)


def test_a_misspelt_causal_names_the_nearest():
    """Where a model can be an encoder, the option is found among the known ones."""
    expected = (
        "no option of transformer named 'casual'; did you mean causal? (known: causal, context, heads, positions, room)"
    )
    assert error_of("transformer@casual=false", UnknownName) == expected


def test_an_own_file_is_a_model(tmp_path):
    """A file with nothing but build is a model without options or closed forms."""
    name = own_model(tmp_path, "def build(spec): return nn.Embedding(spec.vocab, spec.outputs)")
    spec = spec_for(Variant(name), **SIZES)
    assert create(Variant(name), spec, seed=0)(two_sequences()).shape == (2, 3, 8)
    assert (spec.options, costs(Variant(name), spec, 5)) == (None, None)


def two_sequences():
    """Return two sequences of three tokens: (2, 3)."""
    import torch

    return torch.zeros(2, 3, dtype=torch.int64)


def test_an_own_file_without_options_takes_none(tmp_path):
    """An option for a model that has none is refused."""
    name = own_model(tmp_path, "def build(spec): return nn.Embedding(spec.vocab, spec.outputs)")
    with pytest.raises(UnknownName) as caught:
        spec_for(Variant(name, (("depth", 2),)), **SIZES)
    assert str(caught.value) == f"no option of {name} named 'depth' (known: none)"


def test_a_file_without_build_is_no_model(tmp_path):
    """A file that builds nothing lacks the contract."""
    name = own_model(tmp_path)
    with pytest.raises(ContractError) as caught:
        spec_for(Variant(name), **SIZES)
    expected = f"model {name}: its module has no build(spec); write one that returns the nn.Module"
    assert str(caught.value) == expected


def test_options_that_are_no_dataclass_are_refused(tmp_path):
    """An Options that is a plain class lacks the contract."""
    name = own_model(tmp_path, "class Options: pass", "def build(spec): return nn.Identity()")
    with pytest.raises(ContractError) as caught:
        spec_for(Variant(name), **SIZES)
    assert str(caught.value) == f"model {name}: its Options must be a frozen dataclass"


def test_options_of_another_model_are_refused():
    """A spec made for one model does not build another."""
    spec = spec_for(parse("lstm"), **SIZES)
    with pytest.raises(
        ContractError, match=r"are not seqbench\.measure\.models\.gru\.Options; build specs with spec_for"
    ):
        create(parse("gru"), spec, seed=0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rnn@gain=2", "gain=2.0 needs init=orthogonal or init=gaussian, not init=default"),
        ("lstm@chrono=9,forget_bias=1", "forget_bias=1.0 and chrono=9 both set the forget bias; give one"),
        ("lstm@chrono=2", "chrono=2 bridges nothing; give the longest distance, at least 3"),
        ("transformer@context=64", "context=64 needs positions=learned, not positions=rope"),
        ("transformer@heads=0", "heads=0 and context=1024 must be at least 1"),
    ],
)
def test_options_that_do_not_go_together_are_refused(text, expected):
    """An option that would have no effect, or undo another, is an error and not ignored."""
    assert error_of(text, InvalidInput) == expected
