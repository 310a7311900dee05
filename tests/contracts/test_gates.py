"""What every gate must be: a closed file with its source, a tolerance that can fail, floors that arithmetic gives."""

from math import log

import pytest

from seqbench import cards, plan, suite
from seqbench.errors import InvalidInput
from seqbench.judge.gates import critique
from seqbench.measure.models import MODELS
from seqbench.measure.probes import PROBES
from seqbench.record import CorpusFacts

FILES = sorted(suite.gates_folder().glob("*.toml"))
GATES = suite.gates().gates
CHECKS = [(f"{name}/{key}", gate, check) for name, gate in GATES.items() for key, check in gate.checks.items()]
PTB = CorpusFacts(name="ptb", sha256="0" * 64, split="character")
COPIED = 10


def copy_floor(T):
    """Blanks for nothing, then ten symbols of eight at random, averaged over T + 20 positions."""
    return COPIED * log(8) / (T + 2 * COPIED)


def study():
    """Return the study of every gate, with the text that one of them needs."""
    extra = (suite.gates_folder() / "tasks",)
    return plan.study(
        suite.VERIFY, suite.gates(), text=PTB, extra_cards=extra, known_models=MODELS, known_probes=PROBES
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_one_gate_with_its_source(path):
    """A gate's file has its name, groups that belong to its checks alone, and says where the number was printed."""
    content = cards.validated(suite.Suite, cards.read_toml(path), source=path.name)
    (gate,) = content.gates.values()
    assert any(printed in gate.source for printed in ("arXiv ", "LRA", "rnn_benchmarks"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_closed(path):
    """A key that a gate does not have is refused by name, with the nearest one that it has."""
    content = cards.read_toml(path)
    content["gates"][path.stem]["tolerence"] = 1
    with pytest.raises(InvalidInput, match=rf"unknown key 'gates.{path.stem}.tolerence'"):
        cards.validated(suite.Suite, content, source=path.name)


def test_every_check_has_cells_of_its_own():
    """Each group plans cells that no other group asks for, so that every record belongs to one gate."""
    demanded = plan.demanded(study())
    assert [str(entry.cell) for entry, groups in demanded if len(groups) != 1] == []
    planned = {entry.group for entry, _ in demanded}
    assert planned == {check.group for _, _, check in CHECKS}


@pytest.mark.parametrize(("name", "gate", "check"), CHECKS, ids=[name for name, *_ in CHECKS])
def test_floors_equal_the_closed_forms(name, gate, check):
    """1/6 of the adding problem, 10 ln 8 / (T + 20) of copy memory, one in 2 and one in 5 of parity and the ring."""
    task = name.split("_")[0].split("/")[0]
    group = {group.name: group for group in suite.gates().groups}[check.group]
    T = check.length or group.lengths[0]
    floors = {"adding": 1 / 6, "copy": copy_floor(T), "parity": 1 / 2, "cycle": 1 / 5}
    if gate.title.endswith("memoryless floor"):
        assert check.published == pytest.approx(floors[task], rel=5e-5)
    elif check.floor is not None:
        assert check.floor == pytest.approx(floors[task], rel=5e-5)
    if check.published_floor is not None:
        assert (task, check.published_floor) == ("copy", pytest.approx(copy_floor(1000), rel=5e-5))


@pytest.mark.parametrize(("name", "gate", "check"), CHECKS, ids=[name for name, *_ in CHECKS])
def test_nothing_learnt_fails_a_check_that_asks_for_learning(name, gate, check):
    """A tolerance lies beyond the floor, or holds it on purpose where the published number sits there too."""
    del gate
    if check.floor is not None:
        assert check.holds(check.floor) == bool(critique(check)), name


def test_quick_gates_fit_into_their_time():
    """What --quick runs takes at most 22 core-minutes by its own account, and four of its gates train."""
    quick = {name: gate for name, gate in GATES.items() if gate.quick}
    assert sum(gate.core_minutes for gate in quick.values()) <= 22
    trained = {group.name for group in suite.gates().groups if group.training}
    training = [name for name, gate in quick.items() if {check.group for check in gate.checks.values()} & trained]
    assert sorted(training) == ["adding_200", "copy_100", "cycle", "parity"]
    assert {"adding_floor", "copy_floor", "memory_growth", "time_growth", "loop_tax"} <= set(quick)


def test_the_gates_are_what_the_study_carries():
    """The study of all gates is the built-in one, with every tolerance in it, and one without gates does not say so."""
    assert study().suite_source == "built-in"
    assert study().suite.gates == GATES
    assert "gates" in study().suite.model_dump()
    assert "gates" not in suite.find("smoke")[1].model_dump()


def test_a_gate_that_was_changed_is_its_authors_own():
    """A wider tolerance makes a suite somebody's own, so that its page says exploratory."""
    wide = suite.gates()
    gate = wide.gates["adding_floor"]
    check = gate.checks["constant"].model_copy(update={"at_most": 1.0})
    gates = wide.gates | {"adding_floor": gate.model_copy(update={"checks": {"constant": check}})}
    assert suite.source_of(suite.VERIFY, wide.model_copy(update={"gates": gates})) == "own"
