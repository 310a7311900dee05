"""Tiers of timings in figures and words: what lacks a record, what ran, what a name means, and where C4 turns round."""

import re
from dataclasses import replace

import judged_studies as studies
import pytest

from seqbench.judge import table
from seqbench.judge.figures import FIGURES, base, time_ratio
from seqbench.judge.report import build, verdicts
from seqbench.judge.rules import Verdict

TIMED = studies.study(("C4",), timed_seeds=2)


def with_groups(study, **changes):
    """Return the study of C4 with the group of short training times once more for each change of its timing."""
    short = next(group for group in study.suite.groups if group.name == "training time")
    more = tuple(
        short.model_copy(update={"name": name, "timing": short.timing.model_copy(update=change)})
        for name, change in changes.items()
    )
    suite = study.suite.model_copy(update={"groups": (*study.suite.groups, *more)})
    return study.model_copy(update={"suite": suite})


TIERS = with_groups(TIMED, graph={"launch": "graph"}, rounded={"precision": "tf32"}, threads={"threads": 2})


def tier_of(cell):
    return cell.tier if cell.timing else ""


def frame_of(name, tables, study=TIERS):
    module = FIGURES.load(name)
    return module, module.select(tables, study)


def unfinished(name, *, drop):
    """Return the models that a figure of times calls unfinished when these cells have no record."""
    tables = table.tables(TIERS, studies.contents(TIERS, drop=drop))
    module, frame = frame_of(name, tables)
    return base.progress(frame, tables.cells, module.PROBES)


class TestUnfinished:
    """A mark is unfinished where a cell of its own tier, threads and probe has no record, and nowhere else."""

    NAMES = ("time_per_token", "tokens_by_batch", "crossover_map", "time_ratio")

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("tier", ["graph", "tf32"])
    def test_a_tier_that_has_not_begun_marks_no_other(self, name, tier):
        """The panels of other tiers are complete, though cells are missing."""
        found = unfinished(name, drop=lambda cell: tier_of(cell) == tier)
        assert (found.missing, found.models) == (20, frozenset())

    @pytest.mark.parametrize("name", NAMES)
    def test_threads_are_apart_too(self, name):
        """The times of one thread are complete without those of two."""
        found = unfinished(name, drop=lambda cell: cell.threads == 2)
        assert (found.missing, found.models) == (20, frozenset())

    @pytest.mark.parametrize("name", NAMES)
    def test_a_probe_that_has_not_begun_marks_no_other(self, name):
        """Prefill or decoding without records leaves training as it is."""
        found = unfinished(name, drop=lambda cell: cell.probe in ("prefill_time", "decode_time"))
        assert found.missing
        assert not found.models

    @pytest.mark.parametrize("name", ["time_per_token", "tokens_by_batch", "crossover_map"])
    def test_a_tier_that_is_half_done_is_marked(self, name):
        """Of one model a tier lacks a seed: that model alone is unfinished."""
        lost = lambda cell: (tier_of(cell), cell.model, cell.seed) == ("graph", "gru", 1001)  # noqa: E731
        found = unfinished(name, drop=lost)
        assert (found.missing, found.models) == (2, frozenset({"gru"}))

    def test_a_pair_that_lacks_a_seed_is_marked(self):
        """The pairs that are judged have the setting of their hypothesis."""
        found = unfinished(
            "time_ratio",
            drop=lambda cell: (
                (cell.probe, cell.model, cell.seed, tier_of(cell)) == ("training_time", "gru", 1001, "")
                and cell.threads == 1
            ),
        )
        assert found.models == {"gru"}

    def test_the_page_has_no_pale_model(self):
        """A study of which a whole tier is missing names no model of the others unfinished."""
        report = build.build(TIERS, studies.contents(TIERS, drop=lambda cell: tier_of(cell) == "graph"))
        drawing = next(item for item in report.figures if item.name == "time_per_token")
        assert drawing.missing == 20
        assert "(unfinished)" not in drawing.drawn.element


