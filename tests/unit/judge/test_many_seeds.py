"""Studies of many seeds: what is drawn and judged is as of few, and the data behind a figure stay a small file."""

from dataclasses import replace

import judged_studies as studies
import numpy as np
import pandas as pd
import pytest

from seqbench.judge import evidence, table
from seqbench.judge.figures import FIGURES, base, gradient_by_lag
from seqbench.judge.report import svg

STUDY = studies.study(beside=studies.BESIDE, seeds=2)
FEW = table.tables(STUDY, studies.contents(STUDY))
SEEDS = base.MANY + 10
BANDS = ["learning_curves", "gradient_norm_training"]


def repeated(frame, column):
    """Return the rows of a frame once for each of many seeds, whose values grow so that mean and median differ."""
    return pd.concat(
        [
            frame.assign(**{table.SEED: seed, column: [np.array(one) * (1 + seed**2 / 1000) for one in frame[column]]})
            for seed in range(SEEDS)
        ],
        ignore_index=True,
    )


@pytest.fixture(scope="module")
def many():
    """Return the frames of a study in which the series of the first seed were measured with many."""
    first = FEW.series[FEW.series[table.SEED] == FEW.series[table.SEED].min()]
    return replace(FEW, series=repeated(first, table.VALUE))


@pytest.mark.parametrize("name", BANDS)
def test_a_band_of_many_seeds_is_drawn_as_if_every_seed_were_there(name, many, monkeypatch):
    """Three rows of every step, the least, the median and the greatest, give the bytes that all seeds give."""
    module = FIGURES.load(name)
    spanned = module.select(many, STUDY)
    drawn = svg.standalone(module.draw(spanned))
    monkeypatch.setattr(base, "MANY", SEEDS)
    every = module.select(many, STUDY)
    assert 3 * len(every) == SEEDS * len(spanned)
    assert drawn == svg.standalone(module.draw(every))


@pytest.mark.parametrize("name", [*BANDS, "gradient_by_lag"])
def test_a_figure_says_that_its_data_leave_seeds_out(name, many):
    """Its caption does so for many seeds, and not for few."""
    module = FIGURES.load(name)
    assert base.caption(module, module.select(FEW, STUDY)) == module.CAPTION
    told = "There are more than 20 seeds of a model: the data hold what is drawn of them, not every seed."
    assert base.caption(module, module.select(many, STUDY)) == f"{module.CAPTION} {told}"


def test_gradients_of_many_seeds_are_the_first_ones_and_the_mean_of_all(many, monkeypatch):
    """The bold line and the legend are of all seeds; 50 seeds have rows of their own."""
    laws = FEW.wide.assign(gradient_slope=-0.5, gradient_horizon=7.0)
    frame = gradient_by_lag.select(replace(many, wide=laws), STUDY)
    assert set(frame[table.SEED]) == {*map(str, range(base.MANY)), "mean"}
    (bold,) = (line for line in gradient_by_lag.draw(frame).axes[0].lines[:2] if line.get_linewidth() > 1)
    monkeypatch.setattr(base, "MANY", SEEDS)
    (every,) = (
        line
        for line in gradient_by_lag.draw(gradient_by_lag.select(replace(many, wide=laws), STUDY)).axes[0].lines[:2]
        if line.get_linewidth() > 1
    )
    assert bold.get_label() == every.get_label()
    assert bold.get_label().endswith("−0.500; 7")
    expected = dict(zip(every.get_xdata(), every.get_ydata(), strict=True))
    shared = [lag for lag in bold.get_xdata() if lag in expected]
    assert len(shared) > 2
    found = dict(zip(bold.get_xdata(), bold.get_ydata(), strict=True))
    assert [found[lag] for lag in shared] == pytest.approx([expected[lag] for lag in shared])


def test_kinds_of_cells_say_of_every_cell_whether_it_belongs_to_an_arm():
    """Looking at one cell of each kind finds the cells that looking at every cell finds."""
    arms = [
        arm
        for claim in STUDY.preregistration.claims.values()
        for atom in claim.atoms.values()
        for arm in atom.arms.values()
    ]
    counts = set()
    for arm in arms:
        expected = evidence.matches(arm, FEW.cells).to_list()
        assert evidence._of_arm(arm, FEW).tolist() == expected
        counts.add(sum(expected))
    assert len(FEW.kinds[0]) < len(FEW.cells)
    assert len(counts) > 2


@pytest.mark.parametrize("change", [{"ln": True}, {"against": 0.25}, {"measurement": "tokens"}, {"sign": 1}])
def test_one_arm_is_gathered_anew_for_another_question(change):
    """What is kept of an atom is not given for one that asks something else of the same arms."""
    rules = STUDY.preregistration
    atom = rules.claims["C8"].atoms["8a/order0"]
    other = atom.model_copy(update=change)
    tables = table.tables(STUDY, studies.contents(STUDY))
    first = evidence.gather("a", atom, tables, rules, claim="C")
    found = evidence.gather("a", other, tables, rules, claim="C")
    expected = evidence.gather("a", other, table.tables(STUDY, studies.contents(STUDY)), rules, claim="C")
    assert found.arms == expected.arms
    assert [list(values) for values in found.samples] == [list(values) for values in expected.samples]
    assert (first.arms, first.effect) != (found.arms, found.effect)
    assert evidence.gather("a", atom, tables, rules, claim="C") is first
