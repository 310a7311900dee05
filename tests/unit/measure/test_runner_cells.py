"""Running a cell: what goes wrong is a status, and the numbers depend on the cell alone."""

import math

import pytest
import torch
from documents import ROOT, blocks

from seqbench import plan, store, suite
from seqbench.measure import conduct, models, prepare, runner
from seqbench.measure.environment import describe
from seqbench.measure.models import MODELS
from seqbench.measure.probes import PROBES
from seqbench.measure.seeds import stream
from seqbench.suite import Group, Suite
from seqbench.variant import parse

TRAINING = {"steps": 3, "batch": 4, "learning_rate": 1e-2, "evaluate_every": 2, "evaluation_sequences": 8}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    """Run where own model files lie: a study names them by relative paths only."""
    monkeypatch.chdir(tmp_path)


TOKENS_ONLY = """
import torch

class Mine(torch.nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.table = torch.nn.Embedding(spec.vocab, spec.outputs)

    def forward(self, tokens, state=None):
        return self.table(tokens), state

build = Mine
"""


def study_of(*, development=True, **changes):
    fields = {"name": "g", "task": "recall", "models": ("rnn",), "lengths": (9,), "width": 8, "seeds": 1}
    group = Group(**(fields | changes))
    known = {"known_models": MODELS, "known_probes": PROBES}
    return plan.study("s", Suite(title="t", groups=(group,)), development=development, **known)


def context_of(study, **changes):
    fields = {
        "cards": study.cards,
        "preregistration": study.preregistration_sha256,
        "environment": describe("cpu", threads=1),
    }
    return prepare.Context(**(fields | changes))


def run(study):
    (planned,) = plan.planned(study)
    return runner.run_cell(planned, context=context_of(study))


def test_a_learning_cell_is_scored_as_its_card_says():
    """A recall cell brings its recall, its bounds and its training curves; unsolved within three steps."""
    record = run(study_of(training=TRAINING))
    assert record.status == "unsolved"
    assert record.measured("chance_loss").value == pytest.approx(math.log(8))
    assert record.measured("recall_by_lag").series.axis == "lag"
    assert record.measured("training_loss").series.at == (1.0, 2.0, 3.0)


def test_a_cell_run_twice_gives_the_same_numbers():
    """Everything measured depends on the cell alone."""
    study = study_of(training=TRAINING)
    assert run(study).measurements == run(study).measurements


def test_two_models_of_a_family_see_the_same_batches(tmp_path):
    """The batches of a cell depend on task, length and seed, never on the model."""
    seen = []
    for name in ("one", "two"):
        file = tmp_path / f"{name}.py"
        file.write_text(
            "import pathlib, torch\n"
            f"log = pathlib.Path({str(tmp_path / name)!r})\n"
            "class Mine(torch.nn.Module):\n"
            "    def __init__(self, spec):\n"
            "        super().__init__()\n"
            "        self.table = torch.nn.Embedding(spec.vocab, spec.outputs)\n"
            "    def forward(self, tokens, state=None):\n"
            "        with log.open('a') as file:\n"
            "            file.write(str(tokens.tolist()))\n"
            "        return self.table(tokens), state\n"
            "build = Mine\n"
        )
        run(study_of(training=TRAINING, models=(f"{file.name}:build",)))
        seen.append((tmp_path / name).read_text())
    assert seen[0] == seen[1]


def test_a_broken_cell_is_an_error_record_without_paths(tmp_path):
    """An own model that fails gives a record with its error and the function, and no path of this machine."""
    file = tmp_path / "broken.py"
    file.write_text("def build(spec):\n    raise RuntimeError('no such thing')\n")
    record = run(study_of(models=(f"{file.name}:build",), training=TRAINING))
    assert (record.status, record.error) == ("error", "RuntimeError: no such thing (in build, broken.py:2)")


def test_the_readmes_own_model_is_trained_scored_and_streams(tmp_path):
    """The model that the README shows is one: trained, scored and counted, and in pieces what it is whole."""
    (source,) = [block.text for block in blocks(ROOT / "README.md") if block.file == "mine.py"]
    file = tmp_path / "mine.py"
    file.write_text(source)
    record = run(study_of(models=(f"{file.name}:build",), training=TRAINING))
    assert (record.status, record.error) == ("unsolved", None)
    assert record.model.parameters == 17 * 8 + (8 + 1) * 8 + (8 + 1) * 8
    spec = models.spec_for(parse("mine.py:build"), vocab=5, outputs=5, width=4, layers=1)
    model = models.create(parse("mine.py:build"), spec, seed=0).double()
    tokens = torch.randint(0, 5, (2, 6), generator=stream("tokens"))
    first, state = model(tokens[:, :2])
    rest, _ = model(tokens[:, 2:], state)
    assert torch.allclose(torch.cat((first, rest), dim=1), model(tokens)[0])


