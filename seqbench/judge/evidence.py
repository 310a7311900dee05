"""What the records say about one atom: its arms by seed, failures counted as pre-registered, its p-values.

Failed cells are filled three times: as the failure rules say, all best for the sentence, all worst
(Manski 1990). The largest p-value of each direction rules, so a verdict that failed cells could overturn is
not reached. Times are another matter: a contended panel has none, and what remains was chosen without looking at it.
"""

import hashlib
import json
import math
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, replace
from itertools import product
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqbench.errors import InvalidInput
from seqbench.judge import capacity, stats, survival, table, testing
from seqbench.judge.rules import AtomLevels, AtomP
from seqbench.judge.stats import Array, Bounds
from seqbench.judge.table import Tables
from seqbench.preregistration import Arm, Atom, Control, Preregistration
from seqbench.tuning import Refused

Around = Mapping[Hashable, float]
Filling = Literal["rules", "best", "worst"]
State = Literal["tested", "not tested", "vacuous", "descriptive"]

EXCLUDED = "excluded"
STRUCTURAL = "missing"
VALUE = "value"
CONTENDED = "contended"
SOLVED, STEPS_TO_SOLVE = "solved", "steps_to_solve"
BITS_RECALLED, CAPACITY = "bits_recalled", "capacity"
RECORDED: Mapping[str, str] = {SOLVED: STEPS_TO_SOLVE, CAPACITY: BITS_RECALLED}
"""What the records hold in place of a measurement that is derived here."""
ZERO_IS_CHANCE = ("recall", "recall_far", "recall_auc", "recall_by_lag", "r2", SOLVED)
"""Normalised recall, R² and being solved: 0 is chance and 1 is perfect, whatever the task."""
NATURAL: Mapping[str, tuple[float, float]] = {
    "order_drop": (0.0, 1.0),
    "flip_rate": (0.0, 1.0),
    "order_symmetry": (0.0, 1.0),
    "r2_drop": (0.0, 1.0),
    "answer_change": (0.0, math.sqrt(2)),
}
"""Measurements without a chance predictor: a diverged cell has no value there. It is left out but counted as failed, so
that the verdict must also hold with the least and with the greatest value in its place: an answer that order does not
touch, and one that is all lost or as unlike as that to other items."""
OVER_CELLS = ("length", "ln_length", "ln_state_floats")
"""The axes on which a cell is one point; ln lag lies within a cell."""
ROW_COLUMNS = (
    table.FINGERPRINT,
    table.SEED,
    table.STATUS,
    table.ERROR,
    table.MODEL,
    table.PARAMS,
    table.LENGTH,
    table.WIDTH,
    table.LAYERS,
    table.STEPS,
    table.EVALUATED,
)
BY_SEED = (table.SEED, table.LENGTH, table.WIDTH, table.LAYERS, "symbol_bits", "state_floats")
"""What the value of a seed is made from, beside the values of its cells: numbers alone, quicker to copy than texts."""
_OF_A_PANEL = [
    table.FINGERPRINT,
    table.PANEL,
    table.MACHINE,
    table.DEVICE,
    table.BATCH,
    table.WIDTH,
    table.LAYERS,
]
CUDA = "cuda"
CHOSEN = "chosen by trials of learning rates"
"""With this begins the reason of an atom some of whose arms had candidates."""
CHANCE_COLUMN = {
    "bits_per_character": "order0_bits_per_character",
    "accuracy": "chance_accuracy",
    "loss": "chance_loss",
}
BEST_COLUMN = {"bits_per_character": "floor_bits_per_character", "loss": "floor_loss"}


@dataclass(frozen=True, slots=True)
class ArmData:
    """One side of a comparison, one entry per seed that counts; `planned` and `ran` count cells.

    values: the measurement itself, with failed cells as the failure rules say.
    """

    name: str
    model: str
    planned: int
    ran: int
    excluded: int
    failed: int
    values: tuple[float, ...]
    mean: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True, slots=True)
