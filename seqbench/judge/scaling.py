"""How times and bytes grow: exponents in length, the terms of a polynomial, latency against throughput.

Times come as ln seconds of a call, (processes, rounds, settings), NaN where a round does not count. A setting is a
length, or a batch and a length. Every quantity below is a linear contrast of the settings' ln-times, the time of a
setting being the median over all its rounds.

Intervals. Panels of different settings are timed one after another by the same processes, so a process is what they
share. Within each process the round indices are drawn again with replacement, and one draw serves all settings (all T
of one round together); a round that was discarded at one setting is absent there alone. The standard deviation of the
contrast over the draws is its standard error (Efron & Tibshirani 1993, §6), times √(n / (n − processes)) since every
process is drawn from its own rounds. The interval is Student's with n − processes degrees of freedom, n being the
rounds of the scarcest setting. Where the contrasts of the processes vary by more than that, rounds are no independent
replicates, and it is Student's interval over the processes. All intervals are unadjusted, each side at `LEVEL`; with
too few rounds for either they are unbounded.
"""

import hashlib
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import optimize, special

from seqbench.judge import table
from seqbench.judge.stats import Array
from seqbench.judge.table import Tables

LEVEL = 0.025
DRAWS = 2000
_AT_ONCE = 2**22
"""Numbers drawn again at a time, of all settings: 32 MiB."""
FEWEST_WEIGHED = 6
ROUNDS, PROCESSES = "rounds", "processes"
QUADRATIC_SHARE = 0.05
"""Growth is called quadratic where the quadratic term is more than this share of the whole at the largest T."""
FLAT_GAIN = 0.10
"""Throughput has reached its plateau where doubling the batch brings less than this."""
WHOLE = ("training_time", "prefill_time")
"""Probes whose timed call reads T tokens of every sequence; that of the others gives one token of every sequence."""
PROBES = (*WHOLE, "first_token_time", "decode_time")
SAVED_BYTES = "saved_bytes"
COUNTED = (SAVED_BYTES, "sequential_depth")
"""Probes that count exactly and do not time; the measurement whose growth is told has the same name."""
SIZES = (table.WIDTH, table.LAYERS, table.MATCH, table.PARAMS)
KIND = (table.MACHINE, table.DEVICE, table.TASK, table.PROBE, table.MODEL, *SIZES)
"""What settings must share to be compared; times of two machines never meet."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A quantity with its interval, and what its replicates are: rounds, processes, or none where it is exact.

    What was counted exactly has its value for both bounds.
    """

    value: float
    lower: float
    upper: float
    replicates: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Polynomial:
    """The terms of a + bT + cT², none negative, in the unit of what was fitted.

    quadratic_share: of cT² in the whole, at the largest T.
    """

    constant: float
    linear: float
    quadratic: float
    largest: int

    @property
    def shares(self) -> tuple[float, float, float]:
        """Return the shares of a, bT and cT² in their sum at the largest T."""
        terms = np.array([self.constant, self.linear * self.largest, self.quadratic * self.largest**2])
        constant, linear, quadratic = terms / terms.sum()
        return float(constant), float(linear), float(quadratic)

    @property
    def is_quadratic(self) -> bool:
        """Return whether the quadratic term is more than 5 % of the whole at the largest T."""
        return self.shares[2] > QUADRATIC_SHARE


