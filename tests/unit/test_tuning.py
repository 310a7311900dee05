"""Tuning without training: which trials there are, what follows from them, and that no test number can reach it."""

import dataclasses
import itertools
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqbench import tuning
from seqbench.cell import Cell, RateRule, TrainConfig
from seqbench.record import CorpusFacts, Environment, Measurement, Record, Series
from seqbench.tuning import Curve, Refused

GRID = (3e-4, 1e-3, 3e-3, 1e-2)
RULE = RateRule(
    task="recall",
    length=9,
    width=8,
    training=TrainConfig(steps=6, batch=2),
    rates=GRID,
    seeds=2,
    first_seed=500,
    pick="best",
)
HERE = Environment(
    machine="m1", cpu="c", cores=2, memory_gib=8, device="cpu", threads=1, system="s", libraries={"torch": "2"}
)


def curves(losses):
    """Return rate -> curves of trials whose last validations are these; a list has one per seed, None failed."""
    pairs = {rate: loss if isinstance(loss, list) else [loss] for rate, loss in losses.items()}
    return {
        rate: tuple(Curve() if loss is None else Curve(at=(1.0, 2.0), losses=(9.0, loss)) for loss in each)
        for rate, each in pairs.items()
    }


def record_of(cell, loss, *, rate=None, status="unsolved", more=()):
    series = Series(axis="step", at=(3.0, 6.0), values=(9.0, loss))
    return Record(
        cell=cell,
        fingerprint="0" * 64,
        preregistration="",
        status=status,
        measurements=(*more, Measurement(name="evaluation_loss", value=loss, unit="nat", series=series)),
        learning_rate=cell.training.learning_rate if rate is None else rate,
        environment=HERE,
        wall_seconds=1.0,
        finished="2026-01-01T00:00:00+00:00",
    )


def records_of(losses, *, beyond=None, rule=RULE, model="rnn", **changes):
    """Return the records of every trial of a model: losses by rate of the grid, and that of the further rate."""
    found = {cell: record_of(cell, losses[cell.training.learning_rate], **changes) for cell in tuning.grid(rule, model)}
    if beyond is not None:
        solved = any(item.name == "steps_to_solve" for item in changes.get("more", ()))
        first = {rate: (Curve(at=(1.0,), losses=(loss,), solved=solved),) for rate, loss in losses.items()}
        rate = tuning.further_rate(first)
        found |= {cell: record_of(cell, beyond, rate=rate, **changes) for cell in tuning.extensions(rule, model)}
    return found


def by_rate(*losses):
    return dict(zip(GRID, losses, strict=True))


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ((1, 2, 3, 4), 3e-4 / math.sqrt(10)),
        ((4, 3, 2, 1), 1e-2 * math.sqrt(10)),
        ((4, 1, 2, 3), math.sqrt(1e-3 * 3e-3)),
        ((2, 1, 4, 3), math.sqrt(1e-3 * 3e-4)),
        ((4, 2, 1, 3), math.sqrt(3e-3 * 1e-3)),
        ((2, 1, 2, 3), math.sqrt(1e-3 * 3e-4)),
    ],
)
def test_the_further_rate_lies_beyond_a_best_edge_else_beside_the_best(losses, expected):
    """Half a decade beyond the grid, or halfway on a log scale to the better neighbour; of equal ones the lower."""
    assert tuning.further_rate(curves(by_rate(*losses))) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("losses", [(1, 2, 3, 4), (4, 3, 2, 1), (4, 1, 2, 3)])
def test_every_model_gets_the_same_number_of_trials(losses):
    """An edge or none: as many cells for every model, and one rate more than the grid has."""
    assert len(tuning.grid(RULE, "rnn")) == len(tuning.grid(RULE, "lstm")) == 8
    assert len(tuning.extensions(RULE, "rnn")) == len(tuning.extensions(RULE, "lstm")) == 2
    made = tuning.choice(RULE, "rnn", records_of(by_rate(*losses), beyond=2.5))
    assert len(made.trials) == 5


