"""What the records say about one atom: its arms by seed, failures counted as pre-registered, its p-values.

Failed cells are filled three times: as the failure rules say, all best for the sentence, all worst
(Manski 1990). The largest p-value of each direction rules, so a verdict that failed cells could overturn is
not reached. Times are another matter: a contended panel has none, and what remains was chosen without looking at it.
"""

import hashlib
import json
import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from seqbench import variant
from seqbench.judge import stats, table
from seqbench.judge.rules import AtomLevels, AtomP
from seqbench.judge.stats import Array, Bounds
from seqbench.judge.table import Tables
from seqbench.preregistration import Arm, Atom, Control, Preregistration

Around = Mapping[Hashable, float]
Filling = Literal["rules", "best", "worst"]
State = Literal["tested", "not tested", "vacuous", "descriptive"]

EXCLUDED = "excluded"
STRUCTURAL = "missing"
VALUE = "value"
CONTENDED = "contended"
ZERO_IS_CHANCE = ("recall_far", "recall_auc", "recall_by_lag", "r2")
"""Normalised recall and R²: 0 is chance and 1 is perfect, whatever the task."""
SHARES = ("order_drop", "flip_rate", "order_symmetry")
"""Between 0 and 1 and without a chance predictor: a diverged cell has no value there. It is left out but counted as
failed, so that the verdict must also hold with 0 and with 1 in its place."""
CUDA = "cuda"
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


def gather(name: str, atom: Atom, tables: Tables, rules: Preregistration, *, claim: str) -> Evidence:
    """Return what the study's tables say about one atom of a claim."""
    arms = {key: _arm_rows(arm, atom, tables, rules) for key, arm in atom.arms.items()}
    shown = tuple(_arm_data(key, atom.arms[key].model, rows) for key, rows in arms.items())
    controls = tuple(_control(control, atom, tables, rules) for control in atom.controls)
    known = Evidence(name, atom, "not tested", arms=shown, controls=controls)
    if atom.test == "descriptive":
        n = max((len(arm.values) for arm in shown), default=0)
        return replace(known, state="descriptive", n=n, reason="descriptive: no hypothesis is tested")
    if why := _why_not_tested(arms, atom):
        return replace(known, reason=why)
    failed = [control for control in controls if not control.passed]
    if failed:
        return replace(known, state="vacuous", reason=_why_vacuous(failed[0]))
    if atom.test == "rounds":
        return _timed(known, arms, tables)
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(f"{claim}/{name}".encode()).digest()[:8]))
    return _tested(known, arms, rng)


def bounds(evidence: Evidence, levels: AtomLevels) -> Bounds:
    """Return the confidence bounds of θ, each one-sided at the level of its direction.

    Of a maximum, the lower bound is the largest of the arms' bounds at level/k and the upper one the largest
    at level. Of an exact atom: the least and the greatest value.
    """
    if not evidence.samples:
        return stats.NOWHERE
    if evidence.atom.test in ("two_sample", "tost_difference"):
        subject, reference = evidence.samples
        upper = levels.contradict if evidence.atom.test == "two_sample" else levels.support
        return stats.welch_bounds(subject, reference, lower_level=levels.support, upper_level=upper)
    if evidence.atom.test == "rounds":
        return stats.paired_rounds_bounds(evidence.samples, lower_level=levels.support, upper_level=levels.contradict)
    if evidence.atom.test == "exact":  # all that was seen: no level is involved
        return Bounds(float(evidence.samples[0].min()), float(evidence.samples[0].max()))
    if evidence.atom.test == "tost":  # an interval of 1 − 2·level on both sides, of the arm nearest to zero
        level = levels.support / len(evidence.samples)
        nearest = min(evidence.samples, key=lambda values: abs(values.mean()))
        return stats.t_bounds(nearest, lower_level=level, upper_level=level)
    lower_level = levels.support / len(evidence.samples)
    found = [
        stats.t_bounds(values, lower_level=lower_level, upper_level=levels.contradict) for values in evidence.samples
    ]
    return Bounds(max(item.lower for item in found), max(item.upper for item in found))


