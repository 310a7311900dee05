"""Set a cell up: from its card, generator, text and model to a subject that can be trained, probed or timed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from seqbench import variant
from seqbench.cards import TaskCard
from seqbench.cell import Cell
from seqbench.errors import CorpusError
from seqbench.measure import matching, models, training
from seqbench.measure.corpora import text as real_text
from seqbench.measure.generators import GENERATORS
from seqbench.measure.generators.base import Batch
from seqbench.measure.matching import Matched
from seqbench.measure.models.base import ModelSpec, takes_floats
from seqbench.measure.probes.base import Subject
from seqbench.measure.seeds import stream
from seqbench.plan import needs_corpus
from seqbench.record import CorpusFacts, Environment, MatchFacts, ModelFacts
from seqbench.variant import Variant


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
class Prepared:
    """A cell set up. structural: why this model cannot stand before this task at all, or nothing."""

    subject: Subject
    spec: ModelSpec
    card: TaskCard
    facts: ModelFacts
    structural: str


def prepare(cell: Cell, context: Context) -> Prepared:
    """Return a cell's subject with fresh weights on the study's device.

    Raises InvalidInput, UnknownName, CorpusError or ContractError for a cell that cannot be set up.
    """
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
    matched = _matched(named, spec, cell)
    if matched is not None:
        spec = replace(spec, width=matched.width, hidden=matched.hidden)
    device = torch.device(context.device)
    model = models.create(named, spec, seed=cell.seed).to(device)
    subject = Subject(
        model=model,
        task=cell.task,
        length=cell.length,
        seed=cell.seed,
        sample=_Sampler(generator, params, device),
        generator=generator,
        params=params,
        device=device,
        causal=spec.causal,
        tests=_tests(generator, params),
        test_lengths=cell.test_lengths,
        carried=bool(cell.training and cell.training.carry),
        samples=cell.samples,
    )
    structural = (
        (matched.reason if matched else "")
        or _structural(model, spec)
        or _out_of_reach(named, spec, cell, generator, params)
        or _uncarried(subject)
    )
    facts = _facts(model, spec, named=named, cell=cell, matched=matched)
    return Prepared(subject=subject, spec=spec, card=card, facts=facts, structural=structural)


@dataclass(frozen=True, slots=True)
class _Sampler:
    """Draws batches of the cell's task onto its device."""

    generator: ModuleType
    params: Mapping[str, Any]
    device: torch.device

    def __call__(self, rng: torch.Generator, batch: int, length: int, /, **changed: Any) -> Batch:
        drawn: Batch = self.generator.sample(rng, batch=batch, length=length, **{**self.params, **changed})
        return drawn if self.device.type == "cpu" else drawn.to(self.device)


def _params(card: TaskCard, cell: Cell, context: Context) -> dict[str, Any]:
    """Return the generator's parameters: the card's, the cell's arms over them, and the text where one is needed."""
    params = dict(card.params) | dict(cell.params)
    if not needs_corpus(card):
        return params
    if context.corpus is None or context.corpus_path is None:
        raise CorpusError("this cell needs a real text; name one with --corpus")
    return {"text": text_of(context.corpus_path, context.corpus)}


@cache
def text_of(path: Path, expected: CorpusFacts) -> real_text.Text:
    """Return the real text of a study in three parts, read once per process.

    Raises CorpusError when what lies there is not the text that the study was made for.
    """
    text = real_text.split(real_text.read(path), by=expected.split)
    if text.identity != expected.sha256:
        raise CorpusError(
            f"the text {expected.name} has changed since the study was made (sha256 {text.identity[:12]}, "
            f"was {expected.sha256[:12]}); restore it, or give another --results"
        )
    return text


def _structural(model: nn.Module, spec: ModelSpec) -> str:
    """Return why this model cannot stand before this task at all, or nothing."""
    if spec.inputs is None or takes_floats(model, spec.inputs):
        return ""
    return "the model takes only tokens, and this task has real-valued inputs"


def _uncarried(subject: Subject) -> str:
    """Return why training cannot carry this model's state from update to update, or nothing."""
    if not subject.carried:
        return ""
    if "streams" not in vars(subject.generator):
        return f"generator of task {subject.task} has no `streams`, which training.carry reads; leave it out"
    tokens = subject.sample(stream("carry", subject.task, subject.length), 1, 3).inputs
    return training.carry_refusal(subject.model, tokens)


def _tests(generator: ModuleType, params: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """Return the tests of a trained model by name: those that the generator names, else what it was trained on."""
    named = vars(generator).get("tests")
    return {"": {}} if named is None else dict(named(**params))


def _out_of_reach(named: Variant, spec: ModelSpec, cell: Cell, generator: ModuleType, params: Mapping[str, Any]) -> str:
    """Return why sequences of this length, or answers at their lag, are beyond the model, or nothing."""
    length = max(cell.length, *cell.test_lengths, 0)
    asked = vars(generator).get("lag")
    lag = None if asked is None or cell.training is None else asked(length=cell.length, **params)
    return models.refusal(named, spec, length=length, lag=lag)


def _matched(named: Variant, spec: ModelSpec, cell: Cell) -> Matched | None:
    """Return the size that the cell's rule finds, or None where the suite gives the width."""
    if cell.match is None:
        return None
    return matching.solve(
        named,
        cell.match,
        vocab=spec.vocab,
        outputs=spec.outputs,
        layers=spec.layers,
        tokens=cell.length,
        inputs=spec.inputs,
    )


def _facts(model: nn.Module, spec: ModelSpec, *, named: Variant, cell: Cell, matched: Matched | None) -> ModelFacts:
    return ModelFacts(
        parameters=sum(p.numel() for p in model.parameters()),
        body_parameters=matching.body_parameters(model),
        width=spec.width,
        layers=spec.layers,
        implementation=models.implementation(named, spec, model),
        hidden=spec.hidden,
        flops_per_token=matching.flops_per_token(named, spec, cell.length),
        state_bytes=matching.state_bytes(named, spec, cell.length),
        matched=_match_facts(cell, matched),
    )


def _match_facts(cell: Cell, matched: Matched | None) -> MatchFacts | None:
    if cell.match is None or matched is None:
        return None
    return MatchFacts(by=cell.match.by, reference=cell.match.model, target=matched.target, reached=matched.reached)
