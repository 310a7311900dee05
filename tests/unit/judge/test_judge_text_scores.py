"""Both errors of bits per character on a real text: of seeds and of the text, against their definitions."""

import math
from dataclasses import astuple

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from seqbench.judge import table, text_scores
from seqbench.judge.table import Tables

BLOCKS = np.array([[2.0, 2.4, 1.9, 2.2], [2.1, 2.6, 1.9, 2.5], [1.9, 2.5, 2.0, 2.3]])  # 3 seeds, 4 blocks


def cells(model, blocks, *, width=8, steps=100, match="parameters of lstm", training="3e-3", group="texts"):
    """Return cells with their bits per character and their blocks: one row per seed."""
    return [
        {
            table.FINGERPRINT: f"{model} {width} {steps} {seed} {training} {group}",
            table.TASK: "text",
            table.PROBE: "",
            table.PARAMS: "{}",
            table.LENGTH: 16,
            table.MODEL: model,
            table.WIDTH: width,
            table.LAYERS: 1,
            table.MATCH: match,
            table.STEPS: steps,
            table.BATCH: 4,
            table.STEP_TOKENS: 64,
            table.TRAINING: training,
            table.SEED: seed,
            table.STATUS: "ok",
            table.PARAMETERS: 1000,
            table.BUILT_WIDTH: 2.0 * width,
            table.GROUP: group,
            table.MEASUREMENT: "test_text_standard_error",
            table.VALUE: tuple(values),
        }
        for seed, values in enumerate(blocks)
    ]


def scores(*rows, failed=()):
    """Return the scores of these cells; what a cell scored is the mean of its blocks. Failed ones have no series."""
    frame = pd.DataFrame([row for part in rows for row in part])
    series = frame.drop(columns=[*text_scores.OF_CELLS, table.STATUS])
    planned = pd.concat([frame, pd.DataFrame(failed)]).drop(columns=[table.MEASUREMENT, table.VALUE])
    bits = [np.mean(row) for row in frame[table.VALUE]]
    wide = pd.DataFrame({"bits_per_character": bits}, frame[table.FINGERPRINT])
    return text_scores.scores(Tables(planned, pd.DataFrame(), series, wide))


def welch(parts):
    """Return the standard error and degrees of freedom of a sum of independent means."""
    variance = sum(part for part, _ in parts)
    return math.sqrt(variance), variance**2 / sum(part**2 / freedom for part, freedom in parts)


def batch_means(by_block):
    """Return the means of pairs of neighbours: of four blocks, √4 are joined."""
    return by_block.reshape(2, 2).mean(axis=1)


def test_a_mean_has_the_errors_of_seeds_and_of_the_text():
    """s²/3 over seeds, s²/2 over the two batches of the mean seed; t with the degrees of freedom of Satterthwaite."""
    (found,) = scores(cells("rnn", BLOCKS))
    by_seed, by_batch = BLOCKS.mean(axis=1), batch_means(BLOCKS.mean(axis=0))
    assert found.mean == pytest.approx(by_seed.mean())
    assert found.of_seeds == pytest.approx(by_seed.std(ddof=1) / math.sqrt(3))
    assert found.of_text == pytest.approx(by_batch.std(ddof=1) / math.sqrt(2))
    error, freedom = welch([(by_seed.var(ddof=1) / 3, 2), (by_batch.var(ddof=1) / 2, 1)])
    assert astuple(found.interval) == pytest.approx(stats.t.interval(0.95, freedom, found.mean, error))
    assert (found.n, found.failed, found.parameters, found.tokens, found.width) == (3, 0, 1000, 6400, 16)
    assert (found.beside, found.difference, found.difference_interval) == ("", None, None)


