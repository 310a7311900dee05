"""From a suite to a study: which cells would run, and what is left out and why."""

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from seqbench import cards, corpus, preregistration, registry, tuning, variant
from seqbench import suite as suites
from seqbench.cards import TaskCard
from seqbench.cell import MEASUREMENT_VERSION, Cell, RateRule, canonical_json, fingerprint_by_seed, model_name
from seqbench.errors import InvalidInput, UsageError
from seqbench.preregistration import Preregistration
from seqbench.record import CorpusFacts
from seqbench.suite import Exclusion, Group, Suite, Tuning
from seqbench.variant import Scalar

LARGEST_STUDY_BYTES = 64 * 2**20


class Fit(BaseModel):
    """What of a suite is left out so that the rest fits into so many hours: decided once, before the first cell.

    seconds: that the rest was expected to take. trimmed: group -> why it was trimmed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hours: float = Field(gt=0, allow_inf_nan=False)
    seconds: float = Field(ge=0, allow_inf_nan=False)
    trimmed: dict[str, str]


class Study(BaseModel):
    """Everything that was decided before the first cell ran; the content of `study.json`, and what judging reads.

    Planned cells follow from it, so that anybody can tell from the folder alone what is missing.
    suite_source: "built-in" where the suite is what seqbench carried under this name, "own" for any other.
    own_models: reference, as the suite writes it -> sha256 of its source file.
    fit: what was trimmed to fit into a time; None where nothing was asked to.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Literal["seqbench.study/1"] = Field(default="seqbench.study/1", alias="schema")
    suite_name: str
    suite_source: Literal["built-in", "own"]
    suite: Suite
    development: bool
    corpus: CorpusFacts | None
    cards: dict[str, TaskCard]
    own_models: dict[str, str]
    preregistration: Preregistration
    preregistration_sha256: str
    measurement_version: int = MEASUREMENT_VERSION
    fit: Fit | None = None

    @property
    def exploratory(self) -> tuple[str, ...]:
        """Return why no verdict of this study is confirmatory; nothing where its seeds, suite and margins are as fixed.

        What was fixed is what this version of seqbench carries: seeds, margins and arms, and the suite's cells.
        """
        reasons = ["it ran on development seeds"] if self.development else []
        if self.suite_source == "own":
            own = f", with claims of its own: {', '.join(self.suite.own_claims)}" if self.suite.own_claims else ""
            reasons.append(f"its suite is its author's own{own}")
        if self.preregistration_sha256 != self.preregistration.sha256:
            reasons.append("its margins were changed after the study was made")
        elif not _is_installed(self):
            reasons.append("its margins or arms are not those that this version of seqbench fixed beforehand")
        return tuple(reasons)

    @property
    def caution(self) -> str:
        """Return the sentence that stands over verdicts which are not confirmatory; "" where they are."""
        why = "; ".join(self.exploratory)
        return f"Exploratory: {why}. No verdict here is confirmatory." if why else ""

    @model_validator(mode="after")
    def _consistent(self) -> "Study":
        _refuse_different("cards", self.cards, {group.task for group in self.suite.parts})
        _refuse_different("own_models", self.own_models, _own_names(self.suite))
        _refuse_different(
            "preregistration.claims", self.preregistration.claims, {*self.suite.claims, *self.suite.own_claims}
        )
        for group in self.suite.parts:
            if wrong := _misfit(group, self.cards[group.task], self.corpus):
                raise ValueError(wrong)
        for name in self.fit.trimmed if self.fit else ():
            if name not in {group.name for group in self.suite.groups if group.timing is None}:
                raise ValueError(f"fit.trimmed names {name!r}, which is no group that could be trimmed")
        if wrong := _untunable(self.suite, self.cards, self.preregistration, development=self.development):
            raise ValueError(wrong)
        return self


