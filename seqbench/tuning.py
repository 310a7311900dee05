"""Learning rates found by trials: which trials a rule has, and which rate follows from what they showed.

Every model gets the same number of trials: those of the rule's grid, and one more, beyond the grid where its edge is
best, else between the best rate and its better neighbour. Only losses that a trial showed while it was trained decide
(see `Curve`); nothing that was measured on test sequences can be handed to the selection.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from seqbench.cell import Cell, RateRule, TrainConfig
from seqbench.outline import Outline
from seqbench.record import Record, Series

PROBE = "training_curves"
"""What a trial measures: training and validation as they went, and no test."""
HALF_DECADE = math.sqrt(10)
TAIL = 0.1
"""Where a training was not validated, because it never saw a sequence twice, its loss over this last share counts."""
UNKNOWN = ("error", "crashed", "oom", "timeout")
"""Statuses of a trial that say something about a machine or the code, and nothing about a learning rate."""
ROBUST = 1.1
"""A rate is as good as the best when its loss is at most this many times the best one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """The losses that one trial showed while it was trained: losses[i] after at[i] steps; none where it failed.

    read: which of them stands for the trial: the last validation; the least one, where training goes back to its
    weights; or the mean over the last tenth of a training whose every sequence was fresh.
    solved: whether validation reached the task's threshold, which ended the training.
    """

    at: tuple[float, ...] = ()
    losses: tuple[float, ...] = ()
    read: Literal["last", "least", "tail"] = "last"
    solved: bool = False

    @property
    def loss(self) -> float:
        """Return the loss that stands for the trial, infinite where it failed."""
        if not self.losses:
            return math.inf
        if self.read == "tail":
            late = [loss for at, loss in zip(self.at, self.losses, strict=True) if at > (1 - TAIL) * self.at[-1]]
            found = sum(late) / len(late)
        else:
            found = min(self.losses) if self.read == "least" else self.losses[-1]
        return found if math.isfinite(found) else math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A rate and the loss of each seed, infinite where it failed; solved: whether every seed solved the task."""

    rate: float
    losses: tuple[float, ...]
    solved: bool = False

    @property
    def failed(self) -> int:
        """Return how many seeds failed."""
        return sum(math.isinf(loss) for loss in self.losses)

    @property
    def loss(self) -> float:
        """Return the mean loss of the seeds that did not fail, infinite where all did."""
        finite = [loss for loss in self.losses if math.isfinite(loss)]
        return sum(finite) / len(finite) if finite else math.inf

    @property
    def rank(self) -> tuple[int, float, float]:
        """Return what trials are ordered by, the least is best: failed seeds, loss (0 where solved), rate.

        A training ends where it solves its task, so the losses of solved ones say when that was, and no more.
        """
        return self.failed, 0.0 if self.solved else self.loss, self.rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The best rate of all that were tried.

    trials: in ascending order of rate. at_edge: whether nothing was tried on one side of the best rate.
    robust_width: how many rates of the grid are as good as the best: they solved the task on every seed as it did, or,
    where none did, have a loss within a tenth of the best one and no failed seed.
    """

    rate: float
    trials: tuple[Trial, ...]
    at_edge: bool
    robust_width: int

    @property
    def losses(self) -> tuple[float, ...]:
        """Return the loss of every trial; one with a failed seed counts as the worst that did not fail."""
        sound = [trial.loss for trial in self.trials if not trial.failed]
        return tuple(max(sound, default=math.inf) if trial.failed else trial.loss for trial in self.trials)


@dataclass(frozen=True, slots=True)
class Refused:
    """No rate follows from the trials, and why."""

    reason: str


@cache
def grid(rule: RateRule, model: str) -> tuple[Cell, ...]:
    """Return the trials of a rule's grid for a model, seed by seed."""
    return tuple(
        _trial(rule, model, seed, training=rule.training.at(rate)) for seed in _seeds(rule) for rate in rule.rates
    )


@cache
def extensions(rule: RateRule, model: str) -> tuple[Cell, ...]:
    """Return the trials of the further rate that the results of the grid choose, one for each seed."""
    further = rule.model_copy(update={"pick": "extension"})
    return tuple(_trial(rule, model, seed, training=rule.training, found_by=further) for seed in _seeds(rule))


