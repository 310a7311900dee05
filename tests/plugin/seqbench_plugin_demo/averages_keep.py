"""X1: moving averages keep the first token of a short sequence."""

from seqbench.judge.claims.base import Atoms, measured
from seqbench.judge.rules import Verdict

FIGURES = ("learning_curves",)


def finding(atoms: Atoms, verdict: Verdict) -> str:
    """Return how far above chance the averages are."""
    kept = atoms.get("kept")
    if kept is None or verdict is not Verdict.SUPPORTED:
        return ""
    return f"moving averages named the first token more often than chance, by {measured(kept)}"


def qualifications(atoms: Atoms) -> tuple[str, ...]:
    """Return what was not asked."""
    return ("at one length only",) if atoms else ()
