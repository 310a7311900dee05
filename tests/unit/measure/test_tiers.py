"""Tiers of a timing: what they compute, what they refuse, and that times of one tier meet no others."""

from dataclasses import replace

import pytest
import torch

from seqbench import plan, store
from seqbench.cell import TimingConfig
from seqbench.judge import table
from seqbench.measure import capture, conduct, precision, prepare, tiers
from seqbench.measure.environment import describe
from seqbench.measure.models import MODELS
from seqbench.measure.probes import PROBES
from seqbench.measure.probes.clock import this_machine
from seqbench.preregistration import Arm
from seqbench.suite import Group, Suite

CPU = torch.device("cpu")


def study_of(**tier):
    timing = TimingConfig(batch=2, processes=1, rounds=2, warmup_seconds=0.0, **tier)
    group = Group(
        name="g", task="uniform_tokens", probe="training_time", models=("lru", "lstm"), lengths=(8,), width=8, seeds=1,
        timing=timing,
    )  # fmt: skip
    suite = Suite(title="t", groups=(group,))
    return plan.study("s", suite, known_models=MODELS, known_probes=PROBES, development=True)


def subject_of(**tier):
    study = study_of(**tier)
    planned = plan.planned(study)[-1]
    context = prepare.Context(
        cards=study.cards, preregistration=study.preregistration_sha256, environment=describe("cpu", threads=1)
    )
    return prepare.prepare(planned.cell, context).subject, planned.cell.timing


def test_a_recorded_call_is_what_is_timed(monkeypatch):
    """The block replays what was recorded, and its plain call is the one that takes memory anew."""
    replays = []

    def recorder(call):
        return capture.Recording(lambda: replays.append(call), call(), call)

    monkeypatch.setattr(capture, "record", recorder)
    subject, timing = subject_of(launch="graph")
    on_a_gpu = replace(subject, device=torch.device("cuda"))
    built = tiers.build("training_time", on_a_gpu, timing, this_machine(CPU))
    assert not replays
    built.block.call()
    assert replays == [built.plain]


def test_a_processor_has_no_graphs():
    """Asked for a CUDA graph on a processor, a model is not timed, and the reason names the device."""
    with pytest.raises(tiers.Impossible, match="CUDA graphs need a CUDA device; this study runs on cpu"):
        tiers.build("training_time", *subject_of(launch="graph"), this_machine(CPU))


def test_what_cannot_be_recorded_says_why(monkeypatch):
    """A model that asks the device while it is recorded has no time in this tier."""

    def refuse(_call):
        raise capture.CannotCapture("RuntimeError: it waits")

    monkeypatch.setattr(capture, "record", refuse)
    subject, timing = subject_of(launch="graph")
    with pytest.raises(tiers.Impossible, match="cannot be recorded as a CUDA graph: RuntimeError: it waits"):
        tiers.build("training_time", replace(subject, device=torch.device("cuda")), timing, this_machine(CPU))


def test_bfloat16_is_that_of_the_products():
    """Within a call products give bfloat16, and the weights that they read stay in single precision."""
    weight = torch.ones(4, 4)
    seen = []
    call = precision.cast(lambda: seen.append((weight @ weight).dtype), "bf16", CPU)
    call()
    precision.cast(lambda: seen.append((weight @ weight).dtype), None, CPU)()
    assert seen == [torch.bfloat16, torch.float32]
    assert weight.dtype == torch.float32


def test_nothing_is_rounded_to_tf32_unless_it_is_asked_for():
    """The library rounds what cuDNN computes; a cell does not, and a timing in TF32 leaves nothing behind."""
    parts = (torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn)
    before = [part.fp32_precision for part in parts]
    try:
        torch.backends.cudnn.rnn.fp32_precision = "tf32"
        assert precision.rounds_to_tf32()
        precision.set_single()
        assert [part.fp32_precision for part in parts] == ["ieee"] * 3
        with precision.rounding("tf32"):
            assert [part.fp32_precision for part in parts] == ["tf32"] * 3
        assert not precision.rounds_to_tf32()
    finally:
        for part, value in zip(parts, before, strict=True):
            part.fp32_precision = value


def test_times_of_one_tier_meet_no_others(tmp_path):
    """A panel in bfloat16 is timed and named so, and no arm that does not ask for the tier takes its cells."""
    study = study_of(precision="bf16")
    conduct.conduct(study, tmp_path, settings=conduct.Settings(executor="serial"))
    held = store.contents(tmp_path)
    assert {entry.status for entry in held.accepted().values()} <= {"ok", "contended"}
    frame = table.cells(study, held)
    assert set(frame[table.TIER]) == {"bf16"}
    assert set(frame[table.DEVICE]) == {"cpu, bf16"}
    cell = plan.planned(study)[0].cell
    plain = Arm(task="uniform_tokens", probe="training_time", model="lru")
    assert not plain.fits(cell)
    assert plain.model_copy(update={"tier": "bf16"}).fits(cell)
    assert plain.fits(plan.planned(study_of())[0].cell)


def test_a_cell_without_a_tier_keeps_its_fingerprint():
    """Records of before there were tiers still belong to their cells."""
    (cell, *_) = [entry.cell for entry in plan.planned(study_of())]
    assert not {"launch", "precision"} & cell.model_dump(exclude_none=True)["timing"].keys()


@pytest.mark.slow
def test_a_compiled_model_is_timed_and_says_how_long_compiling_took(tmp_path):
    """The first call compiles; its seconds stand beside the times of a model that is compiled already."""
    study = study_of(launch="compiled")
    conduct.conduct(study, tmp_path, settings=conduct.Settings(executor="serial", retry=()))
    for record in store.contents(tmp_path).accepted().values():
        assert record.status in ("ok", "contended"), record.error
        if record.status == "ok":
            assert record.measured("compile_seconds").value > 0.01
