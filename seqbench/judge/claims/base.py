"""The contract of a claim and how one is judged: evidence and Holm's levels in, a frozen verdict out.

A claim's module offers `finding(atoms, verdict) -> str` (the result in plain words), `qualifications(atoms) ->
tuple[str, ...]` (sentences that must stand beside the verdict when the data agree) and `FIGURES` (names of the figures
that show it). It may offer `beside(tables, study) -> tuple[str, ...]`: qualifications from what no hypothesis holds.

A claim that is judged by device has one rule per class of device, and one entry per class that ran in Holm's procedure.
Its atoms are named `device/part/…`; the part says the phase, and every phase of every device gets a sub-verdict.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

import pandas as pd

from seqbench.judge import evidence, posterior, proportions, rules, stats, table, testing
from seqbench.judge.evidence import ArmData, ControlResult, Evidence, finite
from seqbench.judge.posterior import Posterior
from seqbench.judge.rules import AtomLevels, AtomP, Node, Verdict
from seqbench.judge.table import Tables
from seqbench.preregistration import Atom, Claim, Preregistration


@dataclass(frozen=True, slots=True, kw_only=True)
class AtomVerdict:
    """What the records say about one hypothesis. Bounds are one-sided, each at the level of its direction.

    in_rule: whether the claim's verdict depends on it; else it is printed as a qualifier or description.
    posterior: printed beside the verdict, of the same values; flag: that the two say different words, "" where not.
    """

    name: str
    verdict: Verdict
    estimand: str
    unit: str
    test: str
    effect: float | None
    lower: float | None
    upper: float | None
    n: int
    p: AtomP | None
    levels: AtomLevels
    support: float | None
    contradict: float | None
    equivalence: float | None
    below: float | None
    in_rule: bool
    reason: str
    arms: tuple[ArmData, ...]
    controls: tuple[ControlResult, ...]
    posterior: Posterior | None
    flag: str

    def arm(self, name: str) -> ArmData | None:
        """Return an arm by name, or None when the study's pre-registration has none of that name."""
        return next((arm for arm in self.arms if arm.name == name), None)


@dataclass(frozen=True, slots=True)
class Descriptive:
    """A comparison that no hypothesis makes: effect, 95 % interval without regard to multiplicity, replicates."""

    effect: float
    lower: float | None
    upper: float | None
    n: int

    @property
    def sign(self) -> int:
        """Return 1 or −1 where the interval lies on one side of 0, else 0."""
        return int((self.lower or 0) > 0) - int((self.upper or 0) < 0)


Atoms = Mapping[str, AtomVerdict]
UNADJUSTED = AtomLevels(0.025, 0.025)
"""The level of each bound of a comparison that is described and not tested."""
WITHOUT_SPREAD = ("time_to_solve", "time_by_lag", "factor")
"""Tests whose spread is none of single values, so that no number of seeds follows from it."""
PHASES = {"4a": "training", "4b": "training", "4c": "training", "4d": "prefill", "decoding": "decoding"}
"""The phase of an atom by the second part of its name, in a claim that is judged by device."""


@dataclass(frozen=True, slots=True)
class SubVerdict:
    """What the atoms of one phase on one class of device say together; `ran` tells whether any of them has a value."""

    device: str
    phase: str
    verdict: Verdict
    ran: bool
    atoms: tuple[Verdict, ...] = ()

    @property
    def name(self) -> str:
        """Return `device/phase`."""
        return f"{self.device}/{self.phase}"

    @property
    def mixture(self) -> str:
        """Return how many hypotheses say what, as "3 of 6 CONTRADICTED, 1 of 6 SUPPORTED"; "" where all say one."""
        counts = Counter(self.atoms)
        told = [f"{counts[word]} of {len(self.atoms)} {word}" for word in Verdict if counts[word]]
        return ", ".join(told) if len(told) > 1 else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimVerdict:
    """A claim's verdict with everything that must be printed beside it; headline names the atom that decided."""

    claim: str
    title: str
    sentence: str
    rule: str
    verdict: Verdict
    headline: str | None
    wording: str
    qualifications: tuple[str, ...] = ()
    scope: str = ""
    planned: int = 0
    ran: int = 0
    levels: AtomLevels | None = None
    atoms: tuple[AtomVerdict, ...] = field(default=())
    sub_verdicts: tuple[SubVerdict, ...] = ()

    @property
    def deciding(self) -> AtomVerdict | None:
        """Return the atom whose effect, interval and n stand for the claim."""
        return next((atom for atom in self.atoms if atom.name == self.headline), None)


