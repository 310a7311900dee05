"""C7: Transformers capture dependencies between all tokens at once and train in parallel."""

from seqbench.judge.claims.base import Atoms, interval, number
from seqbench.judge.rules import Verdict

FIGURES = ("gradient_by_lag", "recall_by_lag", "time_per_token", "memory_by_length", "length_generalisation")


def finding(atoms: Atoms, verdict: Verdict) -> str:
    """Return how flat gradient and recall are over lag."""
    path, recall = atoms.get("7a"), atoms.get("7b")
    if verdict is not Verdict.SUPPORTED or path is None or recall is None:
        return ""
    return (
        f"in a Transformer the gradient changes by {number(path.effect)} nat per step of lag "
        f"{interval(path.lower, path.upper)}, n = {path.n}, and what it recalls by {number(recall.effect)} per e-fold "
        f"of lag {interval(recall.lower, recall.upper)}, n = {recall.n}, inside its training length"
    )


def qualifications(atoms: Atoms) -> tuple[str, ...]:
    """Return what was not tested, what simultaneity costs, who shares it, and where recurrence wins."""
    if not any(atom.effect is not None for atom in atoms.values()):
        return ()
    return (*_speed(atoms), *_work(atoms), *_depth(atoms), *_sequential(atoms))


def _speed(atoms: Atoms) -> tuple[str, ...]:
    speed = atoms.get("gpu/7d")
    if speed is not None and speed.effect is not None:
        return ()
    return ("mechanism only, speed not tested: nothing of it ran on a GPU",)


def _work(atoms: Atoms) -> tuple[str, ...]:
    past = "a language model's token attends to the past alone, inside its window"
    growth = atoms.get("7e")
    arms = {arm.name: arm.mean for arm in growth.arms if arm.mean is not None} if growth else {}
    if not arms:
        return (f"all tokens at once is work that grows with the square of the length, and {past}",)
    listed = ", ".join(f"{name} {number(value)}" for name, value in arms.items())
    return (f"{past}; floats carried on after T tokens grow as T to the power of: {listed}",)


def _depth(atoms: Atoms) -> tuple[str, ...]:
    depth = atoms.get("7c")
    arms = {arm.name: arm.mean for arm in depth.arms if arm.mean is not None} if depth else {}
    if not arms:
        return ()
    listed = ", ".join(f"{name} {number(value)}" for name, value in arms.items())
    return (
        f"stages that must follow one another grow as T to the power of: {listed}. Processing all tokens at once is no "
        "privilege of attention, and its constant depth has a price",
    )


def _sequential(atoms: Atoms) -> tuple[str, ...]:
    parity = atoms.get("7/parity")
    arms = {arm.name: arm for arm in parity.arms if arm.mean is not None} if parity else {}
    if not {"lstm", "transformer"} <= set(arms):
        return ()
    better = number(arms["lstm"].mean), number(arms["transformer"].mean)
    if (arms["lstm"].mean or 0.0) <= (arms["transformer"].mean or 0.0):
        return (f"parity beyond the trained lengths: LSTM {better[0]}, Transformer {better[1]} of the answers right",)
    return (
        f"there are sequential tasks where recurrence wins: parity beyond the trained lengths, LSTM {better[0]}, "
        f"Transformer {better[1]} of the answers right (chance 0.5)",
    )
