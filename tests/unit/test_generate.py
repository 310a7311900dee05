"""Generators at the command line: trained once, read again, and nothing but text on standard output."""

import json
import os
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from seqbench import corpus as corpus_module
from seqbench import gallery, generate, hub, store
from seqbench.cell import SampleConfig
from seqbench.cli import app
from seqbench.errors import CheckpointError, InvalidInput, UsageError
from seqbench.measure.probes import bits_per_character

WORDS = ("the old house", "a black sea", "no man knew", "strange dreams came")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(generate, "PASSES", 2)
    monkeypatch.setattr(generate, "SHARE_TIMED", 0.0)


@pytest.fixture
def corpus(tmp_path):
    rng = np.random.default_rng(1)
    path = tmp_path / "tales.txt"
    path.write_text("\n".join(". ".join(rng.choice(WORDS, 4)) for _ in range(120)), encoding="utf-8")
    return path


class Shown:
    """What a generator tells people, and the steps of its progress."""

    def __init__(self):
        self.lines, self.steps, self.text = [], [], ""

    def tell(self, line):
        self.lines.append(line)

    def show(self, text):
        self.text += text

    def __call__(self, total):
        self.total = total
        return self

    def __enter__(self):
        return lambda done, told: self.steps.append((done, told))

    def __exit__(self, *_error):
        return None


def wanted(corpus, **changes):
    return generate.Wanted(**({"model": "gru", "corpus": str(corpus), "width": 8, "minutes": 5.0} | changes))


def made(corpus, shown=None, *, folder=None, **changes):
    shown = shown or Shown()
    clock = {"clock": changes.pop("clock")} if "clock" in changes else {}
    return generate.generator(wanted(corpus, **changes), folder=folder, tell=shown.tell, progressing=shown, **clock)


def test_a_generator_is_trained_once_and_then_read(corpus):
    """Both calls tell where the checkpoint lies, the second of no training, and it writes the same from it."""
    first, second = Shown(), Shown()
    made_first, made_second = made(corpus, first), made(corpus, second)
    place = corpus_module.cache_home() / made_first.facts.fingerprint
    assert first.lines == ["no checkpoint yet: training gru on tales, for 5 min at most", f"saved as {place}"]
    assert first.steps[-1][0] == first.total == made_first.facts.steps
    assert (second.lines, second.steps) == ([f"the checkpoint is {place}"], [])
    assert made_second.facts == made_first.facts
    config = SampleConfig(prompt="the ", characters=80, temperature=0.8)
    assert "".join(made_first.write(config, seed=4)) == "".join(made_second.write(config, seed=4))


def test_the_checkpoint_lies_in_the_cache_under_its_fingerprint(corpus, tmp_path):
    """Model, size, text, training and minutes make the name; the library's form is in it."""
    facts = made(corpus).facts
    (folder,) = (tmp_path / "cache" / "seqbench").iterdir()
    assert folder.name == facts.fingerprint
    model, tokenizer = hub.load(folder)
    assert model.config.hidden_size == 8
    assert set(hub.vocabulary_of(tokenizer)) >= set("theold house")


@pytest.mark.parametrize("changes", [{"width": 9}, {"model": "lstm"}, {"learning_rate": 1e-4}, {"minutes": 6.0}])
def test_whatever_decides_a_generator_decides_its_fingerprint(corpus, changes):
    """Another size, model, rate or time is another generator."""
    assert made(corpus).facts.fingerprint != made(corpus, **changes).facts.fingerprint


def test_another_text_is_another_generator(corpus):
    """The hash of the text is part of the name."""
    before = made(corpus).facts.fingerprint
    corpus.write_text(corpus.read_text() + "!")
    assert made(corpus).facts.fingerprint != before


def test_what_it_cost_is_told(corpus):
    """Parameters, characters, seconds, bits, and the anchors on the very characters of the validation part."""
    writer = made(corpus)
    facts = writer.facts
    assert facts.parameters == sum(weight.numel() for weight in writer.network.parameters())
    assert facts.tokens == facts.steps * generate.BATCH * generate.LENGTH
    assert (facts.limited, facts.outcome) == (False, "schedule finished")
    positions, bits = bits_per_character.surprisal(writer.network, writer.text.valid, length=generate.LENGTH)
    assert facts.validation == pytest.approx(bits.mean())
    assert facts.anchors["order4"] == pytest.approx(
        bits_per_character.of_text(writer.text, "valid")["order4"][positions].mean()
    )
    assert "order5" in facts.told()
    assert f"{facts.parameters:,} parameters" in facts.told()


