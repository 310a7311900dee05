"""Recall by lag: how often the item is named that stood ℓ steps before the query, bucket by bucket.

Normalised recall R = (accuracy - 1/K)/(1 - 1/K), so that 0 is chance and 1 perfect.
"""

import math

import torch

from seqbench.measure.probes.base import Subject, answered, bounds_of
from seqbench.measure.training import right, scored_loss
from seqbench.record import Measurement, Series


@torch.no_grad()
def measure(subject: Subject) -> tuple[Measurement, ...]:
    """Return loss (nat), accuracy and normalised recall: by lag bucket, their mean, and in the farthest bucket."""
    lags, hits, loss = _answers(subject)
    chance = subject.generator.bounds(length=subject.length, **subject.params).chance_accuracy
    middles, recalls = [], []
    for low, high in subject.generator.lag_buckets(subject.length):
        inside = (lags >= low) & (lags <= high)
        if inside.any():
            middles.append(math.sqrt(low * high))
            recalls.append(normalised(float(hits[inside].double().mean()), chance=chance))
    series = Series(axis="lag", at=tuple(middles), values=tuple(recalls))
    auc = sum(recalls) / len(recalls)
    return (
        Measurement(name="loss", value=loss, unit="nat"),
        *baselines(subject),
        Measurement(name="accuracy", value=float(hits.double().mean()), unit="1"),
        Measurement(name="recall_by_lag", value=auc, unit="normalised recall", series=series),
        Measurement(name="recall_auc", value=auc, unit="normalised recall"),
        Measurement(name="recall_far", value=recalls[-1], unit="normalised recall"),
    )


def baselines(subject: Subject) -> tuple[Measurement, ...]:
    """Return chance and floor."""
    return bounds_of(subject)


def normalised(accuracy: float, *, chance: float) -> float:
    """Return (accuracy - chance)/(1 - chance): 0 at chance, 1 when perfect."""
    return (accuracy - chance) / (1 - chance)


def _answers(subject: Subject) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Return the lag of every test sequence (N,), whether its answer was right (N,), and the mean loss in nats."""
    lags, hits, losses = [], [], []
    for batch, logits in answered(subject):
        lags.append(batch.tags["lag"][batch.scored])
        hits.append(right(logits, batch))
        losses.append(float(scored_loss(logits, batch)))
    return torch.cat(lags), torch.cat(hits), sum(losses) / len(losses)
