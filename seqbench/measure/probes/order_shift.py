"""Order shift: what becomes of the answers when the same items come in another order than in training.

The task's label depends on which items there are, not on their order, so every change of answer is the model's own.
Of classes: drop = accuracy in the order of training - accuracy in the test order; flip rate F = P(argmax f(x) ≠
argmax f(πx)). Of a regression: drop = R² in the order of training - R² in the test order, R² = 1 - loss/chance; and
the change [ E (f(x) - f(πx))² / chance ]^½, in standard deviations of the right answer, as every answer moves a little.
A constant answer changes by 0, one as unlike as that to other items, when each is spread as the right one, by √2.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from seqbench.measure.probes.base import Subject, answered, bounds_of
from seqbench.measure.seeds import stream
from seqbench.record import Measurement


@torch.no_grad()
def measure(subject: Subject) -> tuple[Measurement, ...]:
    """Return the loss and the score, the score on the same items reordered, the drop, and how the answers changed.

    Of classes: loss (nat), accuracies and flip rate. Of a regression: loss (squared error), R² and answer change.
    """
    targets, shown, moved = (torch.cat(part) for part in zip(*_in_both_orders(subject), strict=True))
    if not targets.is_floating_point():
        return _of_classes(subject, targets, shown, moved)
    chance = subject.generator.bounds(length=subject.length, **subject.params).chance_loss
    return _of_a_regression(subject, targets, shown[:, 0].double(), moved[:, 0].double(), chance_loss=chance)


def baselines(subject: Subject) -> tuple[Measurement, ...]:
    """Return chance and floor."""
    return bounds_of(subject)


def _in_both_orders(subject: Subject) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield the right answers (S,) of each chunk, the model's (S, V), and its answers to the same items moved."""
    for chunk, (batch, logits) in enumerate(answered(subject)):
        rng = stream("order shift", subject.task, subject.length, subject.seed, chunk)
        inputs = subject.generator.reordered(batch.inputs.cpu(), rng, **subject.params).to(batch.inputs.device)
        moved, _ = subject.model(inputs)
        yield batch.targets[batch.scored], logits[batch.scored], moved[batch.scored]


def _of_classes(subject: Subject, targets: Tensor, shown: Tensor, moved: Tensor) -> tuple[Measurement, ...]:
    before, after = shown.argmax(-1), moved.argmax(-1)
    accuracy, shuffled = (float((answer == targets).double().mean()) for answer in (before, after))
    return (
        Measurement(name="loss", value=float(nn.functional.cross_entropy(shown, targets)), unit="nat"),
        *baselines(subject),
        Measurement(name="accuracy", value=accuracy, unit="1"),
        Measurement(name="accuracy_shuffled", value=shuffled, unit="1"),
        Measurement(name="order_drop", value=accuracy - shuffled, unit="1"),
        Measurement(name="flip_rate", value=float((before != after).double().mean()), unit="1"),
    )


def _of_a_regression(
    subject: Subject, targets: Tensor, shown: Tensor, moved: Tensor, *, chance_loss: float
) -> tuple[Measurement, ...]:
    loss, moved_loss = (float((answer - targets).square().mean()) for answer in (shown, moved))
    r2, shuffled = 1 - loss / chance_loss, 1 - moved_loss / chance_loss
    change = (float((shown - moved).square().mean()) / chance_loss) ** 0.5
    return (
        Measurement(name="loss", value=loss, unit="squared error"),
        *baselines(subject),
        Measurement(name="r2", value=r2, unit="1"),
        Measurement(name="r2_shuffled", value=shuffled, unit="1"),
        Measurement(name="r2_drop", value=r2 - shuffled, unit="1"),
        Measurement(name="answer_change", value=change, unit="1"),
    )
