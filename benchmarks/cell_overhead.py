"""What a cell costs besides training, and what the sweep of gradients at initialisation costs, through the real runner.

    OMP_NUM_THREADS=1 python benchmarks/cell_overhead.py [--seconds S] [--seeds N] [overhead] [sweep]

`overhead` runs cells of recall at the sizes of the quick suite with as many steps as take S seconds (30), and prints
one JSON object per model: seconds of the whole cell, in steps (forward, loss, backward, clipping, optimiser) and in
evaluations during training, and everything else: drawing batches, logging, setting up, and scoring the trained model
on fresh sequences with all that makes the record. The overhead is the share of everything else, told without scoring,
which is one more evaluation, and with it. Training is not ended when the task is solved.

`sweep` runs the 22 models of the table of slopes (T = 200, D = 32, in double precision) with N seeds each (8), and
prints the seconds of all of them and of each model. Importing is not part of either. All seconds are of processor time
of the one thread, which other processes disturb less than the wall's.
"""

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from quick import Quick, quick

from seqbench.cell import Cell
from seqbench.measure import runner, training
from seqbench.measure.prepare import Context
from seqbench.plan import Planned
from seqbench.record import Record

Spent = dict[str, float]

TRIAL_STEPS = 40
LEARNING = ("rnn", "lstm@forget_bias=1", "gru", "transformer")
SWEEP = (
    "rnn",
    "rnn@activation=relu",
    "rnn@activation=sigmoid",
    "rnn@init=orthogonal",
    "rnn@gain=1.5,init=gaussian",
    "rnn@gain=3,init=gaussian",
    "rnn@activation=relu,gain=2,init=gaussian",
    "rnn@activation=relu,init=identity",
    "lstm@forget_bias=0",
    "lstm@forget_bias=1",
    "lstm@forget_bias=3",
    "lstm@chrono=200",
    "gru",
    "gru@update_bias=2",
    "mingru@gate_bias=0",
    "mingru@gate_bias=-3",
    "lru",
    "transformer",
    "transformer@positions=learned",
    "transformer@positions=none",
    "linear_attention",
    "tcn",
)
SWEEP_WIDTH = 32
SWEEP_LAYERS = {"transformer": 2, "linear_attention": 2, "tcn": 6}


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", metavar="overhead|sweep", help="both by default")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--seeds", type=int, default=8)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    suite = quick("cpu", ends_early=False)
    if "overhead" in (asked.what or ["overhead"]):
        for model in LEARNING:
            print(json.dumps({"model": model} | overhead(model, suite, seconds=asked.seconds)), flush=True)
    if "sweep" in (asked.what or ["sweep"]):
        like = next(entry.cell for entry in suite.planned if entry.group == "slopes")
        print(json.dumps(sweep(like, suite.context, seeds=asked.seeds)), flush=True)


def overhead(model: str, suite: Quick, *, seconds: float) -> dict[str, object]:
    """Return where the time of a model's cell goes that takes about so many seconds."""
    short = suite.recall(model, steps=TRIAL_STEPS)
    measured(short, suite.context)  # the first cell of a process pays for what is loaded late
    trial = measured(short, suite.context)
    once = trial["set-up"] + trial["scoring"]
    steps = max(1, round(TRIAL_STEPS * (seconds - once) / (trial["cell"] - once)))
    spent = measured(suite.recall(model, steps=steps), suite.context)
    besides = spent["cell"] - spent["steps"] - spent["evaluations"]
    return {
        "steps": steps,
        "seconds": {name: round(value, 3) for name, value in spent.items()},
        "overhead": round((besides - spent["scoring"]) / spent["cell"], 4),
        "overhead_with_scoring": round(besides / spent["cell"], 4),
    }


def measured(cell: Cell, context: Context) -> dict[str, float]:
    """Return seconds of a cell by what it did: all, set-up, batches, steps, evaluations, logging, scoring."""
    with watched() as spent:
        timed(run, spent, "cell")(cell, context)
    logging = spent["train"] - spent["batches"] - spent["steps"] - spent["evaluations"]
    scoring = spent["cell"] - spent["train"] - spent["set-up"]
    named = ("cell", "steps", "evaluations", "batches", "set-up")
    return {name: spent[name] for name in named} | {"logging": logging, "scoring": scoring}


@contextmanager
def watched() -> Iterator[Spent]:
    """While active, note the seconds that set-up, training and its parts take."""
    spent: Spent = defaultdict(float)
    running: Any = runner
    prepare, train, step_of = running.prepare, training.train, training.step_of

    def watching(model: Any, batches: Any, config: Any, *, evaluate: Any, **rest: Any) -> training.History:
        looked = timed(evaluate, spent, "evaluations")
        return train(model, timed(batches, spent, "batches"), config, evaluate=looked, **rest)

    running.prepare = timed(prepare, spent, "set-up")
    training.train, training.step_of = timed(watching, spent, "train"), timed(step_of, spent, "steps")
    try:
        yield spent
    finally:
        running.prepare, training.train, training.step_of = prepare, train, step_of


def timed(call: Callable[..., Any], spent: Spent, name: str) -> Callable[..., Any]:
    """Return the call with its seconds added to what is noted under a name."""

    def calling(*given: Any, **named: Any) -> Any:
        begun = time.process_time()
        try:
            return call(*given, **named)
        finally:
            spent[name] += time.process_time() - begun

    return calling


def sweep(like: Cell, context: Context, *, seeds: int) -> dict[str, object]:
    """Return the processor seconds of the models of the table of slopes, together and each."""
    spent: Spent = defaultdict(float)
    for model in SWEEP:
        layers = SWEEP_LAYERS.get(model.partition("@")[0], 1)
        for seed in range(like.seed, like.seed + seeds):
            begun = time.process_time()
            run(like.model_copy(update={"model": model, "seed": seed, "width": SWEEP_WIDTH, "layers": layers}), context)
            spent[model] += time.process_time() - begun
    each = {model: round(value, 2) for model, value in spent.items()}
    return {"models": len(SWEEP), "seeds": seeds, "processor_seconds": round(sum(spent.values()), 2), "each": each}


def run(cell: Cell, context: Context) -> Record:
    """Return the cell's record, as an executor would."""
    record = runner.run_cell(Planned(cell, "0" * 64, "benchmark"), context=context)
    if record.error or not record.measurements:
        raise SystemExit(f"{cell}: {record.status}, {record.error}")
    return record


if __name__ == "__main__":
    main()
