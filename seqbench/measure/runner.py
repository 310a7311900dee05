"""Run one cell: the only place where cards, generators, models, training and probes meet."""

import math
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from seqbench import variant
from seqbench.cards import TaskCard
from seqbench.cell import Cell, TrainConfig
from seqbench.errors import CorpusError
from seqbench.measure import models, training
from seqbench.measure.corpora import text as real_text
from seqbench.measure.corpora.base import Ids
from seqbench.measure.generators import GENERATORS
from seqbench.measure.generators.base import Batch
from seqbench.measure.models.base import ModelSpec
from seqbench.measure.probes import PROBES
from seqbench.measure.probes.base import Subject
from seqbench.measure.probes.bits_per_character import surprisal
from seqbench.measure.seeds import stream
from seqbench.measure.training import Evaluation, History, Stopping
from seqbench.plan import Planned, needs_corpus
from seqbench.record import CorpusFacts, Environment, Measurement, ModelFacts, Record, Status

VALIDATION_CHARACTERS = 20_000
"""Of the validation split, so many characters are scored at each evaluation during training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What every cell of a study shares. corpus_path stays on this machine; records hold the corpus by hash."""

    cards: Mapping[str, TaskCard]
    preregistration: str
    environment: Environment
    corpus: CorpusFacts | None = None
    corpus_path: Path | None = None
    device: str = "cpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    """What running a cell brought, before it is put into a record."""

    status: Status
    measurements: tuple[Measurement, ...] = ()
    model: ModelFacts | None = None
    error: str | None = None


def run_cell(planned: Planned, *, context: Context) -> Record:
    """Return the record of one attempt at a cell; what goes wrong inside it is its status, not an exception."""
    started = time.monotonic()
    torch.set_num_threads(context.environment.threads)
    try:
        finding = _measure(planned.cell, context)
    except Exception as error:
        finding = _Finding(status="oom" if _is_out_of_memory(error) else "error", error=_reason(error))
    return _record(planned, finding, context=context, seconds=time.monotonic() - started)


def failed(planned: Planned, status: Status, reason: str, seconds: float, *, context: Context) -> Record:
    """Return the record of a cell whose worker did not live to write one."""
    return _record(planned, _Finding(status=status, error=reason), context=context, seconds=seconds)


def _measure(cell: Cell, context: Context) -> _Finding:
    card = context.cards[cell.task]
    generator = GENERATORS.load(card.generator)
    params = _params(card, cell, context)
    sizes = generator.sizes(**params)
    named = variant.parse(cell.model)
    spec = models.spec_for(
        named,
        vocab=sizes.vocab or sizes.outputs,
        outputs=sizes.outputs,
        width=cell.width,
        layers=cell.layers,
        inputs=sizes.inputs,
    )
    device = torch.device(context.device)
    model = models.create(named, spec, seed=cell.seed).to(device)
    facts = _facts(model, spec)
    if why := _structural(model, spec):
        return _Finding(status="structural", model=facts, error=why)
    sample = _Sampler(generator, params, device)
    history, seen = None, None
    if cell.training is not None:
        history, seen = _train(model, cell, cell.training, card, sample)
    status = _status(history, card)
    subject = Subject(
        model=model,
        task=cell.task,
        length=cell.length,
        seed=cell.seed,
        sample=sample,
        generator=generator,
        params=params,
        device=device,
        history=history,
        seen=seen,
    )
    probes = [cell.probe] if cell.probe else [card.scored_by, "training_curves"]
    if status == "diverged":
        probes.remove(card.scored_by)  # weights that are not numbers have no score; judging counts chance
    found = [measurement for name in probes for measurement in PROBES.load(name).measure(subject)]
    return _Finding(status=status, measurements=tuple(found), model=facts)


@dataclass(frozen=True, slots=True)
class _Sampler:
    """Draws batches of the cell's task onto its device."""

    generator: ModuleType
    params: Mapping[str, Any]
    device: torch.device

    def __call__(self, rng: torch.Generator, batch: int, length: int) -> Batch:
        drawn: Batch = self.generator.sample(rng, batch=batch, length=length, **self.params)
        return drawn if self.device.type == "cpu" else drawn.to(self.device)


