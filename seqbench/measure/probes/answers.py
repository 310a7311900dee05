"""Answers to fresh sequences: loss and accuracy beside chance and floor, or the R² of a regression.

Where the literature of a task averages the loss over positions at which nothing is asked, that number is told too, as
`diluted_loss`, for comparison with it: it makes failure look small. Where a task shows its possible answers, the loss
of guessing among them stands beside chance, as `context_loss`.
"""

import torch

from seqbench.measure.probes.base import Subject, answered, bounds_of
from seqbench.measure.training import is_regression, loss_unit, right, scored_loss
from seqbench.record import Measurement


@torch.no_grad()
def measure(subject: Subject) -> tuple[Measurement, ...]:
    """Return the mean loss (nat, or squared error), and the accuracy or, for a regression, R² = 1 - loss/chance."""
    losses: list[float] = []
    hits: list[float] = []
    unit = "nat"
    for batch, logits in answered(subject):
        losses.append(float(scored_loss(logits, batch)))
        unit = loss_unit(batch)
        if not is_regression(batch):
            hits.append(float(right(logits, batch).double().mean()))
    loss = sum(losses) / len(losses)
    found = (Measurement(name="loss", value=loss, unit=unit), *baselines(subject))
    if hits:
        found = (*found, Measurement(name="accuracy", value=sum(hits) / len(hits), unit="1"))
    return (*found, *_extra(subject, loss, unit))


def baselines(subject: Subject) -> tuple[Measurement, ...]:
    """Return chance and floor, and the loss of guessing among the answers shown where the generator knows it."""
    context = vars(subject.generator).get("context_loss")
    if context is None:
        return bounds_of(subject)
    known = context(length=subject.length, **subject.params)
    return (*bounds_of(subject), Measurement(name="context_loss", value=known, unit="nat"))


def _extra(subject: Subject, loss: float, unit: str) -> tuple[Measurement, ...]:
    if unit == "squared error":
        chance = subject.generator.bounds(length=subject.length, **subject.params).chance_loss
        return (Measurement(name="r2", value=1 - loss / chance, unit="1"),)
    dilute = vars(subject.generator).get("diluted_loss")
    if dilute is None:
        return ()
    return (Measurement(name="diluted_loss", value=dilute(loss, length=subject.length, **subject.params), unit=unit),)