def test_a_token_model_before_floats_is_structural(tmp_path):
    """A model that takes only tokens is complete; a real-valued task is structural for it, not failed."""
    file = tmp_path / "mine.py"
    file.write_text(TOKENS_ONLY)
    record = run(study_of(task="onehot", probe="input_gradient", models=(f"{file.name}:build",)))
    assert (record.status, record.error) == (
        "structural",
        "the model takes only tokens, and this task has real-valued inputs",
    )


def test_an_adding_cell_brings_its_share_explained():
    """A regression is trained, watched by R² and scored in squared units; unsolved within three steps."""
    record = run(study_of(task="adding", lengths=(9,), training=TRAINING))
    assert (record.status, record.error) == ("unsolved", None)
    loss = record.measured("loss")
    assert (loss.unit, record.measured("training_loss").unit) == ("squared error", "squared error")
    assert record.measured("r2").value == pytest.approx(1 - 6 * loss.value)
    last = (record.measured(f"evaluation_{name}").value for name in ("score", "loss"))
    assert next(last) == pytest.approx(1 - 6 * next(last))


def test_an_adding_cell_is_solved_by_what_it_explains(tmp_path):
    """A model that adds what is marked reaches R² 0.94 at once, and training ends."""
    file = tmp_path / "adds.py"
    file.write_text(
        "import torch\n"
        "class Adds(torch.nn.Module):\n"
        "    def __init__(self, spec):\n"
        "        super().__init__()\n"
        "        self.scale = torch.nn.Parameter(torch.ones(1))\n"
        "    def forward(self, inputs, state=None):\n"
        "        return self.scale * inputs.prod(2).cumsum(1)[..., None], state\n"
        "build = Adds\n"
    )
    training = TRAINING | {"steps": 50, "learning_rate": 1e-6}
    record = run(study_of(task="adding", models=(f"{file.name}:build",), training=training))
    assert (record.status, record.error) == ("ok", None)
    assert (record.measured("steps_to_solve").value, record.measured("steps").value) == (2.0, 4.0)
    assert record.measured("r2").value > 0.999


def test_a_token_model_before_numbers_to_add_is_structural(tmp_path):
    """A model of tokens alone cannot stand before the adding problem: nothing is trained and nothing fails."""
    file = tmp_path / "mine.py"
    file.write_text(TOKENS_ONLY)
    record = run(study_of(task="adding", models=(f"{file.name}:build",), training=TRAINING))
    expected = "the model takes only tokens, and this task has real-valued inputs"
    assert (record.status, record.error, record.measurements) == ("structural", expected, ())


def test_a_learned_table_shorter_than_a_sequence_is_structural():
    """Positions beyond the table cannot be told: the cell is structural, at its own length and at a test length."""
    known = {"models": ("transformer@context=32,positions=learned",), "training": TRAINING}
    expected = (
        "structural",
        "40 positions are more than the 32 of the learned table; use context=40 or more, or positions=rope",
    )
    long = run(study_of(task="recall", lengths=(40,), **known))
    assert (long.status, long.error) == expected
    tested = run(study_of(task="recall", lengths=(20,), test_lengths=(30, 40), **known))
    assert (tested.status, tested.error) == expected


def test_a_trained_model_is_tested_at_the_lengths_asked_for():
    """A copy of 5 blanks is tested at 5 and at 9: the series has both, and its value is that of the longer one."""
    record = run(study_of(task="copy", models=("gru",), lengths=(5,), test_lengths=(9,), training=TRAINING))
    found = record.measured("accuracy_by_length")
    assert found.series.at == (5.0, 9.0)
    assert found.series.values == (record.measured("accuracy").value, found.value)


def test_a_copy_cell_is_scored_at_its_recalls():
    """Its sequences are T+20 long; the loss is that of the recalls, with the diluted one beside it."""
    record = run(study_of(task="copy", models=("gru",), lengths=(5,), training=TRAINING))
    assert (record.status, record.error) == ("unsolved", None)
    loss = record.measured("loss").value
    assert loss == pytest.approx(math.log(8), abs=0.2)
    assert record.measured("diluted_loss").value == pytest.approx(loss * 10 / 25)
    assert record.measured("tokens").value == 3 * 4 * 25


