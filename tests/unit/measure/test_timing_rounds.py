"""Timing with a fake clock: ratios, canaries and contention are arithmetic."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from seqbench.cell import TimingConfig
from seqbench.judge import stats
from seqbench.measure import panel as panels
from seqbench.measure import rounds
from seqbench.measure.probes.clock import Load, Peak, Ports
from seqbench.measure.rounds import Block, Rounds
from seqbench.measure.seeds import stream
from seqbench.plan import Planned


class World:
    """A machine whose time passes only when something is called, and whose other processes use a known share."""

    def __init__(self, *, foreign=0.0, device_share=None, strangers=(None, None)):
        self.device_share = device_share
        self.strangers = iter(strangers)
        self.time, self.foreign, self.waits, self.log = 100.0, foreign, 0, []

    def takes(self, seconds, name="x"):
        def call():
            self.time += seconds() if callable(seconds) else seconds
            self.log.append(name)

        return call

    def ports(self):
        def wait():
            self.waits += 1

        return Ports(
            now=lambda: self.time,
            load=lambda: Load(everybody=self.time * (1 + self.foreign), own=self.time),
            wait=wait,
            run=self.run,
            peak=lambda call: None,
            foreign_processes=lambda: next(self.strangers),
        )

    def run(self, call):
        """A device whose own clock sees this share of the wall's time; none where the share is None."""
        begun = self.time
        call()
        return None if self.device_share is None else self.device_share * (self.time - begun)


def timed(world, blocks, *, count=4, canary=0.01, warmup=0.0):
    return rounds.time_rounds(
        blocks,
        rounds=count,
        warmup_seconds=warmup,
        rng=stream("order"),
        ports=world.ports(),
        canary=world.takes(canary, "canary"),
    )


def test_seconds_per_token_are_exact():
    """A block of 0.2 s over 50 tokens takes 4 ms per token in every round, and the ratio of two models is exact."""
    world = World()
    found = timed(world, {"a": Block(call=world.takes(0.2), tokens=50), "b": Block(call=world.takes(0.1), tokens=100)})
    assert found.seconds["a"] == pytest.approx([0.004] * 4)
    assert [math.log(x / y) for x, y in zip(found.seconds["a"], found.seconds["b"], strict=True)] == pytest.approx(
        [math.log(4)] * 4
    )


def test_a_short_call_is_repeated_until_a_turn_takes_50_milliseconds():
    """A call of 1 ms is timed fifty at a time, and its time per token is still that of one."""
    world = World()
    found = timed(world, {"a": Block(call=world.takes(0.001, "a"), tokens=1)}, count=2)
    assert found.seconds["a"] == pytest.approx([0.001] * 2)
    assert world.log.count("a") == rounds.LEAST_WARM_UPS + 2 * 50


def test_every_round_runs_every_model_once_in_an_order_that_the_stream_draws():
    """Each round holds each model once; the orders differ between rounds and repeat with the stream."""
    orders = []
    for _ in range(2):
        world = World()
        timed(world, {name: Block(call=world.takes(0.1, name), tokens=1) for name in "abc"}, count=6)
        turns = [name for name in world.log if name != "canary"][9:]  # after three warm-ups each
        orders.append(["".join(turns[i : i + 3]) for i in range(0, 18, 3)])
    assert orders[0] == orders[1]
    assert all(sorted(order) == ["a", "b", "c"] for order in orders[0])
    assert len(set(orders[0])) > 1


def test_warming_up_lasts_at_least_as_long_as_asked():
    """Warm-up ends after three calls and after its seconds, whichever comes later."""
    world = World()
    assert rounds.warm_up(Block(call=world.takes(0.1), tokens=1), seconds=1.0, ports=world.ports()) == 1
    assert 101.0 <= world.time < 101.15  # ten calls of 0.1 s, one more if the tenth ends a rounding error early


def test_a_round_with_a_slow_canary_is_discarded_for_every_model():
    """A canary 11 % over the median of its process discards its round, for both models; 9 % does not."""
    canaries = {"a": (1.0, 1.0, 1.11, 1.0), "b": (1.0, 1.09, 1.0, 1.0)}
    assert rounds.kept(canaries) == (True, True, False, True)


def test_foreign_load_is_what_others_used():
    """Everybody's processor seconds less our own, over the wall: cores that others kept busy."""
    assert rounds.foreign_cores(Load(10.0, 4.0), Load(18.0, 8.0), seconds=8.0) == 0.5