class ControlResult:
    """A control's measured mean against the threshold that it had to pass."""

    arm: str
    model: str
    measurement: str
    mean: float | None
    above: float

    @property
    def passed(self) -> bool:
        """Return whether the control shows that the effect could have been seen."""
        return self.mean is not None and self.mean > self.above


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything about one atom except the level at which it is judged.

    reason: why it was not tested, or what a reader must know (failed cells, disagreeing tests).
    samples: the values that were tested, by arm.
    """

    name: str
    atom: Atom
    state: State
    reason: str = ""
    effect: float | None = None
    n: int = 0
    p: AtomP | None = None
    spread: float | None = None
    samples: tuple[Array, ...] = ()
    arms: tuple[ArmData, ...] = ()
    controls: tuple[ControlResult, ...] = ()


def gather(name: str, atom: Atom, tables: Tables, rules: Preregistration, *, claim: str, trimmed: str = "") -> Evidence:
    """Return what the study's tables say about one atom of a claim.

    claim: "" where it is only described, without p-values. trimmed: why cells of it are no longer planned; what is left
    of them is not tested. Of an arm with candidates the one that the study's trials chose is tested.
    """
    key = (gather, claim, name, trimmed, atom.model_dump_json(), _failures(rules))
    return tables.once(key, lambda: _chosen(name, atom, tables, rules, claim=claim, trimmed=trimmed))


def _chosen(name: str, atom: Atom, tables: Tables, rules: Preregistration, *, claim: str, trimmed: str) -> Evidence:
    """Return what the tables say about an atom, of whose arms with candidates those count that the trials chose."""
    choices = {key: tables.chosen[claim, name, key] for key, arm in atom.arms.items() if arm.candidates}
    models = {key: found for key, found in choices.items() if isinstance(found, str)}
    if refused := [found for found in choices.values() if isinstance(found, Refused)]:
        return Evidence(name, atom, "not tested", reason=trimmed or refused[0].reason)
    arms = atom.arms | {key: atom.arms[key].of(model) for key, model in models.items()}
    found = _gathered(name, atom.model_copy(update={"arms": arms}), tables, rules, claim=claim, trimmed=trimmed)
    told = [f"{model} as {key} (of {atom.arms[key].title})" for key, model in models.items()]
    chosen = f"{CHOSEN}: {', '.join(told)}" if told else ""
    return replace(found, reason="; ".join(filter(None, (chosen, found.reason))))


def _gathered(name: str, atom: Atom, tables: Tables, rules: Preregistration, *, claim: str, trimmed: str) -> Evidence:
    """Return what the tables say about an atom whose arms have one model each, or are levels of a factor."""
    arms = {key: _arm_rows(arm, atom, tables, rules) for key, arm in atom.arms.items()}
    shown = tuple(_arm_data(key, atom, rows) for key, rows in arms.items())
    controls = tuple(_control(control, atom, tables, rules) for control in atom.controls)
    known = Evidence(name, atom, "not tested", arms=shown, controls=controls)
    if atom.test == "descriptive":
        n = max((len(arm.values) for arm in shown), default=0)
        return replace(known, state="descriptive", n=n, reason="descriptive: no hypothesis is tested")
    if why := trimmed or _why_not_tested(arms, atom):
        return replace(known, reason=why)
    failed = [control for control in controls if not control.passed]
    if failed:
        return replace(known, state="vacuous", reason=_why_vacuous(failed[0]))
    rng = _drawing(claim, name) if claim else None
    return _timed(known, arms, tables, rng) if atom.test == "rounds" else _tested(known, arms, rng)


def _drawing(claim: str, name: str) -> np.random.Generator:
    """Return the source of chance of an atom's tests, the same in every report."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(f"{claim}/{name}".encode()).digest()[:8]))


def bounds(evidence: Evidence, levels: AtomLevels) -> Bounds:
    """Return the confidence bounds of θ, each one-sided at the level of its direction."""
    return testing.bounds(evidence.atom, evidence.samples, levels)


def claim_cells(atoms: Iterable[Atom], tables: Tables) -> pd.DataFrame:
    """Return the planned cells that any arm of these atoms names, each once."""
    chosen = np.zeros(len(tables.cells), dtype=bool)
    for atom in atoms:
        for arm in atom.arms.values():
            chosen |= _of_arm(arm, tables)
    return tables.cells[chosen]


def _of_arm(arm: Arm, tables: Tables) -> NDArray[np.bool_]:
    """Return which planned cells belong to an arm; those that differ in their seed alone are looked at once."""

    def found() -> NDArray[np.bool_]:
        kinds, number = tables.kinds
        return matches(arm, kinds).to_numpy(dtype=bool)[number]

    return tables.once((_of_arm, arm.model_dump_json()), found)


def _failures(rules: Preregistration) -> tuple[tuple[str, str], ...]:
    """Return the rules of failures as a part of a key: of what is pre-registered they alone change an arm's rows."""
    return tuple(rules.failures.items())


def matches(arm: Arm, cells: pd.DataFrame) -> "pd.Series[bool]":
    """Return which rows of a cells frame belong to an arm: every field that it gives equals the cell's.

    The columns are called as the attributes of a cell are.
    """
    found = pd.Series(True, index=cells.index)
    for field, values in arm.wanted.items():
        found &= cells[field].isin(values)
    if arm.params:
        found &= cells[table.PARAMS].isin(
            {text for text in cells[table.PARAMS].unique() if arm.takes(json.loads(text))}
        )
    return found if arm.device is None else found & _on_device(arm.device, cells)


def device_class(device: str) -> str:
    """Return the class of a record's device, cpu or cuda; a GPU is recorded by its name, threads follow a comma."""
    name = device.partition(",")[0]
    return name if name in ("", "cpu") else CUDA


def _on_device(wanted: str, cells: pd.DataFrame) -> "pd.Series[bool]":
    """Return which rows belong to a class of device.

    A cell without a record has no device: it is expected on every class that anything of the study ran on, and on
    all of them before the first record.
    """
    classes = cells[table.DEVICE].map({device: device_class(device) for device in cells[table.DEVICE].unique()})
    ran = set(classes.unique()) - {""}
    return (classes == wanted) | ((classes == "") & (wanted in ran or not ran))


