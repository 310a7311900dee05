"""From a study to a report: verdicts, figures, alerts and provenance as one frozen value, and its files on disk."""

import base64
import gzip
import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from seqbench import plan, record, store, tuning
from seqbench.cell import Cell, canonical_json
from seqbench.errors import UsageError
from seqbench.judge import aggregate, gates, scaling, table, text_curves, text_scores
from seqbench.judge.aggregate import Across
from seqbench.judge.claims.base import ClaimVerdict, bayesian_line, interval, number
from seqbench.judge.evidence import finite
from seqbench.judge.figures import FIGURES, base, learning_rates, style, verdict_overview
from seqbench.judge.figures.base import FigureModule
from seqbench.judge.posterior import CONFIDENT
from seqbench.judge.report import cite, exports, flips, pages, svg, verdicts
from seqbench.judge.report import gates as gated
from seqbench.judge.rules import Verdict
from seqbench.judge.table import Tables
from seqbench.judge.text_curves import EqualSeconds
from seqbench.judge.text_scores import TextScore
from seqbench.plan import Study, left_out
from seqbench.record import Record, Sample
from seqbench.store import Contents

LIBRARIES = ("seqbench", "numpy", "pandas", "scipy", "matplotlib", "jinja2", "pydantic")
"""What the bytes of a report depend on, besides the records."""
SHOWN_FAILURES = 60
SHOWN_TEXTS = 40
SHOWN_CHARACTERS = 1200
"""Of a sampled text; its record holds the whole."""
ATTACHED_BYTES = 8_000
"""Data of at most so many bytes, compressed, are in the page itself, for who is sent nothing else."""
CALLS = {
    "training_time": "training step",
    "prefill_time": "prefill",
    "first_token_time": "first token",
    "decode_time": "generated token",
    "saved_bytes": "bytes saved for backward",
    "sequential_depth": "stages that wait for each other",
}
"""What grows, by the probe that measures it, in the order of the table of growth."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure as an SVG file, in further formats by what their names end in, and as a part of a page."""

    file: str
    files: Mapping[str, bytes]
    element: Markup


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A figure with the data behind it; it is drawn when it is first asked for, since who cites needs its data alone.

    formats: in which it is drawn beside SVG. attached: the data compressed as an address that is its own content, ""
    where they are too many. missing: how many of the planned cells that it shows have no record.
    """

    name: str
    title: str
    caption: str
    plot: Callable[[], Figure] = field(compare=False, repr=False)
    formats: tuple[str, ...]
    csv: str
    sha256: str
    rows: int
    attached: str
    missing: int
    planned: int

    @cached_property
    def drawn(self) -> Drawn:
        """Return the figure, drawn once."""
        figure = self.plot()
        file = svg.standalone(figure)
        element = svg.inline(file, name=self.name, title=self.title, cut=svg.bands(figure))
        files = {form: svg.written(figure, form) for form in self.formats}
        return Drawn(file, files, Markup(element))  # noqa: S704 drawn here; matplotlib escapes text


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A text that a model wrote in a study, as much of it as is shown.

    read, bits: the tokens that the model had read in training and its bits per character, None where not recorded.
    """

    model: str
    width: int
    layers: int
    read: int | None
    bits: float | None
    seed: int
    sample_seed: int
    text: str
    shortened: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """What models wrote after one prompt, drawn one way: of each size and budget one text, of its least seed."""

    task: str
    prompt: str
    temperature: float
    top_k: int | None
    texts: tuple[Written, ...]
    others: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """A text that the study used, named by its whole sha256."""

    name: str
    sha256: str
    facts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that a report says. The same records and library versions give the same value, id and bytes."""

    id: str
    title: str
    exploratory: bool
    claims: tuple[ClaimVerdict, ...]
    gates: tuple[gates.Judged, ...]
    figures: tuple[Drawing, ...]
    figures_of: Mapping[str, tuple[str, ...]]
    alerts: tuple[str, ...]
    failures: tuple[Mapping[str, Any], ...]
    failure_count: int
    corpora: tuple[Corpus, ...]
    models: tuple[Mapping[str, Any], ...]
    samples: tuple[Samples, ...]
    flips: Mapping[str, tuple[str, ...]]
    growths: tuple[Mapping[str, Any], ...]
    rates: tuple[Mapping[str, Any], ...]
    text_scores: tuple[TextScore, ...]
    equal_seconds: tuple[EqualSeconds, ...]
    across: tuple[Across, ...]
    provenance: Mapping[str, Any]
    rerun: tuple[str, ...]
    level: float
    error_share: float
    seeds: str


def build_folder(folder: Path, *, formats: Iterable[str] = ()) -> Report:
    """Return the report of the study in a folder.

    formats: of `svg.FORMATS`, in which figures are drawn too. Raises StoreError when the folder holds no study,
    UsageError for another format.
    """
    wanted = known_formats(formats)
    return build(store.open_study(folder), store.contents(folder), formats=wanted)


def known_formats(formats: Iterable[str]) -> tuple[str, ...]:
    """Return formats of figures in their order, each once; SVG is always written and may be named.

    Raises UsageError for one that figures are not written in.
    """
    asked = dict.fromkeys(form.strip().lower() for form in formats)
    if unknown := [form for form in asked if form not in ("svg", *svg.FORMATS, "")]:
        raise UsageError(f"no format {unknown[0]!r} of figures; --formats takes {', '.join(svg.FORMATS)}, or both")
    return tuple(form for form in svg.FORMATS if form in asked)


@store.uncollected()
def build(study: Study, contents: Contents, *, formats: Iterable[str] = ()) -> Report:
    """Return the report of a study; the order in which records were read does not matter.

    formats: of `svg.FORMATS`, in which figures are drawn too.
    """
    tables = table.tables(study, contents)
    records = contents.of(plan.planned(study))
    identity, rates = report_id(study, contents), _rates(study, contents)
    alerts, corpora = _alerts(study, contents, tables), _corpora(study, records, tables)
    models, samples = _models(records), _samples(records)
    provenance = _provenance(study, contents, records, identity)
    del contents, records  # of a large study they are most of what is in memory; all that follows is from the tables
    judged = verdicts.judge_tables(study, tables)
    return Report(
        id=identity,
        title=study.suite.title,
        exploratory=bool(study.exploratory),
        claims=judged,
        gates=gates.judge(study, tables),
        figures=_drawings(study, tables, judged, rates, tuple(formats)),
        figures_of={name: verdicts.module_of(name).FIGURES for name in study.preregistration.claims},
        alerts=alerts,
        failures=_failures(tables.cells),
        failure_count=int((~tables.cells[table.STATUS].isin(["ok", "unsolved", table.MISSING])).sum()),
        corpora=corpora,
        models=models,
        samples=samples,
        flips={verdict.claim: flips.flips(verdict) for verdict in judged},
        growths=_growths(tables),
        rates=rates,
        text_scores=text_scores.scores(tables),
        equal_seconds=text_curves.equal_seconds(text_curves.curves(tables)),
        across=_across(tables, study),
        provenance=provenance,
        rerun=_rerun(study),
        level=study.preregistration.level,
        error_share=study.preregistration.error_share_not_tested,
        seeds=_seeds(tables.cells),
    )


def report_id(study: Study, contents: Contents) -> str:
    """Return the sha256 of the study, the sorted hashes of its records and the library versions, in hexadecimal."""
    digest = hashlib.sha256()
    digest.update(study.model_dump_json(by_alias=True).encode())
    # As hashes, since the contents of all records of a large study do not fit into memory.
    for found in sorted(hashlib.sha256(record.to_json(entry)).digest() for _, entry in contents.records):
        digest.update(found)
    digest.update(canonical_json(_libraries()).encode())
    return digest.hexdigest()


@store.uncollected()
def write(report: Report, out: Path) -> Path:
    """Write the page and the files beside it (claims, provenance, data, figures), and return the page.

    Raises StoreError when the folder cannot be written.
    """
    content = {
        "index.html": page(report),
        "claims.json": pages.pretty(verdicts.as_json(report.claims)),
        "provenance.json": pages.pretty(
            {**report.provenance, "data": {item.name: item.sha256 for item in report.figures}}
        ),
    }
    if report.gates:
        content["gates.json"] = pages.pretty(gated.as_json(report.gates))
    content |= {f"data/{item.name}.csv": item.csv for item in report.figures}
    content |= {f"figures/{item.name}.svg": item.drawn.file for item in report.figures}
    content |= exports.files(report)
    others = {f"figures/{item.name}.{form}": file for item in report.figures for form, file in item.drawn.files.items()}
    return pages.save(out, {**content, **others})


def page(report: Report) -> str:
    """Return the whole page: one HTML document without a single outside request."""
    names = {
        "bayesian_line": bayesian_line,
        "estimate": _estimate,
        "look": style.look,
        "finding": _finding,
        "tally": _tally,
        "cited": cite.cite,
        "incomplete": _incomplete,
        "effect_text": verdicts.effect_text,
        "ours": gated.ours,
    }
    given = {"report": report, "shown_failures": SHOWN_FAILURES, "confident": CONFIDENT}
    return pages.render("page.html.jinja", names=names, **given)


def _drawings(
    study: Study,
    tables: Tables,
    judged: tuple[ClaimVerdict, ...],
    rates: tuple[Mapping[str, Any], ...],
    formats: tuple[str, ...],
) -> tuple[Drawing, ...]:
    """Return the figures of verdicts and, where learning rates were tried, of trials; then those of measurements."""
    found = [_drawing(verdict_overview.NAME, verdict_overview, verdict_overview.of_claims(judged), formats)]
    if rates:
        found.append(_drawing(learning_rates.NAME, learning_rates, learning_rates.of_rates(rates), formats))
    return (*found, *(_shown(name, tables, study, formats) for name in FIGURES.names()))


def _shown(name: str, tables: Tables, study: Study, formats: tuple[str, ...]) -> Drawing:
    module = cast(FigureModule, FIGURES.load(name))
    frame = module.select(tables, study)
    progress = base.progress(frame, tables.cells, vars(module).get("PROBES"))
    return _drawing(name, module, frame, formats, cells=tables.cells, progress=progress)


def _drawing(
    name: str,
    module: base.Drawn,
    frame: pd.DataFrame,
    formats: tuple[str, ...],
    *,
    cells: pd.DataFrame | None = None,
    progress: base.Progress = base.COMPLETE,
) -> Drawing:
    csv = pages.csv(frame)

    def plot() -> Figure:
        with style.pale(progress.models):
            return module.draw(frame)

    return Drawing(
        name=name,
        title=module.TITLE,
        caption=base.caption(module, frame, cells),
        plot=plot,
        formats=formats,
        csv=csv,
        sha256=pages.sha256(csv),
        rows=len(frame),
        attached=_attached(csv),
        missing=progress.missing,
        planned=progress.planned,
    )


def _attached(csv: str) -> str:
    """Return data as an address that holds them, compressed, or "" where that is too long for a page."""
    packed = gzip.compress(csv.encode(), mtime=0) if len(csv) < 100 * ATTACHED_BYTES else b""
    if not 0 < len(packed) <= ATTACHED_BYTES:
        return ""
    return f"data:application/gzip;base64,{base64.b64encode(packed).decode()}"


def _alerts(study: Study, contents: Contents, tables: Tables) -> tuple[str, ...]:
    cells = tables.cells
    found = [study.caution] if study.caution else []
    found += [f"Left out: {entry.what} ({base.plural(entry.cells, 'cell')}): {entry.why}." for entry in left_out(study)]
    missing = int((cells[table.STATUS] == table.MISSING).sum())
    if missing:
        found.append(f"{missing} of {len(cells)} planned cells have no record yet; what needs them is not tested.")
    entries = plan.planned(study)
    held = contents.of(entries)
    trials = [entry for entry in entries if entry.trial]
    untried = sum(entry.cell not in held for entry in trials)
    if untried:
        found.append(f"{untried} of {len(trials)} trials of learning rates have no record yet.")
    outdated = sum(tuning.outdated(entry, held) for entry in held.values())
    if outdated:
        found.append(f"{base.plural(outdated, 'record')} made at another learning rate than the trials give.")
    counts = cells[table.STATUS].value_counts()
    for status in sorted(set(counts.index) - {"ok", "unsolved", table.MISSING}):
        found.append(f"{base.plural(int(counts[status]), 'cell')} ended as {status}; see Failures.")
    if "unsolved" in counts:
        solved = base.plural(int(counts["unsolved"]), "cell")
        found.append(f"{solved} used the whole budget without solving the task; the final value counts.")
    found += [f"Broken file, not used: {item.reason}" for item in contents.broken]
    stray = table.unplanned(study, contents)
    if stray:
        found.append(f"{base.plural(len(stray), 'record')} of no planned cell, not used: {', '.join(stray[:5])}.")
    found += _below_the_floor(tables)
    ran = cells[cells[table.STATUS] != table.MISSING]
    for what, names in (("machines", sorted(set(ran[table.MACHINE]))), ("devices", table.devices(ran))):
        if len(names) > 1:
            found.append(f"Cells ran on {len(names)} {what}: {', '.join(names)}.")
    found += _ways(ran[ran[table.LANE] == "exclusive"])
    other = [entry for entry in contents.accepted().values() if entry.preregistration != study.preregistration_sha256]
    if other:
        found.append(f"{base.plural(len(other), 'record')} made under another pre-registration.")
    return tuple(found)


def _below_the_floor(tables: Tables) -> Iterator[str]:
    """Yield which models scored below the exact entropy of a generated text, as one does that looks ahead."""
    rows = tables.measurements[tables.measurements[table.MEASUREMENT] == "excess_bits_per_character"]
    means = rows.groupby([table.TASK, table.MODEL], as_index=False)[table.VALUE].mean()
    for row in means[means[table.VALUE] < 0].to_dict("records"):
        label, below = style.look(str(row[table.MODEL])).label, number(-float(row[table.VALUE]))
        yield (
            f"{label} is {below} bit/character below the exact entropy of {row[table.TASK]}: that is chance or a look "
            "ahead, which seqbench check finds."
        )


def _ways(timed: pd.DataFrame) -> Iterator[str]:
    """Yield in which tiers and with how many threads cells were timed, where there are several."""
    tiers, threads = (sorted(set(timed[name])) for name in (table.TIER, table.THREADS))
    if len(tiers) > 1:
        listed = "; ".join(table.tier_in_words(tier) for tier in tiers)
        yield f"Times are of {len(tiers)} tiers, which are never compared: {listed}."
    if len(threads) > 1:
        yield f"Times are with {' and '.join(map(str, threads))} threads, which are never compared."


def _failures(cells: pd.DataFrame) -> tuple[Mapping[str, Any], ...]:
    failed = cells[~cells[table.STATUS].isin(["ok", "unsolved", table.MISSING])]
    columns = [table.TASK, table.PROBE, table.MODEL, table.LENGTH, table.SEED, table.STATUS, table.ERROR]
    rows = failed.sort_values(columns[:6])[columns].to_dict("records")
    return tuple({str(key): value for key, value in row.items()} for row in rows[:SHOWN_FAILURES])


def _corpora(study: Study, records: Mapping[Cell, Record], tables: Tables) -> tuple[Corpus, ...]:
    found: dict[str, Corpus] = {}
    for entry in records.values():
        if entry.corpus is not None:
            facts = tuple(f"{key} {value}" for key, value in entry.corpus.model_dump().items() if _is_fact(key, value))
            found[entry.corpus.sha256] = Corpus(name=entry.corpus.name, sha256=entry.corpus.sha256, facts=facts)
    if study.corpus is not None and study.corpus.sha256 not in found:
        facts = (f"split {study.corpus.split}",)
        found[study.corpus.sha256] = Corpus(name=study.corpus.name, sha256=study.corpus.sha256, facts=facts)
    real = [found[key] for key in sorted(found, key=lambda key: (found[key].name, key))]
    return (*real, *_generated(study, tables))


def _generated(study: Study, tables: Tables) -> tuple[Corpus, ...]:
    """Return the generated texts: the preset and, where records hold it, the exact entropy that no model can beat."""
    if "floor_bits_per_character" not in tables.wide:
        return ()
    joined = tables.cells.join(tables.wide["floor_bits_per_character"], on=table.FINGERPRINT)
    joined = joined.dropna(subset=["floor_bits_per_character"])
    found = []
    for (task, params), rows in joined.groupby([table.TASK, table.PARAMS]):
        card = study.cards[str(task)].params | json.loads(str(params))
        floors = rows.groupby(table.SEED)["floor_bits_per_character"].first()
        span = number(floors.min()) if floors.nunique() == 1 else f"{number(floors.min())} to {number(floors.max())}"
        facts = (
            *(f"{key} {value}" for key, value in sorted(card.items())),
            f"exact entropy of the scored characters {span} bit/character",
            "one fixed held-out text for all seeds, training text drawn anew from each seed: no file, no sha256",
        )
        found.append(Corpus(name=str(task).capitalize(), sha256="", facts=facts))
    return tuple(found)


def _is_fact(key: str, value: object) -> bool:
    return key not in ("name", "sha256") and value is not None


def _models(records: Mapping[Cell, Record]) -> tuple[Mapping[str, Any], ...]:
    """Return every model as it was built for each task: counted parameters, and costs at the greatest length."""
    rows = {
        (entry.cell.model, entry.model.width, entry.model.layers, entry.cell.task): {
            "model": entry.cell.model,
            "task": entry.cell.task,
            "length": entry.cell.length,
            "flops_per_token": entry.model.flops_per_token,
            "state_bytes": entry.model.state_bytes,
            "matched": str(entry.cell.match) if entry.cell.match else "",
            "width": entry.model.width,
            "layers": entry.model.layers,
            "parameters": entry.model.parameters,
            "body_parameters": entry.model.body_parameters,
            "implementation": entry.model.implementation,
        }
        for entry in sorted(records.values(), key=lambda entry: (entry.cell.length, entry.fingerprint))
        if entry.model is not None
    }
    names = [str(row["model"]) for row in rows.values()]
    order = {name: place for place, name in enumerate(style.ordered(names))}
    found = [row | {"place": order[str(row["model"])]} for row in rows.values()]
    return tuple(sorted(found, key=lambda row: (row["place"], row["task"], row["width"], row["layers"])))


def _samples(records: Mapping[Cell, Record]) -> tuple[Samples, ...]:
    """Return the texts by task, prompt, temperature and top-k: one for each size and budget of a model."""
    groups: dict[tuple[str, str, float, int], dict[tuple[str, int, int, int], Written]] = {}
    counts: Counter[tuple[str, str, float, int]] = Counter()
    for entry in sorted(records.values(), key=lambda entry: (entry.cell.seed, entry.fingerprint)):
        for sample in sorted(entry.texts, key=lambda sample: sample.seed):
            key = (entry.cell.task, sample.prompt, sample.temperature, sample.top_k or 0)
            counts[key] += 1
            cell = entry.cell
            size = (cell.model, cell.width, cell.layers, cell.training.steps if cell.training else 0)
            groups.setdefault(key, {}).setdefault(size, _written(entry, sample))
    found = []
    for key, texts in sorted(groups.items()):
        task, prompt, temperature, top_k = key
        order = style.ordered(model for model, *_ in texts)
        shown = sorted(texts.items(), key=lambda item: (order.index(item[0][0]), item[1].width, *item[0][2:]))
        found.append(
            Samples(
                task=task,
                prompt=prompt,
                temperature=temperature,
                top_k=top_k or None,
                texts=tuple(text for _, text in shown),
                others=counts[key] - len(shown),
            )
        )
    return tuple(found[:SHOWN_TEXTS])


def _written(entry: Record, sample: Sample) -> Written:
    facts, read, bits = entry.model, entry.measured("tokens"), entry.measured("bits_per_character")
    return Written(
        model=entry.cell.model,
        width=facts.width if facts else entry.cell.width,
        layers=entry.cell.layers,
        read=int(read.value) if read else None,
        bits=bits.value if bits else None,
        seed=entry.cell.seed,
        sample_seed=sample.seed,
        text=sample.text[:SHOWN_CHARACTERS],
        shortened=len(sample.text) > SHOWN_CHARACTERS,
    )


def _across(tables: Tables, study: Study) -> tuple[Across, ...]:
    """Return the models over the tasks they share with the vanilla network, in order; none where only that has two."""
    found = {row.model: row for row in aggregate.across_tasks(tables, study.preregistration)}
    return tuple(found[model] for model in style.ordered(found)) if len(found) > 1 else ()


def _growths(tables: Tables) -> tuple[Mapping[str, Any], ...]:
    """Return the rows of the table of growth: what was timed or counted at two lengths, or at two batches."""
    found = [row for row in (*scaling.timed(tables), *scaling.counted(tables)) if row.exponent or row.latency]
    models = style.ordered(str(row.kind[table.MODEL]) for row in found)

    def place(row: scaling.Growth) -> tuple[Any, ...]:
        probe, model = str(row.kind[table.PROBE]), str(row.kind[table.MODEL])
        return (list(CALLS).index(probe), row.kind[table.MACHINE], row.batch, models.index(model))

    return tuple(_growth(row) for row in sorted(found, key=place))


def _growth(row: scaling.Growth) -> Mapping[str, Any]:
    what = CALLS[str(row.kind[table.PROBE])]
    return {
        "what": f"{what} on {row.kind[table.DEVICE]}" if row.batch else what,
        "model": row.kind[table.MODEL],
        "batch": row.batch or None,
        "lengths": row.lengths,
        "exponent": row.exponent,
        "local": row.local,
        "polynomial": row.polynomial,
        "milliseconds": 1e3 * row.polynomial.constant if row.polynomial and row.batch else None,
        "latency": row.latency,
        "latency_between": row.latency_between,
    }


def _rates(study: Study, contents: Contents) -> tuple[Mapping[str, Any], ...]:
    """Return what the trials of each tuned model say: one row per rule and model, in the order of the study."""
    entries = plan.planned(study)
    records = contents.of(entries)
    asked = dict.fromkeys((entry.cell.rate, entry.cell.model) for entry in entries if not entry.trial)
    rows = []
    for rule, model in asked:
        if rule is None:
            continue
        made, given = tuning.choice(rule, model, records), tuning.settle(rule, model, records)
        rows.append(
            {
                "model": model,
                "rule": canonical_json(rule.model_dump(mode="json", exclude={"layers"})),
                "task": rule.task,
                "length": rule.length,
                "sized": str(rule.match) if rule.match else f"width {rule.width}",
                "width": rule.width,
                "seeds": rule.seeds,
                "trials": made.trials if made else (),
                "rate": made.rate if made else None,
                "at_edge": bool(made and made.at_edge),
                "robust_width": made.robust_width if made else None,
                "grid": len(rule.rates),
                "expected_best": finite(tuning.expected_best(made.losses, len(made.trials))) if made else None,
                "note": given.reason if isinstance(given, tuning.Refused) else "" if made else "trials are missing",
            }
        )
    return tuple(rows)


def _provenance(study: Study, contents: Contents, records: Mapping[Cell, Record], identity: str) -> dict[str, Any]:
    different = {id(entry.environment): entry.environment for entry in records.values()}  # records of one call share it
    places = {canonical_json(place.model_dump(mode="json")): place for place in different.values()}
    finished = sorted(entry.finished for entry in records.values())
    return {
        "report_id": identity,
        "suite": study.suite_name,
        "development": study.development,
        "preregistration_sha256": study.preregistration_sha256,
        "preregistration_unchanged": study.preregistration_sha256 == study.preregistration.sha256,
        "measurement_version": study.measurement_version,
        "rates_from": study.suite.rates_from,
        "own_models": study.own_models,
        "records": len(contents.records),
        "accepted": len(records),
        "broken": len(contents.broken),
        "first_finished": finished[0] if finished else None,
        "last_finished": finished[-1] if finished else None,
        "wall_seconds": round(sum(entry.wall_seconds for entry in records.values()), 1),
        "environments": [places[key].model_dump(mode="json") for key in sorted(places)],
        "rendered_with": _libraries(),
    }


def _libraries() -> dict[str, str]:
    return {name: version(name) for name in LIBRARIES}


def _rerun(study: Study) -> tuple[str, ...]:
    extra = " --corpus NAME_OR_PATH" if study.corpus else ""
    extra += f" --split {study.corpus.split}" if study.corpus else ""
    extra += " --development" if study.development else ""
    name = study.suite_name
    if study.suite.gates and study.suite_source == "built-in":
        return (
            f"seqbench verify --quick --results results/{name}{extra}",
            f"seqbench report --results results/{name} --out reports/{name}",
        )
    if study.suite_source == "own":
        return (f"seqbench run --suite PATH/TO/{name}.toml --results results/{name}{extra}   # your own suite file",)
    return (
        f"seqbench run --suite {name} --results results/{name}{extra}",
        f"seqbench report --results results/{name} --out reports/{name}",
    )


def _seeds(cells: pd.DataFrame) -> str:
    if cells.empty:
        return "none"
    return f"{cells[table.SEED].min()} to {cells[table.SEED].max()}"


def _estimate(found: scaling.Estimate) -> str:
    """Return `1.28 [1.25, 1.31]`, the value alone where it is exact."""
    if found.lower == found.upper:
        return number(found.value)
    bounds = (found.lower, found.upper) if math.isfinite(found.upper) else (None, None)
    return f"{number(found.value)} {interval(*bounds)}"


def _finding(claim: ClaimVerdict) -> str:
    """Return a verdict's sentence without the scope, which stands beside it."""
    return claim.wording.removesuffix(f"; {claim.scope}.").removesuffix(".") + "."


def _tally(claims: tuple[ClaimVerdict, ...]) -> str:
    """Return how many claims have each verdict, as "7 SUPPORTED, 1 CONTRADICTED"."""
    counts = Counter(claim.verdict for claim in claims)
    return ", ".join(f"{counts[word]} {word.value}" for word in Verdict if counts[word])


def _incomplete(claim: ClaimVerdict) -> bool:
    """Return whether planned cells of a claim have no record yet."""
    return claim.ran < claim.planned
