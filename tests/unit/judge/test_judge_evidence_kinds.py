"""What an atom of each kind makes of records: planted, reversed and absent effects, too few seeds, failed cells."""

import math

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from seqbench.judge import evidence, posterior, table, testing
from seqbench.judge.claims import base
from seqbench.judge.rules import AtomLevels, Verdict
from seqbench.judge.table import Tables
from seqbench.preregistration import Atom, built_in
from seqbench.record import Floats

RULES = built_in()
HOLM = 0.05 / 8
LEVELS = AtomLevels(HOLM, HOLM)
BUDGET = 400


def cell(model, seed, *, task="recall", probe="", length=61, width=32, layers=1, status="ok", **values):
    """Return one planned cell with what its record holds; a value that is a dict is a series by lag."""
    return {
        table.TASK: task,
        table.PROBE: probe,
        table.MODEL: model,
        table.SEED: seed,
        table.LENGTH: length,
        table.WIDTH: width,
        table.LAYERS: layers,
        table.STATUS: status,
        "values": values,
    }


def tables(rows):
    """Return the frames of these cells, in the order given."""
    filled = dict.fromkeys((*table.CELL_COLUMNS, *table.RECORD_COLUMNS), "")
    cells, wide, series = [], {}, []
    for row in rows:
        own = {name: value for name, value in row.items() if name != "values"}
        key = "-".join(str(value) for value in own.values())
        cells.append(filled | own | {table.FINGERPRINT: key, table.PARAMS: "{}", table.STEPS: BUDGET})
        wide[key] = {name: value for name, value in row["values"].items() if not isinstance(value, dict)}
        for name, points in row["values"].items():
            if isinstance(points, dict):
                wide[key][name] = 0.0
                at, seen = Floats(points), Floats(points.values())
                series.append((key, name, "lag", at, seen))
    columns = [table.FINGERPRINT, table.MEASUREMENT, table.AXIS, table.AT, table.VALUE]
    side_by_side = pd.DataFrame.from_dict(wide, orient="index").dropna(how="all")
    return Tables(pd.DataFrame(cells), pd.DataFrame(), pd.DataFrame(series, columns=columns), side_by_side)


def atom(test, **fields):
    arms = {
        "subject": {"task": "recall", "model": "transformer"},
        "reference": {"task": "recall", "model": "lstm"},
    }
    given = {"estimand": "a difference", "unit": "1", "test": test, "arms": arms, "support": 0.2} | fields
    return Atom.model_validate(given)


def found(of, rows):
    return evidence.gather("a", of, tables(rows), RULES, claim="C")


def word(of, rows):
    """Return the word that the atom gets at the hardest level of eight claims."""
    item = found(of, rows)
    return base._word(item, LEVELS)  # the rule of one atom, without the claim around it


def solving(model, solved, **more):
    """Return cells of which each solved after the given share of the budget, or not at all: None."""
    return [
        cell(
            model,
            seed,
            status="ok" if share is not None else "unsolved",
            steps_to_solve=math.inf if share is None else share * BUDGET,
            **more,
        )
        for seed, share in enumerate(solved)
    ]


QUICK = (0.1, 0.2, 0.15, 0.25, 0.1, 0.2)
NEVER = (None,) * 6


# Shares solved


SHARES = atom("proportions", measurement="solved")


@pytest.mark.parametrize(
    ("subject", "reference", "expected"),
    [
        (QUICK, NEVER, Verdict.SUPPORTED),
        (NEVER, QUICK, Verdict.CONTRADICTED),
        (QUICK, QUICK, Verdict.INCONCLUSIVE),
        (QUICK[:4], NEVER[:4], Verdict.INCONCLUSIVE),
    ],
    ids=["planted", "reversed", "none", "too few seeds"],
)
def test_solve_rates_follow_the_truth(subject, reference, expected):
    """All against none, none against all, alike, and four seeds, whose smallest p is .0168."""
    assert word(SHARES, solving("transformer", subject) + solving("lstm", reference)) == expected


