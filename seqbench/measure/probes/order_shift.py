"""Order shift: what becomes of the answers when the same items come in another order than in training.

The task's label depends on which items there are, not on their order, so every change of answer is the model's own.
Drop = accuracy in the order of training - accuracy in the test order; flip rate F = P(argmax f(x) ≠ argmax f(πx)).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from seqbench.measure.generators.base import Batch
from seqbench.measure.probes.base import Subject, answered, bounds_of
from seqbench.measure.seeds import stream
from seqbench.measure.training import right, scored_loss
from seqbench.record import Measurement

InOrder = Callable[[Tensor, str, torch.Generator], Tensor]


@torch.no_grad()
def measure(subject: Subject) -> tuple[Measurement, ...]:
    """Return loss (nat) and accuracy, the accuracy on the same items reordered, the drop, and the flip rate."""
    losses, hits, shuffled_hits, flips = [], [], [], []
    for chunk, (batch, logits) in enumerate(answered(subject)):
        rng = stream("order shift", subject.task, subject.length, subject.seed, chunk)
        moved = reordered(batch, subject.generator.in_order, subject.params["test_order"], rng)
        moved_logits, _ = subject.model(moved.inputs)
        losses.append(float(scored_loss(logits, batch)))
        hits.append(right(logits, batch))
        shuffled_hits.append(right(moved_logits, moved))
        flips.append((logits.argmax(-1) != moved_logits.argmax(-1))[batch.scored])
    accuracy, shuffled, flipped = (float(torch.cat(part).double().mean()) for part in (hits, shuffled_hits, flips))
    return (
        Measurement(name="loss", value=sum(losses) / len(losses), unit="nat"),
        *baselines(subject),
        Measurement(name="accuracy", value=accuracy, unit="1"),
        Measurement(name="accuracy_shuffled", value=shuffled, unit="1"),
        Measurement(name="order_drop", value=accuracy - shuffled, unit="1"),
        Measurement(name="flip_rate", value=flipped, unit="1"),
    )


def baselines(subject: Subject) -> tuple[Measurement, ...]:
    """Return chance and floor."""
    return bounds_of(subject)


def reordered(batch: Batch, in_order: InOrder, order: str, rng: torch.Generator) -> Batch:
    """Return the batch with the items of each sequence in another order; the query at the end stays there."""
    items, query = batch.inputs[:, :-1], batch.inputs[:, -1:]
    moved = in_order(items.cpu(), order, rng).to(items.device)
    return Batch(inputs=torch.cat((moved, query), dim=1), targets=batch.targets, scored=batch.scored)
