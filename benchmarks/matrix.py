"""How many cells per minute of the quick suite the pool runs, and how near that comes to one process per core.

    OMP_NUM_THREADS=1 python benchmarks/matrix.py [--json] [--cells N] [--chunks N] [--workers N]

The shared lane is what runs in parallel: all cells of the suite that are not timed. Of those that need no real text, N
are taken at equal distances in the order of the suite (128, of about one second each), so that every group has about
the share that it has in a study. They are run in chunks (2): each once by this one process, cell after cell, and once
by the pool, as many processes as there are cores, longest cells first as in a study. Which goes first is drawn. The
pool starts anew for every chunk, and each of its processes loads late what a kind of cell needs, where this one has
loaded it once: the fewer cells in a chunk, the less efficient the pool looks.

Prints one JSON object, with --json a list of it. seconds: of the wall, by the one process ("bare") and by the pool, all
chunks together. efficiency: bare seconds over workers times the pool's, 1 where nothing is lost; of each chunk too.
processor_ratio: the bare process's seconds of processor time over those of all of the pool's processes, which tells
what the pool adds in work, and which other programs' load disturbs less. start_seconds: what the workers need until
each has run a first, small cell; a study pays it once, and it is no part of the pool's seconds. load_average: when the
program began; efficiency is the machine's only where it was about 0.
"""

import argparse
import json
import os
from collections.abc import Sequence

import torch
from pooled import Spent, one_by_one, pooled
from quick import Quick, quick

from seqbench.cell import Cell
from seqbench.costs import Costs
from seqbench.measure.environment import usable_cores
from seqbench.measure.seeds import stream

FIRST_STEPS = 2


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print a list")
    parser.add_argument("--cells", type=int, default=128)
    parser.add_argument("--chunks", type=int, default=2)
    parser.add_argument("--workers", type=int, default=usable_cores())
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    row = compared(quick("cpu"), cells=asked.cells, chunks=asked.chunks, workers=asked.workers)
    print(json.dumps([row], indent=1) if asked.json else json.dumps(row))


def compared(suite: Quick, *, cells: int, chunks: int, workers: int) -> dict[str, object]:
    """Return how the pool compares with one process on so many cells of the shared lane."""
    load = os.getloadavg()[0]
    shared = [entry.cell for entry in suite.planned if entry.cell.lane == "shared"]
    sample = [shared[number * len(shared) // cells] for number in range(cells)]
    first = suite.recall("lstm", steps=FIRST_STEPS)
    one_by_one([first], context=suite.context)  # as every worker does before its time is taken
    bare: list[Spent] = []
    pool: list[Spent] = []
    for number in range(chunks):
        chunk = longest_first(sample[number::chunks])
        turns = [
            lambda chunk=chunk: bare.append(one_by_one(chunk, context=suite.context)),
            lambda chunk=chunk: pool.append(pooled(chunk, arrival=first, workers=workers, context=suite.context)),
        ]
        for place in torch.randperm(2, generator=stream("matrix", number)).tolist():
            turns[place]()
    alone, together = (sum(spent.seconds for spent in each) for each in (bare, pool))
    work, work_of_pool = (sum(spent.processor for spent in each) for each in (bare, pool))
    by_chunk = [one.seconds / (workers * many.seconds) for one, many in zip(bare, pool, strict=True)]
    return {
        "name": "shared lane of quick",
        "cells": cells,
        "of": len(shared),
        "workers": workers,
        "cells_per_minute": {"bare": round(60 * cells / alone, 1), "pool": round(60 * cells / together, 1)},
        "efficiency": round(alone / (workers * together), 3),
        "efficiency_by_chunk": [round(each, 3) for each in by_chunk],
        "processor_ratio": round(work / work_of_pool, 3),
        "seconds": {"bare": round(alone, 2), "pool": round(together, 2)},
        "processor_seconds": {"bare": round(work, 2), "pool": round(work_of_pool, 2)},
        "start_seconds": round(max(spent.start for spent in pool), 2),
        "load_average": round(load, 2),
    }


def longest_first(cells: Sequence[Cell]) -> list[Cell]:
    """Return cells in the order in which a study without records runs them."""
    costs = Costs({})
    return sorted(cells, key=lambda cell: -costs.seconds(cell))


if __name__ == "__main__":
    main()
