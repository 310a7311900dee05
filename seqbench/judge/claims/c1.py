"""C1: vanilla recurrent networks suffer from vanishing or exploding gradients."""

from seqbench.judge.claims.base import Atoms, measured, number
from seqbench.judge.rules import Verdict

FIGURES = ("gradient_by_lag", "gradient_slopes", "recall_by_lag", "gradient_norm_training")


def finding(atoms: Atoms) -> str:
    """Return what happens to gradients and what harm it does."""
    vanishing, exploding, harm = (atoms.get(name) for name in ("1a", "1b", "1c"))
    parts = []
    if vanishing and vanishing.verdict is Verdict.SUPPORTED:
        parts.append(f"the gradient of a vanilla RNN shrank by {measured(vanishing)} of lag at library initialisation")
    if exploding and exploding.verdict is Verdict.SUPPORTED:
        parts.append(f"it grew by up to {measured(exploding)} in the gain sweep")
    if harm and harm.verdict is Verdict.SUPPORTED:
        parts.append(f"an LSTM with forget bias 1 recalled more at lags 51–99, by {measured(harm)} seeds per arm")
    return "; ".join(parts)


def qualifications(atoms: Atoms) -> tuple[str, ...]:
    """Return what the sentence leaves out, as far as the data show it."""
    found = []
    avoidable, vanishing, exploding, harm = (atoms.get(name) for name in ("1d", "1a", "1b", "1c"))
    if avoidable and avoidable.verdict is Verdict.SUPPORTED:
        found.append(
            "with standard initialisation; an identity or orthogonal initialisation removes the vanishing at "
            "initialisation"
        )
    if vanishing and vanishing.verdict is Verdict.SUPPORTED:
        if exploding and exploding.verdict is Verdict.SUPPORTED:
            found.append("exploding needs a recurrent gain above 1: at library initialisation gradients only vanish")
        else:
            found.append("vanishing only: at library initialisation gradients did not explode")
    strong = harm.arm("strong") if harm else None
    if strong and strong.mean is not None and harm:
        found.append(
            f"strong control: with identity initialisation (IRNN) the vanilla RNN reached "
            f"{number(strong.mean)} {harm.unit}, n = {len(strong.values)}, under the same budget"
        )
    return tuple(found)