def curve_of(record: Record) -> Curve:
    """Return the losses that a trial showed while it was trained; nothing where it failed or is no trial."""
    if record.status not in ("ok", "unsolved") or record.cell.probe != PROBE:
        return Curve()
    steps = record.measured("steps_to_solve")
    solved = steps is not None and math.isfinite(steps.value)
    validated = _series(record, "evaluation_loss")
    if validated is not None:
        read: Literal["least", "last"] = "least" if record.corpus else "last"
        return Curve(at=tuple(validated.at), losses=tuple(validated.values), read=read, solved=solved)
    trained = _series(record, "training_loss")
    return Curve() if trained is None else Curve(at=tuple(trained.at), losses=tuple(trained.values), read="tail")


def choose(curves: Mapping[float, Sequence[Curve]], *, rates: Sequence[float]) -> Choice:
    """Return the best of the rates that were tried: rate -> the curve of each seed; `rates` are those of the grid.

    Rates at which every seed solved the task are equally good; of them the middle one is taken, and none at an edge if
    there is another.
    """
    trials = _trials(curves)
    best = trials[_best(trials)]
    if best.solved:
        good = [trial for trial in trials if trial.solved]
    else:
        good = [trial for trial in trials if not trial.failed and trial.loss <= ROBUST * best.loss]
    return Choice(
        rate=best.rate,
        trials=trials,
        at_edge=best in (trials[0], trials[-1]),
        robust_width=sum(trial.rate in rates for trial in good),
    )


def further_rate(curves: Mapping[float, Sequence[Curve]]) -> float:
    """Return the one rate to try after the grid: rate -> the curve of each seed.

    That is half a decade beyond the grid where its edge is best, else the geometric mean of the best rate and the
    better of its neighbours.
    """
    trials = _trials(curves)
    place = _best(trials)
    if place == 0:
        return trials[0].rate / HALF_DECADE
    if place == len(trials) - 1:
        return trials[-1].rate * HALF_DECADE
    neighbour = min(trials[place - 1], trials[place + 1], key=lambda trial: trial.rank)
    return math.sqrt(trials[place].rate * neighbour.rate)


def expected_best(losses: Sequence[float], draws: int) -> float:
    """Return the expected least loss of so many trials, drawn with replacement from these n: (n,) -> scalar.

    Dodge et al., Show Your Work: Improved Reporting of Experimental Results, EMNLP 2019, with a loss in place of a
    score: P(least ≥ v) = P(V ≥ v)^draws, and for P the empirical distribution of the trials. It is biased (Tang et al.,
    Showing Your Work Doesn't Always Work, ACL 2020): a description of these trials, and no estimate for others.
    """
    n = len(losses)
    shares = [((n - place) / n) ** draws - ((n - place - 1) / n) ** draws for place in range(n)]
    return sum(loss * share for loss, share in zip(sorted(losses), shares, strict=True))


def settle(rule: RateRule, model: str, records: Mapping[Cell, Record]) -> float | Refused | None:
    """Return the learning rate that a rule gives a model, or why it gives none; None while a trial has no record."""
    first = _curves(grid(rule, model), records)
    if first is None:
        return None
    asked = grid(rule, model) if rule.pick == "extension" else (*grid(rule, model), *extensions(rule, model))
    if unknown := _without_a_result(asked, records):
        return Refused(f"a trial of a learning rate has no result ({unknown}), so that no rate is the best")
    if _all_failed(first):
        return Refused(f"no trial of a learning rate gave a loss; the first: {_error(grid(rule, model)[0], records)}")
    if rule.pick == "extension":
        return further_rate(first)
    made = choice(rule, model, records)
    if made is None or not made.at_edge:
        return None if made is None else made.rate
    tried = ", ".join(f"{trial.rate:.3g}" for trial in made.trials)
    return Refused(
        f"best rate at the edge of the grid, {made.rate:.3g} of {tried}, even after its one extension; "
        "excluded from verdicts"
    )


def choice(rule: RateRule, model: str, records: Mapping[Cell, Record]) -> Choice | None:
    """Return what the trials of a model say; None while one lacks its record, or where all of the grid failed."""
    first = _curves(grid(rule, model), records)
    if first is None or _all_failed(first):
        return None
    further = _curves(extensions(rule, model), records)
    if further is None or set(further) != {further_rate(first)}:  # made before a trial of the grid was tried again
        return None
    return choose(first | further, rates=rule.rates)


