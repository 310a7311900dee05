"""Scores of several tasks together, on data that tell the estimators apart."""

import math
from dataclasses import astuple

import numpy as np
import pandas as pd
import pytest
from scipy import stats as reference

from seqbench.judge import aggregate, table
from seqbench.judge.table import Tables
from seqbench.preregistration import built_in

SCORES = [np.array([0.0, 0.1, 0.9, 9.0]), np.array([0.2, 0.3, 0.5, 0.8])]
OTHERS = [np.array([0.0, 0.05, 0.2]), np.array([0.3, 0.9, 0.1])]


def test_the_interquartile_mean_is_that_of_the_middle_half():
    """Of eight scores the middle four are .1 … sorted: .2, .3, .5, .8; mean 1.475 and median .4 are others."""
    assert aggregate.interquartile_mean(SCORES) == pytest.approx((0.2 + 0.3 + 0.5 + 0.8) / 4)


def test_the_profile_counts_scores_above_each_threshold():
    """Tasks count alike: halves and quarters of each are averaged, and a score at the threshold is not above it."""
    found = aggregate.performance_profile([*SCORES[:1], np.array([1.0, 0.0])], np.array([0.05, 0.9, 5.0]))
    assert list(found) == pytest.approx([(3 / 4 + 1 / 2) / 2, (1 / 4 + 1 / 2) / 2, (1 / 4 + 0) / 2])


def test_improvement_is_mann_and_whitneys():
    """U over n m, averaged over tasks, with half a count for a tie."""
    expected = np.mean(
        [reference.mannwhitneyu(a, b).statistic / (len(a) * len(b)) for a, b in zip(SCORES, OTHERS, strict=True)]
    )
    assert aggregate.probability_of_improvement(SCORES, OTHERS) == pytest.approx(expected)
    assert aggregate.probability_of_improvement(SCORES, SCORES) == pytest.approx(0.5)


def test_resampling_stays_within_its_task():
    """Two tasks without spread, far apart: every resample is the same, where pooled ones would not be."""
    flat = [np.zeros(3), np.ones(5)]
    found = aggregate.interval_of_mean(flat, rng=np.random.default_rng(0))
    assert (found.lower, found.upper) == (0.75, 0.75)  # of three zeros and five ones the middle four


def test_the_generator_decides():
    """The same generator gives the same interval, another one another; the wider level holds the narrower."""

    def interval(seed, level=0.05):
        return aggregate.interval_of_mean(SCORES, rng=np.random.default_rng(seed), level=level)

    assert interval(1) == interval(1)
    assert interval(1) != interval(2)
    assert interval(1).lower < interval(1, level=0.5).lower <= interval(1, level=0.5).upper < interval(1).upper


def test_two_arms_are_resampled_together():
    """P(A > B) has an interval around it."""
    found = aggregate.interval_of_improvement(SCORES, OTHERS, rng=np.random.default_rng(3))
    assert found.lower < aggregate.probability_of_improvement(SCORES, OTHERS) < found.upper


def test_all_resamples_at_once_are_those_one_by_one():
    """Both statistics of stacked resamples equal, to the last bit, those of each resample alone."""
    rng, again = np.random.default_rng(5), np.random.default_rng(5)
    drawn = [
        [again.choice(values, size=(aggregate.RESAMPLES, len(values))) for values in arm] for arm in (SCORES, OTHERS)
    ]
    means = [aggregate.interquartile_mean([values[i] for values in drawn[0]]) for i in range(aggregate.RESAMPLES)]
    better = [
        np.mean([(np.sign(a[i][:, None] - b[i][None]) / 2 + 0.5).mean() for a, b in zip(*drawn, strict=True)])
        for i in range(aggregate.RESAMPLES)
    ]
    assert tuple(np.quantile(means, [0.025, 0.975])) == astuple(
        aggregate.interval_of_mean(SCORES, rng=np.random.default_rng(5))
    )
    assert tuple(np.quantile(better, [0.025, 0.975])) == astuple(
        aggregate.interval_of_improvement(SCORES, OTHERS, rng=rng)
    )


# Over the tasks of a study


def row(task, model, seed, *, status="ok", params="{}", width=32, **values):
    key = f"{task} {model} {params} {width} {seed}"
    places = {table.TASK: task, table.MODEL: model, table.PARAMS: params, table.SEED: seed, table.WIDTH: width}
    return {table.FINGERPRINT: key, table.PROBE: "", table.LENGTH: 9, table.STATUS: status, **places}, values


def across(*rows):
    cells = pd.DataFrame([place for place, _ in rows])
    wide = pd.DataFrame([values for _, values in rows], index=cells[table.FINGERPRINT])
    tables = Tables(cells, pd.DataFrame(), pd.DataFrame(), wide)
    return {found.model: found for found in aggregate.across_tasks(tables, built_in())}


