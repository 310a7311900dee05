"""Every number of a report under a key, and `macros.tex`, from which an author takes them without typing any."""

import hashlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from seqbench.judge.claims.base import AtomVerdict, ClaimVerdict, given, interval, number
from seqbench.judge.report import typeset
from seqbench.judge.report.tabulated import ratio, word

if TYPE_CHECKING:
    from seqbench.judge.report.build import Report

Pairs = Iterator[tuple[str, str]]
HEAD = r"""% Numbers of seqbench report {id}
% Written by seqbench {version}; the same records give the same file. Needs no package.
%   \input{{macros}}
%   It was \seqbench{{C1.effect}} \seqbench{{C1.interval}}, n = \seqbench{{C1.n}} (report \seqbench{{report.id}}).
% Every key stands below, in the first braces of \seqbench@set. It works in text and in mathematics; a key that is not
% there is an error. In columns of siunitx take the tables of this report instead.
\makeatletter
\newcommand*{{\seqbench}}{{}}
\DeclareRobustCommand*{{\seqbench}}[1]{{%
  \ifcsname seqbench@#1\endcsname
    \csname seqbench@#1\endcsname
  \else
    \PackageError{{seqbench}}{{No number is called '#1' in this report}}%
      {{The keys stand in macros.tex. Did the report change?}}%
  \fi}}
\newcommand*{{\seqbench@text}}[1]{{\ifmmode\mbox{{#1}}\else#1\fi}}
\newcommand*{{\seqbench@set}}[2]{{\expandafter\gdef\csname seqbench@#1\endcsname{{#2}}}}
"""


def macros(report: "Report") -> str:
    """Return the content of macros.tex: the accessor, and a value for every key."""
    head = HEAD.format(id=report.id, version=report.provenance["rendered_with"]["seqbench"])
    lines = [rf"\seqbench@set{{{key}}}{{{value}}}" for key, value in values(report).items()]
    return "\n".join([f"{head}%", *lines, r"\makeatother", ""])


def values(report: "Report") -> dict[str, str]:
    """Return what LaTeX prints for every key, numbers with the digits that the page shows."""
    found = dict(_whole(report))
    for claim in report.claims:
        found |= {_key(key): value for key, value in _claim(claim)}
        for atom in claim.atoms:
            found |= {_key(key): value for key, value in _atom(f"{claim.claim}.{atom.name}", atom)}
    return found


def _whole(report: "Report") -> Pairs:
    yield "report.id", _text(report.id)
    yield "report.short-id", _text(report.id[:12])
    yield "report.title", _text(report.title)
    yield "report.version", _text(report.provenance["rendered_with"]["seqbench"])
    yield "report.date", _text((report.provenance["last_finished"] or "–")[:10])
    yield "report.cells", _count(report.provenance["accepted"])
    yield "report.failed", _count(report.failure_count)
    yield "report.seeds", _text(report.seeds)
    yield "report.level", typeset.maths(given(report.level))
    yield "prereg.sha256", _text(report.provenance["preregistration_sha256"])


def _claim(claim: ClaimVerdict) -> Pairs:
    name, atom = claim.claim, claim.deciding
    yield f"{name}.title", _text(claim.title)
    yield f"{name}.sentence", _text(claim.sentence)
    yield f"{name}.verdict", _text(claim.verdict.value)
    yield f"{name}.wording", _text(claim.wording)
    yield f"{name}.qualification", _text("; ".join(claim.qualifications) or "–")
    yield f"{name}.scope", _text(claim.scope or "–")
    yield f"{name}.rule", _text(claim.rule)
    yield f"{name}.planned", _count(claim.planned)
    yield f"{name}.ran", _count(claim.ran)
    yield f"{name}.decided-by", _text(claim.headline or "–")
    yield f"{name}.n", _count(atom.n if atom else 0)
    yield f"{name}.unit", _text(atom.unit if atom else "–")
    yield from _effect(name, atom)
    if claim.levels:
        yield f"{name}.level.support", typeset.maths(given(claim.levels.support))
        yield f"{name}.level.contradict", typeset.maths(given(claim.levels.contradict))
    for item in claim.sub_verdicts:
        yield f"{name}.{item.name}.verdict", _text(item.verdict.value)


def _effect(name: str, atom: AtomVerdict | None) -> Pairs:
    effect, lower, upper = (atom.effect, atom.lower, atom.upper) if atom else (None, None, None)
    yield f"{name}.effect", typeset.maths(number(effect))
    yield f"{name}.lower", typeset.maths(number(lower))
    yield f"{name}.upper", typeset.maths(number(upper))
    yield f"{name}.interval", typeset.maths(interval(lower, upper))


def _atom(name: str, atom: AtomVerdict) -> Pairs:
    yield f"{name}.verdict", _text(word(atom))
    yield f"{name}.estimand", _text(atom.estimand)
    yield f"{name}.unit", _text(atom.unit)
    yield f"{name}.n", _count(atom.n)
    yield from _effect(name, atom)
    if (found := ratio(atom))[0] is not None:
        yield f"{name}.ratio", typeset.maths(number(found[0]))
        yield f"{name}.ratio.interval", typeset.maths(interval(*found[1:]))
    for margin in ("support", "contradict", "equivalence", "below"):
        if (value := getattr(atom, margin)) is not None:
            yield f"{name}.margin.{margin}", typeset.maths(given(value))
    for way in ("support", "contradict"):
        yield f"{name}.level.{way}", typeset.maths(given(getattr(atom.levels, way)))
        if atom.p:
            yield f"{name}.p.{way}", typeset.maths(number(getattr(atom.p, way)))
    if atom.posterior:
        yield f"{name}.posterior.support", typeset.maths(number(atom.posterior.support))
        yield f"{name}.posterior.between", typeset.maths(number(atom.posterior.rope))
        yield f"{name}.posterior.contradict", typeset.maths(number(atom.posterior.contradict))
    yield from _arms(name, atom)


def _arms(name: str, atom: AtomVerdict) -> Pairs:
    for arm in atom.arms:
        yield f"{name}.arm.{arm.name}.model", _text(arm.model)
        yield f"{name}.arm.{arm.name}.mean", typeset.maths(number(arm.mean))
        yield f"{name}.arm.{arm.name}.lower", typeset.maths(number(arm.lower))
        yield f"{name}.arm.{arm.name}.upper", typeset.maths(number(arm.upper))
        yield f"{name}.arm.{arm.name}.interval", typeset.maths(interval(arm.lower, arm.upper))
        yield f"{name}.arm.{arm.name}.n", _count(len(arm.values))
        yield f"{name}.arm.{arm.name}.ran", _count(arm.ran)
        yield f"{name}.arm.{arm.name}.planned", _count(arm.planned)
        yield f"{name}.arm.{arm.name}.failed", _count(arm.failed)
    for control in atom.controls:
        yield f"{name}.control.{control.arm}.{control.measurement}.mean", typeset.maths(number(control.mean))
        yield f"{name}.control.{control.arm}.{control.measurement}.above", typeset.maths(given(control.above))


def _key(name: str) -> str:
    """Return a key that every LaTeX document takes; a name with other characters is told apart by its hash."""
    safe = re.sub(r"[^A-Za-z0-9/._-]", "-", name)
    return safe if safe == name else f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def _text(text: str) -> str:
    return rf"\seqbench@text{{{typeset.latex(text)}}}"


def _count(value: int) -> str:
    return rf"\ensuremath{{{value}}}"