def best_of(candidates: Mapping[str, RateRule], records: Mapping[Cell, Record]) -> str | Refused:
    """Return the model whose best rate did best in its trials, or why none can be named: model -> its rule.

    Candidates are ordered as rates are: by failed seeds, then by loss, which is 0 where every seed solved the task; of
    those that did equally well the first named is taken.
    """
    ranks: dict[str, tuple[int, float]] = {}
    for model, rule in candidates.items():
        found = _rank(rule, model, records)
        if isinstance(found, Refused):
            return Refused(f"no choice among {', '.join(candidates)}: {model}: {found.reason}")
        ranks[model] = found
    return min(ranks, key=ranks.__getitem__)


def _rank(rule: RateRule, model: str, records: Mapping[Cell, Record]) -> tuple[int, float] | Refused:
    """Return the failed seeds and the loss of a model's best rate, or why they are not known."""
    first = _curves(grid(rule, model), records)
    if unknown := _without_a_result((*grid(rule, model), *extensions(rule, model)), records):
        return Refused(f"a trial of a learning rate has no result ({unknown})")
    if first is not None and _all_failed(first):
        return rule.seeds, math.inf
    made = choice(rule, model, records)
    if made is None:
        return Refused("trials of its learning rate are missing")
    best = next(trial for trial in made.trials if trial.rate == made.rate)
    return best.rank[:2]


def outdated(record: Record, records: Mapping[Cell, Record]) -> bool:
    """Return whether a record's learning rate is not the one that its rule gives, as far as the rule can tell."""
    rule = record.cell.rate
    return rule is not None and differs(record, settle(rule, record.cell.model, records))


def differs(entry: Record | Outline, found: float | Refused | None) -> bool:
    """Return whether the learning rate of a tuned cell's record is not what `settle` found, as far as that can tell."""
    if isinstance(found, Refused):
        return entry.status != "structural" or entry.learning_rate is not None
    return found is not None and entry.learning_rate != found


def _seeds(rule: RateRule) -> range:
    return range(rule.first_seed, rule.first_seed + rule.seeds)


def _trial(rule: RateRule, model: str, seed: int, *, training: TrainConfig, found_by: RateRule | None = None) -> Cell:
    return Cell(
        task=rule.task,
        probe=PROBE,
        model=model,
        length=rule.length,
        seed=seed,
        width=rule.width,
        layers=rule.layers,
        params=rule.params,
        match=rule.match,
        training=training,
        rate=found_by,
    )


def _trials(curves: Mapping[float, Sequence[Curve]]) -> tuple[Trial, ...]:
    return tuple(
        Trial(
            rate=rate,
            losses=tuple(curve.loss for curve in curves[rate]),
            solved=all(curve.solved for curve in curves[rate]),
        )
        for rate in sorted(curves)
    )


def _best(trials: Sequence[Trial]) -> int:
    """Return the place of the best of trials in ascending order of rate."""
    solved = [place for place, trial in enumerate(trials) if trial.solved]
    inside = [place for place in solved if 0 < place < len(trials) - 1] or solved
    if inside:
        return inside[(len(inside) - 1) // 2]
    return min(range(len(trials)), key=lambda place: trials[place].rank)


def _curves(cells: Iterable[Cell], records: Mapping[Cell, Record]) -> dict[float, tuple[Curve, ...]] | None:
    """Return what each rate showed; None where one of the cells has no record."""
    found: dict[float, tuple[Curve, ...]] = {}
    for cell in cells:
        record = records.get(cell)
        if record is None:
            return None
        rate = cell.training.learning_rate if cell.training else None
        rate = record.learning_rate if rate is None else rate
        if rate is None:
            return None
        found[rate] = (*found.get(rate, ()), curve_of(record))
    return found


def _without_a_result(cells: Iterable[Cell], records: Mapping[Cell, Record]) -> str:
    """Return why a trial says nothing about its rate: it did not run through; one that diverged does."""
    for cell in cells:
        record = records.get(cell)
        if record is not None and record.status in UNKNOWN and record.cell.rate is None:
            return f"{record.status}: {record.error}" if record.error else record.status
    return ""


def _series(record: Record, name: str) -> Series | None:
    found = record.measured(name)
    return found.series if found else None


def _all_failed(curves: Mapping[float, Sequence[Curve]]) -> bool:
    return all(trial.failed == len(trial.losses) for trial in _trials(curves))


def _error(cell: Cell, records: Mapping[Cell, Record]) -> str:
    return records[cell].error or records[cell].status