def scored(model, recalls, accuracies, *, chance=0.5, **more):
    """Return cells of two tasks: recall as it is, and accuracy beside chance, which solves its task from 0.9 on."""
    steps = [20.0 if value >= 0.9 else math.inf for value in accuracies]
    return [
        *(row("recall", model, seed, recall_auc=value, steps_to_solve=math.inf) for seed, value in enumerate(recalls)),
        *(
            row(
                "parity",
                model,
                seed,
                status="ok" if step < math.inf else "unsolved",
                accuracy=value,
                chance_accuracy=chance,
                steps_to_solve=step,
                **more,
            )
            for seed, (value, step) in enumerate(zip(accuracies, steps, strict=True))
        ),
    ]


RNN, GRU = scored("rnn", [0.1, 0.3, 0.2], [0.6, 0.95, 0.5]), scored("gru", [0.8, 0.9, 0.2], [1.0, 0.95, 0.75])


def test_scores_are_normalised_before_they_are_joined():
    """Accuracies .6, .95, .5 at chance .5 are .2, .9, 0: of 0, .1, .2, .2, .3, .9 the middle four have the mean .2."""
    found = across(*RNN, *GRU)
    assert (found["rnn"].tasks, found["rnn"].scores) == (2, 6)
    assert found["rnn"].iqm == pytest.approx((0.1 + 0.2 + 0.2 + 0.3) / 4)
    assert found["gru"].iqm == pytest.approx((0.5 + 0.8 + 0.9 + 0.9) / 4)
    assert found["gru"].vanilla_iqm == found["rnn"].iqm
    assert found["gru"].above == pytest.approx(((2 / 3 + 2 / 3) / 2, (0 + 1 / 3) / 2))


def test_the_better_model_is_more_often_better():
    """U over nm: 7.5 of 9 and 7.5 of 9 here; the vanilla network is not compared with itself."""
    found = across(*RNN, *GRU)
    expected = [
        reference.mannwhitneyu(a, b).statistic / 9
        for a, b in (([0.8, 0.9, 0.2], [0.1, 0.3, 0.2]), ([1, 0.9, 0.5], [0.2, 0.9, 0]))
    ]
    assert found["gru"].better == pytest.approx(np.mean(expected))
    assert found["rnn"].better is None
    assert found["gru"].better_interval.lower < found["gru"].better <= found["gru"].better_interval.upper


def test_only_tasks_with_a_threshold_can_be_solved():
    """Recall ended ok without one, so that three cells of six are counted."""
    found = across(*RNN, *GRU)
    assert [(found[name].solved, found[name].solvable) for name in ("rnn", "gru")] == [(1, 3), (2, 3)]


def test_a_model_is_held_against_the_vanilla_network_on_shared_tasks_alone():
    """One shared task is no row, another task's scores do not enter, and without a vanilla network there is none."""
    more = [row("copy", "gru", seed, accuracy=0.5, chance_accuracy=0.1) for seed in range(3)]
    alone = [row("recall", "lstm", seed, recall_auc=0.9) for seed in range(3)]
    found = across(*RNN, *GRU, *more, *alone)
    assert set(found) == {"rnn", "gru"}
    assert found["gru"] == across(*RNN, *GRU)["gru"]
    assert across(*GRU, *more) == {}


def test_params_make_another_task_and_widths_do_not():
    """Cells of a seed at two widths are averaged."""
    one = [row("recall", name, seed, params='{"a":1}', recall_auc=0.4) for name in ("rnn", "gru") for seed in range(2)]
    wide = [row("recall", "gru", 0, width=64, recall_auc=0.4)]
    found = across(*RNN, *GRU, *one, *wide)
    assert (found["gru"].tasks, found["gru"].scores) == (3, 8)
    assert found["gru"].iqm == pytest.approx((0.4 + 0.5 + 0.6 + 0.9) / 4)


def test_failed_cells_count_as_the_rules_say():
    """A diverged cell is at chance and unsolved, a crashed one is left out, whatever else is there."""
    rows = [*RNN, *GRU, row("parity", "gru", 3, status="diverged"), row("parity", "gru", 4, status="crashed")]
    found = across(*rows)["gru"]
    assert (found.scores, found.solved, found.solvable) == (7, 2, 4)
    assert found.iqm == pytest.approx((0.2 + 0.5 + 0.8 + 0.9 + 0.9) / 5)


def test_tasks_without_a_normalised_score_are_none():
    """Bits per character and probes do not enter."""
    text = [row("chronicle", name, 0, bits_per_character=0.7) for name in ("rnn", "gru")]
    assert across(*RNN, *GRU, *text) == across(*RNN, *GRU)
