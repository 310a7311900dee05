"""Held-out text is cut into the same windows for every model, each position asked for once."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqbench.errors import InvalidInput
from seqbench.measure.corpora.windows import scored_windows


@given(data=st.data(), length=st.integers(1, 12), batch=st.integers(1, 5))
def test_every_position_after_the_context_is_scored_once(data, length, batch):
    """Each position past the first `context` is asked for once, with at least that many characters shown."""
    context = data.draw(st.integers(1, length))
    characters = data.draw(st.integers(length + 1, 60))
    ids = np.arange(characters) + 100
    positions = []
    for window in scored_windows(ids, length=length, context=context, batch=batch):
        rows, length_found = window.inputs.shape
        assert rows <= batch
        assert length_found == length
        position = window.tags["position"]
        assert torch.equal(window.targets, position + 100)
        assert torch.equal(window.inputs, position + 99)
        shown = torch.arange(1, length + 1).expand_as(position)
        assert shown[window.scored].min() >= context
        positions += position[window.scored].tolist()
    assert positions == list(range(context, characters))


def test_windows_of_the_docstring():
    """The worked example holds: three windows, the last one reaching back."""
    ids = np.array([ord(letter) for letter in "abcdefghij"])
    (batch,) = scored_windows(ids, length=5, context=3)

    def read(row):
        return "".join(map(chr, row))

    assert [read(row) for row in batch.inputs] == ["abcde", "defgh", "efghi"]
    assert [read(batch.targets[row][batch.scored[row]]) for row in range(3)] == ["def", "ghi", "j"]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((5, 0), "context 0 of windows of length 5; give 1 to 5"),
        ((5, 6), "context 6 of windows of length 5; give 1 to 5"),
        ((10, 5), "10 characters for windows of length 10; give at least 11"),
    ],
)
def test_impossible_windows_are_refused(sizes, message):
    """A context or a length that does not fit is an error at once, not at the first batch."""
    length, context = sizes
    with pytest.raises(InvalidInput) as caught:
        scored_windows(np.arange(10), length=length, context=context)
    assert message == str(caught.value)
