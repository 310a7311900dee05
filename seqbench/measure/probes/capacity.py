"""Capacity: how many bits of what was written a model's state still holds, read by a decoder trained with the model.

X = (x_1 … x_M), i.i.d. uniform over K symbols, are written to the model; S is everything that it carries on after the
last one. A decoder of two linear layers (128 units, GELU between them) predicts every x_j from S alone, and

    I(X; S) ≥ Σ_j I(x_j; S) ≥ Î = Σ_j [log2 K - CE_j]

by the independence of the x_j and the bound of Barber & Agakov (2003), with the decoder's cross-entropy CE_j, in bits,
on fresh sequences. Î keeps its sign: nothing is clamped, so a decoder that knows nothing scores 0 on average or less.

The decoder sees no input and asks nothing of the model's own read-out, so neither lag nor output phase is in the way.
`noise` of the task adds Gaussian noise to S in training and in the test, its standard deviation that share of the range
of each float over the batch: bits that survive it do not hang on the last digits of a float. Test batches are as large
as those of training, so that the range means the same in both.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.cell import TrainConfig
from seqbench.errors import ContractError, InvalidInput
from seqbench.measure import training
from seqbench.measure.generators.base import Batch
from seqbench.measure.models.base import tensors_of
from seqbench.measure.probes.base import Subject
from seqbench.measure.seeds import initialisation, stream
from seqbench.measure.training import History
from seqbench.record import Measurement, Series

SEQUENCES = 8192
"""At least so many fresh sequences, in batches as large as those of training, tell what the state holds."""
UNITS = 128
"""Of the decoder's hidden layer."""

Disturb = Callable[[Tensor], Tensor]


def train_and_measure(subject: Subject, config: TrainConfig) -> tuple[History, tuple[Measurement, ...]]:
    """Train the model and a decoder of its state together; return the bits recalled, the state's floats and the load.

    `bits_recalled` is Î, its series by the position of the symbol, and `bits_recalled_error` its standard error over
    the test sequences; `recall` is the share of symbols that the decoder names, normalised: 0 is chance.
    """
    items = subject.generator.sizes(**subject.params).vocab
    noise = _noise(subject, config)
    floats = _state_floats(subject)
    with initialisation("capacity decoder", subject.seed):
        decoder = _decoder(floats, positions=subject.length, items=items).to(subject.device)
    reader = partial(Reader, subject.model, decoder, items=items)
    batches = partial(_written, subject, "train", config.batch)
    history = training.train(reader(disturb=noise("train")), batches, config)
    size = (
        Measurement(name="state_floats", value=float(floats), unit="float"),
        Measurement(name="load", value=subject.length * math.log2(items) / floats, unit="bit/float"),
    )
    if history.outcome == "diverged":  # weights that are not numbers hold nothing that could be read
        return history, size
    found = _recalled(reader(disturb=noise("test")), subject, batch=config.batch, items=items, floats=floats)
    return history, (*found, *size)


