"""How fast rnn, lstm and gru train in each implementation tier, beside the library's call, and how far results differ.

    OMP_NUM_THREADS=1 python benchmarks/recurrent_tiers.py [--rounds N] [--compile] [--size B,T,D ...] [MODEL ...]

A step is forward, backward, clipping and AdamW of one layer between an embedding and a head, on one thread. Tiers:

    fused, batched, eager   options of the package's models; fused is the library's call
    projected               eager, with what inputs drive taken for all steps outside the loop
    scripted                torch.jit.script of that loop (deprecated by torch, shown for comparison)
    compiled                torch.compile of that loop, which it unrolls: only with --compile, up to 100 steps
    scan                    torch.compile of the library's operator `scan` over the equations: only with --compile

Prints one JSON object per model, size and tier: milliseconds of processor time per step (median), the ratio to the
library's call (exp of the median paired ln ratio, with its distribution-free 95 % interval by order statistics), the
largest differences of logits (absolute) and gradients (relative to the largest entry of that parameter's) in single and
double precision, what is compiled in single alone, and the seconds that the first step took. In every round every tier
takes one step, in an order drawn anew.
"""

import argparse
import json
import warnings
from collections.abc import Callable
from functools import partial
from statistics import median
from time import process_time
from typing import Any, cast

import torch
from paired import interleaved, ratio
from torch import Tensor, nn

from seqbench.measure.generators.base import Batch
from seqbench.measure.models import create, spec_for
from seqbench.measure.models.base import Advance, State
from seqbench.measure.seeds import stream
from seqbench.measure.training import optimiser_of, scored_loss, step_of
from seqbench.variant import parse

KINDS = ("rnn", "lstm", "gru")
SIZES = ((32, 100, 32), (16, 256, 64), (1, 1024, 64), (64, 100, 64))
VOCAB = 8
WARM_UPS = 4
"""TorchScript optimises after having watched the first calls."""
COMPILED = ("compiled", "scan")
LONGEST_UNROLLED = 100
"""Compiling 100 steps of a GRU took three minutes; an unrolled loop's compile time grows with its steps."""

Stepped = tuple[State, Tensor]
AllSteps = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


def rnn_steps(x: Tensor, U: Tensor, W: Tensor, b: Tensor, b_too: Tensor) -> Tensor:
    """Return h_1 … h_T from zero: (B, T, I) -> (B, T, D)."""
    h = torch.zeros(x.size(0), W.size(1), dtype=x.dtype)
    states: list[Tensor] = []
    for u in nn.functional.linear(x.transpose(0, 1), U, b + b_too).unbind(0):
        h = torch.tanh(torch.addmm(u, h, W.t()))
        states.append(h)
    return torch.stack(states, 1)


def lstm_steps(x: Tensor, U: Tensor, W: Tensor, b: Tensor, b_too: Tensor) -> Tensor:
    """Return h_1 … h_T from zero: (B, T, I) -> (B, T, D)."""
    h = torch.zeros(x.size(0), W.size(1), dtype=x.dtype)
    c = h
    states: list[Tensor] = []
    for u in nn.functional.linear(x.transpose(0, 1), U, b + b_too).unbind(0):
        i, f, g, o = torch.addmm(u, h, W.t()).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        states.append(h)
    return torch.stack(states, 1)


def gru_steps(x: Tensor, U: Tensor, W: Tensor, b: Tensor, b_too: Tensor) -> Tensor:
    """Return h_1 … h_T from zero: (B, T, I) -> (B, T, D)."""
    D = W.size(1)
    h = torch.zeros(x.size(0), D, dtype=x.dtype)
    states: list[Tensor] = []
    for u in nn.functional.linear(x.transpose(0, 1), U, b).unbind(0):
        w = torch.addmm(b_too, h, W.t())
        r, z = torch.sigmoid(u[:, : 2 * D] + w[:, : 2 * D]).chunk(2, 1)
        n = torch.tanh(torch.addcmul(u[:, 2 * D :], r, w[:, 2 * D :]))
        h = torch.lerp(n, h, z)
        states.append(h)
    return torch.stack(states, 1)


STEPS: dict[str, AllSteps] = {"rnn": rnn_steps, "lstm": lstm_steps, "gru": gru_steps}


def main() -> None:
    """Time what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", metavar="MODEL", help="rnn, lstm or gru; all of them by default")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--size", action="append", type=lambda text: tuple(map(int, text.split(","))))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for kind in asked.kinds or KINDS:
        for size in asked.size or SIZES:
            for row in compared(kind, *size, rounds=asked.rounds, compiles=asked.compile):
                print(json.dumps({"model": kind, "size": size} | row), flush=True)


def compared(kind: str, B: int, T: int, D: int, *, rounds: int, compiles: bool) -> list[dict[str, object]]:
    """Return one row per tier, the library's call first."""
    tokens, targets = (torch.randint(VOCAB, (B, T), generator=stream("tiers", what)) for what in ("x", "y"))
    batch = Batch(inputs=tokens, targets=targets, scored=torch.ones(B, T, dtype=torch.bool))
    tiers, unavailable = models_of(kind, D, T, compiles=compiles)
    steps, first = {}, {}
    for tier, make in list(tiers.items()):
        model = make()
        steps[tier] = partial(step_of, model, batch, optimiser_of(model, learning_rate=1e-3), clip_norm=1.0)
        try:
            first[tier] = seconds(steps[tier])
        except Exception as error:  # a compiler may fail in ways of its own; the row says how
            unavailable[tier] = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200]}"
            del tiers[tier], steps[tier]
    times = interleaved(steps, rounds=rounds, warm_ups=WARM_UPS)
    rows: list[dict[str, object]] = []
    for tier, made in times.items():
        row: dict[str, object] = {"tier": tier, "ms": round(1000 * median(made), 2), "first_s": round(first[tier], 2)}
        precisions = {"single": torch.float32} | ({} if tier in COMPILED else {"double": torch.float64})
        off = {name: differences(tiers[tier], tiers["fused"], batch, kind) for name, kind in precisions.items()}
        rows.append(row | ratio(made, times["fused"]) | off)
    return rows + [{"tier": tier, "not available": why} for tier, why in unavailable.items()]


