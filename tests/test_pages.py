"""The blocks of the documents that are marked `run`, and the notebook: run as they stand."""

import json
import re

import judged_studies
import pytest
from documents import DOCUMENTS, ROOT, blocks, run

from seqbench import hub, store, suite
from seqbench.measure import models
from seqbench.variant import parse

pytestmark = pytest.mark.slow
DOCS = ROOT / "docs"
NOTEBOOK = ROOT / "examples" / "quickstart.ipynb"
MORE_IS_ASKED = {ROOT / "README.md", DOCS / "cite.md", DOCS / "generate.md"}
"""Documents that are run by a test of their own: the README's by test_own_model, the others below."""


def with_study(*places):
    """Return what makes a whole study with records under each of these names."""

    def make(folder):
        study = judged_studies.study(("C1",), seeds=5)
        for place in places:
            store.create_study(folder / place, study)
            for _, record in judged_studies.contents(study).records:
                store.save(folder / place, record)

    return make


MADE_BEFORE = {
    DOCS / "records.md": with_study("results/quickstart"),
    DOCS / "records-format.md": with_study("R"),
}
"""What a document takes to be there."""
TO_RUN = [path for path in DOCUMENTS if any(block.runs and block.language != "toml" for block in blocks(path))]


@pytest.mark.parametrize(
    "path", [path for path in TO_RUN if path not in MORE_IS_ASKED], ids=lambda path: str(path.relative_to(ROOT))
)
def test_the_blocks_of_a_document_run(path, tmp_path):
    """Every block that is marked `run` does, in the order of the document, in a folder with nothing else in it."""
    MADE_BEFORE.get(path, lambda _: None)(tmp_path)
    run(path, tmp_path)


def test_what_is_cited_is_there(tmp_path):
    """The page on citing runs, and its LaTeX names keys and files that the report which it writes has."""
    with_study("results/quick")(tmp_path)
    run(DOCS / "cite.md", tmp_path)
    text = "".join(block.text for block in blocks(DOCS / "cite.md") if block.language == "latex")
    macros = (tmp_path / "reports/quick/macros.tex").read_text(encoding="utf-8")
    keys, inputs = set(re.findall(r"\\seqbench\{(.*?)\}", text)), re.findall(r"\\input\{(.*?)\}", text)
    assert {key for key in keys if f"{{{key}}}" not in macros} == set()
    assert keys
    assert [name for name in inputs if not (tmp_path / f"{name}.tex").exists()] == []
    tables = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "reports/quick/tables").glob("*.tex"))
    assert [name for name in re.findall(r"\\ref\{(.*?)\}", text) if f"\\label{{{name}}}" not in tables] == []


def test_the_generator_on_its_page_is_loaded_and_writes(tmp_path, capsys):
    """The Python of the page reads a folder that was saved, and goes on from the prompt."""
    vocabulary = "\n Cahilstu\ufffd"
    spec = models.spec_for(parse("lstm"), vocab=len(vocabulary), outputs=len(vocabulary), width=8, layers=1)
    network = models.create(parse("lstm"), spec, seed=0)
    hub.save(tmp_path / "my-generator", *hub.wrap(network, spec, model_name="lstm", vocabulary=vocabulary))
    run(DOCS / "generate.md", tmp_path)
    written = capsys.readouterr().out
    assert written.startswith("Cthulhu is")
    assert len(written) == len("Cthulhu is") + 100 + len("\n")


def test_the_notebook_runs_and_shows(monkeypatch):
    """Every cell of the notebook runs, and it shows all verdicts, a drawing with its data, and the report's page."""
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    place = {"metadata": {"path": str(NOTEBOOK.parent)}}
    NotebookClient(notebook, timeout=900, kernel_name="python3", resources=place).execute()
    shown = {cell.id: "".join(map(str, cell.outputs)) for cell in notebook.cells if cell.cell_type == "code"}
    _, smoke = suite.find("smoke")
    assert [name for name in smoke.claims if name not in shown["verdicts"]] == []
    assert "<svg" in shown["figure"]
    assert "rnn@activation=relu,init=identity" in shown["records"]
    assert "iframe srcdoc" in shown["report"]


def test_the_notebook_is_kept_without_outputs():
    """What a cell shows depends on the machine, so that nothing of it is committed."""
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["id"] for cell in cells if cell["outputs"] or cell["execution_count"]] == []
