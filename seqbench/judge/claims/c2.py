"""C2: gates and memory cells mitigate vanishing gradients."""

from seqbench.judge.claims.base import Atoms, at_ceiling, instead, interval, measured, number
from seqbench.judge.evidence import CHOSEN, ArmData
from seqbench.judge.rules import Verdict
from seqbench.judge.table import Tables
from seqbench.plan import Study

FIGURES = ("gradient_slopes", "recall_by_lag", "gradient_by_lag")
NEARLY = 0.15
"""How near the default LSTM's slope must lie to vanilla's, in nat/step, for the forget-gate bias to be what matters."""
THE_SAME = 0.05
"""How near two mean recalls must lie to be called the same."""


def finding(atoms: Atoms, verdict: Verdict) -> str:
    """Return what gates did for recall, and for the gradient or the steps to solve, as far as it is supported."""
    recall, slope, steps = (atoms.get(name) for name in ("2d", "2b", "2e"))
    if verdict is not Verdict.SUPPORTED or recall is None:
        return ""
    gated, vanilla = (_called(recall.arm(name)) for name in ("subject", "reference"))
    parts = [f"{gated} recalled more than {vanilla}, by {measured(recall)} seeds per arm"]
    if slope and slope.verdict is Verdict.SUPPORTED:
        parts.append(
            "the gradient of an LSTM with forget bias 1 shrank less than that of a vanilla RNN at library "
            f"initialisation, by {number(slope.effect)} nat per step of lag {interval(slope.lower, slope.upper)}, "
            f"n = {slope.n}"
        )
    if steps and steps.verdict is Verdict.SUPPORTED:
        parts.append(f"{steps.estimand}: {measured(steps)}")
    return "; ".join(parts)


def qualifications(atoms: Atoms) -> tuple[str, ...]:
    """Return the slopes at library initialisation, the best initialisations, the choice, and the strong control."""
    return (
        *_at_library_initialisation(atoms),
        *_at_best_initialisation(atoms),
        *_choice(atoms),
        *_strong_control(atoms),
        *at_ceiling(atoms.get("2d")),
    )


def beside(tables: Tables, study: Study) -> tuple[str, ...]:
    """Return which gated networks lose more of the gradient at initialisation than an orthogonal vanilla network."""
    rules = study.preregistration
    slope = rules.claims["C2"].atoms.get("2b")
    worse = []
    for model, words in _GATED.items():
        found = instead(slope, tables, rules, subject=model, reference=_ORTHOGONAL) if slope else None
        if found and found.upper is not None and found.upper < 0:
            inside = interval(-found.upper, None if found.lower is None else -found.lower)
            worse.append(f"{words} by {number(-found.effect)} nat per step of lag {inside}, n = {found.n}")
    if not worse:
        return ()
    return (
        "gates alone do not do it: at initialisation the gradient shrinks faster than in an orthogonally initialised "
        f"tanh RNN, in {', in '.join(worse)} (descriptive, 95 %)",
    )


_ORTHOGONAL = "rnn@init=orthogonal"
_GATED = {
    "lstm": "an LSTM at library initialisation",
    "lstm@forget_bias=1": "an LSTM with forget bias 1",
    "gru": "a GRU at library initialisation",
}
_NAMES = {
    "lstm@forget_bias=1": "an LSTM with forget bias 1",
    "gru": "a GRU",
    "rnn": "a vanilla RNN at library initialisation",
    "rnn@init=orthogonal": "an orthogonally initialised vanilla RNN",
}


def _called(arm: ArmData | None) -> str:
    return _NAMES.get(arm.model, arm.model) if arm else "–"


def _choice(atoms: Atoms) -> tuple[str, ...]:
    """Return which networks stand for gates and for none, where the study's trials chose them."""
    recall = atoms.get("2d")
    if recall is None or not recall.reason.startswith(CHOSEN):
        return ()
    gated, vanilla = (_called(recall.arm(name)) for name in ("subject", "reference"))
    return (f"{gated} and {vanilla} did best in the study's trials of learning rates, on seeds that are not judged",)


def _at_library_initialisation(atoms: Atoms) -> tuple[str, ...]:
    types = atoms.get("2a")
    arms = {arm.name: arm for arm in types.arms if arm.mean is not None} if types else {}
    if not arms or types is None:
        return ()
    listed = ", ".join(f"{label} {number(arms[name].mean)}" for name, label in _CELLS if name in arms)
    vanilla, gated = arms.get("rnn"), arms.get("lstm")
    mitigates = (slope := atoms.get("2b")) is not None and slope.verdict is Verdict.SUPPORTED
    near = mitigates and vanilla is not None and gated is not None and _distance(vanilla, gated) < NEARLY
    text = f"at library initialisation the slopes are {listed} {types.unit}"
    if not near:
        return (text,)
    return (
        f"{text}: nearly the same, so at initialisation it is the forget-gate bias that mitigates, which the library "
        "leaves near 0; what training makes of it stands in 2d",
    )


_CELLS = (("rnn", "vanilla"), ("lstm", "LSTM"), ("gru", "GRU"))


def _distance(one: ArmData, other: ArmData) -> float:
    return abs((one.mean or 0.0) - (other.mean or 0.0))


def _at_best_initialisation(atoms: Atoms) -> tuple[str, ...]:
    best = atoms.get("2c")
    if best is None or best.effect is None:
        return ()
    difference = f"LSTM with forget bias 3 minus identity-initialised vanilla: {measured(best)}"
    if best.verdict is Verdict.SUPPORTED:
        return (
            f"an identity-initialised vanilla RNN is equivalent at initialisation within ±{best.equivalence:g} "
            f"{best.unit} ({difference})",
        )
    found = "is not" if best.verdict is Verdict.CONTRADICTED else "was not shown to be"
    return (f"an identity-initialised vanilla RNN {found} equivalent at initialisation ({difference})",)


def _strong_control(atoms: Atoms) -> tuple[str, ...]:
    recall = atoms.get("2d")
    strong, gated = (recall.arm("strong"), recall.arm("subject")) if recall else (None, None)
    if recall is None or strong is None or strong.mean is None:
        return ()
    reached = (
        f"strong control: an identity-initialised ReLU RNN (IRNN) reached {number(strong.mean)} {recall.unit}, "
        f"n = {len(strong.values)}, under the same budget"
    )
    if gated is None or gated.mean is None:
        return (reached,)
    beside = f"{reached}, {_called(gated)} {number(gated.mean)}"
    same = abs(strong.mean - gated.mean) < THE_SAME
    return (f"{beside}: an identity-initialised ReLU RNN reaches the same",) if same else (beside,)