@dataclass(frozen=True, slots=True, order=True)
class Planned:
    """A cell with its fingerprint and the group of the suite that asked for it.

    trial: whether it is a trial of the tuning called `group`, which no verdict and no figure sees.
    learning_rate: what the rule of the cell gave, once its trials have their records.
    """

    cell: Cell
    fingerprint: str
    group: str
    trial: bool = False
    learning_rate: float | None = None

    @property
    def to_run(self) -> Cell:
        """Return the cell as it is run: with the learning rate that was found in place of the rule."""
        if self.learning_rate is None or self.cell.training is None:
            return self.cell
        return self.cell.model_copy(update={"training": self.cell.training.at(self.learning_rate), "rate": None})


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A part of the suite that will not run, and why."""

    what: str
    cells: int
    why: str


def study(
    suite_name: str,
    suite: Suite,
    *,
    text: CorpusFacts | None = None,
    development: bool = False,
    extra_cards: Sequence[Path] = (),
    known_models: registry.Registry,
    known_probes: registry.Registry,
) -> Study:
    """Return the study that a suite describes, with its cards, own models and pre-registration resolved.

    Raises UnknownName or InvalidInput for a task, model, probe, claim or parameter of a text that does not exist, and
    for an own claim's arm that no cell fits; UsageError for an own model that is absolute or not there.
    """
    found = {group.task: cards.find(group.task, extra_cards) for group in suite.parts}
    model_names, probe_names = known_models.names(), known_probes.names()  # once: each asks all that is installed
    for group in suite.parts:
        _check_group(group, found[group.task], model_names, probe_names)
        if wrong := _misfit(group, found[group.task], text):
            raise InvalidInput(wrong)
    used = _fixed(preregistration.installed(), suite)
    if wrong := _untunable(suite, found, used, development=development):
        raise InvalidInput(wrong)
    draft = Study(
        suite_name=suite_name,
        suite_source=suites.source_of(suite_name, suite),
        suite=suite,
        development=development,
        corpus=text,
        cards=found,
        own_models=_own_models(suite),
        preregistration=used,
        preregistration_sha256=used.sha256,
    )
    cells = _as_written(draft)
    if wrong := _aimless(draft, cells):
        raise InvalidInput(wrong)
    used = used.for_cells(cells)
    return draft.model_copy(update={"preregistration": used, "preregistration_sha256": used.sha256})


def corpus_facts(name_or_path: str, *, split: str | None) -> CorpusFacts:
    """Return which text a study is about to use.

    Raises CorpusError or UnknownName when there is no such text or split.
    """
    path = corpus.locate(name_or_path)
    identity = corpus.identify(path, name=corpus.name_of(name_or_path))
    return CorpusFacts(name=identity.name, sha256=identity.sha256, split=corpus.split_of(path, split))


def planned(study: Study) -> tuple[Planned, ...]:
    """Return every cell of the study: the trials that its cells need, then those in the order of the suite's groups."""
    return tuple(entry for entry, _ in demanded(study))


def demanded(study: Study) -> tuple[tuple[Planned, frozenset[str]], ...]:
    """Return every cell of the study, as `planned` does, each with the names of all groups that need it.

    What was found for the study asked for last is kept: one call asks many times for the same, and a study never
    changes.
    """
    if (known := _LAST.get("study")) is None or known[0]() is not study:
        _LAST["study"] = known = (weakref.ref(study), _demanded(study))
    return known[1]


_LAST: dict[str, tuple["weakref.ref[Study]", tuple[tuple[Planned, frozenset[str]], ...]]] = {}