def models_of(
    kind: str, width: int, length: int, *, compiles: bool
) -> tuple[dict[str, Callable[[], nn.Module]], dict[str, str]]:
    """Return tier -> what makes the model, the same weights each, and tier -> why it is not to be had."""
    options = ("fused", "eager") if kind == "lstm" else ("fused", "batched", "eager")
    tiers: dict[str, Callable[[], nn.Module]] = {how: partial(built, kind, how, width) for how in options}
    unavailable: dict[str, str] = {}
    steps = STEPS[kind]
    tiers["projected"] = partial(changed, kind, width, over(steps))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        tiers["scripted"] = partial(changed, kind, width, over(torch.jit.script(steps)))
    if not compiles:
        return tiers, dict.fromkeys(COMPILED, "not asked for: --compile")
    torch._dynamo.reset()
    if length <= LONGEST_UNROLLED:
        tiers["compiled"] = partial(changed, kind, width, over(torch.compile(steps, fullgraph=True)))
    else:
        unavailable["compiled"] = f"an unrolled loop of {length} steps compiles for too long"
    tiers["scan"] = partial(changed, kind, width, over(torch.compile(partial(by_scan, kind=kind), fullgraph=True)))
    return tiers, unavailable


def built(kind: str, implementation: str, width: int) -> nn.Module:
    """Return a model of the package over 8 tokens."""
    variant = parse(f"{kind}@implementation={implementation}")
    return create(variant, spec_for(variant, vocab=VOCAB, outputs=VOCAB, width=width, layers=1), seed=0)


def changed(kind: str, width: int, advance: Advance) -> nn.Module:
    """Return the same model with its cells run in another way."""
    model: Any = built(kind, "fused", width)
    model.mixer.advance = advance
    return cast("nn.Module", model)


def over(steps: AllSteps) -> Advance:
    """Return how cells of one layer are run by a function of all their steps, which starts at zero."""

    def advance(cells: nn.RNNBase, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        return steps(inputs, *cells.all_weights[0]), state  # nothing reads on: the state after is not made

    return advance


def by_scan(x: Tensor, U: Tensor, W: Tensor, b: Tensor, b_too: Tensor, *, kind: str) -> Tensor:
    """Return h_1 … h_T from zero by the library's operator over one step: (B, T, I) -> (B, T, D)."""
    from torch._higher_order_ops.scan import scan  # noqa: PLC0415 - a prototype, which torch does not export

    def step(state: State, now: Tensor) -> Stepped:  # the compiler cannot evaluate tuple[…]
        if kind == "rnn":
            after: State = (torch.tanh(now + state[0] @ W.t()),)
        elif kind == "lstm":
            i, f, g, o = (now + state[0] @ W.t()).chunk(4, 1)
            c = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
            after = (torch.sigmoid(o) * torch.tanh(c), c)
        else:
            r_u, z_u, n_u = now.chunk(3, 1)
            r_w, z_w, n_w = (b_too + state[0] @ W.t()).chunk(3, 1)
            n = torch.tanh(n_u + torch.sigmoid(r_u + r_w) * n_w)
            z = torch.sigmoid(z_u + z_w)
            after = ((1 - z) * n + z * state[0],)
        return tuple(part * 1.0 for part in after), after[0].clone()  # the operator refuses what shares memory

    driven = nn.functional.linear(x.transpose(0, 1), U, b if kind == "gru" else b + b_too).contiguous()
    start = 0 * driven[0, :, : W.shape[1]]  # of what has a gradient, as the operator asks of its state
    before = (start, start.clone()) if kind == "lstm" else (start,)
    _, states = scan(step, before, driven, dim=0)
    every: Tensor = states
    return every.transpose(0, 1)


def differences(
    make: Callable[[], nn.Module], reference: Callable[[], nn.Module], batch: Batch, precision: torch.dtype
) -> dict[str, str]:
    """Return the largest differences of logits and gradients of two models in a precision."""
    (logits, mine), (expected, others) = (results(made().to(precision), batch) for made in (make, reference))
    off = [float((one - other).abs().max() / other.abs().max()) for one, other in zip(mine, others, strict=True)]
    return {"logits": f"{float((logits - expected).abs().max()):.1e}", "gradients": f"{max(off):.1e}"}


def results(model: nn.Module, batch: Batch) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return logits and the gradient of every parameter."""
    logits, _ = model(batch.inputs)
    return logits.detach(), torch.autograd.grad(scored_loss(logits, batch), list(model.parameters()))


def seconds(call: Callable[[], object]) -> float:
    """Return how long a call keeps this process's one thread busy: other processes disturb that less than wall time."""
    begun = process_time()
    call()
    return process_time() - begun


if __name__ == "__main__":
    main()
