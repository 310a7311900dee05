"""From a study folder's contents to tidy frames: one row per thing, every column named once, here.

Trials of learning rates are in none of them: they decided how models were trained, and which of an arm's candidates
is judged, and must decide nothing else.
"""

import hashlib
import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqbench import plan, tuning
from seqbench.cell import Cell, RateRule, TrainConfig, canonical_json, model_name
from seqbench.plan import Planned, Study
from seqbench.preregistration import Arm
from seqbench.record import Floats, Record
from seqbench.store import Contents, uncollected

T = TypeVar("T")

FINGERPRINT = "fingerprint"
GROUP = "group"
TASK = "task"
PROBE = "probe"
MODEL = "model"
LENGTH = "length"
WIDTH = "width"
LAYERS = "layers"
MATCH = "match"
MATCHED_BY = "matched_by"
PARAMS = "params"
SEED = "seed"
STEPS = "steps"
EVALUATED = "evaluated"
BATCH = "batch"
STEP_TOKENS = "step_tokens"
TRAINING = "training"
THREADS = "threads"
TIER = "tier"
MACHINE = "machine"
DEVICE = "device"
LANE = "lane"
PANEL = "panel"
STATUS = "status"
ERROR = "error"
PARAMETERS = "parameters"
BUILT_WIDTH = "built_width"
WALL_SECONDS = "wall_seconds"
MEASUREMENT = "measurement"
VALUE = "value"
UNIT = "unit"
AXIS = "axis"
AT = "at"
SECONDS = "seconds"
KEPT = "kept"
PROCESS = "process"

CELL_COLUMNS = (
    FINGERPRINT,
    GROUP,
    TASK,
    PROBE,
    MODEL,
    LENGTH,
    WIDTH,
    LAYERS,
    MATCH,
    MATCHED_BY,
    PARAMS,
    SEED,
    STEPS,
    EVALUATED,
    BATCH,
    STEP_TOKENS,
    TRAINING,
    THREADS,
    TIER,
)
RECORD_COLUMNS = (MACHINE, DEVICE, LANE, PANEL, STATUS, ERROR)
COST_COLUMNS = (PARAMETERS, BUILT_WIDTH, WALL_SECONDS)
"""Of cells alone: counted parameters and the width that was built, which is not a matched cell's own, and seconds of
the whole cell; NaN where there is no record or model."""
ROW_COLUMNS = tuple(
    name
    for name in (*CELL_COLUMNS, *RECORD_COLUMNS)
    if name not in (GROUP, MATCH, MATCHED_BY, STEPS, EVALUATED, STEP_TOKENS, TRAINING, ERROR)
)
OF_A_KIND = (TASK, PROBE, MODEL, LENGTH, WIDTH, LAYERS, MATCHED_BY, PARAMS, BATCH, THREADS, TIER, DEVICE)
"""What an arm may ask of a cell; of many cells few differ in it."""

LAUNCHES = {"graph": "launched as one CUDA graph", "compiled": "compiled"}
PRECISIONS = {"tf32": "TF32", "bf16": "bfloat16"}

MISSING = "missing"
"""The status of a planned cell without an accepted record."""