def _params(card: TaskCard, cell: Cell, context: Context) -> dict[str, Any]:
    """Return the generator's parameters: the card's, the cell's arms over them, and the text where one is needed."""
    params = dict(card.params) | dict(cell.params)
    if not needs_corpus(card):
        return params
    if context.corpus_path is None:
        raise CorpusError("this cell needs a real text; name one with --corpus")
    return {"text": text_of(context.corpus_path, params["split"])}


@cache
def text_of(path: Path, split: Literal["story", "character"]) -> real_text.Text:
    """Return a real text in three parts, read once per process."""
    return real_text.split(real_text.read(path), by=split)


def _train(
    model: nn.Module, cell: Cell, config: TrainConfig, card: TaskCard, sample: _Sampler
) -> tuple[History, Tensor | None]:
    """Train on the streams that task, length and seed name; return the history and the characters seen, if any."""
    consumed: list[Tensor] = []

    def batches(step: int) -> Batch:
        batch = sample(stream("train", cell.task, cell.length, cell.seed, step), config.batch, cell.length)
        if _is_generated_text(card):
            consumed.append(batch.inputs)
        return batch

    bounds = sample.generator.bounds(length=cell.length, **sample.params)
    stopping = Stopping(
        solved_at=None if card.solved_at == "never" else card.solved_at,
        chance_loss=bounds.chance_loss if bounds else None,
        keep_best=needs_corpus(card),
    )
    evaluate = _evaluation(cell, config, card, sample, chance_loss=stopping.chance_loss)
    history = training.train(model, batches, config, evaluate=evaluate, stopping=stopping)
    return history, torch.cat([part.flatten() for part in consumed]) if consumed else None


def _evaluation(
    cell: Cell, config: TrainConfig, card: TaskCard, sample: _Sampler, *, chance_loss: float | None
) -> Callable[[nn.Module, int], Evaluation] | None:
    """Return how training is watched: by fresh sequences of a task, by the validation split of a real text, or not.

    A generated text is never seen twice, so its training loss is already one on fresh characters.
    """
    if _is_generated_text(card):
        return None
    if needs_corpus(card):
        ids = sample.generator.held_out(**sample.params, part="valid").ids[:VALIDATION_CHARACTERS]
        return partial(_validate, ids=ids, length=cell.length)
    return partial(_evaluate, cell=cell, sequences=config.evaluation_sequences, sample=sample, chance_loss=chance_loss)


@torch.no_grad()
def _evaluate(
    model: nn.Module, step: int, *, cell: Cell, sequences: int, sample: _Sampler, chance_loss: float | None
) -> Evaluation:
    model.eval()
    batch = sample(stream("evaluation", cell.task, cell.length, cell.seed, step), sequences, cell.length)
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


def _structural(model: nn.Module, spec: ModelSpec) -> str:
    """Return why this model cannot stand before this task at all, or nothing."""
    if spec.inputs is None:
        return ""
    try:
        with torch.no_grad():
            model(torch.zeros(1, 2, spec.inputs, device=next(model.parameters()).device))
    except (RuntimeError, TypeError, IndexError):
        return "the model takes only tokens, and this task has real-valued inputs"
    return ""


def _facts(model: nn.Module, spec: ModelSpec) -> ModelFacts:
    tables = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    counted = {id(p): p.numel() for p in model.parameters()}
    return ModelFacts(
        parameters=sum(counted.values()),
        body_parameters=sum(size for key, size in counted.items() if key not in tables),
        width=spec.width,
        layers=spec.layers,
        implementation=str(getattr(spec.options, "implementation", "own")),
    )


def _is_out_of_memory(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text


def _reason(error: Exception) -> str:
    """Return what failed and in which function, without paths of this machine."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" (in {frames[-1].name}, {Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}"[:2000] + place


def _record(planned: Planned, finding: _Finding, *, context: Context, seconds: float) -> Record:
    uses_corpus = needs_corpus(context.cards[planned.cell.task])
    return Record(
        cell=planned.cell,
        fingerprint=planned.fingerprint,
        preregistration=context.preregistration,
        status=finding.status,
        measurements=finding.measurements,
        model=finding.model,
        corpus=context.corpus if uses_corpus else None,
        learning_rate=planned.cell.training.learning_rate if planned.cell.training else None,
        environment=context.environment,
        wall_seconds=round(seconds, 3),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        error=finding.error,
    )