def test_trials_are_of_the_rules_task_on_its_seeds_and_measure_training_alone():
    """Whatever cell a rule stands in, its trials are the same: task, length, size, seeds from the first on."""
    cells = (*tuning.grid(RULE, "gru"), *tuning.extensions(RULE, "gru"))
    assert {(c.task, c.probe, c.model, c.length, c.width) for c in cells} == {
        ("recall", "training_curves", "gru", 9, 8)
    }
    assert sorted({c.seed for c in cells}) == [500, 501]
    assert [c.training.learning_rate for c in tuning.grid(RULE, "gru")] == [*GRID, *GRID]
    assert [Cell.model_validate(c.model_dump()) for c in cells] == list(cells)


def test_a_further_rate_that_wins_beyond_the_edge_leaves_the_best_at_an_edge():
    """Nothing was tried on one side of it, so the cell is refused with a reason that names what was tried."""
    records = records_of(by_rate(4, 3, 2, 1), beyond=0.5)
    assert tuning.choice(RULE, "rnn", records).at_edge
    expected = (
        "best rate at the edge of the grid, 0.0316 of 0.0003, 0.001, 0.003, 0.01, 0.0316, even after its one "
        "extension; excluded from verdicts"
    )
    assert tuning.settle(RULE, "rnn", records) == Refused(expected)


def test_the_lower_edge_refuses_as_the_upper_one_does():
    """A rate below the grid that wins is at an edge too."""
    assert isinstance(tuning.settle(RULE, "rnn", records_of(by_rate(1, 2, 3, 4), beyond=0.5)), Refused)


@pytest.mark.parametrize(("losses", "best"), [((4, 3, 2, 1), 1e-2), ((1, 2, 3, 4), 3e-4)])
def test_an_edge_of_the_grid_stands_once_something_worse_was_tried_beyond_it(losses, best):
    """The extension lost, so the edge of the grid has a neighbour on both sides and is the rate."""
    assert tuning.settle(RULE, "rnn", records_of(by_rate(*losses), beyond=1.5)) == best


@pytest.mark.parametrize(("beyond", "best"), [(0.5, math.sqrt(1e-3 * 3e-3)), (1.5, 1e-3)])
def test_inside_the_grid_the_better_of_best_and_midpoint_is_the_rate(beyond, best):
    """The midpoint is a trial like any other."""
    found = tuning.settle(RULE, "rnn", records_of(by_rate(4, 1, 2, 3), beyond=beyond))
    assert found == pytest.approx(best, rel=1e-12)


def test_the_mean_over_seeds_decides():
    """One lucky seed does not: 1 and 5 are worse than 2 and 2."""
    made = tuning.choose(curves({1e-3: [1, 5], 3e-3: [2, 2], 1e-2: [3, 4]}), rates=GRID)
    assert (made.rate, made.trials[0].loss) == (3e-3, 3)


def test_a_failed_seed_ranks_below_every_rate_without_one():
    """However good the other seed was: divergence is the worst there is."""
    made = tuning.choose(curves({1e-3: [2, 2], 3e-3: [0.1, None], 1e-2: [None, None]}), rates=GRID)
    assert [trial.rate for trial in sorted(made.trials, key=lambda trial: trial.rank)] == [1e-3, 3e-3, 1e-2]
    assert made.losses == (2, 2, 2)


@pytest.mark.parametrize("status", ["diverged", "timeout", "oom", "crashed", "error", "structural"])
def test_a_trial_that_failed_has_no_curve(status):
    """Numbers of a training that did not end well stand for nothing."""
    cell = tuning.grid(RULE, "rnn")[0]
    assert tuning.curve_of(record_of(cell, 0.1, status=status)).loss == math.inf


def test_where_every_trial_failed_there_is_no_rate_and_the_reason_says_so():
    """Extension and evaluation are refused alike, with what the first trial said."""
    records = {
        cell: record.model_copy(update={"error": "no number"})
        for cell, record in records_of(by_rate(1, 2, 3, 4), status="diverged").items()
    }
    expected = Refused("no trial of a learning rate gave a loss; the first: no number")
    extension = RULE.model_copy(update={"pick": "extension"})
    assert [tuning.settle(rule, "rnn", records) for rule in (RULE, extension)] == [expected] * 2