@dataclass(frozen=True)
class Tables:
    """All that is judged and drawn: planned cells, measurements, series, and the measurements side by side.

    series: one row per measurement that has one; `points` makes them long.
    wide: one row per accepted record (index: fingerprint), one column per measurement name.
    chosen: of every arm that has candidates, by claim, atom and arm, the one that the trials chose, or why none.
    """

    cells: pd.DataFrame
    measurements: pd.DataFrame
    series: pd.DataFrame
    wide: pd.DataFrame
    chosen: Mapping[tuple[str, str, str], str | tuning.Refused] = field(default_factory=dict)
    _kept: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what `make` computes from these frames, computed once for each key: several figures ask for it."""
        if key not in self._kept:
            self._kept[key] = make()
        found: T = self._kept[key]
        return found

    @cached_property
    def kinds(self) -> tuple[pd.DataFrame, NDArray[np.intp]]:
        """Return the cells that differ in what an arm may name, one row each, and which of them every cell is: (n,)."""
        number = self.cells.groupby(list(OF_A_KIND), sort=False, dropna=False).ngroup()
        return self.cells[list(OF_A_KIND)].drop_duplicates(ignore_index=True), np.asarray(number, dtype=np.intp)

    @cached_property
    def beside(self) -> pd.DataFrame:
        """Return the measurements of every planned cell, in the rows of `cells`; NaN where it has none."""
        return self.wide.reindex(self.cells[FINGERPRINT]).set_axis(self.cells.index)

    @cached_property
    def rounds(self) -> Mapping[str, pd.DataFrame]:
        """Return the rounds of every timed cell as `rounds` describes them, by fingerprint."""
        timed = self.series[self.series[AXIS] == "round"]
        processes = self.wide["processes"] if "processes" in self.wide else pd.Series(dtype=float)
        found: dict[str, dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]] = {}
        for key, name, at, values in zip(
            *(timed[column] for column in (FINGERPRINT, MEASUREMENT, AT, VALUE)), strict=True
        ):
            found.setdefault(key, {})[name] = _array(at), _array(values)
        return {key: _rounds(own, processes=processes.get(key, math.nan)) for key, own in found.items()}


@uncollected()
def tables(study: Study, contents: Contents) -> Tables:
    """Return every frame of a study; the order in which records were read does not matter."""
    records = accepted(study, contents)
    rows = _rows(records)
    measured = _measurements(records, rows)
    once = measured.drop_duplicates([FINGERPRINT, MEASUREMENT], keep="last")
    wide = once.pivot(index=FINGERPRINT, columns=MEASUREMENT, values=VALUE)
    return Tables(cells(study, contents), measured, _series(records, rows), wide, chosen(study, contents))


def chosen(study: Study, contents: Contents) -> dict[tuple[str, str, str], str | tuning.Refused]:
    """Return which of its candidates each arm has, as the study's trials say, by claim, atom and arm."""
    asked = {
        (claim, name, key): arm
        for claim, content in study.preregistration.claims.items()
        for name, atom in content.atoms.items()
        for key, arm in atom.arms.items()
        if arm.candidates
    }
    if not asked:
        return {}
    entries = plan.planned(study)
    records = contents.of(entries)
    return {place: _best_of(arm, entries, records) for place, arm in asked.items()}


def _best_of(arm: Arm, entries: Iterable[Planned], records: Mapping[Cell, Record]) -> str | tuning.Refused:
    rules = {entry.cell.model: entry.cell.rate for entry in entries if not entry.trial and arm.fits(entry.cell)}
    asked = {}
    for model in map(model_name, arm.candidates):
        rule = rules.get(model)
        if rule is None:
            return tuning.Refused(f"no choice among {', '.join(arm.candidates)}: no cells planned for {model}")
        asked[model] = rule
    return tuning.best_of(asked, records)


def accepted(study: Study, contents: Contents) -> dict[str, Record]:
    """Return the accepted record of every planned cell that has one and is no trial, by fingerprint, in their order."""
    found = contents.accepted()
    return {entry.fingerprint: found[entry.fingerprint] for entry in _judged(study) if entry.fingerprint in found}


def cells(study: Study, contents: Contents) -> pd.DataFrame:
    """Return one row per planned cell that is no trial, with its status, "missing" where it has no accepted record."""
    found = contents.accepted()
    rows = []
    for entry in _judged(study):
        record = found.get(entry.fingerprint)
        rows.append(_cell_row(entry.cell, entry.fingerprint, entry.group) | _record_row(record) | _costs(record))
    return _frame(rows, (*CELL_COLUMNS, *RECORD_COLUMNS, *COST_COLUMNS))