@pytest.mark.parametrize(
    ("foreign", "slow", "message"),
    [
        (0.25, 3, ""),
        (0.26, 0, "other processes kept 0.26 cores busy (more than 0.25); run on a quiet machine"),
        (0.0, 4, "40% of the rounds were disturbed (more than 30%); run on a quiet machine"),
    ],
)
def test_a_panel_is_contended_beyond_its_limits_and_not_at_them(foreign, slow, message):
    """A quarter of a foreign core and 30 % of discarded rounds are the most that a number survives."""
    canary = tuple([2.0] * slow + [1.0] * (10 - slow))
    process = Rounds(seconds={"a": (1.0,) * 10}, canaries={"a": canary}, foreign_cores=foreign)
    assert rounds.why_contended([process]) == message


def part_of(cells, seconds, *, foreign=0.0, peak=None):
    timed_rounds = Rounds(
        seconds={cell.fingerprint: values for cell, values in zip(cells, seconds, strict=True)},
        canaries={cell.fingerprint: (1.0, 1.0, 1.5, 1.0) for cell in cells},
        foreign_cores=foreign,
    )
    peaks = {cell.fingerprint: peak for cell in cells} if peak else {}
    return panels.Part(rounds=timed_rounds, facts=dict.fromkeys((c.fingerprint for c in cells), None), peak_bytes=peaks)


@pytest.fixture
def two_cells(tiny_study):
    from seqbench import plan

    cells = plan.planned(tiny_study)[:2]
    timing = TimingConfig(batch=1)
    return tuple(Planned(c.cell.model_copy(update={"timing": timing}), c.fingerprint, c.group) for c in cells)


def by_name(finding):
    return {measurement.name: measurement for measurement in finding.measurements}


def test_a_panel_keeps_every_raw_round_and_marks_those_that_count(two_cells):
    """The record of a model has the raw time of each round of each process; the value is the median of those kept."""
    parts = [
        part_of(two_cells, [(1.0, 3.0, 9.0, 3.0), (2.0, 2.0, 2.0, 2.0)]),
        part_of(two_cells, [(5.0, 7.0, 9.0, 7.0), (2.0, 2.0, 2.0, 2.0)]),
    ]
    first, second = panels.findings(two_cells, parts, seconds=1.0)
    found = by_name(first)
    assert found["seconds_per_token"].series.values == (1.0, 3.0, 9.0, 3.0, 5.0, 7.0, 9.0, 7.0)
    assert found["round_kept"].series.values == (1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0)
    assert found["seconds_per_token"].value == 4.0
    assert found["tokens_per_second"].value == 0.25
    assert first.panel == second.panel != ""


def test_a_contended_panel_has_no_number(two_cells):
    """Foreign load leaves a status and what was seen of the load, and no time."""
    parts = [part_of(two_cells, [(1.0,) * 4, (1.0,) * 4], foreign=1.0)]
    for finding in panels.findings(two_cells, parts, seconds=1.0):
        assert finding.status == "contended"
        assert "1.00 cores" in finding.error
        assert {"seconds_per_token", "tokens_per_second"}.isdisjoint(by_name(finding))
        assert by_name(finding)["foreign_cores"].value == 1.0


def test_device_memory_is_the_largest_peak_of_the_processes(two_cells):
    """Where a device tells, the record has the peak allocated and reserved bytes."""
    row = [(1.0,) * 4, (1.0,) * 4]
    parts = [part_of(two_cells, row, peak=Peak(10, 30)), part_of(two_cells, row, peak=Peak(20, 20))]
    found = by_name(panels.findings(two_cells, parts, seconds=1.0)[0])
    assert (found["peak_allocated_bytes"].value, found["peak_reserved_bytes"].value) == (20.0, 30.0)


def test_the_device_is_waited_for_around_every_timing():
    """Each timed stretch begins and ends with a device that is done."""
    world = World()
    timed(world, {"a": Block(call=world.takes(0.1), tokens=1)}, count=3)
    assert world.waits == 1 + 3 * 2 * (1 + rounds.CANARY_REPEATS)


def test_the_devices_own_clock_is_told_beside_the_walls():
    """Where the device has events, their time per token is kept, and the share of the wall's time that they explain."""
    found = timed(World(device_share=0.8), {"a": Block(call=lambda: None, tokens=1)}, count=1)
    assert found.device_seconds == {"a": (0.0,)}
    world = World(device_share=0.8)
    found = timed(world, {"a": Block(call=world.takes(0.2), tokens=50)}, count=3)
    assert found.seconds["a"] == pytest.approx([0.004] * 3)
    assert found.device_seconds["a"] == pytest.approx([0.0032] * 3)


def test_a_record_tells_how_much_of_the_wall_the_device_worked(two_cells):
    """Device events become a measurement with the share of the wall's time; without a device there is none."""
    first, second = two_cells
    part = part_of(two_cells, [(1.0,) * 4, (1.0,) * 4])
    with_events = replace(part, rounds=replace(part.rounds, device_seconds={first.fingerprint: (0.96,) * 4}))
    found = {f.planned.fingerprint: by_name(f) for f in panels.findings(two_cells, [with_events], seconds=1.0)}
    assert found[first.fingerprint]["device_share_of_wall"].value == 0.96
    assert "device_share_of_wall" not in found[second.fingerprint]


