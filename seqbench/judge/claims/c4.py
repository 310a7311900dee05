"""C4: recurrent networks go step by step, and are therefore slower in training and in inference."""

import math

from seqbench.judge.claims.base import PHASES, Atoms, AtomVerdict, Descriptive, instead, number
from seqbench.judge.rules import Verdict
from seqbench.judge.table import Tables
from seqbench.plan import Study

FIGURES = ("time_ratio", "time_per_token", "decode_time", "tokens_by_batch", "crossover_map", "memory_by_length")
NAMES = {"rnn": "a vanilla RNN", "lstm": "an LSTM", "gru": "a GRU", "transformer": "the Transformer", "tcn": "the TCN"}
SCANNED = {"mingru": "minGRU", "minlstm": "minLSTM", "lru": "LRU", "linear_attention": "linear attention"}
"""Recurrent networks that are trained by a scan over all steps at once."""
COMPARED = {"cpu": "cpu/4c/lstm/transformer", "gpu": "gpu/4a/lstm/transformer"}
"""The comparison of training in which each of them takes a recurrent network's place."""
PER = {"training": "per training token", "prefill": "per token read", "decoding": "per generated token"}


def finding(atoms: Atoms, verdict: Verdict) -> str:
    """Return the ratio of times of every pair that the rule uses, with its own word where that is another."""
    return _ratios([atom for atom in atoms.values() if atom.in_rule and atom.effect is not None], but=verdict)


def qualifications(atoms: Atoms) -> tuple[str, ...]:
    """Return what each phase says, where the speech of the verdict ends, and what noise took away."""
    found = []
    timed = [atom for atom in atoms.values() if atom.effect is not None]
    refuted = [atom for atom in timed if atom.verdict is Verdict.CONTRADICTED]
    if decoding := [atom for atom in refuted if _phase(atom) == "decoding"]:
        found.append(f"decoding contradicts the sentence: {_ratios(decoding, but=Verdict.CONTRADICTED)}")
    if training := [atom for atom in refuted if _phase(atom) == "training"]:
        ratios = _ratios(training, but=Verdict.CONTRADICTED)
        found.append(f"slower training does not follow from going step by step alone: {ratios}")
    held = [atom for atom in timed if atom.verdict is Verdict.SUPPORTED and _phase(atom) != "prefill"]
    if refuted and held:
        found.append(f"where the sentence holds: {_ratios(held, but=Verdict.SUPPORTED)}")
    if prefill := [atom for atom in timed if _phase(atom) == "prefill"]:
        found.append(f"reading a prompt, not part of the rule: {_ratios(prefill)}")
    devices = {_device(atom) for atom in timed}
    if devices == {"cpu"}:
        found.append("this speaks of this processor alone; on a GPU it was not tested")
    elif devices == {"gpu"}:
        found.append("this speaks of this GPU alone; on a CPU it was not tested")
    if noisy := [atom.name for atom in atoms.values() if "noisy machine" in atom.reason]:
        found.append(f"contended, so without a number: {', '.join(noisy)}")
    return tuple(found)


def beside(tables: Tables, study: Study) -> tuple[str, ...]:
    """Return how recurrent networks that are trained by a scan compare, since not all training goes step by step."""
    rules, told = study.preregistration, []
    for device, name in COMPARED.items():
        atom = rules.claims["C4"].atoms.get(name)
        found = {model: instead(atom, tables, rules, subject=model) for model in SCANNED} if atom else {}
        listed = [f"{SCANNED[model]} {_bounded(one)} (n = {one.n} rounds)" for model, one in found.items() if one]
        if listed:
            told.append(
                "not every recurrent network is trained step by step: by a scan over all steps at once, on a "
                f"{device.upper()}, {', '.join(listed)} times the Transformer's time per training token, descriptive, "
                "95 %"
            )
    return tuple(told)


def _ratios(atoms: list[AtomVerdict], *, but: Verdict | None = None) -> str:
    """Return ln ratios as times, those of one device, phase and reference together, each with its verdict.

    `on a CPU, per training token, an LSTM took 0.36 [0.34, 0.39] times the Transformer's time, n = 15 rounds`.
    but: the verdict that goes without saying.
    """
    kinds = dict.fromkeys((_device(atom), _phase(atom), _name(atom, "reference")) for atom in atoms)
    return "; ".join(
        _together(
            kind, [atom for atom in atoms if (_device(atom), _phase(atom), _name(atom, "reference")) == kind], but
        )
        for kind in kinds
    )


def _together(kind: tuple[str, str, str], atoms: list[AtomVerdict], but: Verdict | None) -> str:
    device, phase, reference = kind
    words = ["" if atom.verdict is but else f" ({atom.verdict})" for atom in atoms]
    listed = [f"{_name(atom, 'subject')} {_bounded(atom)}{word}" for atom, word in zip(atoms, words, strict=True)]
    first = listed[0].replace(_name(atoms[0], "subject"), f"{_name(atoms[0], 'subject')} took", 1)
    counts = sorted({atom.n for atom in atoms})
    n = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return (
        f"on a {device.upper()}, {PER.get(phase, 'per token')}, {', '.join([first, *listed[1:]])} times {reference}'s "
        f"time, n = {n} rounds"
    )


def _bounded(atom: AtomVerdict | Descriptive) -> str:
    return f"{_times(atom.effect)} [{_times(atom.lower, '0')}, {_times(atom.upper, '∞')}]"


def _times(logarithm: float | None, unbounded: str = "–") -> str:
    return unbounded if logarithm is None else number(math.exp(logarithm))


def _name(atom: AtomVerdict, arm: str) -> str:
    family = _family(atom, arm)
    return NAMES.get(family, family)


def _family(atom: AtomVerdict, name: str) -> str:
    arm = atom.arm(name)
    return arm.model.partition("@")[0] if arm else name


def _device(atom: AtomVerdict) -> str:
    return atom.name.partition("/")[0]


def _phase(atom: AtomVerdict) -> str:
    return PHASES.get(atom.name.split("/")[1], "") if "/" in atom.name else ""
