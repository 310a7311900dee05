"""How often a suite's claims are decided by chance alone where the truth lies at a margin, and how often beyond it.

    OMP_NUM_THREADS=1 python benchmarks/error_rates.py [--studies N] [--seeds] [CLAIM ...]

Studies of the suite quick, on a CPU and with a real text, are drawn as the values that each atom's test is given; the
p-values, the rule of the claim and its levels are those of judging. Seeds and rounds are what the suite plans.

Under the null hypothesis of SUPPORTED an AND has at least one part that is not true, so all of its parts but one lie
far in favour and that one at its support margin; an OR has none that is true, so all lie at their margins. CONTRADICTED
is the dual, at the contradiction margins. Of all such truths, of all parts at their margins, and of what the hypothesis
leaves open (`Nuisance`) the largest rate counts. Holm's procedure tests a claim at the whole level, an eighth of it, or
between. Beyond the margins: all parts by 2 SD. Atoms that have an arm in common have its noise in common.

Prints one JSON object per claim and direction: the largest rates and where they were found, and the power; with --seeds
also the fewest seeds of every arm (and the fewest processes of every panel) with which the power would be enough.
"""

import argparse
import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np

from seqbench import plan, suite
from seqbench.judge import evidence, rules, table, testing
from seqbench.judge.rules import AtomLevels, AtomP, Node, Verdict
from seqbench.judge.stats import Array
from seqbench.judge.testing import Samples
from seqbench.measure.models import MODELS
from seqbench.measure.probes import PROBES
from seqbench.preregistration import Atom
from seqbench.record import CorpusFacts
from seqbench.store import Contents

