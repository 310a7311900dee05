"""Gates judged from planted records: the four verdicts, each kind of quantity, the critique, the listing."""

import json
import math

import judged_studies as studies
import pytest

from seqbench import plan
from seqbench.cell import TimingConfig, TrainConfig
from seqbench.errors import InvalidInput
from seqbench.gate import Check, Gate
from seqbench.judge import gates, table
from seqbench.judge.gates import Word
from seqbench.judge.report import build
from seqbench.judge.report import gates as told
from seqbench.measure.models import MODELS
from seqbench.measure.probes import PROBES
from seqbench.record import Measurement
from seqbench.store import Contents
from seqbench.suite import Group, Suite

TRAINING = TrainConfig(steps=10, batch=4, learning_rate=1e-3)
LOSS = {"group": "solved", "model": "gru", "measurement": "loss", "said": "solved", "at_most": 1e-3, "floor": 1 / 6}


def group(name="solved", models=("gru",), **changed):
    """Return a group of trained cells on the adding problem."""
    return Group(
        **{"name": name, "task": "adding", "models": models, "lengths": (20,), "width": 4, "seeds": 3}
        | ({"training": TRAINING} if "probe" not in changed else {})
        | changed
    )


def study(check, *, groups=None, **gate):
    """Return a study of one gate with one check."""
    given = {"title": "Gate", "source": "somewhere", "core_minutes": 3, "checks": {"check": Check(**check)}}
    asked = Gate(**given | gate)
    suite = Suite(title="gates", groups=groups or (group(),), gates={"gate": asked})
    return plan.study("own", suite, known_models=MODELS, known_probes=PROBES)


def judged(study, values, *, statuses=()):
    """Return the one gate judged: values(cell) -> measurements, and the status of the records in their order."""
    records = []
    for place, entry in enumerate(plan.planned(study)):
        status = statuses[place] if place < len(statuses) else "ok"
        if status is not None:
            measured = () if status in ("contended", "crashed") else values(entry.cell)
            record = studies.record_of(entry, study, measurements=measured, status=status)
            records.append((f"m/{entry.cell.task}/x/{entry.fingerprint}.json", record))
    (found,) = gates.judge(study, table.tables(study, Contents(tuple(records), ())))
    return found


def losses(*numbers):
    """Return what gives the seeds 1000, 1001, … these losses."""
    return lambda cell: (Measurement(name="loss", value=numbers[cell.seed - 1000], unit="squared error"),)


def test_every_seed_within_is_reproduced():
    """Three losses of three below the tolerance reproduce a gate; ours is their mean."""
    found = judged(study(LOSS), losses(1e-4, 2e-4, 6e-4))
    assert (found.word, found.findings[0].ours) == (Word.REPRODUCED, pytest.approx(3e-4))


def test_one_seed_outside_is_not_reproduced():
    """One of three losses above it, well below the floor: not reproduced, whatever the mean."""
    assert judged(study(LOSS), losses(1e-4, 1e-4, 1.1e-3)).word is Word.NOT_REPRODUCED


def test_so_many_seeds_are_enough_where_the_gate_says_so():
    """With two of three asked for, one seed may fail and two may not."""
    asked = study(LOSS | {"seeds_within": 2})
    assert [judged(asked, losses(1e-4, other, 0.16)).word for other in (9e-4, 2e-3)] == [
        Word.REPRODUCED,
        Word.NOT_REPRODUCED,
    ]


def test_nothing_learnt_is_at_floor():
    """A mean that is not better than the floor by 5 % says that nothing was learnt; 6 % says that something was."""
    assert judged(study(LOSS), losses(0.16, 0.17, 0.165)).word is Word.AT_FLOOR
    assert judged(study(LOSS), losses(0.1566, 0.1566, 0.1566)).word is Word.NOT_REPRODUCED


def test_a_score_is_at_floor_from_below():
    """Where higher is better, chance and a little above it are at floor."""
    check = {"group": "solved", "model": "gru", "measurement": "r2", "said": "100 %", "at_least": 0.99, "floor": 0.5}
    asked = study(check | {"better": "higher"})
    scores = [lambda _cell, value=value: (Measurement(name="r2", value=value, unit="1"),) for value in (0.52, 0.53)]
    assert [judged(asked, score).word for score in scores] == [Word.AT_FLOOR, Word.NOT_REPRODUCED]


def test_a_divergence_lies_outside():
    """A diverged training ran and has no loss: it is one of the seeds that failed."""
    found = judged(study(LOSS), losses(1e-4, 1e-4, math.nan), statuses=("ok", "ok", "diverged"))
    assert (found.word, found.findings[0].within) == (Word.NOT_REPRODUCED, 2)


