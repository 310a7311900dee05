"""Scores of several tasks together: interquartile mean, performance profile, P(A > B) (Agarwal et al. 2021).

Scores are one array per task, its seeds as entries. Tasks are fixed, not drawn: intervals speak of these tasks alone,
and resampling is done within each. The interquartile mean discards the failing quarter: print the solve rate beside it.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqbench.judge import table
from seqbench.judge.evidence import SOLVED, STEPS_TO_SOLVE
from seqbench.judge.stats import Array, Bounds
from seqbench.judge.table import Tables
from seqbench.preregistration import Preregistration

RESAMPLES = 2000
VANILLA = "rnn"
CONDITION = (table.TASK, table.PARAMS, table.LENGTH)
"""What makes a task here: the same question at the same length."""
Condition = tuple[Hashable, ...]
Ranks = NDArray[np.intp]
NORMALISED = ("recall_auc", "r2")
ACCURACY = ("accuracy", "chance_accuracy")
THRESHOLDS = np.array([0.5, 0.9])
"""Where the performance profile is read."""


def interquartile_mean(scores: Sequence[Array]) -> float:
    """Return the mean of the middle half of all scores, over seeds and tasks."""
    return float(_middle_mean(scores))


def performance_profile(scores: Sequence[Array], thresholds: Array) -> Array:
    """Return the share of scores above each threshold, tasks counting alike: (K,) -> (K,)."""
    shares = [(values[:, None] > thresholds).mean(axis=0) for values in scores]
    return np.asarray(np.mean(shares, axis=0), dtype=np.float64)


def probability_of_improvement(first: Sequence[Array], second: Sequence[Array]) -> float:
    """Return P(A > B), the mean over tasks of Mann and Whitney's U / (n m); ties count one half.

    Raises ValueError where the two have different numbers of tasks.
    """
    return float(_superiority(*_ranked(first, second)))


def interval_of_mean(scores: Sequence[Array], *, rng: np.random.Generator, level: float = 0.05) -> Bounds:
    """Return the percentile interval of 1 − level of `interquartile_mean`, seeds resampled within every task."""
    return _percentiles(_middle_mean(_resampled(scores, rng)), level)


def interval_of_improvement(
    first: Sequence[Array], second: Sequence[Array], *, rng: np.random.Generator, level: float = 0.05
) -> Bounds:
    """Return the percentile interval of `probability_of_improvement`, seeds resampled within every task and arm."""
    drawn = [_resampled(arm, rng) for arm in _ranked(first, second)]
    return _percentiles(_superiority(*drawn), level)


def _resampled(arm: Sequence[NDArray[Any]], rng: np.random.Generator) -> list[NDArray[Any]]:
    """Return the values of every task drawn again: (n,) each -> (RESAMPLES, n) each."""
    return [rng.choice(values, size=(RESAMPLES, len(values))) for values in arm]


def _percentiles(drawn: Array, level: float) -> Bounds:
    lower, upper = np.quantile(drawn, [level / 2, 1 - level / 2])
    return Bounds(float(lower), float(upper))


def _middle_mean(scores: Sequence[Array]) -> Array:
    """Return the mean of the middle half along the last axis: (…, n) of every task -> (…)."""
    ordered = np.sort(np.concatenate(scores, axis=-1), axis=-1)
    quarter = ordered.shape[-1] // 4
    return np.asarray(ordered[..., quarter : ordered.shape[-1] - quarter].mean(axis=-1))


def _ranked(first: Sequence[Array], second: Sequence[Array]) -> tuple[list[Ranks], list[Ranks]]:
    """Return the place of every score among the different ones of its task, all that a comparison looks at."""
    places = [
        np.unique(np.concatenate([a, b]), return_inverse=True)[1].reshape(-1)
        for a, b in zip(first, second, strict=True)
    ]
    return (
        [own[: len(a)] for own, a in zip(places, first, strict=True)],
        [own[len(a) :] for own, a in zip(places, first, strict=True)],
    )


def _superiority(first: Sequence[Ranks], second: Sequence[Ranks]) -> Array:
    """Return the mean over tasks of Mann and Whitney's U / (n m): ranks (…, n), (…, m) of every task -> (…).

    Counted rather than compared pair by pair: as many pairs as values squared would be too many.
    """
    shares = []
    for a, b in zip(first, second, strict=True):
        most = 1 + int(max(a.max(), b.max()))
        own, other = _counts(a, most), _counts(b, most)
        pairs = own * (np.cumsum(other, axis=-1) - other / 2)  # of each rank: those below it, and half of its equals
        shares.append(pairs.sum(axis=-1) / (a.shape[-1] * b.shape[-1]))
    return np.asarray(np.stack(shares, axis=-1).mean(axis=-1))


def _counts(ranks: Ranks, most: int) -> Ranks:
    """Return how often each rank below `most` occurs along the last axis: (…, n) -> (…, most)."""
    rows = ranks.reshape(-1, ranks.shape[-1])
    at = rows + most * np.arange(len(rows))[:, None]
    return np.bincount(at.ravel(), minlength=most * len(rows)).reshape(*ranks.shape[:-1], most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Across:
    """One model over the tasks that it shares with the vanilla network, each a task at one length and parameters.

    scores: how many seeds of all tasks. iqm, vanilla_iqm: of normalised scores, on the same tasks. above: the shares of
    scores above each of `THRESHOLDS`. solved, solvable: cells that solved their task, of those with a threshold.
    better: P(model > vanilla RNN), None for the vanilla network itself.
    """

    model: str
    tasks: int
    scores: int
    iqm: float
    iqm_interval: Bounds
    vanilla_iqm: float
    above: tuple[float, ...]
    solved: int
    solvable: int
    better: float | None
    better_interval: Bounds | None


def across_tasks(tables: Tables, rules: Preregistration) -> tuple[Across, ...]:
    """Return a row for every model that shares two trained tasks or more with the vanilla network, and for that itself.

    A score is 0 at chance and 1 where everything is right: recall, R², or (accuracy − chance) / (1 − chance). Failed
    cells count as chance where the pre-registration's failure rules say so or nothing was measured, and are left out
    where they say so. The seed is the replicate: its cells of one task are averaged.
    """
    rows = _scored(tables, rules)
    means = rows.groupby([table.MODEL, *CONDITION, table.SEED])[table.VALUE].mean()
    by_model = {
        str(model): {key: _array(values) for key, values in of_model.groupby(list(CONDITION))}
        for model, of_model in means.groupby(table.MODEL)
    }
    vanilla = by_model.get(VANILLA, {})
    shared = {model: [key for key in vanilla if key in found] for model, found in by_model.items()}
    return tuple(_across(model, by_model, keys, rows) for model, keys in shared.items() if len(keys) > 1)


def _across(
    model: str, by_model: Mapping[str, Mapping[Condition, Array]], keys: Sequence[Condition], rows: pd.DataFrame
) -> Across:
    scores, vanilla = ([by_model[name][key] for key in keys] for name in (model, VANILLA))
    here = pd.Series(pd.MultiIndex.from_frame(rows[list(CONDITION)]).isin(keys), index=rows.index)
    solved = rows.loc[here & (rows[table.MODEL] == model), SOLVED].dropna()
    rng = np.random.default_rng(0)
    return Across(
        model=model,
        tasks=len(keys),
        scores=sum(map(len, scores)),
        iqm=interquartile_mean(scores),
        iqm_interval=interval_of_mean(scores, rng=rng),
        vanilla_iqm=interquartile_mean(vanilla),
        above=tuple(map(float, performance_profile(scores, THRESHOLDS))),
        solved=int(solved.sum()),
        solvable=len(solved),
        better=None if model == VANILLA else probability_of_improvement(scores, vanilla),
        better_interval=None if model == VANILLA else interval_of_improvement(scores, vanilla, rng=rng),
    )


def _scored(tables: Tables, rules: Preregistration) -> pd.DataFrame:
    """Return the trained cells of tasks with a normalised score: `value` and, where there is a threshold, `solved`."""
    cells = tables.cells[(tables.cells[table.PROBE] == "") & (tables.cells[table.STATUS] != table.MISSING)]
    wide = tables.wide.reindex(index=cells[table.FINGERPRINT], columns=[*NORMALISED, *ACCURACY, STEPS_TO_SOLVE])
    wide = wide.astype(float).set_axis(cells.index)
    accuracy, chance = (wide[name] for name in ACCURACY)
    score = wide["recall_auc"].fillna(wide["r2"]).fillna((accuracy - chance) / (1 - chance))
    steps, status = wide[STEPS_TO_SOLVE], cells[table.STATUS]
    known = steps.notna() & ~((status == "ok") & np.isinf(steps))
    rows = cells.assign(**{table.VALUE: score, SOLVED: np.isfinite(steps).astype(float).where(known)})
    has_score, has_threshold = (rows.groupby(table.TASK)[name].transform("count") > 0 for name in (table.VALUE, SOLVED))
    rule = status.map(lambda word: rules.failures.get(word, "value"))
    failed = (status != "ok") & rule.isin(["chance", "worst", "value"])
    chance_at = failed & (rule.isin(["chance", "worst"]) | rows[table.VALUE].isna())
    rows[table.VALUE] = rows[table.VALUE].mask(chance_at, 0.0)
    rows[SOLVED] = rows[SOLVED].mask(chance_at & has_threshold & rows[SOLVED].isna(), 0.0)
    return rows[has_score & ~rule.isin(["excluded", "missing"]) & rows[table.VALUE].notna()]


def _array(values: "pd.Series[float]") -> Array:
    return np.asarray(values, dtype=np.float64)