@dataclass(frozen=True, slots=True)
class HalfPlateau:
    """The batch that reaches half of the highest throughput; `relation` says what is known of it: =, ≤ or ≥."""

    batch: float
    relation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """The ln seconds of every call of one model that counts, by setting.

    settings: (batch, length), in order. logs: (processes, rounds, settings). fingerprints: of the cells of a setting.
    """

    kind: Mapping[str, object]
    settings: tuple[tuple[int, int], ...]
    logs: Array
    fingerprints: tuple[tuple[str, ...], ...]

    def at(self, batch: int) -> "Times":
        """Return the settings of one batch alone."""
        return self._of([place for place, (own, _) in enumerate(self.settings) if own == batch])

    def of_length(self, length: int) -> "Times":
        """Return the settings of one length alone."""
        return self._of([place for place, (_, own) in enumerate(self.settings) if own == length])

    def _of(self, places: list[int]) -> "Times":
        return Times(
            kind=self.kind,
            settings=tuple(self.settings[place] for place in places),
            logs=self.logs[:, :, places],
            fingerprints=tuple(self.fingerprints[place] for place in places),
        )

    @property
    def tokens(self) -> Array:
        """Return how many tokens a call processes: (settings,)."""
        return _tokens(self.kind, self.settings)

    @property
    def lengths(self) -> Array:
        """Return the lengths: (settings,)."""
        return np.array([length for _, length in self.settings], dtype=np.float64)

    @property
    def seconds(self) -> Array:
        """Return the median seconds of a call: (settings,)."""
        return np.exp(_medians(_pooled(self.logs)))

    def rng(self) -> np.random.Generator:
        """Return a generator that depends on what was timed and on nothing else."""
        text = "/".join(str(self.kind[name]) for name in KIND) + str(self.settings)
        return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """How one model's time of a call, bytes or stages grow with length, at one batch.

    exponent: None with one length. local: between neighbouring lengths. polynomial: None with fewer than three lengths,
    and for stages. latency: Λ from the model's smallest batch to this one, None at the smallest;
    latency_between: the (batch, length) of both. fingerprints: of the
    cells that it speaks of.
    """

    kind: Mapping[str, object]
    batch: int
    lengths: tuple[int, ...]
    exponent: Estimate | None
    local: tuple[Estimate, ...]
    polynomial: Polynomial | None
    latency: Estimate | None = None
    latency_between: tuple[tuple[int, int], ...] = ()
    fingerprints: frozenset[str] = field(default=frozenset())


def exponent(lengths: Array, logs: Array, rng: np.random.Generator) -> Estimate:
    """Return α of ln t = c + α ln T by weighted least squares: (L,), (processes, rounds, L).

    The weight of a length is n / s², with s² the variance of its n ln-times, held fixed while rounds are drawn again.
    Weights are equal where they would be noise that seeks agreement by chance: with fewer than `FEWEST_WEIGHED` rounds
    at a length, with no variance at one, and where processes are the replicates.
    """
    x = np.log(lengths)
    equal = contrasts(logs, _slope(x, np.ones(len(x))), rng)[0]
    weights = _weights(logs)
    if weights is None or equal.replicates == PROCESSES:
        return equal
    return contrasts(logs, _slope(x, weights), rng)[0]


def local_exponents(lengths: Array, logs: Array, rng: np.random.Generator) -> tuple[Estimate, ...]:
    """Return Δ ln t / Δ ln T between neighbouring lengths: (L,), (processes, rounds, L) -> L − 1 of them."""
    steps = np.diff(np.eye(len(lengths)), axis=1) / np.diff(np.log(lengths))  # (L, L − 1)
    return contrasts(logs, steps, rng)


def polynomial(lengths: Array, values: Array) -> Polynomial:
    """Return the non-negative least-squares fit a + bT + cT² of relative errors (Lawson & Hanson 1974): (L,), (L,).

    Raises ValueError for fewer than three lengths, which decide nothing about three terms.
    """
    if len(lengths) < 3:
        raise ValueError(f"three lengths decide about three terms, given were {len(lengths)}")
    powers = (lengths[:, None] / lengths.max()) ** np.arange(3)  # (L, 3), scaled to 1 at the largest T
    found, _ = optimize.nnls(powers * (values.max() / values)[:, None], np.full(len(values), values.max()))
    constant, linear, quadratic = found / lengths.max() ** np.arange(3)
    return Polynomial(
        constant=float(constant), linear=float(linear), quadratic=float(quadratic), largest=int(lengths.max())
    )


def latency_index(tokens: Array, logs: Array, rng: np.random.Generator) -> Estimate:
    """Return Λ = (t′ / t) / (Tok′ / Tok) of a second setting against a first: (2,), (processes, rounds, 2).

    About 1: a call takes time by its tokens, it is bound by throughput. Far below 1: it is bound by latency.
    """
    found = contrasts(logs - np.log(tokens), np.array([[-1.0], [1.0]]), rng)[0]
    return _exponential(found)


