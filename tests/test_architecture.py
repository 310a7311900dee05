"""The law: who may import whom. Read from the source, so that a lazy import counts like any other."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "seqbench"

# Rows from the ground up: a module may import what stands in its own row or above it in this list, unless a later
# rule says otherwise. The longest matching prefix decides.
ROWS = (
    ("errors",),
    ("registry", "variant", "cell", "record", "outline", "cards", "corpus", "preregistration", "gate"),
    ("tuning", "suite", "plan", "costs", "priority", "fitting", "summary", "store", "merging", "packing", "following"),
    ("measure.seeds", "measure.generators", "measure.corpora", "measure.models", "measure.matching"),
    (
        "measure.training",
        "measure.gradients",
        "measure.states",
        "measure.probes",
        "measure.rounds",
        "measure.roofline",
        "measure.capture",
        "measure.precision",
        "measure.tiers",
        "measure.nvml",
        "measure.check",
    ),
    (
        "measure.environment",
        "measure.workers",
        "measure.executors",
        "measure.prepare",
        "measure.calibrate",
        "measure.runner",
        "measure.panel",
        "measure.conduct",
        "measure.doctor",
    ),
    (
        "judge.text",
        "judge.table",
        "judge.stats",
        "judge.proportions",
        "judge.survival",
        "judge.capacity",
        "judge.aggregate",
        "judge.text_scores",
        "judge.text_curves",
        "judge.factorial",
        "judge.posterior",
        "judge.scaling",
        "judge.rules",
        "judge.testing",
        "judge.evidence",
        "judge.gates",
    ),
    ("judge.claims", "judge.figures"),
    ("judge.report",),
    ("hub",),
    ("catalogue", "terminal", "generate", "gallery", "cli", "__main__", "__init__"),
)
EXTERNAL = {
    0: set(),
    1: {"pydantic"},
    2: {"pydantic", "filelock", "pyarrow"},
    3: {"torch", "numpy", "pooch", "transformers"},
    4: {"torch", "numpy", "psutil", "pynvml"},
    5: {"torch", "psutil", "ray"},
    6: {"numpy", "pandas", "scipy"},
    7: {"numpy", "pandas", "scipy", "seaborn", "matplotlib"},
    8: {"numpy", "pandas", "scipy", "seaborn", "matplotlib", "jinja2", "markupsafe"},
    9: {"torch", "transformers", "tokenizers", "huggingface_hub"},
    10: {"typer", "rich"},
}
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))


def name_of(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def row_of(name):
    """Return the row of a module; an empty package file such as measure/__init__ belongs to its folder's first row."""
    matches = [(len(prefix), number) for number, row in enumerate(ROWS) for prefix in row if within(name, prefix)]
    if matches:
        return max(matches)[1]
    return {"measure": 3, "judge": 6}[name]


def within(name, prefix):
    return name == prefix or name.startswith(prefix + ".")


def imports_of(path):
    """Return every module that a file imports, at the top or inside a function, type checking included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            if node.module == "seqbench":
                found |= {f"seqbench.{alias.name}" for alias in node.names}
            else:
                found.add(node.module)
                found |= {
                    f"{node.module}.{alias.name}" for alias in node.names if is_module(f"{node.module}.{alias.name}")
                }
    return found


def is_module(dotted):
    path = ROOT / Path(*dotted.split("."))
    return dotted.startswith("seqbench.") and (path.with_suffix(".py").exists() or path.is_dir())


def own_imports(path):
    return {name.removeprefix("seqbench.") for name in imports_of(path) if name.startswith("seqbench.")}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_down(path):
    """A module imports only modules of its own row of the law, or of rows below it."""
    mine = row_of(name_of(path))
    wrong = {name for name in own_imports(path) if is_module(f"seqbench.{name}") and row_of(name) > mine}
    assert not wrong


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_libraries_stay_in_their_row(path):
    """A third-party library is imported only where the law has it."""
    outside = {name.split(".")[0] for name in imports_of(path)} - {"seqbench"} - set(sys.stdlib_module_names)
    allowed = set().union(*(EXTERNAL[row] for row in range(row_of(name_of(path)) + 1)))
    if name_of(path).startswith("judge"):
        allowed = set().union(*(EXTERNAL[row] for row in (0, 1, 2, 6, 7, 8) if row <= row_of(name_of(path))))
    assert outside <= allowed


@pytest.mark.parametrize("path", [p for p in MODULES if name_of(p).startswith("judge")], ids=name_of)
def test_judging_knows_nothing_of_measuring(path):
    """The wall between the halves is a file format: no judging module imports a measuring one."""
    assert not {name for name in own_imports(path) if within(name, "measure") or within(name, "hub")}


@pytest.mark.parametrize("path", [p for p in MODULES if within(name_of(p), "hub")], ids=name_of)
def test_the_hub_knows_models_and_no_cells(path):
    """The bridge to transformers imports rows 1 to 5 and the library: no runner, nothing that judges, no report."""
    far = {name for name in own_imports(path) if is_module(f"seqbench.{name}") and 5 <= row_of(name) < row_of("hub")}
    outside = {name.split(".")[0] for name in imports_of(path)} - {"seqbench"} - set(sys.stdlib_module_names)
    assert (far, outside - EXTERNAL[9] - EXTERNAL[3]) == (set(), set())


@pytest.mark.parametrize(
    "folder",
    ["measure.models", "measure.generators", "measure.probes", "measure.executors", "judge.claims", "judge.figures"],
)
def test_names_in_a_folder_do_not_know_their_siblings(folder):
    """A model knows no other model, a claim no other claim: only what their folder shares, as base and style."""
    shared = {"base", "style", "clock", "scan"}
    for path in (PACKAGE / Path(*folder.split("."))).glob("*.py"):
        siblings = {name for name in own_imports(path) if within(name, folder) and name != folder}
        assert {name.removeprefix(folder + ".").split(".")[0] for name in siblings} <= shared, path.name


def test_a_model_knows_no_generator_and_a_generator_no_model():
    """Tasks and architectures meet in the runner alone."""
    for here, there in (("models", "generators"), ("models", "corpora"), ("generators", "models")):
        for path in (PACKAGE / "measure" / here).rglob("*.py"):
            assert not {name for name in own_imports(path) if within(name, f"measure.{there}")}, path


def test_only_seeds_seeds():
    """No other file touches a global random state."""
    words = ("manual_seed(", "random.seed(", "default_rng()", "set_rng_state(")
    guilty = [
        name_of(path)
        for path in MODULES
        if name_of(path) != "measure.seeds" and any(word in path.read_text(encoding="utf-8") for word in words)
    ]
    assert guilty == []


@pytest.mark.parametrize("module", ["seqbench", "seqbench.cli", "seqbench.plan", "seqbench.store"])
def test_importing_the_front_imports_nothing_heavy(module):
    """`import seqbench`, the command line, plans and the store come without torch and without pandas."""
    code = (
        f"import sys, {module}; print({{'torch', 'pandas', 'transformers', 'matplotlib'}} & set(sys.modules) or 'none')"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "none"
