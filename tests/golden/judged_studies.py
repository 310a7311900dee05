"""Synthetic studies of real records: what is planned comes from a suite, what was measured from a function."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from seqbench import plan
from seqbench.cell import Cell, TimingConfig, TrainConfig
from seqbench.plan import Study
from seqbench.record import CorpusFacts, Environment, Measurement, ModelFacts, Record, Series
from seqbench.registry import Registry
from seqbench.store import Contents
from seqbench.suite import Group, Suite

MODELS = Registry("model", "none", dict.fromkeys(("rnn", "lstm", "gru", "transformer", "tcn"), "none"))
TIMES = ("training_time", "prefill_time", "decode_time")
OTHERS = ("input_gradient", "saved_bytes", "state_bytes", "order_symmetry", "sequential_depth")
SCORES = ("recall_by_lag", "bits_per_character", "order_shift", "answers")
TRAINED = ("capacity", "effective_context")
PROBES = Registry("probe", "none", dict.fromkeys((*OTHERS, *SCORES, *TRAINED, *TIMES), "none"))
ALL = ("C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8")
IRNN = "rnn@activation=relu,init=identity"
GAINS = ("0.5", "1", "1.5", "2", "3")
SWEEP = tuple(f"rnn@{activation}gain={gain},init=gaussian" for activation in ("", "activation=relu,") for gain in GAINS)
SHORT = TrainConfig(steps=400, batch=32, learning_rate=3e-3)
PLACE = Environment(
    machine="cpu-2c",
    cpu="a processor",
    cores=2,
    memory_gib=8,
    device="cpu",
    threads=1,
    system="Linux",
    libraries={"torch": "2.13.0"},
    commit="0123abc",
)


GPU = PLACE.model_copy(update={"machine": "gpu-2c", "device": "NVIDIA something"})
ENCODER = "transformer@causal=false,positions=none"
SEEING = ("transformer@causal=false", "transformer@causal=false,positions=learned")
TIMED = ("rnn", "lstm", "gru", "transformer@heads=1", "tcn")
DECODED = ("rnn", "lstm", "gru", "transformer@heads=1,room=128")
COUNTED = ("rnn", "lstm@forget_bias=1", "gru", ENCODER)
LAGGED = ("rnn", "lstm@forget_bias=1", "lstm@forget_bias=3", "gru", "gru@update_bias=3", "transformer")
BESIDE = (
    *("capacity of 4", "capacity of 8", "capacity, attention", "lags", "test lengths", "contexts"),
    *("text, GRU", "text training time"),
)
"""Groups that figures show, whatever the claims."""
GATES = ("lstm", "lstm@forget_bias=1", "lstm@forget_bias=3", "gru", "gru@update_bias=2")


def study(
    claims=ALL, *, beside=(), seeds=8, development=False, text=None, timed_seeds=1, rounds=None, processes=3
) -> Study:
    """Return a study with every arm of its claims and as many seeds; fewer than 5 seeds make as many rounds too.

    beside: names of further groups, of `BESIDE`.
    """
    timing = TimingConfig(batch=16, processes=processes, rounds=rounds or (5 if seeds >= 5 else 1))
    large, alone = (timing.model_copy(update={"batch": batch}) for batch in (32, 1))
    uniform, count = {"task": "uniform_tokens", "lengths": (256,)}, {"task": "count", "lengths": (12,), "width": 32}
    groups = {
        "slopes": slopes(("rnn", IRNN, "rnn@init=orthogonal"), 32),
        "gates": slopes(GATES, 32),
        "sweep": slopes(SWEEP, 64),
        "slopes, attention": slopes(("transformer", "transformer@positions=none"), 32) | {"layers": 2},
        "recall": recall(("rnn", "lstm@forget_bias=1", IRNN)),
        "recall of C2": recall(("rnn@init=orthogonal", "transformer")),
        "chronicle": {
            "task": "chronicle",
            "models": ("rnn", "lstm@forget_bias=1", "gru", "transformer"),
            "lengths": (96,),
            "width": 64,
            "training": SHORT,
        },
        "text": {"task": "text", "models": ("rnn",), "lengths": (96,), "width": 64, "training": SHORT},
        "text, GRU": {"task": "text", "models": ("gru",), "lengths": (96,), "width": 64, "training": SHORT},
        "text training time": {
            "task": "text",
            "probe": "training_time",
            "models": ("rnn", "gru"),
            "lengths": (96,),
            "width": 64,
            "timing": large,
        },
        "bytes": uniform | {"probe": "saved_bytes", "models": ("rnn", "transformer"), "lengths": LENGTHS, "width": 64},
        "state": uniform | {"probe": "state_bytes", "models": ("rnn", "transformer"), "lengths": LENGTHS, "width": 64},
        "depth": uniform | {"probe": "sequential_depth", "models": DEEP, "lengths": LENGTHS, "width": 16},
        "training time": uniform
        | {"probe": "training_time", "models": TIMED, "lengths": (64, 256), "width": 48, "timing": timing},
        "long training time": uniform
        | {"probe": "training_time", "models": TIMED, "lengths": (1024,), "width": 48, "timing": large},
        "prefill time": uniform | {"probe": "prefill_time", "models": TIMED, "width": 48, "timing": timing},
        "decode time": uniform
        | {"probe": "decode_time", "models": DECODED, "lengths": (64, 1024), "width": 48, "timing": alone},
        "symmetry": uniform
        | {
            "probe": "order_symmetry",
            "models": (ENCODER, *SEEING, "transformer@positions=none", "rnn", "lstm@forget_bias=1", "gru"),
            "lengths": (32,),
            "width": 32,
        },
        "symmetry, two layers": uniform
        | {
            "probe": "order_symmetry",
            "models": ("transformer@positions=none",),
            "lengths": (32,),
            "width": 32,
            "layers": 2,
        },
        "sorted": count | {"models": COUNTED, "params": {"order": "sorted"}, "training": SHORT},
        "random": count | {"models": COUNTED, "params": {"order": "random"}, "training": SHORT},
        "capacity of 4": capacity(("gru",), (8, 16), 4),
        "capacity of 8": capacity(("gru",), (16, 32), 8),
        "capacity, attention": capacity(("transformer",), (8, 16, 32), 8),
        "lags": {"task": "recall", "models": LAGGED, "lengths": (21, 61, 151), "width": 32, "training": SHORT},
        "test lengths": {
            "task": "parity",
            "models": ("lstm@forget_bias=1", "transformer"),
            "lengths": (40,),
            "test_lengths": (80, 320),
            "width": 32,
            "training": SHORT,
        },
        "contexts": {
            "task": "chronicle",
            "probe": "effective_context",
            "models": ("rnn", "lstm@forget_bias=1", "transformer"),
            "lengths": (96,),
            "width": 64,
            "training": SHORT,
        },
    }
    chosen = [
        Group(name=name, **({"seeds": timed_seeds if name.endswith(" time") else seeds} | fields))
        for name, fields in groups.items()
        if name in _groups(claims) | set(beside)
    ]
    suite = Suite(title="A synthetic study", claims=claims, groups=tuple(chosen))
    return plan.study("synthetic", suite, text=text, development=development, known_models=MODELS, known_probes=PROBES)


LENGTHS = (64, 128, 256)
DEEP = ("rnn@implementation=eager", "transformer")


def slopes(models, width) -> dict:
    """Return the fields of a group of gradient slopes."""
    return {"task": "onehot", "probe": "input_gradient", "models": models, "lengths": (200,), "width": width}


def recall(models) -> dict:
    """Return the fields of a group that trains recall."""
    return {"task": "recall_loguniform", "models": models, "lengths": (100,), "width": 32, "training": SHORT}


def capacity(models, lengths, width) -> dict:
    """Return the fields of a group that reads bits back from states."""
    shared = {"task": "capacity", "probe": "capacity", "training": SHORT}
    return shared | {"models": models, "lengths": lengths, "width": width}


def corpus() -> CorpusFacts:
    """Return the identity of a text that was named by the user."""
    return CorpusFacts(name="tales", sha256="ab" * 32, split="story")


def _groups(claims) -> set[str]:
    wanted = {
        "C1": {"slopes", "sweep", "recall"},
        "C2": {"slopes", "gates", "recall", "recall of C2", "lags"},
        "C3": {"lags", "capacity of 8", "capacity, attention", "contexts"},
        "C4": {"training time", "long training time", "prefill time", "decode time", "state"},
        "C5": {"symmetry", "symmetry, two layers", "sorted", "random"},
        "C6": {"capacity of 4", "capacity of 8", "capacity, attention"},
        "C7": {"slopes, attention", "recall of C2", "long training time", "state", "depth", "test lengths"},
        "C8": {"chronicle", "text"},
    }
    return {"bytes"}.union(*(wanted[claim] for claim in claims))


Truth = dict[str, float]
GOOD: Truth = {
    "slope": -0.56,
    "sweep": 0.24,
    "identity": -0.001,
    "recall_rnn": 0.45,
    "recall_lstm": 0.98,
    "recall_irnn": 0.9,
    "recall_orthogonal": 0.5,
    "recall_transformer": 0.99,
    "gates": -0.16,
    "training": 0.6,
    "prefill": 0.6,
    "decoding": 0.6,
    "process": 0.0,
    "drop": 0.8,
    "sorted": 0.98,
    "flip": 0.02,
    "symmetry": 1e-15,
    "bits": 0.73,
    "attention_slope": 0.001,
    "forgets": 0.0,
    "attention_solves": 1.0,
    "gates_solve": 0.0,
    "vanilla_solves": float("inf"),
    "held": 1.1,
    "attention_recall": 1.0,
    "spread": 0.01,
}
"""attention_slope, forgets: what a Transformer's gradient and recall lose by lag. attention_solves, gates_solve: are
lags solved; vanilla_solves: after how many steps a vanilla RNN solves lag 20. held: bits in a float of a recurrent
state. attention_recall: the share of bits that attention keeps."""


def measured(cell: Cell, truth: Truth, rng: np.random.Generator) -> tuple[Measurement, ...]:
    """Return what a cell measures when the truth is `truth`, with normal noise of SD `spread`."""
    noise = truth["spread"] * rng.standard_normal()
    if cell.probe == "input_gradient":
        slope = _slope(cell.model, truth) + noise * (0.1 if "identity" in cell.model else 1.0)
        lags = tuple(float(lag) for lag in range(1, 200, 20))
        norms = tuple(slope * lag for lag in lags)
        return (
            Measurement(name="gradient_slope", value=slope, unit="nat/step"),
            Measurement(
                name="log_gradient_norm",
                value=norms[-1],
                unit="nat",
                series=Series(axis="lag", at=lags, values=norms),
            ),
        )
    if cell.timing:
        return _times(cell, truth, rng)
    if cell.probe in ("saved_bytes", "state_bytes", "order_symmetry", "sequential_depth"):
        return _at_rest(cell, truth)
    if cell.probe in TRAINED or cell.task in ("count", "recall", "parity"):
        return _scored(cell, truth, noise)
    steps = Series(axis="step", at=(1.0, 2.0, 3.0), values=(2.0, 1.5, 1.0))
    common = (
        Measurement(name="tokens", value=400 * 32 * cell.length, unit="token"),
        Measurement(name="training_loss", value=1.0, unit="nat", series=steps),
        Measurement(name="gradient_norm", value=1.0, unit="1", series=steps),
        Measurement(name="steps_to_solve", value=float("inf"), unit="step"),
    )
    if cell.task.startswith("recall"):
        kind = f"recall_{cell.model.partition('@')[0]}"
        kind = {IRNN: "recall_irnn", "rnn@init=orthogonal": "recall_orthogonal"}.get(cell.model, kind)
        far = truth[kind] + noise
        lags = (2.8, 17.0, 71.0)
        falling = tuple(far - truth["forgets"] * float(np.log(lag / lags[-1])) for lag in lags)
        recalls = falling if cell.model == "transformer" else (1.0, 0.9, far)
        by_lag = Series(axis="lag", at=lags, values=recalls)
        return (
            Measurement(name="recall_far", value=far, unit="normalised recall"),
            Measurement(name="recall_auc", value=far, unit="normalised recall"),
            Measurement(name="recall_by_lag", value=far, unit="normalised recall", series=by_lag),
            *common,
        )
    bits = {
        "bits_per_character": truth["bits"] + noise,
        "order0_bits_per_character": 4.43,
        "order2_bits_per_character": 1.22,
        "floor_bits_per_character": 0.53,
    }
    scores = [Measurement(name=name, value=value, unit="bit/character") for name, value in bits.items()]
    if cell.task != "text":
        excess = bits["bits_per_character"] - bits["floor_bits_per_character"]
        scores.append(Measurement(name="excess_bits_per_character", value=excess, unit="bit/character"))
    else:
        means = tuple(bits["bits_per_character"] + apart for apart in (-0.1, 0.05, 0.15, -0.1))
        blocks = Series(axis="character", at=(64.0, 2112.0, 4160.0, 6208.0), values=means)
        error = float(np.std(means, ddof=1) / 2)
        scores.append(Measurement(name="test_text_standard_error", value=error, unit="bit/character", series=blocks))
        losses = tuple(bits["bits_per_character"] * math.log(2) * more for more in (2.0, 1.5, 1.0))
        curve = Series(axis="step", at=(100.0, 200.0, 400.0), values=losses)
        scores.append(Measurement(name="evaluation_loss", value=losses[-1], unit="nat", series=curve))
    return (*scores, *common)


def _at_rest(cell: Cell, truth: Truth) -> tuple[Measurement, ...]:
    """Return what is measured without time and without training."""
    if cell.probe == "saved_bytes":
        each = 2048.0 + (16.0 * cell.length if cell.model == "transformer" else 0.0)
        return (
            Measurement(name="saved_bytes", value=4 * cell.length * each, unit="byte"),
            Measurement(name="saved_bytes_per_token", value=each, unit="byte/token"),
        )
    if cell.probe == "state_bytes":
        held = 512.0 * cell.length if cell.model == "transformer" else 256.0
        return (Measurement(name="state_bytes", value=held, unit="byte"),)
    if cell.probe == "sequential_depth":
        return (
            Measurement(name="sequential_depth", value=3.0 * cell.length if "rnn" in cell.model else 19, unit="stage"),
        )
    return (Measurement(name="order_symmetry", value=_symmetry(cell, truth), unit="1"),)


def _slope(model: str, truth: Truth) -> float:
    if model == "rnn":
        return truth["slope"]
    if model == IRNN:
        return truth["identity"]
    if "gain=3" in model:
        return truth["sweep"]
    if model in ("lstm@forget_bias=1", "gru@update_bias=2"):
        return truth["gates"]
    if model.startswith("transformer"):
        return truth["attention_slope"]
    known = {"lstm": -0.47, "gru": -0.48, "lstm@forget_bias=3": -0.003, "rnn@init=orthogonal": -0.09}
    return known.get(model, -0.2)


def _symmetry(cell: Cell, truth: Truth) -> float:
    alone = cell.model == "transformer@positions=none" and cell.layers == 1
    return truth["symmetry"] if cell.model == ENCODER or alone else 0.3


def _counted(cell: Cell, truth: Truth, noise: float) -> tuple[Measurement, ...]:
    """Return what order_shift measures: recurrent models lose `drop` when they were trained on sorted input."""
    in_order = dict(cell.params)["order"] == "sorted"
    drop = (truth["drop"] if in_order else 0.0) + noise if cell.model != ENCODER else 0.0
    flip = min(1.0, max(0.0, drop if in_order else truth["flip"])) if cell.model != ENCODER else 0.0
    values = {
        "accuracy": truth["sorted"],
        "accuracy_shuffled": truth["sorted"] - drop,
        "order_drop": drop,
        "flip_rate": flip,
        "chance_accuracy": 0.24,
        "tokens": 400 * 32 * cell.length,
    }
    return tuple(Measurement(name=name, value=value, unit="1") for name, value in values.items())


def _scored(cell: Cell, truth: Truth, noise: float) -> tuple[Measurement, ...]:
    """Return what is measured of trained models on counting, capacity, fixed lags, parity and by context."""
    if cell.task == "count":
        return _counted(cell, truth, noise)
    if cell.probe == "capacity":
        return _held(cell, truth, noise)
    if cell.probe == "effective_context":
        return _by_context(cell, truth, noise)
    if cell.task == "recall":
        steps = _solved_after(cell, truth)
        return (
            Measurement(name="steps_to_solve", value=steps, unit="step"),
            Measurement(
                name="recall_auc", value=0.99 if cell.model == "transformer" else 0.2, unit="normalised recall"
            ),
        )
    return _by_length(cell)


def _held(cell: Cell, truth: Truth, noise: float) -> tuple[Measurement, ...]:
    """Return the bits of a state: all that was written, as far as a recurrent one holds so many in each float."""
    attends = cell.model == "transformer"
    floats = cell.width * (2 * cell.length if attends else 1)
    bits = (truth["attention_recall"] * cell.length if attends else min(cell.length, truth["held"] * floats)) + noise
    return (
        Measurement(name="bits_recalled", value=bits, unit="bit"),
        Measurement(name="recall", value=bits / cell.length, unit="normalised recall"),
        Measurement(name="bits_per_state_float", value=bits / floats, unit="bit/float"),
        Measurement(name="state_floats", value=floats, unit="float"),
        Measurement(name="load", value=cell.length / floats, unit="bit/float"),
    )


def _solved_after(cell: Cell, truth: Truth) -> float:
    """Return after how many steps a lag is solved: by attention always, by gates with a large bias up to 60."""
    if cell.model == "transformer":
        return 75.0 if truth["attention_solves"] else float("inf")
    if cell.model == "rnn":
        return truth["vanilla_solves"] if cell.length == 21 else float("inf")
    if truth["gates_solve"] or (cell.length <= 61 and cell.model.endswith("=3")):
        return 125.0
    return 150.0 if cell.length == 21 else float("inf")


def _by_length(cell: Cell) -> tuple[Measurement, ...]:
    """Return the accuracy by length: a gated network keeps it, attention is near chance."""
    lengths = (cell.length, *cell.test_lengths)
    scores = tuple(1.0 if cell.model.startswith("lstm") else 0.5 + 5 / T for T in lengths)
    series = Series(axis="length", at=tuple(map(float, lengths)), values=scores)
    return (
        Measurement(name="accuracy", value=scores[0], unit="1"),
        Measurement(name="chance_accuracy", value=0.5, unit="1"),
        Measurement(name="accuracy_by_length", value=sum(scores[1:]) / len(scores[1:]), unit="1", series=series),
    )


def _by_context(cell: Cell, truth: Truth, noise: float) -> tuple[Measurement, ...]:
    """Return bits by context, which fall as far as a model looks back: 8 characters, or 64 with attention."""
    reach = 64 if cell.model == "transformer" else 8
    contexts = (1, 2, 4, 8, 16, 32, 64, 96)
    bits = tuple(truth["bits"] + noise + 2 / min(context, reach) for context in contexts)
    series = Series(axis="context", at=tuple(map(float, contexts)), values=bits)
    return (
        Measurement(name="bits_by_context", value=bits[-1], unit="bit/character", series=series),
        Measurement(name="effective_context", value=reach, unit="character"),
    )


def _times(cell: Cell, truth: Truth, rng: np.random.Generator) -> tuple[Measurement, ...]:
    """Return paired rounds: the machine drifts by far more than the models' noise, alike for all of a panel."""
    phase = {"training_time": "training", "prefill_time": "prefill", "decode_time": "decoding"}[cell.probe]
    recurrent = cell.model in ("rnn", "lstm", "gru")
    count, each = cell.timing.processes * cell.timing.rounds, cell.timing.rounds
    shared = np.random.default_rng([cell.length, cell.seed, len(phase)])
    logs = -9.0 + 0.3 * shared.standard_normal(count) + truth["spread"] * rng.standard_normal(count)
    if recurrent:
        own = np.random.default_rng(cell.seed).permutation(cell.timing.processes) - (cell.timing.processes - 1) / 2
        logs += truth[phase] + truth["process"] * np.repeat(own, each)
    seconds = np.exp(logs)
    return (
        rounds_of("seconds_per_token", seconds, "s/token"),
        Measurement(name="tokens_per_second", value=1 / float(np.median(seconds)), unit="token/s"),
        *_around_the_rounds(cell.timing),
    )