def test_solve_rates_have_exact_p_and_bounds():
    """Six of six against none of six at a margin of .2: p = 0.6¹², θ = 1, and the bounds invert the test."""
    item = found(SHARES, solving("transformer", QUICK) + solving("lstm", NEVER))
    bounds = evidence.bounds(item, AtomLevels(0.6**12, HOLM))
    assert (item.effect, item.n, item.p.support) == pytest.approx((1.0, 6, 0.6**12))
    assert (bounds.lower, bounds.upper) == pytest.approx((0.2, 1.0), abs=1e-4)


def test_an_unsolved_or_diverged_cell_is_a_known_failure():
    """Both did not solve the task, and it is known: they are no failed cells that could have gone either way."""
    lost = [
        cell("lstm", seed, status=status, steps_to_solve=math.inf)
        for seed, status in enumerate(["unsolved", "diverged"] * 3)
    ]
    item = found(SHARES, solving("transformer", QUICK) + lost)
    assert (item.arms[1].failed, item.arms[1].mean, item.reason) == (0, 0.0, "")


def test_a_crashed_cell_counts_both_ways():
    """With one of the LSTM's cells lost, the p-value is that of six against one: it might have solved."""
    rows = solving("transformer", QUICK) + solving("lstm", NEVER[:5]) + [cell("lstm", 5, status="crashed")]
    assert found(SHARES, rows).p.support == pytest.approx(0.01959, abs=1e-4)


def test_a_task_that_is_never_solved_has_no_solve_rate():
    """Training without a threshold ends ok after infinitely many steps: that is no failure to solve."""
    rows = [cell(model, seed, steps_to_solve=math.inf) for model in ("transformer", "lstm") for seed in range(6)]
    assert found(SHARES, rows).reason == "solved is in no usable record"


def test_two_cells_of_a_seed_are_not_two_trials():
    """An arm that leaves the length open at two lengths is refused by name."""
    rows = solving("transformer", QUICK) + solving("lstm", NEVER) + solving("lstm", NEVER, length=21)
    expected = "the arm 'reference' has several cells of a seed; name the length, width and parameters"
    assert found(SHARES, rows).reason == expected


# Times to solve


TIMES = atom("time_to_solve", measurement="steps_to_solve", support=math.log(2))


@pytest.mark.parametrize(
    ("subject", "reference", "expected"),
    [
        (NEVER, QUICK, Verdict.SUPPORTED),
        (QUICK, NEVER, Verdict.CONTRADICTED),
        (QUICK, QUICK, Verdict.INCONCLUSIVE),
        (NEVER, NEVER, Verdict.INCONCLUSIVE),
        (NEVER[:3], QUICK[:3], Verdict.INCONCLUSIVE),
    ],
    ids=["planted", "reversed", "none", "nobody solved", "too few seeds"],
)
def test_times_to_solve_follow_the_truth(subject, reference, expected):
    """An arm that never solved against one at a sixth of the budget, and the cases that say nothing."""
    assert word(TIMES, solving("transformer", subject) + solving("lstm", reference)) == expected


def test_the_effect_is_the_ln_ratio_of_restricted_means():
    """All of the budget against a sixth of it is ln 6, and the arms show steps."""
    item = found(TIMES, solving("transformer", NEVER) + solving("lstm", QUICK))
    bounds = evidence.bounds(item, LEVELS)
    assert item.effect == pytest.approx(math.log(6))
    assert [arm.mean for arm in item.arms] == pytest.approx([BUDGET, BUDGET / 6])
    assert math.log(2) < bounds.lower < math.log(6) < bounds.upper


def test_a_cell_that_ran_out_of_time_could_have_solved_at_once():
    """A time-out has no steps: by the rules it used its budget, at its best for the reference it took none."""
    rows = solving("transformer", NEVER) + solving("lstm", QUICK[:5]) + [cell("lstm", 5, status="timeout")]
    item = found(TIMES, rows)
    assert item.arms[1].values[5] == BUDGET
    assert item.p.support > found(TIMES, solving("transformer", NEVER) + solving("lstm", QUICK)).p.support


# Slopes over lengths


def remembering(model, slope, *, spread=0.02, seeds=8, lengths=(16, 32), status=None, sign=1):
    """Return capacity cells whose bits recalled rise by `slope` for each bit written."""
    rng = np.random.default_rng(3)
    return [
        cell(
            model,
            seed,
            task="capacity",
            probe="capacity",
            length=length,
            width=8,
            status=(status or {}).get((seed, length), "ok"),
            **(
                {}
                if (seed, length) in (status or {})
                else {
                    "bits_recalled": 8 + (slope + spread * rng.normal()) * length,
                    "load": length / 8,
                    "state_floats": 8.0,
                }
            ),
        )
        for seed in range(seeds)
        for length in lengths
    ]