def _demanded(study: Study) -> tuple[tuple[Planned, frozenset[str]], ...]:
    content = {name: canonical_json(card.model_dump(mode="json")) for name, card in study.cards.items()}

    @cache
    def trials_of(rule: RateRule, model: str, name: str) -> tuple[Planned, ...]:
        grid = [
            Planned(cell, _fingerprints(study, cell, content[cell.task])(cell.seed), name, trial=True)
            for cell in tuning.grid(rule, model)
        ]
        further = [
            Planned(cell, _fingerprints(study, cell, content[cell.task], trials=grid)(cell.seed), name, trial=True)
            for cell in tuning.extensions(rule, model)
        ]
        return (*grid, *further)

    trials: dict[str, Planned] = {}
    found: dict[str, Planned] = {}
    groups: dict[str, frozenset[str]] = {}
    one = {group.name: frozenset((group.name,)) for group in study.suite.groups}
    for group in study.suite.groups:
        if _why_left_out(study, group):
            continue
        patterns = []
        for pattern in _patterns(study, group):
            needed = trials_of(pattern.rate, pattern.model, str(group.tuning)) if pattern.rate else ()
            patterns.append((pattern, _fingerprints(study, pattern, content[pattern.task], trials=needed), needed))
        for seed in _seeds(study, group):
            for pattern, of_seed, needed in patterns:
                cell = _at(pattern, seed)
                if study.suite.exclude and _excluded(cell, study.suite.exclude):
                    continue
                entry = Planned(cell, of_seed(seed), group.name)
                found.setdefault(entry.fingerprint, entry)
                trials |= {each.fingerprint: each for each in needed if each.fingerprint not in trials}
                for each in (*needed, entry):
                    before = groups.get(each.fingerprint)
                    groups[each.fingerprint] = one[group.name] if before is None else before | one[group.name]
    entries = (*trials.values(), *found.values())
    return tuple((entry, groups[entry.fingerprint]) for entry in entries)


def waves(entries: Iterable[Planned]) -> tuple[tuple[Planned, ...], ...]:
    """Return these in the up to three waves in which they run; each needs the records of the waves before it.

    First whatever has its learning rate or needs none, then the trials of further rates, then what takes the best rate.
    """
    found: dict[str, list[Planned]] = {"given": [], "extension": [], "best": []}
    for entry in entries:
        found[entry.cell.rate.pick if entry.cell.rate else "given"].append(entry)
    return tuple(tuple(wave) for wave in found.values() if wave)


def panels(entries: Iterable[Planned]) -> tuple[tuple[Planned, ...], ...]:
    """Return the timing cells among these, grouped into panels: what one group asks for at one length and seed."""
    found: dict[tuple[str, int, int], list[Planned]] = {}
    for entry in entries:
        if entry.cell.timing:
            found.setdefault((entry.group, entry.cell.length, entry.cell.seed), []).append(entry)
    return tuple(tuple(members) for members in found.values())


def left_out(study: Study) -> tuple[LeftOut, ...]:
    """Return the parts of the suite that will not run, with the reason of each."""
    result = []
    for group in study.suite.groups:
        if why := _why_left_out(study, group):
            result.append(LeftOut(group.name, group.cells, why))
        elif study.suite.exclude and (
            excluded := sum(_excluded(cell, study.suite.exclude) for cell in _cells(study, group))
        ):
            result.append(LeftOut(group.name, excluded, "excluded by the suite"))
    return tuple(result)


def needs_corpus(card: TaskCard) -> bool:
    """Return whether a card's data come from a real text that the user names."""
    return card.generator == "text"


def _check_group(group: Group, card: TaskCard, models: Sequence[str], probes: Sequence[str]) -> None:
    for name in _names(group):
        if not registry.is_path(name) and name not in models:
            raise registry.unknown("model", name, models)
    if group.probe is not None and group.probe not in probes:
        raise registry.unknown("probe", group.probe, probes)
    if card.scored_by not in ("none", *probes):
        raise registry.unknown(f"probe that scores {group.task}", card.scored_by, ("none", *probes))
    if needs_corpus(card):
        for name in (*card.params, *group.params):
            if name != "split":
                raise registry.unknown("parameter of text", name, ("split",))


def _misfit(group: Group, card: TaskCard, text: CorpusFacts | None) -> str:
    """Return why a group cannot be run on its card and text, or nothing."""
    if wrong := _unscored(group, card):
        return f"group {group.name!r}: {wrong}"
    if not needs_corpus(card):
        return ""
    given = card.params | group.params
    if set(given) - {"split"}:
        return f"group {group.name!r}: a text takes no parameter but split; leave {', '.join(sorted(given))} out"
    wanted = given.get("split", "story")
    if wanted not in ("story", "character"):
        return f"group {group.name!r}: split {wanted!r} is neither story nor character"
    if text is not None and "split" in given and wanted != text.split:
        return (
            f"group {group.name!r}: split {wanted!r} is asked for, and the study's text is split by {text.split}; "
            f"give --split {wanted}, or leave split out"
        )
    return ""


