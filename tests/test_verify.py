"""`seqbench verify` as people call it: which gates run, what is printed, and how it ends."""

import json
import re
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from seqbench import plan, store, suite
from seqbench.cli import app
from seqbench.errors import UnknownName, UsageError
from seqbench.gate import asked
from seqbench.measure import conduct
from seqbench.measure.models import MODELS
from seqbench.measure.probes import PROBES
from seqbench.record import Measurement

sys.path.insert(0, str(Path(__file__).parent / "golden"))
import judged_studies as studies

GATES = suite.gates().gates


def call(*arguments):
    """Return the result of a call of the command line."""
    return CliRunner().invoke(app, ["verify", *map(str, arguments)])


def test_without_names_nothing_runs_and_every_gate_is_listed(tmp_path):
    """Of an empty folder every gate is not run, says what it needs, and the call ends well."""
    done = call("--json", "--results", tmp_path / "none")
    rows = json.loads(done.stdout)
    assert (done.exit_code, [row["name"] for row in rows], list(tmp_path.iterdir())) == (0, list(GATES), [])
    assert {row["verdict"] for row in rows} == {"not run"}
    needs = {row["name"]: row["reason"] for row in rows}
    assert needs["adding_600"] == "needs a GPU"
    assert needs["char_ptb"] == "needs the text 'ptb' and a GPU"
    assert needs["parity"] == f"not asked for yet; about {GATES['parity'].core_minutes:g} core-minutes"


@pytest.mark.parametrize(
    ("names", "device", "text", "error", "told"),
    [
        (("parrity",), "cpu", None, UnknownName, "did you mean parity"),
        (("mqar",), "cpu", None, UsageError, "gate mqar needs a GPU: on a CPU it takes hours; give --device cuda"),
        (("char_ptb",), "cuda", "novel", UsageError, "gate char_ptb is about the text 'ptb'; give --corpus"),
    ],
)
def test_what_cannot_run_is_refused_before_anything_runs(names, device, text, error, told):
    """A gate that there is not, or whose GPU or text is not at hand, is wrong usage, which ends with exit code 2."""
    with pytest.raises(error, match=told) as refused:
        asked(GATES, names, quick=False, device=device, text=text)
    assert refused.value.exit_code == 2


def test_quick_asks_for_every_quick_gate_once():
    """What is named and quick runs once; what needs a GPU or a text is no part of --quick."""
    names = asked(GATES, ("parity",), quick=True, device="cpu", text=None)
    assert sorted(names) == sorted(name for name, gate in GATES.items() if gate.quick)
    assert not any(GATES[name].needs for name in names)


def test_only_the_groups_asked_for_run(tmp_path):
    """Of a study with two gates, the cells of one get records, and the other's wait."""
    cells = {"task": "adding", "probe": "memoryless", "lengths": (20,), "width": 1, "seeds": 1}
    groups = [suite.Group(name=name, models=(name,), **cells) for name in ("rnn", "gru")]
    study = plan.study(
        "two", suite.Suite(title="two", groups=groups), development=True, known_models=MODELS, known_probes=PROBES
    )
    conduct.conduct(study, tmp_path, settings=conduct.Settings(executor="serial"), groups={"gru"})
    assert [record.cell.model for _, record in store.contents(tmp_path).records] == ["gru"]


@pytest.mark.slow
def test_a_gate_runs_from_end_to_end(tmp_path):
    """The floors are measured, stored, judged from the folder, shown on a page, and not measured twice."""
    folder = tmp_path / "verify"
    first = call("adding_floor", "copy_floor", "--workers", 1, "--results", folder, "--json")
    rows = {row["name"]: row for row in json.loads(first.stdout)}
    assert (first.exit_code, rows["adding_floor"]["verdict"]) == (0, "reproduced")
    assert rows["copy_floor"]["ours"]["T = 1000"] == pytest.approx(0.020387, rel=1e-3)
    again = call("adding_floor", "--workers", 1, "--results", folder, "--json")
    assert json.loads(again.stdout) == json.loads(first.stdout)
    assert len(store.contents(folder).records) == 9
    done = CliRunner().invoke(app, ["report", "--results", str(folder), "--out", str(tmp_path / "page")])
    assert done.exit_code == 0
    assert "10 ln 8 / (T + 20)" in (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "page" / "gates.json").read_text(encoding="utf-8")) == json.loads(first.stdout)


def test_a_gate_that_is_not_reproduced_ends_with_four(tmp_path):
    """Records outside the tolerance end the call with exit code 4, whether it ran anything or not."""
    folder = tmp_path / "verify"
    extra = (suite.gates_folder() / "tasks",)
    study = plan.study(suite.VERIFY, suite.gates(), extra_cards=extra, known_models=MODELS, known_probes=PROBES)
    store.create_study(folder, study)
    for entry in plan.planned(study):
        if entry.group == "adding floor":
            wrong = Measurement(name="memoryless_loss", value=0.2, unit="squared error")
            store.save(folder, studies.record_of(entry, study, measurements=(wrong,)))
    done = call("--results", folder)
    assert done.exit_code == 4
    assert re.search(r"adding_floor +constant .* not reproduced", done.stdout)
    assert call("adding_floor", "--results", folder).exit_code == 4
