"""Bits per character of a real text while models are trained, against tokens read and against seconds."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seqbench.judge import table, text_curves, text_scores
from seqbench.judge.figures import base, style
from seqbench.judge.table import Tables
from seqbench.plan import Study

TITLE = "Bits per character of a real text while training, on equal tokens and on equal seconds"
CAPTION = (
    "Best bits per character so far of the validation split; lower is better. Lines: mean over seeds; bands span the "
    "seeds. Left all have read the same tokens; right they have trained equally long, by the time of a step as the "
    "models' panel measured it in turns, so without evaluation and without the drawing of batches. Upright line: here "
    "the fastest has used its whole budget. A training that stopped early keeps its best. The learning rate falls to "
    "the end of each model's own budget: who is read off earlier has not had the gain of its last part, which counts "
    "against slow models."
)
PROBES = ("", text_curves.TIMED)
COSTS = {text_curves.TOKENS: "tokens read (millions)", table.SECONDS: "training (s)"}
MILLION = 1e6
PANEL_INCHES = 2.7
"""The height of a panel without its legend."""
THICKER = 0.9
"""What a further way of training a model adds to the width of its line."""


def select(tables: Tables, study: Study) -> pd.DataFrame:  # noqa: ARG001
    """Return one row per evaluation: best validation bit/character so far, with step, token and s.

    Of more than `base.BLOCKS` evaluations of a training so many are taken, evenly, and the last.
    """
    frame = text_curves.curves(tables)
    runs = frame.groupby([*text_scores.SAME, *text_curves.PLACE, *text_scores.ARM, table.SEED])
    backwards, count = runs.cumcount(ascending=False), runs[table.AT].transform("size")
    taken: pd.DataFrame = frame[backwards % np.ceil(count / base.BLOCKS).astype(int) == 0]
    return taken.reset_index(drop=True)


def draw(frame: pd.DataFrame) -> Figure:
    """Return two panels per text and size; bit/character against tokens and, where steps were timed, against s."""
    if frame.empty:
        return base.empty()
    groups = [own for _, own in frame.groupby([*text_scores.SAME, *text_curves.PLACE], sort=True)]
    with base.styled():
        heights = [PANEL_INCHES + base.ENTRY_INCHES * -(-_lines(own) // 2) for own in groups]
        figure = Figure(figsize=(base.WIDTH_INCHES, sum(heights)), layout="constrained")
        parts = figure.subfigures(len(groups), 1, squeeze=False, height_ratios=heights)[:, 0]
        for part, own in zip(parts, groups, strict=True):
            axes = part.subplots(1, len(COSTS), sharey=True)
            for axis, (cost, label) in zip(axes, COSTS.items(), strict=True):
                _panel(axis, own, cost)
                axis.set(xlabel=label, xlim=(0, None))
            axes[0].set(title=_title(own, frame), ylabel="validation (bit/character)")
            handles, labels = axes[0].get_legend_handles_labels()
            part.legend(handles, labels, loc="outside lower left", ncols=2)
    return figure


def _lines(own: pd.DataFrame) -> int:
    return len(own[[*text_scores.ARM]].drop_duplicates())


def _title(own: pd.DataFrame, among: pd.DataFrame) -> str:
    """Return the text, its window, how large the models are and, of several places, where steps were timed."""
    first = own.iloc[0]
    sizes = own[table.PARAMETERS]
    least, most = (f"{size:,.0f}" for size in (sizes.min(), sizes.max()))
    large = least if least == most else f"{least} to {most}"
    several = among[[table.MACHINE, table.DEVICE]].drop_duplicates().shape[0] > 1 and first[table.MACHINE]
    place = f", timed on {base.place_of(own, among=among)}" if several else ""
    return f"{first[table.TASK]}, T {first[table.LENGTH]}, {large} parameters{place}"


def _panel(axis: Axes, own: pd.DataFrame, cost: str) -> None:
    scale = MILLION if cost == text_curves.TOKENS else 1.0
    known = own[np.isfinite(own[cost].astype(float)) & np.isfinite(own[table.VALUE].astype(float))]
    if known.empty:
        axis.text(0.5, 0.5, "no time of a step", ha="center", va="center", transform=axis.transAxes)
        return
    for model in style.ordered(known[table.MODEL]):
        look, arms = style.look(model), known[known[table.MODEL] == model]
        several = _lines(arms) > 1
        for place, (_, rows) in enumerate(arms.groupby([*text_scores.ARM])):
            seeds = rows.pivot_table(index=cost, columns=table.SEED, values=table.VALUE).ffill()
            at, wide = seeds.index / scale, 1.3 + THICKER * place
            axis.fill_between(at, seeds.min(axis=1), seeds.max(axis=1), color=look.colour, alpha=0.12, linewidth=0)
            which = f", {rows[table.GROUP].iloc[0]}" if several else ""
            label = f"{look.label}{which} (n = {seeds.shape[1]})"
            axis.plot(at, seeds.mean(axis=1), color=look.colour, linestyle=look.line, linewidth=wide, label=label)
    if cost == table.SECONDS:
        axis.axvline(text_curves.deadline(known), color=style.INK, linewidth=0.9, linestyle=":", alpha=0.7)
