"""Under which conditions in the data a claim's verdict would be another: derived from its atoms, never written."""

from collections.abc import Iterator

from seqbench.judge.claims.base import AtomVerdict, ClaimVerdict, given, measured, number
from seqbench.judge.evidence import ArmData
from seqbench.judge.figures import style
from seqbench.judge.rules import Verdict

DECIDED = (Verdict.SUPPORTED, Verdict.CONTRADICTED)
NOWHERE = "nowhere in these data: every hypothesis that was tested says the same, and no strong control overturns it"


def flips(claim: ClaimVerdict) -> tuple[str, ...]:
    """Return where a verdict turns: other phases, other hypotheses, a strong control; then what was not tested.

    Empty for a claim without a verdict of its own.
    """
    if claim.verdict not in (*DECIDED, Verdict.INCONCLUSIVE):
        return ()
    turned = (*_phases(claim), *_hypotheses(claim), *_strong(claim))
    return (*(turned or (NOWHERE,)), *_open(claim))


def _phases(claim: ClaimVerdict) -> Iterator[str]:
    for item in claim.sub_verdicts:
        if item.ran and item.verdict is not claim.verdict:
            yield f"{item.phase} on {item.device.upper()}: {item.verdict}"


def _hypotheses(claim: ClaimVerdict) -> Iterator[str]:
    """Return the tested hypotheses with another word than the claim's, the decided ones first."""
    tested = [atom for atom in claim.atoms if atom.test != "descriptive" and atom.effect is not None]
    other = [atom for atom in tested if atom.verdict in (*DECIDED, Verdict.INCONCLUSIVE)]
    other = [atom for atom in other if atom.verdict is not claim.verdict]
    for atom in sorted(other, key=lambda atom: atom.verdict not in DECIDED):
        beside = "" if atom.in_rule else ", not part of the rule"
        yield f"{atom.estimand} ({atom.name}{beside}): {atom.verdict}, {measured(atom)}"


def _strong(claim: ClaimVerdict) -> Iterator[str]:
    """Return the hypotheses of the rule whose effect falls under its margin with the strong control as reference."""
    for atom in claim.atoms:
        subject, reference, strong = (atom.arm(name) for name in ("subject", "reference", "strong"))
        if not atom.in_rule or atom.verdict is not Verdict.SUPPORTED or atom.support is None:
            continue
        left = _left(atom, subject, reference, strong)
        if left is None or reference is None or strong is None or left > atom.support:
            continue
        unit = "" if atom.unit == "1" else f" {atom.unit}"
        yield (
            f"{style.look(strong.model).label} in place of {style.look(reference.model).label} ({atom.name}): the "
            f"effect would be {number(left)}{unit}, not above the margin of {given(atom.support)} (a difference of "
            f"means, n = {len(strong.values)}, not tested)"
        )


def _left(atom: AtomVerdict, *arms: ArmData | None) -> float | None:
    """Return what is left of an effect with the strong arm in place of the reference; None where one has no mean."""
    subject, reference, strong = (arm.mean if arm else None for arm in arms)
    if subject is None or reference is None or strong is None or atom.effect is None:
        return None
    sign = 1.0 if (subject - reference) * atom.effect >= 0 else -1.0
    return sign * (subject - strong)


def _open(claim: ClaimVerdict) -> Iterator[str]:
    devices = dict.fromkeys(item.device for item in claim.sub_verdicts)
    unseen = [name for name in devices if not any(item.ran for item in claim.sub_verdicts if item.device == name)]
    for device in unseen:
        yield f"open: {device.upper()}, {Verdict.NOT_TESTED}"
    untested = [
        atom
        for atom in claim.atoms
        if atom.verdict is Verdict.NOT_TESTED
        and atom.test != "descriptive"
        and atom.name.partition("/")[0] not in unseen
    ]
    if unplanned := [atom.name for atom in untested if not any(arm.planned for arm in atom.arms)]:
        yield f"open: {', '.join(unplanned)}, {Verdict.NOT_TESTED} (the study plans no cells for them)"
    for atom in untested:
        if atom.name not in unplanned:
            why = f" ({atom.reason})" if atom.reason else ""
            yield f"open: {atom.estimand} ({atom.name}), {Verdict.NOT_TESTED}{why}"