def _measurements(records: Mapping[str, Record], rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row per record and measurement; `rows` are those of the records."""
    held = [(place, item) for place, record in enumerate(records.values()) for item in record.measurements]
    own: dict[str, Any] = {
        MEASUREMENT: pd.Series([item.name for _, item in held], dtype="str"),
        VALUE: np.array([item.value for _, item in held], dtype=np.float64),
        UNIT: pd.Series([item.unit for _, item in held], dtype="str"),
    }
    return rows.take([place for place, _ in held]).reset_index(drop=True).assign(**own)


def _series(records: Mapping[str, Record], rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row per measurement that has a series: its axis, all of its places, and all of its values.

    A study of many cells has tens of millions of points, so that no frame holds them all: choose rows, then `points`.
    """
    held = [
        (place, item, item.series)
        for place, record in enumerate(records.values())
        for item in record.measurements
        if item.series is not None
    ]
    own: dict[str, Any] = {
        MEASUREMENT: pd.Series([item.name for _, item, _ in held], dtype="str"),
        AXIS: pd.Series([one.axis for _, _, one in held], dtype="str"),
        AT: pd.Series([one.at for _, _, one in held], dtype=object),
        VALUE: pd.Series([one.values for _, _, one in held], dtype=object),
        UNIT: pd.Series([item.unit for _, item, _ in held], dtype="str"),
    }
    return rows.take([place for place, *_ in held]).reset_index(drop=True).assign(**own)


def points(series: pd.DataFrame) -> pd.DataFrame:
    """Return rows of `series` made long: one row per point, its place and value as numbers."""
    counts = np.fromiter(map(len, series[AT]), dtype=np.intp, count=len(series))
    rest = series.drop(columns=[AT, VALUE])
    long = rest.take(np.repeat(np.arange(len(series)), counts)).reset_index(drop=True)
    return long.assign(**{name: _joined(series[name]) for name in (AT, VALUE)})[series.columns.to_list()]


def rounds(tables: Tables, fingerprint: str) -> pd.DataFrame:
    """Return the rounds of one timed cell by their number: seconds per token, whether each counts, its process.

    A round without a finite time does not count; a contended cell has no rounds.
    """
    found = tables.rounds.get(fingerprint)
    return _rounds({}, processes=1.0) if found is None else found


def kept_seconds(tables: Tables, fingerprint: str) -> NDArray[np.float64]:
    """Return the seconds per token of the rounds of one timed cell that count: (rounds,)."""
    own = rounds(tables, fingerprint)
    found: NDArray[np.float64] = own[SECONDS].to_numpy(dtype=np.float64)[own[KEPT].to_numpy(dtype=bool)]
    return found


def _rounds(
    by_name: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]], *, processes: float
) -> pd.DataFrame:
    """Return the rounds of one timed cell from its series, each its places and its values: (rounds,), (rounds,)."""
    at, values = by_name.get("seconds_per_token", (np.empty(0), np.empty(0)))
    order = np.argsort(at, kind="stable")
    at, values = at[order], values[order]
    told = dict(zip(*by_name.get("round_kept", (at, np.ones(len(at)))), strict=True))
    kept = np.array([told.get(place, 0.0) > 0 for place in at], dtype=bool)
    each = max(1, math.ceil(len(values) / max(1, 1 if math.isnan(processes) else int(processes))))
    counts = kept & np.isfinite(values) & (values > 0)
    return pd.DataFrame({SECONDS: values, KEPT: counts, PROCESS: np.arange(len(values)) // each}, index=at)


def tier_in_words(tier: str) -> str:
    """Return how a tier is timed; that without a name is "launched kernel by kernel in single precision"."""
    parts = tier.split(", ")
    launch = next((words for name, words in LAUNCHES.items() if name in parts), "launched kernel by kernel")
    precision = next((words for name, words in PRECISIONS.items() if name in parts), "single precision")
    return f"{launch} in {precision}"


def devices(cells: pd.DataFrame) -> list[str]:
    """Return the devices that cells ran on, each once and in order, without threads and tiers."""
    kinds = cells[[DEVICE, THREADS, TIER]].drop_duplicates()
    return sorted(
        {
            str(device).removesuffix(f", {tier}").removesuffix(f", {_threads(threads)}")
            for device, threads, tier in kinds.itertuples(index=False)
        }
    )


def row(record: Record, *, group: str) -> dict[str, Any]:
    """Return a record's row without its measurements: `CELL_COLUMNS` and `RECORD_COLUMNS`, by name."""
    return _cell_row(record.cell, record.fingerprint, group) | _record_row(record)


def unplanned(study: Study, contents: Contents) -> tuple[str, ...]:
    """Return the files of valid records that belong to no planned cell; they are reported, never used."""
    known = {entry.fingerprint for entry in plan.planned(study)}
    return tuple(name for name, record in contents.records if record.fingerprint not in known)


def _judged(study: Study) -> tuple[Planned, ...]:
    return tuple(entry for entry in plan.planned(study) if not entry.trial)


def _rows(records: Mapping[str, Record]) -> pd.DataFrame:
    """Return what the frames of measurements say of each record."""
    return _frame([row(record, group="") for record in records.values()], ROW_COLUMNS)


def _joined(parts: "pd.Series[Any]") -> NDArray[np.float64]:
    return np.concatenate([_array(part) for part in parts]) if len(parts) else np.empty(0)


def _array(numbers: Sequence[float]) -> NDArray[np.float64]:
    packed = numbers.packed if isinstance(numbers, Floats) else numbers
    return np.asarray(packed, dtype=np.float64)


def _cell_row(cell: Cell, fingerprint: str, group: str) -> dict[str, Any]:
    return {
        FINGERPRINT: fingerprint,
        GROUP: group,
        TASK: cell.task,
        PROBE: cell.probe or "",
        MODEL: cell.model,
        LENGTH: cell.length,
        WIDTH: cell.width,
        LAYERS: cell.layers,
        MATCH: str(cell.match) if cell.match else "",
        MATCHED_BY: cell.matched_by,
        PARAMS: canonical_json(dict(cell.params)),
        SEED: cell.seed,
        STEPS: cell.training.steps if cell.training else 0,
        EVALUATED: cell.training.evaluate_every if cell.training else 0,
        BATCH: cell.batch,
        STEP_TOKENS: cell.batch * cell.tokens_per_sequence,
        TRAINING: _training(cell.training, cell.rate),
        THREADS: cell.threads,
        TIER: cell.tier,
    }


@cache
def _training(config: TrainConfig | None, rate: RateRule | None) -> str:
    """Return what tells one way of training from another, a learning rate or the rule that finds it included."""
    if config is None:
        return ""
    both = [config.model_dump(mode="json"), rate.model_dump(mode="json") if rate else None]
    return hashlib.sha256(canonical_json(both).encode()).hexdigest()[:12]


def _record_row(record: Record | None) -> dict[str, Any]:
    if record is None:
        return {MACHINE: "", DEVICE: "", LANE: "", PANEL: "", STATUS: MISSING, ERROR: ""}
    place = record.environment
    return {
        MACHINE: place.machine,
        DEVICE: _device(record),
        LANE: record.lane,
        PANEL: record.panel or "",
        STATUS: record.status,
        ERROR: record.error or "",
    }


def _costs(record: Record | None) -> dict[str, float]:
    built = record.model if record else None
    return {
        PARAMETERS: float(built.parameters) if built else math.nan,
        BUILT_WIDTH: float(built.width) if built else math.nan,
        WALL_SECONDS: record.wall_seconds if record else math.nan,
    }


def _device(record: Record) -> str:
    """Return the device, with how many threads where these are several, and the tier: such times meet no others."""
    cell = record.cell
    return ", ".join(part for part in (record.environment.device, _threads(cell.threads), cell.tier) if part)


def _threads(count: int) -> str:
    return f"{count} threads" if count > 1 else ""


def _frame(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(columns))