def test_the_robust_width_counts_rates_of_the_grid_within_a_tenth_of_the_best():
    """The further rate is no point of the grid, and one with a failed seed is not robust."""
    losses = {3e-4: [3, 3], 1e-3: [1.04, 1.1], 2e-3: [1, 1], 3e-3: [1.09, 1.09], 1e-2: [1, None]}
    assert tuning.choose(curves(losses), rates=GRID).robust_width == 2


def solved_at(*places, losses=(2.0, 2.0, 2.0, 2.0)):
    """Return curves of the grid with two seeds each, solved at these places of it."""
    return {
        rate: (Curve(at=(1.0,), losses=(losses[place],), solved=place in places),) * 2
        for place, rate in enumerate(GRID)
    }


@pytest.mark.parametrize(
    ("places", "losses", "best", "width"),
    [
        ((1, 2, 3), (0.5, 0.3, 0.2, 0.1), GRID[1], 3),
        ((2, 3), (0.5, 0.3, 0.2, 0.1), GRID[2], 2),
        ((0, 1, 2, 3), (0.5, 0.3, 0.2, 0.1), GRID[1], 4),
        ((3,), (0.5, 0.3, 0.2, 0.9), GRID[3], 1),
    ],
)
def test_rates_that_solve_the_task_are_equally_good(places, losses, best, width):
    """Where training ends as a task is solved, its last loss ranks nothing: the middle rate is taken, off the edges."""
    made = tuning.choose(solved_at(*places, losses=losses), rates=GRID)
    assert (made.rate, made.robust_width, made.at_edge) == (best, width, best == GRID[3])


def test_the_further_rate_of_a_solved_task_lies_beside_the_middle():
    """With three of four rates solved, the midpoint goes towards the better neighbour of the middle one."""
    assert tuning.further_rate(solved_at(1, 2, 3)) == pytest.approx(math.sqrt(GRID[1] * GRID[2]))
    assert tuning.further_rate(solved_at(3)) == pytest.approx(GRID[3] * tuning.HALF_DECADE)
    beside = solved_at(1, 2, losses=(0.1, 0.3, 0.4, 0.5))
    assert tuning.further_rate(beside) == pytest.approx(math.sqrt(GRID[1] * GRID[2]))
    everywhere = solved_at(0, 1, 2, 3, losses=(0.4, 0.3, 0.2, 0.1))
    assert tuning.further_rate(everywhere) == pytest.approx(math.sqrt(GRID[0] * GRID[1]))


@pytest.mark.parametrize("status", ["error", "crashed", "oom", "timeout"])
def test_a_trial_that_did_not_run_through_gives_no_rate(status):
    """It says nothing about its rate; one that diverged does, and ranks last."""
    held = records_of(by_rate(4, 1, 2, 3), beyond=1.5)
    first = tuning.grid(RULE, "rnn")[1]
    found = tuning.settle(RULE, "rnn", held | {first: held[first].model_copy(update={"status": status, "error": "x"})})
    assert found == Refused(f"a trial of a learning rate has no result ({status}: x), so that no rate is the best")
    diverged = held | {first: held[first].model_copy(update={"status": "diverged"})}
    assert not isinstance(tuning.settle(RULE.model_copy(update={"pick": "extension"}), "rnn", diverged), Refused)


def test_one_unsolved_seed_leaves_a_rate_unsolved():
    """A rate that solved the task on one of two seeds ranks behind one that solved it on both, whatever its loss."""
    made = tuning.choose(
        {
            1e-3: (Curve(at=(1.0,), losses=(0.1,), solved=True), Curve(at=(1.0,), losses=(0.1,))),
            3e-3: (Curve(at=(1.0,), losses=(0.4,), solved=True),) * 2,
            1e-2: (Curve(at=(1.0,), losses=(0.2,)),) * 2,
        },
        rates=GRID,
    )
    assert (made.rate, made.robust_width) == (3e-3, 1)