class ClaimModule(Protocol):
    """What the module of a claim must offer."""

    FIGURES: tuple[str, ...]

    def finding(self, atoms: Atoms, verdict: Verdict) -> str:
        """Return the result in plain words with effects and intervals, or "" to use the estimand's words."""

    def qualifications(self, atoms: Atoms) -> tuple[str, ...]:
        """Return the sentences that must stand beside the verdict when the data agree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A claim before its level is known: its rules, its evidence and its p-values in the two directions.

    rules: one rule under the name "", or one per class of device that ran.
    """

    name: str
    claim: Claim
    rules: Mapping[str, Node]
    evidence: Mapping[str, Evidence]
    blocked: str
    scope: str
    planned: int
    ran: int

    @property
    def rule(self) -> Node:
        """Return the rule of the whole claim: all classes of device that ran must agree."""
        parts = tuple(self.rules.values())
        return parts[0] if len(parts) == 1 else Node("and", parts=parts)

    def p(self, part: str) -> AtomP:
        """Return the p-values of one rule of the claim as protocol 7.4 defines them; 1 where it cannot be tested."""
        if self.blocked:
            return AtomP(1.0, 1.0)
        found, rule = self.atom_p(), self.rules[part]
        return AtomP(rules.support_p(rule, found), rules.contradict_p(rule, found))

    def atom_p(self) -> dict[str, AtomP | None]:
        """Return the p-values of every atom, None where it did not run."""
        return {name: item.p for name, item in self.evidence.items()}


def prepare(
    name: str,
    claim: Claim,
    tables: Tables,
    preregistered: Preregistration,
    *,
    trimmed: Mapping[tuple[str, str], str],
) -> Case:
    """Return a claim with its evidence, before multiplicity is known.

    trimmed: why atoms cannot be tested because cells of them are no longer planned, by claim and atom.
    """
    cells = evidence.claim_cells(claim.atoms.values(), tables)
    found = {
        key: evidence.gather(key, atom, tables, preregistered, claim=name, trimmed=trimmed.get((name, key), ""))
        for key, atom in claim.atoms.items()
    }
    return Case(
        name=name,
        claim=claim,
        rules=_rules(claim, found),
        evidence=found,
        blocked=_too_many_errors(cells, preregistered),
        scope=_scope(cells, tables),
        planned=len(cells),
        ran=int((cells[table.STATUS] != table.MISSING).sum()),
    )


def conclude(case: Case, levels: Mapping[str, AtomLevels], module: ClaimModule) -> ClaimVerdict:
    """Return the verdict of a claim whose rules Holm's procedure tests at these levels."""
    reached = _atom_levels(case, levels)
    in_rule = case.rule.atoms()
    atoms = {
        name: _atom_verdict(item, reached[name], name in in_rule, blocked=case.blocked)
        for name, item in case.evidence.items()
    }
    words = {name: atom.verdict for name, atom in atoms.items()}
    found = Verdict.NOT_TESTED if case.blocked else rules.verdict(case.rule, words)
    headline = None if case.blocked else _headline(case.rule, words, case.atom_p())
    part = next((key for key, rule in case.rules.items() if headline in rule.atoms()), next(iter(case.rules)))
    return ClaimVerdict(
        claim=case.name,
        title=case.claim.title,
        sentence=case.claim.sentence,
        rule=_rule_text(case),
        verdict=found,
        headline=headline,
        wording=_wording(found, case, atoms, headline, module),
        qualifications=module.qualifications(atoms),
        scope=case.scope,
        planned=case.planned,
        ran=case.ran,
        levels=levels[part],
        atoms=tuple(atoms.values()),
        sub_verdicts=_sub_verdicts(case, words),
    )