def claim_cells(atoms: Iterable[Atom], cells: pd.DataFrame) -> pd.DataFrame:
    """Return the planned cells that any arm of these atoms names, each once."""
    chosen = pd.Series(False, index=cells.index)
    for atom in atoms:
        for arm in atom.arms.values():
            chosen |= matches(arm, cells)
    return cells[chosen]


def matches(arm: Arm, cells: pd.DataFrame) -> "pd.Series[bool]":
    """Return which rows of a cells frame belong to an arm: every field that it gives equals the cell's."""
    found = (cells[table.TASK] == arm.task) & (cells[table.PROBE] == (arm.probe or ""))
    for column, wanted in (
        (table.LENGTH, arm.length),
        (table.WIDTH, arm.width),
        (table.LAYERS, arm.layers),
    ):
        if wanted is not None:
            found &= cells[column] == wanted
    model = variant.parse(arm.model)
    if arm.device is not None:
        found &= _on_device(arm.device, cells)
    same_model = {text for text in set(cells[table.MODEL]) if variant.parse(text) == model}
    found &= cells[table.MODEL].isin(same_model)
    if arm.params:
        fits = {text for text in set(cells[table.PARAMS]) if _params_fit(arm, text)}
        found &= cells[table.PARAMS].isin(fits)
    return found


def device_class(device: str) -> str:
    """Return the class of a record's device, cpu or cuda; a GPU is recorded by its name."""
    return device if device in ("", "cpu") else CUDA


def _on_device(wanted: str, cells: pd.DataFrame) -> "pd.Series[bool]":
    """Return which rows belong to a class of device.

    A cell without a record has no device: it is expected on every class that anything of the study ran on, and on
    all of them before the first record.
    """
    classes = cells[table.DEVICE].map(device_class)
    ran = set(classes) - {""}
    return (classes == wanted) | ((classes == "") & (wanted in ran or not ran))


def _params_fit(arm: Arm, text: str) -> bool:
    given = json.loads(text)
    return all(given.get(key) == value for key, value in arm.params.items())


def _arm_rows(arm: Arm, atom: Atom, tables: Tables, rules: Preregistration) -> pd.DataFrame:
    """Return one row per planned cell of an arm: seed, status, value and against, by rule and by filling."""
    rows = tables.cells[matches(arm, tables.cells)]
    needed = sorted(set(_columns(atom)))
    wide = tables.wide.reindex(index=rows[table.FINGERPRINT], columns=needed).astype(float).set_axis(rows.index)
    # A baseline, chance or floor that a failed cell lacks is read from the task's other cells: these are properties of
    # the data, not of the model.
    same_task = tables.cells[tables.cells[table.TASK] == arm.task][table.FINGERPRINT]
    around = tables.wide.reindex(index=same_task, columns=needed).astype(float).mean().to_dict()
    result = rows[[table.FINGERPRINT, table.SEED, table.STATUS, table.ERROR]].copy()
    status_rule = result[table.STATUS].map(lambda status: rules.failures.get(status, VALUE))
    value = wide[atom.measurement].where(np.isfinite(wide[atom.measurement]))
    chance = _chance(atom.measurement, wide, around)
    as_chance = status_rule.isin(["chance", "worst"]) | (
        value.isna() & (status_rule == VALUE) & (result[table.STATUS] != "ok")
    )
    out = status_rule.isin([EXCLUDED, STRUCTURAL]) | (result[table.STATUS] == table.MISSING)
    result["rule"] = status_rule
    result["value"] = value.mask(as_chance, chance).mask(out)
    result["against"] = wide[atom.against].fillna(around.get(atom.against, math.nan)) if atom.against else 0.0
    result["failed"] = as_chance | (out & (status_rule == EXCLUDED)) | ((result[table.STATUS] == "ok") & value.isna())
    result["low"], result["high"] = _limits(atom.measurement, wide, around, chance)
    return result.sort_values([table.SEED, "value"]).reset_index(drop=True)


def _columns(atom: Atom) -> tuple[str, ...]:
    extra = (CHANCE_COLUMN.get(atom.measurement), BEST_COLUMN.get(atom.measurement), atom.against)
    return (atom.measurement, *(name for name in extra if name))