def test_a_record_tells_whether_its_trial_solved_the_task():
    """The steps to solve are finite where validation reached the threshold."""
    cell = tuning.grid(RULE, "rnn")[0]
    told = [Measurement(name="steps_to_solve", value=steps, unit="step") for steps in (25.0, math.inf)]
    assert [tuning.curve_of(record_of(cell, 1.0, more=(item,))).solved for item in told] == [True, False]


def test_a_curve_is_read_as_training_ended():
    """The last validation; the least where training goes back to it; the late training loss where nothing else is."""
    at, losses = tuple(map(float, range(1, 21))), (*[5.0] * 17, 0.5, 3.0, 1.0)
    assert Curve(at=at, losses=losses).loss == 1.0
    assert Curve(at=at, losses=losses, read="least").loss == 0.5
    assert Curve(at=at, losses=losses, read="tail").loss == 2.0
    assert Curve(at=(1.0,), losses=(math.nan,)).loss == math.inf


def test_a_real_text_is_read_at_its_best_and_a_generated_one_at_its_end():
    """Training on a real text keeps its best weights; a generated text is not validated, for nothing is seen twice."""
    validated = record_of(tuning.grid(RULE, "rnn")[0], 2.0)
    real = validated.model_copy(update={"corpus": CorpusFacts(name="n", sha256="s", split="story")})
    (curve,) = validated.measurements
    trained = validated.model_copy(update={"measurements": (curve.model_copy(update={"name": "training_loss"}),)})
    assert [tuning.curve_of(entry).read for entry in (validated, real, trained)] == ["last", "least", "tail"]


def test_nothing_measured_on_test_sequences_can_decide():
    """Planted scores that shout for another rate change nothing: the selection sees how training went and ended."""
    losses = by_rate(4, 1, 2, 3)
    honest = records_of(losses, beyond=1.5)
    shouting = {}
    for cell, record in honest.items():
        score = 1.0 if record.learning_rate == 1e-2 else 0.0
        tests = [
            Measurement(name=name, value=value, unit="1", series=Series(axis="step", at=(1.0,), values=(value,)))
            for name, value in (
                ("accuracy", score),
                ("recall_far", score),
                ("loss", -score),
                ("bits_per_character", -score),
            )
        ]
        shouting[cell] = record.model_copy(update={"measurements": (*tests, *record.measurements)})
    assert tuning.choice(RULE, "rnn", shouting) == tuning.choice(RULE, "rnn", honest)
    assert {field.name for field in dataclasses.fields(Curve)} == {"at", "losses", "read", "solved"}


def test_what_a_scored_cell_measured_is_no_curve_of_a_trial():
    """A record of a cell that is scored on its test holds nothing for the selection, whatever its numbers."""
    scored = tuning.grid(RULE, "rnn")[0].model_copy(update={"probe": None})
    assert tuning.curve_of(record_of(scored, 0.1)) == Curve()


def test_there_is_no_rate_while_a_trial_lacks_its_record():
    """Neither a further rate from half a grid, nor a best one without the further rate."""
    full = records_of(by_rate(4, 1, 2, 3), beyond=1.5)
    extension = RULE.model_copy(update={"pick": "extension"})
    first, last = tuning.grid(RULE, "rnn")[0], tuning.extensions(RULE, "rnn")[1]
    without_first = {cell: record for cell, record in full.items() if cell != first}
    without_last = {cell: record for cell, record in full.items() if cell != last}
    assert [tuning.settle(extension, "rnn", held) for held in (without_first, full)] == [None, math.sqrt(1e-3 * 3e-3)]
    assert [tuning.settle(RULE, "rnn", held) for held in (without_first, without_last)] == [None, None]


