"""Bits per character on a real text with both errors: of seeds, and of the text that happened to be held out.

The mean over n seeds has the variance s²/n of seeds, and s²/m of the m blocks of test text, whose values are means over
the seeds. Their sum has as many degrees of freedom as Satterthwaite gives it. A difference between two models has the
blocks in common: there what counts is how much the difference itself varies from block to block.
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
SAME = (table.TASK, table.PARAMS, table.LENGTH, table.MATCH, table.STEPS, table.BATCH)
"""What models have in common that are compared: the text, the window, what sizes were matched to, and the budget."""
OF_CELLS = (table.GROUP, table.MATCH, table.STEPS, table.PARAMETERS, table.BUILT_WIDTH)
"""What is taken from the cells of these rows."""
ARM = (table.GROUP, table.MODEL, table.WIDTH, table.LAYERS)
"""What the seeds of one row have in common: groups may train the same model at other learning rates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextScore:
    """What a model of one size scored on a real text; in bit/character but for the counts.

    of_seeds, of_text: the standard errors of the two kinds; interval: of both together. One seed has no error of seeds,
    and so no interval.
    tokens: how many were read in training. beside: the model whose mean `difference` takes off, "" where there is none.
    """

    task: str
    model: str
    width: int
    layers: int
    parameters: int
    tokens: int
    n: int
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


def scores(tables: Tables) -> tuple[TextScore, ...]:
    """Return the scores of every model and size on every real text, those of one text and budget together."""
    rows = tables.series[tables.series[table.MEASUREMENT] == NAME]
    known = tables.cells[[table.FINGERPRINT, *OF_CELLS]]
    rows = rows.merge(known, on=table.FINGERPRINT).sort_values([*SAME, *ARM, table.SEED])
    found: list[TextScore] = []
    for _, same in rows.groupby(list(SAME)):
        runs = [_run(own, tables) for _, own in same.groupby(list(ARM))]
        found += [_score(run, _reference(run, runs)) for run in runs]
    return tuple(found)


def _run(rows: pd.DataFrame, tables: Tables) -> _Run:
    bits = tables.wide["bits_per_character"].reindex(rows[table.FINGERPRINT]).to_numpy(dtype=np.float64)
    return _Run(rows, bits, np.stack([np.asarray(list(values), dtype=np.float64) for values in rows[table.VALUE]]))


def _reference(run: _Run, runs: Iterable[_Run]) -> _Run | None:
    """Return the plain LSTM, or the first of its variants, of the same text and budget; None for itself.

    Where several groups have one, that of the run's own group is taken.
    """
    named = [other for other in runs if _model(other).partition("@")[0] == REFERENCE]
    first = min(named, key=lambda other: (_group(other) != _group(run), _model(other)), default=None)
    return None if first is run else first


def _group(run: _Run) -> str:
    return str(run.rows[table.GROUP].iloc[0])


def _model(run: _Run) -> str:
    return str(run.rows[table.MODEL].iloc[0])


def _score(run: _Run, reference: _Run | None) -> TextScore:
    first = run.rows.iloc[0]
    mean, n = float(run.bits.mean()), len(run.bits)
    seeds, text = _of_seeds(run.bits), _of_text(run.blocks)
    score = TextScore(
        task=str(first[table.TASK]),
        model=_model(run),
        width=int(first[table.BUILT_WIDTH]),
        layers=int(first[table.LAYERS]),
        parameters=int(first[table.PARAMETERS]),
        tokens=int(first[table.STEPS] * first[table.BATCH] * first[table.LENGTH]),
        n=n,
        mean=mean,
        of_seeds=math.sqrt(seeds) if n > 1 else None,
        of_text=math.sqrt(text),
        interval=_interval(mean, [(seeds, n - 1), (text, run.blocks.shape[1] - 1)]),
    )
    if reference is None:
        return score
    difference = mean - float(reference.bits.mean())
    apart = _of_text(run.blocks.mean(axis=0, keepdims=True) - reference.blocks.mean(axis=0))
    parts = [(seeds, n - 1), (_of_seeds(reference.bits), len(reference.bits) - 1), (apart, run.blocks.shape[1] - 1)]
    bounds = _interval(difference, parts)
    return replace(score, beside=_model(reference), difference=difference, difference_interval=bounds)


def _of_seeds(bits: Array) -> float:
    """Return the variance of the mean over seeds; 0 of one seed, whose degrees of freedom are none."""
    return float(bits.var(ddof=1) / len(bits)) if len(bits) > 1 else 0.0


def _of_text(blocks: Array) -> float:
    """Return the variance of the mean over blocks of the mean over seeds: (n, m) -> scalar."""
    by_block = blocks.mean(axis=0)
    return float(by_block.var(ddof=1) / len(by_block))


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
