"""The roofline on a fake clock: the best of several calls, and a model's share of it."""

import pytest
import torch
from test_timing_rounds import World, by_name, part_of, two_cells  # noqa: F401 - a fixture

from seqbench.measure import panel as panels
from seqbench.measure import roofline
from seqbench.measure.roofline import Roofline, Work


def test_the_peak_is_that_of_the_fastest_call():
    """2e9 operations in 0.5 s at best are 4 GFLOP/s, and 1e9 bytes in 0.25 s at best are 4 GB/s."""
    world = World()
    products, copies = iter([0.1, 0.8, 0.5, 0.7]), iter([0.1, 0.25, 0.5, 0.3])  # the first of each does not count
    work = Work(
        product=world.takes(lambda: next(products)),
        operations=2e9,
        copy=world.takes(lambda: next(copies)),
        moved_bytes=1e9,
    )
    found = roofline.measure(work, world.ports())
    assert found == Roofline(peak_flops=pytest.approx(4e9), bandwidth=pytest.approx(4e9))


def test_the_devices_own_clock_counts_where_there_is_one():
    """Seconds between a device's events leave out what the processor took to launch the call."""
    world = World(device_share=0.5)
    assert roofline.fastest(world.takes(0.2), world.ports()) == pytest.approx(0.1)


def test_the_work_is_what_it_says():
    """The product of n × n matrices is 2·n³ operations; y ← x + 1 reads and writes four bytes of each of n numbers."""
    work = roofline.work_of(torch.device("cpu"))
    assert work.operations == 2 * 1024**3
    assert work.product().shape == (1024, 1024)
    copied = work.copy()
    assert work.moved_bytes == 2 * 64 * 2**20 == 2 * copied.numel() * copied.element_size()
    assert bool((copied == 2).all())


def test_the_share_of_the_peak_is_operations_over_time_and_peak(two_cells):  # noqa: F811 - the fixture
    """A token of 300 operations in 3 s on a machine whose best process does 1000 FLOP/s has an MFU of 0.1."""
    first, second = two_cells
    parts = []
    for peak in (1000.0, 800.0):
        part = part_of(two_cells, [(3.0,) * 4, (3.0,) * 4])
        bound = Roofline(peak_flops=peak, bandwidth=peak / 100)
        parts.append(
            panels.Part(
                rounds=part.rounds,
                facts=part.facts,
                peak_bytes={},
                operations={first.fingerprint: 300.0},
                roofline=bound,
            )
        )
    known, unknown = (by_name(finding) for finding in panels.findings((first, second), parts, seconds=1.0))
    assert known["mfu"].value == pytest.approx(0.1)
    assert known["peak_flops"].series.values == (1000.0, 800.0)
    assert (known["peak_flops"].value, known["bandwidth"].value, known["bandwidth"].unit) == (1000.0, 10.0, "byte/s")
    assert "mfu" not in unknown
    assert "peak_flops" in unknown
