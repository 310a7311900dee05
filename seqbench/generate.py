"""Character generators: train one on a text, or take the one that was trained before, and let it write.

A generator is known by its fingerprint: that of the cell it would be (model, size, text, training), and the minutes it
was given. Its checkpoint lies in the cache under that name, or where `--save` says, in the form of `seqbench.hub`, with
what its training cost beside it.
"""

import hashlib
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import nn

from seqbench import cards, corpus, hub, plan, registry, variant
from seqbench import cell as cells
from seqbench.cell import Cell, SampleConfig, TrainConfig
from seqbench.errors import CheckpointError, InvalidInput, UsageError
from seqbench.hub.checkpoint import MANIFEST
from seqbench.measure import calibrate, runner
from seqbench.measure.corpora.text import REPLACEMENT, Text
from seqbench.measure.environment import describe
from seqbench.measure.prepare import Context, Prepared, prepare, text_of
from seqbench.measure.probes import bits_per_character, samples
from seqbench.measure.probes.base import carried_surprisal
from seqbench.measure.seeds import stream
from seqbench.measure.training import History, Progress
from seqbench.record import CorpusFacts, problems

FACTS = "training.json"
LN2 = math.log(2)
SEED = 0
"""Of the weights and of the order of the text: a generator is trained once, however often it writes."""
LENGTH, BATCH = 128, 32
PASSES = 30
"""So often the text is read at most; training stops before where validation gets no better."""
EVALUATIONS = 30
SHARE_OF_TIME = 0.9
"""Of the minutes given, so many are planned with steps as timed beforehand; the rest is for scoring and surprises."""
SHARE_TIMED = 0.02
"""For such a share of the minutes the steps are timed: a few alone may meet a machine that is busy for a moment."""
WIDTHS = {"lstm": 384}
LAYERS = {"transformer": 4, "tcn": 6, "mingru": 2, "minlstm": 2, "lru": 2, "linear_attention": 2}
RATES = {"transformer": 1e-3, "linear_attention": 1e-3, "rnn": 1e-3}
WIDTH, RATE = 256, 3e-3
"""Where the tables above do not name a model; as those, chosen on pilots."""

Tell = Callable[[str], object]
"""Shows a line to people."""
Progressing = Callable[[int], AbstractContextManager[Callable[[int, str], object]]]
"""Gives, for so many steps, what shows how many are done and a word about them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which generator: its model, size (None: `size_of`), text and split, and the minutes that training may take."""

    model: str
    corpus: str
    split: str | None = None
    width: int | None = None
    layers: int | None = None
    learning_rate: float | None = None
    minutes: float = 10.0