def test_a_training_that_the_time_ends_is_marked(corpus, monkeypatch):
    """The schedule is planned to fit, and where it does not the clock ends it at an evaluation."""
    monkeypatch.setattr(generate, "PASSES", 40)
    ticks = count(step=20)
    shown = Shown()
    facts = made(corpus, shown, clock=lambda: next(ticks), minutes=1.0).facts
    assert (facts.limited, facts.outcome) == (True, "out of time")
    assert facts.steps < shown.total
    assert "out of time, limited to 1 min" in facts.told()


def test_the_schedule_is_made_to_fit_the_minutes(corpus, monkeypatch):
    """A step of two seconds leaves 27 steps in a minute, a tenth of which is kept for the rest."""
    monkeypatch.setattr(generate.calibrate, "step_seconds", lambda *_given, **_named: 2.0)
    monkeypatch.setattr(generate, "PASSES", 100)
    shown = Shown()
    facts = made(corpus, shown, minutes=1.0, clock=lambda: 0.0).facts
    assert shown.total == facts.steps == 27
    assert (facts.limited, facts.outcome) == (True, "schedule finished")


def test_attention_is_trained_in_windows_and_still_writes(corpus):
    """What cannot carry its state is trained without, and its cell says so."""
    writer = made(corpus, model="transformer", layers=1)
    assert writer.facts.cell.training.carry is None
    assert writer.facts.stateful is None
    assert len(list(writer.write(SampleConfig(characters=300), seed=0))) == 300


def test_an_encoder_cannot_write(corpus):
    """It is refused before anything is trained."""
    with pytest.raises(InvalidInput, match=r"transformer@causal=false of width 8 cannot write"):
        made(corpus, model="transformer@causal=false")


def test_a_folder_of_ones_own_holds_one_generator(corpus, tmp_path):
    """It is read when it is the one asked for, and another one is refused by what it is."""
    place = tmp_path / "mine"
    facts = made(corpus, folder=place).facts
    assert made(corpus, folder=place).facts == facts
    with pytest.raises(UsageError, match=r"mine holds another generator, gru of width 8 on tales, given 5 min"):
        made(corpus, folder=place, width=9)


def test_a_damaged_checkpoint_is_refused(corpus, tmp_path):
    """Weights that were tampered with, and facts that are no facts."""
    place = tmp_path / "mine"
    made(corpus, folder=place)
    weights = place / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(CheckpointError, match=r"model\.safetensors changed since"):
        made(corpus, folder=place)
    weights.write_bytes(whole)
    facts = (place / generate.FACTS).read_text()
    (place / generate.FACTS).write_text(facts.replace('"validation": ', '"validation": 1', 1))
    with pytest.raises(CheckpointError, match=r"training\.json changed since"):
        made(corpus, folder=place)
    (place / generate.FACTS).write_text("{")
    with pytest.raises(CheckpointError, match=r"training\.json is damaged"):
        made(corpus, folder=place)
    (place / generate.FACTS).unlink()
    with pytest.raises(CheckpointError, match=r"has no training\.json, and is no generator's"):
        made(corpus, folder=place)


def test_a_checkpoint_that_was_not_finished_is_made_again(corpus, tmp_path):
    """Without its manifest a folder is none."""
    place = tmp_path / "mine"
    made(corpus, folder=place)
    (place / "seqbench.json").unlink()
    shown = Shown()
    made(corpus, shown, folder=place)
    assert shown.steps


def test_a_folder_with_other_files_is_refused_before_training(corpus, tmp_path):
    """A checkpoint would overwrite a README.md that is there; an empty folder will do."""
    place = tmp_path / "project"
    place.mkdir()
    (place / "README.md").write_text("mine")
    shown = Shown()
    with pytest.raises(
        UsageError, match=r"project holds other files than a generator's; give an empty or a new folder"
    ):
        made(corpus, shown, folder=place)
    assert (shown.lines, (place / "README.md").read_text()) == ([], "mine")
    (place / "README.md").unlink()
    assert made(corpus, folder=place).facts.steps


def test_a_folder_that_cannot_be_made_is_refused_before_training(corpus):
    """Minutes of training for nothing are spared."""
    shown = Shown()
    with pytest.raises(UsageError, match=r"tales\.txt cannot be written \(File exists\); give another folder"):
        made(corpus, shown, folder=corpus)
    assert shown.lines == []


def test_a_folder_without_permission_is_refused_before_training(corpus, tmp_path, monkeypatch):
    """Who may not write into it is told so at once."""
    monkeypatch.setattr(generate.os, "access", lambda *_asked: False)
    shown = Shown()
    with pytest.raises(UsageError, match=r"mine cannot be written \(no permission\); give another folder"):
        made(corpus, shown, folder=tmp_path / "mine")
    assert shown.lines == []


