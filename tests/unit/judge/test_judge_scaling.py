"""How times grow: planted laws come back, intervals hold what they promise, and what does not count is left out."""

import math
from dataclasses import replace

import judged_studies as studies
import numpy as np
import pytest

from seqbench import plan
from seqbench.cell import TimingConfig
from seqbench.judge import scaling, table
from seqbench.judge.claims.base import number
from seqbench.judge.figures import base, crossover_map, time_per_token, tokens_by_batch
from seqbench.judge.report import build
from seqbench.record import Measurement
from seqbench.registry import Registry
from seqbench.suite import Group, Suite

LENGTHS = np.array([64.0, 128.0, 256.0, 512.0, 1024.0])
PROCESSES, ROUNDS = 3, 5


def noisy(rng, law, *, noise=0.03, process=0.0, count=(PROCESSES, ROUNDS)):
    """Return ln seconds around a law: (L,) -> (processes, rounds, L); processes differ by setting."""
    shape = (*count, len(law))
    spread = process * rng.standard_normal((count[0], 1, len(law)))
    return np.log(law) + spread + noise * rng.standard_normal(shape)


def rng_of(number=0):
    return np.random.default_rng(number)


def inside(found, truth):
    return found.lower <= truth <= found.upper


def covered(law, truth, *, estimate, studies_=200, **how):
    """Return the share of simulated studies whose interval holds the truth."""
    hits = [
        inside(estimate(noisy(rng_of(index), law, **how), rng_of(1000 + index)), truth) for index in range(studies_)
    ]
    return float(np.mean(hits))


def exponent_of(logs, rng):
    return scaling.exponent(LENGTHS, logs, rng)


def test_an_exact_power_law_gives_its_exponent():
    """Without noise α is the planted one, and its interval has no width."""
    found = exponent_of(noisy(rng_of(), 2e-5 * LENGTHS**1.3, noise=0.0), rng_of())
    assert (found.value, found.lower, found.upper) == pytest.approx((1.3, 1.3, 1.3), abs=1e-9)


def test_a_length_of_noisy_rounds_weighs_little():
    """A length whose rounds scatter a hundred times as much, and are off, barely moves α; of equal weight it does."""
    logs = noisy(rng_of(), LENGTHS, noise=0.001)
    logs[..., -1] += 0.5 + 0.3 * rng_of(1).standard_normal((PROCESSES, ROUNDS))
    assert exponent_of(logs, rng_of()).value == pytest.approx(1.0, abs=0.005)
    few = logs[:1]  # five rounds: too few to tell a weight from luck
    assert exponent_of(few, rng_of()).value > 1.05


@pytest.mark.parametrize(
    ("how"),
    [{}, {"count": (1, 15)}, {"count": (3, 2)}, {"count": (3, 1)}, {"process": 0.1}],
    ids=["3 x 5 rounds", "one process", "3 x 2 rounds", "3 x 1 rounds", "processes differ"],
)
def test_the_interval_of_an_exponent_covers_it(how):
    """Of 200 simulated studies at least 90 % have an interval that holds the true α, at a nominal 95 %."""
    assert covered(LENGTHS**1.3, 1.3, estimate=exponent_of, **how) >= 0.90


def test_the_interval_is_not_wide_for_nothing():
    """With 15 rounds of 3 % noise each, the interval is as wide as medians need: under twice Student's on means."""
    ideal = 2 * 2.18 * 0.03 / math.sqrt(15) / math.sqrt(((np.log(LENGTHS) - np.log(LENGTHS).mean()) ** 2).sum())
    widths = [
        found.upper - found.lower
        for index in range(50)
        for found in [exponent_of(noisy(rng_of(index), LENGTHS), rng_of(index))]
    ]
    assert ideal < np.median(widths) < 2 * ideal


def test_the_replicates_are_processes_where_these_differ():
    """Rounds are the replicates of one state alone; processes that differ by setting take their place."""
    alike = exponent_of(noisy(rng_of(), LENGTHS, count=(3, 50)), rng_of())
    apart = exponent_of(noisy(rng_of(), LENGTHS, process=0.3), rng_of())
    assert (alike.replicates, apart.replicates) == ("rounds", "processes")
    assert apart.upper - apart.lower > 10 * (alike.upper - alike.lower)