SUITE = "quick"
LEVEL = 0.05
HOLM_WORST = LEVEL / 8
ENOUGH = 0.8
BEYOND = 2.0
"""How far beyond its margin a truth lies where power is asked for, in SD."""
FAR = 1000.0
"""How far, in SD, an atom lies from its margin that shall decide nothing."""
MOST_SEEDS = 19
"""Beyond, tests resample, and a thousand studies take hours."""
SPREADS: Mapping[str, float] = {
    "gradient_slope": 0.05,
    "recall": 0.1,
    "recall_far": 0.1,
    "recall_auc": 0.1,
    "order_drop": 0.1,
    "bits_recalled": 0.1,
    "bits_per_character": 0.02,
    "seconds_per_token": 0.05,
    "solved": 0.5,
    "7a": 0.0015,
    "7b": 0.01,
}
"""SD over seeds (over rounds, of the ln ratio) by measurement, or by atom where it is another one.

Values lie as many of them from the margins as is asked, so that rates depend on them in tests of equivalence alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nuisance:
    """What a null hypothesis leaves open.

    share: of the seeds of `subject` that solve their task. process: SD of what is common to all rounds of a process, in
    SD of a round. spread: SD of `subject` and `reference`, in SD.
    """

    share: float = 1.0
    process: float = 0.0
    spread: tuple[float, float] = (1.0, 1.0)


SHARES = tuple(Nuisance(share=share / 20) for share in range(20, -1, -1))
PROCESSES = tuple(Nuisance(process=process) for process in (0.0, 0.25, 0.5, 1.0, 4.0))
UNEQUAL = tuple(Nuisance(spread=spread) for spread in ((1.0, 1.0), (1.0, 0.1), (0.1, 1.0)))


@dataclass(frozen=True, slots=True, order=True)
class Leaf:
    """What can lie at a margin on its own: an atom, or an arm of a maximum."""

    atom: str
    arm: str = ""


Places = Mapping[Leaf, float]
"""How far beyond its margin θ lies, in SD; against the direction where negative."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """A claim with what a suite plans for it.

    sizes: atom -> arm -> seeds of every arm that its test uses; nothing where an arm is not planned. panels: atom ->
    processes and rounds in each.
    """

    name: str
    rule: Node
    atoms: Mapping[str, Atom]
    sizes: Mapping[str, Mapping[str, int]]
    panels: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def runs(self, atom: str) -> bool:
        """Return whether every arm of an atom is planned."""
        return all(self.sizes[atom].values())

    def leaves(self, atom: str) -> list[Leaf]:
        """Return the leaves of an atom, none where it does not run."""
        if not self.runs(atom):
            return []
        arms = self.sizes[atom] if self.atoms[atom].test == "maximum" else ("",)
        return [Leaf(atom, arm) for arm in arms]

    def with_at_least(self, seeds: int, processes: int) -> "Design":
        """Return the same claim with at least so many seeds in each arm, and processes in each panel."""
        sizes = {atom: {arm: max(n, seeds) if n else 0 for arm, n in arms.items()} for atom, arms in self.sizes.items()}
        panels = {atom: (max(held, processes), rounds) for atom, (held, rounds) in self.panels.items()}
        return replace(self, sizes=sizes, panels=panels)


def designs() -> dict[str, Design]:
    """Return the design of every claim of the suite, for a CPU and with a real text."""
    text = CorpusFacts(name="a text", sha256="0" * 64, split="story")
    study = plan.study(SUITE, suite.find(SUITE)[1], text=text, known_models=MODELS, known_probes=PROBES)
    cells = table.cells(study, Contents((), ()))
    timings = {entry.fingerprint: entry.cell.timing for entry in plan.planned(study)}
    found = {}
    for name, claim in study.preregistration.claims.items():
        rule = rules.parse(claim.by_device.get("cpu", claim.rule))
        atoms = {atom: claim.atoms[atom] for atom in rule.atoms()}
        planned = {
            key: {arm: cells[evidence.matches(atom.arms[arm], cells)] for arm in atom.deciding}
            for key, atom in atoms.items()
        }
        sizes = {
            key: {arm: int(rows[table.SEED].nunique()) for arm, rows in arms.items()} for key, arms in planned.items()
        }
        timed = {
            key: timing
            for key, arms in planned.items()
            for fingerprint in arms.get("subject", cells[:0])[table.FINGERPRINT]
            if (timing := timings[fingerprint])
        }
        panels = {key: (timing.processes, timing.rounds) for key, timing in timed.items()}
        found[name] = Design(name=name, rule=rule, atoms=atoms, sizes=sizes, panels=panels)
    return found


def nulls(design: Design, direction: Verdict) -> list[Places]:
    """Return the truths under which the direction is wrong and yet most likely; of those that differ in names, one."""
    known = set(_nulls(design, design.rule, direction))
    hardest = [chosen for chosen in known if not any(other < chosen for other in known)]
    found: dict[tuple[str, ...], Places] = {}
    for chosen in sorted(map(sorted, hardest)):
        profile = sorted(str(_profile(design, leaf)) for leaf in chosen)
        found.setdefault(tuple(profile), dict.fromkeys(chosen, 0.0))
    return list(found.values())


def everywhere(design: Design, direction: Verdict) -> Places:
    """Return the truth that puts all parts at their margins at once: never harder than the hardest of `nulls`."""
    chosen = (leaf for key in design.atoms for leaf in design.leaves(key))
    certain = "exact" if direction is Verdict.SUPPORTED else None
    return {leaf: 0.0 for leaf in chosen if design.atoms[leaf.atom].test != certain}


def _nulls(design: Design, node: Node, direction: Verdict) -> list[frozenset[Leaf]]:
    """Return the sets of leaves that must lie at their margins, one set for each way to make the direction wrong."""
    if node.kind == "atom":
        return _nulls_of(design, node.name, direction)
    parts = [_nulls(design, part, direction) for part in node.parts]
    if node.kind == ("or" if direction is Verdict.SUPPORTED else "and"):
        return [frozenset().union(*chosen) for chosen in product(*parts)]
    return [chosen for part in parts for chosen in part]


def _nulls_of(design: Design, key: str, direction: Verdict) -> list[frozenset[Leaf]]:
    leaves, test = design.leaves(key), design.atoms[key].test
    if not leaves:  # it is never decided, whatever the truth
        return [frozenset()]
    if test == "exact":  # no chance: what breaks the bound is never supported, what keeps it never contradicted
        return [] if direction is Verdict.SUPPORTED else [frozenset(leaves)]
    if test == "maximum" and direction is Verdict.CONTRADICTED:  # one arm is enough; the arms are alike
        return [frozenset(leaves[:1])]
    return [frozenset(leaves)]


def _profile(design: Design, leaf: Leaf) -> tuple[object, ...]:
    atom = design.atoms[leaf.atom]
    sizes = tuple(design.sizes[leaf.atom].values())
    return atom.test, sizes, design.panels.get(leaf.atom), atom.support, atom.contradict, atom.equivalence


def nuisances(design: Design) -> tuple[Nuisance, ...]:
    """Return what the null hypothesis of a claim leaves open, and what studies with it must be drawn for."""
    running = [key for key in design.atoms if design.runs(key)]
    tests = {design.atoms[key].test for key in running}
    uneven = any(design.atoms[key].test == "two_sample" and len(set(design.sizes[key].values())) > 1 for key in running)
    found = (SHARES if "proportions" in tests else ()) + (PROCESSES if "rounds" in tests else ())
    return found + (UNEQUAL if uneven else ()) or (Nuisance(),)


class Studies:
    """Many studies of one claim: their noise, drawn once for whatever truth is asked about, and p-values seen before.

    An arm's values have the same noise whichever atoms look at them.
    """

    def __init__(self, design: Design, studies: int) -> None:
        self.design, self.studies = design, studies
        self._noise: dict[object, Array] = {}
        self._known: dict[object, AtomP] = {}

    def rate(self, places: Places, nuisance: Nuisance, direction: Verdict, level: float) -> int:
        """Return how many studies get the verdict `direction` where the claim is tested at `level`."""
        rule, both = self.design.rule, AtomLevels(level, level)
        count = 0
        for p in self.p_values(places, nuisance, direction):
            levels = rules.atom_levels(rule, p, both)
            words = {key: rules.decided(found, levels[key]) for key, found in p.items()}
            count += rules.verdict(rule, words) is direction
        return count

    def p_values(self, places: Places, nuisance: Nuisance, direction: Verdict) -> Iterator[dict[str, AtomP | None]]:
        """Yield the p-values of every atom of each study; atoms that are not in `places` lie far in the direction."""
        drawn = {key: self._samples(key, places, nuisance, direction) for key in self.design.atoms}
        for one in range(self.studies):
            yield {
                key: self._p(key, tuple(values[one] for values in samples)) if samples else None
                for key, samples in drawn.items()
            }

    def _p(self, key: str, samples: Samples) -> AtomP:
        asked = (key, *(values.tobytes() for values in samples))
        if asked not in self._known:
            self._known[asked] = testing.p_values(self.design.atoms[key], samples, _generator(self.design.name, key))
        return self._known[asked]

    def _samples(self, key: str, places: Places, nuisance: Nuisance, direction: Verdict) -> Samples:
        """Return the values that an atom's test is given in all studies, nothing where it does not run.

        One array per sample: (studies, n). What lies far away is the first study's in all of them: the noise of it
        decides nothing.
        """
        design, atom = self.design, self.design.atoms[key]
        if not design.runs(key):
            return ()
        towards = {leaf.arm: places.get(leaf, FAR) for leaf in design.leaves(key)}
        drawn = SAMPLERS[atom.test](self, key, towards, nuisance, 1.0 if direction is Verdict.SUPPORTED else -1.0)
        decides_nothing = atom.test not in ("tost", "proportions") and set(towards.values()) == {FAR}
        return tuple(np.broadcast_to(values[:1], values.shape) for values in drawn) if decides_nothing else drawn

    def margin(self, key: str, side: float) -> float:
        """Return the margin of an atom's direction."""
        atom = self.design.atoms[key]
        return (atom.support or 0.0) if side > 0 else atom.contradict

    def spread(self, key: str) -> float:
        """Return the SD of an atom's values."""
        return SPREADS[key if key in SPREADS else self.design.atoms[key].measurement]

    def normal(self, key: str, arm: str, what: str = "seeds", *shape: int) -> Array:
        """Return standard normal noise of an arm, in every study alike where atoms share it: (studies, *shape)."""
        return self._drawn(key, arm, what, shape or (self.design.sizes[key][arm],), uniform=False)

    def uniform(self, key: str, arm: str) -> Array:
        """Return uniform noise of an arm: (studies, n)."""
        return self._drawn(key, arm, "uniform", (self.design.sizes[key][arm],), uniform=True)

    def _drawn(self, key: str, arm: str, what: str, shape: tuple[int, ...], *, uniform: bool) -> Array:
        atom = self.design.atoms[key]
        name = f"{atom.arms[arm]!r} {atom.measurement} {what} {shape}"
        if name not in self._noise:
            rng = _generator(self.design.name, name)
            size = (self.studies, *shape)
            self._noise[name] = rng.random(size) if uniform else rng.standard_normal(size)
        return self._noise[name]


