"""C8: a character generator can be trained with a simple recurrent network."""

from seqbench.judge.claims.base import Atoms, AtomVerdict, measured, number
from seqbench.judge.rules import Verdict

FIGURES = ("bits_by_model", "bits_by_cost", "text_curves", "learning_curves")


_TEXTS = {"8a": "Chronicle", "8a/text": "real text"}
_FACTORS = {"layers": "layers", "type": "type of layer", "width": "width", "activation": "activation"}
_DESIGNS = {
    "8b": "on Chronicle at equal tokens",
    "8b/text": "on real text at equal tokens",
    "8b/parameters": "on Chronicle at equal parameters",
    "8b/text/parameters": "on real text at equal parameters",
}
_UNTESTED = "the second half of the sentence, on layers, neurons and activations, is no part of the verdict"


def finding(atoms: Atoms, verdict: Verdict) -> str:
    """Return by how much the vanilla network beats the counting models on each text, and what its results depend on."""
    if verdict is not Verdict.SUPPORTED:
        return ""
    parts = []
    for prefix, text in _TEXTS.items():
        gains = [
            f"{number(atom.effect)} [{number(atom.lower)}, {number(atom.upper)}] fewer than the order-{order} model"
            for order in (0, 2)
            if (atom := atoms.get(f"{prefix}/order{order}")) and atom.in_rule
        ]
        if gains:
            n = min(atom.n for name, atom in atoms.items() if name.startswith(f"{prefix}/order"))
            parts.append(f"on held-out {text} a vanilla RNN needed {' and '.join(gains)} (bit/character, n = {n})")
    for design, where in _DESIGNS.items():
        if factors := [what for what, atom in _varied(atoms, design).items() if atom.in_rule]:
            parts.append(f"{where} results depend on {', '.join(factors)}")
    return "; ".join(parts)


def qualifications(atoms: Atoms) -> tuple[str, ...]:
    """Return the excess over the exact floor, the bits of each cell type, and what was not varied."""
    if not atoms:
        return ()
    found = []
    floor, types = atoms.get("8a/floor"), atoms.get("8b")
    if floor and floor.effect is not None:
        found.append(_about_floor(-floor.effect))
    means = [(arm.mean, arm.name) for arm in types.arms if arm.mean is not None] if types else []
    if floor and (exact := _exact_entropy(floor)) is not None:
        found.extend(_leak(f"of {name} ", exact - mean) for mean, name in means if mean < exact and name != "rnn")
    if len(means) > 1 and types:
        listed = ", ".join(f"{name} {number(mean)}" for mean, name in sorted(means))
        found.append(f"descriptive, at equal tokens, {types.unit} by cell type: {listed}")
    return (*found, *_depends(atoms))


def _depends(atoms: Atoms) -> tuple[str, ...]:
    """Return for each factor that was varied whether results depend on it, and by how much; then what was not varied.

    First all at equal tokens, then at equal parameters, where a model that gets deeper gets narrower too.
    """
    told, judged = [], set()
    for design, where in _DESIGNS.items():
        for what, atom in _varied(atoms, design).items():
            told.append(_about_factor(f"does the result depend on {what}, {where}?", atom))
            judged |= {what} if atom.in_rule else set()
    if not judged:
        return (*told, _UNTESTED)
    others = [what for what in _FACTORS.values() if what not in judged]
    return (*told, *([f"not varied, so no part of the verdict: {', '.join(others)}"] if others else []))


def _about_factor(question: str, atom: AtomVerdict) -> str:
    """Return the answer with the effect, then the share of variance and the SD of seeds, or why there is none."""
    effect = f", {measured(atom)} between the furthest levels" if atom.effect is not None else ""
    beside = "" if atom.in_rule else "; no part of the verdict"
    return f"{question} {atom.verdict.value}{effect} ({atom.reason}){beside}"


def _varied(atoms: Atoms, design: str) -> dict[str, AtomVerdict]:
    """Return the hypotheses of one design about factors of which the study plans two levels or more."""
    found = {what: atoms.get(f"{design}/{name}") for name, what in _FACTORS.items()}
    return {
        what: atom
        for what, atom in found.items()
        if atom and (atom.in_rule or sum(a.planned > 0 for a in atom.arms) > 1)
    }


def _about_floor(excess: float) -> str:
    if excess < 0:
        return _leak("", -excess)
    return f"the vanilla RNN stayed {number(excess)} bit/character above the exact entropy of held-out Chronicle"


def _leak(whose: str, below: float) -> str:
    """Return that a loss is what none can be, but by chance of the test text or by a leak."""
    return f"the loss {whose}lies {number(below)} bit/character below the exact entropy: look for a leak first"


def _exact_entropy(floor: AtomVerdict) -> float | None:
    """Return the exact entropy of the held-out text: θ = entropy - bits per character of the vanilla network."""
    subject = floor.arm("subject")
    if subject is None or subject.mean is None or floor.effect is None:
        return None
    return subject.mean + floor.effect
