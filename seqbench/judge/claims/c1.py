"""C1: vanilla recurrent networks suffer from vanishing or exploding gradients."""

from seqbench import plan, variant
from seqbench.judge import table
from seqbench.judge.claims.base import Atoms, AtomVerdict, at_ceiling, given, interval, measured, number
from seqbench.judge.evidence import matches
from seqbench.judge.figures import style
from seqbench.judge.rules import Verdict
from seqbench.judge.table import Tables
from seqbench.plan import Study

FIGURES = ("gradient_by_lag", "gradient_slopes", "recall_by_lag", "gradient_norm_training")


def finding(atoms: Atoms, verdict: Verdict) -> str:
    """Return what happens to gradients and what harm it does."""
    if verdict not in (Verdict.SUPPORTED, Verdict.CONTRADICTED):
        return ""
    vanishing, exploding, harm = (atoms.get(name) for name in ("1a", "1b", "1c"))
    parts = []
    if vanishing and vanishing.verdict is Verdict.SUPPORTED:
        parts.append(
            f"the gradient of a vanilla RNN shrank by {number(vanishing.effect)} nat per step of lag at library "
            f"initialisation {interval(vanishing.lower, vanishing.upper)}, n = {vanishing.n}"
        )
    if exploding and exploding.verdict is Verdict.SUPPORTED:
        parts.append(
            f"the gradient of a vanilla RNN grew by up to {number(exploding.effect)} nat per step of lag in the "
            f"sweep of gains {interval(exploding.lower, exploding.upper)}, n = {exploding.n}"
        )
    if harm and harm.verdict is Verdict.SUPPORTED:
        parts.append(f"an LSTM with forget bias 1 recalled more at lags 51–99, by {measured(harm)} seeds per arm")
    if harm and harm.verdict is Verdict.CONTRADICTED:
        parts.insert(
            0,
            "once trained, a vanilla RNN kept up with an LSTM with forget bias 1 at lags 51–99: LSTM minus vanilla "
            f"{measured(harm)} seeds per arm{_both(harm)}",
        )
        if len(parts) > 1:
            parts[1] = f"so it did in spite of its gradients: {parts[1]}"
    return "; ".join(parts)


def _both(harm: AtomVerdict) -> str:
    """Return what the two arms reached, which tells whether both recall or neither does."""
    means = [arm.mean for name in ("reference", "subject") if (arm := harm.arm(name)) and arm.mean is not None]
    return f" (vanilla {number(means[0])}, LSTM {number(means[1])})" if len(means) == 2 else ""


def qualifications(atoms: Atoms) -> tuple[str, ...]:
    """Return what the sentence leaves out, as far as the data show it."""
    found = []
    avoidable, vanishing, exploding, harm = (atoms.get(name) for name in ("1d", "1a", "1b", "1c"))
    if avoidable and avoidable.verdict is Verdict.SUPPORTED:
        found.append(_about_initialisations(avoidable))
    if vanishing and vanishing.verdict is Verdict.SUPPORTED:
        found.append(_about_exploding(exploding))
    strong = harm.arm("strong") if harm else None
    if strong and strong.mean is not None and harm:
        found.append(
            f"strong control: with identity initialisation (IRNN) the vanilla RNN reached "
            f"{number(strong.mean)} {harm.unit}, n = {len(strong.values)}, under the same budget"
        )
    return (*found, *at_ceiling(harm), *_not_enough(exploding))


def beside(tables: Tables, study: Study) -> tuple[str, ...]:
    """Return that gradients were clipped where 1c was measured, which treats exploding and not vanishing."""
    harm = study.preregistration.claims["C1"].atoms.get("1c")
    if harm is None:
        return ()
    asked = matches(harm.arms["reference"], tables.cells) & (tables.cells[table.STATUS] != table.MISSING)
    ran = set(tables.cells.loc[asked, table.FINGERPRINT])
    norms = {
        entry.cell.training.clip_norm
        for entry in plan.planned(study)
        if entry.cell.training and entry.fingerprint in ran
    }
    if not norms or None in norms:
        return ()
    listed = " or ".join(given(norm) for norm in sorted(norm for norm in norms if norm is not None))
    return (
        f"the recall of 1c was trained with gradients clipped at a norm of {listed}: clipping bounds an exploding "
        "gradient and leaves a vanishing one as it is",
    )


def _about_initialisations(atom: AtomVerdict) -> str:
    """Return which initialisations keep the gradient within the pre-registered ±Δ, and which do not."""
    within = atom.equivalence or 0.0
    arms = [arm for arm in atom.arms if arm.mean is not None and arm.lower is not None and arm.upper is not None]
    keep = [arm.name for arm in arms if -within < (arm.lower or 0.0) and (arm.upper or 0.0) < within]
    lose = [f"{arm.name} {number(arm.mean)} nat/step" for arm in arms if arm.name not in keep]
    if not keep:
        return "with standard initialisation; another one may remove the vanishing at initialisation"
    text = (
        f"with standard initialisation; the {' or '.join(keep)} initialisation removes the vanishing at initialisation"
    )
    return f"{text}, the other does not ({', '.join(lose)})" if lose else text


def _about_exploding(sweep: AtomVerdict | None) -> str:
    """Return what the gain sweep shows beside the vanishing; an arm explodes where its interval lies above 0."""
    arms = [arm for arm in sweep.arms if arm.lower is not None] if sweep else []
    exploding = [_gain(arm.model) for arm in arms if (arm.lower or 0.0) > 0]
    if not arms:
        return "at library initialisation gradients only vanish; exploding was not tested"
    if not exploding:
        return "vanishing only: gradients exploded nowhere in the gain sweep"
    if min(exploding) > 1:
        return "gradients exploded only at recurrent gains above 1 in the sweep; at library initialisation they vanish"
    return "at library initialisation gradients only vanish"


def _not_enough(sweep: AtomVerdict | None) -> tuple[str, ...]:
    """Return at which gains above 1 gradients did not grow in every seed."""
    arms = [arm for arm in sweep.arms if arm.values and _gain(arm.model) > 1] if sweep else []
    grew = [(arm, sum(value > 0 for value in arm.values)) for arm in arms]
    listed = [
        f"{style.look(arm.model).label} in {count} of {len(arm.values)} seeds"
        for arm, count in grew
        if count < len(arm.values)
    ]
    return (f"a gain above 1 was not sufficient: gradients grew at {', at '.join(listed)}",) if listed else ()


def _gain(model: str) -> float:
    return float(dict(variant.parse(model).options).get("gain", 1.0))
