"""C3: gated recurrent networks still struggle with dependencies across very long sequences."""

from seqbench.judge.claims.base import Atoms, AtomVerdict, measured, number
from seqbench.judge.rules import Verdict

FIGURES = ("solve_rate_by_lag", "recall_by_lag", "capacity", "effective_context")
_CELLS = {"lstm": "an LSTM with forget bias 1", "gru": "a GRU"}
_STRONG = {"lstm": "an LSTM with forget bias 3", "gru": "a GRU with update bias 3"}


def finding(atoms: Atoms, verdict: Verdict) -> str:
    """Return which of the two causes, lag and load, the verdict rests on, with its effects."""
    wanted = {Verdict.SUPPORTED, Verdict.CONTRADICTED} & {verdict}
    lag = [atom for name in _CELLS if (atom := atoms.get(f"3a/{name}")) and atom.verdict in wanted]
    load = atoms.get("3d")
    parts = []
    if len(lag) == len(_CELLS):
        rates = ", ".join(f"minus {_CELLS[_cell(atom)]}: {measured(atom)} seeds per arm" for atom in lag)
        parts.append(f"lag: share of seeds that solved recall of one item at lag 60, Transformer {rates}")
    if load and load.verdict in wanted:
        parts.append(f"load: {load.estimand}: {measured(load)}")
    return "; ".join(parts)


def qualifications(atoms: Atoms) -> tuple[str, ...]:
    """Return what initialisation changes, and that lag and load are two causes."""
    return (*_initialisation(atoms), *_growth(atoms), *_two_causes(atoms))


def _growth(atoms: Atoms) -> tuple[str, ...]:
    """Return how much faster steps to solve grow with lag than the Transformer's."""
    grown = [(words, atoms[f"3c/{name}"]) for name, words in _CELLS.items() if f"3c/{name}" in atoms]
    return tuple(
        f"steps to solve recall of one item grow with a power of the lag, that of {words} minus the Transformer's: "
        f"{measured(atom)} cells per arm, {atom.verdict.value}"
        for words, atom in grown
        if atom.effect is not None
    )


def _initialisation(atoms: Atoms) -> tuple[str, ...]:
    """Return how often the strongly initialised gates solved the task under the same budget."""
    found = []
    for name, words in _STRONG.items():
        plain, strong = atoms.get(f"3a/{name}"), atoms.get(f"3b/{name}")
        best, usual = _rate(strong), _rate(plain)
        if best is None or usual is None or plain is None or plain.verdict is not Verdict.SUPPORTED:
            continue
        told = f"strong control: {words} solved {number(best)} of its seeds under the same budget"
        found.append(f"{told}; {_CELLS[name]} solved {number(usual)}{_left(strong)}")
    return tuple(found)


def _left(strong: AtomVerdict | None) -> str:
    """Return what the strongly initialised gates say of the struggle, in the word of their own hypothesis."""
    if strong is None or strong.verdict not in _STRUGGLE:
        return ""
    return f"; {_STRUGGLE[strong.verdict]} ({strong.name} {strong.verdict}, {measured(strong)} seeds per arm)"


_STRUGGLE = {
    Verdict.SUPPORTED: "it struggles with this lag in that initialisation too",
    Verdict.CONTRADICTED: "at this lag the struggle is one of initialisation",
    Verdict.INCONCLUSIVE: "whether it struggles with this lag in that initialisation too is undecided",
}


def _two_causes(atoms: Atoms) -> tuple[str, ...]:
    lag = [atoms[name].verdict for name in ("3a/lstm", "3a/gru") if name in atoms]
    load = atoms["3d"].verdict if "3d" in atoms else None
    if not lag or load in (None, Verdict.NOT_TESTED):
        return ()
    words = [f"lag {' and '.join(dict.fromkeys(lag))}", f"load {load}"]
    return (
        f"long dependencies mix two things, how far back and how much: {', '.join(words)}; "
        "load is that of a GRU with 8 floats of state, and no LSTM is in it",
    )


def _cell(atom: AtomVerdict) -> str:
    return atom.name.rpartition("/")[2]


def _rate(atom: AtomVerdict | None) -> float | None:
    """Return the share of seeds of an atom's reference that solved the task."""
    reference = atom.arm("reference") if atom else None
    return reference.mean if reference else None
