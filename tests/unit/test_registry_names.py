"""Registries: literal names, plug-ins, own files, and help for misspelt names."""

import hashlib
import re
import sys

import pytest

from seqbench import preregistration, registry
from seqbench.errors import ContractError, InvalidInput, UnknownName, UsageError
from seqbench.registry import Registry

SOME = Registry("model", "seqbench.test_group_without_plugins", {"lstm": "json", "gru": "csv"})


def test_a_misspelt_name_is_answered_with_the_nearest():
    """An unknown name is refused with the nearest known one and the list of all."""
    expected = "no model named 'ltsm'; did you mean lstm? (known: gru, lstm)"
    with pytest.raises(UnknownName, match=f"^{re.escape(expected)}$"):
        SOME.load("ltsm")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("mine.py", "no model named 'mine.py'; what a file builds is named mine.py:build (known: gru, lstm)"),
        ("mine.toml", "no model named 'mine.toml', and no such file (known: gru, lstm)"),
    ],
)
def test_a_file_in_place_of_a_name_is_answered_by_how_files_are_named(name, told):
    """A model in a file needs the attribute that builds it, and a suite's file must be there."""
    with pytest.raises(UnknownName, match=f"^{re.escape(told)}$"):
        SOME.load(name)


def test_loading_a_name_imports_its_module():
    """A known name gives the module that the dict names."""
    import csv

    assert SOME.load("gru") is csv


def test_a_summary_is_read_without_importing():
    """The one-line summary of a module comes from its source; the module stays unimported."""
    sys.modules.pop("this", None)
    quiet = Registry("poem", "seqbench.test_group_without_plugins", {"zen": "antigravity"})
    quiet.summary("zen")
    assert "antigravity" not in sys.modules


def test_an_own_file_is_loaded_and_hashed(tmp_path):
    """`path/to/file.py:build` names a file; its hash is that of its bytes."""
    file = tmp_path / "mine.py"
    file.write_text("def build(spec):\n    return spec\n")
    reference = f"{file}:build"
    assert registry.is_path(reference)
    assert registry.load_path(reference).build(7) == 7
    assert registry.source_sha256(reference) == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_missing_own_file_is_named():
    """A file that is not there is refused by its path."""
    expected = "no file 'nowhere/mine.py' for 'nowhere/mine.py:build'; give path/to/file.py:build"
    with pytest.raises(UsageError, match=f"^{re.escape(expected)}$"):
        registry.load_path("nowhere/mine.py:build")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("nosuch.pkg:build", "no module 'nosuch.pkg' for 'nosuch.pkg:build'; is it installed here?"),
        ("nosuch:build", "no module 'nosuch' for 'nosuch:build'; is it installed here?"),
        ("..x:build", "no module '..x' for '..x:build'; is it installed here?"),
        (":build", "no module '' for ':build'; is it installed here?"),
        ("json..decoder:build", "no module 'json..decoder' for 'json..decoder:build'; is it installed here?"),
        ("sys:build", "no module 'sys' for 'sys:build'; is it installed here?"),
        ("folder.py:build", "'folder.py' cannot be read (Is a directory); give path/to/file.py:build"),
        (
            f"{'x' * 5000}.py:build",
            f"'{'x' * 5000}.py' cannot be read (File name too long); give path/to/file.py:build",
        ),
        ("\0.py:build", "no file '\\x00.py' for '\\x00.py:build'; give path/to/file.py:build"),
        ("mine.py/x.py:build", "no file 'mine.py/x.py' for 'mine.py/x.py:build'; give path/to/file.py:build"),
    ],
)
def test_a_reference_to_nothing_is_named(tmp_path, monkeypatch, reference, message):
    """A module or file that cannot be hashed is refused in one line, before anything runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "mine.py").write_text("")
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        registry.source_sha256(reference)


@pytest.mark.parametrize("reference", ["nosuch.pkg:build", "nosuch:build", "..x:build", ":build"])
def test_a_module_that_is_not_there_is_not_loaded_either(reference):
    """Loading says the same as hashing."""
    with pytest.raises(UsageError, match=r"^no module .*; is it installed here\?$"):
        registry.load_path(reference)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def build(:\n", "SyntaxError: invalid syntax (mine.py, line 1)"),
        ("import nosuch_library\n", "ModuleNotFoundError: No module named 'nosuch_library'"),
        ("raise ValueError('two\\nlines')\n", "ValueError: two lines"),
        ("raise SystemExit(3)\n", "SystemExit: 3"),
    ],
)
def test_an_own_model_that_cannot_be_imported_says_why(tmp_path, monkeypatch, source, reason):
    """A file or module that fails while it is imported is refused by its name and the reason, in one line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine.py").write_text(source)
    for place in ("mine.py", "mine"):
        expected = f"{place!r} cannot be imported ({reason}); mend it, then run again"
        with pytest.raises(UsageError, match=f"^{re.escape(expected)}$"):
            registry.load_path(f"{place}:build")


