"""What a plan says of a study: a line per group, where its costs come from, what hangs on it, and how far it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from seqbench.costs import Costs
from seqbench.outline import Outline
from seqbench.plan import LeftOut, Planned, Study, left_out, planned, waves
from seqbench.priority import Priority, priorities


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One line of a plan: the cells of a group or of a wave of trials, those held, and the seconds that the rest takes.

    seconds: on one core. cost: where they come from: measured (records of this machine), model, both, or nothing to do.
    priority: what hangs on it; claims: for which its cells are used.
    """

    name: str
    task: str
    cells: int
    cached: int
    seconds: float
    cost: str
    priority: Priority
    left_out: str = ""

    def row(self) -> dict[str, object]:
        """Return the line as a row with `name` first; seconds to a tenth."""
        return {
            "name": self.name,
            "task": self.task,
            "cells": self.cells,
            "cached": self.cached,
            "seconds": round(self.seconds, 1),
            "cost": self.cost,
            "priority": self.priority.name,
            "claims": list(self.priority.claims),
            "left_out": self.left_out,
        }

    def short_row(self) -> dict[str, object]:
        """Return the line as a row for reading, of at most 100 columns: without task and reason, in whole seconds."""
        row = self.row() | {"claims": " ".join(self.priority.claims)}
        if self.seconds >= 10:  # a fraction of a long time says nothing
            row["seconds"] = round(self.seconds)
        if self.left_out:
            row["priority"] = "left out"
        return {name: value for name, value in row.items() if name not in ("task", "left_out")}


def summary(study: Study, held: Mapping[str, Outline], *, costs: Costs) -> tuple[Summary, ...]:
    """Return a line per wave of a tuning and one per group: what is held, by fingerprint, and what is to do."""
    reasons = {entry.what: entry for entry in left_out(study)}
    entries = planned(study)
    known = priorities(study)
    lines = []
    for asked in study.suite.tuning:
        trials = [entry for entry in entries if entry.trial and entry.group == asked.name]
        priority = min(known[group.name] for group in study.suite.groups if group.tuning == asked.name)
        for own, what in zip(waves(trials), ("grid", "extension"), strict=False):  # none where no group needs them
            lines.append(_line(f"tuning {asked.name}, {what}", asked.task, own, held, costs=costs, priority=priority))
    for group in study.suite.groups:
        own = tuple(entry for entry in entries if not entry.trial and entry.group == group.name)
        line = _line(group.name, group.task, own, held, costs=costs, priority=known[group.name])
        if (omitted := reasons.get(group.name)) is not None:
            line = replace(line, cells=len(own) or omitted.cells, left_out=omitted.why)
        lines.append(line)
    return tuple(lines)


def _line(
    name: str, task: str, own: Sequence[Planned], held: Mapping[str, Outline], *, costs: Costs, priority: Priority
) -> Summary:
    outstanding = [entry for entry in own if entry.fingerprint not in held]
    return Summary(
        name=name,
        task=task,
        cells=len(own),
        cached=len(own) - len(outstanding),
        seconds=sum(costs.seconds(entry.cell) for entry in outstanding),
        cost=", ".join(sorted({costs.source(entry.cell) for entry in outstanding})),
        priority=priority,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a call is about to do: cells to do of those planned, about how many wall seconds, what was trimmed."""

    outstanding: int
    planned: int
    seconds: float
    trimmed: tuple[LeftOut, ...] = ()


def progress(entries: Sequence[Planned], held: Mapping[str, Outline]) -> list[dict[str, object]]:
    """Return how many planned cells have each status, and how many have no record yet."""
    counts: dict[str, int] = {}
    for entry in entries:
        found = held.get(entry.fingerprint)
        name = found.status if found else "missing"
        counts[name] = counts.get(name, 0) + 1
    shown = sorted(counts.items(), key=lambda item: (item[0] == "missing", item[0] != "ok", item[0]))
    return [{"name": name, "cells": count} for name, count in shown] + [{"name": "planned", "cells": len(entries)}]


def time_left(
    entries: Sequence[Planned], held: Mapping[str, Outline], *, costs: Costs, workers: int, brought: int, seconds: float
) -> str:
    """Return in one line what is left of a study, at which rate it goes, and how long the rest takes by stored costs.

    brought: records that came within the last `seconds`; 0 seconds where nobody has watched yet.
    """
    left = [entry for entry in entries if entry.fingerprint not in held]
    if not left:
        return f"complete: {len(entries)} cells"
    rate = f", {60 * brought / seconds:.1f} cells a minute" if seconds > 0 else ""
    rest = costs.wall_seconds(left, workers=workers)
    time = f"about {rest / 60:.1f} min by stored costs on {workers} workers"
    return f"{len(left)} of {len(entries)} cells left{rate}, {time}"