def _rules(claim: Claim, found: Mapping[str, Evidence]) -> dict[str, Node]:
    """Return the rules that are judged: of the classes of device on which a cell of their own ran, else the one."""
    by_device: dict[str, Node] = {device: rules.parse(text) for device, text in claim.by_device.items()}
    ran = {
        device: rule
        for device, rule in by_device.items()
        if any(_ran_there(found[name], device) for name in rule.atoms())
    }
    return ran or {"": rules.parse(claim.rule)}


def _ran_there(item: Evidence, device: str) -> bool:
    """Return whether a cell of an arm that is bound to this class of device ran; other arms may run anywhere."""
    bound = {"gpu": evidence.CUDA}.get(device, device)
    return any(arm.ran for arm in item.arms if item.atom.arms[arm.name].device == bound)


def _rule_text(case: Case) -> str:
    texts = [case.claim.by_device[device] for device in case.rules if device]  # type: ignore[index]
    if len(texts) < 2:
        return texts[0] if texts else case.claim.rule
    return " and ".join(f"({text})" for text in texts)


def _atom_levels(case: Case, levels: Mapping[str, AtomLevels]) -> dict[str, AtomLevels]:
    """Return the level of every atom: of the rule that it stands in, else of its sub-verdict, else of the claim."""
    p = case.atom_p()
    fallback = next(iter(levels.values()))
    found = dict.fromkeys(case.evidence, fallback)
    for (device, _), rule in _phases(case).items():
        found |= rules.atom_levels(rule, p, levels.get(device, fallback))
    for part, rule in case.rules.items():
        found |= rules.atom_levels(rule, p, levels[part])
    return found


def _phases(case: Case) -> dict[tuple[str, str], Node]:
    """Return the rule of every sub-verdict, by device and phase: all its atoms must pass."""
    names: dict[tuple[str, str], list[str]] = {}
    for device in case.claim.by_device:
        for name in case.evidence:
            own, _, rest = name.partition("/")
            if own == device and (phase := PHASES.get(rest.partition("/")[0])):
                names.setdefault((device, phase), []).append(name)
    return {key: rules.parse(" and ".join(listed)) for key, listed in names.items()}


def _sub_verdicts(case: Case, words: Mapping[str, Verdict]) -> tuple[SubVerdict, ...]:
    phases, p = _phases(case), case.atom_p()
    found = []
    for device in case.claim.by_device if phases else ():
        for phase in dict.fromkeys(PHASES.values()):
            if rule := phases.get((device, phase)):
                ran = any(p[name] is not None for name in rule.atoms())
                each = tuple(words[name] for name in rule.atoms())
                found.append(SubVerdict(device, phase, rules.verdict(rule, words), ran, each))
            else:
                found.append(SubVerdict(device, phase, Verdict.NOT_TESTED, ran=False))
    return tuple(found)


def instead(
    atom: Atom,
    tables: Tables,
    rules: Preregistration,
    *,
    at: Mapping[str, object] = MappingProxyType({}),
    **models: str,
) -> Descriptive | None:
    """Return what an atom's comparison gives with other models in some of its arms; None where they did not run.

    at: what all of its arms have instead, as another length or batch.
    """
    given = {name: {**at, **({"model": models[name]} if name in models else {})} for name in atom.arms}
    arms = {name: arm.model_copy(update=given[name]) for name, arm in atom.arms.items()}
    found = evidence.gather("", atom.model_copy(update={"arms": arms}), tables, rules, claim="")
    if (effect := finite(found.effect)) is None:
        return None
    inside = evidence.bounds(found, UNADJUSTED)
    return Descriptive(effect, finite(inside.lower), finite(inside.upper), found.n)


def not_preregistered(name: str, claim: Claim) -> ClaimVerdict:
    """Return the verdict of a claim that the study did not set out to test."""
    return ClaimVerdict(
        claim=name,
        title=claim.title,
        sentence=claim.sentence,
        rule=claim.rule,
        verdict=Verdict.NOT_TESTED,
        headline=None,
        wording="Not tested: this study did not pre-register the claim.",
    )