def _around_the_rounds(timing: TimingConfig) -> tuple[Measurement, ...]:
    count = timing.processes * timing.rounds
    return (
        rounds_of("canary_seconds", np.full(count, 0.004), "s"),
        rounds_of("round_kept", np.ones(count), "1"),
        Measurement(name="foreign_cores", value=0.01, unit="core"),
        Measurement(name="processes", value=float(timing.processes), unit="1"),
    )


def rounds_of(name: str, values, unit: str) -> Measurement:
    """Return a measurement with one value per round."""
    series = Series(axis="round", at=tuple(float(i) for i in range(len(values))), values=tuple(map(float, values)))
    return Measurement(name=name, value=float(np.median(values)), unit=unit, series=series)


def record_of(entry, study, *, measurements=(), status="ok", error=None, place=PLACE) -> Record:
    """Return the record of a planned cell."""
    cell = entry.cell
    return Record(
        lane=cell.lane,
        panel=f"{cell.probe} {cell.length} {cell.seed} {cell.tier}".strip() if cell.timing else None,
        cell=entry.cell,
        fingerprint=entry.fingerprint,
        preregistration=study.preregistration_sha256,
        status=status,
        measurements=measurements,
        model=ModelFacts(
            parameters=5000, body_parameters=4000, width=entry.cell.width, layers=1, implementation="fused"
        ),
        corpus=study.corpus if entry.cell.task == "text" else None,
        environment=place,
        wall_seconds=1.0,
        finished="2026-01-01T00:00:00+00:00",
        error=error,
    )


