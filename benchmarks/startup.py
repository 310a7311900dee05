"""How long everything takes to start: importing, the commands that only tell, and a worker until its first cell.

    python benchmarks/startup.py [--json] [--rounds N]

Seconds are of processor time, user and system, of the process that is started, which other programs' load disturbs
less than the wall's. Every round (7) starts each once, in an order drawn anew; one more comes first and does not count,
so that the files are in memory. The ratio of each to a Python that does nothing is taken within a round, its interval
is by order statistics (at least 95 %, and open, which is null, in 5 rounds or fewer). A worker ends by itself once its
first cell has arrived with all that it imports, torch above all; "import torch" stands beside it.

Prints one JSON object per start, with --json a list of them: name, processor_seconds (median), ratio, interval, rounds.
"""

# ruff: noqa: PLC0415 - a worker that is spawned imports this file too, and its start would count what stands on top

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median

NOTHING = "python"
PROGRAMS = {
    NOTHING: ("-c", "pass"),
    "import seqbench": ("-c", "import seqbench"),
    "seqbench --help": ("-m", "seqbench", "--help"),
    "seqbench list models": ("-m", "seqbench", "list", "models"),
    "seqbench plan --suite quick": ("-m", "seqbench", "plan", "--suite", "quick"),
    "import torch": ("-c", "import torch"),
}
WORKER = "a worker until its first cell"
TIMEOUT_S = 600.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the command line asks for."""
    from paired import interleaved, ratio

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one list in place of lines")
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args(arguments)
    calls: dict[str, Callable[[], object]] = {name: partial(started, words) for name, words in PROGRAMS.items()}
    calls[WORKER] = worker_started
    seconds = interleaved(calls, rounds=asked.rounds, clock=processor_seconds, warm_ups=1)
    rows = [
        {"name": name, "processor_seconds": round(median(each), 3)}
        | ratio(each, seconds[NOTHING])
        | {"rounds": asked.rounds}
        for name, each in seconds.items()
    ]
    print(json.dumps(rows, indent=1) if asked.json else "\n".join(map(json.dumps, rows)))


def started(words: Sequence[str]) -> None:
    """Run Python with these words to its end."""
    subprocess.run([sys.executable, *words], check=True, capture_output=True)  # noqa: S603 - fixed words


def worker_started() -> None:
    """Start a worker, let the function that runs cells arrive there, and let it leave."""
    from seqbench.measure import runner
    from seqbench.measure.workers import fresh_workers

    with fresh_workers(1, threads=1) as (worker,):
        worker.call(partial(callable, runner.run_cell), timeout_seconds=TIMEOUT_S)


def processor_seconds() -> float:
    """Return the processor time of all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