def test_an_extension_that_no_longer_follows_from_its_grid_gives_no_rate():
    """A trial of the grid was tried again and another rate is best: what was tried beyond the old one is outdated."""
    held = records_of(by_rate(4, 1, 2, 3), beyond=1.5)
    for cell in tuning.grid(RULE, "rnn"):
        held[cell] = record_of(cell, by_rate(4, 3, 2, 1)[cell.training.learning_rate])
    assert tuning.settle(RULE, "rnn", held) is None
    assert [tuning.outdated(held[cell], held) for cell in tuning.extensions(RULE, "rnn")] == [True, True]


@given(losses=st.lists(st.floats(0, 10), min_size=1, max_size=5), draws=st.integers(1, 4))
def test_the_expected_best_is_the_mean_over_all_draws(losses, draws):
    """Enumerating every draw with replacement and taking its least loss gives the closed form."""
    every = [min(drawn) for drawn in itertools.product(losses, repeat=draws)]
    assert tuning.expected_best(losses, draws) == pytest.approx(sum(every) / len(every), abs=1e-9)


def test_a_rule_is_refused_that_has_its_rate_already():
    """What is to be found is not given, and three rates are the least that have an inside."""
    fields = RULE.model_dump()
    with pytest.raises(ValueError, match=re.escape("a rule finds the learning rate; leave training.learning_rate out")):
        RateRule.model_validate(fields | {"training": {"steps": 1, "batch": 1, "learning_rate": 0.1}})
    for rates in ((1e-3, 1e-2), (1e-3, 1e-2, 3e-3), (0.0, 1e-3, 1e-2)):
        with pytest.raises(ValueError, match=r"at least 3|ascending|greater than 0"):
            RateRule.model_validate(fields | {"rates": rates})


def best_of(*, solved=False, **records):
    """Return the choice among an rnn and a gru, given the losses by rate of each, and whether the rnn solved it."""
    steps = (Measurement(name="steps_to_solve", value=3.0, unit="step"),) if solved else ()
    held = records_of(by_rate(*records["rnn"]), beyond=9.0, more=steps)
    if "gru" in records:
        held |= records_of(by_rate(*records["gru"]), beyond=9.0, model="gru")
    return tuning.best_of({"rnn": RULE, "gru": RULE}, held)


def test_the_candidate_with_the_least_loss_at_its_best_rate_is_chosen():
    """Not the one that is better on average, and of two that are as good the first."""
    assert best_of(rnn=(4, 4, 1, 4), gru=(2, 1.1, 2, 2)) == "rnn"
    assert best_of(rnn=(4, 4, 1.2, 4), gru=(2, 1.1, 2, 2)) == "gru"
    assert best_of(rnn=(4, 1, 3, 4), gru=(2, 2, 1, 2)) == "rnn"


def test_a_candidate_that_solved_the_task_on_every_seed_comes_first():
    """Whatever the losses, as solved trainings end early."""
    assert best_of(rnn=(4, 4, 4, 4), gru=(2, 1.1, 2, 2), solved=True) == "rnn"


def test_a_candidate_all_of_whose_trials_failed_is_not_chosen():
    """It failed for all to see, which is a result."""
    held = records_of(by_rate(4, 1, 3, 4), beyond=9.0)
    held |= records_of(by_rate(1, 1, 1, 1), model="gru", status="diverged")
    assert tuning.best_of({"gru": RULE, "rnn": RULE}, held) == "rnn"


def test_there_is_no_choice_while_a_candidate_lacks_trials_or_has_one_without_a_result():
    """The reason names the candidate and what is wrong with its trials."""
    missing = best_of(rnn=(4, 1, 3, 4))
    assert missing.reason == "no choice among rnn, gru: gru: trials of its learning rate are missing"
    held = records_of(by_rate(4, 1, 3, 4), beyond=9.0)
    held |= records_of(by_rate(4, 1, 3, 4), beyond=9.0, model="gru", status="crashed")
    told = "no choice among rnn, gru: gru: a trial of a learning rate has no result (crashed)"
    assert tuning.best_of({"rnn": RULE, "gru": RULE}, held) == Refused(told)
