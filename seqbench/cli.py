"""The command line: parse, call, print. Everything heavy is imported inside the command that needs it."""

# ruff: noqa: PLC0415, PLR0917 - commands import what they need, so that --help answers at once; options are parameters

import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from seqbench.errors import SeqbenchError

if TYPE_CHECKING:
    from seqbench.cell import SampleConfig
    from seqbench.judge.gates import Judged
    from seqbench.measure.conduct import Settings
    from seqbench.plan import Study

DONE, ERROR, USAGE, INCOMPLETE, CHECK_FAILED, INTERRUPTED = 0, 1, 2, 3, 4, 130

app = typer.Typer(
    name="seqbench",
    help="An honest comparison of sequence architectures: train, measure, judge claim by claim, report.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
corpus_app = typer.Typer(
    help="Real texts: list the known ones, fetch one, or look at any file or folder.", no_args_is_help=True
)
results_app = typer.Typer(help="Study folders: prove one complete, merge, pack.", no_args_is_help=True)
app.add_typer(corpus_app, name="corpus")
app.add_typer(results_app, name="results")

Json = Annotated[bool, typer.Option("--json", help="Print a JSON list of objects instead of a table.")]
Results = Annotated[Path, typer.Option("--results", help="The study folder.")]
SuiteName = Annotated[str, typer.Option("--suite", help="A built-in suite, or a path to your own .toml file.")]
Corpus = Annotated[str | None, typer.Option("--corpus", help="A real text: a known name, a file, or a folder of .txt.")]
Split = Annotated[
    str | None, typer.Option("--split", help="story (default of a folder) or character (default of a file), 90/5/5.")
]
Tasks = Annotated[Path | None, typer.Option("--tasks", help="A folder with task cards of your own.")]
Development = Annotated[bool, typer.Option("--development", help="Seeds for trying things out, never confirmatory.")]
Device = Annotated[str, typer.Option("--device", help="Where cells run: cpu, or cuda for the first GPU.")]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="Processes at a time; default: one per core.")]
FitHours = Annotated[
    float | None,
    typer.Option("--fit-hours", min=0.001, help="Trim a new study, whole groups at a time, so that all of it fits."),
]
MaxHours = Annotated[
    float | None,
    typer.Option("--max-hours", min=0.0, help="Begin nothing in this call that would not fit; trims nothing."),
]
Executor = Annotated[str, typer.Option("--executor", help="How cells are run: pool, serial or ray.")]
Address = Annotated[str | None, typer.Option("--address", help="Of a Ray cluster; default: one on this machine.")]

Lane = Annotated[
    Literal["exclusive", "shared"] | None,
    typer.Option("--lane", help="Run the timed cells alone (exclusive), or all others (shared); default: both."),
]


def main() -> NoReturn:
    """Run the command line; every expected error is one line on standard error and an exit code."""
    try:
        app()
    except SeqbenchError as error:
        print(f"seqbench: {error}", file=sys.stderr)  # noqa: T201 - the one place where errors meet people
        sys.exit(error.exit_code)
    sys.exit(DONE)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    if version:
        from seqbench import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.command()
def quickstart(workers: Workers = None, corpus: Corpus = None) -> None:
    """Run the quick suite and render its report: results/quickstart and reports/quickstart."""
    results, out = Path("results/quickstart"), Path("reports/quickstart")
    _run(_study("quick", corpus=corpus, tasks=None, development=False), results, corpus=corpus, workers=workers)
    _print_verdicts(results, as_json=False)
    _report(results, out)
    _finish(results)


@app.command()
def run(
    results: Results,
    suite: SuiteName = "quick",
    corpus: Corpus = None,
    split: Split = None,
    tasks: Tasks = None,
    workers: Workers = None,
    executor: Executor = "pool",
    address: Address = None,
    device: Device = "cpu",
    cell_minutes: Annotated[float, typer.Option(min=0.01, help="Wall limit of one cell, in minutes.")] = 30.0,
    retry: Annotated[list[str] | None, typer.Option(help="Try cells of this status again; may be repeated.")] = None,
    development: Development = False,
    fit_hours: FitHours = None,
    max_hours: MaxHours = None,
    lane: Lane = None,
) -> None:
    """Run what a study still lacks; the same command resumes it. Exit code 3: some cell still has no record."""
    _run(
        _study(suite, corpus=corpus, split=split, tasks=tasks, development=development),  # before torch: two seconds
        results,
        corpus=corpus,
        workers=workers,
        executor=executor,
        address=address,
        device=device,
        cell_minutes=cell_minutes,
        retry=tuple(retry or ()),
        fit_hours=fit_hours,
        max_hours=max_hours,
        lane=lane,
    )
    _finish(results)


