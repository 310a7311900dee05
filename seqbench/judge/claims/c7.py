"""C7: Transformers capture dependencies between all tokens at once and train in parallel."""

from seqbench.judge.claims.base import Atoms, interval, measured, number
from seqbench.judge.rules import Verdict

FIGURES = ("gradient_by_lag", "recall_by_lag", "time_per_token", "memory_by_length", "length_generalisation")

ANSWERED = 0.9
"""Above this share of right answers a network is said to have the task."""
SHALLOW = 0.5
"""Below this power of the length a network's stages are said not to follow the tokens one by one."""


def finding(atoms: Atoms, verdict: Verdict) -> str:
    """Return how flat gradient and recall are over lag."""
    path, recall = atoms.get("7a"), atoms.get("7b")
    if verdict is not Verdict.SUPPORTED or path is None or recall is None:
        return ""
    speed = atoms.get("gpu/7d")
    faster = f"; {speed.estimand}: {measured(speed)} rounds" if speed and speed.effect is not None else ""
    return (
        f"in a Transformer the gradient changes by {number(path.effect)} nat per step of lag "
        f"{interval(path.lower, path.upper)}, n = {path.n}, and what it recalls by {number(recall.effect)} per e-fold "
        f"of lag {interval(recall.lower, recall.upper)}, n = {recall.n}, inside its training length{faster}"
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
    why = speed.reason if speed and speed.reason else "nothing of it ran on a GPU"
    return (f"mechanism only, speed not tested: {why}",)


def _work(atoms: Atoms) -> tuple[str, ...]:
    work = (
        "all tokens at once is work that grows with the square of the length, and a language model's token attends to "
        "the past alone, inside its window"
    )
    growth = atoms.get("7e")
    arms = {arm.name: arm.mean for arm in growth.arms if arm.mean is not None} if growth else {}
    if not arms:
        return (work,)
    listed = ", ".join(f"{name} {number(value)}" for name, value in arms.items())
    return (f"{work}; bytes carried on after T tokens grow as T to the power of: {listed}",)


def _depth(atoms: Atoms) -> tuple[str, ...]:
    depth = atoms.get("7c")
    arms = {arm.name: arm.mean for arm in depth.arms if arm.mean is not None} if depth else {}
    if not arms:
        return ()
    listed = ", ".join(f"{name} {number(value)}" for name, value in arms.items())
    told = f"stages that must follow one another grow as T to the power of: {listed}"
    if not any(value < SHALLOW for name, value in arms.items() if name != "transformer"):
        return (told,)
    return (f"{told}. Processing all tokens at once is no privilege of attention, and its constant depth has a price",)


def _sequential(atoms: Atoms) -> tuple[str, ...]:
    parity = atoms.get("7/parity")
    arms = {arm.name: arm for arm in parity.arms if arm.mean is not None} if parity else {}
    if not {"lstm", "transformer"} <= set(arms):
        return ()
    lstm, transformer = arms["lstm"], arms["transformer"]
    told = (
        f"parity beyond the trained lengths: LSTM {number(lstm.mean)}, Transformer {number(transformer.mean)} of the "
        "answers right (chance 0.5)"
    )
    apart = (lstm.lower or 0.0) > (transformer.upper or 1.0)
    wins = apart and (lstm.mean or 0.0) > ANSWERED
    return (f"there are sequential tasks where recurrence wins, as {told}" if wins else told,)
