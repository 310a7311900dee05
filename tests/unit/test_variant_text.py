"""Variants: a model name with options, as one text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqbench import variant
from seqbench.errors import InvalidInput
from seqbench.variant import Variant

names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
fractions = st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: not number.is_integer())
values = st.one_of(st.booleans(), st.integers(-1000, 1000), fractions, st.just("identity"))


@given(name=names, options=st.dictionaries(names, values, max_size=4))
def test_a_variant_reads_back_from_its_text(name, options):
    """Parsing the text of a variant gives the variant again, types included."""
    made = Variant(name, tuple(sorted(options.items())))
    read = variant.parse(str(made))
    assert (made, [type(v) for _, v in made.options]) == (read, [type(v) for _, v in read.options])


@pytest.mark.parametrize("spelt", ["1", "1.0", "1e0"])
def test_a_number_has_one_spelling(spelt):
    """However a whole number is spelt, the variant is the same."""
    assert str(variant.parse(f"rnn@gain={spelt}")) == "rnn@gain=1"


def test_the_order_of_options_does_not_matter():
    """Two spellings of the same options are one variant."""
    assert str(variant.parse("rnn@init=identity,activation=relu")) == "rnn@activation=relu,init=identity"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rnn@", "'rnn@' is no model; write name or name@option=value,option=value"),
        ("@init=identity", "'@init=identity' is no model; write name or name@option=value,option=value"),
        ("rnn@init", "'init' in 'rnn@init' is no option; write option=value"),
        ("rnn@gain=1,gain=2", "option 'gain' stands twice in 'rnn@gain=1,gain=2'; keep one"),
    ],
)
def test_what_is_no_variant_is_refused_with_the_right_form(text, message):
    """A malformed text is refused in one line that shows the form."""
    with pytest.raises(InvalidInput, match=f"^{re.escape(message)}$"):
        variant.parse(text)