def memory(model, **fields):
    return {"task": "capacity", "probe": "capacity", "model": model, **fields}


SATURATION = atom(
    "one_sample",
    measurement="bits_recalled",
    slope_over="length",
    against=1,
    sign=-1,
    support=0.8,
    arms={"subject": memory("gru", length=[16, 32])},
)


@pytest.mark.parametrize(
    ("slope", "seeds", "expected"),
    [
        (0.0, 8, Verdict.SUPPORTED),
        (1.2, 8, Verdict.CONTRADICTED),
        (0.5, 8, Verdict.INCONCLUSIVE),
        (0.0, 5, Verdict.INCONCLUSIVE),
    ],
    ids=["planted", "reversed", "between", "too few seeds"],
)
def test_saturation_follows_the_truth(slope, seeds, expected):
    """θ = 1 − slope: flat, steeper than everything recalled, half, and five seeds with 2⁻⁵ as the smallest p."""
    assert word(SATURATION, remembering("gru", slope, seeds=seeds)) == expected


def test_the_value_of_a_seed_is_one_minus_its_slope():
    """The effect is the mean of the seeds' own, the arm shows slopes, and other lengths stay out."""
    rows = remembering("gru", 0.25, spread=0.0)
    stray = [cell("gru", 0, task="capacity", probe="capacity", length=64, width=8, bits_recalled=90.0)]
    item = found(SATURATION, rows + stray)
    assert item.effect == pytest.approx(0.75)
    assert item.arms[0].values == pytest.approx((0.25,) * 8)


def test_a_lost_cell_makes_the_slope_as_steep_as_it_could_be():
    """The far cell of one seed is lost: at worst all 32 bits were recalled, at best none, and the larger p rules."""
    rows = remembering("gru", 0.0, status={(2, 32): "timeout"})
    item = found(SATURATION, rows)
    worst = [row for row in rows if (row[table.SEED], row[table.LENGTH]) != (2, 32)]
    worst += [
        cell(
            "gru", 2, task="capacity", probe="capacity", length=32, width=8, bits_recalled=32.0, load=4, state_floats=8
        )
    ]
    assert item.arms[0].failed == 1
    assert item.p.support == pytest.approx(found(SATURATION, worst).p.support)


def test_a_lost_near_cell_is_filled_the_other_way():
    """At the near end of the line, the worst for saturation is that nothing was recalled there."""
    rows = remembering("gru", 0.0, status={(2, 16): "timeout"})
    worst = [row for row in rows if (row[table.SEED], row[table.LENGTH]) != (2, 16)]
    worst += [
        cell("gru", 2, task="capacity", probe="capacity", length=16, width=8, bits_recalled=0.0, load=2, state_floats=8)
    ]
    assert found(SATURATION, rows).p.support == pytest.approx(found(SATURATION, worst).p.support)


def test_two_lost_cells_are_filled_against_each_other():
    """At worst nothing was recalled at the near end and everything at the far one, and the reason says so."""
    rows = remembering("gru", 0.0, status={(2, 16): "timeout", (2, 32): "timeout"})
    known = [row for row in rows if row[table.SEED] != 2]
    ends = {"best": {16: 16.0, 32: 0.0}, "worst": {16: 0.0, 32: 32.0}}
    p = {}
    for name, bits in ends.items():
        filled = [
            cell(
                "gru", 2, task="capacity", probe="capacity", length=n, width=8, bits_recalled=b, load=1, state_floats=n
            )
            for n, b in bits.items()
        ]
        p[name] = found(SATURATION, known + filled).p.support
    item = found(SATURATION, rows)
    assert item.p.support == pytest.approx(p["worst"])
    assert item.reason.endswith(f"{p['best']:.3g} if all were best, {p['worst']:.3g} if all were worst")
    assert p["best"] < p["worst"]


def test_a_seed_with_one_length_has_no_slope():
    """Of an excluded cell the rules leave one point, and the seed is not counted."""
    item = found(SATURATION, remembering("gru", 0.0, status={(2, 32): "crashed"}))
    assert (len(item.arms[0].values), item.arms[0].failed) == (7, 1)