@pytest.mark.parametrize(
    ("statuses", "needs", "reason"),
    [
        ((None, None, None), {}, "not asked for yet; about 3 core-minutes"),
        ((None, None, None), {"needs": ("gpu",)}, "needs a GPU"),
        ((None, None, None), {"needs": ("text", "gpu"), "text": "ptb"}, "needs the text 'ptb' and a GPU"),
        (("ok", None, "crashed"), {}, "1 of 3 cells crashed, 1 of 3 cells missing"),
    ],
)
def test_what_did_not_run_says_what_it_needs(statuses, needs, reason):
    """Without every record there is no verdict, and the reason says what is missing."""
    found = judged(study(LOSS, **needs), losses(1e-4, 1e-4, 1e-4), statuses=statuses)
    assert (found.word, found.reason) == (Word.NOT_RUN, reason)


def test_records_without_the_measurement_are_not_run():
    """A measurement that no record has gives no verdict; NaN of every seed would read as divergence."""
    found = judged(study(LOSS | {"measurement": "bits"}), losses(1e-4, 1e-4, 1e-4))
    assert (found.word, found.reason) == (Word.NOT_RUN, "the records have no bits")


def test_a_failed_check_outweighs_one_that_did_not_run():
    """A gate whose one check failed is not reproduced, though the other has no verdict."""
    groups = (group(), group("other", models=("lstm",)))
    other = Check(**LOSS | {"group": "other", "model": "lstm"})
    asked = study(LOSS, groups=groups, checks={"a": Check(**LOSS), "b": other})
    found = judged(asked, losses(0.01, 0.01, 0.01), statuses=("ok", "ok", "ok", None, None, None))
    assert [entry.word for entry in found.findings] == [Word.NOT_REPRODUCED, Word.NOT_RUN]
    assert found.word is Word.NOT_REPRODUCED


@pytest.mark.parametrize(
    ("word", "asked", "failed"),
    [
        (Word.REPRODUCED, True, False),
        (Word.NOT_RUN, False, False),
        (Word.NOT_RUN, True, True),
        (Word.AT_FLOOR, False, True),
        (Word.NOT_REPRODUCED, False, True),
    ],
)
def test_what_was_asked_for_and_has_no_verdict_failed(word, asked, failed):
    """A gate that nobody asked for may wait; one that was asked for and could not be judged has not passed."""
    entry = gates.Judged(name="gate", gate=study(LOSS).suite.gates["gate"], word=word, findings=())
    assert entry.failed(asked=asked) is failed


def test_a_difference_is_taken_seed_by_seed():
    """The model less the one against it, within each seed: 1 less 3, not the other way round."""
    check = {"group": "solved", "model": "gru", "against": "lstm", "quantity": "difference", "measurement": "loss"}
    asked = study(check | {"said": "better", "at_most": -1.5}, groups=(group(models=("lstm", "gru")),))
    own = {"gru": 1.0, "lstm": 3.0}
    found = judged(
        asked, lambda cell: (Measurement(name="loss", value=own[cell.model] + 10 * cell.seed, unit="squared error"),)
    )
    assert (found.word, found.findings[0].values) == (Word.REPRODUCED, (-2.0, -2.0, -2.0))


def test_an_exponent_of_bytes_is_exact():
    """Bytes that grow with T² have the exponent 2."""
    grown = group(task="uniform_tokens", probe="saved_bytes", lengths=(8, 16, 32), seeds=1)
    check = {"group": "solved", "model": "gru", "quantity": "exponent", "said": "2", "at_least": 1.99, "at_most": 2.01}
    found = judged(
        study(check, groups=(grown,)),
        lambda cell: (Measurement(name="saved_bytes", value=3.0 * cell.length**2, unit="byte"),),
    )
    assert (found.word, found.findings[0].ours) == (Word.REPRODUCED, pytest.approx(2))


def timed(check, seconds, *, lengths=(64,), statuses=(), kept=(1.0,) * 6):
    """Return a gate of timed cells judged: seconds(cell) -> seconds per token of every round."""
    own = group(
        task="uniform_tokens",
        probe="training_time",
        models=("gru", "lstm"),
        lengths=lengths,
        seeds=1,
        timing=TimingConfig(batch=2, processes=2, rounds=3),
    )

    def values(cell):
        rounds = seconds(cell)
        return (
            studies.rounds_of("seconds_per_token", rounds, "s/token"),
            studies.rounds_of("round_kept", kept, "1"),
            Measurement(name="processes", value=2.0, unit="1"),
        )

    return judged(study(check, groups=(own,)), values, statuses=statuses)


RATIO = {"group": "solved", "model": "gru", "against": "lstm", "quantity": "ratio", "said": "4", "at_least": 1.1}