class Reader(nn.Module):
    """A model and what reads its state: the logits of every symbol written, from the state after the last one.

    disturb: what is done to the state in between, (B, S) -> (B, S).
    """

    def __init__(self, model: nn.Module, decoder: nn.Module, *, items: int, disturb: Disturb) -> None:
        super().__init__()
        self.model = model
        self.decoder = decoder
        self.items = items
        self.disturb = disturb

    def forward(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Return what the state says of each symbol: (B, M) -> (B, M, K)."""
        _, after = self.model(tokens, state)
        read = self.decoder(self.disturb(flat(after, batch=len(tokens))))
        return read.view(*tokens.shape, self.items), after  # (B, M K) -> (B, M, K)


def flat(state: Any, *, batch: int) -> Tensor:
    """Return all floats of a state side by side, a complex number as two and an integer as one: (B, S).

    Raises ContractError for a state without tensors, or with one that does not have the batch as its first dimension.
    """
    parts = [part for part in tensors_of(state) if part.dim()]  # a bare number, as of positions, is alike for all
    if not sum(part.numel() for part in parts):
        raise ContractError("the model carries nothing from one token to the next; capacity is asked of a state")
    if wrong := [tuple(part.shape) for part in parts if len(part) != batch]:
        raise ContractError(f"a state of {batch} sequences has a tensor of shape {wrong[0]}; put the batch first")
    real = (torch.view_as_real(part) if part.is_complex() else part for part in parts)
    return torch.cat([part.reshape(batch, -1).float() for part in real], dim=1)


def noisy(floats: Tensor, *, share: float, rng: torch.Generator) -> Tensor:
    """Return the floats of a state with Gaussian noise, a share of each one's range over the batch: (B, S) -> (B, S).

    No model escapes it by writing in larger numbers: the range grows with them.
    """
    spread = floats.amax(0) - floats.amin(0)  # (S,)
    return floats + share * spread * torch.randn(floats.shape, generator=rng).to(floats.device)


def _as_it_is(floats: Tensor) -> Tensor:
    return floats


def _noise(subject: Subject, config: TrainConfig) -> Callable[[str], Disturb]:
    """Return what disturbs the state: phase -> a function of the state, with a stream of its own for each phase."""
    share = float(subject.params.get("noise", 0.0))
    if not share:
        return lambda _phase: _as_it_is
    if config.batch < 2:
        raise InvalidInput("noise is a share of the range over a batch; give training.batch of 2 or more")
    return lambda phase: partial(
        noisy, share=share, rng=stream("state noise", phase, subject.task, subject.length, subject.seed)
    )


@torch.no_grad()
def _state_floats(subject: Subject) -> int:
    """Return how many floats the model carries on after as many symbols as the cell writes."""
    batch = subject.sample(stream("state floats", subject.task, subject.length, subject.seed), 2, subject.length)
    _, state = subject.model(batch.inputs)
    return flat(state, batch=2).shape[1]


def _decoder(floats: int, *, positions: int, items: int) -> nn.Module:
    return nn.Sequential(nn.Linear(floats, UNITS), nn.GELU(), nn.Linear(UNITS, positions * items))


def _written(subject: Subject, phase: str, size: int, step: int) -> Batch:
    """Return symbols to write, each of which is asked for: (B, M)."""
    rng = stream(phase, subject.task, subject.length, subject.seed, step)
    batch = subject.sample(rng, size, subject.length)
    return Batch(inputs=batch.inputs, targets=batch.inputs, scored=torch.ones_like(batch.scored))


@torch.no_grad()
def _recalled(reader: Reader, subject: Subject, *, batch: int, items: int, floats: int) -> tuple[Measurement, ...]:
    bits, hits = (torch.cat(part) for part in zip(*_answers(reader, subject, size=batch, items=items), strict=True))
    by_position = bits.mean(0)  # (M,)
    total = float(by_position.sum())
    series = Series(
        axis="position", at=tuple(map(float, range(1, len(by_position) + 1))), values=tuple(by_position.tolist())
    )
    error = float(bits.sum(1).std()) / math.sqrt(len(bits))
    recall = (float(hits.double().mean()) - 1 / items) / (1 - 1 / items)
    return (
        Measurement(name="bits_recalled", value=total, unit="bit", series=series),
        Measurement(name="bits_recalled_error", value=error, unit="bit"),
        Measurement(name="bits_per_state_float", value=total / floats, unit="bit/float"),
        Measurement(name="recall", value=recall, unit="normalised recall"),
    )


def _answers(reader: Reader, subject: Subject, *, size: int, items: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield, of each batch of fresh sequences, log2 K + log2 q(x_j | S) and whether x_j is the likeliest: (B, M)."""
    reader.eval()
    for number in range(math.ceil(SEQUENCES / size)):
        written = _written(subject, "test", size, number)
        logits, _ = reader(written.inputs)
        surprise = nn.functional.cross_entropy(logits.double().transpose(1, 2), written.targets, reduction="none")
        yield math.log2(items) - surprise / math.log(2), logits.argmax(2) == written.targets