def _arm_rows(arm: Arm, atom: Atom, tables: Tables, rules: Preregistration) -> pd.DataFrame:
    """Return one row per planned cell of an arm: seed, status, value and against, by rule and by filling.

    Many atoms ask for the same arm and measurement.
    """
    asked = (atom.measurement, atom.against, atom.slope_over, atom.ln, _failures(rules))
    key = (_arm_rows, arm.model_dump_json(), *asked)
    return tables.once(key, lambda: _arm_rows_anew(arm, atom, tables, dict(_failures(rules))))


def _arm_rows_anew(arm: Arm, atom: Atom, tables: Tables, failures: Mapping[str, str]) -> pd.DataFrame:
    places = np.flatnonzero(_of_arm(arm, tables))
    needed = sorted(set(_columns(atom)))
    wide = {name: _measured(name, tables)[places] for name in needed}
    around = tables.once((_around, arm.task, *needed), lambda: _around(arm.task, needed, tables))
    rows = _rows(tables).take(places)
    status = rows[table.STATUS].astype(object).to_numpy()
    rule = np.array([failures.get(each, VALUE) for each in status], dtype=object)
    ok, value = status == "ok", _values(atom, rows, wide, tables)
    symbol_bits, floats = _size_of_memory(rows, wide)
    chance = _chance(atom, rows, wide, around)
    as_chance = (rule == "chance") | (rule == "worst") | (np.isnan(value) & (rule == VALUE) & ~ok)
    if atom.measurement in (SOLVED, STEPS_TO_SOLVE):  # a cell that diverged did not solve its task: that is known
        as_chance &= np.isnan(value)
    out = (rule == EXCLUDED) | (rule == STRUCTURAL) | (status == table.MISSING)
    counted = np.where(out, math.nan, np.where(as_chance, chance, value))
    against = np.zeros(len(rows))
    if isinstance(atom.against, str):
        against = _known_or(wide[atom.against], around.get(atom.against, math.nan))
    result = rows.assign(
        symbol_bits=symbol_bits,
        state_floats=floats,
        rule=pd.Categorical(rule),
        value=counted,
        against=against,
        failed=as_chance | (out & (rule == EXCLUDED)) | (ok & np.isnan(value)),
    )
    low, high = _limits(atom, result, wide, around, chance)
    order = np.lexsort((counted, result[table.SEED].to_numpy()))
    return result.assign(low=low, high=high).take(order).reset_index(drop=True)


def _rows(tables: Tables) -> pd.DataFrame:
    """Return what an arm's rows say of every cell, its texts as categories, which are quicker to copy and compare."""
    texts = (table.FINGERPRINT, table.STATUS, table.ERROR, table.MODEL, table.PARAMS)
    kinds: dict[Hashable, Any] = dict.fromkeys(texts, "category")
    return tables.once(_rows, lambda: tables.cells[list(ROW_COLUMNS)].astype(kinds))


def _measured(name: str, tables: Tables) -> Array:
    """Return a measurement of every planned cell, NaN where it has none: (n,)."""
    nothing = pd.Series(math.nan, index=tables.beside.index)
    return tables.once((_measured, name), lambda: _array(tables.beside.get(name, nothing)))


def _known_or(values: Array, other: float | Array) -> Array:
    """Return values with another in place of each NaN: (n,)."""
    return np.where(np.isnan(values), other, values)


def _around(task: str, needed: list[str], tables: Tables) -> Around:
    """Return the means of measurements over all cells of a task.

    A baseline, chance or floor that a failed cell lacks is read from the task's other cells: these are properties of
    the data, not of the model.
    """
    return tables.beside.reindex(columns=needed)[tables.cells[table.TASK] == task].astype(float).mean().to_dict()


def _columns(atom: Atom) -> tuple[str, ...]:
    recorded = RECORDED.get(atom.measurement, atom.measurement)
    extra = (CHANCE_COLUMN.get(atom.measurement), BEST_COLUMN.get(atom.measurement))
    against = atom.against if isinstance(atom.against, str) else None
    memory = ("load", "state_floats") if recorded == BITS_RECALLED or atom.slope_over == "ln_state_floats" else ()
    return (recorded, *memory, *(name for name in (*extra, against) if name))


def _values(atom: Atom, rows: pd.DataFrame, wide: Mapping[str, Array], tables: Tables) -> Array:
    """Return the measurement of every cell, NaN where it has none: (n,).

    Steps to solve are those of the budget where it was used up. A task that no score solves is not unsolved: it has no
    value. Over ln lag the value is the slope of the cell's own series.
    """
    found = wide[RECORDED.get(atom.measurement, atom.measurement)]
    if atom.measurement in (SOLVED, STEPS_TO_SOLVE):
        unknown = np.isnan(found) | ((rows[table.STATUS] == "ok").to_numpy() & np.isinf(found))
        solved = np.isfinite(found).astype(float)
        values = solved if atom.measurement == SOLVED else np.minimum(found, rows[table.STEPS].to_numpy())
        return np.where(unknown, math.nan, values)
    if atom.slope_over == "ln_lag":
        return _array(rows[table.FINGERPRINT].astype("str").map(_slopes_over_lag(atom, rows, tables)))
    return np.where(np.isfinite(found), found, math.nan)