class TestWords:
    """Names of tiers are for machines; people are told what was done."""

    @pytest.mark.parametrize(
        ("tier", "words"),
        [
            ("", "launched kernel by kernel in single precision"),
            ("graph", "launched as one CUDA graph in single precision"),
            ("compiled", "compiled in single precision"),
            ("tf32", "launched kernel by kernel in TF32"),
            ("graph, bf16", "launched as one CUDA graph in bfloat16"),
        ],
    )
    def test_a_tier_says_launch_and_precision(self, tier, words):
        """Both, whichever of them is the library's own."""
        assert table.tier_in_words(tier) == words

    def test_alerts_tell_devices_threads_and_tiers_apart(self):
        """One device with three tiers and two counts of threads is one device."""
        alerts = build.build(TIERS, studies.contents(TIERS, place=lambda _: studies.GPU)).alerts
        assert not any(text.startswith("Cells ran on") for text in alerts)
        assert (
            "Times are of 3 tiers, which are never compared: launched kernel by kernel in single precision; "
            "launched as one CUDA graph in single precision; launched kernel by kernel in TF32."
        ) in alerts
        assert "Times are with 1 and 2 threads, which are never compared." in alerts

    def test_alerts_name_each_device_once(self):
        """Two devices are two, whatever was timed on them; a study without tiers has no line of them."""
        place = lambda cell: studies.GPU if cell.seed == 1001 else studies.PLACE  # noqa: E731
        alerts = build.build(TIERS, studies.contents(TIERS, place=place)).alerts
        assert "Cells ran on 2 devices: NVIDIA something, cpu." in alerts
        plain = build.build(TIMED, studies.contents(TIMED)).alerts
        assert not any("tiers" in text or "threads" in text for text in plain)

    @pytest.mark.parametrize("name", ["time_per_token", "tokens_by_batch", "crossover_map"])
    def test_a_caption_explains_the_tiers_that_it_has(self, name):
        """Each by name, and what none means; without a tier the caption is as it was."""
        tables = table.tables(TIERS, studies.contents(TIERS))
        module, frame = frame_of(name, tables)
        told = (
            " After the device stands the tier: graph means launched as one CUDA graph in single precision; tf32 means "
            "launched kernel by kernel in TF32; none means launched kernel by kernel in single precision."
        )
        assert base.caption(module, frame) == module.CAPTION + told
        assert base.caption(module, frame[frame[table.TIER] == ""]) == module.CAPTION

    def test_a_pair_of_a_tier_says_so(self):
        """A hypothesis about a tier has it behind its device, and the caption says what it is."""
        rules = TIERS.preregistration
        claim = rules.claims["C4"]
        atom = claim.atoms["cpu/4c/rnn/transformer"]
        arms = {name: arm.model_copy(update={"tier": "graph"}) for name, arm in atom.arms.items()}
        atoms = claim.atoms | {"cpu/4c/rnn/transformer": atom.model_copy(update={"arms": arms})}
        changed = rules.model_copy(update={"claims": {"C4": claim.model_copy(update={"atoms": atoms})}})
        study = TIERS.model_copy(update={"preregistration": changed})
        frame = time_ratio.select(table.tables(study, studies.contents(study)), study)
        labels = [text.get_text() for text in time_ratio.draw(frame).axes[0].get_yticklabels()]
        assert [text.startswith("CPU, graph training: RNN / Transformer") for text in labels].count(True) == 1
        assert "tier: graph means launched as one CUDA graph" in base.caption(time_ratio, frame)


SMALL = studies.study(("C4",))
MORE = with_groups(SMALL, large={"batch": 64}, graph={"launch": "graph"}, rounded={"precision": "tf32"})


def turned(study, where, truth=-0.5, **how):
    """Return the sentences of C4 about other settings when these cells follow another truth than the rest."""
    good = studies.contents(study, studies.GOOD, **how)
    other = dict(studies.contents(study, studies.GOOD | {"training": truth, "prefill": truth}, **how).records)
    records = tuple((name, other[name] if where(record.cell) else record) for name, record in good.records)
    (found,) = (v for v in verdicts.judge_study(study, replace(good, records=records)) if v.claim == "C4")
    return found, [text for text in found.qualifications if "is judged at" in text]


