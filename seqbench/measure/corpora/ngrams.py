"""Count models: what a character costs when only the last few characters are remembered; and what it costs `xz`.

They anchor real text, whose floor is unknown. `order` is the number of characters remembered: order 4 is a 5-gram.
"""

import lzma
from dataclasses import dataclass

import numpy as np

from seqbench.errors import InvalidInput
from seqbench.measure.corpora.base import Bits, Ids


@dataclass(frozen=True, slots=True, eq=False)
class Unigram:
    """Every character by its share of the training text, each counted once more than it occurs.

    surprisals: (V,) bits.
    """

    surprisals: Bits

    def bits(self, ids: Ids) -> Bits:
        """Return the surprisal of each character: (N,) -> (N,) bits."""
        _check(ids, len(self.surprisals))
        return self.surprisals[ids]


def order0(train_ids: Ids, alphabet_size: int) -> Unigram:
    """Return the add-one smoothed unigram model of a training text: (N,) int64."""
    _check(train_ids, alphabet_size)
    counts = np.bincount(train_ids, minlength=alphabet_size) + 1
    return Unigram(-np.log2(counts / counts.sum()))


def compressed(train: str, test: str) -> float:
    """Return what a character of a test text costs a compressor that has read the training text before, in bits.

    That is xz -9e (LZMA with a dictionary of 64 MiB): the size of both texts together minus that of the first alone.
    """
    sizes = [len(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME)) for text in (train + test, train)]
    return 8 * (sizes[0] - sizes[1]) / len(test)


@dataclass(frozen=True, slots=True, eq=False)
class _Level:
    """Counts of one context length. A gram is its context and the next character, packed into one int64.

    grams, counts: (G,) sorted grams and how often each counts.
    contexts, totals, kinds: (C,) sorted contexts, the counts of their grams together, and how many grams.
    """

    grams: Ids
    counts: Ids
    contexts: Ids
    totals: Ids
    kinds: Ids
    discount: float

    def probability(self, grams: Ids, shorter: Bits, *, alphabet_size: int) -> Bits:
        """Return p(character | context), given p(character | context without its first character): (N,)."""
        where = np.minimum(np.searchsorted(self.grams, grams), len(self.grams) - 1)
        counts = np.where(self.grams[where] == grams, self.counts[where], 0)
        contexts = grams // alphabet_size
        where = np.minimum(np.searchsorted(self.contexts, contexts), len(self.contexts) - 1)
        kept = np.maximum(counts - self.discount, 0.0)
        mixed = (kept + self.discount * self.kinds[where] * shorter) / self.totals[where]
        return np.where(self.contexts[where] == contexts, mixed, shorter)


@dataclass(frozen=True, slots=True, eq=False)
class KneserNey:
    """Interpolated Kneser-Ney: a context discounts its counts and leaves the rest to the shorter context.

    Kneser & Ney (1995), interpolated as by Chen & Goodman (1999), one discount n1 / (n1 + 2 n2) per level;
    the level without context is mixed with the uniform distribution, so nothing is impossible.
    """

    alphabet_size: int
    levels: tuple[_Level, ...]

    def bits(self, ids: Ids) -> Bits:
        """Return the surprisal of each character given those before it: (N,) -> (N,) bits.

        The first characters have fewer before them, and are given those.
        """
        _check(ids, self.alphabet_size)
        probability: Bits = np.full(len(ids), 1 / self.alphabet_size)
        for remembered, level in enumerate(self.levels[: len(ids)]):
            grams = _packed(ids, remembered + 1, self.alphabet_size)
            probability[remembered:] = level.probability(
                grams, probability[remembered:], alphabet_size=self.alphabet_size
            )
        return -np.log2(probability)


def kneser_ney(train_ids: Ids, alphabet_size: int, *, order: int) -> KneserNey:
    """Return the model of a training text, (N,) int64, that remembers `order` characters.

    The longest grams count as often as they occur, a shorter one by how many different longer ones end in it.
    Raises InvalidInput when the text is not longer than the order, or a gram does not fit 63 bits.
    """
    _check(train_ids, alphabet_size)
    if order < 0 or alphabet_size ** (order + 1) >= 2**63:
        raise InvalidInput(f"order {order} over {alphabet_size} characters does not fit 63 bits; give a lower order")
    if len(train_ids) <= order:
        raise InvalidInput(f"{len(train_ids)} characters cannot train order {order}; give at least {order + 1}")
    levels = []
    grams, counts = _counted(_packed(train_ids, order + 1, alphabet_size))
    for width in range(order + 1, 0, -1):
        levels.append(_level(grams, counts, alphabet_size))
        grams, counts = _counted(grams % alphabet_size ** (width - 1))
    return KneserNey(alphabet_size, tuple(reversed(levels)))


def can_count(train_ids: Ids, alphabet_size: int, *, order: int) -> bool:
    """Return whether a gram of this order fits 63 bits and the training text, (N,) int64, has one."""
    return alphabet_size ** (order + 1) < 2**63 and len(train_ids) > order


def _level(grams: Ids, counts: Ids, alphabet_size: int) -> _Level:
    contexts = grams // alphabet_size
    first = np.flatnonzero(np.diff(contexts, prepend=-1))  # where each context begins among the sorted grams
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    return _Level(
        grams=grams,
        counts=counts,
        contexts=contexts[first],
        totals=np.add.reduceat(counts, first),
        kinds=np.diff(first, append=len(grams)),
        # a half where nothing occurs once: without any discount the unseen would be impossible
        discount=once / (once + 2 * twice) if once else 0.5,
    )


def _counted(grams: Ids) -> tuple[Ids, Ids]:
    """Return the distinct grams, sorted, and how often each occurs."""
    ordered = np.sort(grams)
    first = np.flatnonzero(np.diff(ordered, prepend=-1))
    return ordered[first], np.diff(first, append=len(ordered))


def _packed(ids: Ids, width: int, alphabet_size: int) -> Ids:
    """Return each run of `width` ids as one number, the last id lowest: (N,) -> (N - width + 1,)."""
    number = len(ids) - width + 1
    packed = np.zeros(number, dtype=np.int64)
    for start in range(width):
        packed = packed * alphabet_size + ids[start : start + number]
    return packed


def _check(ids: Ids, alphabet_size: int) -> None:
    if len(ids) and (ids.min() < 0 or ids.max() >= alphabet_size):
        raise InvalidInput(
            f"ids from {int(ids.min())} to {int(ids.max())} over {alphabet_size} characters; "
            f"give ids from 0 to {alphabet_size - 1}"
        )
