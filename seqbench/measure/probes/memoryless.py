"""The memoryless answer: what fresh sequences cost the best answer that is the same at every scored position.

It looks at no input, so that the model of the cell plays no part. Measured on the test sequences, it stands beside the
closed form of chance that every score is told with; where the literature of a task averages over positions at which
nothing is asked, `diluted_memoryless_loss` is the number that it prints.
"""

import torch

from seqbench.measure.probes.base import SEQUENCES, Subject, with_dilution
from seqbench.measure.seeds import stream
from seqbench.measure.training import is_regression, loss_unit
from seqbench.record import Measurement


def measure(subject: Subject) -> tuple[Measurement, ...]:
    """Return what the best constant answer to 4,096 sequences costs: a variance, or the entropy of classes."""
    batch = subject.sample(stream("memoryless", subject.task, subject.length, subject.seed), SEQUENCES, subject.length)
    answers = batch.targets[batch.scored]
    if is_regression(batch):
        loss = float(answers.double().var(correction=0))
    else:
        shares = answers.bincount().double() / answers.numel()
        loss = float(torch.special.entr(shares).sum())
    return with_dilution(subject, Measurement(name="memoryless_loss", value=loss, unit=loss_unit(batch)))