def test_a_package_that_cannot_be_imported_says_why(tmp_path, monkeypatch):
    """The packages around a module are imported to find it; what they raise is told, not thrown."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "falling").mkdir()
    (tmp_path / "falling" / "__init__.py").write_text("1 / 0\n")
    (tmp_path / "falling" / "model.py").write_text("")
    expected = "'falling.model' cannot be imported (ZeroDivisionError: division by zero); mend it, then run again"
    for ask in (registry.source_sha256, registry.load_path):
        with pytest.raises(UsageError, match=f"^{re.escape(expected)}$"):
            ask("falling.model:build")


def announce(monkeypatch, folder, group, modules, **names):
    """Install a distribution of these modules in a folder that Python searches; its entry points name them."""
    for module, source in modules.items():
        (folder / f"{module}.py").write_text(source)
        monkeypatch.delitem(sys.modules, module, raising=False)
    info = folder / "outside-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    points = "".join(f"{name} = {value}\n" for name, value in names.items())
    (info / "entry_points.txt").write_text(f"[{group}]\n{points}")
    monkeypatch.syspath_prepend(folder)


def registries():
    """Return every registry of the package by its kind."""
    from seqbench.judge.claims import CLAIMS
    from seqbench.judge.figures import FIGURES
    from seqbench.measure.executors import EXECUTORS
    from seqbench.measure.generators import GENERATORS
    from seqbench.measure.models import MODELS
    from seqbench.measure.probes import PROBES

    return {entry.kind: entry for entry in (MODELS, GENERATORS, PROBES, CLAIMS, FIGURES, EXECUTORS)}


CONTRACTS = {
    "model": (["build"], "build"),
    "generator": (["sample", "sizes", "bounds"], "sample, sizes, bounds"),
    "probe": (["measure"], "measure or block"),
    "claim": (["finding", "qualifications", "FIGURES"], "finding, qualifications, FIGURES"),
    "figure": (["TITLE", "CAPTION", "select", "draw"], "TITLE, CAPTION, select, draw"),
    "executor": (["execute"], "execute"),
}


@pytest.mark.parametrize("kind", CONTRACTS)
def test_a_plug_in_is_listed_and_loaded(monkeypatch, tmp_path, kind):
    """What a package announces stands behind the built-in names, with its module and its first line."""
    known = registries()[kind]
    source = '"""Something from outside."""\n' + "".join(f"{name} = ()\n" for name in CONTRACTS[kind][0])
    announce(monkeypatch, tmp_path, known.group, {"outside": source}, strange="outside")
    assert known.names() == (*known.entries, "strange")
    assert (known.load("strange").__name__, known.summary("strange")) == ("outside", "Something from outside.")


@pytest.mark.parametrize("kind", CONTRACTS)
def test_a_plug_in_that_lacks_the_contract_is_refused(monkeypatch, tmp_path, kind):
    """Everything that its module lacks is named at once, when it is listed or loaded."""
    known = registries()[kind]
    announce(monkeypatch, tmp_path, known.group, {"outside": ""}, strange="outside")
    expected = f"{kind} strange: plug-in 'outside' is no {kind}, for it lacks {CONTRACTS[kind][1]}"
    for ask in (known.load, known.summary):
        with pytest.raises(ContractError, match=f"^{re.escape(expected)}$"):
            ask("strange")


def test_a_probe_that_is_timed_needs_no_measure(monkeypatch, tmp_path):
    """One of two alternatives is enough."""
    probes = registries()["probe"]
    announce(monkeypatch, tmp_path, probes.group, {"outside": "def block(subject, timing): ...\n"}, strange="outside")
    assert probes.load("strange").__name__ == "outside"


@pytest.mark.parametrize(
    ("source", "value", "expected"),
    [
        (
            "1 / 0\n",
            "outside",
            "plug-in 'outside' cannot be imported (ZeroDivisionError: division by zero); mend or uninstall it",
        ),
        (
            "",
            "inside",
            "plug-in 'inside' cannot be imported (ModuleNotFoundError: No module named 'inside'); mend or uninstall it",
        ),
        ("build = 1\n", "outside:build", "entry point 'outside:build' must name a module, as 'package.module'"),
    ],
)
def test_a_plug_in_that_cannot_be_had_says_why(monkeypatch, tmp_path, source, value, expected):
    """An import that fails, or an entry point that names no module, is one line with the plug-in's name."""
    announce(monkeypatch, tmp_path, "seqbench.models", {"outside": source}, strange=value)
    with pytest.raises(ContractError, match=f"^{re.escape(f'model strange: {expected}')}$"):
        registries()["model"].load("strange")


