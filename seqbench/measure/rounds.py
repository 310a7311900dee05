"""Paired timing: every model once per round, in random order, with a fixed canary before each.

The rules are fixed before the data: a round in which any canary ran more than 10 % over the median of its process is
discarded for all models; a panel that loses more than 30 % of its rounds, or during which other processes used more
than a quarter of a core or computed on its GPU, is contended: it has no number.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import median

import torch

from seqbench.measure.probes.clock import Load, Ports
from seqbench.measure.seeds import stream

CANARY_TOLERANCE = 1.10
MOST_DISCARDED = 0.30
MOST_FOREIGN_CORES = 0.25
CANARY_SIZES = {"cpu": 512, "cuda": 4096}
"""Rows and columns of the canary's matrices: a GPU does the smaller product in less time than its launch takes."""
CANARY_REPEATS = 5
"""The canary's time is the least of so many: what it costs when nothing comes between."""
LEAST_WARM_UPS = 3
LEAST_WARM_UPS_OF_A_DEVICE = 10
LEAST_BLOCK_SECONDS = 0.05
STEADY = 1.03
"""A device is warm once the slowest of three timings in a row took at most so many times the fastest's time."""
MOST_LOOKS = 20
"""So many timings a device gets to become so; the rounds tell how far it was."""
CLOCKS_AGREE = 0.05
"""Where the device's own clock and the wall's differ by more, something happens beside what is timed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One model's turn in a round: a call that is timed, and how many tokens it processes.

    passes: what each of those tokens costs, in one token's forward operations.
    """

    call: Callable[[], object]
    tokens: int
    passes: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """What one process measured: seconds per token by model and round, the canary before each, and foreign load.

    seconds, canaries: model -> one value per round. device_seconds: per token by the device's own clock, where it has
    one. foreign_cores: cores that other processes kept busy meanwhile. foreign_processes: others on the GPU, the more
    of before and after; None where that cannot be told.
    """

    seconds: Mapping[str, tuple[float, ...]]
    canaries: Mapping[str, tuple[float, ...]]
    foreign_cores: float
    device_seconds: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    foreign_processes: int | None = None


