"""What the suite's training costs beside a bare loop by hand: the ratio of their seconds per step.

    OMP_NUM_THREADS=1 python benchmarks/overhead.py [--json] [--device cpu|cuda] [--rounds N] [--steps N]
        [--timed LENGTH] [MODEL ...]

Both train the same network on the same batches at the sizes of the quick suite's recall (B = 32, T = 100, D = 32). The
suite's side is `training.train` as a cell calls it: losses and norms noted, learning rate by schedule, history made,
divergence looked for; all but the evaluations, which are no steps. The bare side is what one would write for this one
job: torch's own layers, fused AdamW, clipping, nothing noted. Batches are drawn beforehand and lie on the device: fresh
data cost the same whoever asks for them. Both networks start from the same weights, and a difference between their
logits ends the program.

The two take turns: so many steps of one (8), then of the other. A round is one turn of each, the first rounds (4) do
not count, and the ratio is taken within a round; its interval is by order statistics (at least 95 %, and open, which is
null, in 5 rounds or fewer). After every turn the suite's side reads its losses, which a cell does after 25 steps. On a
CPU seconds are of processor time of the one thread; on a GPU they are the wall's, after all work is done.

With --timed the suite's side is instead the call that a timed cell makes: the training step on uniform tokens of this
length, B = 32, at the sizes of the full suite (as many parameters as an LSTM of width 256). On a GPU a cell that trains
replays its steps, a timed cell launches kernel by kernel, as the bare loop does.

Prints one JSON object per model, with --json a list of them: model, device, ratio (suite over bare), interval, rounds.
Models are those of the suite, or any variant of them: rnn and gru run by default in an implementation of the suite's
own that a CPU runs faster than torch's, so that their ratio is below 1; `rnn@implementation=fused` is torch's.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from functools import partial

import torch
from paired import Clock, interleaved, ratio
from quick import RECALL, quick
from torch import Tensor, nn
from torch.nn import functional

from seqbench import variant
from seqbench.cell import TrainConfig
from seqbench.measure import precision, training
from seqbench.measure.generators.base import Batch
from seqbench.measure.models.base import ModelSpec
from seqbench.measure.prepare import prepare
from seqbench.measure.probes import training_time
from seqbench.measure.seeds import stream

WARM_UPS = 4
LARGEST_DIFFERENCE = 1e-4
"""Between the logits of equal networks in single precision, whose kernels may differ."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"{', '.join(RECALL)} by default")
    parser.add_argument("--json", action="store_true", help="print one list in place of lines")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=101)
    parser.add_argument("--steps", type=int, default=8, help="of one turn")
    parser.add_argument("--timed", type=int, metavar="LENGTH", help="compare the call of a timed cell")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    precision.set_single()
    compare = partial(compared, device=asked.device, rounds=asked.rounds, steps=asked.steps)
    if asked.timed:
        compare = partial(timed, length=asked.timed, device=asked.device, rounds=asked.rounds, steps=asked.steps)
    rows = []
    for model in asked.models or RECALL:
        rows.append(compare(model))
        if not asked.json:
            print(json.dumps(rows[-1]), flush=True)
    if asked.json:
        print(json.dumps(rows, indent=1))


def compared(model: str, *, device: str, rounds: int, steps: int) -> dict[str, object]:
    """Return the ratio of a model's seconds per step, in the suite over by hand."""
    suite = quick(device)
    cell = suite.recall(model, steps=(WARM_UPS + rounds) * steps)
    prepared = prepare(cell, suite.context)
    subject = prepared.subject
    config = cell.training.model_copy(update={"evaluate_every": steps})
    batches = [subject.sample(stream("overhead", number), config.batch, subject.length) for number in range(steps)]
    own = BARE[variant.parse(model).name](prepared.spec).to(subject.device)
    take_weights(own, subject.model, batches[0])
    loop = bare(own, batches, loss_at_the_end, rate=config.rate, clip_norm=config.clip_norm)
    mine, others = turns(subject.model, loop, batches, config, clock=CLOCKS[device])
    found = ratio(mine[WARM_UPS:], others[WARM_UPS:])
    return {"model": model, "device": device, **found, "rounds": rounds}


def timed(model: str, *, length: int, device: str, rounds: int, steps: int) -> dict[str, object]:
    """Return the ratio of a timed cell's seconds per call over those of a step by hand on the same batch."""
    suite = quick(device)
    cell = suite.training_time(model, length=length)
    prepared = prepare(cell, suite.context)
    subject = prepared.subject
    batch = subject.sample(stream("overhead"), cell.batch, length)
    own = BARE[variant.parse(model).name](prepared.spec)
    if isinstance(own, Transformer):
        own = Transformer(prepared.spec, length=length, heads=1)
    own = own.to(subject.device)
    take_weights(own, subject.model, batch)
    call = training_time.block(subject, cell.timing).call
    loop = bare(own, [batch] * steps, loss_everywhere, rate=training_time.LEARNING_RATE, clip_norm=1.0)

    def calls() -> None:
        for _ in range(steps):
            result = call()
        result[0].item()

    spent = interleaved({"suite": calls, "bare": loop}, rounds=rounds, clock=CLOCKS[device], warm_ups=WARM_UPS)
    return {"model": model, "device": device, **ratio(spent["suite"], spent["bare"]), "rounds": rounds}


