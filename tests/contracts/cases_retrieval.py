"""Tasks of keeping and looking up, and readers who solve them token by token, written without the samplers.

A reader is given a row of tokens and the positions that are asked. For each it returns the answer with how far back
it stands, or None where the row does not tell it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from generator_case import Case
from torch import Tensor

from seqbench.measure.generators.base import Batch

Found = tuple[int, int] | None
Reader = Callable[[Sequence[int], Sequence[int]], list[Found]]


def read_echo(tokens: Sequence[int], asked: Sequence[int]) -> list[Found]:
    """Count back: 32 positions are asked, so the first of the row is asked at the 32nd from the end."""
    back = len(tokens) - 32
    return [(tokens[place - back], back) for place in asked]


def read_selective_copy(tokens: Sequence[int], asked: Sequence[int]) -> list[Found]:
    """Match symbols (0 … 15) and markers (17) from the last one back."""
    places = [place for place, token in enumerate(tokens) if token < 16]
    found = [(tokens[place], marker - place) for place, marker in zip(places[::-1], asked[::-1], strict=False)]
    return [None] * (len(asked) - len(found)) + found[::-1]


def marks_of(tokens: Sequence[int]) -> list[int]:
    """Return where X (4) or Y (5) stands."""
    return [place for place, token in enumerate(tokens) if token in (4, 5)]


def reader_of_order(order: int) -> Reader:
    """Return a reader of that many marks, who spells their pattern in binary."""

    def read(tokens: Sequence[int], asked: Sequence[int]) -> list[Found]:
        assert list(asked) == [len(tokens) - 1]
        marks = marks_of(tokens)
        if len(marks) < order:
            return [None]
        spelt = "".join("XY"[tokens[place] - 4] for place in marks)
        return [(int(spelt.replace("X", "0").replace("Y", "1"), base=2), asked[0] - marks[0])]

    return read


def read_special(tokens: Sequence[int], asked: Sequence[int]) -> list[Found]:
    """Find the special token (16) that is not the last and name the token after it."""
    if 16 not in tokens[:-1] or tokens[tokens.index(16) + 1] > 16:
        return [None]
    place = tokens.index(16) + 1
    return [(tokens[place], asked[0] - place)]


def read_repeat(tokens: Sequence[int], asked: Sequence[int]) -> list[Found]:
    """Find the nearest earlier place of the same token and name what followed it."""
    answers: list[Found] = []
    for here in asked:
        before = [place for place in range(here) if tokens[place] == tokens[here]]
        answers.append((tokens[before[-1] + 1], here - before[-1] - 1) if before else None)
    return answers


def reader_of_pairs(pairs: int, half: int) -> Reader:
    """Return a reader who learns that many pairs from the start and answers with values, `half` and above."""

    def read(tokens: Sequence[int], asked: Sequence[int]) -> list[Found]:
        learnt = {tokens[place]: place + 1 for place in range(0, 2 * pairs, 2) if half <= tokens[place + 1] < 2 * half}
        homes = [learnt.get(tokens[query]) for query in asked]
        return [
            None if home is None else (tokens[home], query - home) for home, query in zip(homes, asked, strict=True)
        ]

    return read


def triples_of(tokens: Sequence[int], items: int = 16, letters: int = 8) -> list[int]:
    """Return where two letters and a value stand in a row."""

    def is_letter(token: int) -> bool:
        return items <= token < items + letters

    return [
        place
        for place in range(len(tokens) - 2)
        if is_letter(tokens[place]) and is_letter(tokens[place + 1]) and tokens[place + 2] < items
    ]


def read_needle(tokens: Sequence[int], asked: Sequence[int]) -> list[Found]:
    """Look for the two letters of the end before a value."""
    for place in triples_of(tokens):
        if list(tokens[place : place + 2]) == list(tokens[-2:]):
            return [(tokens[place + 2], asked[0] - place - 2)]
    return [None]


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """A case with its reader.

    answers: how many answers a guess must choose from. carriers: the tokens that decide the answer.
    """

    name: str
    reader: Reader
    answers: int
    carriers: range
    params: Mapping[str, object] = field(default_factory=dict)
    beyond: int = 0

    def __str__(self) -> str:
        return "-".join([self.name, *(f"{key}={value}" for key, value in self.params.items())])

    def found(self, inputs: Tensor, batch: Batch) -> list[list[Found]]:
        """Return what the reader finds in each row at the positions that the batch scores."""
        asked = [scored.nonzero().flatten().tolist() for scored in batch.scored]
        return [self.reader(tokens, places) for tokens, places in zip(inputs.tolist(), asked, strict=True)]

    def oracle(self, inputs: Tensor, batch: Batch) -> Tensor:
        """Return ln p(target) of the reader, who guesses where the row does not tell: (B, T)."""
        answers = torch.zeros(batch.targets.shape, dtype=torch.float64)
        answers[batch.scored] = torch.tensor(
            [
                -math.log(self.answers) if found is None else 0.0 if found[0] == target else -math.inf
                for found, target in zip(
                    [found for row in self.found(inputs, batch) for found in row],
                    batch.targets[batch.scored].tolist(),
                    strict=True,
                )
            ],
            dtype=torch.float64,
        )
        return answers


RETRIEVALS = (
    Retrieval(name="echo", reader=read_echo, answers=8, carriers=range(8), beyond=32),
    Retrieval(name="selective_copy", reader=read_selective_copy, answers=16, carriers=range(16), beyond=4),
    Retrieval(name="temporal_order", params={"order": 2}, reader=reader_of_order(2), answers=4, carriers=range(4, 6)),
    Retrieval(name="temporal_order", params={"order": 3}, reader=reader_of_order(3), answers=8, carriers=range(4, 6)),
    Retrieval(name="induction", params={"form": "special"}, reader=read_special, answers=16, carriers=range(16)),
    Retrieval(
        name="induction", params={"form": "repeat", "tokens": 32}, reader=read_repeat, answers=32, carriers=range(32)
    ),
    Retrieval(
        name="mqar",
        params={"vocab": 64, "pairs": 4},
        reader=reader_of_pairs(4, 32),
        answers=32,
        carriers=range(32, 64),
    ),
    Retrieval(
        name="mqar",
        params={"vocab": 16, "pairs": 3, "random_non_queries": True},
        reader=reader_of_pairs(3, 8),
        answers=8,
        carriers=range(8, 16),
    ),
    Retrieval(name="needle", params={"pairs": 4, "near": 2}, reader=read_needle, answers=16, carriers=range(16)),
    Retrieval(name="needle", params={"pairs": 1, "near": 0}, reader=read_needle, answers=16, carriers=range(16)),
)
BOUND = ("induction", "mqar", "needle")  # a token from elsewhere breaks their layout, and their readers say so
CASES = tuple(
    Case(name=task.name, params=task.params, oracle=task.oracle, beyond=task.beyond, swaps=task.name not in BOUND)
    for task in RETRIEVALS
)
