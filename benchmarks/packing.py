"""How many cells of one kind a card finishes per second when several processes share it.

    OMP_NUM_THREADS=1 python benchmarks/packing.py [--json] [--device cpu|cuda] [--processes N ...] [--each N]
        [--steps N] [MODEL ...]

Replicas are one cell of recall at the size of the quick suite (B = 32, T = 100, D = 32) with other seeds, trained for
so many steps (300) whether solved or not, and scored: lstm and transformer by default. They run through the pool
executor that studies use, N processes at a time, EACH (2) replicas per process; time is taken from when every process
has run a first short cell, so that starting and loading is not part of it. N is 1, 2, 4, … 32 on a GPU, and up to the
number of cores on a CPU, unless it is given; it begins with 1 either way, since ratios are to that.

Prints one JSON object per model and N, with --json a list of them: replicas_per_second by the wall, its ratio to what
one process does, seconds, and start_seconds until all processes were up. Where a process fails, as for lack of memory,
error says how, and there is no number.
"""

import argparse
import json
from collections.abc import Iterator, Sequence

import torch
from pooled import CellFailedError, pooled
from quick import RECALL, Quick, quick

from seqbench.measure.environment import usable_cores

MODELS = ("lstm", "transformer")
MOST_PER_CARD = 32
FIRST_STEPS = 2


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"of {', '.join(RECALL)}; {', '.join(MODELS)}")
    parser.add_argument("--json", action="store_true", help="print one list in place of lines")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--processes", type=int, nargs="+", help="at a time")
    parser.add_argument("--each", type=int, default=2, help="replicas per process")
    parser.add_argument("--steps", type=int, default=300)
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    suite = quick(asked.device, ends_early=False)
    counts = asked.processes or doubled(MOST_PER_CARD if asked.device == "cuda" else usable_cores())
    rows = []
    for model in asked.models or MODELS:
        for row in packed(model, suite, counts=sorted({1, *counts}), each=asked.each, steps=asked.steps):
            rows.append(row)
            if not asked.json:
                print(json.dumps(row), flush=True)
    if asked.json:
        print(json.dumps(rows, indent=1))


def packed(model: str, suite: Quick, *, counts: Sequence[int], each: int, steps: int) -> Iterator[dict[str, object]]:
    """Yield what so many processes at a time do, the first count being 1."""
    alone = None
    for processes in counts:
        row: dict[str, object] = {"model": model, "device": suite.context.device, "processes": processes}
        replica, first = suite.recall(model, steps=steps), suite.recall(model, steps=FIRST_STEPS)
        seeds = range(replica.seed, replica.seed + processes * each)
        replicas = [replica.model_copy(update={"seed": seed}) for seed in seeds]
        try:
            spent = pooled(replicas, arrival=first, workers=processes, context=suite.context)
        except CellFailedError as failed:
            yield row | {"error": str(failed)}
            continue
        rate = len(replicas) / spent.seconds
        alone = alone or rate
        yield row | {
            "replicas": len(replicas),
            "replicas_per_second": round(rate, 4),
            "ratio": round(rate / alone, 3),
            "seconds": round(spent.seconds, 2),
            "start_seconds": round(spent.start, 2),
        }


def doubled(most: int) -> list[int]:
    """Return 1, 2, 4, … up to `most`, and `most` itself."""
    return sorted({most, *(2**power for power in range(most.bit_length()))})


if __name__ == "__main__":
    main()
