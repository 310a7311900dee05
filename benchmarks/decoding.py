"""Speed of writing text character by character at batch 1, on a CPU.

    OMP_NUM_THREADS=1 python benchmarks/decoding.py [--json] [--rounds N] [--tokens N] [--model M,D ...]

`loop` compares the sampling loop behind `seqbench generate` (temperature 0.8, from all characters) with the bare loop
of torch's cell, which looks a character up, takes one step, makes logits and goes on from the most likely: the least
that a text can cost. Beside it stands the `generate()` of transformers, sampling from the same weights through
`seqbench.hub`, and what it adds per character. Rounds are interleaved: each runs all three in a random order, the ratio
is taken within a round, and its interval is by order statistics (at least 95 %).

`context` gives milliseconds per character behind contexts of several lengths: of a recurrent network, whose state has
one size, and of attention, whose keys and values do not.

One JSON object per line; with --json a list of them.
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import torch
from paired import interleaved, ratio
from torch import Tensor, nn

from seqbench import hub
from seqbench.measure.models import create, spec_for
from seqbench.measure.models.base import ModelSpec
from seqbench.measure.probes import samples
from seqbench.measure.seeds import stream
from seqbench.variant import parse

MODELS = (("lstm", 64), ("lstm", 384), ("gru", 64), ("gru", 256), ("rnn", 64), ("rnn", 256))
CHARACTERS = "".join(map(chr, range(33, 33 + 91))) + "\N{REPLACEMENT CHARACTER}"
HOW = samples.Drawing(temperature=0.8)
CONTEXTS = (64, 1024, 4096, 16384)
BEHIND = ("lstm", "transformer@room=256")
CELLS = {"lstm": nn.LSTMCell, "gru": nn.GRUCell, "rnn": nn.RNNCell}
LEAST_SHARE = 0.60
"""What the sampling loop is held to, of the bare loop's characters per second."""


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", metavar="loop|context", help="both by default")
    parser.add_argument("--json", action="store_true", help="print one list in place of lines")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--model", action="append", type=lambda text: (text.split(",")[0], int(text.split(",")[1])))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[dict[str, object]] = []
    for what in asked.what or ("loop", "context"):
        jobs = asked.model or MODELS if what == "loop" else BEHIND
        for job in jobs:
            row = (
                compared(*job, rounds=asked.rounds, tokens=asked.tokens)
                if what == "loop"
                else behind(job, rounds=asked.rounds)
            )
            rows.append(row)
            if not asked.json:
                print(json.dumps(row), flush=True)
    if asked.json:
        print(json.dumps(rows, indent=1))


def compared(kind: str, width: int, *, rounds: int, tokens: int) -> dict[str, object]:
    """Return characters per second of the three loops, and the ratio of the sampling loop to the bare one."""
    model, spec = built(kind, width)
    wrapped, _ = hub.wrap(model, spec, model_name=kind, vocabulary=CHARACTERS)
    prompt = torch.zeros(1, 1, dtype=torch.int64)
    calls: dict[str, Callable[[], object]] = {
        "bare": partial(bare, model, CELLS[kind], tokens=tokens),
        "sampling": lambda: list(samples.characters(model, [0], count=tokens, how=HOW, rng=stream("decoding"))),
        "transformers": lambda: wrapped.generate(
            prompt, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=True, temperature=0.8, top_k=0
        ),
    }
    likely = samples.characters(model, [0], count=tokens, how=samples.Drawing(temperature=0), rng=stream("decoding"))
    if bare(model, CELLS[kind], tokens=tokens).tolist() != list(likely):
        raise SystemExit(f"{kind} of width {width}: the loops differ in what is most likely, so nothing is compared")
    seconds = interleaved(calls, rounds=rounds, clock=time.perf_counter)
    added = [one - other for one, other in zip(seconds["transformers"], seconds["sampling"], strict=True)]
    return {
        "name": f"{kind} of width {width}",
        "characters_per_second": {name: round(tokens / median(each)) for name, each in seconds.items()},
        **ratio(seconds["bare"], seconds["sampling"]),
        "least": LEAST_SHARE,
        "transformers_adds_ms_per_character": round(1000 * median(added) / tokens, 3),
        "rounds": rounds,
    }


@torch.no_grad()
def bare(model: Any, kind: Any, *, tokens: int) -> Tensor:
    """Return the characters of the loop over torch's cell with the model's weights."""
    cell = kind(model.front.embedding_dim, model.mixer.cells.hidden_size)
    for own, given in zip(cell.parameters(), model.mixer.cells.all_weights[0], strict=True):
        own.data = given.data
    token, state, written = torch.zeros(1, dtype=torch.int64), None, []
    for _ in range(tokens):
        state = cell(model.front(token), state)
        token = model.head(state[0] if isinstance(state, tuple) else state).argmax(dim=-1)
        written.append(token)
    return torch.cat(written)


def behind(name: str, *, rounds: int, tokens: int = 64) -> dict[str, object]:
    """Return milliseconds per character behind every context, median of interleaved rounds."""
    model, _ = built(name, 64, layers=2)
    step = samples.stepper(model)
    states = {length: samples.reader(model)(context(length)) for length in CONTEXTS}

    def write(length: int) -> None:
        logits, state = states[length]
        for _ in range(tokens):
            logits, state = step(int(logits.argmax()), state)

    calls = {str(length): partial(write, length) for length in CONTEXTS}
    seconds = interleaved(calls, rounds=rounds, clock=time.perf_counter)
    ms = {length: 1000 * median(each) / tokens for length, each in seconds.items()}
    first, last = (str(length) for length in (CONTEXTS[0], CONTEXTS[-1]))
    return {
        "name": f"{name} of width 64 with 2 layers",
        "ms_per_character_by_context": {length: round(each, 4) for length, each in ms.items()},
        "longest over shortest": ratio(seconds[last], seconds[first]),
        "rounds": rounds,
    }


def context(length: int) -> list[int]:
    """Return so many random characters."""
    return torch.randint(len(CHARACTERS), (length,), generator=stream("context", length)).tolist()


def built(name: str, width: int, *, layers: int = 1) -> tuple[nn.Module, ModelSpec]:
    """Return a model of the suite over 92 characters, as many as the largest known text has, and its spec."""
    variant, vocab = parse(name), len(CHARACTERS)
    spec = spec_for(variant, vocab=vocab, outputs=vocab, width=width, layers=layers)
    return create(variant, spec, seed=0).eval(), spec


if __name__ == "__main__":
    main()