def efficiencies(batches: Array, logs: Array, rng: np.random.Generator) -> tuple[Estimate, ...]:
    """Return E(B) = tokens/s (B) / tokens/s (B_max) of one length: (N,), (processes, rounds, N) -> N of them."""
    largest = int(batches.argmax())
    against = -np.eye(len(batches))
    against[largest] += 1.0  # ln E(B) = ln t(B_max) / B_max − ln t(B) / B
    return tuple(_exponential(found) for found in contrasts(logs - np.log(batches), against, rng))


def half_plateau_batch(batches: Array, tokens_per_second: Array) -> HalfPlateau | None:
    """Return B_½, the batch at half of the highest throughput, ln-ln between the batches measured: (N,), (N,).

    ≤: the smallest batch is beyond half already. ≥: throughput still rises at the largest batch, so that its plateau
    lies higher. None: both, or a single batch.
    """
    if len(batches) < 2:
        return None
    order = np.argsort(batches)
    x, y = np.log(batches[order]), np.log(tokens_per_second[order])
    half = float(y.max()) - math.log(2.0)
    rises = (y[-1] - y[-2]) / (x[-1] - x[-2]) >= math.log2(1 + FLAT_GAIN)
    if y[0] >= half:
        return None if rises else HalfPlateau(float(batches[order][0]), "≤")
    above = int((y >= half).argmax())
    batch = float(np.exp(np.interp(half, y[above - 1 : above + 1], x[above - 1 : above + 1])))
    return HalfPlateau(batch, "≥" if rises else "=")


def contrasts(logs: Array, matrix: Array, rng: np.random.Generator) -> tuple[Estimate, ...]:
    """Return linear contrasts of the medians of settings, with intervals: (processes, rounds, S), (S, M) -> M of them.

    The module says how the intervals are made.
    """
    values = _medians(_pooled(logs)) @ matrix  # (M,)
    over_rounds, freedom = _over_rounds(logs, matrix, rng)
    over_processes, others = _over_processes(logs, matrix)
    differ = np.full(len(values), others > 0) & ((over_processes > over_rounds) | (freedom == 0))
    reach = np.where(differ, over_processes * _quantile(others), over_rounds * _quantile(freedom))
    return tuple(
        Estimate(float(value), float(value - far), float(value + far), PROCESSES if by else ROUNDS)
        for value, far, by in zip(values, reach, differ, strict=True)
    )


def times(tables: Tables, probes: Collection[str] = PROBES) -> tuple[Times, ...]:
    """Return what was timed, one per kind in the order of its names; a contended cell has no time.

    Cells of several seeds at one setting are timed by the same processes: further rounds of these.
    """
    return tuple(own for own in tables.once(times, lambda: _times(tables)) if own.kind[table.PROBE] in probes)


def _times(tables: Tables) -> tuple[Times, ...]:
    cells = tables.cells[tables.cells[table.PROBE].isin(PROBES) & (tables.cells[table.STATUS] == "ok")]
    found = []
    names = (*KIND, table.THREADS, table.TIER)  # the device tells both
    for key, rows in cells.groupby(list(names), sort=True):
        by_setting: dict[tuple[int, int], list[tuple[str, pd.DataFrame]]] = {}
        for row in rows.sort_values([table.SEED, table.FINGERPRINT]).to_dict("records"):
            own = table.rounds(tables, str(row[table.FINGERPRINT]))
            if own[table.KEPT].any():
                setting = (int(row[table.BATCH]), int(row[table.LENGTH]))
                by_setting.setdefault(setting, []).append((str(row[table.FINGERPRINT]), own))
        if by_setting:
            found.append(_stacked(dict(zip(names, key, strict=True)), by_setting))
    return tuple(found)


def timed(tables: Tables, probes: Collection[str] = PROBES) -> tuple[Growth, ...]:
    """Return how what was timed grows with length: one per kind and batch."""
    whole = tables.once(
        timed,
        lambda: tuple(
            _timed(own, batch) for own in times(tables) for batch in sorted({batch for batch, _ in own.settings})
        ),
    )
    return tuple(row for row in whole if row.kind[table.PROBE] in probes)


def counted(tables: Tables) -> tuple[Growth, ...]:
    """Return how what is counted grows with length: one per kind that has two lengths."""
    return tuple(row for probe in COUNTED for row in _counted(tables, probe))


