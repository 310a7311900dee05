"""Run one cell: the only place where cards, generators, models, training and probes meet."""

import math
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import torch
from torch import Tensor, nn

from seqbench.cards import TaskCard
from seqbench.cell import Cell, TrainConfig
from seqbench.errors import InvalidInput
from seqbench.measure import precision, training
from seqbench.measure.corpora.base import Ids
from seqbench.measure.generators.base import Batch
from seqbench.measure.panel import Finding
from seqbench.measure.prepare import Context, prepare
from seqbench.measure.probes import PROBES, samples, training_curves
from seqbench.measure.probes.base import Subject, Watch
from seqbench.measure.probes.bits_per_character import surprisal
from seqbench.measure.seeds import stream
from seqbench.measure.training import Evaluation, History, Progress, Stopping
from seqbench.measure.workers import is_out_of_memory
from seqbench.plan import Planned, needs_corpus
from seqbench.record import Measurement, ModelFacts, Record, Sample, Status

VALIDATION_CHARACTERS = 20_000
"""Of the validation split, so many characters are scored at each evaluation during training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    """What running a cell brought, before it is put into a record."""

    status: Status
    measurements: tuple[Measurement, ...] = ()
    texts: tuple[Sample, ...] = ()
    model: ModelFacts | None = None
    error: str | None = None


def run_cell(planned: Planned, *, context: Context) -> Record:
    """Return the record of one attempt at a cell; what goes wrong inside it is its status, not an exception."""
    started = time.monotonic()
    torch.set_num_threads(context.environment.threads)
    precision.set_single()
    try:
        finding = _measure(planned.to_run, context)
    except (Exception, SystemExit) as error:  # whatever an own model does, it ends its cell and not the study
        finding = _Finding(status="oom" if is_out_of_memory(error) else "error", error=_reason(error))
    return _record(planned, finding, context=context, seconds=time.monotonic() - started)


def timed(finding: Finding, *, context: Context) -> Record:
    """Return the record of one cell of a panel."""
    inner = _Finding(status=finding.status, measurements=finding.measurements, model=finding.model, error=finding.error)
    record = _record(finding.planned, inner, context=context, seconds=finding.seconds)
    where = finding.environment or context.environment
    return record.model_copy(update={"panel": finding.panel or None, "environment": where})


def failed(planned: Planned, status: Status, reason: str, seconds: float, *, context: Context) -> Record:
    """Return the record of a cell whose worker did not live to write one."""
    return _record(planned, _Finding(status=status, error=reason), context=context, seconds=seconds)


def _measure(cell: Cell, context: Context) -> _Finding:
    prepared = prepare(cell, context)
    subject, card = prepared.subject, prepared.card
    probe = PROBES.load(cell.probe) if cell.probe else None
    if structural := prepared.structural or _refusal(probe, subject):
        return _Finding(status="structural", model=prepared.facts, error=structural)
    if trains := _offered(probe, "train_and_measure"):
        if cell.training is None:
            raise InvalidInput(f"probe {cell.probe} trains the model itself; give its group a training")
        history, found = trains(subject, cell.training)
        found = (*found, *training_curves.measure(replace(subject, history=history)))
        return _Finding(status=_status(history, card), measurements=found, model=prepared.facts)
    watch = _watch(probe, subject)
    if cell.training is not None:
        history, seen = train(subject, cell.training, card, watch=watch.look if watch else None)
        subject = replace(subject, history=history, seen=seen)
    status = _status(subject.history, card)
    texts: tuple[Sample, ...] = ()
    if watch:
        found = (*watch.measurements(), *training_curves.measure(subject))
    elif probe:
        found = probe.measure(subject)
    else:
        scorer = PROBES.load(card.scored_by)
        # weights that are not numbers have no score: judging counts chance, which is known without them
        scored = scorer.baselines(subject) if status == "diverged" else scorer.measure(subject)
        found = (*scored, *training_curves.measure(subject))
        if subject.samples and status != "diverged":
            texts = samples.write(subject, subject.samples)
            found = (*found, *samples.measure(subject, texts))
    return _Finding(status=status, measurements=found, texts=texts, model=prepared.facts)


def _offered(probe: ModuleType | None, name: str) -> Callable[..., Any] | None:
    return None if probe is None else vars(probe).get(name)


def _refusal(probe: ModuleType | None, subject: Subject) -> str:
    """Return why this model cannot stand before a probe, or nothing."""
    asked = _offered(probe, "refusal")
    return "" if asked is None else str(asked(subject))


def _watch(probe: ModuleType | None, subject: Subject) -> Watch | None:
    """Return what looks at the training for a probe that does."""
    offered = _offered(probe, "watch")
    return None if offered is None else cast("Watch", offered(subject))


def train(
    subject: Subject,
    config: TrainConfig,
    card: TaskCard,
    *,
    watch: Callable[[nn.Module, int], object] | None = None,
    follow: Callable[[Progress], bool] | None = None,
) -> tuple[History, Tensor | None]:
    """Train on the streams that task, length and seed name; return the history and the characters seen, if any.

    watch, follow: as `training.train` has them.
    """
    consumed: list[Tensor] = []
    draw = _carried_on(subject, config) if config.carry else partial(_drawn, subject, config)

    def batches(step: int) -> Batch:
        batch = draw(step)
        if _is_generated_text(card):
            consumed.append(batch.inputs)
        return batch

    bounds = subject.generator.bounds(length=subject.length, **subject.params)
    stopping = Stopping(
        solved_at=None if card.solved_at == "never" else card.solved_at,
        chance_loss=bounds.chance_loss if bounds else None,
        keep_best=needs_corpus(card),
    )
    evaluate = _evaluation(subject, config, card, chance_loss=stopping.chance_loss)
    history = training.train(
        subject.model, batches, config, evaluate=evaluate, stopping=stopping, watch=watch, follow=follow
    )
    return history, torch.cat([part.flatten() for part in consumed]) if consumed else None


def _drawn(subject: Subject, config: TrainConfig, step: int) -> Batch:
    rng = stream("train", subject.task, subject.length, subject.seed, step)
    return subject.sample(rng, config.batch, subject.length)


def _carried_on(subject: Subject, config: TrainConfig) -> Callable[[int], Batch]:
    """Return what gives the batches of training with a carried state, step after step."""
    rng = stream("train", subject.task, subject.length, subject.seed, "streams")
    window = config.window or subject.length
    drawn = subject.generator.streams(rng, batch=config.batch, window=window, **subject.params)
    return lambda _step: cast("Batch", next(drawn).to(subject.device))


def _evaluation(
    subject: Subject, config: TrainConfig, card: TaskCard, *, chance_loss: float | None
) -> Callable[[nn.Module, int], Evaluation] | None:
    """Return how training is watched: by fresh sequences of a task, by the validation split of a real text, or not.

    A generated text is never seen twice, so its training loss is already one on fresh characters.
    """
    if _is_generated_text(card):
        return None
    if needs_corpus(card):
        ids = subject.generator.held_out(**subject.params, part="valid").ids[:VALIDATION_CHARACTERS]
        return partial(_validate, ids=ids, length=subject.length)
    return partial(_evaluate, subject=subject, sequences=config.evaluation_sequences, chance_loss=chance_loss)


@torch.no_grad()
def _evaluate(
    model: nn.Module, step: int, *, subject: Subject, sequences: int, chance_loss: float | None
) -> Evaluation:
    model.eval()
    rng = stream("evaluation", subject.task, subject.length, subject.seed, step)
    batch = subject.sample(rng, sequences, subject.length)
    logits, _ = model(batch.inputs)
    return Evaluation(
        step=step,
        loss=float(training.scored_loss(logits, batch)),
        score=training.score(logits, batch, chance_loss=chance_loss),
    )


def _validate(model: nn.Module, step: int, *, ids: Ids, length: int) -> Evaluation:
    """Return the validation loss of a text model; its score is minus the bits per character."""
    _, bits = surprisal(model, ids, length=length)
    mean = float(bits.mean())
    return Evaluation(step=step, loss=mean * math.log(2), score=-mean)


def _is_generated_text(card: TaskCard) -> bool:
    return card.scored_by == "bits_per_character" and not needs_corpus(card)


def _status(history: History | None, card: TaskCard) -> Status:
    if history is not None and history.outcome == "diverged":
        return "diverged"
    solved = history is None or card.solved_at == "never" or history.outcome == "solved"
    return "ok" if solved else "unsolved"


def _reason(error: BaseException) -> str:
    """Return what failed and in which function, without paths of this machine."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" (in {frames[-1].name}, {Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}"[:2000] + place


def _record(planned: Planned, finding: _Finding, *, context: Context, seconds: float) -> Record:
    uses_corpus = needs_corpus(context.cards[planned.cell.task])
    config = planned.to_run.training
    return Record(
        cell=planned.cell,
        fingerprint=planned.fingerprint,
        preregistration=context.preregistration,
        lane=planned.cell.lane,
        status=finding.status,
        measurements=finding.measurements,
        texts=finding.texts,
        model=finding.model,
        corpus=context.corpus if uses_corpus else None,
        learning_rate=config.learning_rate if config else None,
        environment=context.environment,
        wall_seconds=round(seconds, 3),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        error=finding.error,
    )
