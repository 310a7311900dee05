"""Verdicts on published results as people and programs read them."""

import math
from collections.abc import Iterable
from typing import Any

from seqbench.gate import Check
from seqbench.judge.claims.base import interval, number
from seqbench.judge.gates import Finding, Judged


def rows(judged: Iterable[Judged]) -> list[dict[str, Any]]:
    """Return one row per check, for reading: what was published, ours, the tolerance and the verdict."""
    return [
        {
            "gate": entry.name,
            "check": finding.name,
            "published": finding.check.said,
            "ours": ours(finding) or "–",
            "tolerance": finding.check.tolerance,
            "verdict": finding.word.value,
        }
        for entry in judged
        for finding in entry.findings
    ]


def ours(finding: Finding) -> str:
    """Return what ours is in words, as `0.000312 (3 of 3 seeds within)`, or nothing."""
    if finding.ours is None:
        return ""
    mean = number(finding.ours)
    if finding.check.quantity in ("exponent", "ratio"):
        return mean if finding.interval is None else f"{mean} {interval(*finding.interval)}"
    return f"{mean} ({finding.within} of {len(finding.values)} seeds within)"


def notes(entry: Judged) -> list[str]:
    """Return what stands below a gate: why it did not run, and what arithmetic says of the published numbers."""
    told = [f"{finding.name}: {finding.critique}" for finding in entry.findings if finding.critique]
    return [*([entry.reason] if entry.reason else []), *told]


def as_json(judged: Iterable[Judged]) -> list[dict[str, Any]]:
    """Return every gate as one object, `name` first; what its checks have stands under the name of each check."""
    return [
        {
            "name": entry.name,
            "verdict": entry.word.value,
            "published": {
                name: check.said if check.published is None else check.published for name, check in _of(entry)
            },
            "ours": {finding.name: _finite(finding.ours) for finding in entry.findings},
            "tolerance": {name: check.tolerance for name, check in _of(entry)},
            "verdicts": {finding.name: finding.word.value for finding in entry.findings},
            "values": {finding.name: list(map(_finite, finding.values)) for finding in entry.findings},
            "critique": {finding.name: finding.critique for finding in entry.findings if finding.critique},
            "reason": entry.reason,
            "source": entry.gate.source,
            "differs_in": list(entry.gate.differs_in),
            "quick": entry.gate.quick,
            "needs": list(entry.gate.needs),
            "core_minutes": entry.gate.core_minutes,
        }
        for entry in judged
    ]


def _of(entry: Judged) -> Iterable[tuple[str, Check]]:
    return entry.gate.checks.items()


def _finite(value: float | None) -> float | None:
    """Return a number that strict JSON has, None for any other."""
    return value if value is not None and math.isfinite(value) else None
