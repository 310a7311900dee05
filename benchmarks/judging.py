"""What judging, planning and resuming cost for studies of many cells, on one core.

    python benchmarks/judging.py --like results/quickstart [--records N ...] [--folder FOLDER]

Makes a study of about N records (10 000 and 100 000) out of a finished one: its groups at twice as many lengths and so
many more seeds, each record with the measurements of a real one of its group and model, scattered by 2 %. Nothing in it
is a result. Fresh processes with one thread, bound to one core where the system can, then judge it and render its page,
plan it, and resume it with one record taken away. Prints one JSON object for each N: records, seconds by stage, and the
most memory that any of the processes held, in MiB. The study is deleted afterwards, unless FOLDER is given, where it
stays and is used again.

`report` is all of `seqbench report` from the start of its process; what it names no part of is `report` less the parts.
`plan` is the whole command `seqbench plan`, `planning` its main function alone; `resume` is the time from the start of
a process to the start of the one cell that is missing. All seconds are of processor time of the one thread, which other
processes disturb less than the wall's.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar
from unittest import mock

import numpy as np

from seqbench import plan, store
from seqbench.plan import Planned, Study
from seqbench.record import Measurement, Record
from seqbench.suite import Group

T = TypeVar("T")
LENGTHS = 2
SCATTER = 0.02
STAGES = ("judging", "planning", "resuming")


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--like", type=Path, required=True, help="a finished study, as results/quickstart")
    parser.add_argument("--records", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--folder", type=Path, help="where the studies are made and stay")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.stage:
        print(json.dumps({"seconds": globals()[asked.stage](asked.folder), "peak_rss_mib": peak_rss_mib()}))
        return
    for count in asked.records:
        with place(asked.folder) as folder:
            study = folder / f"{count}"
            made = make(asked.like, study, count)
            found = [alone(stage, study, asked.like) for stage in asked.stages]
            seconds = {name: round(value, 2) for one in found for name, value in one["seconds"].items()}
            peaks = {stage: round(one["peak_rss_mib"]) for stage, one in zip(asked.stages, found, strict=True)}
            print(json.dumps({"records": made, "seconds": seconds, "peak_rss_mib": peaks}), flush=True)


@contextmanager
def place(folder: Path | None) -> Iterator[Path]:
    """Give the folder, or one that is deleted afterwards."""
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="seqbench-judging-") as temporary:
        yield Path(temporary)


def make(like: Path, folder: Path, count: int) -> int:
    """Write a study of about so many records like those of another, and return how many it has."""
    if (folder / store.STUDY_FILE).exists():
        return len(plan.planned(store.open_study(folder)))
    source = store.open_study(like)
    records = store.contents(like).of(plan.planned(source))
    by_kind: dict[tuple[str, str], list[Record]] = {}
    for entry in plan.planned(source):
        if not entry.trial and entry.cell in records:
            by_kind.setdefault((entry.group, entry.cell.model), []).append(records[entry.cell])
    study = larger(source, max(1, round(count / (LENGTHS * sum(map(len, by_kind.values()))))))
    rng = np.random.default_rng(0)
    with mock.patch("os.fsync"):  # as many files are not worth as many waits for the disk
        store.create_study(folder, study)
        entries = [entry for entry in plan.planned(study) if not entry.trial]
        for entry in entries:
            kind = by_kind[entry.group, entry.cell.model]
            store.save(folder, alike(kind[entry.cell.seed % len(kind)], entry, study, rng))
    return len(entries)


def larger(study: Study, more_seeds: int) -> Study:
    """Return the study with twice the lengths and so many times the seeds, as its author's own."""
    groups = tuple(_larger(group, more_seeds) for group in study.suite.groups)
    suite = study.suite.model_copy(update={"groups": groups, "tuning": ()})
    return study.model_copy(update={"suite": suite, "suite_name": "many", "suite_source": "own"})


def _larger(group: Group, more_seeds: int) -> Group:
    lengths = tuple(sorted({length * (1 + again) + again for length in group.lengths for again in range(LENGTHS)}))
    return group.model_copy(update={"lengths": lengths, "seeds": group.seeds * more_seeds})


def alike(record: Record, entry: Planned, study: Study, rng: np.random.Generator) -> Record:
    """Return a record of a cell with the measurements of another, scattered."""
    panel = f"{entry.group} {entry.cell.length} {entry.cell.seed}" if record.panel else None
    return record.model_copy(
        update={
            "cell": entry.cell,
            "fingerprint": entry.fingerprint,
            "preregistration": study.preregistration_sha256,
            "panel": panel,
            "measurements": tuple(_scattered(item, rng) for item in record.measurements),
        }
    )


