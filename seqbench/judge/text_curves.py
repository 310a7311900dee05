"""Bits per character of a real text while models are trained, against what they read and against how long it took.

A training is not timed while it runs, as its neighbours slow it down. What a step takes comes from the timed panel of
the same text, length, batch and size, in which all models took turns; a study without such a panel has no seconds here.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from seqbench.judge import table, text_scores
from seqbench.judge.stats import Bounds, t_bounds
from seqbench.judge.table import Tables
from seqbench.judge.text_scores import ARM, LEVEL, OF_CELLS, SAME

NAME = "evaluation_loss"
TIMED = "training_time"
TOKENS = "tokens"
STEP_SECONDS = "seconds_per_step"
FAILED = "failed"
_SHAPE = (table.TASK, table.PARAMS, table.LENGTH, table.BATCH, table.STEP_TOKENS, table.MATCH, table.WIDTH)
_TIMED_AS = (table.MODEL, table.LAYERS, table.TIER)
PLACE = (table.MACHINE, table.DEVICE, table.PANEL)
COLUMNS = (
    *(*SAME, *PLACE, *ARM, table.GROUP, table.BUILT_WIDTH, table.PARAMETERS, FAILED, table.SEED),
    *(table.AT, TOKENS, STEP_SECONDS, table.SECONDS, table.VALUE),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EqualSeconds:
    """What a model of one size had reached when the fastest of its group was through with the whole budget.

    width: as it was built. tokens: of the whole budget. seconds_per_step: of one training step at the place where it
    was timed. seconds: what all of the group are given. steps: how many the model takes in them.
    mean, interval: best validation bit/character by then, over n seeds, and its 95 % Student-t interval, which is of
    seeds alone; None before the first evaluation, and an interval of one seed. failed: further seeds without a score.
    at_end: the mean at the end of the whole budget.
    """

    task: str
    length: int
    group: str
    model: str
    width: int
    layers: int
    parameters: int
    tokens: int
    place: str
    seconds_per_step: float
    seconds: float
    steps: float
    n: int
    failed: int
    mean: float | None
    interval: Bounds | None
    at_end: float | None


def curves(tables: Tables) -> pd.DataFrame:
    """Return one row per evaluation of every training on a real text: best validation bit/character until then.

    Beside it stand the step, the tokens read and the seconds that so many steps take where they were timed; NaN where
    they were not, or not in the way in which the training ran. A text timed at several places, or in several panels,
    has its rows once for each. A training that failed has no rows; `FAILED` counts those of the same arm.
    """
    return tables.once(curves, lambda: _curves(tables))


def equal_seconds(frame: pd.DataFrame) -> tuple[EqualSeconds, ...]:
    """Return what every timed model had reached in equal time, those of one text, budget and panel together.

    frame: as `curves` returns it. Between two evaluations a straight line is taken; a training that stopped early stays
    at its best. Where a panel timed one model alone, there is nothing to compare.
    """
    found: list[EqualSeconds] = []
    for _, same in frame[frame[STEP_SECONDS].notna()].groupby([*SAME, *PLACE]):
        arms = [own for _, own in same.groupby(list(ARM))]
        found += [_reached(own, deadline(same)) for own in arms if len(arms) > 1]
    return tuple(found)


def deadline(same: pd.DataFrame) -> float:
    """Return after how many seconds the fastest of these models has used its whole budget."""
    return float((same[STEP_SECONDS] * same[table.STEPS]).min())


def _curves(tables: Tables) -> pd.DataFrame:
    bits = tables.wide.reindex(columns=["bits_per_character"])["bits_per_character"]
    held = tables.series[tables.series[table.MEASUREMENT] == NAME]
    held = held[held[table.FINGERPRINT].isin(bits.index[bits.notna()])]  # other tasks are validated too
    if held.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    best = [tuple(np.fmin.accumulate(row) / math.log(2)) for row in held[table.VALUE]]
    own: dict[str, Any] = {table.VALUE: pd.Series(best, held.index, dtype=object), table.TIER: _tiers(held, tables)}
    held = held.assign(**own)
    rows = table.points(held.drop(columns=list(PLACE), errors="ignore"))
    rows = rows.merge(tables.cells[[table.FINGERPRINT, *OF_CELLS]], on=table.FINGERPRINT)
    rows = rows.sort_values(table.FINGERPRINT).drop_duplicates([*SAME, *ARM, table.SEED, table.AT])
    times = _times(tables)
    places = times[[*_SHAPE, table.TIER, *PLACE]].drop_duplicates()
    rows = rows.merge(places, on=[*_SHAPE, table.TIER], how="left")
    rows = rows.merge(times, on=[*_SHAPE, *_TIMED_AS, *PLACE], how="left").fillna(dict.fromkeys(PLACE, ""))
    lost = text_scores.failures(tables)
    failed = [lost.get(tuple(key), 0) for key in rows[[*SAME, *ARM]].to_numpy()]
    costs: dict[str, Any] = {
        TOKENS: rows[table.AT] * rows[table.STEP_TOKENS],
        table.SECONDS: rows[table.AT] * rows[STEP_SECONDS],
        FAILED: np.array(failed, dtype=np.int64),
    }
    rows = rows.assign(**costs)
    return rows[list(COLUMNS)].sort_values([*SAME, *PLACE, *ARM, table.SEED, table.AT], ignore_index=True)


def _tiers(held: pd.DataFrame, tables: Tables) -> list[str]:
    """Return the tier in which each training ran: on a GPU its steps may have been replayed from a graph."""
    if "steps_replayed" not in tables.wide:
        return [""] * len(held)
    replayed = tables.wide["steps_replayed"].reindex(held[table.FINGERPRINT])
    return ["graph" if count > 0 else "" for count in replayed]


def _times(tables: Tables) -> pd.DataFrame:
    """Return the seconds of one training step by text, size, tier and panel: the median over the rounds that count."""
    cells = tables.cells[(tables.cells[table.PROBE] == TIMED) & (tables.cells[table.THREADS] == 1)]
    kept = [table.kept_seconds(tables, str(name)) for name in cells[table.FINGERPRINT]]
    medians = np.array([np.median(values) if len(values) else math.nan for values in kept], dtype=np.float64)
    keys = [*_SHAPE, *_TIMED_AS, *PLACE]
    seconds = medians * cells[table.STEP_TOKENS].to_numpy(dtype=np.float64)
    timed = cells[keys].assign(**{STEP_SECONDS: seconds})[np.isfinite(seconds)]
    found: pd.DataFrame = timed.groupby(keys, as_index=False)[STEP_SECONDS].median()
    return found


def _reached(rows: pd.DataFrame, seconds: float) -> EqualSeconds:
    first = rows.iloc[0]
    steps = seconds / float(first[STEP_SECONDS])
    seeds = [(own[table.AT].to_numpy(), own[table.VALUE].to_numpy()) for _, own in rows.groupby(table.SEED)]
    by_then = _finite([np.interp(steps, at, values, left=math.nan) for at, values in seeds])
    at_end = _finite([values[-1] for _, values in seeds])
    return EqualSeconds(
        task=str(first[table.TASK]),
        length=int(first[table.LENGTH]),
        group=str(first[table.GROUP]),
        model=str(first[table.MODEL]),
        width=int(first[table.BUILT_WIDTH]),
        layers=int(first[table.LAYERS]),
        parameters=int(first[table.PARAMETERS]),
        tokens=int(first[table.STEPS] * first[table.STEP_TOKENS]),
        place=f"{first[table.DEVICE]} of {first[table.MACHINE]}",
        seconds_per_step=float(first[STEP_SECONDS]),
        seconds=seconds,
        steps=steps,
        n=len(seeds),
        failed=int(first[FAILED]),
        mean=float(by_then.mean()) if len(by_then) else None,
        interval=t_bounds(by_then, lower_level=LEVEL, upper_level=LEVEL) if len(by_then) > 1 else None,
        at_end=float(at_end.mean()) if len(at_end) else None,
    )


def _finite(values: list[float]) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Return what each seed has, or nothing where one of them has no number."""
    found = np.array(values, dtype=np.float64)
    return found if np.isfinite(found).all() else np.empty(0)
