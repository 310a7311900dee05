"""C8: a character generator can be trained with a simple recurrent network."""

from seqbench.judge.claims.base import Atoms, measured, number
from seqbench.judge.rules import Verdict

FIGURES = ("bits_by_model", "learning_curves")


def finding(atoms: Atoms, verdict: Verdict) -> str:
    """Return by how much the vanilla network beats the counting models."""
    order2 = atoms.get("8a/order2")
    if verdict is not Verdict.SUPPORTED or order2 is None or order2.verdict is not Verdict.SUPPORTED:
        return ""
    return (
        f"on held-out Chronicle a vanilla RNN needed fewer bits than the order-2 counting model, by {measured(order2)}"
    )


def qualifications(atoms: Atoms) -> tuple[str, ...]:
    """Return the excess over the exact floor and, descriptively, the bits of each cell type."""
    found = []
    floor, types = atoms.get("8a/floor"), atoms.get("8b")
    if floor and floor.effect is not None:
        found.append(
            f"the vanilla RNN stayed {number(-floor.effect)} bit/character above the exact entropy of the "
            f"held-out Chronicle text"
        )
    means = [(arm.mean, arm.name) for arm in types.arms if arm.mean is not None] if types else []
    if len(means) > 1 and types:
        listed = ", ".join(f"{name} {number(mean)}" for mean, name in sorted(means))
        found.append(
            f"descriptive, untested: {types.unit} by cell type at equal tokens: {listed}; layers, neurons and "
            f"activations were not varied"
        )
    return tuple(found)
