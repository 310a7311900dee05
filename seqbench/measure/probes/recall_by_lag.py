"""Recall by lag: how often the item is named that stood ℓ steps before the query, bucket by bucket.

Normalised recall R = (accuracy - 1/K)/(1 - 1/K), so that 0 is chance and 1 perfect.
"""

import math

import torch

from seqbench.measure.generators.recall import lag_buckets
from seqbench.measure.probes.base import Subject
from seqbench.measure.seeds import stream
from seqbench.measure.training import scored_loss
from seqbench.record import Measurement, Series

SEQUENCES = 4096
CHUNK = 512


@torch.no_grad()
def measure(subject: Subject) -> tuple[Measurement, ...]:
    """Return loss (nat), accuracy and normalised recall: by lag bucket, their mean, and in the farthest bucket."""
    lags, right, loss = _answers(subject)
    bounds = subject.generator.bounds(length=subject.length, **subject.params)
    found = (
        Measurement(name="loss", value=loss, unit="nat"),
        Measurement(name="chance_loss", value=bounds.chance_loss, unit="nat"),
        Measurement(name="floor_loss", value=bounds.floor_loss, unit="nat"),
        Measurement(name="accuracy", value=float(right.double().mean()), unit="1"),
        Measurement(name="chance_accuracy", value=bounds.chance_accuracy, unit="1"),
    )
    middles, recalls = [], []
    for low, high in lag_buckets(subject.length):
        inside = (lags >= low) & (lags <= high)
        if inside.any():
            middles.append(math.sqrt(low * high))
            recalls.append(normalised(float(right[inside].double().mean()), chance=bounds.chance_accuracy))
    series = Series(axis="lag", at=tuple(middles), values=tuple(recalls))
    auc = sum(recalls) / len(recalls)
    return (
        *found,
        Measurement(name="recall_by_lag", value=auc, unit="normalised recall", series=series),
        Measurement(name="recall_auc", value=auc, unit="normalised recall"),
        Measurement(name="recall_far", value=recalls[-1], unit="normalised recall"),
    )


def normalised(accuracy: float, *, chance: float) -> float:
    """Return (accuracy - chance)/(1 - chance): 0 at chance, 1 when perfect."""
    return (accuracy - chance) / (1 - chance)


def _answers(subject: Subject) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Return the lag of every test sequence (N,), whether its answer was right (N,), and the mean loss in nats."""
    lags, right, losses = [], [], []
    for chunk in range(SEQUENCES // CHUNK):
        rng = stream("test", subject.task, subject.length, subject.seed, chunk)
        batch = subject.sample(rng, CHUNK, subject.length)
        logits, _ = subject.model(batch.inputs)
        lags.append(batch.tags["lag"][batch.scored])
        right.append((logits.argmax(dim=-1) == batch.targets)[batch.scored])
        losses.append(float(scored_loss(logits, batch)))
    return torch.cat(lags), torch.cat(right), sum(losses) / len(losses)
