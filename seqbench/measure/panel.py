"""A panel: models timed together, alone on the machine, in several fresh processes; one record per model.

The processes are started once and serve every panel in turn, one at a time, while the others sleep: rounds of one
process share its memory layout and its thread placement, rounds of different processes do not.
"""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import median

import torch

from seqbench.cell import TimingConfig
from seqbench.errors import ContractError
from seqbench.measure import precision, roofline, rounds, tiers
from seqbench.measure.prepare import Context, prepare
from seqbench.measure.probes.clock import Peak, this_machine
from seqbench.measure.roofline import Roofline
from seqbench.measure.rounds import Rounds
from seqbench.measure.seeds import stream
from seqbench.measure.workers import Lost, fresh_workers
from seqbench.plan import Planned
from seqbench.record import Environment, Measurement, ModelFacts, Series, Status

Panel = tuple[Planned, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one process brought, by fingerprint: rounds, the models built, the peak of device memory if there is one.

    structural: why a model could not be timed at all; it has no rounds. operations: of a timed token, where they can
    be told. compile_seconds: of the first call, where the timing asks for a compiled model. roofline: what the machine
    did at best in this process.
    """

    rounds: Rounds
    facts: dict[str, ModelFacts]
    peak_bytes: dict[str, Peak]
    structural: dict[str, str] = field(default_factory=dict)
    operations: dict[str, float] = field(default_factory=dict)
    compile_seconds: dict[str, float] = field(default_factory=dict)
    roofline: Roofline | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a panel says about one of its cells. environment: where it was timed; None: where the study was begun."""

    planned: Planned
    panel: str
    status: Status
    measurements: tuple[Measurement, ...] = ()
    model: ModelFacts | None = None
    error: str | None = None
    seconds: float = 0.0
    environment: Environment | None = None


def measure(panel: Panel, process: int, *, context: Context) -> Part:
    """Return the rounds of one process: called in a fresh one, with the threads that the panel asks for."""
    timing = timing_of(panel)
    torch.set_num_threads(timing.threads)
    device = torch.device(context.device)
    ports = this_machine(device)
    prepared = {entry.fingerprint: prepare(entry.cell, context) for entry in panel}
    structural = {key: value.structural for key, value in prepared.items() if value.structural}
    built: dict[str, tiers.Built] = {}
    with precision.rounding(timing.precision):
        for entry in panel:
            key = entry.fingerprint
            if key not in structural:
                try:
                    built[key] = tiers.build(str(entry.cell.probe), prepared[key].subject, timing, ports)
                except tiers.Impossible as impossible:
                    structural[key] = str(impossible)
        timed = rounds.time_rounds(
            {key: value.block for key, value in built.items()},
            rounds=timing.rounds,
            warmup_seconds=timing.warmup_seconds,
            rng=stream("panel order", *sorted(built), process),
            ports=ports,
            canary=rounds.matmul_canary(device),
        )
        best = roofline.measure(roofline.work_of(device, timing.precision), ports) if built else None
    forward = {key: prepared[key].facts.flops_per_token for key in built}
    return Part(
        rounds=timed,
        facts={key: value.facts for key, value in prepared.items()},
        peak_bytes={key: peak for key, value in built.items() if (peak := ports.peak(value.plain)) is not None},
        structural=structural,
        operations={key: flops * built[key].block.passes for key, flops in forward.items() if flops is not None},
        compile_seconds={key: value.seconds for key, value in built.items() if value.seconds is not None},
        roofline=best,
    )


def run(
    panels: Sequence[Panel],
    *,
    context: Context,
    timeout_seconds: float,
    admit: Callable[[Panel], bool] = lambda _panel: True,
) -> Iterator[Finding]:
    """Yield a finding per cell, panel by panel; nothing else of ours runs meanwhile.

    admit: asked right before a panel begins; one that it refuses is passed over.
    """
    if not panels:
        return
    timings = [timing_of(panel) for panel in panels]
    with fresh_workers(max(t.processes for t in timings), threads=max(t.threads for t in timings)) as workers:
        for panel in filter(admit, panels):
            begun = time.monotonic()
            parts: list[Part] = []
            failure: tuple[Status, str] | None = None
            for process in range(timing_of(panel).processes):
                work = partial(measure, panel, process, context=context)
                try:
                    parts.append(workers[process].call(work, timeout_seconds=timeout_seconds))
                except Lost as lost:
                    failure = (lost.status, lost.reason)
                    break
            seconds = (time.monotonic() - begun) / len(panel)
            yield from _failed(panel, *failure, seconds) if failure else findings(panel, parts, seconds=seconds)


Alone = Callable[[Callable[[], list[Finding]]], tuple[list[Finding], Environment]]


def run_elsewhere(
    panels: Sequence[Panel],
    *,
    context: Context,
    timeout_seconds: float,
    admit: Callable[[Panel], bool] = lambda _panel: True,
    alone: Alone,
) -> Iterator[Finding]:
    """Yield a finding per cell, one panel after another, each timed where `alone` runs it, in processes of its own."""
    for panel in filter(admit, panels):
        begun = time.monotonic()
        try:
            found, environment = alone(partial(_whole, panel, context, timeout_seconds))
        except Lost as lost:
            yield from _failed(panel, lost.status, lost.reason, (time.monotonic() - begun) / len(panel))
            continue
        yield from (replace(finding, environment=environment) for finding in found)


def _whole(panel: Panel, context: Context, timeout_seconds: float) -> list[Finding]:
    return list(run([panel], context=context, timeout_seconds=timeout_seconds))


def findings(panel: Panel, parts: Sequence[Part], *, seconds: float) -> tuple[Finding, ...]:
    """Return what the processes of a panel say about each of its cells; a contended panel has no number.

    A model that is structural is none of the panel: it was not timed, whatever the machine did.
    """
    identity = uuid.uuid4().hex
    structural = {key: reason for part in parts for key, reason in part.structural.items()}  # in one process is enough
    untimed = tuple(
        Finding(
            planned=entry,
            panel=identity,
            status="structural",
            model=parts[0].facts[entry.fingerprint],
            error=structural[entry.fingerprint],
            seconds=seconds,
        )
        for entry in panel
        if entry.fingerprint in structural
    )
    members = [entry for entry in panel if entry.fingerprint not in structural]
    if not members:
        return untimed
    why = rounds.why_contended([part.rounds for part in parts])
    foreign = max(part.rounds.foreign_cores for part in parts)
    strangers = _strangers([part.rounds.foreign_processes for part in parts])
    rooflines = [part.roofline for part in parts if part.roofline is not None]
    keep = tuple(flag for part in parts for flag in rounds.kept(part.rounds.canaries))
    found = []
    for planned in members:
        key = planned.fingerprint
        shared = (
            _series("canary_seconds", "s", [v for part in parts for v in part.rounds.canaries[key]]),
            _series("round_kept", "1", [float(flag) for flag in keep]),
            Measurement(name="foreign_cores", value=foreign, unit="core"),
            Measurement(name="processes", value=float(len(parts)), unit="1"),
            *strangers,
        )
        times = [value for part in parts for value in part.rounds.seconds[key]]
        device = [value for part in parts for value in part.rounds.device_seconds.get(key, ())]
        memory = _memory([part.peak_bytes.get(key) for part in parts])
        own = () if why else (*_times(times, keep), *_device_times(device, times), *memory)
        if own:
            own += _compiling([part.compile_seconds.get(key) for part in parts])
            own += _roofline(rooflines, parts[0].operations.get(key), seconds=own[0].value)
        found.append(
            Finding(
                planned=planned,
                panel=identity,
                status="contended" if why else "ok",
                measurements=(*own, *shared),
                model=parts[0].facts[key],
                error=why or None,
                seconds=seconds,
            )
        )
    return (*untimed, *found)


def timing_of(panel: Panel) -> TimingConfig:
    """Return how the cells of a panel are timed; they all say the same."""
    timing = panel[0].cell.timing
    if timing is None:
        raise ContractError(f"{panel[0].cell.address} is in a panel but has no timing")
    return timing


def _times(times: Sequence[float], keep: Sequence[bool]) -> tuple[Measurement, ...]:
    middle = median(value for value, kept in zip(times, keep, strict=True) if kept)
    return (
        _series("seconds_per_token", "s/token", times, value=middle),
        Measurement(name="tokens_per_second", value=1 / middle, unit="token/s"),
    )


def _device_times(device: Sequence[float], wall: Sequence[float]) -> tuple[Measurement, ...]:
    """Return what the device's own clock says, and which share of the wall's time that is; nothing without one."""
    if not device:
        return ()
    share = median(own / seen for own, seen in zip(device, wall, strict=True))
    return (
        _series("device_seconds_per_token", "s/token", device),
        Measurement(name="device_share_of_wall", value=share, unit="1"),
    )


def _roofline(rooflines: Sequence[Roofline], operations: float | None, *, seconds: float) -> tuple[Measurement, ...]:
    """Return what the machine did at best in each process, and the share of it that a model did: its MFU.

    The machine's best is that of its best process. operations: of the model per timed token, None where not known.
    They count attention as if nothing were masked, as is usual; a kernel that skips what the mask hides does about half
    of them over long sequences, and its MFU may exceed 1.
    """
    if not rooflines:
        return ()
    peaks, widths = [each.peak_flops for each in rooflines], [each.bandwidth for each in rooflines]
    told = (
        _series("peak_flops", "FLOP/s", peaks, value=max(peaks), axis="process"),
        _series("bandwidth", "byte/s", widths, value=max(widths), axis="process"),
    )
    if operations is None:
        return told
    return (*told, Measurement(name="mfu", value=operations / (seconds * max(peaks)), unit="1"))


def _compiling(seconds: Sequence[float | None]) -> tuple[Measurement, ...]:
    known = [value for value in seconds if value is not None]
    return (_series("compile_seconds", "s", known, axis="process"),) if known else ()


def _strangers(counts: Sequence[int | None]) -> tuple[Measurement, ...]:
    known = [count for count in counts if count is not None]
    return (Measurement(name="foreign_processes", value=float(max(known)), unit="1"),) if known else ()


def _memory(peaks: Sequence[Peak | None]) -> tuple[Measurement, ...]:
    known = [peak for peak in peaks if peak is not None]
    if not known:
        return ()
    return (
        Measurement(name="peak_allocated_bytes", value=float(max(p.allocated for p in known)), unit="byte"),
        Measurement(name="peak_reserved_bytes", value=float(max(p.reserved for p in known)), unit="byte"),
    )


def _series(
    name: str, unit: str, values: Sequence[float], *, value: float | None = None, axis: str = "round"
) -> Measurement:
    at = tuple(float(index) for index in range(len(values)))
    series = Series(axis=axis, at=at, values=tuple(values))
    return Measurement(name=name, value=median(values) if value is None else value, unit=unit, series=series)


def _failed(panel: Panel, status: Status, reason: str, seconds: float) -> Iterator[Finding]:
    for planned in panel:
        yield Finding(planned=planned, panel="", status=status, error=reason, seconds=seconds)