def latency_settings(settings: Sequence[tuple[int, int]], batch: int) -> tuple[int, int] | None:
    """Return the places of the two settings that Λ compares: one of the smallest batch, and one of `batch`.

    They are those whose lengths differ least, and the longest of these. None where `batch` is the smallest.
    """
    smallest = min(own for own, _ in settings)
    if batch == smallest:
        return None
    pairs = [
        (abs(math.log(length / other)), -length, first, second)
        for first, (own, other) in enumerate(settings)
        for second, (larger, length) in enumerate(settings)
        if own == smallest and larger == batch
    ]
    return min(pairs)[2:]


def _timed(own: Times, batch: int) -> Growth:
    at = own.at(batch)
    several = len(at.settings) > 1
    pair = latency_settings(own.settings, batch)
    return Growth(
        kind=own.kind,
        batch=batch,
        lengths=tuple(length for _, length in at.settings),
        exponent=exponent(at.lengths, at.logs, at.rng()) if several else None,
        local=local_exponents(at.lengths, at.logs, at.rng()) if several else (),
        polynomial=polynomial(at.lengths, at.seconds) if len(at.settings) > 2 else None,
        latency=latency_index(own.tokens[list(pair)], own.logs[:, :, list(pair)], own.rng()) if pair else None,
        latency_between=tuple(own.settings[place] for place in pair or ()),
        fingerprints=frozenset(name for names in at.fingerprints for name in names),
    )


def _counted(tables: Tables, probe: str) -> list[Growth]:
    """Return the growth of what is counted, by kind; seeds are averaged."""
    cells = tables.cells[(tables.cells[table.PROBE] == probe) & (tables.cells[table.STATUS] == "ok")]
    if probe not in tables.wide or cells.empty:
        return []
    rows = cells.assign(value=cells[table.FINGERPRINT].map(tables.wide[probe])).dropna(subset=["value"])
    return [
        _exact(dict(zip(KIND, key, strict=True)), own)
        for key, own in rows.groupby(list(KIND), sort=True)
        if own[table.LENGTH].nunique() > 1
    ]


def _exact(kind: Mapping[str, object], rows: pd.DataFrame) -> Growth:
    """Return the growth of exact values: equal weights, and every bound is its value."""
    by_length = rows.groupby(table.LENGTH)["value"].mean()
    lengths, values = by_length.index.to_numpy(dtype=np.float64), by_length.to_numpy(dtype=np.float64)
    x, y = np.log(lengths), np.log(values)
    alpha, steps = float((y @ _slope(x, np.ones(len(x))))[0]), (np.diff(y) / np.diff(x)).tolist()
    of_bytes = kind[table.PROBE] == SAVED_BYTES and len(lengths) > 2
    return Growth(
        kind=kind,
        batch=0,
        lengths=tuple(int(length) for length in lengths),
        exponent=Estimate(alpha, alpha, alpha),
        local=tuple(Estimate(step, step, step) for step in steps),
        polynomial=polynomial(lengths, values) if of_bytes else None,
        fingerprints=frozenset(rows[table.FINGERPRINT]),
    )


def _stacked(
    kind: Mapping[str, object], by_setting: Mapping[tuple[int, int], Sequence[tuple[str, pd.DataFrame]]]
) -> Times:
    """Return the kept ln seconds of every call as one array."""
    settings = tuple(sorted(by_setting))
    found: dict[tuple[int, int], list[Array]] = {}
    for place, setting in enumerate(settings):
        for _, rounds in by_setting[setting]:
            logs = np.log(rounds[table.SECONDS].where(rounds[table.KEPT]).to_numpy(dtype=np.float64))
            processes = rounds[table.PROCESS].to_numpy()
            for number in np.unique(processes):
                found.setdefault((int(number), place), []).append(logs[processes == number])
    joined = {name: np.concatenate(parts) for name, parts in found.items()}
    most = max(len(values) for values in joined.values())
    whole = np.full((1 + max(number for number, _ in joined), most, len(settings)), np.nan)
    for (process, place), values in joined.items():
        whole[process, : len(values), place] = values
    names = tuple(tuple(name for name, _ in by_setting[setting]) for setting in settings)
    return Times(kind=kind, settings=settings, logs=whole + np.log(_tokens(kind, settings)), fingerprints=names)