def _unscored(group: Group, card: TaskCard) -> str:
    """Return what a group asks for that its task does not have, or nothing."""
    if group.probe is None and card.scored_by == "none":
        return f"task {group.task} scores nothing, so training on it says nothing; give a probe"
    if card.scored_by == "bits_per_character":
        return ""
    if group.samples is not None:
        return f"samples are written by models of a text, and task {group.task} is none; leave samples out"
    if group.training is not None and group.training.carry:
        return f"training.carry reads a text on and on, and task {group.task} is none; leave carry and window out"
    return ""


def _untunable(suite: Suite, known: Mapping[str, TaskCard], rules: Preregistration, *, development: bool) -> str:
    """Return why a suite's tunings cannot find a learning rate that its study may use, or nothing."""
    first = _first_seed(rules, development=development)
    last = first + max(group.seeds for group in suite.groups) - 1
    for asked in suite.tuning:
        if known[asked.task].scored_by == "none":
            return f"tuning {asked.name!r}: task {asked.task} scores nothing, so no rate is better on it; name another"
        own = rules.tuning_seeds_from, rules.tuning_seeds_from + asked.seeds - 1
        if own[0] <= last and first <= own[1]:
            return (
                f"tuning {asked.name!r}: its seeds {own[0]}-{own[1]} are among those that are judged, {first}-{last}; "
                "ask for fewer seeds"
            )
    return ""


def _refuse_different(what: str, held: Iterable[str], needed: set[str]) -> None:
    """Raise ValueError unless a part of a study is about what its suite names and nothing else."""
    if different := set(held) ^ needed:
        raise ValueError(f"{what} and the suite do not name the same; look at {', '.join(sorted(different)[:3])}")


def _own_names(suite: Suite) -> set[str]:
    return {name for group in suite.parts for name in _names(group) if registry.is_path(name)}


def _names(group: Group) -> list[str]:
    """Return the names of a group's models and of the one that they are matched to."""
    texts = (*group.models, group.match.model) if group.match else group.models
    return [variant.parse(text).name for text in texts]


def _own_models(suite: Suite) -> dict[str, str]:
    names = sorted(_own_names(suite))
    for name in names:
        if Path(name).is_absolute():  # it would stand in every record and on the page, with the names of folders here
            raise UsageError(f"model {name!r} is an absolute path; give a path relative to the folder you run in")
    return {name: registry.source_sha256(name) for name in names}


def _fixed(known: Preregistration, suite: Suite) -> Preregistration:
    """Return what is fixed for a suite, whatever it plans: the claims that it names, and those that it brings."""
    return known.plus(suite.own_claims).only((*suite.claims, *suite.own_claims))


def _as_written(study: Study) -> tuple[Cell, ...]:
    """Return a cell of every kind that the suite asks for before anything is trimmed; they differ not in seed alone."""
    whole = study.model_copy(update={"fit": None})
    found: dict[tuple[str, int, str], Cell] = {}
    for group in study.suite.groups:
        if not _why_left_out(whole, group):
            cells = _cells(whole, group) if study.suite.exclude else _patterns(whole, group)
            for cell in cells:
                if not _excluded(cell, study.suite.exclude):
                    found.setdefault((group.name, cell.length, cell.model), cell)
    return tuple(found.values())


def _aimless(study: Study, cells: tuple[Cell, ...]) -> str:
    """Return which arm of the suite's own claims no planned cell fits, so that nothing could be judged, or nothing.

    Where a group is left out, for want of a text, its arms may come to their cells elsewhere. A factor is judged on the
    levels that are planned, and an atom of `where_planned` where it is.
    """
    if any(_why_left_out(study, group) for group in study.suite.groups):
        return ""
    for name, claim in study.suite.own_claims.items():
        for key, atom in claim.atoms.items():
            for place, arm in atom.arms.items() if key not in claim.where_planned and atom.test != "factor" else ():
                if not any(arm.fits(cell) for cell in cells):
                    told = ", ".join(f"{what} {value}" for what, value in arm.model_dump(exclude_defaults=True).items())
                    return f"claim {name}, atom {key}: no group plans cells for the arm {place!r} ({told})"
    return ""