@pytest.mark.parametrize(("alike", "least"), [(0.0, 0.92), (0.55, 0.88)])
def test_the_error_of_the_text_holds_where_neighbouring_blocks_are_alike(alike, least):
    """Intervals of 1,000 texts of 72 blocks, autoregressive as those of Lovecraft are: they hold the truth.

    Blocks taken as independent would hold it in 71 of 100 such texts.
    """
    rng = np.random.default_rng(5)
    noise = rng.standard_normal((1000, 172))
    for place in range(1, noise.shape[1]):
        noise[:, place] += alike * noise[:, place - 1]
    held = 0
    for blocks in noise[:, 100:]:
        variance, freedom = text_scores._of_text(blocks[None, :])
        held += abs(blocks.mean()) < stats.t.ppf(0.975, freedom) * math.sqrt(variance)
    assert held >= 1000 * least


def test_a_difference_is_taken_along_the_text():
    """What is hard in a block for both is no error of their difference: a constant one has the error of seeds alone."""
    lstm, found = scores(cells("transformer", BLOCKS - 0.25), cells("lstm", BLOCKS))
    assert (lstm.model, found.model) == ("lstm", "transformer")
    assert (found.beside, found.difference) == ("lstm", pytest.approx(-0.25))
    seeds = BLOCKS.mean(axis=1).var(ddof=1) / 3
    half = stats.t.ppf(0.975, 4) * math.sqrt(2 * seeds)
    assert astuple(found.difference_interval) == pytest.approx((-0.25 - half, -0.25 + half), abs=1e-6)
    assert half < found.interval.upper - found.mean
    assert (lstm.beside, lstm.difference) == ("", None)


def test_one_seed_has_no_error_of_seeds_and_no_interval():
    """The text's error alone would pass for the whole."""
    found, _ = scores(cells("lstm", BLOCKS), cells("gru", BLOCKS[:1]))
    assert (found.of_seeds, found.interval, found.difference_interval) == (None, None, None)
    assert found.difference == pytest.approx(BLOCKS[0].mean() - BLOCKS.mean())


def test_other_budgets_and_sizes_are_compared_with_nobody():
    """An LSTM that read twice as much, was matched to another size or has another width stands beside none."""
    more = cells("lstm", BLOCKS, steps=200), cells("lstm", BLOCKS, match="parameters of another")
    found = scores(cells("rnn", BLOCKS), *more, cells("lstm", BLOCKS, width=9))
    assert sorted((row.model, row.beside) for row in found) == [("lstm", "")] * 3 + [("rnn", "")]


def test_two_ways_of_training_stay_apart():
    """Two rates of one seed are not two seeds; each model stands beside the LSTM that was trained as it was."""
    own = cells("lstm", BLOCKS), cells("rnn", BLOCKS)
    other = cells("lstm", BLOCKS - 0.5, training="1e-2"), cells("rnn", BLOCKS, training="1e-2")
    found = scores(*own, *other)
    assert [(row.model, row.n) for row in found] == [("lstm", 3)] * 2 + [("rnn", 3)] * 2
    assert [row.difference for row in found] == [None, None, pytest.approx(0.5), pytest.approx(0.0)]


def test_a_training_of_two_groups_is_one():
    """Seeds may stand under several groups, and one may be there twice, with samples and without."""
    first, second, third = cells("rnn", BLOCKS, group="one")
    again = cells("rnn", BLOCKS, group="two")
    (found,) = scores([first], again)
    assert found.n == 3
    (found,) = scores([first, second, third])
    assert found.n == 3


def test_what_failed_is_counted():
    """A diverged seed has no blocks; it is told beside those that have."""
    diverged = cells("rnn", BLOCKS)[2] | {table.STATUS: "diverged"}
    (found,) = scores(cells("rnn", BLOCKS)[:2], failed=[diverged])
    assert (found.n, found.failed) == (2, 1)


def test_a_study_without_a_real_text_has_no_scores():
    """Generated texts have no blocks."""
    assert scores([cells("rnn", BLOCKS)[0] | {table.MEASUREMENT: "other"}]) == ()