class TestTheOtherWay:
    """C4 tells of batches, lengths and tiers at which the faster of two models is the slower one."""

    def test_a_larger_batch_that_turns_is_told(self):
        """The three pairs with each reference, at that batch alone, with its launch and precision; verdicts stay."""
        found, (training, prefill, decoding) = turned(MORE, lambda cell: cell.batch == 64)
        judged = "is judged at batch 16, T 256, launched kernel by kernel in single precision"
        assert training.startswith(f"training on a CPU {judged}; 12 of 48 timings of these pairs at another batch")
        assert training.count("at batch 64, T ") == len(set(re.findall(r"at batch 64, T (\d+),", training)))
        assert set(re.findall(r"batch (\d+), T (\d+), ([^,]+), ", training.partition("the other way: ")[2])) <= {
            ("64", "64", "launched kernel by kernel in single precision"),
            ("64", "256", "launched kernel by kernel in single precision"),
        }
        assert len(re.findall(r"(?:RNN|LSTM|GRU) 0\.[56]\d* \[", training)) == 6
        assert (
            prefill == f"prefill on a CPU {judged}; these pairs were timed at no other batch, "
            "length, tier or number of threads"
        )
        assert decoding.endswith("points the other way")
        assert found.verdict is Verdict.SUPPORTED

    def test_a_tier_that_turns_is_told_in_words(self):
        """Only in TF32 are the recurrent networks faster."""
        _, (training, *_) = turned(MORE, lambda cell: cell.tier == "tf32")
        assert "launched kernel by kernel in TF32, " in training
        assert "CUDA graph" not in training

    def test_the_strongest_are_named_and_the_rest_is_counted(self):
        """Whatever turns, three pairs with each reference have a number, each where it turns most."""
        _, (training, *_) = turned(MORE, lambda cell: cell.batch != 16 or cell.tier != "")
        assert re.search(r"; (\d+) of 48 ", training)[1] == "42"
        assert len(re.findall(r"n = \d+ rounds", training)) == 6

    def test_nothing_that_turns_is_said(self):
        """All timings that agree are counted; so is none at all."""
        _, (training, *_) = turned(MORE, lambda _: False)
        assert re.search(r"; none of 48 timings of these pairs at another .* points the other way$", training)
        assert not turned(MORE, lambda _: False, drop=lambda _: True)[1]

    def test_a_difference_that_may_be_none_is_no_other_way(self):
        """At another batch the interval holds 1."""
        _, (training, *_) = turned(MORE, lambda cell: cell.batch == 64, 0.0)
        counted = re.search(r"; (\w+) of 48 ", training)[1]
        assert counted == "none" or int(counted) < 4

    def test_what_goes_the_other_way_is_paired_within_its_panel(self):
        """Where reference and subject were timed in two panels there is no ratio to tell."""
        study = MORE
        held = studies.contents(study, studies.GOOD | {"training": -0.5})
        records = tuple(
            (name, record.model_copy(update={"panel": f"{record.panel} alone"}))
            if record.cell.batch == 64 and record.cell.model in ("transformer@heads=1", "tcn")
            else (name, record)
            for name, record in held.records
        )
        (found,) = (v for v in verdicts.judge_study(study, replace(held, records=records)) if v.claim == "C4")
        training = next(text for text in found.qualifications if text.startswith("training on a CPU is judged"))
        assert re.search(r"; none of 36 timings ", training)

    def test_another_class_of_device_is_not_meant(self):
        """What a GPU says at another batch is no word about a processor's pair."""
        place = lambda cell: studies.GPU if cell.batch == 64 else studies.PLACE  # noqa: E731
        _, told = turned(MORE, lambda cell: cell.batch == 64, place=place)
        training = next(text for text in told if text.startswith("training on a CPU"))
        assert re.search(r"; none of 36 timings ", training)

    def test_a_network_trained_by_a_scan_is_told_by_setting_too(self):
        """It is near the Transformer's time, and far behind in TF32."""
        groups = tuple(
            group.model_copy(update={"models": (*group.models, "mingru")}) if group.probe == "training_time" else group
            for group in MORE.suite.groups
        )
        study = MORE.model_copy(update={"suite": MORE.suite.model_copy(update={"groups": groups})})
        held = studies.contents(study)
        slow = {"tf32": 2.0, "": 0.5}
        records = tuple(
            (name, slowed(record, slow.get(record.cell.tier, 1.0)) if record.cell.model == "mingru" else record)
            for name, record in held.records
        )
        (found,) = (v for v in verdicts.judge_study(study, replace(held, records=records)) if v.claim == "C4")
        told = next(text for text in found.qualifications if "by a scan" in text)
        assert re.search(r"minGRU 0\.(4[89]|5[012])\d* \[", told)
        assert re.search(r"launched kernel by kernel in TF32, minGRU (1\.9|2\.0)\d* \[.* times the Transformer's", told)


def slowed(record, factor):
    """Return a timed record with all of its rounds so many times as long."""
    items = tuple(
        studies.rounds_of(item.name, [value * factor for value in item.series.values], item.unit)
        if item.name == "seconds_per_token"
        else item
        for item in record.measurements
    )
    return record.model_copy(update={"measurements": items})
