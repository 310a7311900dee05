"""Synthetic studies of real records: what is planned comes from a suite, what was measured from a function."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from seqbench import plan
from seqbench.cell import Cell, TrainConfig
from seqbench.plan import Study
from seqbench.record import CorpusFacts, Environment, Measurement, ModelFacts, Record, Series
from seqbench.registry import Registry
from seqbench.store import Contents
from seqbench.suite import Group, Suite

MODELS = Registry("model", "none", dict.fromkeys(("rnn", "lstm", "gru", "transformer"), "none"))
PROBES = Registry("probe", "none", dict.fromkeys(("input_gradient", "saved_bytes"), "none"))
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


def study(claims=("C1", "C8"), *, seeds=8, development=False, text=None) -> Study:
    """Return a study with every arm of C1 and C8 and as many seeds."""
    kinds = {
        "slopes": ("onehot", "input_gradient", ("rnn", IRNN, "rnn@init=orthogonal"), 200, 32, None),
        "sweep": ("onehot", "input_gradient", SWEEP, 200, 64, None),
        "recall": ("recall_loguniform", None, ("rnn", "lstm@forget_bias=1", IRNN), 100, 32, SHORT),
        "chronicle": ("chronicle", None, ("rnn", "lstm@forget_bias=1", "gru", "transformer"), 96, 64, SHORT),
        "text": ("text", None, ("rnn",), 96, 64, SHORT),
        "bytes": ("uniform_tokens", "saved_bytes", ("rnn", "transformer"), 64, 64, None),
    }
    groups = [
        Group(
            name=name,
            task=task,
            probe=probe,
            models=models,
            lengths=(length,),
            width=width,
            seeds=seeds,
            training=training,
        )
        for name, (task, probe, models, length, width, training) in kinds.items()
        if name in _groups(claims)
    ]
    suite = Suite(title="A synthetic study", claims=claims, groups=tuple(groups))
    return plan.study("synthetic", suite, text=text, development=development, known_models=MODELS, known_probes=PROBES)


def corpus() -> CorpusFacts:
    """Return the identity of a text that was named by the user."""
    return CorpusFacts(name="tales", sha256="ab" * 32, split="story")


def _groups(claims) -> set[str]:
    wanted = {"bytes"}
    if "C1" in claims:
        wanted |= {"slopes", "sweep", "recall"}
    if "C8" in claims:
        wanted |= {"chronicle", "text"}
    return wanted


Truth = dict[str, float]
GOOD: Truth = {
    "slope": -0.56,
    "sweep": 0.24,
    "identity": -0.001,
    "recall_rnn": 0.45,
    "recall_lstm": 0.98,
    "recall_irnn": 0.9,
    "bits": 0.73,
    "spread": 0.01,
}


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
    if cell.probe == "saved_bytes":
        return (Measurement(name="saved_bytes_per_token", value=2048.0, unit="byte/token"),)
    steps = Series(axis="step", at=(1.0, 2.0, 3.0), values=(2.0, 1.5, 1.0))
    common = (
        Measurement(name="tokens", value=400 * 32 * cell.length, unit="token"),
        Measurement(name="training_loss", value=1.0, unit="nat", series=steps),
        Measurement(name="gradient_norm", value=1.0, unit="1", series=steps),
        Measurement(name="steps_to_solve", value=float("inf"), unit="step"),
    )
    if cell.task.startswith("recall"):
        kind = "recall_irnn" if cell.model == IRNN else f"recall_{cell.model.partition('@')[0]}"
        far = truth[kind] + noise
        by_lag = Series(axis="lag", at=(2.8, 17.0, 71.0), values=(1.0, 0.9, far))
        return (
            Measurement(name="recall_far", value=far, unit="normalised recall"),
            Measurement(name="recall_by_lag", value=far, unit="normalised recall", series=by_lag),
            *common,
        )
    bits = {
        "bits_per_character": truth["bits"] + noise,
        "order0_bits_per_character": 4.43,
        "order2_bits_per_character": 1.22,
        "floor_bits_per_character": 0.53,
    }
    return (*(Measurement(name=name, value=value, unit="bit/character") for name, value in bits.items()), *common)


def _slope(model: str, truth: Truth) -> float:
    if model == "rnn":
        return truth["slope"]
    if model == IRNN:
        return truth["identity"]
    if "gain=3" in model:
        return truth["sweep"]
    return -0.09 if "orthogonal" in model else -0.2


def record_of(entry, study, *, measurements=(), status="ok", error=None) -> Record:
    """Return the record of a planned cell."""
    return Record(
        cell=entry.cell,
        fingerprint=entry.fingerprint,
        preregistration=study.preregistration_sha256,
        status=status,
        measurements=measurements,
        model=ModelFacts(
            parameters=5000, body_parameters=4000, width=entry.cell.width, layers=1, implementation="fused"
        ),
        corpus=study.corpus if entry.cell.task == "text" else None,
        environment=PLACE,
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
            measurements=() if status else values,
            status=status or "ok",
            error=f"{status} <b>here</b>" if status else None,
        )
        records.append((f"{PLACE.machine}/{entry.cell.task}/x/{entry.fingerprint}.json", record))
    return Contents(tuple(records), ())


def shuffled(held: Contents, seed: int = 3) -> Contents:
    """Return the same records in another order."""
    order = np.random.default_rng(seed).permutation(len(held.records))
    return replace(held, records=tuple(held.records[index] for index in order))
