"""Answers to fresh sequences: loss and accuracy beside chance and floor, or the R² of a regression.

Where the literature of a task averages the loss over positions at which nothing is asked, that number is told too, as
`diluted_loss`, for comparison with it: it makes failure look small. Where a task shows its possible answers, the loss
of guessing among them stands beside chance, as `context_loss`.
"""

import math
from dataclasses import dataclass

import torch

from seqbench.measure.probes.base import Subject, answered, bounds_of, with_dilution
from seqbench.measure.training import is_regression, loss_unit, right, scored_loss
from seqbench.record import Measurement, Series


@torch.no_grad()
def measure(subject: Subject) -> tuple[Measurement, ...]:
    """Return loss (nat, or squared error) and score of every test of the task, and the score by length.

    The score is the accuracy or, for a regression, R² = 1 - loss/chance. `wrong` of `asked` answers tell how rare
    errors are. A test with a name has it behind its measurements', as `accuracy_sparse`.
    """
    main = _answers(subject)
    loss, *diluted = with_dilution(subject, Measurement(name="loss", value=main.loss, unit=main.unit))
    found = (loss, *baselines(subject), *diluted)
    for test in subject.tests:
        result = main if test == "" else _answers(subject, test=test)
        found = (*found, *_scores(result, test=test), *_by_length(subject, result, test=test))
    return found


def baselines(subject: Subject) -> tuple[Measurement, ...]:
    """Return chance and floor, and the loss of guessing among the answers shown where the generator knows it."""
    context = vars(subject.generator).get("context_loss")
    if context is None:
        return bounds_of(subject)
    known = context(length=subject.length, **subject.params)
    return (*bounds_of(subject), Measurement(name="context_loss", value=known, unit="nat"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answers:
    """What one test at one length brought. score: accuracy or R², as `measured` says; counts for classes only."""

    loss: float
    unit: str
    measured: str
    score: float
    wrong: int
    asked: int


def _answers(subject: Subject, *, test: str = "", length: int | None = None) -> _Answers:
    losses: list[float] = []
    wrong, asked, unit = 0, 0, "nat"
    for batch, logits in answered(subject, test=test, length=length):
        losses.append(float(scored_loss(logits, batch)))
        unit = loss_unit(batch)
        asked += int(batch.scored.sum())
        wrong += 0 if is_regression(batch) else int((~right(logits, batch)).sum())
    loss = sum(losses) / len(losses)
    if unit == "nat":
        return _Answers(loss=loss, unit=unit, measured="accuracy", score=1 - wrong / asked, wrong=wrong, asked=asked)
    params = {**subject.params, **subject.tests[test]}
    chance = subject.generator.bounds(length=length or subject.length, **params).chance_loss
    return _Answers(loss=loss, unit=unit, measured="r2", score=1 - loss / chance, wrong=0, asked=asked)


def _scores(result: _Answers, *, test: str) -> tuple[Measurement, ...]:
    score = Measurement(name=_named(result.measured, test), value=result.score, unit="1")
    if result.measured != "accuracy":
        return (score,)
    counts = (("wrong", result.wrong), ("asked", result.asked))
    return (score, *(Measurement(name=_named(name, test), value=float(value), unit="answer") for name, value in counts))


def _by_length(subject: Subject, trained: _Answers, *, test: str) -> tuple[Measurement, ...]:
    """Return the score at every length, whose value is the mean over the lengths longer than that of training."""
    if not subject.test_lengths:
        return ()
    scores = {T: _answers(subject, test=test, length=T).score for T in subject.test_lengths if subject.length != T}
    scores[subject.length] = trained.score
    longer = [score for T, score in scores.items() if subject.length < T]
    lengths = sorted(scores)
    series = Series(axis="length", at=tuple(map(float, lengths)), values=tuple(scores[T] for T in lengths))
    value = sum(longer) / len(longer) if longer else math.nan
    return (Measurement(name=_named(f"{trained.measured}_by_length", test), value=value, unit="1", series=series),)


def _named(name: str, test: str) -> str:
    return f"{name}_{test}" if test else name
