"""Bits per character of a real text while models are trained, against what they read and against how long it took.

A training is not timed while it runs, as its neighbours slow it down. What a step takes comes from the timed panel of
the same text, length, batch and size, in which all models took turns; a study without such a panel has no seconds here.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from seqbench.judge import table, text_scores
from seqbench.judge.stats import Bounds, t_bounds
from seqbench.judge.table import Tables
from seqbench.judge.text_scores import ARM, OF_CELLS, SAME

NAME = "evaluation_loss"
TIMED = "training_time"
LEVEL = 0.025
"""Of each bound: an interval holds 95 %, unadjusted."""
TOKENS = "tokens"
STEP_SECONDS = "seconds_per_step"
_SHAPE = (table.TASK, table.PARAMS, table.LENGTH, table.BATCH)
_SIZE = (table.MODEL, table.WIDTH, table.LAYERS, table.MATCH)
PLACE = (table.MACHINE, table.DEVICE)
COLUMNS = (
    *(*SAME, *PLACE, *ARM, table.BUILT_WIDTH, table.PARAMETERS, table.SEED),
    *(table.AT, TOKENS, STEP_SECONDS, table.SECONDS, table.VALUE),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EqualSeconds:
    """What a model of one size had reached when the fastest of its group was through with the whole budget.

    seconds_per_step: of one training step at the place where it was timed. seconds: what all of the group are given.
    steps: how many the model takes in them. mean, interval: best validation bit/character by then, over n seeds, and
    its 95 % Student-t interval; None before the first evaluation, and an interval of one seed.
    at_end: the same at the end of the whole budget, which is all that the fastest had time for.
    """

    task: str
    model: str
    width: int
    layers: int
    parameters: int
    place: str
    seconds_per_step: float
    seconds: float
    steps: float
    n: int
    mean: float | None
    interval: Bounds | None
    at_end: float


def curves(tables: Tables) -> pd.DataFrame:
    """Return one row per evaluation of every training on a real text: best validation bit/character until then.

    Beside it stand the step, the tokens read and the seconds that so many steps take where they were timed; NaN where
    they were not. A text timed at several places has its rows once for each.
    """
    texts = set(tables.series[tables.series[table.MEASUREMENT] == text_scores.NAME][table.FINGERPRINT])
    held = tables.series[(tables.series[table.MEASUREMENT] == NAME) & tables.series[table.FINGERPRINT].isin(texts)]
    if held.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    best = [tuple(np.fmin.accumulate(row) / math.log(2)) for row in held[table.VALUE]]
    held = held.assign(**{table.VALUE: pd.Series(best, held.index, dtype=object)})
    known = tables.cells[[table.FINGERPRINT, *OF_CELLS]]
    rows = table.points(held.drop(columns=list(PLACE), errors="ignore")).merge(known, on=table.FINGERPRINT)
    times = _times(tables)
    rows = rows.merge(times[[*_SHAPE, *PLACE]].drop_duplicates(), on=list(_SHAPE), how="left")
    rows = rows.merge(times, on=[*_SHAPE, *_SIZE, *PLACE], how="left").fillna(dict.fromkeys(PLACE, ""))
    rows = rows.assign(
        **{
            TOKENS: rows[table.AT] * rows[table.BATCH] * rows[table.LENGTH],
            table.SECONDS: rows[table.AT] * rows[STEP_SECONDS],
        }
    )
    return rows[list(COLUMNS)].sort_values([*SAME, *PLACE, *ARM, table.SEED, table.AT], ignore_index=True)


def equal_seconds(frame: pd.DataFrame) -> tuple[EqualSeconds, ...]:
    """Return what every timed model had reached in equal time, those of one text, budget and place together.

    frame: as `curves` returns it. Between two evaluations a straight line is taken; a training that stopped early stays
    at its best.
    """
    found: list[EqualSeconds] = []
    for _, same in frame[frame[STEP_SECONDS].notna()].groupby([*SAME, *PLACE]):
        seconds = float((same[STEP_SECONDS] * same[table.STEPS]).min())
        found += [_reached(own, seconds) for _, own in same.groupby(list(ARM))]
    return tuple(found)


def _times(tables: Tables) -> pd.DataFrame:
    """Return the seconds of one training step by text, size and place: the median over the rounds that count."""
    cells = tables.cells[(tables.cells[table.PROBE] == TIMED) & (tables.cells[table.TIER] == "")]
    medians = [_median(table.rounds(tables, str(name))) for name in cells[table.FINGERPRINT]]
    seconds = np.array(medians, dtype=np.float64) * (cells[table.BATCH] * cells[table.LENGTH]).to_numpy(
        dtype=np.float64
    )
    timed = cells[[*_SHAPE, *_SIZE, *PLACE]].assign(**{STEP_SECONDS: seconds})[np.isfinite(seconds)]
    found: pd.DataFrame = timed.groupby([*_SHAPE, *_SIZE, *PLACE], as_index=False)[STEP_SECONDS].median()
    return found


def _median(rounds: pd.DataFrame) -> float:
    """Return the median seconds per token of the rounds that count; NaN without one, as of a contended cell."""
    values = rounds[table.SECONDS].to_numpy(dtype=np.float64)[rounds[table.KEPT].to_numpy(dtype=bool)]
    return float(np.median(values)) if len(values) else math.nan


def _reached(rows: pd.DataFrame, seconds: float) -> EqualSeconds:
    first = rows.iloc[0]
    steps = seconds / float(first[STEP_SECONDS])
    seeds = [(own[table.AT].to_numpy(), own[table.VALUE].to_numpy()) for _, own in rows.groupby(table.SEED)]
    bits = np.array([np.interp(steps, at, values, left=math.nan) for at, values in seeds])
    known = bits if np.isfinite(bits).all() else np.empty(0)
    return EqualSeconds(
        task=str(first[table.TASK]),
        model=str(first[table.MODEL]),
        width=int(first[table.BUILT_WIDTH]),
        layers=int(first[table.LAYERS]),
        parameters=int(first[table.PARAMETERS]),
        place=f"{first[table.DEVICE]} of {first[table.MACHINE]}",
        seconds_per_step=float(first[STEP_SECONDS]),
        seconds=seconds,
        steps=steps,
        n=len(seeds),
        mean=float(known.mean()) if len(known) else None,
        interval=t_bounds(known, lower_level=LEVEL, upper_level=LEVEL) if len(known) > 1 else None,
        at_end=float(np.mean([values[-1] for _, values in seeds])),
    )