def time_rounds(
    blocks: Mapping[str, Block],
    *,
    rounds: int,
    warmup_seconds: float,
    rng: torch.Generator,
    ports: Ports,
    canary: Callable[[], object],
) -> Rounds:
    """Return the paired timings of these blocks in this process; `rng` draws the order within each round."""
    names = sorted(blocks)
    repeats = {name: warm_up(blocks[name], seconds=warmup_seconds, ports=ports) for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    canaries: dict[str, list[float]] = {name: [] for name in names}
    device: dict[str, list[float]] = {name: [] for name in names}
    strangers = [ports.foreign_processes()]
    begun, load = ports.now(), ports.load()
    for _ in range(rounds):
        for index in torch.randperm(len(names), generator=rng).tolist():
            name = names[index]
            canaries[name].append(min(_own_seconds(canary, ports) for _ in range(CANARY_REPEATS)))
            wall, own = _timed(partial(_repeat, blocks[name].call, repeats[name]), ports)
            tokens = repeats[name] * blocks[name].tokens
            seconds[name].append(wall / tokens)
            if own is not None:
                device[name].append(own / tokens)
    foreign = foreign_cores(load, ports.load(), seconds=ports.now() - begun)
    strangers.append(ports.foreign_processes())
    return Rounds(
        seconds={name: tuple(values) for name, values in seconds.items()},
        canaries={name: tuple(values) for name, values in canaries.items()},
        foreign_cores=foreign,
        device_seconds={name: tuple(values) for name, values in device.items() if values},
        foreign_processes=max((count for count in strangers if count is not None), default=None),
    )


def warm_up(block: Block, *, seconds: float, ports: Ports) -> int:
    """Call a block at least three times and this long; return how many calls make one timing of 50 ms or more.

    On a device with a clock of its own it is called ten times, and then timed until three timings in a row agree, at
    most `MOST_LOOKS` times.
    """
    has_clock = ports.run(lambda: None) is not None
    least = LEAST_WARM_UPS_OF_A_DEVICE if has_clock else LEAST_WARM_UPS
    begun, calls = ports.now(), 0
    while calls < least or ports.now() - begun < seconds:
        block.call()
        calls += 1
    ports.wait()
    each = (ports.now() - begun) / calls
    repeats = max(1, round(LEAST_BLOCK_SECONDS / each)) if each > 0 else 1
    looks: list[float] = []
    while has_clock and len(looks) < MOST_LOOKS and not _steady(looks[-3:]):
        looks.append(_own_seconds(partial(_repeat, block.call, repeats), ports))
    return repeats


def _steady(looks: Sequence[float]) -> bool:
    return len(looks) == 3 and max(looks) <= STEADY * min(looks)


def foreign_cores(before: Load, after: Load, *, seconds: float) -> float:
    """Return how many cores processes other than our own kept busy between two looks, on average."""
    busy = (after.everybody - before.everybody) - (after.own - before.own)
    return max(0.0, busy) / seconds if seconds > 0 else 0.0


def kept(canaries: Mapping[str, Sequence[float]]) -> tuple[bool, ...]:
    """Return which rounds of one process count: those in which no canary ran over 110 % of the process's median."""
    limit = CANARY_TOLERANCE * median(value for values in canaries.values() for value in values)
    return tuple(max(turn) <= limit for turn in zip(*canaries.values(), strict=True))


def why_contended(processes: Sequence[Rounds]) -> str:
    """Return why a panel has no number, or nothing when it has one."""
    counted = [keep for process in processes for keep in kept(process.canaries)]
    discarded = counted.count(False) / len(counted)
    foreign = max(process.foreign_cores for process in processes)
    if foreign > MOST_FOREIGN_CORES:
        return (
            f"other processes kept {foreign:.2f} cores busy (more than {MOST_FOREIGN_CORES:g}); run on a quiet machine"
        )
    if strangers := max(process.foreign_processes or 0 for process in processes):
        return f"processes of other programs computed on the GPU ({strangers}); run on a quiet machine"
    if (apart := max(map(_clocks_apart, processes))) > CLOCKS_AGREE:
        return f"the device's clock and the wall's differ by {apart:.0%} (more than {CLOCKS_AGREE:.0%})"
    if discarded > MOST_DISCARDED:
        return f"{discarded:.0%} of the rounds were disturbed (more than {MOST_DISCARDED:.0%}); run on a quiet machine"
    return ""


def _clocks_apart(process: Rounds) -> float:
    """Return by which share of the wall's time the device's own differs from it at most, of any model's median."""
    return max(
        (
            abs(1 - median(own / wall for own, wall in zip(device, process.seconds[name], strict=True)))
            for name, device in process.device_seconds.items()
        ),
        default=0.0,
    )


def matmul_canary(device: torch.device) -> Callable[[], object]:
    """Return the fixed work that tells whether the machine is as fast as it was: a product of two square matrices."""
    size = CANARY_SIZES[device.type]
    matrix = torch.rand(size, size, generator=stream("canary")).to(device)
    return lambda: matrix @ matrix


def _own_seconds(call: Callable[[], object], ports: Ports) -> float:
    """Return the seconds of a call by the device's own clock where it has one, else by the wall's."""
    wall, own = _timed(call, ports)
    return wall if own is None else own


def _timed(call: Callable[[], object], ports: Ports) -> tuple[float, float | None]:
    """Return the seconds of a call by the wall, device done before and after, and by the device's own clock."""
    ports.wait()
    begun = ports.now()
    device = ports.run(call)
    ports.wait()
    return ports.now() - begun, device


def _repeat(call: Callable[[], object], times: int) -> None:
    for _ in range(times):
        call()