def _scattered(item: Measurement, rng: np.random.Generator) -> Measurement:
    """Return a measurement with other values; what counts, as whether a round was kept, stays."""
    if item.name in ("round_kept", "processes", "state_floats", "load") or "chance" in item.name:
        return item
    factor = 1 + SCATTER * rng.standard_normal()
    series = item.series
    if series is not None:
        values = np.array(series.values) * (1 + SCATTER * rng.standard_normal(len(series.values)))
        series = series.model_copy(update={"values": tuple(values.tolist())})
    return item.model_copy(update={"value": float(item.value * factor), "series": series})


def alone(stage: str, folder: Path, like: Path) -> dict[str, dict[str, float]]:
    """Return what a stage says that runs in a process of its own, with one thread, on one core where that can be."""
    command = [sys.executable, __file__, "--like", str(like), "--folder", str(folder), "--stage", stage]
    done = subprocess.run(  # noqa: S603 - this very program
        command, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True, stdout=subprocess.PIPE, preexec_fn=_one_core
    )
    found: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def _one_core() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def judging(folder: Path) -> dict[str, float]:
    """Return the seconds of what `seqbench report` does, by part, and of all of it from the start of the process."""
    spent: dict[str, float] = {}
    begun = time.process_time()
    from seqbench.judge.report import build  # noqa: PLC0415 - what it costs to import is part of what is measured

    spent["import"] = time.process_time() - begun
    parts = {
        "read": (build.store, "contents"),
        "tables": (build.table, "tables"),
        "judge": (build.verdicts, "judge_tables"),
        "figures": (build, "_drawings"),
        "page": (build, "write"),
    }
    with tempfile.TemporaryDirectory() as out, ExitStack() as timed:
        for name, (module, function) in parts.items():
            timed.enter_context(mock.patch.object(module, function, _timed(getattr(module, function), name, spent)))
        build.write(build.build_folder(folder), Path(out))
    return spent | {"report": time.process_time()}


def _timed(call: Callable[..., T], name: str, spent: dict[str, float]) -> Callable[..., T]:
    """Return a function that notes what a call of another took."""

    def noted(*given: object, **named: object) -> T:
        begun = time.process_time()
        found = call(*given, **named)
        spent[name] = time.process_time() - begun
        return found

    return noted


def planning(folder: Path) -> dict[str, float]:
    """Return the seconds of planning a study as large: of the function, and of `seqbench plan` with its suite."""
    study = store.open_study(folder)
    begun = time.process_time()
    plan.planned(study)
    alone = time.process_time() - begun
    suite = study.suite.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    (folder / "many.toml").write_text(as_toml(suite), encoding="utf-8")
    command = [sys.executable, "-m", "seqbench", "plan", "--suite", str(folder / "many.toml"), "--json"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own command
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"planning": alone, "plan": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}


def as_toml(suite: dict[str, object]) -> str:
    """Return a suite as TOML: its groups as tables, their values inline, as JSON writes them but for the `=`."""
    groups = suite.pop("groups")
    lines = [f"{name} = {inline(value)}" for name, value in suite.items()]
    for group in groups if isinstance(groups, list | tuple) else ():
        lines += ["", "[[groups]]", *(f"{name} = {inline(value)}" for name, value in group.items())]
    return "\n".join(lines) + "\n"


def inline(value: object) -> str:
    """Return a value as inline TOML."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {inline(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(inline, value))}]"
    return json.dumps(value, ensure_ascii=False)


def resuming(folder: Path) -> dict[str, float]:
    """Return the seconds from the start of the process to the start of the one cell that has no record."""
    from seqbench.measure import conduct, runner  # noqa: PLC0415 - importing torch is part of what is measured
    from seqbench.measure.executors import serial  # noqa: PLC0415, F401

    study = store.open_study(folder)
    shared = list(folder.glob("*/*/*/*-state_bytes-*-a01.json"))
    away = shared[0].rename(shared[0].with_suffix(".away"))
    begun: list[float] = []

    def stop(*_given: object, **_named: object) -> None:
        begun.append(time.process_time())
        raise KeyboardInterrupt

    try:
        # Some of the lengths that `larger` made are none that a generator takes; these cells have records, and no more.
        with mock.patch.object(runner, "run_cell", stop), mock.patch.object(conduct, "_check_groups"):
            conduct.conduct(study, folder, settings=conduct.Settings(executor="serial"))
    except KeyboardInterrupt:
        pass
    finally:
        away.rename(shared[0])
    return {"resume": begun[0]}


def peak_rss_mib() -> float:
    """Return the most memory that this process held, in MiB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 2**20 if sys.platform == "darwin" else most / 2**10


if __name__ == "__main__":
    main()