CEILING = 0.97
"""Above it a normalised recall is so near to 1 that a difference between two such arms is mostly where they stopped."""


def at_ceiling(atom: AtomVerdict | None) -> tuple[str, ...]:
    """Return that both arms of an atom recall nearly all, so that it cannot tell which is better; else nothing."""
    arms = [atom.arm(name) for name in ("subject", "reference")] if atom else []
    means = [arm.mean for arm in arms if arm and arm.mean is not None]
    if atom is None or atom.unit != "normalised recall" or len(means) < 2 or min(means) < CEILING:
        return ()
    return (
        f"both arms of {atom.name} end within {number(1 - min(means))} of perfect recall, where training stops: this "
        "shows that both get there within the budget, and not which is better",
    )


def number(value: float | None) -> str:
    """Return a number with three significant digits and a true minus sign, as it is printed everywhere.

    What is not known, or no number, is a dash.
    """
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "−∞" if value < 0 else "∞"
    magnitude = float(f"{abs(value):.3g}")  # rounded first: 0.9999 has the digits of 1.00
    if magnitude and not 1e-3 <= magnitude < 1e5:
        mantissa, _, exponent = f"{magnitude:.2e}".partition("e")
        text = f"{mantissa}e{int(exponent)}".replace("-", "−")
    else:
        digits = max(0, 2 - math.floor(math.log10(magnitude))) if magnitude else 0
        text = f"{abs(value):.{digits}f}"
    return f"−{text}" if value < 0 else text


def given(value: float | None) -> str:
    """Return a number that somebody chose, as short as it was written: margins, levels, thresholds."""
    return "–" if value is None else f"{value:.3g}".replace("-", "−")


def measured(atom: AtomVerdict) -> str:
    """Return effect, unit, interval and n of an atom as text: `0.57 nat/step [0.55, 0.59], n = 8`."""
    if atom.effect is None:
        return "no value"
    unit = "" if atom.unit == "1" else f" {atom.unit}"
    return f"{number(atom.effect)}{unit} {interval(atom.lower, atom.upper)}, n = {atom.n}"


def interval(lower: float | None, upper: float | None) -> str:
    """Return `[lower, upper]`, or that there is none."""
    if lower is None or upper is None:
        return "[no interval]"
    return f"[{number(lower)}, {number(upper)}]"


def _atom_verdict(item: Evidence, levels: AtomLevels, in_rule: bool, *, blocked: str) -> AtomVerdict:
    bounds = evidence.bounds(item, levels)
    one_margin = item.atom.test in ("descriptive", "tost", "tost_difference", "exact")
    verdict = Verdict.NOT_TESTED if blocked else _word(item, levels)
    beside = None if blocked else testing.beside(item.atom, item.samples)
    return AtomVerdict(
        name=item.name,
        verdict=verdict,
        estimand=item.atom.estimand,
        unit=item.atom.unit,
        test=item.atom.test,
        effect=finite(item.effect),
        lower=finite(bounds.lower),
        upper=finite(bounds.upper),
        n=item.n,
        p=item.p,
        levels=levels,
        support=item.atom.support,
        contradict=None if one_margin else item.atom.contradict,
        equivalence=item.atom.equivalence,
        below=item.atom.below,
        in_rule=in_rule,
        reason="; ".join(part for part in (blocked, item.reason, _more_seeds(item, levels)) if part),
        arms=item.arms,
        controls=item.controls,
        posterior=beside,
        flag=_flag(verdict, beside, item.atom.equivalence),
    )


def bayesian_line(atom: AtomVerdict) -> str:
    """Return what the posterior says of θ and its margins, "" where there is none: `P(θ > δs) = 0.970, …`."""
    if atom.posterior is None:
        return ""
    above, below = _events(atom.equivalence)
    parts = [f"{above} = {number(atom.posterior.support)}", f"{below} = {number(atom.posterior.contradict)}"]
    if atom.equivalence is None and atom.contradict != atom.support:
        parts.insert(1, f"P(δc ≤ θ ≤ δs) = {number(atom.posterior.rope)}")
    return ", ".join(parts)


