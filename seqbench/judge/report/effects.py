"""Effects by study: the hypotheses of one claim with their intervals, one mark per study."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from seqbench.judge.claims.base import ClaimVerdict
from seqbench.judge.figures import base, style

CAPTION = (
    "Effect θ of each hypothesis with the interval that its study judged it by: one-sided bounds, each at the level "
    "that its direction reached in that study. Larger speaks for the sentence. Effects in different units have axes of "
    "their own. Upright bars: the pre-registered margins. Hollow, pale and dotted: the claim lacks records there. "
    "A hypothesis without a value in any study has no row."
)
STUDY, ATOM, UNIT, EFFECT, VERDICT, COMPLETE, REASON = (
    "study",
    "atom",
    "unit",
    "effect",
    "verdict",
    "complete",
    "reason",
)
MARGINS = ("support", "contradict", "equivalence", "below")
COLUMNS = (STUDY, ATOM, UNIT, EFFECT, base.LOWER, base.UPPER, base.N, VERDICT, *MARGINS, COMPLETE, REASON)
LOOKS = dict(
    zip(
        "ABCDEFGH",
        zip(style.FAMILY_COLOURS.values(), ("o", "s", "D", "^", "v", "P", "X", "*"), strict=False),
        strict=False,
    )
)
"""Colour and marker of each study by its letter, the same in every figure of a comparison."""
ROW_INCHES, STUDY_INCHES, AXIS_INCHES = 0.16, 0.13, 0.75


def select(claims: Mapping[str, ClaimVerdict]) -> pd.DataFrame:
    """Return one row per study and hypothesis of one claim, whose verdict `claims` gives by study."""
    rows = [
        (
            *(study, atom.name, atom.unit, atom.effect, atom.lower, atom.upper, atom.n, atom.verdict.value),
            *(atom.support, atom.contradict, atom.equivalence, atom.below, claim.ran == claim.planned, atom.reason),
        )
        for study, claim in claims.items()
        for atom in claim.atoms
    ]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype(dict.fromkeys((EFFECT, base.LOWER, base.UPPER, *MARGINS), float))


def draw(frame: pd.DataFrame) -> Figure:
    """Return an axis per unit of θ, in it a row per hypothesis and in each a mark per study."""
    studies = list(dict.fromkeys(frame[STUDY]))
    known = frame[frame[EFFECT].notna()]
    if known.empty:
        return base.empty("no hypothesis has a value")
    units = list(dict.fromkeys(known[UNIT]))
    each = ROW_INCHES + STUDY_INCHES * len(studies)
    with base.styled():
        heights = [AXIS_INCHES + each * known[known[UNIT] == unit][ATOM].nunique() for unit in units]
        figure = Figure(figsize=(base.WIDTH_INCHES, sum(heights)), layout="constrained")
        axes = figure.subplots(len(units), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axis, unit in zip(axes, units, strict=True):
            _panel(axis, known[known[UNIT] == unit], studies)
            axis.set_xlabel(f"θ ({unit})")
        figure.legend(handles=_handles(studies), loc="outside upper left", ncols=3)
    return figure


def _panel(axis: Axes, rows: pd.DataFrame, studies: list[str]) -> None:
    atoms = list(dict.fromkeys(rows[ATOM]))
    for place, atom in enumerate(atoms):
        own = rows[rows[ATOM] == atom]
        for margin in sorted(_margins(own)):
            axis.plot([margin, margin], [place - 0.42, place + 0.42], color=style.INK, linewidth=1.3, alpha=0.6)
        for row in own.to_dict("records"):
            number = studies.index(str(row[STUDY]))
            _mark(axis, row, at=place + 0.7 * ((number + 0.5) / len(studies) - 0.5))
    axis.set_yticks(range(len(atoms)), atoms)
    axis.set_ylim(len(atoms) - 0.45, -0.55)
    axis.grid(visible=False, axis="y")


def _mark(axis: Axes, row: Mapping[Any, Any], *, at: float) -> None:
    (colour, marker), complete = LOOKS[str(row[STUDY])], bool(row[COMPLETE])
    alpha = 1.0 if complete else 0.55
    bounds = [row[base.LOWER], row[base.UPPER]]
    axis.plot(bounds, [at, at], color=colour, linewidth=1.6, linestyle="-" if complete else ":", alpha=alpha)
    axis.plot([row[EFFECT]], [at], marker, color=colour, fillstyle="full" if complete else "none", alpha=alpha)


def _margins(rows: pd.DataFrame) -> set[float]:
    """Return where the margins of a hypothesis stand: those of every study, and both sides of an equivalence."""
    found = rows[list(MARGINS)].assign(minus=-rows["equivalence"]).to_numpy(dtype=np.float64)
    return {float(margin) for margin in found[np.isfinite(found)]}


def _handles(studies: list[str]) -> list[Line2D]:
    return [Line2D([], [], color=LOOKS[study][0], marker=LOOKS[study][1], label=f"study {study}") for study in studies]
