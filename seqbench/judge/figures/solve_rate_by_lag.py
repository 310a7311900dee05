"""Which share of the seeds learnt to recall one item over a fixed lag, and after how many steps."""

import json
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seqbench.judge import stats, table
from seqbench.judge.figures import base, style
from seqbench.judge.table import Tables
from seqbench.plan import Study

TITLE = "Recall over a fixed lag: share of seeds that solved it, and after how many steps"
CAPTION = (
    "One item stands first and is asked for at the end; nothing but the distance makes it hard. Above: share of seeds "
    "that solved the task within the budget of their group, with exact 95 % intervals (Clopper-Pearson, unadjusted). "
    "Below: steps to solve; filled marks: seeds that solved it; open marks: seeds that had not when their budget "
    "ended, at that budget; line: median over seeds, where more than half solved it. Marks are of the first 20 seeds "
    "at most. Who diverged or ran out of time or memory did not solve it; cells that crashed, erred or could not run "
    "do not count."
)
PROBES = ("",)
LAG, SHARE = "lag", "share"
UNCOUNTED = frozenset({"excluded", "missing"})


def select(tables: Tables, study: Study) -> pd.DataFrame:
    """Return one row per cell of a fixed lag: lag and budget (steps), steps to solve, infinite where it was not.

    A cell that tells nothing of the model has no steps to solve: no record, or a failure that the pre-registration
    leaves out.
    """
    cells = tables.cells[(tables.cells[table.PROBE] == "") & (tables.cells[table.STEPS] > 0)]
    fixed = [
        _is_fixed(study, task, params) for task, params in zip(cells[table.TASK], cells[table.PARAMS], strict=True)
    ]
    rows = cells[np.array(fixed, dtype=bool)].join(
        tables.wide.reindex(columns=["steps_to_solve"]), on=table.FINGERPRINT
    )
    rules = {str(failure): rule for failure, rule in study.preregistration.failures.items()}
    counts = rows[table.STATUS].map({status: _counts(status, rules) for status in rows[table.STATUS]})
    # What failed without a measurement, as at the limit of time or memory, has not solved its task.
    steps = rows["steps_to_solve"].astype(float).fillna(np.inf).where(counts)
    columns = [*base.FACETS, table.LAYERS, table.MODEL, table.SEED, LAG, table.STEPS, table.VALUE, table.STATUS]
    found = rows.assign(**{LAG: rows[table.LENGTH] - 1, table.VALUE: steps})
    return found[columns].sort_values(columns[:7], ignore_index=True)


def draw(frame: pd.DataFrame) -> Figure:
    """Return two panels per task and size: share of seeds (1) and steps to solve (steps) against lag (steps)."""
    rows = frame[frame[table.VALUE].notna()]
    if rows.empty:
        return base.empty()
    rows = base.with_sizes(rows, (table.TASK, table.WIDTH, table.PARAMS))
    with base.styled():
        names = list(rows[base.FACET].unique())
        figure, axes = base.panels(2 * len(names), height=3.1)
        for place, name in enumerate(names):
            panel = rows[rows[base.FACET] == name]
            models = style.ordered(panel[table.MODEL])
            room = _room(panel, len(models))
            for number, model in enumerate(models):
                own, shift = panel[panel[table.MODEL] == model], base.beside(number, len(models), by=room)
                _shares(axes[2 * place], own, style.look(model), shift)
                _steps(axes[2 * place + 1], own, style.look(model), shift, room)
            _finish(axes[2 * place], axes[2 * place + 1], panel, name)
    return figure


def solve_rates(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the share of seeds that solved a lag, its exact 95 % interval and n: one row per lag."""
    found = []
    for lag, own in rows.groupby(LAG):
        solved = int(np.isfinite(own[table.VALUE]).sum())
        inside = stats.clopper_pearson(solved, len(own))
        bounds = {base.LOWER: inside.lower, base.UPPER: inside.upper}
        found.append({LAG: lag, SHARE: solved / len(own), base.N: len(own)} | bounds)
    return pd.DataFrame(found)


def _room(panel: pd.DataFrame, models: int) -> float:
    """Return the factor between two models at one lag, so that all of them stay clear of the next lag."""
    lags = np.sort(panel[LAG].unique())
    gap = float((lags[1:] / lags[:-1]).min()) if len(lags) > 1 else 2.0
    return min(1.08, float(gap ** (0.7 / models)))


def _is_fixed(study: Study, task: str, params: str) -> bool:
    card = study.cards[task]
    return card.generator == "recall" and (card.params | json.loads(params)).get("lag") == "fixed"


def _counts(status: str, failures: Mapping[str, str]) -> bool:
    return status != table.MISSING and failures.get(status) not in UNCOUNTED


def _shares(axis: Axes, rows: pd.DataFrame, look: style.Look, shift: float) -> None:
    rates = solve_rates(rows)
    bars = np.array([rates[SHARE] - rates[base.LOWER], rates[base.UPPER] - rates[SHARE]])
    axis.errorbar(
        rates[LAG] * shift,
        rates[SHARE],
        yerr=np.maximum(bars, 0.0),
        color=look.colour,
        marker=look.marker,
        linestyle=look.line,
        elinewidth=0.9,
        capsize=2,
        label=f"{look.label} ({base.counted(rates[base.N])})",
    )


def _steps(axis: Axes, rows: pd.DataFrame, look: style.Look, shift: float, room: float) -> None:
    # Seeds stand side by side in the room of their model: many solve a task at the same evaluation.
    some = base.some_seeds(rows)
    by_lag = some.groupby(LAG)
    at = some[LAG] * shift * room ** (0.7 * ((by_lag.cumcount() + 0.5) / by_lag[LAG].transform("size") - 0.5))
    solved = np.isfinite(some[table.VALUE])
    axis.plot(at[solved], some[solved][table.VALUE], look.marker, color=look.colour, markersize=4)
    axis.plot(
        at[~solved], some[~solved][table.STEPS], look.marker, color=look.colour, markerfacecolor="none", markersize=4
    )
    medians = rows.groupby(LAG)[table.VALUE].median()
    medians = medians[np.isfinite(medians)]
    axis.plot(medians.index * shift, medians, color=look.colour, linestyle=look.line, linewidth=1.3)
    axis.plot([], [], color=look.colour, linestyle=look.line, marker=look.marker, label=look.label)


def _finish(shares: Axes, steps: Axes, panel: pd.DataFrame, name: str) -> None:
    shares.axhline(0.5, color=style.INK, linewidth=1.0, linestyle="--", alpha=0.7, label="half of the seeds")
    shares.set_ylim(-0.06, 1.06)
    shares.set(title=name, ylabel="share of seeds that solved it (1)")
    steps.set(title=f"{name}: steps to solve", ylabel="steps to solve (steps, log scale)", yscale="log")
    steps.plot([], [], "o", color=style.INK, markerfacecolor="none", label="not solved, at its budget")
    steps.set_ylim(0.5 * min(panel[table.VALUE].min(), panel[table.STEPS].min()), 1.8 * panel[table.STEPS].max())
    base.plain_log(steps.yaxis)
    for axis in (shares, steps):
        axis.set(xlabel="lag (steps, log scale)", xscale="log")
        axis.set_xlim(panel[LAG].min() / 1.5, panel[LAG].max() * 1.5)
        base.ticks_at(axis.xaxis, panel[LAG])
        base.legend(axis)