def test_a_plug_in_takes_no_name_that_is_there(monkeypatch, tmp_path):
    """Nobody can put another model behind a built-in name."""
    announce(monkeypatch, tmp_path, "seqbench.models", {"outside": "build = 1\n"}, lstm="outside")
    expected = (
        "model lstm: the plug-in 'outside' takes the name of 'seqbench.measure.models.lstm'; "
        "give it another name, or uninstall it"
    )
    for ask in (registries()["model"].names, lambda: registries()["model"].load("gru_of_nobody")):
        with pytest.raises(ContractError, match=f"^{re.escape(expected)}$"):
            ask()


CLAIM = "FIGURES = ()\ndef finding(atoms, verdict): return ''\ndef qualifications(atoms): return ()\n"
CONTENT = """
title = "Something"
sentence = "Something is larger than nothing."
rule = "a"
[atoms.a]
estimand = "something"
unit = "1"
test = "one_sample"
measurement = "something"
support = 0.1
arms.subject = { task = "recall", model = "rnn" }
"""


def test_the_claim_of_a_plug_in_joins_what_is_installed(monkeypatch, tmp_path):
    """Its title, rule and atoms stand in a file beside its module; what seqbench carries is as it was."""
    announce(monkeypatch, tmp_path, "seqbench.claims", {"outside": CLAIM}, X9="outside")
    (tmp_path / "outside.toml").write_text(CONTENT)
    claims = preregistration.installed().claims
    assert [*claims] == [*preregistration.built_in().claims, "X9"]
    assert (claims["X9"].title, claims["X9"].atoms["a"].support) == ("Something", 0.1)
    assert "X9" in preregistration.installed(["X9"]).claims
    assert preregistration.installed(["C1"]) == preregistration.built_in()


@pytest.mark.parametrize(
    ("content", "name", "refused"),
    [
        (
            None,
            "X9",
            ContractError(
                "claim X9: outside.toml is missing beside outside; "
                "write title, sentence, rule and atoms of the claim into it"
            ),
        ),
        (
            CONTENT.replace("title", "tilte"),
            "X9",
            InvalidInput("outside.toml: missing key 'title'; unknown key 'tilte', did you mean 'title'?"),
        ),
        (
            CONTENT.replace('"a"', '"b"'),
            "X9",
            InvalidInput("outside.toml: the rule names the atom 'b', which the claim does not have"),
        ),
        (
            CONTENT,
            "C1",
            InvalidInput("there is a claim C1 already (Gradients vanish or explode); give yours another name"),
        ),
        (
            CONTENT,
            "9x",
            ContractError("'9x' is no name of a claim; write at most 40 letters, digits, _ and -, a letter first"),
        ),
    ],
)
def test_the_claim_of_a_plug_in_without_its_content_is_refused(monkeypatch, tmp_path, content, name, refused):
    """A missing file, a wrong key, another rule, a taken or impossible name: one line that says what to do."""
    announce(monkeypatch, tmp_path, "seqbench.claims", {"outside": CLAIM}, **{name: "outside"})
    if content is not None:
        (tmp_path / "outside.toml").write_text(content)
    with pytest.raises(type(refused), match=f"^{re.escape(str(refused))}$"):
        preregistration.installed()