CONTRAST = atom(
    "two_sample",
    measurement="bits_recalled",
    slope_over="length",
    support=0.5,
    arms={"subject": memory("transformer"), "reference": memory("gru")},
)


@pytest.mark.parametrize(
    ("subject", "reference", "expected"),
    [(0.95, 0.05, Verdict.SUPPORTED), (0.05, 0.95, Verdict.CONTRADICTED), (0.4, 0.05, Verdict.INCONCLUSIVE)],
    ids=["planted", "reversed", "between"],
)
def test_the_contrast_of_slopes_follows_the_truth(subject, reference, expected):
    """The slope of attention minus that of the recurrent model, seeds as replicates of each."""
    assert word(CONTRAST, remembering("transformer", subject) + remembering("gru", reference)) == expected


# Capacity over state


PROPORTIONAL = atom(
    "one_sample",
    measurement="capacity",
    slope_over="ln_state_floats",
    ln=True,
    support=0.5,
    contradict=0.1,
    arms={"subject": memory("gru")},
)


def saturating(exponent, *, seeds=8, lost=()):
    """Return cells of three widths whose capacity is floats to the power of `exponent`, at five loads each."""
    rng = np.random.default_rng(5)
    rows = []
    for seed in range(seeds):
        for width in (4, 8, 16):
            capacity = 2.0 * width**exponent * math.exp(0.02 * rng.normal())
            for length in (width // 2, width, 2 * width, 4 * width, 8 * width):
                values = {
                    "bits_recalled": -capacity * math.expm1(-length / capacity),
                    "load": length / width,
                    "state_floats": float(width),
                }
                gone = (seed, width) in lost
                status = "timeout" if gone else "ok"
                values = {} if gone else values
                rows.append(
                    cell(
                        "gru",
                        seed,
                        task="capacity",
                        probe="capacity",
                        length=length,
                        width=width,
                        status=status,
                        **values,
                    )
                )
    return rows


@pytest.mark.parametrize(
    ("exponent", "expected"), [(1.0, Verdict.SUPPORTED), (0.0, Verdict.CONTRADICTED), (0.3, Verdict.INCONCLUSIVE)]
)
def test_proportionality_follows_the_truth(exponent, expected):
    """The slope of ln capacity over ln state floats: one, none, and in between."""
    item = found(PROPORTIONAL, saturating(exponent))
    assert item.effect == pytest.approx(exponent, abs=0.03)
    assert base._word(item, LEVELS) == expected


def test_a_width_that_recalled_nothing_has_no_logarithm():
    """Its cells count as zero bits; neither verdict is reached and the reason says why."""
    item = found(PROPORTIONAL, saturating(1.0, lost={(3, 16)}))
    assert (item.p.support, item.p.contradict) == (1.0, 1.0)
    assert item.reason.startswith("capacity has a value whose logarithm is not finite")


# Slopes within a cell, and deterministic ones


FLAT = atom(
    "tost",
    measurement="recall_by_lag",
    slope_over="ln_lag",
    support=None,
    equivalence=0.03,
    arms={"subject": {"task": "recall", "model": "transformer"}},
)


def by_lag(slope, *, seeds=8, lost=()):
    rng = np.random.default_rng(1)
    return [
        cell("transformer", seed, status="diverged")
        if seed in lost
        else cell(
            "transformer",
            seed,
            recall_by_lag={lag: 0.9 + slope * math.log(lag) + 0.004 * rng.normal() for lag in (2.8, 17.0, 71.0)},
        )
        for seed in range(seeds)
    ]


@pytest.mark.parametrize(
    ("slope", "seeds", "expected"),
    [
        (0.0, 8, Verdict.SUPPORTED),
        (-0.15, 8, Verdict.CONTRADICTED),
        (-0.03, 8, Verdict.INCONCLUSIVE),
        (0.0, 5, Verdict.INCONCLUSIVE),
    ],
)
def test_flat_recall_follows_the_truth(slope, seeds, expected):
    """Recall over ln lag, within each cell: flat, falling, at the margin, and five seeds."""
    assert word(FLAT, by_lag(slope, seeds=seeds)) == expected


def test_a_diverged_cell_is_not_flat():
    """Recall at chance everywhere has slope zero, yet a model that diverged is no evidence of flat recall."""
    assert word(FLAT, by_lag(0.0, seeds=9)) == Verdict.SUPPORTED
    assert word(FLAT, by_lag(0.0, seeds=9, lost=(4,))) == Verdict.INCONCLUSIVE


DEPTH = atom(
    "exact",
    measurement="sequential_depth",
    slope_over="ln_length",
    ln=True,
    support=None,
    below=0.1,
    arms={"subject": {"task": "uniform_tokens", "probe": "sequential_depth", "model": "transformer"}},
)


@pytest.mark.parametrize(("power", "expected"), [(0.0, Verdict.SUPPORTED), (1.0, Verdict.CONTRADICTED)])
def test_depth_is_judged_by_arithmetic(power, expected):
    """The slope of ln stages over ln T of one seed decides, as chance has no part in it."""
    rows = [
        cell(
            "transformer",
            0,
            task="uniform_tokens",
            probe="sequential_depth",
            length=length,
            sequential_depth=40.0 * length**power,
        )
        for length in (64, 128, 256, 512)
    ]
    item = found(DEPTH, rows)
    assert (item.effect, base._word(item, LEVELS)) == (pytest.approx(power), expected)


def test_a_lost_depth_decides_nothing():
    """One length of one seed crashed: at worst its seed lies outside, and arithmetic has no say."""
    rows = [
        cell("transformer", 0, task="uniform_tokens", probe="sequential_depth", length=length, sequential_depth=40.0)
        for length in (64, 128)
    ]
    lost = cell("transformer", 0, task="uniform_tokens", probe="sequential_depth", length=256, status="crashed")
    assert word(DEPTH, [*rows, lost]) == Verdict.INCONCLUSIVE


# What all have in common


PLANTED = [
    (SHARES, solving("transformer", QUICK) + solving("lstm", NEVER)),
    (TIMES, solving("transformer", NEVER) + solving("lstm", QUICK)),
    (SATURATION, remembering("gru", 0.0)),
    (CONTRAST, remembering("transformer", 0.9) + remembering("gru", 0.1)),
    (PROPORTIONAL, saturating(1.0)),
    (FLAT, by_lag(0.0)),
]


@pytest.mark.parametrize(("of", "rows"), PLANTED)
def test_the_order_of_rows_does_not_matter(of, rows):
    """The same cells in reverse give the same numbers to the last digit."""
    one, other = found(of, rows), found(of, rows[::-1])
    assert (one.p, one.effect, one.arms) == (other.p, other.effect, other.arms)
    assert evidence.bounds(one, LEVELS) == evidence.bounds(other, LEVELS)


@pytest.mark.parametrize(("of", "rows"), PLANTED[:-1])
def test_what_is_supported_has_its_bound_beyond_the_margin(of, rows):
    """Verdict and interval never contradict each other."""
    item = found(of, rows)
    assert base._word(item, LEVELS) == Verdict.SUPPORTED
    assert evidence.bounds(item, LEVELS).lower > of.support


def test_from_twenty_seeds_on_support_has_the_bootstrap_bound_beyond_the_margin():
    """On skewed values Student's t would confirm where the BCa bound does not reach: the verdict follows the bound."""
    values = np.random.default_rng(4).exponential(0.5, 24) ** 2
    of = atom("one_sample", measurement="recall", support=0.2, arms={"subject": {"task": "recall", "model": "lstm"}})
    item = found(of, [cell("lstm", seed, recall=value) for seed, value in enumerate(values)])
    for level in (0.001, 0.01, 0.05, 0.2):
        bound = evidence.bounds(item, AtomLevels(level, level)).lower
        assert item.p.support > level or bound > of.support


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"test": "proportions", "measurement": "accuracy"}, "is about the measurement 'solved', not 'accuracy'"),
        ({"test": "time_to_solve", "measurement": "steps_to_solve", "sign": -1}, "swap them and leave out sign"),
        (
            {"test": "proportions", "measurement": "solved", "slope_over": "length"},
            "takes cells as they are; leave out slope_over, ln and against",
        ),
    ],
)
def test_what_a_test_cannot_use_is_refused(fields, message):
    """A pre-registration says at once what makes no sense."""
    with pytest.raises(ValidationError, match=message):
        atom(**fields)