def _slopes_over_lag(atom: Atom, rows: pd.DataFrame, tables: Tables) -> dict[str, float]:
    """Return the slope of a measurement's series over ln lag: fingerprint -> per e-fold."""
    series = tables.series[
        tables.series[table.FINGERPRINT].isin(rows[table.FINGERPRINT])
        & (tables.series[table.MEASUREMENT] == atom.measurement)
        & (tables.series[table.AXIS] == "lag")
    ]
    return {
        str(fingerprint): float(stats.per_seed_slope(np.log(_array(one[table.AT])), _logs(atom, one[table.VALUE]))[0])
        for fingerprint, one in table.points(series).groupby(table.FINGERPRINT)
    }


def _logs(atom: Atom, values: "pd.Series[float]") -> Array:
    """Return a seed's points as one row, as logarithms where the atom asks for them: (1, k)."""
    row = _array(values)[None]
    return np.log(np.where(row > 0, row, math.nan)) if atom.ln else row


def _size_of_memory(rows: pd.DataFrame, wide: Mapping[str, Array]) -> tuple[Array, Array]:
    """Return the bits of a written symbol and the state's floats of every cell: (n,), (n,).

    Neither depends on the seed, so that cells that failed have those of their like; a symbol is a bit where none ran.
    """
    if not {"load", "state_floats"} <= set(wide):
        return np.full(len(rows), math.nan), np.full(len(rows), math.nan)
    floats = pd.Series(wide["state_floats"], index=rows.index)
    bits = (wide["load"] * floats / rows[table.LENGTH]).median()
    like = floats.groupby([rows[table.WIDTH], rows[table.LAYERS], rows[table.LENGTH]]).transform("mean")
    return np.full(len(rows), 1.0 if math.isnan(bits) else bits), _array(floats.fillna(like))


def _chance(atom: Atom, rows: pd.DataFrame, wide: Mapping[str, Array], around: Around) -> Array:
    if atom.measurement in (*ZERO_IS_CHANCE, BITS_RECALLED, CAPACITY):
        return np.zeros(len(rows))
    if atom.measurement == STEPS_TO_SOLVE:
        return _array(rows[table.STEPS])
    column = CHANCE_COLUMN.get(atom.measurement)
    return np.full(len(rows), math.nan) if column is None else _known_or(wide[column], around[column])


def _limits(
    atom: Atom, rows: pd.DataFrame, wide: Mapping[str, Array], around: Around, chance: Array
) -> tuple[float | Array, float | Array]:
    """Return the least and the greatest value a failed cell could have had; unbounded: those seen."""
    measurement = atom.measurement
    written = _array(rows[table.LENGTH] * rows["symbol_bits"])
    tops = {BITS_RECALLED: written, CAPACITY: written} | dict.fromkeys((*ZERO_IS_CHANCE, "accuracy"), 1.0)
    if atom.slope_over == "ln_lag":  # a slope within a cell is none of the measurement's values
        return _span(_array(rows["value"].dropna()))
    if measurement in tops:
        return chance, tops[measurement]
    if measurement == STEPS_TO_SOLVE:
        return 0.0, chance
    if measurement in NATURAL:
        return NATURAL[measurement]
    if measurement in BEST_COLUMN:
        column = BEST_COLUMN[measurement]
        return _known_or(_known_or(wide[column], around[column]), 0.0), chance
    return _span(wide[measurement][np.isfinite(wide[measurement])])


def _span(seen: Array) -> tuple[float, float]:
    """Return the least and the greatest of some values, NaN where there are none."""
    return (float(seen.min()), float(seen.max())) if len(seen) else (math.nan, math.nan)


def _by_seed(rows: pd.DataFrame, atom: Atom, filling: Filling, *, up: bool) -> "pd.Series[float]":
    """Return the value of every seed that counts, as the seed is the replicate.

    It is the mean over the seed's cells, or the slope over them, minus the number that the atom is held against.
    """
    value = rows["value"] if filling == "rules" else _filled(rows, atom, filling, up=up)
    held = _array(value) - _array(rows["against"])
    known = ~np.isnan(held)
    counted = pd.DataFrame({name: rows[name].to_numpy()[known] for name in BY_SEED} | {"value": held[known]})
    if atom.measurement == CAPACITY:
        counted = _capacities(counted)
    hopeless: list[int] = []
    if atom.ln and atom.slope_over != "ln_lag":
        hopeless = sorted(set(counted.loc[counted["value"] <= 0, table.SEED]))
        counted = counted.assign(value=np.log(counted["value"].where(counted["value"] > 0)))
    by_seed = counted.groupby(table.SEED)["value"].mean()
    if atom.slope_over in OVER_CELLS:
        by_seed = _slopes_over_cells(counted.assign(at=_places(counted, atom)))
        if filling != "rules" and (away := _away_from_its_bound(atom, filling)) is not None:
            by_seed = by_seed.reindex(sorted(set(rows[table.SEED]))).mask(
                rows.groupby(table.SEED)["failed"].any(), away
            )
    if hopeless:
        by_seed = by_seed.reindex(sorted({*by_seed.index, *hopeless}))
        by_seed.loc[hopeless] = -math.inf
    return by_seed.dropna() - (atom.against if isinstance(atom.against, float) else 0.0)


