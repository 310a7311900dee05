"""C4: recurrent networks go step by step, and are therefore slower in training and in inference."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from seqbench.judge import evidence, table
from seqbench.judge.claims.base import PHASES, Atoms, AtomVerdict, Descriptive, instead, number
from seqbench.judge.rules import Verdict
from seqbench.judge.table import Tables
from seqbench.plan import Study
from seqbench.preregistration import Arm, Atom

FIGURES = ("time_ratio", "time_per_token", "decode_time", "tokens_by_batch", "crossover_map", "memory_by_length")
NAMES = {"rnn": "a vanilla RNN", "lstm": "an LSTM", "gru": "a GRU", "transformer": "the Transformer", "tcn": "the TCN"}
SCANNED = {"mingru": "minGRU", "minlstm": "minLSTM", "lru": "LRU", "linear_attention": "linear attention"}
"""Recurrent networks that are trained by a scan over all steps at once."""
COMPARED = {"cpu": "cpu/4c/lstm/transformer", "gpu": "gpu/4a/lstm/transformer"}
"""The comparison of training in which each of them takes a recurrent network's place."""
Setting = Mapping[str, object]
SETTING = (table.BATCH, table.LENGTH, table.THREADS, table.TIER)
"""What a pair may be timed at beside what is judged: another batch, length, number of threads or tier."""
ANOTHER = "another batch, length, tier or number of threads"
NO_OTHER = "no other batch, length, tier or number of threads"
STRONGEST = 3
"""So many pairs of a phase and reference are named that point the other way elsewhere, each where it does so most."""
PER = {"training": "per training token", "prefill": "per token read", "decoding": "per generated token"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two models that are judged, and what they give there and at every other setting that was timed.

    at: where they are judged, in words.
    """

    device: str
    phase: str
    subject: str
    reference: str
    at: tuple[str, ...]
    judged: Descriptive
    elsewhere: tuple[tuple[Setting, Descriptive], ...]

    @property
    def other_way(self) -> list[tuple[Setting, Descriptive]]:
        """Return where the faster of the two is the slower one, both intervals lying on one side; most so first."""
        found = [one for one in self.elsewhere if one[1].sign * self.judged.sign < 0]
        return sorted(found, key=lambda one: -abs(one[1].effect))


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
    """Return how what is judged changes with batch, length and tier, and how networks trained by a scan compare."""
    return (*_elsewhere(_pairs(tables, study)), *_scanned(tables, study))


def _scanned(tables: Tables, study: Study) -> Iterator[str]:
    """Yield how recurrent networks that are trained by a scan compare, since not all training goes step by step."""
    rules = study.preregistration
    for device, name in COMPARED.items():
        atom = rules.claims["C4"].atoms.get(name)
        found = [_pair(name, atom, tables, study, model=model) for model in SCANNED] if atom else []
        pairs = [pair for pair in found if pair]
        listed = [f"{pair.subject} {_bounded(pair.judged)} (n = {pair.judged.n} rounds)" for pair in pairs]
        if listed:
            yield (
                "not every recurrent network is trained step by step: by a scan over all steps at once, on a "
                f"{device.upper()}, {', '.join(listed)} times the Transformer's time per training token, descriptive, "
                f"95 %; {_other_ways(pairs)}"
            )


def _pairs(tables: Tables, study: Study) -> list[Pair]:
    """Return the pairs of models that are judged and ran."""
    atoms = study.preregistration.claims["C4"].atoms
    found = (_pair(name, atom, tables, study) for name, atom in atoms.items() if atom.test == "rounds")
    return [pair for pair in found if pair]


def _pair(name: str, atom: Atom, tables: Tables, study: Study, *, model: str | None = None) -> Pair | None:
    """Return an atom's pair, with another model as the subject where one is given; None where it did not run."""
    rules, arm = study.preregistration, atom.arms["subject"].of(model or atom.arms["subject"].title)
    judged = instead(atom, tables, rules, subject=arm.title)
    if judged is None:
        return None
    own, others = _settings(arm, tables)
    found = [(at, instead(atom, tables, rules, at=at, subject=arm.title)) for at in others]
    device, _, rest = name.partition("/")
    return Pair(
        device=device,
        phase=PHASES.get(rest.partition("/")[0], ""),
        subject=_called(arm.title),
        reference=_called(atom.arms["reference"].title),
        at=tuple(map(_at, own)),
        judged=judged,
        elsewhere=tuple((at, one) for at, one in found if one is not None),
    )


def _settings(arm: Arm, tables: Tables) -> tuple[list[Setting], list[Setting]]:
    """Return the settings that an arm asks for, and all others that its model was planned to be timed at."""
    kinds, _ = tables.kinds
    anywhere = arm.model_copy(update={"batch": None, "length": None, "threads": None})
    tiers = [anywhere.model_copy(update={"tier": tier}) for tier in sorted(set(kinds[table.TIER]))]
    own = evidence.matches(arm, kinds)
    others = pd.concat([kinds[evidence.matches(one, kinds) & ~own] for one in tiers])
    return _each(kinds[own]), _each(others)


def _each(rows: pd.DataFrame) -> list[Setting]:
    settings = rows[list(SETTING)].drop_duplicates().sort_values(list(SETTING))
    return [dict(zip(SETTING, values, strict=True)) for values in settings.itertuples(index=False)]


def _elsewhere(pairs: list[Pair]) -> Iterator[str]:
    """Yield for each phase how it was timed where it is judged, and where its pairs point the other way."""
    for device, phase in dict.fromkeys((pair.device, pair.phase) for pair in pairs if pair.phase):
        own = [pair for pair in pairs if (pair.device, pair.phase) == (device, phase)]
        judged = dict.fromkeys(at for pair in own for at in pair.at)
        yield f"{phase} on a {device.upper()} is judged at {' and at '.join(judged)}; {_other_ways(own)}"


def _other_ways(pairs: list[Pair]) -> str:
    """Return how many of the further timings of these pairs point the other way, and which do so most."""
    timed, turned = (sum(map(len, each)) for each in zip(*((p.elsewhere, p.other_way) for p in pairs), strict=True))
    if not timed:
        return f"these pairs were timed at {NO_OTHER}"
    verb = "point" if turned > 1 else "points"
    told = f"{turned or 'none'} of {timed} timings of these pairs at {ANOTHER} {verb} the other way"
    return f"{told}: {'; '.join(_strongest(pairs))}; descriptive, 95 %" if turned else told


def _strongest(pairs: list[Pair]) -> Iterator[str]:
    """Yield the pairs that point the other way elsewhere, those of one setting together."""
    found: dict[str, dict[str, list[str]]] = {}
    for reference in dict.fromkeys(pair.reference for pair in pairs):
        turned = [(pair, *pair.other_way[0]) for pair in pairs if pair.reference == reference and pair.other_way]
        for pair, at, one in sorted(turned, key=lambda each: -abs(each[2].effect))[:STRONGEST]:
            told = f"{pair.subject} {_bounded(one)} (n = {one.n} rounds)"
            found.setdefault(_at(at), {}).setdefault(reference, []).append(told)
    for place, beside in found.items():
        ratios = [f"{', '.join(listed)} times {reference}'s time" for reference, listed in beside.items()]
        yield f"at {place}, {' and '.join(ratios)}"


def _at(setting: Setting) -> str:
    """Return a setting in words: `batch 512, T 128, launched kernel by kernel in single precision`."""
    batch, length, threads, tier = (setting[name] for name in SETTING)
    several = f", {threads} threads" if threads != 1 else ""
    return f"batch {batch}, T {f'{length:,}'.replace(',', ' ')}{several}, {table.tier_in_words(str(tier))}"


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


def _name(atom: AtomVerdict, name: str) -> str:
    arm = atom.arm(name)
    return _called(arm.model) if arm else name


def _called(model: str) -> str:
    """Return what a model is called in a sentence."""
    family = model.partition("@")[0]
    return (NAMES | SCANNED).get(family, family)


def _device(atom: AtomVerdict) -> str:
    return atom.name.partition("/")[0]


def _phase(atom: AtomVerdict) -> str:
    return PHASES.get(atom.name.split("/")[1], "") if "/" in atom.name else ""