class Trained(BaseModel):
    """What a generator is and what its training cost; stored beside its checkpoint.

    limited: whether the minutes ended or shortened the training; another machine would train for other steps.
    validation: bits per character of the validation part, in windows; `stateful` while it reads the part from end to
    end, None where the state grows. anchors: what the same characters cost count models and xz, by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: Literal["seqbench.generator/1"] = "seqbench.generator/1"
    cell: Cell
    fingerprint: str
    corpus: CorpusFacts
    parameters: int
    minutes: float
    limited: bool
    outcome: str
    steps: int
    tokens: int
    seconds: float
    validation: float
    stateful: float | None
    anchors: dict[str, float]

    def told(self) -> str:
        """Return what the generator cost and how good it became, in one line."""
        name = f"{self.cell.model} of width {self.cell.width} with {self.cell.layers} " + (
            "layer" if self.cell.layers == 1 else "layers"
        )
        stateful = f" ({self.stateful:.3f} with the state carried on)" if self.stateful is not None else ""
        beside = ", ".join(f"{anchor} {bits:.3f}" for anchor, bits in self.anchors.items())
        limited = f", limited to {self.minutes:g} min" if self.limited else ""
        return (
            f"{name}: {self.parameters:,} parameters, {self.tokens:,} characters read in {self.seconds:.0f} s "
            f"({self.steps} steps, {self.outcome}{limited}); validation {self.validation:.3f} bit/character{stateful}; "
            f"the same characters cost {beside}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Generator:
    """A trained model that writes. alphabet: of its ids. facts: of its training. text: what it was trained on."""

    network: nn.Module
    alphabet: str
    facts: Trained
    text: Text

    def write(self, config: SampleConfig, *, seed: int) -> Iterator[str]:
        """Yield the characters of one text, one by one as they are drawn, never U+FFFD; the prompt is not among them.

        Characters of the prompt that the training text lacks are read as U+FFFD; no prompt is a line end.
        """
        places = {character: place for place, character in enumerate(self.alphabet)}
        strange = places[REPLACEMENT]
        written = samples.characters(
            self.network,
            [places.get(character, strange) for character in config.prompt or samples.beginning(self.alphabet)],
            count=config.characters,
            how=samples.Drawing(temperature=config.temperature, top_k=config.top_k, excluded=(strange,)),
            rng=stream("samples", seed),
            window=self.facts.cell.length,
        )
        return (self.alphabet[place] for place in written)

    def strange(self, prompt: str) -> str:
        """Return the characters of a prompt, each once, that are read as U+FFFD."""
        return "".join(dict.fromkeys(character for character in prompt if character not in self.alphabet))

    def judged(self, prompt: str, text: str) -> str:
        """Return how new and how lawful a text is, in one line; nothing of words or grams that it has none of."""
        known = samples.known_of_text(self.text)
        lexicon = samples.lexicon_share(prompt, text, known.words)
        repeated = samples.repeated_share(text, samples.REPEATED)
        told = [
            f"the longest span copied from the training text has {_characters(max(samples.copied(text, known.text)))}"
        ]
        if not math.isnan(lexicon):
            told.insert(0, f"{lexicon:.1%} of the words are in the training text")
        if not math.isnan(repeated):
            told.append(f"{repeated:.1%} of the {samples.REPEATED}-grams are repeated")
        return "; ".join(told)


def size_of(model: str, *, width: int | None, layers: int | None) -> tuple[int, int]:
    """Return the width and layers of a model's generator: as given, else its own in the tables of this module."""
    name = variant.parse(model).name
    return width or WIDTHS.get(name, WIDTH), layers or LAYERS.get(name, 1)


def generator(
    wanted: Wanted,
    *,
    folder: Path | None,
    tell: Tell,
    progressing: Progressing,
    clock: Callable[[], float] = time.monotonic,
) -> Generator:
    """Return the generator that is wanted: the checkpoint where there is one, else trained now and saved.

    folder: where its checkpoint lies; None: in the cache, under its fingerprint.
    Raises what `corpus.locate` and `prepare` raise, InvalidInput for a model that cannot write, CheckpointError for a
    damaged checkpoint, and UsageError for a folder with another generator or other files, one that cannot be written,
    and a training that diverged.
    """
    facts = plan.corpus_facts(wanted.corpus, split=wanted.split)
    path = corpus.locate(wanted.corpus)
    text = text_of(path, facts)
    context = Context(
        cards={"text": cards.find("text")},
        preregistration="",
        environment=describe("cpu", threads=torch.get_num_threads()),
        corpus=facts,
        corpus_path=path,
    )
    prepared, cell, config = _prepared(wanted, text, context, split=facts.split)
    mark = _fingerprint(cell, facts, wanted.minutes)
    place = folder or corpus.cache_home() / mark
    if (place / MANIFEST).exists():
        loaded = _loaded(place, mark, text, cell)
        tell(f"the checkpoint is {place}")
        return loaded
    _claim(place)
    tell(f"no checkpoint yet: training {cell.model} on {facts.name}, for {wanted.minutes:g} min at most")
    done = _train(prepared, cell, config, context, minutes=wanted.minutes, progressing=progressing, clock=clock)
    validation, stateful, anchors = _validated(prepared)
    trained = Trained(
        cell=cell,
        fingerprint=mark,
        corpus=facts,
        parameters=prepared.facts.parameters,
        minutes=wanted.minutes,
        limited=done.steps < config.steps or done.history.outcome == "stopped",
        outcome=done.outcome,
        steps=done.history.steps,
        tokens=done.history.tokens,
        seconds=round(done.seconds, 1),
        validation=validation,
        stateful=stateful,
        anchors=anchors,
    )
    _save(place, prepared, trained, text)
    tell(f"saved as {place}")
    return Generator(network=prepared.subject.model, alphabet=text.alphabet, facts=trained, text=text)