def _events(equivalence: float | None) -> tuple[str, str]:
    """Return what is probable where the posterior supports, and where it contradicts."""
    return ("P(θ > δs)", "P(θ < δc)") if equivalence is None else ("P(|θ| < Δ)", "P(|θ| ≥ Δ)")


def _flag(verdict: Verdict, beside: Posterior | None, equivalence: float | None) -> str:
    """Return in which way posterior and verdict disagree at `CONFIDENT`, "" where they do not."""
    if beside is None or not posterior.disagrees(verdict, beside):
        return ""
    above, below = _events(equivalence)
    doubted = verdict is Verdict.CONTRADICTED and beside.support < posterior.CONFIDENT
    of_below = doubted or beside.contradict >= posterior.CONFIDENT
    said, share = (below, beside.contradict) if of_below else (above, beside.support)
    tested = {
        Verdict.SUPPORTED: "the test supports it",
        Verdict.CONTRADICTED: "the test contradicts it",
        Verdict.INCONCLUSIVE: "at this level the test decides nothing",
    }
    return f"the posterior gives {said} = {number(share)}, while {tested[verdict]}"


def _word(item: Evidence, levels: AtomLevels) -> Verdict:
    return Verdict.VACUOUS if item.state == "vacuous" else rules.decided(item.p, levels)


def _more_seeds(item: Evidence, levels: AtomLevels) -> str:
    """Return how many seeds would decide an inconclusive atom if effect and spread stay as they are."""
    undecided = item.p is not None and _word(item, levels) == Verdict.INCONCLUSIVE
    if not undecided or item.atom.test in ("tost", "tost_difference", "exact", *WITHOUT_SPREAD):
        return ""
    if item.effect is None:
        return ""
    if item.n < 2 or item.spread is None:
        return "one seed decides nothing"
    above = item.effect > (item.atom.support or 0.0)
    if not above and item.effect >= item.atom.contradict:
        what = "rounds" if item.atom.test == "rounds" else "seeds"
        return f"the effect lies between the margins, where no number of {what} decides"
    if item.atom.test == "rounds":
        return "more processes, or a quieter machine, would be needed"
    return _seeds_needed(item, levels, above=above)


def _seeds_needed(item: Evidence, levels: AtomLevels, *, above: bool) -> str:
    margin = (item.atom.support or 0.0) if above else item.atom.contradict
    level = levels.support if above else levels.contradict
    # The largest of k arms passes where one of them passes at a k-th of the level.
    level = level / len(item.samples) if above and item.atom.test == "maximum" else level
    if item.atom.test == "proportions":
        shares = [float(values.mean()) for values in item.samples]
        needed = proportions.trials_needed(shares[0], shares[1], margin, level=level)
        return "" if needed is None else f"about {needed} seeds per arm would be needed if the shares stay"
    needed = stats.seeds_needed(item.effect or 0.0, item.spread or 0.0, margin, level=level)
    if needed is None:
        return "more than 1000 seeds would be needed if effect and spread stay"
    if needed <= item.n and any(arm.failed for arm in item.arms):
        return "failed cells leave it open: the verdict would differ if they had gone best or worst"
    if needed <= item.n:
        return "the exact test and the t test do not agree at this level"
    return f"about {needed} seeds would be needed if effect and spread stay"


def _headline(rule: Node, words: Mapping[str, Verdict], p: Mapping[str, AtomP | None]) -> str | None:
    """Return the atom that decided: the weakest part of an AND, the strongest of an OR; None where none has a value."""
    if rule.kind == "atom":
        return rule.name
    verdict = rules.verdict(rule, words)
    parts = [part for part in rule.parts if rules.verdict(part, words) == verdict]
    if verdict is Verdict.CONTRADICTED:
        parts.sort(key=lambda part: rules.contradict_p(part, p))
        return _headline(parts[0] if rule.kind == "and" else parts[-1], words, p)
    parts.sort(key=lambda part: rules.support_p(part, p))
    return _headline(parts[-1] if rule.kind == "and" else parts[0], words, p)


