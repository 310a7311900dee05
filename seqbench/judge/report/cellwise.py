"""Cell by cell: whether two studies got the same numbers where they measured the same thing, times apart."""

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from seqbench.cell import canonical_json
from seqbench.plan import Planned
from seqbench.record import Measurement, Record

LEARNING_RATE, STATUS, TEXTS = "learning_rate", "status", "texts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A number that two records of one cell do not share, or what else of them differs; values are texts.

    relative: |a − b| / max(|a|, |b|), of a series the largest of its points; None where there is no such number.
    """

    cell: str
    fingerprint: str
    what: str
    one: str
    other: str
    relative: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What two studies have in common, counted in planned cells that are not timed.

    shared: planned in both. measured: with a record in both. numbers: with a measurement in either record.
    equal: of these, with the same status, learning rate, texts and measurements, to the last bit.
    """

    one: str
    other: str
    shared: int
    only_one: int
    only_other: int
    measured: int
    numbers: int
    equal: int
    differences: tuple[Difference, ...]

    @property
    def differing(self) -> int:
        """Return the number of cells of which something differs."""
        return len({item.fingerprint for item in self.differences})

    @property
    def share(self) -> float | None:
        """Return the share of cells with numbers that are equal to the last bit, None where there are none."""
        return self.equal / self.numbers if self.numbers else None


def agreement(
    one: tuple[str, Mapping[str, Planned], Mapping[str, Record]],
    other: tuple[str, Mapping[str, Planned], Mapping[str, Record]],
) -> Agreement:
    """Return how far two studies agree cell by cell; each is its name, its planned cells and its accepted records.

    A timed cell is in neither: no two times are equal, and times of two machines are not compared. What a fingerprint
    holds is alike (task, model, budget, text, measurement version), so that on one machine with the same libraries
    every number is expected to be the same.
    """
    (name_one, planned_one, held_one), (name_other, planned_other, held_other) = one, other
    untimed_one = {key for key, entry in planned_one.items() if not entry.cell.timing}
    untimed_other = {key for key, entry in planned_other.items() if not entry.cell.timing}
    shared = [key for key in planned_one if key in untimed_one & untimed_other]
    measured = [key for key in shared if key in held_one and key in held_other]
    found = {key: tuple(differences(key, held_one[key], held_other[key])) for key in measured}
    numbers = [key for key in measured if held_one[key].measurements or held_other[key].measurements]
    return Agreement(
        one=name_one,
        other=name_other,
        shared=len(shared),
        only_one=len(untimed_one - untimed_other),
        only_other=len(untimed_other - untimed_one),
        measured=len(measured),
        numbers=len(numbers),
        equal=sum(not found[key] for key in numbers),
        differences=tuple(item for key in measured for item in found[key]),
    )


def differences(fingerprint: str, one: Record, other: Record) -> Iterator[Difference]:
    """Yield what differs between two records of a cell, bit by bit; NaN equals NaN, and 0 is not −0."""
    cell = f"{one.cell.address} ({fingerprint[:6]})"
    facts = {
        STATUS: (one.status, other.status),
        LEARNING_RATE: (_text(one.learning_rate), _text(other.learning_rate)),
        TEXTS: (_digest(one), _digest(other)),
    }
    for what, (mine, its) in facts.items():
        if mine != its:
            yield Difference(cell=cell, fingerprint=fingerprint, what=what, one=mine, other=its, relative=None)
    names = dict.fromkeys(item.name for record in (one, other) for item in record.measurements)
    for name in names:
        first, second = one.measured(name), other.measured(name)
        if first is None or second is None or first.model_dump_json() != second.model_dump_json():
            yield Difference(
                cell=cell,
                fingerprint=fingerprint,
                what=name,
                one=_text(first.value if first else None),
                other=_text(second.value if second else None),
                relative=_relative(first, second),
            )


def _relative(one: Measurement | None, other: Measurement | None) -> float | None:
    """Return the largest relative difference of two measurements' values and series."""
    if one is None or other is None:
        return None
    pairs = [(one.value, other.value)]
    if one.series and other.series and one.series.at == other.series.at:
        pairs += zip(one.series.values, other.series.values, strict=True)
    found = [abs(a - b) / max(abs(a), abs(b)) for a, b in pairs if a != b and math.isfinite(a) and math.isfinite(b)]
    return max(found, default=None)


def _digest(record: Record) -> str:
    """Return how many texts a record holds, and a hash of them with their prompts."""
    content = canonical_json([text.model_dump(mode="json") for text in record.texts])
    return f"{len(record.texts)}, sha256 {hashlib.sha256(content.encode()).hexdigest()[:12]}"


def _text(value: float | None) -> str:
    """Return every digit of a number, so that it can be told from its neighbour."""
    return "–" if value is None else repr(value)