@pytest.mark.parametrize(
    ("measurement", "low", "high"),
    [("recall", 0.0, 1.0), ("r2_drop", 0.0, 1.0), ("answer_change", 0.0, math.sqrt(2)), ("bits_recalled", 0.0, 61.0)],
)
def test_a_lost_cell_lies_between_natural_bounds(measurement, low, high):
    """The worst and the best of a crashed cell are those of the measurement, not those that were seen."""
    of = atom("one_sample", measurement=measurement, arms={"subject": {"task": "recall", "model": "lstm"}})
    rows = [cell("lstm", seed, **{measurement: 0.5}) for seed in range(8)] + [cell("lstm", 8, status="crashed")]
    arm = evidence._arm_rows(of.arms["subject"], of, tables(rows), RULES)
    lost = arm[arm["failed"]]
    assert (list(lost["low"]), list(lost["high"])) == ([low], [pytest.approx(high)])


@pytest.mark.parametrize(("of", "rows"), PLANTED)
def test_the_posterior_stands_beside_the_verdict(of, rows):
    """A planted effect is nearly sure to the posterior too; times to solve have none."""
    found_beside = testing.beside(of, found(of, rows).samples)
    if of is TIMES:
        assert found_beside is None
    else:
        assert found_beside.support > 0.98
        assert not posterior.disagrees(Verdict.SUPPORTED, found_beside)