def contents(
    study: Study,
    truth: Truth = GOOD,
    *,
    drop: Callable[[Cell], bool] = lambda _: False,
    failed: Callable[[Cell], str | None] = lambda _: None,
    place: Callable[[Cell], Environment] = lambda _: PLACE,
    seed: int = 7,
) -> Contents:
    """Return the records of a study: those of `drop` are missing, those of `failed` have that status and no value."""
    rng = np.random.default_rng(seed)
    records = []
    for entry in plan.planned(study):
        values = measured(entry.cell, truth, rng)
        status = failed(entry.cell)
        if drop(entry.cell):
            continue
        record = record_of(
            entry,
            study,
            measurements=values if not status else _around_the_rounds(entry.cell.timing) if entry.cell.timing else (),
            place=place(entry.cell),
            status=status or ("unsolved" if _unsolved(values) else "ok"),
            error=f"{status} <b>here</b>" if status else None,
        )
        records.append((f"{record.environment.machine}/{entry.cell.task}/x/{entry.fingerprint}.json", record))
    return Contents(tuple(records), ())


def _unsolved(values: tuple[Measurement, ...]) -> bool:
    """Return whether a lag was not solved; what else a synthetic cell asks has no threshold."""
    names = {item.name: item.value for item in values}
    return "recall_far" not in names and names.get("steps_to_solve") == float("inf")


def shuffled(held: Contents, seed: int = 3) -> Contents:
    """Return the same records in another order."""
    order = np.random.default_rng(seed).permutation(len(held.records))
    return replace(held, records=tuple(held.records[index] for index in order))
