"""From a study to the verdicts of all claims; the same records in any order give the same verdicts."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from seqbench import priority, store
from seqbench.judge import stats, table
from seqbench.judge.claims import CLAIMS
from seqbench.judge.claims.base import (
    AtomVerdict,
    Case,
    ClaimModule,
    ClaimVerdict,
    SubVerdict,
    conclude,
    interval,
    not_preregistered,
    number,
    prepare,
)
from seqbench.judge.posterior import Posterior
from seqbench.judge.rules import AtomLevels, Verdict
from seqbench.judge.table import Tables
from seqbench.plan import Study
from seqbench.preregistration import built_in
from seqbench.store import Contents


def judge_folder(folder: Path) -> tuple[ClaimVerdict, ...]:
    """Return one verdict per claim for the study in a folder.

    Raises StoreError when the folder holds no study.
    """
    return judge_study(store.open_study(folder), store.contents(folder))


def judge_study(study: Study, contents: Contents) -> tuple[ClaimVerdict, ...]:
    """Return one verdict per claim: those of seqbench, in their order, then those that only the study knows."""
    return judge_tables(study, table.tables(study, contents))


def judge_tables(study: Study, tables: Tables) -> tuple[ClaimVerdict, ...]:
    """Return one verdict per claim from frames that are already there; those that the study asks for come first.

    Margins, arms and rules are the study's own; Holm's procedure runs over its claims, once in each direction;
    a claim that is judged by device enters it once for each class of device that ran.
    """
    rules = study.preregistration
    trimmed = priority.untested(study)
    cases = [prepare(name, claim, tables, rules, trimmed=trimmed) for name, claim in rules.claims.items()]
    family = [(case, part) for case in cases for part in case.rules]
    support = stats.holm_levels([case.p(part).support for case, part in family], rules.level)
    contradict = stats.holm_levels([case.p(part).contradict for case, part in family], rules.level)
    levels: dict[str, dict[str, AtomLevels]] = {case.name: {} for case in cases}
    for (case, part), *pair in zip(family, support, contradict, strict=True):
        levels[case.name][part] = AtomLevels(*pair)
    found = {case.name: _concluded(case, levels[case.name], tables, study) for case in cases}
    known = built_in().claims
    others = {name: not_preregistered(name, claim) for name, claim in known.items() if name not in found}
    asked = (*(name for name in known if name in found), *(name for name in found if name not in known))
    return tuple((found | others)[name] for name in (*asked, *others))


def _concluded(case: Case, levels: Mapping[str, AtomLevels], tables: Tables, study: Study) -> ClaimVerdict:
    """Return a claim's verdict, its qualifications those of its hypotheses and those that lie beside them."""
    module = module_of(case.name)
    found = conclude(case, levels, module)
    beside = vars(module).get("beside")
    return replace(found, qualifications=(*found.qualifications, *beside(tables, study))) if beside else found


def module_of(claim: str) -> ClaimModule:
    """Return the module of a claim; one without a module is judged by its rule alone.

    Raises ContractError when a plug-in lacks a part of the contract.
    """
    return cast(ClaimModule, CLAIMS.load(claim)) if claim in CLAIMS.names() else _PLAIN


_PLAIN = cast(
    ClaimModule, SimpleNamespace(FIGURES=(), finding=lambda _atoms, _verdict: "", qualifications=lambda _atoms: ())
)


def as_json(verdicts: tuple[ClaimVerdict, ...]) -> list[dict[str, Any]]:
    """Return the content of claims.json: one entry per claim, plain values, null where there is no number."""
    return [_claim_json(verdict) for verdict in verdicts]


def rows(verdicts: tuple[ClaimVerdict, ...]) -> list[dict[str, str]]:
    """Return a row of texts per claim for a terminal table, with `name` first."""
    return [
        {
            "name": verdict.claim,
            "title": verdict.title,
            "verdict": verdict.verdict.value,
            "effect": effect_text(verdict.deciding),
            "n": str(verdict.deciding.n) if verdict.deciding and verdict.deciding.n else "–",
            "wording": " ".join(filter(None, (verdict.wording, sub_verdicts_text(verdict)))),
            "qualification": "; ".join(verdict.qualifications),
        }
        for verdict in verdicts
    ]