def test_a_text_too_short_for_a_measure_is_told_without_it(corpus):
    """One character has no word and no 8-gram, and no share of them that is no number."""
    writer = made(corpus)
    assert writer.judged("", "a") == "the longest span copied from the training text has 1 character"
    assert writer.judged("", "the old €house") == (
        "100.0% of the words are in the training text; "
        "the longest span copied from the training text has 8 characters; "
        "0.0% of the 8-grams are repeated"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--temperature", "inf"], "temperature: input should be a finite number"),
        (["--temperature", "101"], "temperature: input should be less than or equal to 100"),
        (["--top-k", "10001"], "top_k: input should be less than or equal to 10000"),
        (["--prompt", "x" * 2001], "prompt: string should have at most 2000 characters"),
        (["--prompt", "\udcff"], "prompt: input should be a valid string"),
        (["--all", "--model", "gru", "--seed", "3"], "--model, --seed: not used with --all; leave it out"),
        (["--all", "--save", "there"], "--save: not used with --all; leave it out"),
        (["--results", "there"], "--results: not used without --all; leave it out"),
    ],
)
def test_impossible_requests_are_refused_in_a_sentence(corpus, options, message):
    """What the texts' schema forbids, and what would be ignored, is named."""
    done = CliRunner().invoke(app, ["generate", "--corpus", str(corpus), *options])
    assert isinstance(done.exception, UsageError)
    assert message in str(done.exception)


@pytest.mark.parametrize("option", ["--max-minutes", "--learning-rate", "--width", "--layers"])
def test_numbers_without_end_are_a_wrong_usage(corpus, option):
    """Each option has its range."""
    number = "inf" if option in ("--max-minutes", "--learning-rate") else "1000000"
    done = CliRunner().invoke(app, ["generate", "--corpus", str(corpus), option, number])
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"Invalid value for '{option}'" in done.stderr


def test_the_command_prints_the_prompt_and_exactly_the_characters(corpus):
    """Standard output is the text and nothing else, not even a line end; all else goes to standard error."""
    asked = ["generate", "--model", "gru", "--width", "8", "--corpus", str(corpus), "--chars", "50", "--seed", "2"]
    done = CliRunner().invoke(app, [*asked, "--prompt", "no man €"])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("no man €")
    assert len(done.stdout) == len("no man €") + 50
    assert "the training text lacks '€'; the model reads U+FFFD" in done.stderr
    assert "parameters" in done.stderr
    assert "of the words are in the training text" in done.stderr
    again = CliRunner().invoke(app, [*asked, "--prompt", "no man €"])
    assert again.stdout == done.stdout
    assert "no checkpoint yet" not in again.stderr


def test_a_cut_text_is_nothing_that_can_be_read(corpus):
    """A text that is too short for its parts is refused in one sentence."""
    corpus.write_text("too short")
    with pytest.raises(UsageError, match="give a longer text"):
        made(corpus)


@pytest.mark.slow
def test_every_architecture_writes_beside_the_others(corpus, tmp_path, monkeypatch):
    """--all is a study like any other: two budgets, all texts in records, and the same command prints them again."""
    monkeypatch.setattr(gallery, "ARCHITECTURES", ("rnn", "transformer"))
    results = tmp_path / "study"
    asked = ["generate", "--all", "--corpus", str(corpus), "--results", str(results), "--width", "32", "--chars", "30"]
    done = CliRunner().invoke(app, [*asked, "--max-minutes", "0.02", "--prompt", "the"])
    assert done.exit_code == 0, done.output
    records = store.contents(results).accepted().values()
    assert {record.cell.model for record in records} == {"rnn", "transformer"}
    assert all(len(text.text) == 30 and text.prompt == "the" for record in records for text in record.texts)
    steps = [record.cell.training.steps for record in records]
    assert steps.count(min(steps)) >= 2
    for record in records:
        assert record.texts[0].text.split()[0] in done.stdout
    study = json.loads((results / "study.json").read_text())
    again = CliRunner().invoke(app, [*asked, "--max-minutes", "0.02", "--prompt", "the"])
    assert again.exit_code == 0
    assert again.stdout == done.stdout
    assert json.loads((results / "study.json").read_text()) == study
    other = CliRunner().invoke(app, [*asked, "--max-minutes", "0.02", "--prompt", "a"])
    assert "holds another study" in str(other.exception)


@pytest.mark.skipif("SEQBENCH_TEST_CORPORA" not in os.environ, reason="SEQBENCH_TEST_CORPORA names no folder of texts")
@pytest.mark.slow
def test_half_a_minute_on_a_real_text_beats_what_knows_no_context():
    """A small network trained for seconds is far below the order-0 anchor on tiny Shakespeare."""
    path = Path(os.environ["SEQBENCH_TEST_CORPORA"]) / "tinyshakespeare.txt"
    facts = made(path, model="lstm", width=32, minutes=0.5).facts
    assert facts.validation < facts.anchors["order0"] - 1
