"""What there is by name: one line about each, and everything about one."""

import ast
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from seqbench import cards, corpus, preregistration, suite
from seqbench.errors import UsageError
from seqbench.judge import rules
from seqbench.judge.figures import FIGURES
from seqbench.measure.executors import EXECUTORS
from seqbench.measure.generators import GENERATORS
from seqbench.measure.models import MIXERS, MODELS
from seqbench.measure.probes import PROBES
from seqbench.preregistration import Atom, Claim
from seqbench.registry import Registry, unknown

Row = Mapping[str, object]
_REGISTRIES = {
    "models": MODELS,
    "probes": PROBES,
    "figures": FIGURES,
    "generators": GENERATORS,
    "executors": EXECUTORS,
}
NOTHING = "–"
"""What stands where an atom has no such thing."""


def kinds() -> tuple[str, ...]:
    """Return the kinds of things that can be listed."""
    return ("models", "tasks", "claims", "suites", "probes", "figures", "generators", "executors")


def rows(kind: str, *, extra_cards: Sequence[Path] = ()) -> list[Row]:
    """Return one row per name of a kind, `name` first.

    Raises UnknownName for another kind, InvalidInput when a card or suite is not valid.
    """
    if kind == "tasks":
        found = {name: cards.find(name, extra_cards) for name in cards.names(extra_cards)}
        return [{"name": name, "title": card.title, "asks": card.asks} for name, card in found.items()]
    if kind == "suites":
        return [{"name": name, "title": suite.find(name)[1].title} for name in suite.names()]
    if kind == "claims":
        claims = preregistration.installed().claims
        return [{"name": name, "title": claim.title, "sentence": claim.sentence} for name, claim in claims.items()]
    if kind not in _REGISTRIES:
        raise unknown("kind", kind, kinds())
    registry = _REGISTRIES[kind]
    return [{"name": name, "summary": registry.summary(name)} for name in registry.names()]


def describe(name: str, *, extra_cards: Sequence[Path] = ()) -> str:
    """Return everything about a name, under a heading per kind that knows it.

    Raises UnknownName when none does.
    """
    tellers: dict[str, tuple[Sequence[str], Callable[[str], str]]] = {
        "task": (cards.names(extra_cards), lambda known: _card(known, extra_cards)),
        "suite": (suite.names(), lambda known: _text("suites", f"{known}.toml")),
        "claim": (tuple(preregistration.installed().claims), _claim),
        "corpus": (tuple(corpus.catalogue()), _corpus),
    }
    for kind, registry in _REGISTRIES.items():
        tellers[kind.removesuffix("s")] = (registry.names(), _teller(registry))
    found = [f"{kind} {name}\n\n{tell(name).strip()}" for kind, (names, tell) in tellers.items() if name in names]
    if not found:
        raise unknown(
            "task, suite, claim, model or probe", name, {known for names, _ in tellers.values() for known in names}
        )
    return "\n\n".join(found)


def _teller(registry: Registry) -> Callable[[str], str]:
    return lambda name: _module_text(registry, name)


def _module_text(registry: Registry, name: str) -> str:
    """Return a module's docstring and, for a model, its options with their defaults; no module of ours is imported."""
    tree = _tree(registry, name)
    family, _, member = name.partition(":")
    options = _options(_tree(MIXERS, member) if registry is MODELS and family == "block" else tree)
    return "\n".join([ast.get_docstring(tree) or "", *(["", "Options:", *options] if options else [])])


def _options(tree: ast.Module) -> list[str]:
    """Return the fields of a file's own class `Options`, a line each."""
    return [
        f"  {ast.unparse(field)}"
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name == "Options"
        for field in node.body
        if isinstance(field, ast.AnnAssign)
    ]


def _tree(registry: Registry, name: str) -> ast.Module:
    return ast.parse(_source(registry, name).read_text(encoding="utf-8"))


