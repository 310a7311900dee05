"""What a study of many cells costs besides its cells: planning it, resuming it, and each cell's way through the pool.

    OMP_NUM_THREADS=1 python benchmarks/resuming.py --like results/quick [--records N] [--cells N] [--folder FOLDER]

Prints one JSON object for each of two parts. The first makes a study of about N records (100 000) as `judging.py` does,
and tells the seconds of planning it, of the command `seqbench plan`, and of resuming it until its one missing cell
begins, both from the start of a process; per 100 000 records too.

The second runs a study of N cells (400) that ask for nothing but a number that is known without training, on two
workers. Everything that it takes and is no cell's own is overhead: planning, dispatching and storing. What is paid
once, as the start of the workers, is left out: it is what a study of ten cells takes. Told in milliseconds per cell, of
processor time (of this process and of its workers) and of the wall, which other processes disturb.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import judging

from seqbench import plan, store
from seqbench.measure import conduct
from seqbench.measure.models import MODELS
from seqbench.measure.probes import PROBES
from seqbench.suite import Group, Suite

FEW = 10
WORKERS = 2


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--like", type=Path, required=True, help="a finished study, as results/quick")
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--cells", type=int, default=400)
    parser.add_argument("--folder", type=Path, help="where the study of many records is made and stays")
    asked = parser.parse_args()
    print(json.dumps(held(asked.like, asked.records, asked.folder)), flush=True)
    print(json.dumps(overhead(asked.cells)), flush=True)


def held(like: Path, count: int, where: Path | None) -> dict[str, object]:
    """Return the processor seconds of planning and of resuming a study of about so many records."""
    with judging.place(where) as folder:
        study = folder / f"{count}"
        made = judging.make(like, study, count)
        found = [judging.alone(stage, study, like) for stage in ("planning", "resuming")]
    seconds = {name: value for one in found for name, value in one["seconds"].items()}
    per = {name: round(value * 100_000 / made, 2) for name, value in seconds.items()}
    return {
        "records": made,
        "processor_seconds": {name: round(value, 2) for name, value in seconds.items()},
        "per_100000_records": per,
    }


def overhead(cells: int) -> dict[str, object]:
    """Return the milliseconds that a cell of the pool takes besides its own work."""
    few, many = run(FEW), run(cells)
    each = {name: 1000 * (many[name] - few[name]) / (cells - FEW) for name in many}
    return {
        "cells": cells,
        "workers": WORKERS,
        "ms_per_cell": {name: round(value, 2) for name, value in each.items()},
        "overhead_ms": {
            "processor": round(each["processor"] - each["work"], 2),
            "wall": round(each["wall"] - each["work"] / WORKERS, 2),
        },
    }


def run(cells: int) -> dict[str, float]:
    """Return the seconds of a study of so many cells: of processors, of the wall, and of the cells' own work."""
    group = Group(
        name="bytes", task="uniform_tokens", probe="state_bytes", models=("rnn",), lengths=(20,), width=8, seeds=cells
    )
    study = plan.study("cells", Suite(title="cells", groups=(group,)), known_models=MODELS, known_probes=PROBES)
    with tempfile.TemporaryDirectory(prefix="seqbench-resuming-") as place:
        spent, begun = processor_seconds(), time.perf_counter()
        conduct.conduct(study, Path(place), settings=conduct.Settings(executor="pool", workers=WORKERS))
        wall, used = time.perf_counter() - begun, processor_seconds() - spent
        records = [entry for _, entry in store.contents(Path(place)).records]
    if len(records) != cells or any(entry.status != "ok" for entry in records):
        raise SystemExit(f"of {cells} cells {len(records)} have records: {sorted({each.status for each in records})}")
    return {"processor": used, "wall": wall, "work": sum(entry.wall_seconds for entry in records)}


def processor_seconds() -> float:
    """Return the processor seconds of this process and of those that it started and that have ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


if __name__ == "__main__":
    main()