def _filled(rows: pd.DataFrame, atom: Atom, filling: Filling, *, up: bool) -> "pd.Series[float]":
    """Return the values of all cells with those that failed as good, or as bad, for θ as they could have been."""
    if atom.slope_over not in OVER_CELLS and (away := _away_from_its_bound(atom, filling)) is not None:
        return rows["value"].mask(rows["failed"], away)
    high = pd.Series((filling == "best") == up, index=rows.index)
    if atom.slope_over in OVER_CELLS:  # what lifts the far end of a line lowers its slope at the near end
        places = _places(rows, atom)
        high ^= places < places.groupby(rows[table.SEED]).transform("mean")
    return rows["value"].mask(rows["failed"], rows["high"].where(high, rows["low"]))


def _away_from_its_bound(atom: Atom, filling: Filling) -> float | None:
    """Return what a failed value counts in tests of nearness: zero is best, clearly outside is worst."""
    bound = {"tost": atom.equivalence, "exact": atom.below}.get(atom.test)
    if bound is None:
        return None
    return 0.0 if filling == "best" else 2 * bound


def _places(rows: pd.DataFrame, atom: Atom) -> "pd.Series[float]":
    """Return where each cell stands on the axis of the slope."""
    at = rows["state_floats"] if atom.slope_over == "ln_state_floats" else rows[table.LENGTH].astype(float)
    return at if atom.slope_over == "length" else pd.Series(np.log(at), index=rows.index)


def _slopes_over_cells(points: pd.DataFrame) -> "pd.Series[float]":
    """Return the slope of every seed's values over `at`; cells at one place count as their mean.

    Slopes over different places are different quantities: a seed that lacks a place is left out where others have all.
    """
    grid = points.pivot_table(index=table.SEED, columns="at", values="value", aggfunc="mean")
    whole = grid.dropna()
    grid = whole if len(whole) else grid
    found = stats.per_seed_slope(grid.columns.to_numpy(dtype=float), grid.to_numpy(dtype=float))
    return pd.Series(found, index=grid.index)