# Factors of a factorial


CELLS = [(model, layers, width) for model in ("gru", "lstm", "rnn") for layers in (1, 2) for width in (64, 128)]


def factor(**fields):
    arms = {str(layers): {"task": "recall", "model": ["gru", "lstm", "rnn"], "layers": layers} for layers in (1, 2)}
    given = {"measurement": "bits", "arms": arms, "blocks": ["model", "width"], "support": 0.02, "contradict": 0.02}
    return atom("factor", **(given | fields))


def factorial(by_layers, *, seeds=3, spread=0.005, crossed=0.0, fail=lambda *_: None, drop=lambda *_: False):
    """Return cells in which layers count `by_layers`, models 1 and 0.3, widths 0.2, and layers of a GRU `crossed`."""
    rng = np.random.default_rng(4)
    rows = []
    for model, layers, width in CELLS:
        mean = {"gru": 0.0, "lstm": 0.3, "rnn": 1.0}[model] + 0.2 * (width == 64)
        mean += by_layers * (layers == 2) + crossed * (model == "gru") * (layers - 1.5)
        for seed in range(seeds):
            noise = spread * rng.normal()
            place = {"layers": layers, "width": width}
            if drop(model, layers, width, seed):
                continue
            if status := fail(model, layers, width, seed):
                rows.append(cell(model, seed, status=status, **place))
            else:
                rows.append(cell(model, seed, **place, bits=mean + noise))
    return rows


@pytest.mark.parametrize(
    ("by_layers", "more", "expected"),
    [
        (0.1, {}, Verdict.SUPPORTED),
        (-0.1, {}, Verdict.SUPPORTED),
        (0.0, {}, Verdict.CONTRADICTED),
        (0.021, {}, Verdict.INCONCLUSIVE),
        (0.1, {"crossed": 2.0}, Verdict.SUPPORTED),
        (0.1, {"spread": 0.05}, Verdict.INCONCLUSIVE),
        (0.0, {"seeds": 2, "spread": 0.02}, Verdict.INCONCLUSIVE),
    ],
    ids=["planted", "reversed", "none", "at the margin", "interaction", "below 2 SD of seeds", "few seeds"],
)
def test_a_factor_follows_the_truth(by_layers, more, expected):
    """Whatever models and widths do; what differs by less than twice the SD of seeds is no dependence."""
    assert word(factor(), factorial(by_layers, **more)) == expected


def test_a_factor_has_its_effect_in_the_units_of_the_measurement():
    """θ is the difference of level means, n the seeds of a configuration; share and SD stand in the reason."""
    item = found(factor(), factorial(0.1))
    assert item.effect == pytest.approx(0.1, abs=0.005)
    assert (item.n, item.p.support < 1e-9) == (3, True)
    assert item.reason.startswith("ω² = 0.9")
    assert "twice the SD of seeds = 0.0" in item.reason
    assert item.reason.endswith("36 cells with 24 degrees of freedom of error")
    assert [arm.model for arm in item.arms] == ["gru, lstm, rnn"] * 2


