"""Conduct a study: run what is missing, write every record as it comes, try once more what a machine spoilt.

Cells run in waves (see `plan.waves`): what needs a learning rate waits for the trials that find it, here and not in the
workers, which get cells with their rate.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import get_args

import torch

from seqbench import fitting, plan, priority, store, tuning, variant
from seqbench.cell import Cell, Match, RateRule
from seqbench.costs import Costs
from seqbench.errors import InvalidInput, UsageError
from seqbench.measure import calibrate, models, panel, precision, runner
from seqbench.measure.corpora import text as real_text
from seqbench.measure.environment import describe
from seqbench.measure.executors import EXECUTORS
from seqbench.measure.executors.base import Execute, Work, any_cell
from seqbench.measure.generators import GENERATORS, check_parameters
from seqbench.measure.panel import Finding
from seqbench.measure.prepare import Context, text_of
from seqbench.measure.probes import PROBES
from seqbench.plan import Planned, Study
from seqbench.record import Lane, Record, Status
from seqbench.registry import unknown
from seqbench.store import Outlines
from seqbench.summary import Outlook
from seqbench.tuning import Refused

TRIED_TWICE: frozenset[Status] = frozenset({"crashed", "oom", "contended"})
"""What the machine rather than the cell may have caused is tried once more in the same call, then stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to run: executor by name, processes at a time, wall limit of one cell, device, statuses to try again.

    address: of the cluster that the executor is to use; None: this machine. lane: run cells of this lane alone.
    fit_hours: trim a new study so that all of it fits. max_hours: begin nothing in this call that would not fit.
    """

    executor: str = "pool"
    workers: int = 1
    timeout_seconds: float = 1800.0
    device: str = "cpu"
    retry: tuple[Status, ...] = ()
    fit_hours: float | None = None
    max_hours: float | None = None
    address: str | None = None
    lane: Lane | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLeft:
    """The time of a call: until when it may run (None: for ever), what cells cost, and those that did not fit."""

    ends: float | None
    costs: Costs
    clock: Callable[[], float]
    passed_over: dict[str, Planned] = field(default_factory=dict)

    def fits(self, *entries: Planned) -> bool:
        """Return whether cells that take turns would be done in time; remember them where not."""
        if self.ends is None or self.clock() + sum(self.costs.seconds(entry.cell) for entry in entries) <= self.ends:
            return True
        self.passed_over.update({entry.fingerprint: entry for entry in entries})
        return False

    def waiting(self) -> str:
        """Return what was not begun because it would not have fitted, and how long it would take; nothing if nothing.

        The longest is named: in calls that are shorter than it, it would wait for ever.
        """
        if not self.passed_over:
            return ""
        costs = {key: self.costs.seconds(entry.cell) for key, entry in self.passed_over.items()}
        longest = self.passed_over[max(costs, key=costs.__getitem__)]
        return (
            f"--max-hours: {len(costs)} of the cells left would not have fitted, about {sum(costs.values()):.0f} s on "
            f"one core; the longest, {longest.cell.address}, about {max(costs.values()):.0f} s"
        )


def statuses(names: Iterable[str]) -> tuple[Status, ...]:
    """Return the statuses of these names that may be tried again: all but ok.

    Raises UnknownName for any other.
    """
    known: tuple[Status, ...] = tuple(status for status in get_args(Status) if status != "ok")
    for name in names:
        if name not in known:
            raise unknown("status", name, known)
    return tuple(name for name in known if name in set(names))


def conduct(
    study: Study,
    folder: Path,
    *,
    settings: Settings,
    corpus_path: Path | None = None,
    groups: Collection[str] | None = None,
    started: Callable[[Outlook], None] = lambda _outlook: None,
    finished: Callable[[Record], None] = lambda _record: None,
    clock: Callable[[], float] = time.monotonic,
) -> TimeLeft:
    """Run every planned cell of the study that has no accepted record, and store each record as it comes.

    A study that the folder holds goes on as it was fitted. Returns the time of the call, with what did not fit into it.
    groups: run only what these groups of the suite ask for; None: everything.
    started(outlook) is called once, finished(record) after each record is on disk.
    Raises, before anything runs, UnknownName or InvalidInput for what a model or generator does not take and
    CorpusError for a text that cannot be read or is too short;
    StudyLocked when another process writes into the folder, StudyMismatch when it holds another study,
    UsageError when not even timing and controls fit into `fit_hours`; StoreError when a record cannot be written.
    """
    begun = clock()
    executor = EXECUTORS.load(settings.executor)
    alone = vars(executor).get("alone")
    if settings.address is not None and alone is None:
        raise UsageError(
            f"--address names a cluster, of which --executor {settings.executor} knows nothing; leave it out"
        )
    _check_device(settings.device)
    _check_groups(study)
    _check_text(study, corpus_path)
    with store.locked(folder):
        context = _context(study, settings, corpus_path)
        study = store.as_fitted(folder, study, hours=settings.fit_hours)
        trials = [entry for entry in plan.planned(study) if entry.trial]
        held = store.outlines(folder, whole=trials)
        costs = Costs.of(held.accepted().values(), machine=context.environment.machine, device=settings.device)
        study, costs = _fitted(study, costs, settings=settings, context=context)
        store.create_study(folder, study)
        store.sweep(folder)
        planned = tuple(entry for entry, by in plan.demanded(study) if groups is None or not by.isdisjoint(groups))
        due = _of_lane(settings.lane, _due(planned, held, _rates(held.of(trials)), retry=settings.retry))
        started(_outlook(study, planned, due, costs.wall_seconds(due, workers=settings.workers)))
        ends = None if settings.max_hours is None else begun + 3600 * settings.max_hours
        time_left = TimeLeft(ends=ends, costs=costs, clock=clock)
        work = Work(
            run=partial(runner.run_cell, context=context),
            failed=partial(runner.failed, context=context),
            timeout_seconds=settings.timeout_seconds,
            workers=settings.workers,
            admit=any_cell if ends is None else time_left.fits,
            device=settings.device,
            address=settings.address,
        )
        time_panels = partial(
            panel.run if alone is None else partial(panel.run_elsewhere, alone=partial(alone, work)),
            context=context,
            timeout_seconds=settings.timeout_seconds,
            admit=lambda members: time_left.fits(*members),
        )
        urgency = _urgency(study, due, costs) if settings.max_hours is not None else {}

        def first(entry: Planned) -> tuple[float, ...]:
            return urgency.get(entry.fingerprint, ())

        for wave in _waves(planned, urgency):
            rates = _rates(held.of(trials))
            outstanding = _of_lane(settings.lane, _due(wave, held, rates, retry=settings.retry))
            ready, refused = _settled(outstanding, rates)
            panels = sorted(plan.panels(wave), key=lambda members: min(map(first, members)))
            shared = [entry for entry in ready if entry.cell.lane == "shared"]
            brought: dict[str, Record] = {}
            for record in chain(
                _timed(panels, outstanding, time_panels, context),
                (work.failed(entry, "structural", reason, 0.0) for entry, reason in refused),
                _records(
                    sorted(shared, key=lambda entry: (first(entry), -costs.seconds(entry.cell))), work, executor.execute
                ),
            ):
                name = store.save(folder, record).relative_to(folder).as_posix()
                if record.cell.probe == tuning.PROBE:
                    brought[name] = record
                finished(record)
            held = held.plus(brought)  # the trials of this wave, for those that wait for them
        return time_left


def _of_lane(lane: Lane | None, entries: tuple[Planned, ...]) -> tuple[Planned, ...]:
    return entries if lane is None else tuple(entry for entry in entries if entry.cell.lane == lane)


def _urgency(study: Study, due: Iterable[Planned], costs: Costs) -> dict[str, tuple[float, ...]]:
    """Return in which order cells run where the time may not do for all, the least first, by fingerprint.

    What decides claims comes before what is only shown, and of both the group that needs least time: so the call ends
    with as much decided as it can. Trials have the place of what waits for them.
    """
    demanded = plan.demanded(study)
    deciding = priority.deciding(study)
    shown = {entry.fingerprint: not deciding(entry.cell) for entry, _ in demanded}
    waiting = {entry.fingerprint for entry in due}
    seconds: Counter[str] = Counter()
    decides: set[str] = set()
    for entry, groups in demanded:
        if entry.fingerprint in waiting:
            seconds.update(dict.fromkeys(groups, math.ceil(costs.seconds(entry.cell))))
        if not shown[entry.fingerprint]:
            decides |= groups
    found: dict[str, tuple[float, ...]] = {
        entry.fingerprint: (
            float(not groups & decides if entry.trial else shown[entry.fingerprint]),
            float(min(seconds[name] for name in groups)),
        )
        for entry, groups in demanded
    }
    for members in plan.panels(entry for entry, _ in demanded):  # timed together, whichever of them decides
        first = min(found[entry.fingerprint] for entry in members)
        found.update({entry.fingerprint: first for entry in members})
    return found


def _waves(planned: Sequence[Planned], urgency: Mapping[str, tuple[float, ...]]) -> list[tuple[Planned, ...]]:
    """Return the waves of a study; where the time may not do for all, first those of what decides claims."""
    if not urgency:
        return [*plan.waves(planned)]
    parts: tuple[list[Planned], list[Planned]] = ([], [])
    for entry in planned:
        parts[bool(urgency[entry.fingerprint][0])].append(entry)
    return [wave for part in parts for wave in plan.waves(part)]


def _fitted(study: Study, costs: Costs, *, settings: Settings, context: Context) -> tuple[Study, Costs]:
    """Return the study as it was fitted, or as it is fitted now where it is new and that is asked for."""
    if settings.fit_hours is None or study.fit is not None:
        return study, costs
    found = calibrate.calibrate(plan.planned(study), context=context, timeout_seconds=settings.timeout_seconds)
    costs = costs.timed(found)
    return fitting.fit(study, costs, hours=settings.fit_hours, workers=settings.workers), costs


def _outlook(study: Study, planned: Sequence[Planned], due: Sequence[Planned], seconds: float) -> Outlook:
    trimmed = study.fit.trimmed if study.fit else {}
    return Outlook(
        outstanding=len(due),
        planned=len(planned),
        seconds=seconds,
        trimmed=tuple(entry for entry in plan.left_out(study) if entry.what in trimmed),
    )


def _due(
    planned: Sequence[Planned], held: Outlines, rates: "_Rates", *, retry: Iterable[Status]
) -> tuple[Planned, ...]:
    """Return the cells without an accepted record, and those whose record does not stand.

    These are the ones to retry, those whose second attempt a kill cut off, and those made at a learning rate that is
    no longer what the trials give, because one of them was tried again.
    """
    attempts = Counter(entry.fingerprint for _, entry in held.records)
    accepted = held.accepted()
    again = {key for key, entry in accepted.items() if entry.status in TRIED_TWICE and attempts[key] == 1}
    again.update(entry.fingerprint for entry in store.missing(planned, held, retry=retry))
    for entry in planned:
        rule, found = entry.cell.rate, accepted.get(entry.fingerprint)
        if rule is not None and found is not None and tuning.differs(found, rates(rule, entry.cell.model)):
            again.add(entry.fingerprint)
    return tuple(entry for entry in planned if entry.fingerprint in again)


_Rates = Callable[[RateRule, str], float | Refused | None]


def _rates(trials: Mapping[Cell, Record]) -> _Rates:
    """Return what tells the learning rate of a rule and a model, as `tuning.settle` does: many cells share one."""
    return cache(partial(tuning.settle, records=trials))


def _settled(entries: Iterable[Planned], rates: _Rates) -> tuple[list[Planned], list[tuple[Planned, str]]]:
    """Return the cells that can run, each with its learning rate, and those whose trials give none, with the reason.

    A cell of which a trial has no record yet is neither.
    """
    ready: list[Planned] = []
    refused: list[tuple[Planned, str]] = []
    for entry in entries:
        if entry.cell.rate is None:
            ready.append(entry)
            continue
        found = rates(entry.cell.rate, entry.cell.model)
        if isinstance(found, Refused):
            refused.append((entry, found.reason))
        elif found is not None:
            ready.append(replace(entry, learning_rate=found))
    return ready, refused


def _check_device(device: str) -> None:
    if device not in ("cpu", "cuda"):
        raise unknown("device", device, ("cpu", "cuda"))
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("no CUDA device is to be had here; leave --device away, or run nvidia-smi to see why")


def _check_groups(study: Study) -> None:
    """Refuse what no cell could run with: options that a model lacks, parameters, a training that a probe needs."""
    for group in study.suite.parts:
        for text in group.models:
            width, layers = group.size_of(text)
            models.spec_for(variant.parse(text), vocab=2, outputs=2, width=width, layers=layers)
        if group.match:
            _check_reference(group.match)
        if group.probe and group.training is None and "watch" in vars(PROBES.load(group.probe)):
            raise InvalidInput(
                f"group {group.name!r}: {group.probe} looks at models while they are trained; "
                "give training.steps and so on"
            )
        card = study.cards[group.task]
        if plan.needs_corpus(card):
            continue
        given = card.params | group.params
        check_parameters(card.generator, given)
        for length in group.lengths:
            GENERATORS.load(card.generator).bounds(length=length, **given)


def _check_reference(rule: Match) -> None:
    reference = variant.parse(rule.model)
    spec = models.spec_for(reference, vocab=2, outputs=2, width=rule.width, layers=rule.layers)
    step = models.width_step(reference, spec)
    if rule.width % step:
        raise InvalidInput(f"match: {rule.model} cannot be {rule.width} wide; choose a multiple of {step}")


def _check_text(study: Study, corpus_path: Path | None) -> None:
    if study.corpus is None or corpus_path is None:
        return
    text = text_of(corpus_path.resolve(), study.corpus)
    for group in study.suite.parts:
        if plan.needs_corpus(study.cards[group.task]):
            real_text.require(text, max(group.lengths))


def _records(cells: Iterable[Planned], work: Work, execute: Execute) -> Iterator[Record]:
    again: list[Planned] = []
    by_fingerprint = {entry.fingerprint: entry for entry in cells}
    for record in execute(work, list(by_fingerprint.values())):
        if record.status in TRIED_TWICE:
            again.append(by_fingerprint[record.fingerprint])
        yield record
    yield from execute(work, again) if again else ()


def _timed(
    panels: Iterable[tuple[Planned, ...]],
    outstanding: Iterable[Planned],
    time_panels: Callable[[list[tuple[Planned, ...]]], Iterator[Finding]],
    context: Context,
) -> Iterator[Record]:
    """Time every panel that lacks a record of any of its cells, whole: a panel is the unit of resuming."""
    lacking = {entry.fingerprint for entry in outstanding}
    due = [members for members in panels if lacking & {entry.fingerprint for entry in members}]
    again = []
    for finding in time_panels(due):
        if finding.status in TRIED_TWICE:
            again.append(finding.planned.fingerprint)
        yield runner.timed(finding, context=context)
    spoilt = [members for members in due if set(again) & {entry.fingerprint for entry in members}]
    for finding in time_panels(spoilt):
        yield runner.timed(finding, context=context)


def _context(study: Study, settings: Settings, corpus_path: Path | None) -> Context:
    precision.set_single()  # as the cells are computed, so that the environment says it
    return Context(
        cards=study.cards,
        preregistration=study.preregistration_sha256,
        environment=describe(settings.device, threads=1),
        corpus=study.corpus,
        corpus_path=corpus_path.resolve() if corpus_path else None,
        device=settings.device,
    )