def _tokens(kind: Mapping[str, object], settings: Sequence[tuple[int, int]]) -> Array:
    """Return how many tokens a call processes: (settings,)."""
    whole = kind[table.PROBE] in WHOLE
    return np.array([batch * (length if whole else 1) for batch, length in settings], dtype=np.float64)


def _weights(logs: Array) -> Array | None:
    """Return n / s² of every setting, or None where a setting has too few rounds or no variance: (settings,)."""
    pooled = _pooled(logs)
    counts = np.isfinite(pooled).sum(axis=0)
    if counts.min() < FEWEST_WEIGHED:
        return None
    variances = np.nanvar(pooled, axis=0, ddof=1)
    return np.asarray(counts / variances) if variances.min() > 0 else None


def _slope(x: Array, weights: Array) -> Array:
    """Return the contrast that is the weighted least-squares slope on x: (S,) -> (S, 1)."""
    centred = x - (weights @ x) / weights.sum()
    return np.asarray(weights * centred / (weights @ centred**2))[:, None]


def _over_rounds(logs: Array, matrix: Array, rng: np.random.Generator) -> tuple[Array, int]:
    """Return the standard errors of contrasts over rounds drawn again, and their degrees of freedom: (M,)."""
    counts = np.isfinite(logs).sum(axis=1)  # (processes, S)
    each, places = counts.sum(axis=0), (counts > 0).sum(axis=0)
    freedom = int((each - places).min())
    if freedom < 1:
        return np.ones(matrix.shape[1]), 0
    errors = np.nanstd(_drawn(logs, rng) @ matrix, axis=0)
    return np.asarray(errors * math.sqrt((each / (each - places)).max())), freedom


def _over_processes(logs: Array, matrix: Array) -> tuple[Array, int]:
    """Return the standard errors of contrasts over processes that have every setting, and their freedom: (M,)."""
    each = _medians(logs.swapaxes(0, 1)) @ matrix  # (processes, M)
    each = each[np.isfinite(each).all(axis=1)]
    if len(each) < 2:
        return np.ones(matrix.shape[1]), 0
    return np.asarray(each.std(axis=0, ddof=1) / math.sqrt(len(each))), len(each) - 1


def _pooled(logs: Array) -> Array:
    """Return all rounds of all processes below one another: (processes, rounds, S) -> (processes · rounds, S)."""
    return logs.reshape(-1, logs.shape[-1])


def _drawn(logs: Array, rng: np.random.Generator) -> Array:
    """Return the medians of settings over rounds that are drawn again within each process: (DRAWS, S)."""
    processes, rounds, settings = logs.shape
    index = rng.integers(rounds, size=(DRAWS, processes, rounds)) + rounds * np.arange(processes)[:, None]
    index = index.reshape(DRAWS, processes * rounds)
    by_setting = np.ascontiguousarray(_pooled(logs).T)  # (S, processes · rounds): what is sorted lies together
    found = np.empty((DRAWS, settings))
    for part in np.array_split(np.arange(DRAWS), math.ceil(DRAWS * logs.size / _AT_ONCE)):
        found[part] = _medians(np.moveaxis(by_setting[:, index[part]], -1, 0)).T
    return found


def _medians(values: Array) -> Array:
    """Return medians over the first axis without what does not count, NaN where nothing does: (n, …) -> (…)."""
    ordered = np.sort(np.moveaxis(values, 0, -1), axis=-1)  # NaN stand last
    counts = np.isfinite(ordered).sum(axis=-1)
    low = np.maximum(counts - 1, 0) // 2
    high = np.minimum(counts // 2, len(values) - 1)
    sides = [np.take_along_axis(ordered, place[..., None], axis=-1)[..., 0] for place in (low, high)]
    return np.where(counts > 0, (sides[0] + sides[1]) / 2, np.nan)


def _quantile(freedom: int) -> float:
    """Return Student's 1 − `LEVEL` quantile, infinite without a degree of freedom."""
    return float(special.stdtrit(freedom, 1 - LEVEL)) if freedom > 0 else math.inf


def _exponential(found: Estimate) -> Estimate:
    upper = math.exp(found.upper) if found.upper < math.inf else math.inf
    return Estimate(math.exp(found.value), math.exp(found.lower), upper, found.replicates)