def test_one_round_has_a_value_and_no_bounds():
    """A single round of a single process says nothing about its own error."""
    found = exponent_of(noisy(rng_of(), LENGTHS**2, noise=0.0, count=(1, 1)), rng_of())
    assert found.value == pytest.approx(2.0)
    assert (found.lower, found.upper) == (-math.inf, math.inf)
    assert scaling.latency_index(LENGTHS[:2], np.log(LENGTHS[None, None, :2]), rng_of()).upper == math.inf


def test_local_exponents_tell_a_knee():
    """A floor and then a line: the first local exponent is near 0, the last is 1, each with its interval."""
    law = np.maximum(1e-2, 2e-5 * LENGTHS)  # the knee is at T = 500
    found = scaling.local_exponents(LENGTHS, noisy(rng_of(), law), rng_of())
    assert [round(local.value) for local in found] == [0, 0, 0, 1]
    assert inside(found[-1], 1.0)
    assert not inside(found[-1], 0.0)


def test_local_exponents_cover_theirs():
    """Of 200 simulated studies at least 90 % hold the true exponent between the last two lengths."""
    law = 1e-2 + 2e-8 * LENGTHS**2
    truth = math.log(law[-1] / law[-2]) / math.log(2.0)
    last = covered(law, truth, estimate=lambda logs, rng: scaling.local_exponents(LENGTHS, logs, rng)[-1])
    assert last >= 0.90


def test_a_polynomial_gives_its_coefficients():
    """The terms of a + bT + cT² are found again, with their shares at the largest T."""
    found = scaling.polynomial(LENGTHS, 3e-3 + 2e-5 * LENGTHS + 5e-9 * LENGTHS**2)
    assert (found.constant, found.linear, found.quadratic) == pytest.approx((3e-3, 2e-5, 5e-9), rel=1e-6)
    whole = 3e-3 + 2e-5 * 1024 + 5e-9 * 1024**2
    assert found.shares == pytest.approx((3e-3 / whole, 2e-5 * 1024 / whole, 5e-9 * 1024**2 / whole))


def test_no_term_of_a_polynomial_is_negative():
    """Growth below linear has no negative quadratic term; unconstrained least squares would give one."""
    found = scaling.polynomial(LENGTHS, LENGTHS**0.8)
    assert found.quadratic == 0.0
    assert min(found.constant, found.linear) > 0.0


@pytest.mark.parametrize(("share", "quadratic"), [(0.04, False), (0.06, True)])
def test_growth_is_quadratic_above_five_per_cent(share, quadratic):
    """Bytes are called quadratic when the quadratic term is over 5 % of all at the largest T, and not before."""
    values = (1 - share) * LENGTHS / 1024 + share * (LENGTHS / 1024) ** 2
    assert scaling.polynomial(LENGTHS, values).is_quadratic is quadratic


def test_two_lengths_do_not_decide_three_terms():
    """A polynomial of two lengths is refused."""
    with pytest.raises(ValueError, match="three lengths decide about three terms, given were 2"):
        scaling.polynomial(LENGTHS[:2], LENGTHS[:2])


@pytest.mark.parametrize(
    ("law", "truth"),
    [((1e-2, 1e-2 * 8), 1.0), ((1e-2, 1e-2), 1 / 8)],
    ids=["throughput-bound", "latency-bound"],
)
def test_the_latency_index_tells_what_binds(law, truth):
    """Eight times the tokens: a machine bound by throughput takes eight times as long, one by latency just as long."""
    tokens = np.array([256.0, 2048.0])
    found = scaling.latency_index(tokens, noisy(rng_of(), np.array(law), noise=0.01), rng_of())
    assert found.value == pytest.approx(truth, rel=0.02)
    assert found.lower < found.value < found.upper
    share = covered(
        np.array(law), truth, estimate=lambda logs, rng: scaling.latency_index(tokens, logs, rng), process=0.02
    )
    assert share >= 0.90


def test_efficiency_is_throughput_against_the_largest_batch():
    """A call with a floor of 15 and one more per sequence: E(1) = (1/16) / (16/31), and E(16) = 1 exactly."""
    batches = np.array([1.0, 4.0, 16.0])
    found = scaling.efficiencies(batches, noisy(rng_of(), 15 + batches, noise=0.0), rng_of())
    assert [each.value for each in found] == pytest.approx([31 / 256, (4 / 19) / (16 / 31), 1.0])
    assert (found[-1].lower, found[-1].upper) == (1.0, 1.0)


