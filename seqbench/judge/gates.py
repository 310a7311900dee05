"""Gates from records: what a study has of each published result, and whether it lies within the tolerance."""

import math
from collections import Counter
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import cast

import numpy as np
import pandas as pd

from seqbench.gate import Check, Gate
from seqbench.judge import scaling, table
from seqbench.judge.table import Tables
from seqbench.plan import Study

FLOOR_SHARE = 0.05
"""What is not better than the floor by more than this share of it has learnt nothing worth the name."""
JUDGED = ("ok", "unsolved", "diverged")
"""The statuses of a cell that ran; every other one is the machine's, or ours."""


class Word(StrEnum):
    """The four words that a gate or a check can be given; a gate has the first of these that one of its checks has."""

    NOT_REPRODUCED = "not reproduced"
    AT_FLOOR = "at floor"
    NOT_RUN = "not run"
    REPRODUCED = "reproduced"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A check beside what the study has of it.

    values: of each seed, or the one value of an exponent or a ratio, in the unit of the published number; NaN where
    training diverged. interval: of an exponent that was timed. reason: why there is no verdict.
    critique: what arithmetic says of the published number; "" where it says nothing.
    """

    name: str
    check: Check
    word: Word
    values: tuple[float, ...] = ()
    interval: tuple[float, float] | None = None
    reason: str = ""
    critique: str = ""

    @property
    def ours(self) -> float | None:
        """Return the mean of the values that are numbers, None where there is none."""
        return _mean(self.values)

    @property
    def within(self) -> int:
        """Return how many values lie within the tolerance."""
        return sum(map(self.check.holds, self.values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A gate with its verdict and those of its checks."""

    name: str
    gate: Gate
    word: Word
    findings: tuple[Finding, ...]

    @property
    def reason(self) -> str:
        """Return why there is no verdict, or nothing."""
        return next((entry.reason for entry in self.findings if entry.word is Word.NOT_RUN), "")

    def failed(self, *, asked: bool) -> bool:
        """Return whether it failed: ours is not the published result, or, of one asked for, there is no verdict."""
        return self.word is not Word.REPRODUCED and (asked or self.word is not Word.NOT_RUN)


def judge(study: Study, tables: Tables) -> tuple[Judged, ...]:
    """Return every gate of a study with its verdict, in the order of the study."""
    return tuple(_judged(name, gate, tables) for name, gate in study.suite.gates.items())


def beyond_floor(value: float, floor: float, *, better: str) -> bool:
    """Return whether a score is better than the floor by more than `FLOOR_SHARE` of it; what is no number is not."""
    return value < floor * (1 - FLOOR_SHARE) if better == "lower" else value > floor * (1 + FLOOR_SHARE)


def critique(check: Check) -> str:
    """Return what the floor says of a published number that is not beyond it, or nothing."""
    floor = check.floor if check.published_floor is None else check.published_floor
    if check.published is None or floor is None or beyond_floor(check.published, floor, better=check.better):
        return ""
    name = "the memoryless floor" if check.better == "lower" else "chance"
    off = 100 * (check.published / floor - 1)
    return f"the published {check.published:g} sits at {name}, {floor:.5g} ({off:+.1f} %): nothing was learnt there"


def _judged(name: str, gate: Gate, tables: Tables) -> Judged:
    findings = tuple(_finding(key, check, gate, tables) for key, check in gate.checks.items())
    words = [entry.word for entry in findings]
    return Judged(name=name, gate=gate, word=next(word for word in Word if word in words), findings=findings)


def _finding(name: str, check: Check, gate: Gate, tables: Tables) -> Finding:
    cells = tables.cells[tables.cells[table.GROUP] == check.group]
    if check.length is not None:
        cells = cells[cells[table.LENGTH] == check.length]
    cells = cells[cells[table.MODEL].isin([check.model, check.against])]
    found = Finding(name=name, check=check, word=Word.NOT_RUN, critique=critique(check))
    if cells.empty or not cells[table.STATUS].isin(JUDGED).all():
        return replace(found, reason=_why_not_run(gate, cells))
    values, interval = _values(check, cells, tables)
    if not values or (_mean(values) is None and (cells[table.STATUS] != "diverged").any()):
        return replace(found, reason=f"the records have no {check.measurement or check.quantity}")
    return replace(found, word=_word(check, values), values=values, interval=interval)


def _word(check: Check, values: tuple[float, ...]) -> Word:
    if sum(map(check.holds, values)) >= (check.seeds_within or len(values)):
        return Word.REPRODUCED
    mean = _mean(values)
    if mean is None or check.floor is None or beyond_floor(mean, check.floor, better=check.better):
        return Word.NOT_REPRODUCED
    return Word.AT_FLOOR


def _mean(values: tuple[float, ...]) -> float | None:
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else None


def _why_not_run(gate: Gate, cells: pd.DataFrame) -> str:
    counts = Counter(str(status) for status in cells[table.STATUS] if status not in JUDGED)
    failed = [f"{number} of {len(cells)} cells {status}" for status, number in sorted(counts.items())]
    if cells.empty or counts[table.MISSING] == len(cells):
        return f"needs {gate.lacks}" if gate.needs else f"not asked for yet; about {gate.core_minutes:g} core-minutes"
    return ", ".join(failed)


def _values(check: Check, cells: pd.DataFrame, tables: Tables) -> tuple[tuple[float, ...], tuple[float, float] | None]:
    """Return the values of a check from cells that all ran, and the interval of one that has it."""
    if check.quantity == "exponent":
        return _exponent(cells, tables)
    own, other = (cells[cells[table.MODEL] == model] for model in (check.model, check.against))
    if check.quantity == "ratio":
        return _ratio(own, other, tables), None
    by_seed = _by_seed(check, own, tables)
    if check.quantity == "difference":
        by_seed = by_seed - _by_seed(check, other, tables)
    return tuple(map(float, by_seed)), None


def _by_seed(check: Check, cells: pd.DataFrame, tables: Tables) -> "pd.Series[float]":
    measured = tables.wide.get(cast("str", check.measurement), pd.Series(dtype=float))
    values = cells[table.FINGERPRINT].map(measured)
    return pd.Series(values.to_numpy(dtype=np.float64), index=cells[table.SEED].to_numpy()).sort_index()


def _exponent(cells: pd.DataFrame, tables: Tables) -> tuple[tuple[float, ...], tuple[float, float] | None]:
    own = frozenset(cells[table.FINGERPRINT])
    grown = [row for row in (*scaling.timed(tables), *scaling.counted(tables)) if row.fingerprints == own]
    for alpha in (row.exponent for row in grown if row.exponent):
        return (alpha.value,), (alpha.lower, alpha.upper) if alpha.replicates else None
    return (), None


def _ratio(own: pd.DataFrame, other: pd.DataFrame, tables: Tables) -> tuple[float, ...]:
    """Return the median over the rounds that count for both of how many times the other's time the own one is."""
    timed, against = (table.rounds(tables, str(cells[table.FINGERPRINT].item())) for cells in (own, other))
    counts = timed[table.KEPT] & against[table.KEPT]
    ratios = (timed[table.SECONDS] / against[table.SECONDS])[counts]
    return (float(ratios.median()),) if len(ratios) else ()