@app.command()
def plan(
    suite: SuiteName = "quick",
    results: Annotated[Path | None, typer.Option("--results", help="A study folder, to count what it has.")] = None,
    corpus: Corpus = None,
    split: Split = None,
    tasks: Tasks = None,
    development: Development = False,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Print what a suite would run and what hangs on it, what is there already, what is left out, how long it takes."""
    from seqbench import plan as planning
    from seqbench import store, terminal
    from seqbench import summary as summing
    from seqbench.costs import Costs
    from seqbench.measure.environment import machine_of, usable_cores

    study = _study(suite, corpus=corpus, split=split, tasks=tasks, development=development)
    if results:
        study = store.as_fitted(results, study)
    accepted = store.outlines(results).accepted() if results else {}
    costs = Costs.of(accepted.values(), machine=machine_of("cpu"))
    lines = summing.summary(study, accepted, costs=costs)
    if as_json:
        terminal.listing([line.row() for line in lines], as_json=True)
        return
    terminal.listing([line.short_row() for line in lines], as_json=False)
    _print_left_out(study)
    at_a_time = workers or usable_cores()
    outstanding = [entry for entry in planning.planned(study) if entry.fingerprint not in accepted]
    seconds = costs.wall_seconds(outstanding, workers=at_a_time)
    alone = costs.wall_seconds([entry for entry in outstanding if entry.cell.timing], workers=1)
    terminal.say(
        f"{terminal.count(len(outstanding), 'cell')} to run, about {terminal.duration(seconds)} on "
        f"{terminal.count(at_a_time, 'core')}, {terminal.duration(alone)} of it timing, alone"
    )


@app.command()
def status(
    results: Results,
    as_json: Json = False,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every few seconds until all is done.")] = False,
    workers: Workers = None,
) -> None:
    """Print how far a study is: cells by status, rate and time left, what was trimmed, files that cannot be used."""
    from seqbench import following, store, terminal
    from seqbench import plan as planning
    from seqbench import summary as summing

    study = store.open_study(results)
    if as_json:
        terminal.listing(summing.progress(planning.planned(study), store.outlines(results).accepted()), as_json=True)
        return
    view = following.View(planning.planned(study), read=lambda: store.outlines(results), workers=workers)
    terminal.follow(view.look, seconds=3.0, done=lambda: not watch or view.complete)
    _print_left_out(study)
    for item in view.held.broken:
        terminal.say(f"broken: {item.reason}")


@app.command()
def verdicts(results: Results, as_json: Json = False) -> None:
    """Judge a study from its files alone and print one verdict per claim."""
    _print_verdicts(results, as_json=as_json)


@app.command()
def report(
    results: Annotated[list[Path], typer.Option("--results", help="The study folder; several are set side by side.")],
    out: Annotated[Path | None, typer.Option("--out", help="Where to write; default reports/<study>.")] = None,
    formats: Annotated[str, typer.Option("--formats", help="Of figures, beside SVG: pdf, png, or pdf,png.")] = "",
    ro_crate: Annotated[bool, typer.Option("--ro-crate", help="Describe the files as an RO-Crate too.")] = False,
) -> None:
    """Judge a study and render its report: one self-contained page, claims.json, data, figures, tables, citations.

    Several studies are each judged alone and stand side by side, in reports/<a>-vs-<b>: no times are pooled.
    """
    out = out or Path("reports") / "-vs-".join(folder.resolve().name for folder in results)
    if len(results) == 1:
        _report(results[0], out, formats=formats, ro_crate=ro_crate)
        return
    from seqbench.errors import UsageError

    if ro_crate or formats:
        raise UsageError("--ro-crate and --formats are of one study; give --results once, or leave them out")
    from seqbench.judge.report import compare

    typer.echo(compare.write(compare.compare_folders(results), out))


@app.command()
def verify(
    gates: Annotated[
        list[str] | None,
        typer.Argument(metavar="[GATE]...", help="Gates to run; without any, and without --quick, none."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Run every gate that takes minutes and needs nothing.")
    ] = False,
    results: Results = Path("results/verify"),
    corpus: Corpus = None,
    workers: Workers = None,
    device: Device = "cpu",
    development: Development = False,
    as_json: Json = False,
) -> None:
    """Run published results again, print ours beside them. Exit code 4: one that was asked for is not reproduced.

    A gate that was asked for and has no verdict, as one timed on a busy machine, counts as not reproduced.
    """
    from seqbench import corpus as corpora
    from seqbench import gate, store, suite
    from seqbench.judge import gates as judging
    from seqbench.judge import table

    known = suite.gates().gates
    text = corpora.name_of(corpus) if corpus else None
    asked = gate.asked(known, gates or (), quick=quick, device=device, text=text)
    study = _study(suite.VERIFY, corpus=corpus, tasks=None, development=development)
    if asked:
        groups = {check.group for name in asked for check in known[name].checks.values()}
        again = ("contended",)  # a busy machine says nothing of the next call's
        _run(study, results, corpus=corpus, workers=workers, device=device, retry=again, groups=groups)
    elif (results / store.STUDY_FILE).exists():
        study = store.open_study(results)
    judged = judging.judge(study, table.tables(study, store.contents(results)))
    _print_gates(judged, caution=study.caution, as_json=as_json)
    if any(entry.failed(asked=entry.name in asked) for entry in judged):
        raise typer.Exit(CHECK_FAILED)


@app.command()
def cite(
    name: Annotated[str, typer.Argument(metavar="ID", help="report, a claim C1, an atom C1.1a, a fig-… or a tab-…")],
    results: Results,
    form: Annotated[str, typer.Option("--format", help="bibtex, csl, latex or markdown.")] = "bibtex",
    url: Annotated[str, typer.Option("--url", help="Where the page is published, for a link to the part.")] = "",
) -> None:
    """Print the sentence that a part of a report says, with its scope and report id, and the citation."""
    from seqbench.judge.report import build
    from seqbench.judge.report import cite as citing

    typer.echo(citing.cite(build.build_folder(results), name, form=form, url=url), nl=False)


@app.command("list")
def list_names(
    kind: Annotated[
        str, typer.Argument(help="models, tasks, claims, suites, probes, figures, generators or executors")
    ],
    as_json: Json = False,
    tasks: Tasks = None,
) -> None:
    """List what there is of a kind, with one line about each."""
    from seqbench import catalogue, terminal

    terminal.listing(catalogue.rows(kind, extra_cards=_folders(tasks)), as_json=as_json)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="a model, task, claim, suite, probe, figure or corpus")],
    tasks: Tasks = None,
) -> None:
    """Show everything about one name: a card, a suite, a claim with its margins, a model with its options."""
    from seqbench import catalogue

    typer.echo(catalogue.describe(name, extra_cards=_folders(tasks)))


@app.command()
def check(
    model: Annotated[str, typer.Argument(help="a model with its options, or path/to/file.py:build")],
    width: Annotated[int | None, typer.Option(min=1, help="Default: the smallest from 16 on that it takes.")] = None,
    layers: Annotated[int | None, typer.Option(min=1, help="Default: 2, or what it takes.")] = None,
    as_json: Json = False,
) -> None:
    """Ask a model every demand of its contract, and list every answer. Exit code 4 if it breaks one."""
    from seqbench import terminal, variant
    from seqbench.measure import check as examination

    findings = examination.check(variant.parse(model), width=width, layers=layers)
    terminal.listing([finding.row() for finding in findings], as_json=as_json)
    outcomes = [finding.outcome for finding in findings]
    terminal.say(", ".join(f"{outcomes.count(name)} {name}" for name in examination.OUTCOMES))
    if "failed" in outcomes:
        raise typer.Exit(CHECK_FAILED)


@app.command()
def generate(
    corpus: Annotated[str, typer.Option("--corpus", help="The text: a known name, a file, or a folder of .txt.")],
    model: Annotated[str, typer.Option("--model", help="A model with its options, or path/to/file.py:build.")] = "lstm",
    prompt: Annotated[str, typer.Option("--prompt", help="What the text goes on from.")] = "",
    chars: Annotated[int, typer.Option("--chars", min=1, max=20_000, help="Characters to write after it.")] = 400,
    temperature: Annotated[float, typer.Option("--temperature", min=0.0, help="0: always the most likely.")] = 0.8,
    top_k: Annotated[int | None, typer.Option("--top-k", min=1, help="Draw from so many of the most likely.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the drawing; another one, another text.")] = 0,
    max_minutes: Annotated[
        float | None,
        typer.Option("--max-minutes", min=0.01, max=10_080, help="Of training; default 10, of each model of --all 2."),
    ] = None,
    width: Annotated[int | None, typer.Option("--width", min=1, max=10**5, help="Default: by model.")] = None,
    layers: Annotated[int | None, typer.Option("--layers", min=1, max=10**3, help="Default: by model.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", min=1e-9, max=10, help="Default: by model.")
    ] = None,
    split: Split = None,
    save: Annotated[Path | None, typer.Option("--save", help="Where the checkpoint lies; default: the cache.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Texts of every architecture, on equal tokens and on equal seconds.")
    ] = False,
    results: Annotated[
        Path | None, typer.Option("--results", help="The study folder of --all; default: results/generate.")
    ] = None,
) -> None:
    """Write text with a character generator; one that is not there yet is trained. The text alone goes to stdout."""
    from pydantic import ValidationError

    from seqbench.cell import SampleConfig
    from seqbench.errors import InvalidInput, UsageError
    from seqbench.record import problems

    single = {"--model": model != "lstm", "--seed": seed, "--layers": layers, "--learning-rate": learning_rate}
    unused = {**single, "--save": save} if every else {"--results": results}
    if given := ", ".join(option for option, value in unused.items() if value):
        raise UsageError(f"{given}: not used {'with' if every else 'without'} --all; leave it out")
    try:
        samples = SampleConfig(prompt=prompt or None, characters=chars, temperature=temperature, top_k=top_k)
    except ValidationError as error:
        raise InvalidInput(f"these texts cannot be written ({problems(error)}); give others") from error
    if every:
        folder = results or Path("results/generate")
        _side_by_side(samples, folder, corpus=corpus, split=split, minutes=max_minutes or 2.0, width=width or 128)
        return
    from transformers.utils import logging

    from seqbench import generate as generators
    from seqbench import terminal

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # of files: only training takes long here
    wanted = generators.Wanted(
        model=model,
        corpus=corpus,
        split=split,
        width=width,
        layers=layers,
        learning_rate=learning_rate,
        minutes=max_minutes or 10.0,
    )
    writer = generators.generator(wanted, folder=save, tell=terminal.say, progressing=terminal.progressing)
    generators.perform(writer, samples, seed=seed, show=terminal.stream, tell=terminal.say)


@app.command()
def doctor(
    results: Annotated[Path, typer.Option("--results", help="Where studies would be written.")] = Path("results"),
    as_json: Json = False,
) -> None:
    """Look at what measurements depend on: libraries, device, folders, quietness. Exit code 4 if something is wrong."""
    import time

    from seqbench import terminal
    from seqbench.measure.doctor import examine

    findings = examine(results, sleep=time.sleep)
    terminal.listing([finding.row() for finding in findings], as_json=as_json)
    if not all(finding.fine for finding in findings):
        raise typer.Exit(CHECK_FAILED)


@corpus_app.command("list")
def corpus_list(as_json: Json = False) -> None:
    """List the texts known by name, and whether each has been fetched."""
    from seqbench import corpus as corpora
    from seqbench import terminal

    rows = [
        {
            "name": name,
            "title": known.title,
            "bytes": known.identity.bytes,
            "fetched": corpora.cached_copy(name).exists(),
            "sha256": known.identity.sha256,
        }
        for name, known in corpora.catalogue().items()
    ]
    terminal.listing(rows, as_json=as_json)


@corpus_app.command("fetch")
def corpus_fetch(name: Annotated[str, typer.Argument(help="a name that `corpus list` shows")]) -> None:
    """Download a known text into the cache and check every file's hash; print where it lies."""
    from seqbench.measure.corpora.fetch import fetch

    typer.echo(fetch(name))


@corpus_app.command("info")
def corpus_info(
    name: Annotated[str, typer.Argument(help="a known name, a file, or a folder of .txt files")],
    split: Split = None,
    as_json: Json = False,
) -> None:
    """Print what a text is: hash, characters, alphabet, and how it would be split."""
    from seqbench import corpus as corpora
    from seqbench import terminal
    from seqbench.measure.corpora import text

    path = corpora.locate(name)
    by = corpora.split_of(path, split)
    row = text.facts(path, corpora.identify(path, name=corpora.name_of(name)), by=by)
    terminal.listing([row] if as_json else terminal.upright(row), as_json=as_json)


@results_app.command("merge")
def results_merge(
    sources: Annotated[list[Path], typer.Argument(help="Two or more study folders of one study.")], results: Results
) -> None:
    """Unite what several people ran of one study; exit code 4 when something disagrees, which is listed."""
    from seqbench import merging, terminal

    merged = merging.merge(sources, results)
    for line in merged.conflicts:
        typer.echo(line)
    terminal.say(f"{terminal.count(merged.written, 'record')} written, {merged.shared} in more than one folder")
    if merged.conflicts:
        raise typer.Exit(CHECK_FAILED)


@results_app.command("pack")
def results_pack(
    results: Results, out: Annotated[Path, typer.Option("--out", help="The file to write, as study.parquet.")]
) -> None:
    """Write a study into one Parquet file with a manifest of hashes, and print the sha256 of that manifest."""
    from seqbench import packing

    typer.echo(packing.pack(results, out))


@results_app.command("unpack")
def results_unpack(
    file: Annotated[Path, typer.Argument(help="A pack that `results pack` wrote.")], results: Results
) -> None:
    """Write the files of a pack into a new study folder, byte for byte, after every hash was checked."""
    from seqbench import packing, terminal

    terminal.say(f"{terminal.count(packing.unpack(file, results), 'record')} in {results}")


@results_app.command("validate")
def results_validate(results: Results) -> None:
    """Prove that a study is complete and sound, or list every fault; exit code 4 when there is one."""
    from seqbench import plan as planning
    from seqbench import store, terminal

    faults = store.validate(results)
    for fault in faults:
        typer.echo(fault)
    planned = len(planning.planned(store.open_study(results)))
    if faults:
        typer.echo(f"{terminal.count(len(faults), 'fault')} in {results}")
        raise typer.Exit(CHECK_FAILED)
    cells = terminal.count(planned, "planned cell")
    typer.echo(f"complete: {cells}, each with exactly one accepted record; no broken file")


def _study(
    suite: str, *, corpus: str | None, split: str | None = None, tasks: Path | None, development: bool
) -> "Study":
    from seqbench import plan as planning
    from seqbench import suite as suites
    from seqbench.measure.models import MODELS
    from seqbench.measure.probes import PROBES

    name, content = suites.find(suite)
    return planning.study(
        name,
        content,
        text=planning.corpus_facts(corpus, split=split) if corpus else None,
        development=development,
        extra_cards=(*_folders(tasks), *((suites.gates_folder() / "tasks",) if name == suites.VERIFY else ())),
        known_models=MODELS,
        known_probes=PROBES,
    )


def _run(
    study: "Study",
    results: Path,
    *,
    corpus: str | None = None,
    workers: int | None = None,
    executor: str = "pool",
    address: str | None = None,
    device: str = "cpu",
    cell_minutes: float = 30.0,
    retry: tuple[str, ...] = (),
    fit_hours: float | None = None,
    max_hours: float | None = None,
    lane: Literal["exclusive", "shared"] | None = None,
    groups: Collection[str] | None = None,
) -> None:
    from seqbench import corpus as corpora
    from seqbench.measure import conduct
    from seqbench.measure.environment import usable_cores

    settings = conduct.Settings(
        executor=executor,
        workers=workers or usable_cores(),
        timeout_seconds=60 * cell_minutes,
        device=device,
        retry=conduct.statuses(retry),
        fit_hours=fit_hours,
        max_hours=max_hours,
        address=address,
        lane=lane,
    )
    path = corpora.locate(corpus) if corpus else None
    _conduct(study, results, settings=settings, corpus_path=path, groups=groups)


def _conduct(
    study: "Study",
    results: Path,
    *,
    settings: "Settings",
    corpus_path: Path | None,
    groups: Collection[str] | None = None,
) -> None:
    """Run a study while people watch; leave with exit code 130 where they end it."""
    from seqbench import terminal
    from seqbench.measure import conduct

    try:
        with terminal.watching() as watch:
            time_left = conduct.conduct(
                study,
                results,
                settings=settings,
                corpus_path=corpus_path,
                groups=groups,
                started=watch.started,
                finished=watch.finished,
            )
    except KeyboardInterrupt:
        terminal.say("seqbench: stopped; the same command goes on where it was")
        raise typer.Exit(INTERRUPTED) from None
    if waiting := time_left.waiting():
        terminal.say(waiting)


def _side_by_side(
    samples: "SampleConfig", results: Path, *, corpus: str, split: str | None, minutes: float, width: int
) -> None:
    """Run the study of every architecture's texts, and print them as the folder has them."""
    from seqbench import corpus as corpora
    from seqbench import gallery, terminal
    from seqbench.measure.conduct import Settings
    from seqbench.measure.environment import usable_cores

    path = corpora.locate(corpus)
    study = gallery.study_of(
        gallery.Asked(corpus=corpus, split=split, samples=samples, minutes=minutes, width=width), results
    )
    _conduct(study, results, settings=Settings(workers=usable_cores()), corpus_path=path)
    for heading, texts in gallery.texts(study, results):
        terminal.paragraph(heading, *texts)
    terminal.say(f"the records are in {results}; seqbench report --results {results} shows them beside each other")
    _finish(results)


def _finish(results: Path) -> None:
    """Leave with exit code 3 when some planned cell has no record."""
    from seqbench import plan as planning
    from seqbench import store, terminal

    lacking = store.missing(planning.planned(store.open_study(results)), store.outlines(results))
    if lacking:
        terminal.say(f"without a record: {terminal.count(len(lacking), 'cell')}; the same command goes on")
        raise typer.Exit(INCOMPLETE)


def _print_left_out(study: "Study") -> None:
    """Print the groups of a study that do not run, each with its reason."""
    from seqbench import plan as planning
    from seqbench import terminal

    lines = [f"{entry.what} ({terminal.count(entry.cells, 'cell')}): {entry.why}" for entry in planning.left_out(study)]
    if lines:
        terminal.paragraph("left out", *lines)


def _print_verdicts(results: Path, *, as_json: bool) -> None:
    import json

    from seqbench import store, terminal
    from seqbench.judge.report import verdicts as judging

    judged = judging.judge_folder(results)
    if caution := store.open_study(results).caution:
        terminal.say(caution)
    if as_json:
        typer.echo(json.dumps(judging.as_json(judged), indent=1, ensure_ascii=False, allow_nan=False))
        return
    for row in judging.rows(judged):
        terminal.paragraph(f"{row['name']}  {row['verdict']}", row["wording"], row["qualification"])


def _print_gates(judged: "Sequence[Judged]", *, caution: str, as_json: bool) -> None:
    import json

    from seqbench import terminal
    from seqbench.judge.report import gates as told

    if caution:
        terminal.say(caution)
    if as_json:
        typer.echo(json.dumps(told.as_json(judged), indent=1, ensure_ascii=False, allow_nan=False))
        return
    terminal.listing(told.rows(judged), as_json=False)
    for entry in judged:
        if notes := told.notes(entry):
            terminal.paragraph(f"{entry.name}: {entry.word.value}", *notes)


def _report(results: Path, out: Path, *, formats: str = "", ro_crate: bool = False) -> None:
    from seqbench.judge.report import build, crate

    report = build.build_folder(results, formats=formats.split(","))
    typer.echo(build.write(report, out))
    if ro_crate:
        typer.echo(crate.write(report, out))


def _folders(tasks: Path | None) -> tuple[Path, ...]:
    from seqbench.errors import UsageError

    if tasks is not None and not tasks.is_dir():
        raise UsageError(f"no folder {str(tasks)!r}; --tasks takes a folder with task cards (.toml)")
    return (tasks,) if tasks else ()