def test_half_of_the_plateau():
    """Throughput B / (B + 15): half of the plateau is at 15 sequences; early batches alone only bound it."""
    batches = 2.0 ** np.arange(11)
    curve = batches / (batches + 15)
    whole = scaling.half_plateau_batch(batches, curve)
    assert whole.relation == "="
    assert whole.batch == pytest.approx(15, rel=0.05)
    rising = scaling.half_plateau_batch(batches[:4], curve[:4])
    assert rising.relation == "≥"
    assert rising.batch < 15
    late = scaling.half_plateau_batch(batches[6:], curve[6:])
    assert (late.batch, late.relation) == (64.0, "≤")
    assert scaling.half_plateau_batch(batches[:1], curve[:1]) is None
    assert scaling.half_plateau_batch(batches[3:5], curve[3:5]) is None  # rises still, and is beyond half at once


# What records say

KNOWN = Registry("probe", "none", dict.fromkeys(("training_time", "saved_bytes", "sequential_depth"), "none"))


def planted(cell, *, noise=0.0):
    """Return seconds per token of a call of 1 ms + 2 µs per token; the Transformer's grows by T² per sequence too."""
    tokens = cell.timing.batch * cell.length
    whole = 1e-3 + 2e-6 * tokens + (1e-8 * cell.timing.batch * cell.length**2 if "transformer" in cell.model else 0.0)
    seed = [cell.length, cell.timing.batch, len(cell.model)]
    logs = math.log(whole / tokens) + noise * np.random.default_rng(seed).standard_normal(PROCESSES * ROUNDS)
    return np.exp(logs)


def study(*, lengths=(64, 128, 256, 512), batches=(16,), seeds=1):
    """Return a study of training times of two models, and of what is counted."""
    shared = {"task": "uniform_tokens", "models": ("rnn", "transformer"), "lengths": lengths, "seeds": seeds}
    groups = [
        Group(
            name=f"batch {batch}",
            probe="training_time",
            width=48,
            timing=TimingConfig(batch=batch, processes=PROCESSES, rounds=ROUNDS),
            **shared,
        )
        for batch in batches
    ]
    groups += [Group(name=probe, probe=probe, width=64, **shared) for probe in ("saved_bytes", "sequential_depth")]
    suite = Suite(title="Times", claims=("C4",), groups=tuple(groups))
    return plan.study("times", suite, text=None, development=False, known_models=studies.MODELS, known_probes=KNOWN)


def contents_of(planned, *, noise=0.0, spoilt=lambda cell, seconds: None, status=lambda cell: None):
    """Return the records of planted times; `spoilt` may return (seconds, kept) in their place."""

    def timed(entry):
        if entry.cell.probe == "sequential_depth":
            stages = 3.0 * entry.cell.length if entry.cell.model == "rnn" else 17.0
            return entry.model_copy(
                update={"measurements": (Measurement(name="sequential_depth", value=stages, unit="stage"),)}
            )
        if not entry.cell.timing or entry.status != "ok":
            return entry
        seconds = planted(entry.cell, noise=noise)
        seconds, kept = spoilt(entry.cell, seconds) or (seconds, np.ones(len(seconds)))
        own = {"seconds_per_token": seconds, "round_kept": kept}
        measured = [item for item in entry.measurements if item.name not in own]
        measured += [studies.rounds_of(name, values, "1") for name, values in own.items()]
        return entry.model_copy(update={"measurements": tuple(measured)})

    held = studies.contents(planned, failed=status)
    return replace(held, records=tuple((name, timed(entry)) for name, entry in held.records))


def tables_of(planned, *, order=None, **how):
    """Return the tables of planted times, read in some other order where one is given."""
    held = contents_of(planned, **how)
    return table.tables(planned, studies.shuffled(held, order) if order is not None else held)


def growth_of(tables, model, *, probe="training_time", batch=16):
    return next(
        row
        for row in (*scaling.timed(tables), *scaling.counted(tables))
        if (row.kind[table.MODEL], row.kind[table.PROBE], row.batch) == (model, probe, batch)
    )


def test_records_give_the_terms_of_a_call():
    """From seconds per token the time of a call is made: its floor, its linear and its quadratic term come back."""
    found = growth_of(tables_of(study()), "transformer")
    terms = (found.polynomial.constant, found.polynomial.linear, found.polynomial.quadratic)
    assert terms == pytest.approx((1e-3, 16 * 2e-6, 16e-8), rel=1e-6)
    assert growth_of(tables_of(study()), "rnn").polynomial.quadratic == 0.0
    assert len(found.local) == 3
    assert found.local[0].value < found.exponent.value < found.local[-1].value


