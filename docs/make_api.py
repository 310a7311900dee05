"""Write docs/api.md from the docstrings of what is public: `python docs/make_api.py`, or `make api`.

The source is read, not imported, so that neither torch nor transformers is needed; only the registries are imported.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

from seqbench.judge.claims import CLAIMS
from seqbench.judge.figures import FIGURES
from seqbench.measure.executors import EXECUTORS
from seqbench.measure.generators import GENERATORS
from seqbench.measure.models import MODELS
from seqbench.measure.probes import PROBES
from seqbench.registry import Registry

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "api.md"
HEAD = """# API

What may be relied on from Python: what `seqbench` and `seqbench.hub` export, and the contract of every extension. All
else may change between versions. This page is made from the docstrings by `make api`; a test holds it to them.
"""
Contract = tuple[Registry, str, dict[str, tuple[str, ...]]]
CONTRACTS: dict[str, Contract] = {
    "A model": (MODELS, "measure.models.base", {"measure.models.base": ("ModelSpec", "Costs")}),
    "A generator": (GENERATORS, "measure.generators", {"measure.generators.base": ("Batch", "Sizes", "Bounds")}),
    "A probe": (
        PROBES,
        "measure.probes",
        {"measure.probes.base": ("Subject", "Sample", "Watch"), "record": ("Measurement", "Series")},
    ),
    "A claim": (
        CLAIMS,
        "judge.claims.base",
        {"judge.claims.base": ("AtomVerdict",), "preregistration": ("Claim", "Atom", "Arm", "Control")},
    ),
    "A figure": (FIGURES, "judge.figures.base", {"judge.table": ("Tables",)}),
    "An executor": (EXECUTORS, "measure.executors.base", {"measure.executors.base": ("Work",)}),
}
"""Heading -> the registry of the kind, the module whose docstring is its contract, and the types that it speaks of."""


def page() -> str:
    """Return the whole page as Markdown."""
    parts = [HEAD, *facade("", returned=("Verdicts", "Figure")), *facade("hub")]
    for heading, (registry, module, types) in CONTRACTS.items():
        needed = ", ".join(" or ".join(f"`{name}`" for name in names) for names in registry.needs)
        parts += [
            f"## {heading}",
            f"Entry-point group `{registry.group}`; the module must have {needed}.",
            told(module),
        ]
        parts += [part for place, names in types.items() for part in described(place, names)]
    parts += ["## A task of a known kind", "A card: a TOML file with these entries, and no others."]
    parts += [*described("cards", ("TaskCard", "Lengths")), "## Errors", told("errors")]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def facade(package: str, *, returned: Sequence[str] = ()) -> list[str]:
    """Return the section of a package: its docstring and everything that it exports, with what that returns."""
    parts = [f"## `{'.'.join(filter(None, ('seqbench', package)))}`", told(package)]
    for module, names in exported(package).items():
        parts += described(module, (*names, *returned))
    return parts


def exported(package: str) -> dict[str, list[str]]:
    """Return the names of a package's `__all__` that it takes from its modules, by module."""
    content = tree(package)
    (listed,) = [node.value for node in content.body if isinstance(node, ast.Assign) and _is_all(node)]
    public, found = ast.literal_eval(listed), dict[str, list[str]]()
    for node in ast.walk(content):
        if isinstance(node, ast.ImportFrom) and (module := str(node.module)).startswith("seqbench."):
            names = [alias.name for alias in node.names if alias.name in public]
            found |= {module.removeprefix("seqbench."): names} if names else {}
    return found


def _is_all(node: ast.Assign) -> bool:
    return [ast.unparse(target) for target in node.targets] == ["__all__"]


def described(module: str, names: Sequence[str]) -> list[str]:
    """Return heading, declaration and docstring of functions and classes of a module, in the order of the names."""
    nodes = {node.name: node for node in tree(module).body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    parts = []
    for name in names:
        node = nodes[name]
        parts += [f"### `{name}`", f"```python parse\n{declaration(node)}\n```", prose(ast.get_docstring(node))]
        if isinstance(node, ast.ClassDef) and (lines := properties(node)):
            parts.append("\n".join(lines))
    return parts


def declaration(node: ast.FunctionDef | ast.ClassDef) -> str:
    """Return a function's signature, or a class with its fields; a protocol's methods too."""
    if isinstance(node, ast.FunctionDef):
        return f"def {node.name}({ast.unparse(node.args)}){_returns(node)}: ..."
    bases = ", ".join(ast.unparse(base) for base in node.bases)
    lines = [ast.unparse(item) for item in node.body if isinstance(item, ast.AnnAssign) and _is_public(item)]
    if bases == "Protocol":
        lines += [declaration(item) for item in node.body if isinstance(item, ast.FunctionDef)]
    inside = [f"    {line}" for line in lines]
    return "\n".join([f"class {node.name}{f'({bases})' if bases else ''}:{'' if inside else ' ...'}", *inside])


def properties(node: ast.ClassDef) -> list[str]:
    """Return a line for each public property of a class, with the first line of its docstring."""
    own = [item for item in node.body if isinstance(item, ast.FunctionDef) and not item.name.startswith("_")]
    return [
        f"* `{item.name}{_returns(item)}`: {(ast.get_docstring(item) or '').partition(chr(10))[0]}"
        for item in own
        if [ast.unparse(decorator) for decorator in item.decorator_list] == ["property"]
    ]


def _returns(node: ast.FunctionDef) -> str:
    return f" -> {ast.unparse(node.returns)}" if node.returns else ""


def _is_public(item: ast.AnnAssign) -> bool:
    return not ast.unparse(item.target).startswith("_")


def told(module: str) -> str:
    """Return the docstring of a module as Markdown."""
    return prose(ast.get_docstring(tree(module)))


def prose(docstring: str | None) -> str:
    """Return a docstring as Markdown: what is indented or drawn becomes a block of text, each `name: …` a paragraph."""
    spaced = re.sub(r"\n+(?=[a-z][\w, ]*: )", "\n\n", inspect.cleandoc(docstring or ""))
    return "\n\n".join(_as_text(part) if _is_text(part) else part for part in spaced.split("\n\n"))


def _is_text(paragraph: str) -> bool:
    lines = paragraph.splitlines()
    return all(line.startswith("    ") for line in lines) or any(line.startswith(("├", "└")) for line in lines)


def _as_text(paragraph: str) -> str:
    return f"```text\n{textwrap.dedent(paragraph)}\n```"


def tree(module: str) -> ast.Module:
    """Return the source of a module or package of seqbench, read."""
    place = ROOT / "seqbench" / Path(*module.split("."))
    file = place.with_suffix(".py") if module and place.with_suffix(".py").exists() else place / "__init__.py"
    return ast.parse(file.read_text(encoding="utf-8"))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