def _capacities(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row for every seed and size of model: the capacity fitted over its lengths, in bits."""
    groups = rows.groupby([table.SEED, table.WIDTH, table.LAYERS])
    written, values = _array(rows[table.LENGTH] * rows["symbol_bits"]), _array(rows["value"])
    found = [capacity.capacity(written[at], values[at]) for _, at in sorted(groups.indices.items())]
    return groups.first().assign(value=found, state_floats=groups["state_floats"].mean()).reset_index()


def _arm_data(name: str, atom: Atom, rows: pd.DataFrame) -> ArmData:
    """Return what is printed of an arm: the measurement of each seed, whatever it is held against."""
    itself = atom.model_copy(update={"against": None})
    values = _array(_by_seed(rows.assign(against=0.0), itself, "rules", up=True))
    values = values[np.isfinite(values)]
    inside = stats.mean_bounds(values, lower_level=0.025, upper_level=0.025)
    return ArmData(
        name=name,
        model=atom.arms[name].title,
        planned=len(rows),
        ran=int((rows[table.STATUS] != table.MISSING).sum()),
        excluded=int((rows["rule"] == EXCLUDED).sum()),
        failed=int(rows["failed"].sum()),
        values=tuple(float(value) for value in values),
        mean=finite(values.mean()) if len(values) else None,
        lower=finite(inside.lower),
        upper=finite(inside.upper),
    )


def finite(value: float | None) -> float | None:
    """Return the number, or None where it is none: JSON knows neither NaN nor infinity."""
    return float(value) if value is not None and math.isfinite(value) else None


def _control(control: Control, atom: Atom, tables: Tables, rules: Preregistration) -> ControlResult:
    arm = atom.arms[control.arm]
    asked = atom.model_copy(
        update={"measurement": control.measurement, "against": None, "slope_over": None, "ln": False}
    )
    data = _arm_data(control.arm, asked, _arm_rows(arm, asked, tables, rules))
    return ControlResult(control.arm, arm.title, control.measurement, data.mean, control.above)


def _why_not_tested(arms: dict[str, pd.DataFrame], atom: Atom) -> str:
    """Return why an atom has no verdict, or nothing; a control that did not run is no control that failed."""
    names = atom.needed
    unplanned = [name for name in names if arms[name].empty]
    if unplanned and all(atom.arms[name].device == CUDA for name in unplanned):
        return f"nothing of it ran on a GPU ({', '.join(atom.arms[name].title for name in unplanned)})"
    if unplanned:
        listed = ", ".join(f"{name} ({atom.arms[name].title})" for name in unplanned[:3])
        more = f" and {len(unplanned) - 3} more" if len(unplanned) > 3 else ""
        return f"no cells planned for {listed}{more}"
    planned = sum(len(arms[name]) for name in names)
    ran = sum(int((arms[name][table.STATUS] != table.MISSING).sum()) for name in names)
    if ran < planned:
        return f"{ran} of {planned} cells ran"
    structural = sum(int((arms[name]["rule"] == STRUCTURAL).sum()) for name in names)
    if structural:
        return f"{structural} of {planned} cells are structural{_first_reason(arms[name] for name in names)}"
    decide = atom.deciding
    if any(_by_seed(arms[name], atom, "rules", up=True).empty for name in decide):
        return _why_no_value(pd.concat([arms[name] for name in decide]), atom.measurement)
    return _why_not_comparable(arms, atom)


def _why_not_comparable(arms: dict[str, pd.DataFrame], atom: Atom) -> str:
    """Return why values that there are cannot be compared by seed."""
    if atom.test in ("proportions", "time_to_solve"):
        crowded = [name for name in atom.deciding if arms[name][table.SEED].duplicated().any()]
        if crowded:
            return f"the arm {crowded[0]!r} has several cells of a seed; name the length, width and parameters"
    if atom.test == "time_by_lag":
        unknown = [(name, why) for name in atom.deciding if (why := survival.why_unknown(_times(arms[name])))]
        return f"the arm {unknown[0][0]!r} {unknown[0][1]}" if unknown else ""
    if atom.test == "time_to_solve":
        budgets = sorted({int(steps) for name in atom.deciding for steps in arms[name][table.STEPS]})
        if len(budgets) > 1:
            return (
                f"its arms have budgets of {budgets[0]} to {budgets[-1]} steps, so that their means cannot be compared"
            )
    if atom.test == "paired" and _samples(atom, arms, "rules")[0].size == 0:
        return "no seed has a value in both arms"
    return _why_no_effect(arms, atom) if atom.test == "factor" else ""


def _why_no_effect(arms: dict[str, pd.DataFrame], atom: Atom) -> str:
    """Return why the cells of a factorial do not show the effect of its factor."""
    for name, rows in arms.items():
        if rows.duplicated([table.SEED, *atom.blocks]).any():
            return f"the level {name!r} has several cells of a seed that no block tells apart"
    response, levels, places = _factor_samples(atom, arms)
    if alone := [name for number, name in enumerate(arms) if number not in levels]:
        return (
            f"the level {alone[0]!r} has no {' and '.join(atom.blocks)} in common with another, so nothing compares it"
        )
    try:
        testing.factor(atom, (np.zeros(len(response)), levels, places))
    except InvalidInput as error:
        return str(error)
    return ""


def _first_reason(arms: Iterable[pd.DataFrame]) -> str:
    told = [text for rows in arms for text in rows[rows["rule"] == STRUCTURAL][table.ERROR] if text]
    return f": {told[0]}" if told else ""


def _why_no_value(rows: pd.DataFrame, measurement: str) -> str:
    noisy = rows[rows[table.STATUS] == CONTENDED]
    if len(noisy):
        return f"noisy machine: {noisy[table.ERROR].iloc[0] or 'other work ran meanwhile'}"
    return f"{measurement} is in no usable record"


def _why_vacuous(control: ControlResult) -> str:
    mean = "no value" if control.mean is None else f"{control.mean:.3g}".replace("-", "−")
    return f"control failed: {control.model} has {control.measurement} {mean}, needed above {control.above:g}"


def _tested(known: Evidence, arms: dict[str, pd.DataFrame], rng: np.random.Generator | None) -> Evidence:
    """Return the evidence of a test over seeds; without a source of chance all but its p-values."""
    atom = known.atom
    samples = _samples(atom, arms, "rules")
    p, reason = (None, "") if rng is None else _p_values(atom, arms, samples, rng)
    if atom.test == "factor" and testing.are_numbers(samples):
        reason = "; ".join(filter(None, (_about_factor(atom, samples), reason)))
    if not testing.are_numbers(samples):
        reason = f"{atom.measurement} has a value whose logarithm is not finite" + (f"; {reason}" if reason else "")
    effect, spread = testing.effect(atom, samples)
    n = _replicates(samples) if atom.test == "factor" else min(len(values) for values in samples)
    return replace(known, state="tested", reason=reason, effect=effect, spread=spread, n=n, p=p, samples=samples)


def _p_values(
    atom: Atom, arms: dict[str, pd.DataFrame], samples: tuple[Array, ...], rng: np.random.Generator
) -> tuple[AtomP, str]:
    """Return the largest p-values over every way to fill in failed cells, and what that changed in words."""
    p = testing.p_values(atom, samples, rng)
    failed = sum(int(arms[name]["failed"].sum()) for name in atom.deciding)
    if not failed:
        return p, ""
    filled = [testing.p_values(atom, one, rng) for one in _fillings(atom, arms)]
    best, worst = filled[0], filled[-1]
    if atom.test == "factor":  # which filling is best depends on which level is ahead
        best, worst = (pick(filled, key=lambda one: one.support) for pick in (min, max))
    reason = (
        f"{failed} failed cells; p of support {p.support:.3g} as pre-registered, "
        f"{best.support:.3g} if all were best, {worst.support:.3g} if all were worst"
    )
    return AtomP(max(one.support for one in (p, *filled)), max(one.contradict for one in (p, *filled))), reason


def _about_factor(atom: Atom, samples: tuple[Array, ...]) -> str:
    """Return the share of variance of a factor, the SD of seeds, and out of how many cells."""
    found = testing.factor(atom, samples)
    share = found.omega_interval()
    return (
        f"ω² = {found.omega_squared:.3g} [{share.lower:.3g}, {share.upper:.3g}], twice the SD of seeds = "
        f"{2 * found.error_sd:.3g}, {found.n} cells with {found.freedom} degrees of freedom of error"
    )


def _replicates(samples: tuple[Array, ...]) -> int:
    """Return the number of cells of the smallest configuration of a factorial."""
    _, counts = np.unique(np.stack(samples[1:]), axis=1, return_counts=True)
    return int(counts.min())


def _timed(known: Evidence, arms: dict[str, pd.DataFrame], tables: Tables, rng: np.random.Generator | None) -> Evidence:
    """Return the evidence of the paired rounds of two models: one sample per process.

    Rounds are paired within their panel alone. Panels of one machine at the same sizes, batch and threads are
    replicates; those of another machine or size are not, and of several such kinds the one with the most rounds counts.
    """
    kinds = _paired_panels(arms["subject"], arms["reference"], tables)
    if not kinds:
        return replace(known, reason="no round of one panel has both models")
    order = sorted(kinds, key=lambda kind: (-sum(len(values) for values in kinds[kind]), kind))
    samples = kinds[order[0]]
    samples = tuple(known.atom.sign * values for values in samples)
    effect, spread = testing.effect(known.atom, samples)
    reasons = []
    if len(order) > 1:
        reasons.append(f"{len(order) - 1} further machines or sizes are left out")
    lost = sum(int((rows[table.STATUS] == CONTENDED).sum()) for rows in (arms["subject"], arms["reference"]))
    if lost:
        reasons.append(f"{lost} contended cells are left out")
    return replace(
        known,
        state="tested",
        reason="; ".join(reasons),
        effect=effect,
        spread=spread,
        n=sum(map(len, samples)),
        p=None if rng is None else testing.p_values(known.atom, samples, rng),
        samples=samples,
    )


def _paired_panels(
    subjects: pd.DataFrame, references: pd.DataFrame, tables: Tables
) -> dict[tuple[str, ...], tuple[Array, ...]]:
    """Return ln(subject / reference) of every round that counts in both: kind of panel -> one array per process."""
    timed = tables.once(_paired_panels, lambda: tables.cells.loc[tables.cells[table.PANEL] != "", _OF_A_PANEL])
    panels = [rows[[table.FINGERPRINT]].merge(timed, on=table.FINGERPRINT) for rows in (subjects, references)]
    pairs = panels[0].merge(panels[1], on=[table.PANEL, table.MACHINE, table.BATCH], suffixes=("", "_reference"))
    found: dict[tuple[str, ...], list[Array]] = {}
    for pair in pairs.sort_values([table.FINGERPRINT, f"{table.FINGERPRINT}_reference"]).to_dict("records"):
        shape = [str(pair[name]) for name in (table.MACHINE, table.DEVICE, table.BATCH)]
        sizes = [str(pair[name + side]) for side in ("", "_reference") for name in (table.WIDTH, table.LAYERS)]
        one, other = (str(pair[table.FINGERPRINT + side]) for side in ("", "_reference"))
        found.setdefault((*shape, *sizes), []).extend(
            log_ratios(table.rounds(tables, one), table.rounds(tables, other))
        )
    return {kind: tuple(processes) for kind, processes in found.items() if processes}


def log_ratios(subject: pd.DataFrame, reference: pd.DataFrame) -> list[Array]:
    """Return ln(subject / reference) of every round of one panel that counts in both, one array per process."""
    _, own, other = np.intersect1d(subject.index, reference.index, assume_unique=True, return_indices=True)
    kept = subject[table.KEPT].to_numpy()[own] & reference[table.KEPT].to_numpy()[other]
    own, other = own[kept], other[kept]
    ratios = np.log(subject[table.SECONDS].to_numpy()[own] / reference[table.SECONDS].to_numpy()[other])
    processes = subject[table.PROCESS].to_numpy()[own]
    return [ratios[processes == process] for process in np.unique(processes)]


def _samples(atom: Atom, arms: dict[str, pd.DataFrame], filling: Filling) -> tuple[Array, ...]:
    """Return the values that are tested: θ by seed for one-arm tests, both oriented arms for two_sample."""
    if atom.test in ("tost", "exact"):
        return tuple(_array(_by_seed(arms[name], atom, filling, up=True)) for name in atom.deciding)
    if atom.test in ("tost_difference", "factor", "time_by_lag"):
        return _samples_of_design(atom, arms, filling)
    up = atom.sign > 0
    if atom.test in ("one_sample", "maximum"):
        return tuple(atom.sign * _array(_by_seed(arms[name], atom, filling, up=up)) for name in atom.deciding)
    sides = {"subject": up, "reference": not up}
    if atom.test == "time_to_solve":  # shares of the budget; θ is their ln ratio, which has its orientation by the arms
        return tuple(_array(_by_seed(_shared(arms[name]), atom, filling, up=side)) for name, side in sides.items())
    subject, reference = (atom.sign * _by_seed(arms[name], atom, filling, up=side) for name, side in sides.items())
    if atom.test == "paired":
        return (_array((subject - reference).dropna()),)
    return _array(subject), _array(reference)


def _samples_of_design(atom: Atom, arms: dict[str, pd.DataFrame], filling: Filling) -> tuple[Array, ...]:
    if atom.test == "time_by_lag":
        return tuple(values for name in atom.deciding for values in astuple(_times(arms[name])))
    return _factor_samples(atom, arms) if atom.test == "factor" else _difference_samples(atom, arms, filling)


def _fillings(atom: Atom, arms: dict[str, pd.DataFrame]) -> Iterator[tuple[Array, ...]]:
    """Return the values with failed cells all best and all worst; of a factor, with what could draw its levels apart.

    There the failed cells of each level are all least or all greatest, in every combination, or all like the mean.
    """
    if atom.test == "time_by_lag":
        yield from _fillings_by_lag(arms)
        return
    if atom.test != "factor":
        yield from (_samples(atom, arms, filling) for filling in ("best", "worst"))
        return
    mean = float(pd.concat([rows["value"] for rows in arms.values()]).mean())
    sides = [("low", "high") if rows["failed"].any() else ("value",) for rows in arms.values()]
    for chosen in (*product(*sides), (mean,) * len(arms)):
        yield _factor_samples(
            atom,
            {
                name: rows.assign(
                    value=rows["value"].mask(rows["failed"], rows[side] if isinstance(side, str) else side)
                )
                for (name, rows), side in zip(arms.items(), chosen, strict=True)
            },
        )


def _fillings_by_lag(arms: dict[str, pd.DataFrame]) -> Iterator[tuple[Array, ...]]:
    """Return the cells with the failed ones as steep as they could be in one arm and as flat in the other.

    A failed cell could have solved its task at the first evaluation, or not within its budget.
    """
    for steep in ("subject", "reference"):
        filled = []
        for name in ("subject", "reference"):
            rows = arms[name]
            far = rows[table.LENGTH] >= rows[table.LENGTH].mean()
            slow = rows[table.STEPS].where(far == (name == steep), rows[table.EVALUATED])
            filled.append(_times(rows.assign(value=rows["value"].mask(rows["failed"], slow))))
        yield tuple(values for times in filled for values in astuple(times))


def _times(rows: pd.DataFrame) -> survival.Times:
    """Return the times of the cells that have one; the lag of a task with one item is its length less one."""
    known = rows.dropna(subset=["value"])
    names = (table.LENGTH, "value", table.EVALUATED, table.STEPS)
    length, steps, between, budget = (_array(known[name].astype(float)) for name in names)
    return survival.Times(np.log(length - 1), steps, between, budget)


def _factor_samples(atom: Atom, arms: dict[str, pd.DataFrame]) -> tuple[Array, ...]:
    """Return the response, the number of the level and that of the configuration of every cell that compares levels.

    The others have no value, or stand alone with their level at that configuration of the other factors.
    """
    rows = pd.concat([rows.assign(at_level=place) for place, rows in enumerate(arms.values())], ignore_index=True)
    rows = rows.assign(value=rows["value"] - rows["against"]).dropna(subset=["value"])
    at = rows.groupby(list(atom.blocks)).ngroup().astype(float) if atom.blocks else pd.Series(0.0, index=rows.index)
    shared = rows.groupby(at)["at_level"].transform("nunique") > 1
    rows, at = rows[shared], at[shared]
    response = _array(rows["value"])
    if atom.ln:
        response = np.log(response, out=np.full_like(response, -math.inf), where=response > 0)
    return response, _array(rows["at_level"].astype(float)), _array(at.astype(float))


def _shared(rows: pd.DataFrame) -> pd.DataFrame:
    """Return steps as shares of each cell's budget, so that arms with other budgets can be compared."""
    return rows.assign(**{name: rows[name] / rows[table.STEPS] for name in ("value", "low", "high")})


def _difference_samples(atom: Atom, arms: dict[str, pd.DataFrame], filling: Filling) -> tuple[Array, Array]:
    """Return both arms; a failed cell is filled with the other arm's mean (best), or twice the margin away (worst)."""
    known = [_by_seed(arms[name], atom, "rules", up=True) for name in ("subject", "reference")]
    if filling == "rules":
        return _array(known[0]), _array(known[1])
    away = 0.0 if filling == "best" else 2 * (atom.equivalence or 0.0)
    filled = []
    for name, other, side in (("subject", known[1], 1), ("reference", known[0], -1)):
        rows = arms[name]
        values = rows["value"].mask(rows["failed"], other.mean() + side * away)
        filled.append(_array(values.dropna().groupby(rows[table.SEED]).mean().sort_index()))
    return filled[0], filled[1]


def _array(values: "pd.Series[float]") -> Array:
    return np.asarray(values, dtype=np.float64)
