from collections import namedtuple

import pytest
import torch
from transformers import DynamicCache

from seqbench import hub
from seqbench.errors import InvalidInput
from seqbench.hub.cache import Group, select
from seqbench.measure import models
from seqbench.variant import parse

Pair = namedtuple("Pair", "left right")


def numbered(*rows):
    """Return a (B, 2) state whose rows say which they are."""
    return torch.tensor([[row, 10 * row] for row in rows])


def cache_of(*groups):
    kept = hub.RecurrentCache()
    rows = sorted(row for group, _ in groups for row in group)
    kept.keep([Group(group, state) for group, state in groups], last=numbered(*rows), columns=5)
    return kept


def small(name="lstm"):
    spec = models.spec_for(parse(name), vocab=3, outputs=3, width=8, layers=1)
    return hub.wrap(models.create(parse(name), spec, seed=0), spec, model_name=name, vocabulary="abc")[0]


def test_rows_of_one_shape_become_one_group_in_their_order():
    """After a padded prompt a recurrent model's rows are read together again."""
    kept = cache_of(((0, 3), (numbered(0, 3),)), ((1, 2), (numbered(1, 2),)))
    assert [group.rows for group in kept.groups] == [(0, 1, 2, 3)]
    assert kept.groups[0].state[0].tolist() == numbered(0, 1, 2, 3).tolist()
    assert (kept.batch_size, kept.get_seq_length(), kept.get_max_length(), kept.is_initialized) == (4, 5, -1, True)
    assert repr(kept) == "RecurrentCache(rows=4, length=5, groups=1)"


def test_rows_of_different_shapes_stay_apart():
    """Keys of different numbers of positions, and rows that have read nothing, are not joined."""
    grown = torch.zeros(2, 4, 2)
    kept = cache_of(((0, 1), grown), ((2,), grown[:1, :3]), ((3,), None), ((4,), grown[:1]))
    assert [group.rows for group in kept.groups] == [(0, 1, 4), (2,), (3,)]


def test_beams_take_the_state_of_the_row_they_go_on_from():
    """Row i becomes row beam_idx[i], over groups too, with its last logits; a row may be taken twice or not at all."""
    kept = cache_of(((0, 2), torch.stack((numbered(0, 2), numbered(0, 2)), dim=1)), ((1, 3), (numbered(1, 3),)))
    kept.reorder_cache(torch.tensor([3, 2, 2, 1]))
    found = {group.rows: group.state for group in kept.groups}
    assert found[(1, 2)][:, 0].tolist() == numbered(2, 2).tolist()
    assert found[(0, 3)][0].tolist() == numbered(3, 1).tolist()
    assert kept.last.tolist() == numbered(3, 2, 2, 1).tolist()


def test_rows_are_repeated_and_forgotten():
    """Each row stands several times, one after another; a reset cache is as a new one."""
    kept = cache_of(((0, 1), numbered(0, 1)))
    kept.batch_repeat_interleave(2)
    assert kept.groups[0].state.tolist() == numbered(0, 0, 1, 1).tolist()
    assert kept.last.tolist() == numbered(0, 0, 1, 1).tolist()
    kept.reset()
    kept.batch_repeat_interleave(2)
    kept.reorder_cache(torch.tensor([0]))
    assert (kept.groups, kept.last, kept.get_seq_length(), kept.batch_size) == ((), None, 0, -1)


def test_every_make_of_state_is_chosen_from():
    """Tensors in tuples, named tuples, lists, dicts and objects; counts stay; what was given is not changed."""

    class Own:
        def __init__(self):
            self.held, self.count = numbered(0, 1, 2), 7

    own = Own()
    state = {"a": [numbered(0, 1, 2)], "b": Pair(numbered(0, 1, 2), torch.tensor(4)), "c": own, "d": (None, "x", 3)}
    chosen = select(state, [2, 0])
    wanted = numbered(2, 0).tolist()
    assert chosen["a"][0].tolist() == wanted
    assert (chosen["b"].left.tolist(), int(chosen["b"].right)) == (wanted, 4)
    assert (chosen["c"].held.tolist(), chosen["c"].count, type(chosen["c"])) == (wanted, 7, Own)
    assert chosen["d"] == (None, "x", 3)
    assert own.held.tolist() == numbered(0, 1, 2).tolist()
    assert select(state, [0, 1, 2]) is state


def test_a_state_is_not_taken_back():
    """Going back is refused; going back by nothing is nothing."""
    kept = cache_of(((0,), numbered(0)))
    kept.crop(0)
    with pytest.raises(InvalidInput, match=r"^a recurrent state cannot be taken back; keep a copy of the cache from"):
        kept.crop(1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (DynamicCache, "a DynamicCache does not hold this model's state; give a RecurrentCache, or none"),
        (lambda: cache_of(((0, 1), None)), "the cache is of 2 sequences, 1 are given; give as many"),
    ],
)
def test_a_cache_that_does_not_fit_is_refused(given, message):
    """Another class, and one of another batch."""
    with pytest.raises(InvalidInput) as caught:
        small()(torch.tensor([[0, 1]]), past_key_values=given())
    assert str(caught.value) == message


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (1, 1, 2, 2)])
def test_a_mask_that_does_not_fit_is_refused(shape):
    """One value for each position read so far."""
    with pytest.raises(InvalidInput) as caught:
        small()(torch.tensor([[0, 1]]), attention_mask=torch.ones(shape))
    assert str(caught.value) == (
        f"an attention_mask of shape {shape} does not fit input_ids of shape (1, 2); "
        "give 0 or 1 for each position read so far"
    )


@torch.no_grad()
def test_padding_between_tokens_and_before_all_is_passed_over():
    """Wherever padding stands the state stays as it was; before any token every character is as likely."""
    model = small("transformer")
    tokens = torch.tensor([[0, 1, 2, 1, 0], [2, 1, 0, 2, 1]])
    mask = torch.tensor([[0, 1, 0, 1, 0], [1, 1, 1, 0, 1]])
    read = model(tokens, attention_mask=mask)
    alone = model(tokens[:1, [1, 3]]).logits[0]
    assert read.logits[0, 0].tolist() == [0, 0, 0]
    torch.testing.assert_close(read.logits[0, 1:], alone[[0, 0, 1, 1]])
    torch.testing.assert_close(read.logits[1, [0, 1, 2, 4]], model(tokens[1:, [0, 1, 2, 4]]).logits[0])


@torch.no_grad()
def test_what_is_not_asked_for_leaves_the_cache_as_it_was():
    """Without use_cache a given cache is read, not written."""
    model = small()
    kept = model(torch.tensor([[0, 1]])).to_tuple()[1]
    before = kept.groups[0].state
    other = model(torch.tensor([[2]]), cache=kept, use_cache=False)
    assert (kept.get_seq_length(), kept.groups[0].state) == (2, before)
    torch.testing.assert_close(other.logits[:, 0], model(torch.tensor([[0, 1, 2]])).logits[:, -1])


def test_guessing_ahead_is_refused_by_the_library():
    """Assisted decoding would have to take the state back."""
    with pytest.raises(ValueError, match="not supported with stateful models"):
        small().generate(torch.tensor([[0, 1]]), max_new_tokens=4, prompt_lookup_num_tokens=2)
