"""Find what was seen before and say what followed it (induction heads).

Tokens are 0 … V-1; form "special" adds a special token V. As letters, with S for the special token:

    form = special, length 7    c a S b d a S      ->  - - - - - - b             S was followed by b
    form = repeat, length 7     c a d c a d c      ->  - - - a d c a             a block of three, again and again

special: uniform tokens, in which S stands once before the end, at a uniform position; S again at the end asks for the
token that followed it. The first S stands two positions before the end at the latest, so that the token after it is an
ordinary one and never the S that asks.

repeat: a block of P different tokens is repeated to the end, and from its first repeated token on, the next token is
asked at every position. P is uniform on 2 … ⌊T/2⌋ in each sequence: it must be found in the sequence, as with a P that
is always the same the next token would be an echo at one known distance.

Tag "lag" is, where a position is scored, how many positions back the answer stands; 0 elsewhere.
"""

from math import log
from typing import Literal

import torch

from seqbench.errors import InvalidInput
from seqbench.measure.generators.base import Batch, Bounds, Sizes, at_least, at_the_end, distinct

Form = Literal["special", "repeat"]
_LEAST_LENGTH = {"special": 3, "repeat": 4}


def sample(rng: torch.Generator, *, batch: int, length: int, form: Form = "special", tokens: int = 16) -> Batch:
    """Return sequences of `length` tokens of one form: scored at the end, or at every position from P on.

    Raises InvalidInput when the length leaves no room, or has blocks of more different tokens than are left to choose.
    """
    _check(form=form, tokens=tokens, length=length)
    at_least(1, batch=batch)
    if form == "special":
        return _special(rng, batch=batch, length=length, tokens=tokens)
    return _repeat(rng, batch=batch, length=length, tokens=tokens)


def sizes(*, form: Form = "special", tokens: int = 16) -> Sizes:
    """Return what a model must fit: tokens, and S where there is one, in, tokens out."""
    _check(form=form, tokens=tokens)
    return Sizes(vocab=tokens + (form == "special"), outputs=tokens)


def bounds(*, length: int, form: Form = "special", tokens: int = 16) -> Bounds:
    """Return chance, 1 in `tokens`, and the floor, which is perfect."""
    _check(form=form, tokens=tokens, length=length)
    return Bounds(chance_loss=log(tokens), floor_loss=0.0, chance_accuracy=1 / tokens, floor_accuracy=1.0)


def lag(*, length: int, form: Form = "special", tokens: int = 16) -> int:
    """Return how far back an answer can stand: T-2 after a first S, ⌊T/2⌋-1 in the longest block.

    The token before it, which is looked for, stands one position farther and is not needed there: where no other
    position has it, it stood before all that is seen.
    """
    _check(form=form, tokens=tokens, length=length)
    return length - 2 if form == "special" else length // 2 - 1


def _special(rng: torch.Generator, *, batch: int, length: int, tokens: int) -> Batch:
    inputs = torch.randint(0, tokens, (batch, length), generator=rng)  # (B, T)
    first = torch.randint(0, length - 2, (batch,), generator=rng)  # (B,), where the first S stands
    rows = torch.arange(batch)
    inputs[rows, first] = tokens
    inputs[:, -1] = tokens
    return Batch(
        inputs=inputs,
        targets=at_the_end(inputs[rows, first + 1], length),
        scored=at_the_end(torch.ones(batch, dtype=torch.bool), length),
        tags={"lag": at_the_end(length - 2 - first, length)},
    )


def _repeat(rng: torch.Generator, *, batch: int, length: int, tokens: int) -> Batch:
    longest = length // 2
    periods = torch.randint(2, longest + 1, (batch, 1), generator=rng)  # (B, 1)
    block = distinct(rng, batch=batch, among=tokens, count=longest)  # (B, T/2), of which the first P are shown
    shown = block.gather(1, torch.arange(length + 1) % periods)  # (B, T+1)
    scored = torch.arange(length) >= periods  # (B, T)
    lags = torch.where(scored, periods - 1, 0)
    return Batch(inputs=shown[:, :-1], targets=shown[:, 1:], scored=scored, tags={"lag": lags})


def _check(*, form: str, tokens: int, length: int | None = None) -> None:
    if form not in _LEAST_LENGTH:
        raise InvalidInput(f"form {form!r} is unknown; give one of {', '.join(_LEAST_LENGTH)}")
    at_least(2, tokens=tokens)
    if length is None:
        return
    at_least(_LEAST_LENGTH[form], length=length)
    # a block of all tokens would give its last one away: it is the one not seen yet
    if form == "repeat" and tokens <= length // 2:
        raise InvalidInput(
            f"length {length} repeats blocks of up to {length // 2} different tokens; "
            f"give tokens of {length // 2 + 1} or more, not {tokens}"
        )