Towards = Mapping[str, float]


def _one_arm(all_: Studies, key: str, towards: Towards, _: Nuisance, side: float) -> Samples:
    atom, spread, margin = all_.design.atoms[key], all_.spread(key), all_.margin(key, side)
    places = {(arm or "subject"): place for arm, place in towards.items()}
    return tuple(margin + spread * (side * place + atom.sign * all_.normal(key, arm)) for arm, place in places.items())


def _two_arms(all_: Studies, key: str, towards: Towards, nuisance: Nuisance, side: float) -> Samples:
    atom, spread = all_.design.atoms[key], all_.spread(key)
    subject, reference = (
        atom.sign * spread * share * all_.normal(key, arm)
        for arm, share in zip(("subject", "reference"), nuisance.spread, strict=True)
    )
    return all_.margin(key, side) + side * spread * towards[""] + subject, reference


def _equivalence(all_: Studies, key: str, towards: Towards, _: Nuisance, side: float) -> Samples:
    """Return values around +Δ; towards support they lie nearer to zero, and no nearer than zero."""
    spread, bound = all_.spread(key), all_.design.atoms[key].equivalence or 0.0
    return (max(0.0, bound - side * towards[""] * spread) + spread * all_.normal(key, "subject"),)


def _shares(all_: Studies, key: str, towards: Towards, nuisance: Nuisance, side: float) -> Samples:
    """Return ones and zeros; the shares differ by the margin, or by more as far as shares can."""
    least = nuisance.share - all_.margin(key, side) - side * towards[""] * all_.spread(key)
    return tuple(
        np.asarray(all_.uniform(key, arm) < share, dtype=np.float64)
        for arm, share in (("subject", nuisance.share), ("reference", least))
    )


