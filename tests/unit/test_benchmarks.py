"""The programs of benchmarks/ print what they say they print; how fast anything is, is nowhere asserted."""

import json
from functools import partial
from itertools import count

import matrix
import overhead
import packing
import paired
import pytest
import startup
from quick import quick
from torch import nn

from seqbench.cell import TrainConfig
from seqbench.measure import training
from seqbench.measure.prepare import prepare
from seqbench.measure.seeds import stream


def printed(capsys, main, *arguments):
    """Return the list that a program prints with --json."""
    main(["--json", *arguments])
    return json.loads(capsys.readouterr().out)


def test_a_ratio_is_taken_within_rounds():
    """Rounds that differ tenfold from each other do not hide that one is always twice the other."""
    others = [1.0, 10.0, 100.0, 1.0, 10.0, 100.0]
    assert paired.ratio([2 * each for each in others], others) == {"ratio": 2.0, "interval": [2.0, 2.0]}


def test_few_rounds_leave_the_interval_open():
    """Five rounds cannot bound a median at 95 %; JSON gets null, never infinity."""
    assert paired.ratio([2.0] * 5, [1.0] * 5) == {"ratio": 2.0, "interval": [None, None]}


def test_every_call_is_run_once_per_round_and_timed_by_the_clock_given():
    """Warm-ups are run and do not count; what a call adds to the clock is what is found, in every round."""
    now, calls = [0.0], []

    def spend(name, seconds):
        calls.append(name)
        now[0] += seconds

    spending = {"short": partial(spend, "short", 1.0), "long": partial(spend, "long", 3.0)}
    found = paired.interleaved(spending, rounds=8, clock=lambda: now[0], warm_ups=2)
    assert found == {"short": [1.0] * 8, "long": [3.0] * 8}
    rounds = [tuple(calls[first : first + 2]) for first in range(0, 20, 2)]
    assert set(rounds) == {("short", "long"), ("long", "short")}  # the order is drawn anew


def test_training_and_the_loop_by_hand_take_turns():
    """After so many steps of training comes one turn of the loop, as often as there are turns; each has its time."""
    suite = quick("cpu")
    subject = prepare(suite.recall("rnn", steps=1), suite.context).subject
    batches = [subject.sample(stream("turns"), 2, 4)] * 3
    config = TrainConfig(steps=12, batch=2, learning_rate=1e-3, evaluate_every=3)
    ticks, loops = count(), []
    found = overhead.turns(subject.model, lambda: loops.append("turn"), batches, config, clock=lambda: next(ticks))
    assert loops == ["turn"] * 4
    assert found == ([1, 1, 1, 1], [1, 1, 1, 1])


@pytest.mark.parametrize("model", overhead.BARE)
def test_a_loop_by_hand_has_the_losses_of_training(model):
    """From the same weights, on the same batches at one rate, both have one loss after eight steps: equal work."""
    suite = quick("cpu")
    prepared = prepare(suite.recall(model, steps=8), suite.context)
    subject = prepared.subject
    batches = [subject.sample(stream("equal", number), 8, subject.length) for number in range(8)]
    own = overhead.BARE[model](prepared.spec)
    overhead.take_weights(own, subject.model, batches[0])
    config = TrainConfig(steps=8, batch=8, learning_rate=1e-3, warmup_steps=0, final_fraction=1.0, evaluate_every=1)
    untrained = training.scored_loss(subject.model(batches[-1].inputs)[0], batches[-1]).item()
    history = training.train(subject.model, batches.__getitem__, config)
    last = overhead.bare(own, batches, overhead.loss_at_the_end, rate=1e-3, clip_norm=1.0)()
    assert last == pytest.approx(history.losses[-1], rel=1e-4)
    assert last != pytest.approx(untrained, rel=1e-3)  # the steps moved it, so that being equal says something


def test_networks_that_differ_are_not_compared():
    """A network by hand that is another one ends the program, and says by how much their logits differ."""
    suite = quick("cpu")
    prepared = prepare(suite.recall("lstm", steps=1), suite.context)
    batch = prepared.subject.sample(stream("differ"), 2, 10)
    own = overhead.BARE["lstm"](prepared.spec)
    own.head = nn.Sequential(own.head, nn.Tanh())
    with pytest.raises(SystemExit, match=r"the two networks differ by \d\.\de-0\d in their logits"):
        overhead.take_weights(own, prepared.subject.model, batch)


@pytest.mark.slow
def test_overhead_prints_a_ratio_per_model(capsys):
    """One object per model with model, device, ratio, its interval around it, and the rounds."""
    rows = printed(capsys, overhead.main, "--rounds", "6", "--steps", "1", "lstm", "rnn@implementation=fused")
    assert [list(row) for row in rows] == [["model", "device", "ratio", "interval", "rounds"]] * 2
    assert [(row["model"], row["device"], row["rounds"]) for row in rows] == [
        ("lstm", "cpu", 6),
        ("rnn@implementation=fused", "cpu", 6),
    ]
    for row in rows:
        assert 0 < row["interval"][0] <= row["ratio"] <= row["interval"][1]


@pytest.mark.slow
def test_matrix_prints_cells_per_minute_and_efficiency(capsys):
    """The rates and the efficiency are those of the seconds beside them, and every chunk has its own."""
    (row,) = printed(capsys, matrix.main, "--cells", "6", "--chunks", "2", "--workers", "2")
    assert (row["cells"], row["workers"], len(row["efficiency_by_chunk"])) == (6, 2, 2)
    seconds, rates = row["seconds"], row["cells_per_minute"]
    assert row["efficiency"] == pytest.approx(seconds["bare"] / (2 * seconds["pool"]), rel=0.02)
    assert {name: 360 / each for name, each in seconds.items()} == pytest.approx(rates, rel=0.02)
    assert 0 < row["processor_ratio"] <= 2
    assert row["start_seconds"] > 0


@pytest.mark.slow
def test_packing_prints_replicas_per_second_for_every_number_of_processes(capsys):
    """One process comes first, asked for or not, and is what ratios are to."""
    rows = printed(capsys, packing.main, "--processes", "2", "--each", "1", "--steps", "2", "lstm")
    assert [(row["model"], row["device"], row["processes"], row["replicas"]) for row in rows] == [
        ("lstm", "cpu", 1, 1),
        ("lstm", "cpu", 2, 2),
    ]
    first, second = (row["replicas_per_second"] for row in rows)
    assert [row["ratio"] for row in rows] == [1.0, pytest.approx(second / first, rel=0.01)]


@pytest.mark.slow
def test_a_replica_that_fails_is_told_and_has_no_number(capsys):
    """What a card has no room for is a row with its error, and the other rows stand."""
    rows = printed(capsys, packing.main, "--processes", "1", "--each", "1", "--steps", "2", "lstm@forget_bias=oops")
    assert list(rows[0]) == ["model", "device", "processes", "error"]
    assert "InvalidInput" in rows[0]["error"]


@pytest.mark.slow
def test_startup_prints_processor_seconds_and_ratios(capsys):
    """Every start has its seconds and the ratio to a Python that does nothing, whose own is 1."""
    rows = {row["name"]: row for row in printed(capsys, startup.main, "--rounds", "1")}
    assert list(rows) == [*startup.PROGRAMS, startup.WORKER]
    assert rows[startup.NOTHING]["ratio"] == 1.0
    for row in rows.values():
        assert row["processor_seconds"] > 0
        assert row["interval"] == [None, None]