def _source(registry: Registry, name: str) -> Path:
    """Return the file of a module."""
    if name not in registry.entries:
        return Path(registry.load(name).__file__ or "")
    found = importlib.util.find_spec(registry.entries[name])
    if found is None or found.origin is None:
        raise UsageError(f"{registry.kind} {name} is listed but missing; reinstall seqbench")
    return Path(found.origin)


def _card(name: str, extra: Sequence[Path]) -> str:
    cards.find(name, extra)  # refuses an invalid card before it is shown
    for place in (*extra, cards.folder()):
        path = place / f"{name}.toml"
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise unknown("task", name, cards.names(extra))


def _text(*parts: str) -> str:
    return files("seqbench").joinpath(*parts).read_text(encoding="utf-8")


def _claim(name: str) -> str:
    claim = preregistration.installed().claims[name]
    told = [f"Rule, {when}: {text}" if when else f"Rule: {text}" for when, text in rules_of(claim).items()]
    atoms = [f"  {_line(row)}" for row in atoms_of(claim)]
    return "\n".join([claim.title, claim.sentence, "", *told, "", "Atoms:", *atoms])


def _line(row: Mapping[str, str]) -> str:
    """Return a row of `atoms_of` as one line, without what the atom does not have."""
    told = [f"{label} {row[label]}" for label in ("supported", "contradicted", "control") if row[label] != NOTHING]
    shown = [row["test"], *told, f"in the rule: {row['in the rule']}"]
    return f"{row['atom']}  {row['what is compared']} ({'; '.join(shown)})"


def rules_of(claim: Claim) -> dict[str, str]:
    """Return the rules of a claim by when they hold; the first one, under "", holds where no other does."""
    found = {"": claim.rule}
    if claim.where_planned:
        found["where planned"] = claim.whole_rule
    return found | {f"on a {device.upper()}": text for device, text in claim.by_device.items()}


def atoms_of(claim: Claim) -> list[dict[str, str]]:
    """Return one row of texts per atom: what is compared, test, margins with unit, controls, place in the rules."""
    return [
        {
            "atom": name,
            "what is compared": atom.estimand,
            "test": atom.test.replace("_", " "),
            **_margins(atom),
            "control": _controls(atom),
            "in the rule": _place(name, claim),
        }
        for name, atom in claim.atoms.items()
    ]


def _margins(atom: Atom) -> dict[str, str]:
    """Return where an atom is supported and where contradicted; what is neither is INCONCLUSIVE."""
    margin = preregistration.NEEDED_MARGIN.get(atom.test)
    if margin is None:
        return {"supported": NOTHING, "contradicted": NOTHING}
    value = _given(getattr(atom, margin), atom.unit)
    if margin == "equivalence":
        return {"supported": f"within ±{value}", "contradicted": f"outside ±{value}"}
    if margin == "below":
        return {"supported": f"every seed below {value}", "contradicted": f"no seed below {value}"}
    return {"supported": f"above {value}", "contradicted": f"below {_given(atom.contradict, atom.unit)}"}


def _given(value: float, unit: str) -> str:
    number = f"{value:g}".replace("-", "−")
    return number if unit == "1" else f"{number} {unit}"


def _controls(atom: Atom) -> str:
    told = [f"{control.arm} has {control.measurement} above {control.above:g}" for control in atom.controls]
    return "; ".join(told) or NOTHING


def _place(name: str, claim: Claim) -> str:
    """Return in which of a claim's rules an atom stands: yes (in all), no (in none), or when."""
    found = {when: name in rules.parse(text).atoms() for when, text in rules_of(claim).items()}
    if len(set(found.values())) == 1:
        return "yes" if found[""] else "no"
    return ", ".join(when or "by default" for when, stands in found.items() if stands)


def _corpus(name: str) -> str:
    known = corpus.known_corpus(name)
    return "\n".join(
        [known.title, f"Source: {known.source}", f"Licence: {known.licence}", f"sha256: {known.identity.sha256}"]
    )
