"""A tokenizer of characters: one id per character of a vocabulary, U+FFFD for every other one."""

import hashlib

from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from seqbench.errors import InvalidInput
from seqbench.measure.corpora.text import REPLACEMENT


def make_tokenizer(vocabulary: str) -> PreTrainedTokenizerFast:
    """Return the tokenizer whose id i is the i-th character.

    Where U+FFFD is among them it stands for every character that is not, and pads, to the left; `attention_mask` tells
    padding from it, and `decode` leaves it out where it skips special tokens. Without it other characters are refused
    by `encode`, and there is no padding.
    Raises InvalidInput for a vocabulary that is empty or names a character twice.
    """
    twice = "".join(dict.fromkeys(character for character in vocabulary if vocabulary.count(character) > 1))
    if not vocabulary or twice:
        raise InvalidInput(
            f"a vocabulary has each character once; {f'{twice!r} stands twice' if twice else 'it is empty'}"
        )
    stand_in = REPLACEMENT if REPLACEMENT in vocabulary else None
    ids = {character: place for place, character in enumerate(vocabulary)}
    rust = Tokenizer(WordLevel(ids, unk_token=stand_in) if stand_in else WordLevel(ids))
    rust.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    rust.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=rust,
        unk_token=stand_in,
        pad_token=stand_in,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def vocabulary_of(tokenizer: PreTrainedTokenizerFast) -> str:
    """Return the characters of a tokenizer in order of their ids."""
    return "".join(sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__))


def vocabulary_sha256(vocabulary: str) -> str:
    """Return the sha256 of a vocabulary's characters in order, as UTF-8."""
    return hashlib.sha256(vocabulary.encode()).hexdigest()


def encode(tokenizer: PreTrainedTokenizerFast, text: str) -> tuple[list[int], str]:
    """Return the ids of a text and which of its characters, each once, became U+FFFD.

    Raises InvalidInput where they cannot, for want of U+FFFD in the vocabulary.
    """
    known = tokenizer.get_vocab()
    strange = "".join(dict.fromkeys(character for character in text if character not in known))
    if strange and REPLACEMENT not in known:
        raise InvalidInput(f"the model knows no {strange!r}; write with {vocabulary_of(tokenizer)!r}")
    stand_in = known.get(REPLACEMENT, -1)
    return [known.get(character, stand_in) for character in text], strange