def _rounds(all_: Studies, key: str, towards: Towards, nuisance: Nuisance, side: float) -> Samples:
    """Return ln ratios of rounds, one array per process; each model has its noise, half the variance of a ratio's."""
    processes, rounds = all_.design.panels[key]

    def times(arm: str) -> Array:  # (studies, processes, rounds)
        common = nuisance.process * all_.normal(key, arm, "processes", processes, 1)
        return (all_.normal(key, arm, "rounds", processes, rounds) + common) / math.sqrt(2)

    middle = all_.margin(key, side) + side * towards[""] * all_.spread(key)
    ratios = middle + all_.spread(key) * (times("subject") - times("reference"))
    return tuple(ratios[:, process] for process in range(processes))


def _exact(all_: Studies, key: str, towards: Towards, _: Nuisance, side: float) -> Samples:
    """Return values that are all zero, or, far against the sentence, all beyond the bound."""
    broken = side < 0 and towards[""] > 0
    value = 2 * (all_.design.atoms[key].below or 0.0) if broken else 0.0
    return (np.full((all_.studies, all_.design.sizes[key]["subject"]), value),)


SAMPLERS = {
    "one_sample": _one_arm,
    "maximum": _one_arm,
    "two_sample": _two_arms,
    "tost": _equivalence,
    "proportions": _shares,
    "rounds": _rounds,
    "exact": _exact,
}


