"""C6: the memory of recurrent networks is finite."""

from collections.abc import Sequence

from seqbench.judge.claims.base import Atoms, interval, measured, number
from seqbench.judge.evidence import ArmData
from seqbench.judge.rules import Verdict

FIGURES = ("capacity", "memory_by_length")


def finding(atoms: Atoms, verdict: Verdict) -> str:
    """Return how what is recalled changes with every further bit written, and how attention compares.

    θ of 6a is what of a further bit is lost, 1 minus the slope; noise takes it above 1, which no share can be.
    """
    if verdict is not Verdict.SUPPORTED:
        return ""
    parts = []
    for name, atom in atoms.items():
        if name.startswith("6a/") and atom.effect is not None:
            kept = (None if bound is None else 1 - bound for bound in (atom.upper, atom.lower))
            parts.append(
                f"for every further bit written, what a GRU of width {name.partition('/')[2]} recalled changed by "
                f"{number(1 - atom.effect)} bit {interval(*kept)}, n = {atom.n}"
            )
    contrast = atoms.get("6c")
    if contrast and contrast.effect is not None:
        parts.append(f"a causal Transformer kept more of every further bit than the GRU, by {measured(contrast)}")
    return "; ".join(parts)


def qualifications(atoms: Atoms) -> tuple[str, ...]:
    """Return that every memory of finite precision is finite, what a float held, and how capacity grew with state."""
    if not any(atom.effect is not None for atom in atoms.values()):
        return ()
    found = [
        "finite memory holds for every model of finite precision: the contrast is a state of constant size against one "
        "that grows with every token, up to its window"
    ]
    if (held := atoms.get("6d")) and (listed := _held(held.arms)):
        found.append(f"descriptive, bits recalled per float of state at four times the load: {listed}")
    if (grows := atoms.get("6b")) and grows.effect is not None:
        found.append(f"bits recalled against floats of state, on logarithmic scales, rise by {measured(grows)}")
    return tuple(found)


def _held(arms: Sequence[ArmData]) -> str:
    known = [(arm.name.replace("_", " "), arm.mean) for arm in arms if arm.mean is not None]
    return ", ".join(f"{name} {number(mean)}" for name, mean in known)