def _wording(found: Verdict, case: Case, atoms: Atoms, headline: str | None, module: ClaimModule) -> str:
    """Return the verdict as one sentence with effect, interval, n and scope; it never says "cannot"."""
    if case.blocked:
        return f"Not tested: {case.blocked}."
    atom = atoms[headline] if headline else None
    if atom is None or found in (Verdict.NOT_TESTED, Verdict.VACUOUS):
        reasons = [f"{item.name}: {item.reason}" for item in atoms.values() if item.in_rule and item.verdict is found]
        lead = "Not tested" if found is Verdict.NOT_TESTED else "Vacuous"
        return f"{lead}: {'; '.join(reasons)}."
    result = module.finding(atoms, found) or f"{atom.estimand} ({atom.name}): {measured(atom)}"
    lead = {
        Verdict.SUPPORTED: "Supported",
        Verdict.CONTRADICTED: "Contradicted",
        Verdict.INCONCLUSIVE: "Undecided",
    }[found]
    more = f" ({atom.reason})" if atom.reason and found is Verdict.INCONCLUSIVE else ""
    return f"{lead}: {result}{more}; {case.scope}."


def _too_many_errors(cells: pd.DataFrame, preregistered: Preregistration) -> str:
    """Return why a claim cannot be judged at all; a contended panel is no error, its atoms alone are not tested."""
    excluded = {status for status, rule in preregistered.failures.items() if rule == evidence.EXCLUDED}
    excluded -= {evidence.CONTENDED}
    count = int(cells[table.STATUS].isin(excluded).sum())
    if count <= preregistered.error_share_not_tested * len(cells):
        return ""
    allowed = f"{preregistered.error_share_not_tested:.0%}".replace("%", " %")
    return f"{count} of {len(cells)} cells ended in an error or a crash and say nothing, more than {allowed}"


def _scope(cells: pd.DataFrame, tables: Tables) -> str:
    """Return on what devices and under what budget the claim's cells ran."""
    ran = cells[cells[table.STATUS] != table.MISSING]
    devices = sorted(set(ran[table.DEVICE]))
    parts = [f"on {' and '.join(devices)}" if devices else "on no device yet"]
    for task, rows in ran[ran[table.STEPS] > 0].groupby(table.TASK):
        steps = _span(rows[table.STEPS])
        tokens = (
            tables.wide.reindex(rows[table.FINGERPRINT])["tokens"].dropna() if "tokens" in tables.wide else pd.Series()
        )
        seen = f" and {_span(tokens)} tokens" if len(tokens) else ""
        parts.append(f"{task} under a budget of {steps} steps{seen}")
    for measured_by, words in AT_INITIALISATION.items():
        if (cells[table.PROBE] == measured_by).any():
            parts.append(words)
    timed = ran[ran[table.LANE] == "exclusive"]
    for probe, rows in timed.groupby(table.PROBE):
        sizes = f"batch {_span(rows[table.BATCH])}, T {_span(rows[table.LENGTH])}, {_widths(rows)}"
        parts.append(f"{str(probe).replace('_', ' ')} at {sizes}")
    return ", ".join(parts)


AT_INITIALISATION = {"input_gradient": "gradients at initialisation", "order_symmetry": "order symmetry untrained"}


def _widths(cells: pd.DataFrame) -> str:
    """Return the widths that the suite gave, and the rules that found the others."""
    given = cells.loc[cells[table.MATCH] == "", table.WIDTH]
    rules = sorted(set(cells[table.MATCH]) - {""})
    return ", ".join(([f"width {_span(given)}"] if len(given) else []) + rules)


def _span(values: "pd.Series[float]") -> str:
    low, high = f"{values.min():,.0f}".replace(",", " "), f"{values.max():,.0f}".replace(",", " ")
    return low if low == high else f"{low} to {high}"