def _is_installed(study: Study) -> bool:
    known = preregistration.installed(study.suite.claims)
    if not set(study.suite.claims) <= set(known.claims) or set(study.suite.own_claims) & set(known.claims):
        return False
    return _fixed(known, study.suite).for_cells(_as_written(study)) == study.preregistration


def _first_seed(rules: Preregistration, *, development: bool) -> int:
    return rules.development_seeds_from if development else rules.confirmatory_seeds_from


def _why_left_out(study: Study, group: Group) -> str:
    if study.fit is not None and group.name in study.fit.trimmed:
        return study.fit.trimmed[group.name]
    if study.corpus is not None:
        return ""
    if needs_corpus(study.cards[group.task]):
        return "no real text was given; name one with --corpus"
    asked = study.suite.tuning_of(group)
    if asked is not None and needs_corpus(study.cards[asked.task]):
        return f"no real text was given, and tuning {asked.name!r} needs one; name one with --corpus"
    return ""


def _cells(study: Study, group: Group) -> Iterator[Cell]:
    patterns = _patterns(study, group)
    for seed in _seeds(study, group):
        yield from (_at(pattern, seed) for pattern in patterns)


def _patterns(study: Study, group: Group) -> tuple[Cell, ...]:
    """Return the cells of a group at its first seed: what is valid for the first and the last is for all between."""
    seeds = _seeds(study, group)
    _cell(study, group, group.models[0], group.lengths[0], seeds[-1])
    return tuple(_cell(study, group, model, length, seeds[0]) for length in group.lengths for model in group.models)


def _seeds(study: Study, group: Group) -> range:
    first = _first_seed(study.preregistration, development=study.development)
    return range(first, first + group.seeds)


def _at(pattern: Cell, seed: int) -> Cell:
    return pattern if seed == pattern.seed else pattern.model_copy(update={"seed": seed})


def _cell(study: Study, group: Group, model: str, length: int, seed: int) -> Cell:
    width, layers = group.size_of(model)
    return Cell(
        task=group.task,
        probe=group.probe,
        model=model,
        length=length,
        seed=seed,
        width=width,
        layers=layers,
        params=_params(study, group),
        test_lengths=group.test_lengths,
        training=group.training,
        timing=group.timing,
        match=group.match,
        rate=_rule(study, group, model),
        samples=group.samples,
    )


def _rule(study: Study, group: Group, model: str) -> RateRule | None:
    """Return what finds the learning rate of a model of a group, or None where it needs none."""
    asked = study.suite.tuning_of(group)
    if asked is None:
        return None
    width, layers = asked.size_of(model_name(model))
    return RateRule(
        task=asked.task,
        params=_params(study, asked),
        length=asked.length,
        width=width,
        layers=layers,
        match=asked.match,
        training=asked.training,
        rates=asked.rates,
        seeds=asked.seeds,
        first_seed=study.preregistration.tuning_seeds_from,
        pick="best",
    )


def _params(study: Study, asked: Group | Tuning) -> tuple[tuple[str, Scalar], ...]:
    """Return the parameters of a part's cells; of a text it is the split, as the study's text has it."""
    if study.corpus and needs_corpus(study.cards[asked.task]):
        return (("split", study.corpus.split),)
    return tuple(sorted(asked.params.items()))


def _excluded(cell: Cell, rules: Sequence[Exclusion]) -> bool:
    return any(all(getattr(cell, key) == value for key, value in rule.given().items()) for rule in rules)


def _fingerprints(study: Study, cell: Cell, card: str, *, trials: Sequence[Planned] = ()) -> Callable[[int], str]:
    """Return what gives the fingerprint of a cell of the study at any seed."""
    corpus = study.corpus.sha256 if study.corpus and needs_corpus(study.cards[cell.task]) else None
    own = study.own_models.get(variant.parse(cell.model).name)
    reference = study.own_models.get(variant.parse(cell.match.model).name) if cell.match else None
    return fingerprint_by_seed(
        cell,
        card=card,
        corpus_sha256=corpus,
        model_sha256=own,
        reference_sha256=reference,
        trials=[entry.fingerprint for entry in trials],
    )
