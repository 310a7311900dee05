"""What a trained model of a text writes, and how much of it is its own.

`characters` is the one loop that draws text, whoever asks for it: cells that store texts, `seqbench generate`, and the
benchmark of its speed. Cells of torch run step by step, everything else as it streams. A state that grows with what was
read, as keys and values do, is made anew from the last half of its window whenever the window is full: beyond the
length of training such a model was never asked anything.

The measures of a text look at its characters alone, never at the prompt, and tell how far it was copied, how much it
repeats itself, whether its words are words of the training text and, of a Chronicle, whether its documents are
grammatical. They describe; no claim is judged by them.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqbench.cell import SampleConfig
from seqbench.errors import InvalidInput
from seqbench.measure.corpora import chronicle
from seqbench.measure.corpora.base import decode, encode
from seqbench.measure.corpora.text import REPLACEMENT, Text
from seqbench.measure.models.base import Cells, Recurrent, tensors_of
from seqbench.measure.probes.base import Subject
from seqbench.measure.seeds import stream
from seqbench.record import Measurement, Sample, Series

Step = Callable[[int, Any], tuple[Tensor, Any]]
"""Token id, state -> logits (V,) of the next one, state."""

GRAMS = (4, 8, 16)
REPEATED = 8
"""Characters of the grams that are counted once more: about a word and a half."""
PIECE = 1024
BLOCK = 256
"""So many uniform numbers are drawn at a time: each call of torch costs microseconds."""
LINE_END = "\n"
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """How a character is drawn from logits.

    temperature: what they are divided by; 0 takes the most likely. top_k: from so many of the most likely alone (None:
    from all). excluded: ids that are never drawn.
    """

    temperature: float = 1.0
    top_k: int | None = None
    excluded: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise InvalidInput(f"temperature {self.temperature} draws nothing; give 0 or a positive number")
        if self.top_k is not None and self.top_k < 1:
            raise InvalidInput(f"top_k {self.top_k} leaves nothing to draw from; give at least 1")


def draw(logits: NDArray[np.float32], number: float, how: Drawing) -> int:
    """Return the character that a uniform number in [0, 1) draws: logits (V,) -> id."""
    given = logits.astype(np.float64)
    given[list(how.excluded)] = -np.inf
    if how.temperature == 0:
        return int(given.argmax())
    if how.top_k is not None and how.top_k < len(given):
        kept = np.argpartition(given, -how.top_k)[-how.top_k :]
        kept.sort()
        return int(kept[_drawn(given[kept], number, how.temperature)])
    return _drawn(given, number, how.temperature)


def _drawn(logits: NDArray[np.float64], number: float, temperature: float) -> int:
    mass = np.exp((logits - logits.max()) / temperature).cumsum()
    return int(mass.searchsorted(number * mass[-1], side="right"))


def characters(
    model: nn.Module,
    prompt: Sequence[int],
    *,
    count: int,
    how: Drawing,
    rng: torch.Generator,
    window: int | None = None,
) -> Iterator[int]:
    """Yield so many ids that the model writes after a prompt of at least one id, one by one as they are drawn.

    window: how many positions a state that grows may hold, at least 2; None: all.
    Raises InvalidInput for an empty prompt.
    """
    if not prompt:
        raise InvalidInput("a model goes on from something; give a prompt of at least one character")
    return _characters(model, list(prompt), count=count, how=how, numbers=_uniforms(rng), window=window)


def _characters(
    model: nn.Module, ids: list[int], *, count: int, how: Drawing, numbers: Iterator[float], window: int | None
) -> Iterator[int]:
    read, step = reader(model), stepper(model)
    limit = window if window is not None and grows(model) else None
    begun = ids[-limit:] if limit else ids
    logits, state, held = *read(begun), len(begun)
    for place in range(count):
        token = draw(logits.numpy(), next(numbers), how)
        yield token
        ids.append(token)
        if place + 1 == count:
            return
        if limit and held >= limit:
            begun = ids[-max(1, limit // 2) :]
            logits, state, held = *read(begun), len(begun)
        else:
            logits, state = step(token, state)
            held += 1


def reader(model: nn.Module) -> Callable[[Sequence[int]], tuple[Tensor, Any]]:
    """Return what reads ids from the empty state on: ids -> logits (V,) of the next one, the state for `stepper`."""
    by_cells = _cells_of(model) is not None
    device = next(model.parameters()).device

    @torch.inference_mode()
    def read(ids: Sequence[int]) -> tuple[Tensor, Any]:
        state: Any = None
        logits = torch.empty(1, 0, 0)
        whole = torch.tensor(ids, device=device)[None]  # (1, T)
        for start in range(0, len(ids), PIECE):
            logits, state = model(whole[:, start : start + PIECE], state)
        if by_cells:  # L × tuples of (1, D), as a step of a layer takes them
            state = [tuple(part[:, layer] for part in state) for layer in range(state[0].shape[1])]
        return logits[0, -1].cpu(), state

    return read


def stepper(model: nn.Module) -> Step:
    """Return one step of a model that reads a single text.

    The library's fused kernels are made for whole sequences, and prepare their weights anew in every call: one token of
    an LSTM of width 384 took them 3.0 ms, and its cell 0.5 ms.
    """
    cells = _cells_of(model)
    return _streamed(model) if cells is None else _by_cells(model, cells)


def _cells_of(model: nn.Module) -> Cells | None:
    """Return the cells of a model that is nothing but a table, cells and a head, on a CPU, or None."""
    if not isinstance(model, Recurrent) or not isinstance(model.front, nn.Embedding):
        return None
    cells = model.mixer
    return cells if isinstance(cells, Cells) and model.head.weight.device.type == "cpu" else None


def _by_cells(model: Any, cells: Cells) -> Step:
    table, out, bias = model.front.weight, model.head.weight.T, model.head.bias
    layers = cells.cells.all_weights

    @torch.inference_mode()
    def step(token: int, state: Any) -> tuple[Tensor, Any]:
        x, after = table[token : token + 1], []  # (1, D)
        for weights, before in zip(layers, state, strict=True):
            now = cells.step(weights, x, before)
            x = now[0]
            after.append(now)
        return torch.addmm(bias, x, out)[0], after

    return step


def _streamed(model: nn.Module) -> Step:
    device = next(model.parameters()).device

    @torch.inference_mode()
    def step(token: int, state: Any) -> tuple[Tensor, Any]:
        logits, after = model(torch.tensor([[token]], device=device), state)
        return logits[0, -1].cpu(), after

    return step


@torch.inference_mode()
def grows(model: nn.Module) -> bool:
    """Return whether what the model carries on grows with what it has read, as keys and values do."""
    token = torch.zeros(1, 1, dtype=torch.int64, device=next(model.parameters()).device)
    _, first = model(token, None)
    size = sum(part.numel() for part in tensors_of(first))
    _, second = model(token, first)
    return sum(part.numel() for part in tensors_of(second)) > size


def _uniforms(rng: torch.Generator) -> Iterator[float]:
    while True:
        yield from torch.rand(BLOCK, generator=rng, dtype=torch.float64).tolist()


def write(subject: Subject, config: SampleConfig) -> tuple[Sample, ...]:
    """Return the texts that a trained model writes; text k is drawn from the stream of seed k, whatever the model."""
    alphabet = alphabet_of(subject)
    prompt = config.prompt or beginning(alphabet)
    strange = alphabet.find(REPLACEMENT)
    if strange < 0 and (unread := sorted(set(prompt) - set(alphabet))):
        raise InvalidInput(f"the prompt has {''.join(unread)!r}, which is not in the alphabet {alphabet!r}")
    ids = encode(prompt, alphabet=alphabet, otherwise=strange).tolist()
    how = Drawing(temperature=config.temperature, top_k=config.top_k, excluded=() if strange < 0 else (strange,))
    subject.model.eval()
    texts = []
    for seed in range(config.texts):
        written = characters(
            subject.model, ids, count=config.characters, how=how, rng=stream("samples", seed), window=subject.length
        )
        text = decode(np.fromiter(written, dtype=np.int64), alphabet=alphabet)
        texts.append(Sample(prompt=prompt, text=text, temperature=config.temperature, seed=seed, top_k=config.top_k))
    return tuple(texts)


def beginning(alphabet: str) -> str:
    """Return what a text begins after where nothing is prompted: a line end, or the first character there is."""
    return LINE_END if LINE_END in alphabet else alphabet[0]


def alphabet_of(subject: Subject) -> str:
    """Return the characters of the subject's text, that of id i at i."""
    return str(subject.generator.held_out(**subject.params).alphabet)