def test_the_order_of_records_does_not_matter():
    """Read in another order, the same records give equal numbers to the last bit, intervals too."""
    planned = study(batches=(1, 16), seeds=2)
    assert scaling.timed(tables_of(planned, noise=0.05)) == scaling.timed(tables_of(planned, noise=0.05, order=4))


def test_rounds_that_do_not_count_change_nothing():
    """A discarded round's time and a time that is no number leave every estimate within its own rounds' spread."""

    def spoilt(cell, seconds):
        kept = np.ones(len(seconds))
        seconds = seconds.copy()
        kept[[0, 1, 5, 10]], seconds[[0, 1, 5, 10]] = 0.0, 1e3
        seconds[7] = math.nan if cell.length == 128 else seconds[7]
        return seconds, kept

    clean, found = growth_of(tables_of(study()), "rnn"), growth_of(tables_of(study(), spoilt=spoilt), "rnn")
    assert found.exponent.value == pytest.approx(clean.exponent.value, abs=1e-12)
    assert found.exponent.upper - found.exponent.lower == pytest.approx(0.0, abs=1e-9)
    everything = growth_of(tables_of(study(), spoilt=lambda _, s: (spoilt(_, s)[0], np.ones(len(s)))), "rnn")
    assert everything.exponent.upper - everything.exponent.lower > 1e-3


def test_a_contended_length_is_left_out():
    """A contended panel has no number, so the exponent is that of the lengths that remain."""
    contended = tables_of(study(), status=lambda cell: "contended" if cell.timing and cell.length == 512 else None)
    assert growth_of(contended, "rnn").lengths == (64, 128, 256)


def test_seeds_are_further_rounds_of_the_same_processes():
    """Two seeds of one model are timed by the same three processes: ten rounds of each, none lost."""
    (rnn, _) = scaling.times(tables_of(study(seeds=2)))
    assert rnn.logs.shape == (3, 10, 4)
    assert np.isfinite(rnn.logs).all()


def test_two_lengths_give_an_exponent_between_them_and_one_none():
    """Two lengths: the local exponent, no polynomial. One: nothing."""
    two = growth_of(tables_of(study(lengths=(64, 512))), "rnn")
    calls = 1e-3 + 2e-6 * 16 * np.array([64, 512])
    assert two.exponent.value == pytest.approx(math.log(calls[1] / calls[0]) / math.log(8))
    assert two.exponent.value == pytest.approx(two.local[0].value)
    assert two.polynomial is None
    one = growth_of(tables_of(study(lengths=(64,))), "rnn")
    assert (one.exponent, one.local, one.polynomial) == (None, (), None)


def test_lambda_compares_the_smallest_batch_at_the_longest_common_length():
    """Λ of the larger batch is taken where both batches were timed; the smallest has none."""
    tables = tables_of(study(batches=(1, 16)))
    found = growth_of(tables, "rnn")
    assert found.latency_between == ((1, 512), (16, 512))
    small, large = (1e-3 + 2e-6 * batch * 512 for batch in (1, 16))
    assert found.latency.value == pytest.approx(large / small / 16)
    assert growth_of(tables, "rnn", batch=1).latency is None


@pytest.mark.parametrize(
    ("settings", "pair"),
    [([(1, 256), (16, 128), (16, 256)], (0, 2)), ([(1, 256), (16, 128)], (0, 1)), ([(16, 128), (16, 256)], None)],
)
def test_what_lambda_compares(settings, pair):
    """Equal lengths first, else the nearest; with a single batch nothing."""
    assert scaling.latency_settings(settings, 16) == pair


def test_counted_bytes_are_exact():
    """Saved bytes have an exponent without error, and the quadratic share that was planted: 16 T² in 2048 T + 16 T²."""
    found = growth_of(tables_of(study()), "transformer", probe="saved_bytes", batch=0)
    assert found.exponent.lower == found.exponent.value == found.exponent.upper
    assert found.polynomial.shares[2] == pytest.approx(16 * 512 / (2048 + 16 * 512))
    linear = growth_of(tables_of(study()), "rnn", probe="saved_bytes", batch=0)
    assert linear.exponent.value == pytest.approx(1.0)
    assert not linear.polynomial.is_quadratic