def effect_text(atom: AtomVerdict | None) -> str:
    """Return `effect [lower, upper] unit` of an atom, or a dash."""
    if atom is None or atom.effect is None:
        return "–"
    return f"{number(atom.effect)} {interval(atom.lower, atom.upper)} {atom.unit}"


def sub_verdicts_text(verdict: ClaimVerdict) -> str:
    """Return the sub-verdicts of a claim as a sentence; a class of device without any value is named once."""
    found = []
    for device in dict.fromkeys(item.device for item in verdict.sub_verdicts):
        own = [item for item in verdict.sub_verdicts if item.device == device]
        if any(item.ran for item in own):
            found += [f"{item.phase} on {device.upper()} {item.verdict}{_mixed(item)}" for item in own]
        else:
            found.append(f"{device.upper()} {Verdict.NOT_TESTED.value}")
    return f"By phase: {'; '.join(found)}." if found else ""


def _mixed(item: SubVerdict) -> str:
    return f" ({item.mixture})" if item.mixture else ""


def _claim_json(verdict: ClaimVerdict) -> dict[str, Any]:
    atom = verdict.deciding
    return {
        "claim": verdict.claim,
        "title": verdict.title,
        "sentence": verdict.sentence,
        "verdict": verdict.verdict.value,
        "effect": atom.effect if atom else None,
        "unit": atom.unit if atom else None,
        "interval": _interval(atom),
        "n": atom.n if atom else 0,
        "decided_by": verdict.headline,
        "wording": verdict.wording,
        "qualification": "; ".join(verdict.qualifications),
        "scope": verdict.scope,
        "rule": verdict.rule,
        "cells": {"planned": verdict.planned, "ran": verdict.ran},
        "level": _levels(verdict.levels),
        "atoms": [_atom_json(item) for item in verdict.atoms],
        **({"sub_verdicts": _subs_json(verdict)} if verdict.sub_verdicts else {}),
    }


def _subs_json(verdict: ClaimVerdict) -> list[dict[str, str]]:
    return [{"name": item.name, "verdict": item.verdict.value} for item in verdict.sub_verdicts]


def _atom_json(atom: AtomVerdict) -> dict[str, Any]:
    return {
        "atom": atom.name,
        "verdict": atom.verdict.value,
        "effect": atom.effect,
        "interval": _interval(atom),
        "n": atom.n,
        "unit": atom.unit,
        "estimand": atom.estimand,
        "test": atom.test,
        "in_rule": atom.in_rule,
        "p": {"support": atom.p.support, "contradict": atom.p.contradict} if atom.p else None,
        "level": _levels(atom.levels),
        "margins": {
            "support": atom.support,
            "contradict": atom.contradict,
            "equivalence": atom.equivalence,
            "below": atom.below,
        },
        "reason": atom.reason,
        "posterior": _posterior(atom.posterior),
        **({"flag": atom.flag} if atom.flag else {}),
        "arms": [
            {
                "arm": arm.name,
                "model": arm.model,
                "mean": arm.mean,
                "interval": None if arm.lower is None else [arm.lower, arm.upper],
                "values": list(arm.values),
                "planned": arm.planned,
                "ran": arm.ran,
                "failed": arm.failed,
            }
            for arm in atom.arms
        ],
        "controls": [
            {"arm": item.arm, "measurement": item.measurement, "mean": item.mean, "above": item.above}
            for item in atom.controls
        ],
    }


def _interval(atom: AtomVerdict | None) -> list[float] | None:
    return [atom.lower, atom.upper] if atom and atom.lower is not None and atom.upper is not None else None


def _posterior(found: Posterior | None) -> Mapping[str, float] | None:
    return {"support": found.support, "rope": found.rope, "contradict": found.contradict} if found else None


def _levels(levels: AtomLevels | None) -> Mapping[str, float] | None:
    return {"support": levels.support, "contradict": levels.contradict} if levels else None
