"""Order shift: what becomes of the answers when the same items come in another order than in training.

The task's label depends on which items there are, not on their order, so every change of answer is the model's own.
Drop = accuracy in the order of training - accuracy in the test order; flip rate F = P(argmax f(x) ≠ argmax f(πx)).
"""

import torch

from seqbench.measure.generators.base import Batch
from seqbench.measure.generators.count import in_order
from seqbench.measure.probes.base import Subject, answered, beside_bounds
from seqbench.measure.seeds import stream
from seqbench.measure.training import right, scored_loss
from seqbench.record import Measurement


@torch.no_grad()
def measure(subject: Subject) -> tuple[Measurement, ...]:
    """Return loss (nat) and accuracy, the accuracy on the same items reordered, the drop, and the flip rate."""
    losses, hits, shuffled_hits, flips = [], [], [], []
    for chunk, (batch, logits) in enumerate(answered(subject)):
        rng = stream("order shift", subject.task, subject.length, subject.seed, chunk)
        moved = reordered(batch, subject.params["test_order"], rng)
        moved_logits, _ = subject.model(moved.inputs)
        losses.append(float(scored_loss(logits, batch)))
        hits.append(right(logits, batch))
        shuffled_hits.append(right(moved_logits, moved))
        flips.append((logits.argmax(-1) != moved_logits.argmax(-1))[batch.scored])
    accuracy, shuffled, flipped = (float(torch.cat(part).double().mean()) for part in (hits, shuffled_hits, flips))
    return (
        *beside_bounds(subject, loss=sum(losses) / len(losses), accuracy=accuracy),
        Measurement(name="accuracy_shuffled", value=shuffled, unit="1"),
        Measurement(name="order_drop", value=accuracy - shuffled, unit="1"),
        Measurement(name="flip_rate", value=flipped, unit="1"),
    )


def reordered(batch: Batch, order: str, rng: torch.Generator) -> Batch:
    """Return the batch with the items of each sequence in another order; the query at the end stays there."""
    items, query = batch.inputs[:, :-1], batch.inputs[:, -1:]
    return Batch(
        inputs=torch.cat((in_order(items, order, rng), query), dim=1), targets=batch.targets, scored=batch.scored
    )