@pytest.mark.parametrize("model", ["rnn", "transformer@causal=false,positions=none"])
def test_a_count_cell_is_scored_in_two_orders(model):
    """Arms of order reach the generator; an encoder without positions answers both orders alike."""
    params = {"order": "sorted", "test_order": "random"}
    record = run(study_of(task="count", models=(model,), lengths=(12,), params=params, training=TRAINING))
    assert (record.status, record.error) == ("unsolved", None)
    found = {name: record.measured(name).value for name in ("accuracy", "accuracy_shuffled", "order_drop", "flip_rate")}
    assert found["order_drop"] == pytest.approx(found["accuracy"] - found["accuracy_shuffled"])
    if model != "rnn":
        assert found["flip_rate"] <= 0.001  # near-ties may fall either way in single precision


@pytest.mark.parametrize(
    ("task", "length"), [("count", 12), ("majority", 11), ("max", 10), ("set_sum", 10), ("distinct", 8)]
)
def test_every_task_on_sets_is_scored_in_two_orders(task, length):
    """A cell of each is trained in one order and asked in another; a sum is measured as a regression."""
    params = {"order": "key_first"}
    record = run(study_of(task=task, models=("gru",), lengths=(length,), params=params, training=TRAINING))
    assert (record.status, record.error) == ("unsolved", None)
    names = ("r2", "r2_shuffled", "r2_drop") if task == "set_sum" else ("accuracy", "accuracy_shuffled", "order_drop")
    score, shuffled, drop = (record.measured(name).value for name in names)
    assert drop == pytest.approx(score - shuffled)


@pytest.mark.parametrize("probe", ["input_gradient", "saved_bytes", "state_bytes"])
@pytest.mark.parametrize("task", ["adding", "copy", "count"])
def test_probes_that_train_nothing_take_every_task(task, probe):
    """Sequences may be longer than the cell's length: probes look at what they are, not at what they are called."""
    record = run(study_of(task=task, probe=probe, lengths=(24,)))
    assert (record.status, record.error) == ("ok", None)


def test_an_allocation_that_fails_is_out_of_memory(tmp_path):
    """A failed allocation is told apart from an error: it may succeed elsewhere."""
    file = tmp_path / "huge.py"
    file.write_text("import torch\ndef build(spec):\n    return torch.empty(2**60)\n")
    assert run(study_of(models=(f"{file.name}:build",), training=TRAINING)).status == "oom"


def test_a_diverged_cell_has_its_curves_and_no_score():
    """Weights that are not numbers have no score; the record says diverged and keeps what was seen."""
    record = run(study_of(training=TRAINING | {"learning_rate": 1e38, "steps": 40, "clip_norm": 1e38}))
    assert record.status == "diverged"
    assert record.measured("recall_far") is None
    assert record.measured("training_loss") is not None


def test_what_the_machine_spoilt_is_tried_once_more(tmp_path):
    """A cell whose worker is killed gets a second attempt in the same call, and its last record counts."""
    file = tmp_path / "fragile.py"
    file.write_text(
        "import os, pathlib, signal\n"
        "from seqbench.measure.models.rnn import Options, build as build_rnn\n"
        f"been_here = pathlib.Path({str(tmp_path / 'been_here')!r})\n"
        "def build(spec):\n"
        "    if not been_here.exists():\n"
        "        been_here.touch()\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return build_rnn(spec)\n"
    )
    study = study_of(task="uniform_tokens", probe="state_bytes", models=(f"{file.name}:build",))
    conduct.conduct(study, tmp_path / "R", settings=conduct.Settings(executor="pool"))
    statuses = [(record.status, record.error) for _, record in store.contents(tmp_path / "R").records]
    assert statuses == [("crashed", "the worker died: killed by SIGKILL"), ("ok", None)]
    assert store.validate(tmp_path / "R") == ()


def test_a_finished_study_runs_nothing_again(tiny_study, tmp_path):
    """The second call finds every record and does nothing."""
    told = []
    for _ in range(2):
        conduct.conduct(
            tiny_study,
            tmp_path,
            settings=conduct.Settings(executor="serial"),
            started=lambda outlook: told.append((outlook.outstanding, outlook.planned)),
        )
    assert told == [(12, 12), (0, 12)]


