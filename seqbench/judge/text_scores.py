"""Bits per character on a real text with both errors: of seeds, and of the text that happened to be held out.

The mean over n seeds has the variance s²/n of seeds, and that of the test text. Neighbouring blocks of a text are
alike, as a story is easy or hard for pages, so the text's variance is estimated by batch means (Flegal and Jones, Batch
means and spectral variance estimators in Markov chain Monte Carlo, Annals of Statistics 2010): of m blocks, √m
neighbours are joined. The sum of both has as many degrees of freedom as Satterthwaite gives it. A difference between
two models has the blocks in common: there what counts is how much the difference itself varies along the text.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from seqbench.judge import table
from seqbench.judge.stats import Array, Bounds, t_interval
from seqbench.judge.table import Tables

NAME = "test_text_standard_error"
REFERENCE = "lstm"
LEVEL = 0.025
"""Of each bound: an interval holds 95 %, unadjusted."""
SAME = (
    *(table.TASK, table.PARAMS, table.LENGTH, table.MATCH, table.WIDTH),
    *(table.STEPS, table.BATCH, table.STEP_TOKENS),
)
"""What models that are compared have in common: text, window, size or what it was matched to, budget."""
ARM = (table.MODEL, table.LAYERS, table.TRAINING)
"""What the seeds of one row have in common beside it."""
OF_CELLS = (
    *(table.GROUP, table.MATCH, table.STEPS, table.STEP_TOKENS, table.TRAINING),
    *(table.PARAMETERS, table.BUILT_WIDTH),
)
"""What rows of series lack and their cells tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextScore:
    """What a model of one size scored on a real text; in bit/character but for the counts.

    width: as it was built. tokens: how many the budget reads in training. n: seeds; failed: how many further ones
    ended without a score.
    of_seeds, of_text: the standard errors of the two kinds; interval: of both together. One seed has no error of seeds,
    and so no interval.
    beside: the model whose mean `difference` takes off, "" where there is none.
    """

    task: str
    length: int
    group: str
    model: str
    width: int
    layers: int
    parameters: int
    tokens: int
    n: int
    failed: int
    mean: float
    of_seeds: float | None
    of_text: float
    interval: Bounds | None
    beside: str = ""
    difference: float | None = None
    difference_interval: Bounds | None = None


@dataclass(frozen=True, slots=True)
class _Run:
    """The cells of one model and size: bits of each seed (n,), and of each seed and block (n, m)."""

    rows: pd.DataFrame
    bits: Array
    blocks: Array
    failed: int


def scores(tables: Tables) -> tuple[TextScore, ...]:
    """Return the scores of every model and size on every real text, those of one text and budget together."""
    rows = tables.series[tables.series[table.MEASUREMENT] == NAME]
    rows = rows.merge(tables.cells[[table.FINGERPRINT, *OF_CELLS]], on=table.FINGERPRINT)
    rows = rows.sort_values([*SAME, *ARM, table.SEED, table.FINGERPRINT]).drop_duplicates([*SAME, *ARM, table.SEED])
    lost = failures(tables)
    found: list[TextScore] = []
    for shared, same in rows.groupby(list(SAME)):
        runs = [_run(own, tables, lost.get((*shared, *arm), 0)) for arm, own in same.groupby(list(ARM))]
        found += [_score(run, _reference(run, runs)) for run in runs]
    return tuple(found)


def failures(tables: Tables) -> dict[tuple[object, ...], int]:
    """Return how many trainings ended without a score, as diverged ones do: (*SAME, *ARM) -> count."""
    cells = tables.cells[tables.cells[table.PROBE] == ""]
    ended = cells[~cells[table.STATUS].isin(["ok", "unsolved", table.MISSING])]
    return {key: len(own) for key, own in ended.groupby([*SAME, *ARM])}


def _run(rows: pd.DataFrame, tables: Tables, failed: int) -> _Run:
    bits = tables.wide["bits_per_character"].reindex(rows[table.FINGERPRINT]).to_numpy(dtype=np.float64)
    blocks = np.stack([np.asarray(list(values), dtype=np.float64) for values in rows[table.VALUE]])
    return _Run(rows, bits, blocks, failed)


def _reference(run: _Run, runs: Iterable[_Run]) -> _Run | None:
    """Return the plain LSTM, or the first of its variants, of the same text, size and budget; None for itself.

    Where several were trained, one trained as the run was is taken before others.
    """
    named = [other for other in runs if _told(other, table.MODEL).partition("@")[0] == REFERENCE]
    first = min(named, key=lambda other: (_unlike(other, run), _told(other, table.MODEL)), default=None)
    return None if first is run else first


def _unlike(run: _Run, other: _Run) -> tuple[bool, ...]:
    """Return whether two runs differ in how they were trained, then in the group that they are of."""
    return tuple(_told(run, name) != _told(other, name) for name in (table.TRAINING, table.GROUP))


def _told(run: _Run, column: str) -> str:
    return str(run.rows[column].iloc[0])


def _score(run: _Run, reference: _Run | None) -> TextScore:
    first = run.rows.iloc[0]
    mean, n = float(run.bits.mean()), len(run.bits)
    seeds, text = _of_seeds(run.bits), _of_text(run.blocks)
    score = TextScore(
        task=str(first[table.TASK]),
        length=int(first[table.LENGTH]),
        group=str(first[table.GROUP]),
        model=str(first[table.MODEL]),
        width=int(first[table.BUILT_WIDTH]),
        layers=int(first[table.LAYERS]),
        parameters=int(first[table.PARAMETERS]),
        tokens=int(first[table.STEPS] * first[table.STEP_TOKENS]),
        n=n,
        failed=run.failed,
        mean=mean,
        of_seeds=math.sqrt(seeds[0]) if n > 1 else None,
        of_text=math.sqrt(text[0]),
        interval=_interval(mean, [seeds, text]),
    )
    if reference is None:
        return score
    difference = mean - float(reference.bits.mean())
    apart = _of_text(run.blocks.mean(axis=0, keepdims=True) - reference.blocks.mean(axis=0))
    bounds = _interval(difference, [seeds, _of_seeds(reference.bits), apart])
    beside = _told(reference, table.MODEL)
    return replace(score, beside=beside, difference=difference, difference_interval=bounds)


def _of_seeds(bits: Array) -> tuple[float, int]:
    """Return the variance of the mean over seeds and its degrees of freedom, both 0 of one seed."""
    return (float(bits.var(ddof=1) / len(bits)) if len(bits) > 1 else 0.0), len(bits) - 1


def _of_text(blocks: Array) -> tuple[float, int]:
    """Return the variance of the mean over the text of the mean over seeds, and its degrees of freedom: (n, m)."""
    by_block = blocks.mean(axis=0)
    count = len(by_block) // math.isqrt(len(by_block))
    batches = np.array([part.mean() for part in np.array_split(by_block, count)])
    return float(batches.var(ddof=1) / count), count - 1


def _interval(mean: float, parts: list[tuple[float, int]]) -> Bounds | None:
    """Return the interval of a mean whose variance is the sum of these, each with its degrees of freedom.

    Where a part has none, its variance is unknown and there is no interval.
    """
    variance = sum(part for part, _ in parts)
    if not all(freedom > 0 for _, freedom in parts):
        return None
    below = sum(part**2 / freedom for part, freedom in parts)
    freedom = variance**2 / below if below else float(sum(freedom for _, freedom in parts))
    return t_interval(mean, math.sqrt(variance), freedom, LEVEL, LEVEL)