def _chance(measurement: str, wide: pd.DataFrame, around: Around) -> "pd.Series[float]":
    if measurement in ZERO_IS_CHANCE:
        return pd.Series(0.0, index=wide.index)
    column = CHANCE_COLUMN.get(measurement)
    if column is None:
        return pd.Series(math.nan, index=wide.index)
    return wide[column].fillna(around[column])


def _limits(
    measurement: str, wide: pd.DataFrame, around: Around, chance: "pd.Series[float]"
) -> tuple["pd.Series[float]", "pd.Series[float]"]:
    """Return the least and the greatest value a failed cell could have had; unbounded: those seen."""
    if measurement in ZERO_IS_CHANCE:
        return chance, chance + 1.0
    if measurement in SHARES:
        return pd.Series(0.0, index=wide.index), pd.Series(1.0, index=wide.index)
    if measurement == "accuracy":
        return chance, pd.Series(1.0, index=wide.index)
    if measurement in BEST_COLUMN:
        column = BEST_COLUMN[measurement]
        return wide[column].fillna(around[column]).fillna(0.0), chance
    seen = wide[measurement][np.isfinite(wide[measurement])]
    lowest, highest = (seen.min(), seen.max()) if len(seen) else (math.nan, math.nan)
    return pd.Series(lowest, index=wide.index), pd.Series(highest, index=wide.index)


def _by_seed(rows: pd.DataFrame, atom: Atom, filling: Filling, *, up: bool) -> "pd.Series[float]":
    """Return the value of every seed that counts: the mean over its cells, as the seed is the replicate."""
    value = rows["value"].copy()
    if filling != "rules":
        high = (filling == "best") == up
        value = value.mask(rows["failed"], rows["high"] if high else rows["low"])
        if atom.test == "tost":  # nearest to zero is best; clearly outside is worst
            fill = 0.0 if filling == "best" else 2 * (atom.equivalence or 0.0)
            value = value.mask(rows["failed"], fill)
        if atom.test == "exact":  # below the bound is best, above it worst
            value = value.mask(rows["failed"], 0.0 if filling == "best" else 2 * (atom.below or 0.0))
    counted = pd.DataFrame({"seed": rows[table.SEED], "value": value - rows["against"]}).dropna()
    return counted.groupby("seed")["value"].mean().sort_index()


