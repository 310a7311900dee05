"""Texts of every architecture side by side: one small study, run like any other, whose cells store what they write.

Every model has the size at which it costs as many parameters as an LSTM of the width given. On *equal tokens* all take
the steps that the slowest of them manages in the minutes given; on *equal seconds* each takes the steps that it manages
itself, as timed beforehand on this machine. Both are budgets of steps, and stand in the study.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from seqbench import cards, corpus, plan, store
from seqbench import generate as generators
from seqbench.cell import Match, SampleConfig, TrainConfig
from seqbench.measure import calibrate
from seqbench.measure.environment import describe
from seqbench.measure.models import MODELS
from seqbench.measure.prepare import Context
from seqbench.measure.probes import PROBES
from seqbench.plan import Study
from seqbench.record import CorpusFacts, Record
from seqbench.suite import Group, Suite

ARCHITECTURES = ("rnn", "lstm", "gru", "mingru", "minlstm", "lru", "linear_attention", "transformer", "tcn")
TOKENS, SECONDS = "equal tokens", "equal seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What every architecture shall do: read this text for so many minutes each, at the size of an LSTM, and write."""

    corpus: str
    split: str | None
    samples: SampleConfig
    minutes: float
    width: int


def study_of(asked: Asked, results: Path) -> Study:
    """Return the study: the one that the folder holds where it is of this request, else a new one, timed now.

    Raises what `corpus.locate` raises, and UnknownName for a split.
    """
    facts = plan.corpus_facts(asked.corpus, split=asked.split)
    if (results / store.STUDY_FILE).exists():
        held = store.open_study(results)
        first, asks = held.suite.groups[0], (_title(asked), facts, asked.samples, _match(asked))
        if (held.suite.title, held.corpus, first.samples, first.match) == asks:
            return held
    trial = _study(asked, facts, dict.fromkeys(ARCHITECTURES, 1))
    return _study(asked, facts, _steps(asked, trial, facts))


def _study(asked: Asked, facts: CorpusFacts, steps: Mapping[str, int]) -> Study:
    """Return the study in which each model takes these steps on equal seconds, and all the fewest on equal tokens."""
    budgets = {TOKENS: dict.fromkeys(steps, min(steps.values())), SECONDS: steps}
    groups = (
        _group(asked, f"{budget}, {model}", model, steps=count)
        for budget, each in budgets.items()
        for model, count in each.items()
    )
    suite = Suite(title=_title(asked), rates_from="pilots", groups=tuple(groups))
    return plan.study("generate", suite, text=facts, development=True, known_models=MODELS, known_probes=PROBES)


def _group(asked: Asked, name: str, model: str, *, steps: int) -> Group:
    config = TrainConfig(
        steps=steps,
        batch=generators.BATCH,
        learning_rate=generators.RATES.get(model, generators.RATE),
        evaluate_every=max(1, steps // generators.EVALUATIONS),
    )
    return Group(
        name=name,
        task="text",
        models=(model,),
        lengths=(generators.LENGTH,),
        match=_match(asked),
        layers=generators.LAYERS.get(model, 1),
        seeds=1,
        training=config,
        samples=asked.samples,
    )


def _steps(asked: Asked, trial: Study, facts: CorpusFacts) -> dict[str, int]:
    """Return the steps that each model manages in the minutes; one that cannot be timed takes those of the slowest."""
    context = Context(
        cards={"text": cards.find("text")},
        preregistration="",
        environment=describe("cpu", threads=1),
        corpus=facts,
        corpus_path=corpus.locate(asked.corpus),
    )
    timed = calibrate.calibrate(plan.planned(trial), context=context, timeout_seconds=60 * asked.minutes + 60)
    seconds = {cell.model: each for cell, each in timed}
    slowest = max(seconds.values())
    budget = generators.SHARE_OF_TIME * 60 * asked.minutes
    return {model: max(1, int(budget / seconds.get(model, slowest))) for model in ARCHITECTURES}


def texts(study: Study, results: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield a heading and the texts, prompts included, of every cell of the study that has a record, in its order."""
    accepted = store.contents(results).accepted()
    for entry, groups in plan.demanded(study):
        if record := accepted.get(entry.fingerprint):
            budgets = " and ".join(sorted({name.partition(",")[0] for name in groups}, reverse=True))
            yield _heading(record, budgets), tuple(sample.prompt + sample.text for sample in record.texts)


def _heading(record: Record, budgets: str) -> str:
    """Return what stands above a model's texts: its budget and what became of it."""
    told = [record.cell.model, budgets]
    tokens, bits = record.measured("tokens"), record.measured("bits_per_character")
    if tokens is not None and bits is not None:
        told.append(f"{tokens.value:,.0f} characters read, {bits.value:.3f} bit/character")
    if record.status != "ok":
        told.append(f"{record.status} ({record.error})" if record.error else record.status)
    return ", ".join(told)


def _title(asked: Asked) -> str:
    return f"Every architecture on equal tokens and on equal seconds, {asked.minutes:g} min each"


def _match(asked: Asked) -> Match:
    return Match(by="parameters", model="lstm", width=asked.width)