def turns(
    model: nn.Module, loop: Callable[[], object], batches: list[Batch], config: TrainConfig, *, clock: Clock
) -> tuple[list[float], list[float]]:
    """Return the seconds of every turn of training, and of the loop by hand, whose turns come between.

    Training goes on from turn to turn: what it does once per cell is not part of a step.
    """
    mine: list[float] = []
    others: list[float] = []
    begun = 0.0

    def other_turn(_progress: training.Progress) -> bool:
        nonlocal begun
        now = clock()
        mine.append(now - begun)
        loop()
        begun = clock()
        others.append(begun - now)
        return True

    begun = clock()
    training.train(model, lambda step: batches[step % len(batches)], config, follow=other_turn)
    return mine, others


def loss_at_the_end(logits: Tensor, batch: Batch) -> Tensor:
    """Return the loss of what recall asks for."""
    return functional.cross_entropy(logits[:, -1], batch.targets[:, -1])


def loss_everywhere(logits: Tensor, batch: Batch) -> Tensor:
    """Return the loss where every position is asked for."""
    return functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten())


def bare(
    model: nn.Module, batches: list[Batch], loss_of: Callable[[Tensor, Batch], Tensor], *, rate: float, clip_norm: float
) -> Callable[[], float]:
    """Return a turn of the loop by hand: one step per batch; it returns the last loss."""
    weights = list(model.parameters())
    optimiser = torch.optim.AdamW(weights, lr=rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True)
    model.train()

    def turn() -> float:
        for batch in batches:
            optimiser.zero_grad()
            logits = model(batch.inputs)  # (B, T, V)
            loss = loss_of(logits, batch)
            loss.backward()
            nn.utils.clip_grad_norm_(weights, clip_norm)
            optimiser.step()
        return loss.item()

    return turn


@torch.no_grad()
def take_weights(own: nn.Module, given: nn.Module, batch: Batch) -> None:
    """Give a network by hand the weights of the suite's, and end the program where the two then differ in logits."""
    for mine, weights in zip(own.parameters(), given.parameters(), strict=True):
        mine.copy_(weights)
    off = float((own(batch.inputs) - given(batch.inputs)[0]).abs().max())
    if off > LARGEST_DIFFERENCE:
        raise SystemExit(f"the two networks differ by {off:.1e} in their logits, so nothing is compared")


class Recurrent(nn.Module):
    """Embedding, torch's recurrence, linear head: (B, T) -> (B, T, V)."""

    def __init__(self, kind: type[nn.RNNBase], spec: ModelSpec) -> None:
        super().__init__()
        self.embedding = nn.Embedding(spec.vocab, spec.width)
        self.cells = kind(spec.width, spec.width, batch_first=True)
        self.head = nn.Linear(spec.width, spec.outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits."""
        hidden, _ = self.cells(self.embedding(tokens))
        return self.head(hidden)


class Transformer(nn.Module):
    """Embedding, pre-norm blocks with rotary positions of one length, norm, linear head: (B, T) -> (B, T, V)."""

    def __init__(self, spec: ModelSpec, *, length: int = 100, heads: int = 2) -> None:
        super().__init__()
        self.embedding = nn.Embedding(spec.vocab, spec.width)
        self.blocks = nn.ModuleList(Block(spec.width, heads, spec.mlp) for _ in range(spec.layers))
        self.norm = nn.LayerNorm(spec.width)
        self.head = nn.Linear(spec.width, spec.outputs)
        rates = 10_000 ** -torch.arange(0, 1, 2 * heads / spec.width)
        turns = torch.outer(torch.arange(length), rates)  # (T, D / heads / 2)
        self.register_buffer("cosine", turns.cos())
        self.register_buffer("sine", turns.sin())

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits."""
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, self.cosine, self.sine)
        return self.head(self.norm(x))


class Block(nn.Module):
    """Attention and an MLP, each behind a norm and beside a residual: (B, T, D) -> (B, T, D)."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.project = nn.Linear(width, width, bias=False)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """Return the block's output; cosine and sine turn (T, D / heads / 2) pairs."""
        B, T, D = x.shape
        parts = self.qkv(self.norm_attention(x)).view(B, T, 3, self.heads, D // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)  # 3 × (B, heads, T, D / heads)
        mixed = functional.scaled_dot_product_attention(
            rotated(q, cosine, sine), rotated(k, cosine, sine), v, is_causal=True
        )
        x = x + self.project(mixed.transpose(1, 2).reshape(B, T, D))
        return x + self.mlp(self.norm_mlp(x))


def rotated(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Return x with its halves turned against each other: (B, heads, T, D / heads)."""
    left, right = x.chunk(2, dim=-1)
    return torch.cat((left * cosine - right * sine, right * cosine + left * sine), dim=-1)


BARE: dict[str, Callable[[ModelSpec], nn.Module]] = {
    "rnn": partial(Recurrent, nn.RNN),
    "lstm": partial(Recurrent, nn.LSTM),
    "gru": partial(Recurrent, nn.GRU),
    "transformer": Transformer,
}


def when_done() -> float:
    """Return the wall's seconds, once the GPU has done what it was given."""
    torch.cuda.synchronize()
    return time.perf_counter()


CLOCKS: dict[str, Clock] = {"cpu": time.process_time, "cuda": when_done}


if __name__ == "__main__":
    main()