def test_the_chance_loss_of_recall_is_measured_by_an_untrained_guess():
    """Before any step the loss on fresh recall sequences is near ln 8: nothing leaks into the first position."""
    study = study_of(training=TRAINING | {"steps": 1, "learning_rate": 1e-9})
    loss = run(study).measured("loss").value
    assert abs(loss - math.log(8)) < 0.2


def test_records_name_no_path_of_this_machine(tmp_path):
    """The environment of a record has no path, host or user in it."""
    text = describe("cpu", threads=1).model_dump_json()
    import getpass
    import socket

    assert socket.gethostname() not in text
    assert f"/{getpass.getuser()}" not in text


def test_a_model_that_exits_ends_its_cell_and_not_the_study(tmp_path):
    """SystemExit inside a model is an error record, in this process and in the pool; the other cells run."""
    (tmp_path / "leaves.py").write_text("def build(spec):\n    raise SystemExit(0)\n")
    for executor in ("serial", "pool"):
        study = study_of(task="uniform_tokens", probe="state_bytes", models=("leaves.py:build", "rnn", "gru"))
        conduct.conduct(study, tmp_path / executor, settings=conduct.Settings(executor=executor))
        statuses = sorted(record.status for _, record in store.contents(tmp_path / executor).records)
        assert statuses == ["error", "ok", "ok"]


def test_a_diverged_text_cell_still_knows_its_anchors():
    """What a text costs count models is a fact of the data: it is measured where training diverged, too."""
    training = TRAINING | {"learning_rate": 1e38, "steps": 40, "clip_norm": 1e38}
    record = run(study_of(task="chronicle", params={"preset": "XS"}, lengths=(48,), training=training))
    assert record.status == "diverged"
    assert record.measured("bits_per_character") is None
    assert record.measured("order0_bits_per_character").value > record.measured("floor_bits_per_character").value


def test_a_text_that_changed_since_the_study_was_made_is_refused(tmp_path):
    """Records name the hash of the text that was read: another text under the same path runs nothing."""
    from seqbench.errors import CorpusError
    from seqbench.suite import Suite as SuiteOf

    file = tmp_path / "mine.txt"
    file.write_text("abcdefghij" * 200)
    group = Group(name="g", task="text", models=("rnn",), lengths=(20,), width=8, seeds=1, training=TRAINING)
    study = plan.study(
        "s",
        SuiteOf(title="t", groups=(group,)),
        text=plan.corpus_facts(str(file), split=None),
        development=True,
        known_models=MODELS,
        known_probes=PROBES,
    )
    file.write_text("klmnopqrst" * 200)
    with pytest.raises(CorpusError, match=r"^the text mine has changed since the study was made"):
        conduct.conduct(study, tmp_path / "R", settings=conduct.Settings(executor="serial"), corpus_path=file)


def test_a_crashed_cell_whose_second_attempt_was_cut_off_is_tried_again(tmp_path):
    """A study killed between a crash and its second attempt makes that attempt in the next call, and then rests."""
    study = study_of(task="uniform_tokens", probe="state_bytes")
    (planned,) = plan.planned(study)
    context = context_of(study)
    store.create_study(tmp_path, study)
    store.save(tmp_path, runner.failed(planned, "crashed", "killed", 1.0, context=context))
    conduct.conduct(study, tmp_path, settings=conduct.Settings(executor="serial"))
    assert [record.status for _, record in store.contents(tmp_path).records] == ["crashed", "ok"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["standard", "full"])
def test_every_cell_of_a_long_suite_can_be_set_up(name):
    """Each model of each group is built at its size, takes the group's task, and is not refused at its least length."""
    content = suite.find(name)[1]
    groups = [
        group.model_copy(update={"lengths": group.lengths[:1], "seeds": 1})
        for group in content.groups
        if group.task != "text"
    ]
    short = content.model_copy(update={"groups": tuple(groups)})
    study = plan.study("s", short, development=True, known_models=MODELS, known_probes=PROBES)
    conduct._check_groups(study)
    context = prepare.Context(
        cards=study.cards, preregistration="", environment=describe("cpu", threads=1), corpus=None, corpus_path=None
    )
    cells = {entry.cell.model_copy(update={"seed": 100, "rate": None}): entry.cell for entry in plan.planned(study)}
    refused = [(str(cell), prepare.prepare(cell, context).structural) for cell in cells]
    assert [entry for entry in refused if entry[1]] == []