def test_bounds_of_a_factor_invert_its_test():
    """At the p-value that it reached, the lower bound lies at the margin."""
    of, rows = factor(), factorial(0.03)
    item = found(of, rows)
    level = AtomLevels(item.p.support, 0.05)
    assert evidence.bounds(item, level).lower == pytest.approx(of.support, abs=1e-6)


def test_other_levels_are_other_arms():
    """The type of layer as factor: three levels, one model each, with layers and width as blocks."""
    types = {model: {"task": "recall", "model": model} for model in ("gru", "lstm", "rnn")}
    item = found(factor(arms=types, blocks=["layers", "width"]), factorial(0.1))
    assert item.effect == pytest.approx(1.0, abs=0.01)


def test_logarithms_of_an_excess_make_a_factor_too():
    """With ln and against, θ is the ratio of what is left over the floor."""
    rows = factorial(0.0, spread=0.0)
    rows = [
        row | {"values": {"bits": 0.5 + math.exp(row["values"]["bits"] + row[table.LAYERS]), "floor": 0.5}}
        for row in rows
    ]
    assert found(factor(against="floor", ln=True), rows).effect == pytest.approx(1.0)


def test_a_response_without_logarithm_decides_nothing():
    """A cell at or below its floor leaves both p-values at 1."""
    rows = [row | {"values": {"bits": 0.5, "floor": 0.5}} for row in factorial(0.1)]
    item = found(factor(against="floor", ln=True), rows)
    assert (item.p.support, item.p.contradict, item.effect) == (1.0, 1.0, None)


@pytest.mark.parametrize(
    ("fields", "rows", "reason"),
    [
        ({}, factorial(0.1, drop=lambda _, layers, *__: layers == 2), "no cells planned for 2 (gru, lstm, rnn)"),
        ({}, factorial(0.1, fail=lambda _, layers, *__: table.MISSING if layers == 2 else None), "18 of 36 cells ran"),
        (
            {},
            factorial(0.1, fail=lambda _, layers, *__: "error" if layers == 2 else None),
            "bits is in no usable record",
        ),
        ({}, factorial(0.1, seeds=1), "no configuration has replicates; give two seeds or more"),
        (
            {},
            factorial(0.1, drop=lambda model, layers, *_: (model == "rnn") == (layers == 1)),
            "the level '1' has no model and width in common with another, so nothing compares it",
        ),
        (
            {"blocks": ["model"]},
            factorial(0.1),
            "the level '1' has several cells of a seed that no block tells apart",
        ),
    ],
    ids=["unplanned level", "missing level", "level lost", "no replicates", "confounded", "forgotten block"],
)
def test_a_factorial_that_tells_nothing_is_not_tested(fields, rows, reason):
    """A level without cells, one seed, levels that come with one model only, and a factor that was forgotten."""
    item = found(factor(**fields), rows)
    assert (item.state, item.reason) == ("not tested", reason)


def one_at_a_time(*, confounded=False, seeds=3):
    """Return cells of which no level of layers meets all others: a layer counts 0.1, a GRU 0.5, a vanilla network 1."""
    rng = np.random.default_rng(7)
    places = [("lstm", 1, 64), ("lstm", 2, 64), ("rnn", 2, 64), ("rnn", 1, 64), ("gru", 2, 64), ("gru", 2, 128)]
    places += [("lstm", 3, 128)] if confounded else [("gru", 3, 128)]
    means = {"lstm": 0.0, "rnn": 1.0, "gru": 0.5}
    return [
        cell(model, seed, layers=layers, width=width, bits=means[model] + 0.1 * layers + 0.005 * rng.normal())
        for model, layers, width in places
        for seed in range(seeds)
    ]


def three_depths():
    models = ["gru", "lstm", "rnn"]
    return factor(arms={str(count): {"task": "recall", "model": models, "layers": count} for count in (1, 2, 3)})