def perform(
    writer: Generator,
    config: SampleConfig,
    *,
    seed: int,
    show: Callable[[str], object],
    tell: Tell,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Show the prompt and then exactly the characters asked for, as they come; tell everything else."""
    prompt = config.prompt or ""
    tell(writer.facts.told())
    if strange := writer.strange(prompt):
        tell(f"the training text lacks {strange!r}; the model reads U+FFFD, the replacement character, for each")
    show(prompt)
    begun, written = clock(), []
    for character in writer.write(config, seed=seed):
        show(character)
        written.append(character)
    speed = len(written) / max(clock() - begun, 1e-9)
    tell(f"\n{_characters(len(written))} at {speed:,.0f} characters/s; {writer.judged(prompt, ''.join(written))}")


def _characters(number: int) -> str:
    return "1 character" if number == 1 else f"{number} characters"


def _prepared(wanted: Wanted, text: Text, context: Context, *, split: str) -> tuple[Prepared, Cell, TrainConfig]:
    """Return the cell that is trained, set up; its state is carried from update to update where the model can."""
    width, layers = size_of(wanted.model, width=wanted.width, layers=wanted.layers)
    steps = max(1, PASSES * len(text.train) // (BATCH * LENGTH))
    config = TrainConfig(
        steps=steps,
        batch=BATCH,
        learning_rate=wanted.learning_rate or RATES.get(variant.parse(wanted.model).name, RATE),
        evaluate_every=max(1, steps // EVALUATIONS),
        carry=True,
        window=LENGTH,
    )
    cell = Cell(
        task="text",
        model=wanted.model,
        length=LENGTH,
        seed=SEED,
        width=width,
        layers=layers,
        params=(("split", split),),
        training=config,
    )
    prepared = prepare(cell, context)
    if prepared.structural:
        config = config.model_copy(update={"carry": None, "window": None})
        cell = cell.model_copy(update={"training": config})
        prepared = prepare(cell, context)
    if prepared.structural or not prepared.subject.causal:
        why = prepared.structural or "it sees the whole text at once"
        raise InvalidInput(f"{wanted.model} of width {width} cannot write: {why}; name another model")
    return prepared, cell, config


def _fingerprint(cell: Cell, facts: CorpusFacts, minutes: float) -> str:
    """Return the sha256 of all that decides a generator, but for the speed of the machine."""
    name = variant.parse(cell.model).name
    of_cell = cells.fingerprint(
        cell,
        card=cells.canonical_json(cards.find("text").model_dump(mode="json")),
        corpus_sha256=facts.sha256,
        model_sha256=registry.source_sha256(name) if registry.is_path(name) else None,
    )
    return hashlib.sha256(cells.canonical_json({"cell": of_cell, "minutes": minutes}).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    """A training: what happened, how many steps its schedule had, and the seconds of all of it."""

    history: History
    steps: int
    seconds: float

    @property
    def outcome(self) -> str:
        if self.history.outcome == "stopped":
            return "out of time"
        return "validation got no better" if self.history.steps < self.steps else "schedule finished"


def _train(
    prepared: Prepared,
    cell: Cell,
    config: TrainConfig,
    context: Context,
    *,
    minutes: float,
    progressing: Progressing,
    clock: Callable[[], float],
) -> _Done:
    """Train the subject's model in place; its schedule is made to end within the minutes, which end it in any case."""
    begun = clock()
    ends = begun + 60 * minutes
    per_step = calibrate.step_seconds(cell, context=context, at_least=SHARE_TIMED * 60 * minutes)
    steps = min(config.steps, max(1, int(SHARE_OF_TIME * (ends - clock()) / per_step)))
    shortened = config.model_copy(update={"steps": steps, "evaluate_every": max(1, steps // EVALUATIONS)})
    with progressing(steps) as show:

        def follow(progress: Progress) -> bool:
            show(progress.step, _told(progress))
            return clock() < ends

        history, _ = runner.train(prepared.subject, shortened, prepared.card, follow=follow)
    if history.outcome == "diverged":
        raise UsageError(
            f"training {cell.model} diverged at learning rate {config.rate:g}; give a lower --learning-rate"
        )
    return _Done(history=history, steps=steps, seconds=clock() - begun)


def _told(progress: Progress) -> str:
    bits = f"training {progress.loss / LN2:.3f}"
    if progress.evaluation is None:
        return f"{bits} bit/character"
    return f"{bits}, validation {progress.evaluation.loss / LN2:.3f} bit/character"


def _validated(prepared: Prepared) -> tuple[float, float | None, dict[str, float]]:
    """Return bits per character of the whole validation part: in windows, with carried state, and of the anchors."""
    subject = prepared.subject
    text: Text = subject.params["text"]
    positions, bits = bits_per_character.surprisal(subject.model, text.valid, length=subject.length)
    context = bits_per_character.context_of(subject.length)
    carried = carried_surprisal(subject.model, text.valid, context=context).mean() if subject.carried else None
    anchors = bits_per_character.of_text(text, "valid")
    return (
        float(bits.mean()),
        None if carried is None else float(carried),
        {name: float(cost[positions].mean()) for name, cost in anchors.items()},
    )


def _claim(place: Path) -> None:
    """Make the folder before minutes are spent on what shall lie in it; refuse one with files of someone else's."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        foreign = any(place.iterdir()) and not (place / FACTS).exists()
    except OSError as error:
        raise UsageError(f"{place} cannot be written ({error.strerror}); give another folder with --save") from error
    if foreign:
        raise UsageError(f"{place} holds other files than a generator's; give an empty or a new folder with --save")
    if not os.access(place, os.W_OK | os.X_OK):
        raise UsageError(f"{place} cannot be written (no permission); give another folder with --save")


def _save(place: Path, prepared: Prepared, trained: Trained, text: Text) -> None:
    subject, cell = prepared.subject, trained.cell
    wrapped, tokenizer = hub.wrap(
        subject.model, prepared.spec, model_name=cell.model, vocabulary=text.alphabet, seed=cell.seed
    )
    facts = hub.Facts(
        corpus=trained.corpus.name,
        corpus_sha256=trained.corpus.sha256,
        bits_per_character=trained.validation,
        tokens=trained.tokens,
    )
    try:
        (place / FACTS).write_text(trained.model_dump_json(indent=1) + "\n", encoding="utf-8")
        # its manifest comes last, and makes the folder a checkpoint
        hub.save(place, wrapped, tokenizer, facts=facts, beside=(FACTS,))
    except OSError as error:
        raise UsageError(f"{place} cannot be written ({error.strerror}); give another folder with --save") from error


def _loaded(place: Path, mark: str, text: Text, cell: Cell) -> Generator:
    """Return the generator of a folder; raises as `generator` does."""
    try:
        facts = Trained.model_validate_json((place / FACTS).read_bytes())
    except FileNotFoundError as error:
        raise CheckpointError(f"{place} has no {FACTS}, and is no generator's; give another folder") from error
    except OSError as error:
        raise CheckpointError(f"{place / FACTS} cannot be read ({error.strerror}); give another folder") from error
    except ValidationError as error:
        raise CheckpointError(f"{place / FACTS} is damaged ({problems(error)}); remove the folder") from error
    if facts.fingerprint != mark:
        raise UsageError(
            f"{place} holds another generator, {facts.cell.model} of width {facts.cell.width} on {facts.corpus.name}, "
            f"given {facts.minutes:g} min, and not the {cell.model} of width {cell.width} that is asked for; "
            "give another folder with --save"
        )
    name = variant.parse(cell.model).name
    if registry.is_path(name):
        hub.trust(name)  # whoever asks for a generator names the file
    model, tokenizer = hub.load(place)
    return Generator(network=model.network, alphabet=hub.vocabulary_of(tokenizer), facts=facts, text=text)
