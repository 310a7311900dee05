"""Frames of records: what counts, what is missing, and which cells an arm names."""

import math

import judged_studies as studies

from seqbench.judge import evidence, table
from seqbench.judge.claims.base import given, number
from seqbench.preregistration import Arm

STUDY = studies.study(("C1",), seeds=2)


def test_every_planned_cell_has_a_row():
    """A cell without a record stands in the frame with the status missing."""
    held = studies.contents(STUDY, drop=lambda cell: cell.seed == 1001)
    counts = table.cells(STUDY, held)[table.STATUS].value_counts().to_dict()
    assert counts == {"ok": 22, "missing": 22}


def test_measurements_name_their_cell_and_unit():
    """One row per record and measurement, with the task, the seed and the unit beside the value."""
    rows = table.tables(STUDY, studies.contents(STUDY)).measurements
    row = rows[(rows[table.MODEL] == "rnn") & (rows[table.MEASUREMENT] == "gradient_slope")].iloc[0]
    assert (row[table.TASK], row[table.PROBE], row[table.SEED], row[table.UNIT]) == (
        "onehot",
        "input_gradient",
        1000,
        "nat/step",
    )


def test_series_have_a_row_per_point():
    """The axis and the place of each point are columns."""
    rows = table.points(table.tables(STUDY, studies.contents(STUDY)).series)
    lags = rows[(rows[table.MEASUREMENT] == "recall_by_lag") & (rows[table.SEED] == 1000)]
    assert list(lags[lags[table.MODEL] == "rnn"][table.AT]) == [2.8, 17.0, 71.0]


def test_a_later_attempt_replaces_an_earlier_one():
    """Of two attempts at one cell the last counts."""
    held = studies.contents(STUDY, failed=lambda cell: "crashed" if cell.seed == 1000 else None)
    again = studies.contents(STUDY)
    both = type(held)((*held.records, *again.records), ())
    assert set(table.cells(STUDY, both)[table.STATUS]) == {"ok"}


def test_an_arm_without_options_is_the_plain_model():
    """`rnn` is not `rnn@init=orthogonal`, and the width keeps the gain sweep out."""
    cells = table.cells(STUDY, studies.contents(STUDY))
    arm = Arm(task="onehot", probe="input_gradient", model="rnn", width=32, length=200)
    assert set(cells[evidence.matches(arm, cells)][table.MODEL]) == {"rnn"}


def test_options_match_in_any_order():
    """The order in which an arm writes its options does not matter."""
    cells = table.cells(STUDY, studies.contents(STUDY))
    arm = Arm(task="onehot", probe="input_gradient", model="rnn@init=identity,activation=relu")
    assert set(cells[evidence.matches(arm, cells)][table.MODEL]) == {studies.IRNN}


def test_an_arm_of_trained_cells_names_no_probe():
    """An arm without a probe names the cells that are trained and scored, not those that are probed."""
    cells = table.cells(STUDY, studies.contents(STUDY))
    assert not evidence.matches(Arm(task="onehot", model="rnn"), cells).any()


def test_numbers_have_three_digits_and_a_true_minus():
    """Effects are printed alike everywhere; chosen numbers as short as they were written."""
    assert [number(value) for value in (0.5626, -2.1379, 12.345, 1234.5, 0.0, None, 2e-7, math.nan, -math.inf)] == [
        "0.563",
        "−2.14",
        "12.3",
        "1234",
        "0",
        "–",
        "2.00e−7",
        "–",
        "−∞",
    ]
    assert [given(value) for value in (0.05, -0.35, 0.0125)] == ["0.05", "−0.35", "0.0125"]


def test_an_arm_of_a_gpu_has_no_cells_where_only_a_cpu_ran():
    """A missing cell is expected on the classes of device that the study ran on, and on all before the first record."""
    study = studies.study(("C4",))
    arms = {
        name: Arm(task="uniform_tokens", probe="decode_time", model="lstm", length=1024, device=name)
        for name in ("cpu", "cuda")
    }

    def matched(held):
        cells = table.cells(study, held)
        return [int(evidence.matches(arms[name], cells).sum()) for name in ("cpu", "cuda")]

    assert matched(studies.contents(study)) == [1, 0]
    assert matched(studies.contents(study, drop=lambda cell: cell.probe == "decode_time")) == [1, 0]
    assert matched(studies.contents(study, place=lambda _: studies.GPU)) == [0, 1]
    assert matched(studies.contents(study, drop=lambda _: True)) == [1, 1]