def test_a_ratio_is_paired_within_rounds():
    """Twice the other's time in the two rounds that count is a ratio of 2, whatever four spoilt rounds say."""
    rounds = {"gru": [2.0, 20.0, 9.0, 9.0, 9.0, 9.0], "lstm": [1.0, 10.0, 1.0, 1.0, 1.0, 1.0]}
    found = timed(RATIO, lambda cell: rounds[cell.model], kept=(1.0, 1.0, 0.0, 0.0, 0.0, 0.0))
    assert (found.word, found.findings[0].ours) == (Word.REPRODUCED, pytest.approx(2))


def test_a_contended_panel_is_not_run():
    """A panel that was timed while others used the machine has no number, and the gate says so."""
    found = timed(RATIO, lambda _cell: [1.0] * 6, statuses=("contended", "contended"))
    assert (found.word, found.reason) == (Word.NOT_RUN, "2 of 2 cells contended")


def test_an_exponent_of_time_has_an_interval():
    """Time per call that grows with T has the exponent 1, with an interval around it."""
    check = {"group": "solved", "model": "gru", "quantity": "exponent", "said": "1", "at_least": 0.9, "at_most": 1.1}
    noise = [1.0, 1.01, 0.99, 1.02, 0.98, 1.0]
    found = timed(check, lambda _cell: noise, lengths=(64, 128, 256))
    (finding,) = found.findings
    assert (found.word, finding.ours) == (Word.REPRODUCED, pytest.approx(1, abs=0.05))
    assert finding.interval[0] <= finding.ours <= finding.interval[1]


@pytest.mark.parametrize(
    ("published", "told_of"),
    [(0.0204, "+0.1 %"), (0.0202, "-0.9 %"), (0.0197, "-3.4 %"), (3.5e-5, "")],
)
def test_a_published_number_at_the_floor_is_told(published, told_of):
    """Of copy memory at T = 1000 the recurrent numbers of the table sit at 10 ln 8 / 1020, and the TCN's does not."""
    check = Check(**LOSS | {"floor": 0.17329, "published": published, "published_floor": 0.020387})
    assert told_of in gates.critique(check)
    assert bool(told_of) == bool(gates.critique(check))


def test_the_listing_is_strict_json_with_the_name_first():
    """Gate, verdict, published, ours, tolerance and critique; what is no number is null."""
    asked = study(LOSS | {"published": 0.177})
    rows = told.as_json([judged(asked, losses(1e-4, 1e-4, math.nan), statuses=("ok", "ok", "diverged"))])
    (row,) = json.loads(json.dumps(rows, allow_nan=False))
    assert next(iter(row)) == "name"
    assert (row["name"], row["verdict"], row["published"]["check"]) == ("gate", "not reproduced", 0.177)
    assert (row["ours"]["check"], row["values"]["check"]) == (pytest.approx(1e-4), [1e-4, 1e-4, None])
    assert row["tolerance"]["check"] == "at most 0.001"
    assert row["critique"]["check"].startswith("the published 0.177 sits at the memoryless floor, 0.16667 (+6.2 %)")


def test_the_page_has_a_section_of_published_results():
    """A report of a study with gates shows them, first and in the contents, and writes gates.json; others do not."""
    asked = study(LOSS | {"published": 0.177, "said": "0.177 at T = 600"}, differs_in=("T = 20",))
    report = build.build(asked, Contents((), ()))
    page = build.page(report)
    assert "Published results" in page
    assert 'href="#published"' in page
    assert "0.177 at T = 600" in page
    assert "not asked for yet" in page
    assert "Differs in: T = 20." in page
    bare = studies.study(seeds=1)
    assert 'id="published"' not in build.page(build.build(bare, Contents((), ())))


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"at_most": None}, "nothing could fail it"),
        ({"at_least": 1.0}, "no number is at least 1 and at most 0.001"),
        ({"quantity": "ratio"}, "a quantity 'ratio' has no measurement"),
        ({"against": "lstm"}, "a quantity 'value' has no model against"),
        ({"published_floor": 0.1}, "give published"),
    ],
)
def test_a_check_that_decides_nothing_is_refused(changed, text):
    """A check without a tolerance, or with parts that its quantity does not use, is no check."""
    with pytest.raises(ValueError, match=text):
        Check(**LOSS | changed)


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"group": "nowhere"}, "there is no group 'nowhere'"),
        ({"model": "lstm"}, "group 'solved' has no model lstm"),
        ({"length": 30}, "group 'solved' has no length 30"),
        ({"length": 20}, "give length where it has several, and only there"),
    ],
)
def test_a_check_without_cells_is_refused(changed, text):
    """A suite refuses a check whose group, model or length none of its groups has."""
    with pytest.raises((InvalidInput, ValueError), match=text):
        study(LOSS | changed)
