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


def cells(model, blocks, *, width=8, steps=100, parameters=1000, match="parameters of lstm", group="texts"):
    """Return cells with their bits per character and their blocks: one row per seed."""
    return [
        {
            table.FINGERPRINT: f"{model} {width} {steps} {seed} {group}",
            table.TASK: "text",
            table.PARAMS: "{}",
            table.LENGTH: 16,
            table.MODEL: model,
            table.WIDTH: width,
            table.LAYERS: 1,
            table.MATCH: match,
            table.STEPS: steps,
            table.BATCH: 4,
            table.SEED: seed,
            table.PARAMETERS: parameters,
            table.BUILT_WIDTH: 2.0 * width,
            table.GROUP: group,
            table.MEASUREMENT: "test_text_standard_error",
            table.VALUE: tuple(values),
        }
        for seed, values in enumerate(blocks)
    ]


def scores(*rows):
    """Return the scores of these cells; what a cell scored is the mean of its blocks."""
    frame = pd.DataFrame([row for part in rows for row in part])
    series = frame.drop(columns=[table.MATCH, table.STEPS, table.PARAMETERS, table.BUILT_WIDTH, table.GROUP])
    planned = frame.drop(columns=[table.MEASUREMENT, table.VALUE])
    bits = [np.mean(row) for row in frame[table.VALUE]]
    wide = pd.DataFrame({"bits_per_character": bits}, frame[table.FINGERPRINT])
    return text_scores.scores(Tables(planned, pd.DataFrame(), series, wide))


def welch(parts):
    """Return the standard error and degrees of freedom of a sum of independent means."""
    variance = sum(part for part, _ in parts)
    return math.sqrt(variance), variance**2 / sum(part**2 / freedom for part, freedom in parts)


def test_a_mean_has_the_errors_of_seeds_and_of_blocks():
    """s²/3 over seeds, s²/4 over the blocks of the mean seed; t with the degrees of freedom of Satterthwaite."""
    (found,) = scores(cells("rnn", BLOCKS))
    by_seed, by_block = BLOCKS.mean(axis=1), BLOCKS.mean(axis=0)
    assert found.mean == pytest.approx(by_seed.mean())
    assert found.of_seeds == pytest.approx(by_seed.std(ddof=1) / math.sqrt(3))
    assert found.of_text == pytest.approx(by_block.std(ddof=1) / math.sqrt(4))
    error, freedom = welch([(by_seed.var(ddof=1) / 3, 2), (by_block.var(ddof=1) / 4, 3)])
    assert astuple(found.interval) == pytest.approx(stats.t.interval(0.95, freedom, found.mean, error))
    assert (found.n, found.parameters, found.tokens) == (3, 1000, 6400)
    assert (found.beside, found.difference, found.difference_interval) == ("", None, None)


def test_a_difference_is_taken_block_by_block():
    """What is hard in a block for both is no error of their difference: a constant one has the error of seeds alone."""
    lstm, found = scores(cells("transformer", BLOCKS - 0.25, width=16), cells("lstm", BLOCKS))
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
    """An LSTM that read twice as much, or was matched to another size, stands beside none."""
    more = cells("lstm", BLOCKS, steps=200), cells("lstm", BLOCKS, width=9, match="parameters of another")
    found = scores(cells("rnn", BLOCKS), *more)
    assert sorted((row.model, row.beside) for row in found) == [("lstm", ""), ("lstm", ""), ("rnn", "")]


def test_groups_of_one_model_stay_apart():
    """Two groups may train the same model and seed at two rates; each model stands beside the LSTM of its own."""
    own = cells("lstm", BLOCKS), cells("rnn", BLOCKS)
    other = cells("lstm", BLOCKS - 0.5, group="another"), cells("rnn", BLOCKS, group="another")
    found = scores(*own, *other)
    assert [(row.model, row.n, row.width) for row in found] == [(name, 3, 16) for name in ("lstm", "rnn") * 2]
    assert [row.difference for row in found] == [None, pytest.approx(0.5), None, pytest.approx(0.0)]


def test_a_study_without_a_real_text_has_no_scores():
    """Generated texts have no blocks."""
    assert scores([cells("rnn", BLOCKS)[0] | {table.MEASUREMENT: "other"}]) == ()