def _arm_data(name: str, model: str, rows: pd.DataFrame) -> ArmData:
    by_seed = rows.dropna(subset=["value"]).groupby(table.SEED)["value"].mean().sort_index()
    values = by_seed.to_numpy(dtype=float)
    inside = stats.t_bounds(values, lower_level=0.025, upper_level=0.025)
    return ArmData(
        name=name,
        model=model,
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
    asked = atom.model_copy(update={"measurement": control.measurement, "against": None})
    data = _arm_data(control.arm, arm.model, _arm_rows(arm, asked, tables, rules))
    return ControlResult(control.arm, arm.model, control.measurement, data.mean, control.above)


def deciding(atom: Atom) -> tuple[str, ...]:
    """Return the names of the arms that an atom's test uses; the others are printed beside it."""
    named = tuple(name for name in ("subject", "reference") if name in atom.arms)
    return tuple(atom.arms) if atom.test in ("maximum", "tost", "descriptive") else named


def _why_not_tested(arms: dict[str, pd.DataFrame], atom: Atom) -> str:
    names = deciding(atom)
    unplanned = [name for name in names if arms[name].empty]
    if unplanned and all(atom.arms[name].device == CUDA for name in unplanned):
        return f"nothing of it ran on a GPU ({', '.join(atom.arms[name].model for name in unplanned)})"
    if unplanned:
        listed = ", ".join(f"{name} ({atom.arms[name].model})" for name in unplanned[:3])
        more = f" and {len(unplanned) - 3} more" if len(unplanned) > 3 else ""
        return f"no cells planned for {listed}{more}"
    planned = sum(len(arms[name]) for name in names)
    ran = sum(int((arms[name][table.STATUS] != table.MISSING).sum()) for name in names)
    if ran < planned:
        return f"{ran} of {planned} cells ran"
    structural = sum(int((arms[name]["rule"] == STRUCTURAL).sum()) for name in names)
    if structural:
        return f"{structural} of {planned} cells are structural{_first_reason(arms[name] for name in names)}"
    if any(_by_seed(arms[name], atom, "rules", up=True).empty for name in names):
        return _why_no_value(pd.concat([arms[name] for name in names]), atom.measurement)
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


def _tested(known: Evidence, arms: dict[str, pd.DataFrame], rng: np.random.Generator) -> Evidence:
    atom = known.atom
    samples = _samples(atom, arms, "rules")
    failed = sum(int(arms[name]["failed"].sum()) for name in deciding(atom))
    p = _p(atom, samples, rng)
    reason = ""
    if failed:
        best, worst = (_p(atom, _samples(atom, arms, filling), rng) for filling in ("best", "worst"))
        reason = (
            f"{failed} failed cells; p of support {p.support:.3g} as pre-registered, "
            f"{best.support:.3g} if all were best, {worst.support:.3g} if all were worst"
        )
        p = AtomP(max(p.support, best.support, worst.support), max(p.contradict, best.contradict, worst.contradict))
    effect, spread = _effect(atom, samples)
    n = min(len(values) for values in samples)
    return replace(known, state="tested", reason=reason, effect=effect, spread=spread, n=n, p=p, samples=samples)


def _timed(known: Evidence, arms: dict[str, pd.DataFrame], tables: Tables) -> Evidence:
    """Return the evidence of the paired rounds of two models: one sample per process.

    Rounds are paired within their panel alone. Panels of one machine at the same sizes and batch are replicates; those
    of another machine or size are not, and of several such kinds the one with the most rounds counts.
    """
    kinds = _paired_panels(arms["subject"], arms["reference"], tables)
    if not kinds:
        return replace(known, reason="no round of one panel has both models")
    order = sorted(kinds, key=lambda kind: (-sum(len(values) for values in kinds[kind]), kind))
    samples = kinds[order[0]]
    support, contradict = known.atom.support or 0.0, known.atom.contradict
    rounds = known.atom.sign * np.concatenate(samples)
    samples = tuple(known.atom.sign * values for values in samples)
    found = AtomP(stats.paired_rounds(samples, support).greater, stats.paired_rounds(samples, contradict).less)
    reasons = []
    if stats.processes_differ(samples):
        reasons.append(f"processes differ by more than their rounds do: Student's t on {len(samples)} process medians")
    if len(order) > 1:
        reasons.append(f"{len(order) - 1} further machines or sizes are left out")
    lost = sum(int((rows[table.STATUS] == CONTENDED).sum()) for rows in (arms["subject"], arms["reference"]))
    if lost:
        reasons.append(f"{lost} contended cells are left out")
    return replace(
        known,
        state="tested",
        reason="; ".join(reasons),
        effect=float(np.median(rounds)),
        spread=_sd(rounds),
        n=len(rounds),
        p=found,
        samples=samples,
    )


def _paired_panels(
    subjects: pd.DataFrame, references: pd.DataFrame, tables: Tables
) -> dict[tuple[str, ...], tuple[Array, ...]]:
    """Return ln(subject / reference) of every round that counts in both: kind of panel -> one array per process."""
    places = tables.cells.set_index(table.FINGERPRINT)
    found: dict[tuple[str, ...], list[Array]] = {}
    for one in sorted(subjects[table.FINGERPRINT]):
        for other in sorted(references[table.FINGERPRINT]):
            subject, reference = places.loc[one], places.loc[other]
            together = all(subject[name] == reference[name] for name in (table.PANEL, table.MACHINE, table.BATCH))
            if not together or not subject[table.PANEL]:
                continue
            sizes = [str(row[name]) for row in (subject, reference) for name in (table.WIDTH, table.LAYERS)]
            kind = (str(subject[table.MACHINE]), str(subject[table.BATCH]), *sizes)
            found.setdefault(kind, []).extend(_log_ratios(_rounds(one, tables), _rounds(other, tables)))
    return {kind: tuple(processes) for kind, processes in found.items() if processes}


def _log_ratios(subject: pd.DataFrame, reference: pd.DataFrame) -> list[Array]:
    both = subject.join(reference.add_suffix("_reference"), how="inner")
    both = both[both["kept"] & both["kept_reference"]]
    ratios = pd.Series(np.log(both["seconds"] / both["seconds_reference"]), index=both.index)
    return [_array(ratios[both["process"] == process]) for process in sorted(set(both["process"]))]


def _rounds(fingerprint: str, tables: Tables) -> pd.DataFrame:
    """Return the rounds of one timed cell by their number: seconds per token, whether each counts, its process."""
    rows = tables.series[(tables.series[table.FINGERPRINT] == fingerprint) & (tables.series[table.AXIS] == "round")]
    by_name: dict[str, Any] = {
        str(name): group.set_index(table.AT)[table.VALUE].astype(float)
        for name, group in rows.groupby(table.MEASUREMENT)
    }
    seconds = by_name.get("seconds_per_token", pd.Series(dtype=float))
    kept = by_name.get("round_kept", pd.Series(1.0, index=seconds.index)).reindex(seconds.index).fillna(0.0)
    processes = int(tables.wide.reindex(index=[fingerprint], columns=["processes"]).fillna(1.0).to_numpy()[0, 0])
    each = max(1, math.ceil(len(seconds) / max(1, processes)))
    frame = pd.DataFrame({"seconds": seconds, "kept": (kept > 0) & np.isfinite(seconds) & (seconds > 0)})
    return frame.assign(process=np.arange(len(frame)) // each)


def _samples(atom: Atom, arms: dict[str, pd.DataFrame], filling: Filling) -> tuple[Array, ...]:
    """Return the values that are tested: θ by seed for one-arm tests, both oriented arms for two_sample."""
    if atom.test == "tost":
        return tuple(_array(_by_seed(rows, atom, filling, up=True)) for rows in arms.values())
    up = atom.sign > 0
    if atom.test in ("one_sample", "maximum"):
        return tuple(atom.sign * _array(_by_seed(arms[name], atom, filling, up=up)) for name in deciding(atom))
    if atom.test == "exact":
        return (_array(_by_seed(arms["subject"], atom, filling, up=True)),)
    if atom.test == "tost_difference":
        return _difference_samples(atom, arms, filling)
    subject = atom.sign * _by_seed(arms["subject"], atom, filling, up=up)
    reference = atom.sign * _by_seed(arms["reference"], atom, filling, up=not up)
    if atom.test == "two_sample":
        return _array(subject), _array(reference)
    return (_array((subject - reference).dropna()),)


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


def _p(atom: Atom, samples: tuple[Array, ...], rng: np.random.Generator) -> AtomP:
    if atom.test == "tost":
        sided = [stats.tost(values, atom.equivalence or 0.0, rng) for values in samples]
        return AtomP(stats.bonferroni([item.inside for item in sided]), max(item.outside for item in sided))
    if atom.test == "tost_difference":
        found = stats.tost_difference(samples[0], samples[1], atom.equivalence or 0.0)
        return AtomP(found.inside, found.outside)
    if atom.test == "exact":  # arithmetic, not chance: certain or undecided
        inside = samples[0] < (atom.below or 0.0)
        return AtomP(float(not inside.all()), float(inside.any()))
    support, contradict = atom.support or 0.0, atom.contradict
    if atom.test == "two_sample":
        subject, reference = samples
        above = stats.two_sample(subject, reference, support, rng)
        below = above if contradict == support else stats.two_sample(subject, reference, contradict, rng)
        return AtomP(above.greater, below.less)
    above_each = [stats.one_sample(values, support, rng).greater for values in samples]
    below_each = [stats.one_sample(values, contradict, rng).less for values in samples]
    return AtomP(stats.bonferroni(above_each), max(below_each))


def _effect(atom: Atom, samples: tuple[Array, ...]) -> tuple[float, float]:
    """Return θ and the SD that its n-needed line uses."""
    if atom.test == "exact":
        return float(samples[0].max()), _sd(samples[0])
    if atom.test in ("two_sample", "tost_difference"):
        subject, reference = samples
        return float(subject.mean() - reference.mean()), math.hypot(_sd(subject), _sd(reference))
    key = (lambda values: -abs(values.mean())) if atom.test == "tost" else (lambda values: values.mean())
    chosen = max(samples, key=key)
    return float(chosen.mean()), _sd(chosen)


def _sd(values: Array) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else math.nan