def test_levels_are_compared_by_way_of_others():
    """One and three layers meet nowhere, but each meets two; cells with one level alone do not count."""
    item = found(three_depths(), one_at_a_time())
    assert item.effect == pytest.approx(0.2, abs=0.01)
    assert item.reason.endswith("18 cells with 12 degrees of freedom of error")


def test_a_level_that_nothing_compares_is_refused():
    """Three layers stand with an LSTM of 128 alone: its difference could be that of the width."""
    item = found(three_depths(), one_at_a_time(confounded=True))
    told = "the level '3' has no model and width in common with another, so nothing compares it"
    assert (item.state, item.reason) == ("not tested", told)


def test_pairs_of_levels_that_nothing_links_are_refused():
    """One and two layers meet at width 64, three and four at 128: between the pairs lies the width."""
    rows = [
        cell("rnn", seed, layers=layers, width=64 if layers < 3 else 128, bits=0.1 * layers + 0.001 * seed)
        for layers in (1, 2, 3, 4)
        for seed in range(3)
    ]
    arms = {str(layers): {"task": "recall", "model": "rnn", "layers": layers} for layers in (1, 2, 3, 4)}
    item = found(factor(arms=arms), rows)
    told = "the configurations do not tell the factors levels, model × width apart; add configurations"
    assert (item.state, item.reason) == ("not tested", told)


def test_what_other_factors_do_together_is_no_effect_of_the_levels():
    """Tanh alone is deep and wide, and there all is different: relu is compared with it where both are."""
    rng = np.random.default_rng(1)
    rows = [
        cell(model, seed, layers=layers, width=width, bits=(layers == 2 and width == 128) + 0.005 * rng.normal())
        for model, layers, width in [*((("tanh", n, w)) for n in (1, 2) for w in (64, 128)), ("relu", 1, 64)]
        for seed in range(5)
    ]
    arms = {model: {"task": "recall", "model": model} for model in ("tanh", "relu")}
    item = found(factor(arms=arms, blocks=["layers", "width"]), rows)
    assert item.effect == pytest.approx(0.0, abs=0.01)
    assert word(factor(arms=arms, blocks=["layers", "width"]), rows) == Verdict.CONTRADICTED


def test_a_lost_cell_leaves_a_large_effect_standing():
    """One crash of 36, in an unbalanced design: the worst value that was seen in its place changes nothing."""
    lost = found(factor(), factorial(2.0, fail=lambda *at: "crashed" if at == ("rnn", 2, 64, 1) else None))
    assert "1 failed cells" in lost.reason
    assert lost.effect == pytest.approx(2.0, abs=0.01)
    assert lost.p.support > found(factor(), factorial(2.0)).p.support


@pytest.mark.parametrize("by_layers", [0.1, 0.0], ids=["support", "contradiction"])
def test_lost_cells_that_could_overturn_a_factor_leave_it_open(by_layers):
    """Every seed 1 of two layers is gone: with values as those of other configurations nothing would be decided."""
    rows = factorial(by_layers, fail=lambda _, layers, __, seed: "crashed" if (layers, seed) == (2, 1) else None)
    assert word(factor(), rows) == Verdict.INCONCLUSIVE


def test_a_factor_has_no_posterior():
    """No likelihood here describes a largest difference of adjusted means."""
    of = factor()
    assert testing.beside(of, found(of, factorial(0.1)).samples) is None


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: factor(arms={"1": {"task": "recall", "model": "rnn"}}), "needs two arms or more"),
        (lambda: factor(contradict=0.0), "give a margin contradict above 0"),
        (lambda: factor(support=None), "test factor needs the margin 'support'"),
        (lambda: factor(sign=-1), "unsigned: no slope_over, sign, number in against, or capacity"),
        (lambda: factor(against=1.0), "unsigned: no slope_over, sign, number in against, or capacity"),
        (lambda: atom("one_sample", measurement="bits", blocks=["model"]), "blocks is given, which only the test"),
        (
            lambda: atom(
                "one_sample", measurement="bits", arms={"subject": {"task": "recall", "model": ["gru", "rnn"]}}
            ),
            "the arm 'subject' names several models, which only the test factor can tell apart",
        ),
    ],
)
def test_what_makes_no_factor_is_refused(build, message):
    """One level, a margin that nothing could fall below, orientation, and several models or blocks elsewhere."""
    with pytest.raises(ValidationError, match=message):
        build()
