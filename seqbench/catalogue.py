"""What there is by name: one line about each, and everything about one."""

import ast
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from seqbench import cards, corpus, preregistration, suite
from seqbench.errors import UsageError
from seqbench.judge.figures import FIGURES
from seqbench.measure.executors import EXECUTORS
from seqbench.measure.generators import GENERATORS
from seqbench.measure.models import MIXERS, MODELS
from seqbench.measure.probes import PROBES
from seqbench.preregistration import Atom
from seqbench.registry import Registry, unknown

Row = Mapping[str, object]
_REGISTRIES = {
    "models": MODELS,
    "probes": PROBES,
    "figures": FIGURES,
    "generators": GENERATORS,
    "executors": EXECUTORS,
}


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
    """Return a module's docstring and, for a model, its options with their defaults; nothing is imported."""
    if name not in registry.entries:
        return registry.load(name).__doc__ or ""
    tree = _source(registry, name)
    family, _, member = name.partition(":")
    options = _options(_source(MIXERS, member) if registry is MODELS and family == "block" else tree)
    return "\n".join([ast.get_docstring(tree) or "", *(["", "Options:", *options] if options else [])])


def _source(registry: Registry, name: str) -> ast.Module:
    found = importlib.util.find_spec(registry.entries[name])
    if found is None or found.origin is None:
        raise UsageError(f"{registry.kind} {name} is listed but missing; reinstall seqbench")
    source = Path(found.origin)
    return ast.parse((source / "__init__.py" if source.is_dir() else source).read_text(encoding="utf-8"))


def _options(tree: ast.Module) -> list[str]:
    """Return the fields of a file's own class `Options`, a line each."""
    return [
        f"  {ast.unparse(field)}"
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name == "Options"
        for field in node.body
        if isinstance(field, ast.AnnAssign)
    ]


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
    atoms = [f"  {atom_name}  {_atom(atom)}" for atom_name, atom in claim.atoms.items()]
    return "\n".join([claim.title, claim.sentence, "", f"Rule: {claim.rule}", "", "Atoms:", *atoms])


def _atom(atom: Atom) -> str:
    margins = {
        "supported above": atom.support,
        "contradicted below": atom.contradict if atom.support is not None else None,
    }
    if atom.equivalence is not None:
        margins = {"equivalent within ±": atom.equivalence}
    shown = "; ".join(f"{label} {value:g} {atom.unit}" for label, value in margins.items() if value is not None)
    return f"{atom.estimand} ({atom.test.replace('_', ' ')}{'; ' if shown else ''}{shown})"


def _corpus(name: str) -> str:
    known = corpus.known_corpus(name)
    return "\n".join(
        [known.title, f"Source: {known.source}", f"Licence: {known.licence}", f"sha256: {known.identity.sha256}"]
    )