def test_a_model_that_one_process_cannot_time_is_structural(two_cells):
    """Compiling or recording may fail in one process alone: the model is none of the panel, and the other has times."""
    first, second = two_cells
    whole = part_of(two_cells, [(1.0,) * 4, (1.0,) * 4])
    without = replace(
        whole,
        structural={second.fingerprint: "no memory"},
        rounds=replace(whole.rounds, seconds={first.fingerprint: (1.0,) * 4}, canaries={first.fingerprint: (1.0,) * 4}),
    )
    found = {f.planned.fingerprint: f for f in panels.findings(two_cells, [whole, without], seconds=1.0)}
    assert (found[second.fingerprint].status, found[second.fingerprint].error) == ("structural", "no memory")
    assert found[first.fingerprint].status == "ok"


@pytest.mark.parametrize(("own", "message"), [(0.96, ""), (0.94, "the device's clock and the wall's differ by 6%")])
def test_two_clocks_that_disagree_make_a_panel_contended(two_cells, own, message):
    """Events that explain less than 95 % of the wall's time hide something; one median of one model is enough."""
    (part,) = [part_of(two_cells, [(1.0,) * 4, (1.0,) * 4])]
    timed_too = replace(part.rounds, device_seconds={two_cells[1].fingerprint: (own, 0.5, own, own)})
    why = rounds.why_contended([part.rounds, timed_too])
    assert why.startswith(message)
    assert bool(why) == bool(message)


def test_a_canary_on_a_device_is_timed_by_its_own_clock():
    """What launching the canary takes says nothing of the device."""
    found = timed(World(device_share=0.5), {"a": Block(call=lambda: None, tokens=1)}, count=2, canary=0.01)
    assert found.canaries["a"] == pytest.approx([0.005] * 2)


@pytest.mark.parametrize(
    ("seconds", "calls"),
    [
        ([0.1] * 30, 10 + 3),
        ([0.1] * 11 + [0.2] * 30, 10 + 4),
        ([0.1 * 1.1**n for n in range(40)], 10 + rounds.MOST_LOOKS),
    ],
    ids=["steady", "steady later", "never"],
)
def test_a_device_is_warm_once_three_timings_agree(seconds, calls):
    """After ten calls a device is timed until three timings in a row are within 3 %, or twenty times."""
    world, left = World(device_share=1.0), iter(seconds)
    rounds.warm_up(Block(call=world.takes(lambda: next(left)), tokens=1), seconds=0.0, ports=world.ports())
    assert len(world.log) == calls


@pytest.mark.parametrize(
    ("looks", "seen", "message"),
    [
        ((None, None), None, ""),
        ((0, 0), 0, ""),
        ((0, 2), 2, "processes of other programs computed on the GPU (2); run on a quiet machine"),
        ((1, None), 1, "processes of other programs computed on the GPU (1); run on a quiet machine"),
    ],
)
def test_a_stranger_on_the_gpu_makes_a_panel_contended(looks, seen, message):
    """Who computes on the device is looked at before and after the rounds; where that cannot be told it is no fault."""
    found = timed(World(strangers=looks), {"a": Block(call=lambda: None, tokens=1)})
    assert found.foreign_processes == seen
    assert rounds.why_contended([found]) == message


def test_two_identical_blocks_take_equally_long():
    """On a machine that is noisy and slows down as it runs, the 96 % interval of a ratio of twins covers 0 that often.

    Of 200 panels of 15 rounds at least 185 must: fewer has a chance below 1 in 100. Drawing the order of each round
    is what makes it so, for the second of a round always finds the slower machine.
    """
    covered = 0
    for panel in range(200):
        world, noise = World(), stream("noise", panel)

        def slower(world=world, noise=noise):
            return 0.1 * (1 + 0.002 * (world.time - 100)) * math.exp(0.001 * torch.randn(1, generator=noise).item())

        found = rounds.time_rounds(
            {name: Block(call=world.takes(slower), tokens=1) for name in ("twin", "other")},
            rounds=15,
            warmup_seconds=0.0,
            rng=stream("panel order", panel),
            ports=world.ports(),
            canary=world.takes(0.01, "canary"),
        )
        ratios = [math.log(x / y) for x, y in zip(found.seconds["twin"], found.seconds["other"], strict=True)]
        bounds = stats.order_statistics(np.array(ratios), lower_level=0.025, upper_level=0.025)
        covered += bounds.lower <= 0 <= bounds.upper
    assert covered >= 185