def measure(subject: Subject, texts: Sequence[Sample]) -> tuple[Measurement, ...]:
    """Return how new, how repetitive and how lawful texts are; by text, and its value over all of them.

    A longest span is the longest of any text, every share the mean of the texts'.
    """
    known = _known_of(subject)
    found = [_by_text(name, unit, values) for name, unit, values in _novelty(known, texts)]
    if alphabet_of(subject) == chronicle.ALPHABET:
        found += _grammatical(texts, preset=str(subject.params.get("preset", "S")))
    return tuple(found)


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """A training text, and the words in it, in small letters."""

    text: str
    words: frozenset[str]

    @classmethod
    def of(cls, text: str) -> "Known":
        """Return a text with its words."""
        return cls(text, frozenset(_WORD.findall(text.casefold())))


@lru_cache(maxsize=1)
def known_of_text(text: Text) -> Known:
    """Return the training part of a real text, made once for all cells of a process."""
    return Known.of(decode(text.train, alphabet=text.alphabet))


def _known_of(subject: Subject) -> Known:
    if "text" in subject.params:
        return known_of_text(subject.params["text"])
    if subject.seen is None:
        raise InvalidInput("texts are compared with what training consumed, and nothing was trained; give a training")
    return Known.of(decode(subject.seen.cpu().numpy(), alphabet=alphabet_of(subject)))


