"""Scores of several tasks together: interquartile mean, performance profile, P(A > B) (Agarwal et al. 2021).

Scores are one array per task, its seeds as entries. Tasks are fixed, not drawn: intervals speak of these tasks alone,
and resampling is done within each. The interquartile mean discards the failing quarter: print the solve rate beside it.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

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
NORMALISED = ("recall_auc", "r2")
ACCURACY = ("accuracy", "chance_accuracy")
THRESHOLDS = np.array([0.5, 0.9])
"""Where the performance profile is read."""


def interquartile_mean(scores: Sequence[Array]) -> float:
    """Return the mean of the middle half of all scores, over seeds and tasks."""
    ordered = np.sort(np.concatenate(scores))
    quarter = len(ordered) // 4
    return float(ordered[quarter : len(ordered) - quarter].mean())


def performance_profile(scores: Sequence[Array], thresholds: Array) -> Array:
    """Return the share of scores above each threshold, tasks counting alike: (K,) -> (K,)."""
    shares = [(values[:, None] > thresholds).mean(axis=0) for values in scores]
    return np.asarray(np.mean(shares, axis=0), dtype=np.float64)


def probability_of_improvement(first: Sequence[Array], second: Sequence[Array]) -> float:
    """Return P(A > B), the mean over tasks of Mann and Whitney's U / (n m); ties count one half.

    Raises ValueError where the two have different numbers of tasks.
    """
    shares = [float((np.sign(a[:, None] - b[None, :]) / 2 + 0.5).mean()) for a, b in zip(first, second, strict=True)]
    return float(np.mean(shares))


def stratified_interval(
    statistic: Callable[..., float], *arms: Sequence[Array], rng: np.random.Generator, level: float = 0.05
) -> Bounds:
    """Return the percentile interval of 1 − level of `statistic(*arms)`, seeds resampled within every task and arm."""
    resampled = [[rng.choice(values, size=(RESAMPLES, len(values))) for values in arm] for arm in arms]
    drawn = [statistic(*([values[draw] for values in arm] for arm in resampled)) for draw in range(RESAMPLES)]
    lower, upper = np.quantile(drawn, [level / 2, 1 - level / 2])
    return Bounds(float(lower), float(upper))


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
        iqm_interval=stratified_interval(interquartile_mean, scores, rng=rng),
        vanilla_iqm=interquartile_mean(vanilla),
        above=tuple(map(float, performance_profile(scores, THRESHOLDS))),
        solved=int(solved.sum()),
        solvable=len(solved),
        better=None if model == VANILLA else probability_of_improvement(scores, vanilla),
        better_interval=None
        if model == VANILLA
        else stratified_interval(probability_of_improvement, scores, vanilla, rng=rng),
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