def test_depth_in_stages_has_its_slope():
    """A loop of 3T stages has slope 1, a constant depth 0, exactly; nothing is said about terms of a polynomial."""
    tables = tables_of(study())
    loop, flat = (growth_of(tables, model, probe="sequential_depth", batch=0) for model in ("rnn", "transformer"))
    assert (loop.exponent.value, flat.exponent.value) == pytest.approx((1.0, 0.0))
    assert loop.polynomial is None


# What is drawn and printed


def legend_of(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_the_legend_of_times_says_the_exponent():
    """Two lengths or more: α stands behind the name; a single length has the name alone, and the legend no title."""
    several, single = (tables_of(study(lengths=lengths), noise=0.01) for lengths in ((64, 512), (64,)))
    axes = time_per_token.draw(time_per_token.select(several, None)).axes[0]
    alpha = growth_of(several, "rnn").exponent
    assert legend_of(axes)[0] == f"RNN tanh: {alpha.value:.2f} [{alpha.lower:.2f}, {alpha.upper:.2f}]"
    alone = time_per_token.draw(time_per_token.select(single, None)).axes[0]
    assert legend_of(alone) == ["RNN tanh", "Transformer"]
    assert alone.get_legend().get_title().get_text() == ""


def test_throughput_is_drawn_at_the_length_with_most_batches():
    """T = 512 was contended at one batch, so it is T = 256 that is shown, with E and B½ as planted."""

    def lost(cell):
        return "contended" if cell.timing and cell.length == 512 and cell.timing.batch == 16 else None

    frame = tokens_by_batch.select(tables_of(study(batches=(1, 16)), status=lost), None)
    assert set(frame[table.LENGTH]) == {256}
    rnn = frame[frame[table.MODEL] == "rnn"].set_index(table.BATCH)
    seconds = {batch: 1e-3 + 2e-6 * batch * 256 for batch in (1, 16)}
    assert rnn["tokens_per_second"][16] == pytest.approx(16 * 256 / seconds[16])
    share = seconds[16] / seconds[1] / 16
    assert rnn["efficiency"][1] == pytest.approx(share)
    half = 16 * 2 ** (math.log(16) / math.log(share))  # ln-ln between the only two batches
    assert legend_of(tokens_by_batch.draw(frame).axes[0])[0].endswith(f"B½ ≥ {half:.3g}")


def test_the_map_hatches_what_is_undecided():
    """The ratio of two planted times with its interval; a cell whose interval holds 1 is hatched, others are filled."""
    frame = crossover_map.select(tables_of(study(batches=(1, 16)), noise=0.1), None)
    undecided = (frame[base.LOWER] <= 0) & (frame[base.UPPER] >= 0)
    assert 0 < undecided.sum() < len(frame)
    boxes = crossover_map.draw(frame).axes[0].patches
    assert [bool(box.get_hatch()) for box in boxes] == list(undecided)
    exact = crossover_map.select(tables_of(study()), None).set_index(table.LENGTH)
    whole = 1e-3 + 2e-6 * 16 * 512
    assert exact[base.MEDIAN][512] == pytest.approx(math.log(whole / (whole + 16e-8 * 512**2)))


def test_panels_of_a_contended_or_missing_transformer_have_no_cell():
    """Without the Transformer in its panel a model has nothing to be compared with."""
    lost = tables_of(study(), status=lambda cell: "crashed" if cell.timing and "transformer" in cell.model else None)
    assert crossover_map.select(lost, None).empty


def test_the_page_prints_growth_once():
    """The table of growth stands once in the page, with α and its interval, the floor of a call, and Λ."""
    planned = study(batches=(1, 16))
    page = build.page(build.build(planned, contents_of(planned, noise=0.01)))
    assert page.count('id="growth-caption"') == 1
    found = growth_of(tables_of(planned, noise=0.01), "transformer")
    assert f"{number(found.exponent.value)} [{number(found.exponent.lower)}, {number(found.exponent.upper)}]" in page
    assert f"a = {number(1e3 * found.polynomial.constant)} ms" in page
    assert "(B, T) = (1, 512) to (16, 512)" in page
    counted = studies.study(("C8",), seeds=2)
    assert "bytes saved for backward" in build.page(build.build(counted, studies.contents(counted)))