def _novelty(known: Known, texts: Sequence[Sample]) -> Iterator[tuple[str, str, list[float]]]:
    spans = [copied(sample.text, known.text) for sample in texts]
    yield "longest_copied_span", "character", [float(max(span)) for span in spans]
    for n in GRAMS:
        yield f"copied_{n}gram_share", "1", [share_of_grams(span, n) for span in spans]
    yield "longest_repeated_span", "character", [float(longest_repeated(sample.text)) for sample in texts]
    yield f"repeated_{REPEATED}gram_share", "1", [repeated_share(sample.text, REPEATED) for sample in texts]
    yield "lexicon_share", "1", [lexicon_share(sample.prompt, sample.text, known.words) for sample in texts]


def _by_text(name: str, unit: str, values: list[float]) -> Measurement:
    value = max(values) if unit == "character" else float(np.nanmean(values)) if np.isfinite(values).any() else np.nan
    series = Series(axis="text", at=tuple(map(float, range(len(values)))), values=tuple(values))
    return Measurement(name=name, value=float(value), unit=unit, series=series)


def copied(text: str, known: str) -> list[int]:
    """Return how many characters from each place on stand as they are somewhere in the known text: N numbers.

    These are the matching statistics (Chang & Lawler 1994): one less than the place before has at least, and a known
    text is searched from where the shorter string first stood, so that a text of 400 characters takes about as many
    searches.
    """
    found, length, at = [], 0, 0
    for start in range(len(text)):
        length = max(length - 1, 0)
        at = known.find(text[start : start + length]) if length else 0
        while start + length < len(text):
            if not known.startswith(text[start + length], at + length):
                at = known.find(text[start : start + length + 1], at)
                if at < 0:
                    break
            length += 1
        found.append(length)
    return found


def share_of_grams(spans: Sequence[int], n: int) -> float:
    """Return the share of a text's n-grams that the known text holds, given `copied`; NaN for a text shorter than n."""
    places = len(spans) - n + 1
    return sum(span >= n for span in spans[:places]) / places if places > 0 else float("nan")


def longest_repeated(text: str) -> int:
    """Return the length of the longest string that stands in a text at two places, which may overlap."""
    length = 0
    for start in range(len(text)):
        while start + length < len(text) and text.find(text[start : start + length + 1], start + 1) >= 0:
            length += 1
    return length


def repeated_share(text: str, n: int) -> float:
    """Return the share of a text's n-grams that stand earlier in it: 1 - distinct-n (Li et al. 2016), NaN of none."""
    grams = [text[start : start + n] for start in range(len(text) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else float("nan")


def lexicon_share(prompt: str, text: str, words: frozenset[str]) -> float:
    """Return the share of a text's words that are among these, capitals aside; NaN for a text without words.

    A word that the prompt begins is the text's where the text ends it; one that the text's end may cut off is left out.
    """
    whole = (prompt + text).casefold()
    behind = len(prompt.casefold())
    spans = [match for match in _WORD.finditer(whole) if behind < match.end() < len(whole)]
    return sum(match.group() in words for match in spans) / len(spans) if spans else float("nan")


def _grammatical(texts: Sequence[Sample], *, preset: str) -> list[Measurement]:
    """Return how many documents were finished and the share of them that the grammar has; 0 where none was."""
    finished = [documents(sample.prompt, sample.text) for sample in texts]
    right = [[chronicle.is_document(document, preset) for document in each] for each in finished]
    shares = [sum(each) / len(each) if each else 0.0 for each in right]
    count = sum(map(len, right))
    return [
        _by_text("grammatical_share", "1", shares).model_copy(
            update={"value": sum(map(sum, right)) / count if count else 0.0}
        ),
        Measurement(name="documents_written", value=float(count), unit="document"),
    ]


def documents(prompt: str, text: str) -> list[str]:
    """Return the documents that a text finished, each with its line end; one that the prompt begins belongs to it."""
    begun = prompt.rpartition(LINE_END)[2]
    return [f"{document}{LINE_END}" for document in (begun + text).split(LINE_END)[:-1]]