def _generator(*names: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.sha256("/".join(names).encode()).digest()[:8]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How many of the studies were decided, and under which truth."""

    count: int
    places: Places
    nuisance: Nuisance


def largest_rate(
    studies: Studies, direction: Verdict, level: float, truths: Iterable[Places], left_open: Iterable[Nuisance]
) -> Rate:
    """Return the largest number of studies that any of these truths lets be decided in a direction."""
    found = [
        Rate(count=studies.rate(places, nuisance, direction, level), places=places, nuisance=nuisance)
        for places, nuisance in product(truths, left_open)
    ]
    return max(found, key=lambda rate: rate.count)


def power(studies: Studies, direction: Verdict, level: float, *, process: float = 0.0) -> float:
    """Return the share of studies that are decided where every part lies `BEYOND` its margin; of a maximum, one arm."""
    design, places = studies.design, {}
    supports = direction is Verdict.SUPPORTED
    for key, atom in design.atoms.items():
        for place, leaf in enumerate(design.leaves(key)):
            alone = place == 0 or not supports
            places[leaf] = 0.0 if atom.test == "exact" else BEYOND if alone else -FAR
    nuisance = Nuisance(share=float(supports), process=process)
    return studies.rate(places, nuisance, direction, level) / studies.studies


def seeds_enough(design: Design, direction: Verdict, level: float, studies: int) -> str:
    """Return with how many seeds per arm, or processes per panel, the power is enough."""
    unit, start = ("processes", 3) if design.panels else ("seeds", 5)
    for least in range(start, MOST_SEEDS + 1):
        larger = design.with_at_least(least, least if design.panels else 0)
        if power(Studies(larger, studies), direction, level) >= ENOUGH:
            return f"{least} {unit}"
    return f"more than {MOST_SEEDS} {unit}"


def main() -> None:
    """Print what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("claims", nargs="*", metavar="CLAIM", help="C1 to C8; all of them by default")
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--seeds", action="store_true", help="also look for how many seeds would be enough")
    asked = parser.parse_args()
    known = designs()
    for name in asked.claims or known:
        studies = Studies(known[name], asked.studies)
        for direction in (Verdict.SUPPORTED, Verdict.CONTRADICTED):
            print(json.dumps(row(studies, direction, seeds=asked.seeds)), flush=True)


def row(studies: Studies, direction: Verdict, *, seeds: bool) -> dict[str, object]:
    """Return what is printed of a claim and a direction."""
    design = studies.design
    found: dict[str, object] = {"claim": design.name, "direction": direction.value}
    for label, level in (("level", LEVEL), ("level / 8", HOLM_WORST)):
        worst = largest_rate(studies, direction, level, nulls(design, direction), nuisances(design))
        at_once = largest_rate(studies, direction, level, [everywhere(design, direction)], nuisances(design))
        at = sorted({leaf.atom for leaf in worst.places})
        found[label] = {
            "decided": f"{worst.count} of {studies.studies}",
            "at the margin": at,
            "nuisance": str(worst.nuisance),
            "all at their margins": at_once.count,
            "power": power(studies, direction, level),
        }
        if seeds:
            found[f"{label}, enough"] = seeds_enough(design, direction, level, studies.studies)
    return found


if __name__ == "__main__":
    main()
