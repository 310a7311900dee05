"""Every hypothesis that a verdict rests on, against its own margins, on one axis."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seqbench.judge.claims.base import AtomVerdict, ClaimVerdict
from seqbench.judge.figures import base, style

NAME = "verdict_overview"
TITLE = "Every verdict on one axis"
CAPTION = (
    "The hypotheses of each claim's rule, each measured by its own margins: the right upright line is the margin of "
    "support, the left one that of contradiction, linear between them and logarithmic beyond. A hypothesis supports "
    "its claim where its whole interval lies right of the right line, and contradicts it where the whole interval lies "
    "left of the left one, if the exact test agrees. An equivalence and a bound have one margin, the right line: "
    "within lies to the right. Bounds are one-sided, each at the level that Holm's procedure reached. Filled: the "
    "hypothesis whose effect stands for the claim. Rings: the others of the rule; cross: no value."
)
CLAIM, ATOM, VERDICT, DECIDES, EFFECT, UNIT, PLACE = (
    *("claim", "atom", "verdict", "decides", "effect", "unit", "place"),
)
COLUMNS = (
    *(CLAIM, ATOM, VERDICT, DECIDES, EFFECT, base.LOWER, base.UPPER, UNIT, base.N),
    *("support", "contradict", "equivalence", "below", PLACE, f"{PLACE}_lower", f"{PLACE}_upper"),
)
REACH = 30.0
"""Where the axis ends; what lies further out is drawn at its end, and its number is in the data."""
FOR, AGAINST = "#029e73", "#c91f16"


def of_claims(claims: Iterable[ClaimVerdict]) -> pd.DataFrame:
    """Return one row per hypothesis of each claim's rule: effect and bounds (its unit) and their places (1).

    The place is −1 at the margin of contradiction and 1 at that of support.
    """
    rows = [_row(claim, atom) for claim in claims for atom in claim.atoms if atom.in_rule]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def draw(frame: pd.DataFrame) -> Figure:
    """Return a row per hypothesis; place of θ against its margins (1)."""
    if frame.empty:
        return base.empty("no claim was set out to be tested")
    with base.styled():
        figure, (axis,) = base.panels(1, height=1.1 + 0.22 * len(frame))
        axis.set_xscale("symlog", linthresh=1.0, linscale=1.0)
        axis.set_xlim(-REACH, REACH)
        axis.axvspan(1.0, REACH, color=FOR, alpha=0.12, linewidth=0)
        axis.axvspan(-REACH, -1.0, color=AGAINST, alpha=0.12, linewidth=0)
        for margin in (-1.0, 1.0):
            axis.axvline(margin, color=style.INK, linewidth=1.0)
        for place, row in enumerate(frame.to_dict("records")):
            _hypothesis(axis, place, row)
        _finish(axis, frame)
    return figure


def place_of(value: float, atom: AtomVerdict) -> float:
    """Return where a value of θ lies: 1 at the margin of support, −1 at that of contradiction, NaN without margins.

    Of one margin only, an equivalence within ±Δ or a bound from above, the distance left to it, in its own size.
    """
    if atom.equivalence is not None:
        return 1.0 + (atom.equivalence - abs(value)) / atom.equivalence
    if atom.below is not None:
        return 1.0 + (atom.below - value) / atom.below
    if atom.support is None:
        return math.nan
    contradict = atom.support if atom.contradict is None else atom.contradict
    half = (atom.support - contradict) / 2 or abs(atom.support) or 1.0
    return 1.0 + (value - atom.support) / half


def _row(claim: ClaimVerdict, atom: AtomVerdict) -> dict[str, object]:
    places = _places(atom)
    values = (
        *(claim.claim, atom.name, atom.verdict.value, atom.name == claim.headline, _or_nan(atom.effect)),
        *(_or_nan(atom.lower), _or_nan(atom.upper), atom.unit, atom.n),
        *(atom.support, atom.contradict, atom.equivalence, atom.below),
        *places,
    )
    return dict(zip(COLUMNS, values, strict=True))


def _places(atom: AtomVerdict) -> tuple[float, float, float]:
    """Return the places of effect and bounds, in order; an interval around 0 is nearest to 0 within itself."""
    if atom.effect is None:
        return math.nan, math.nan, math.nan
    bounds = [_or_nan(atom.lower), _or_nan(atom.upper)]
    if atom.equivalence is not None and bounds[0] < 0 < bounds[1]:
        bounds.append(0.0)
    found = [place_of(bound, atom) for bound in bounds]
    return place_of(atom.effect, atom), min(found), max(found)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _hypothesis(axis: Axes, place: int, row: Mapping[Any, Any]) -> None:
    at, lower, upper = (float(row[name]) for name in (PLACE, f"{PLACE}_lower", f"{PLACE}_upper"))
    ink: dict[str, Any] = {"color": style.INK}
    if not np.isfinite(at):
        axis.plot([0.0], [place], "x", markersize=5, alpha=0.6, **ink)
        return
    # A bound that is not there lies at infinity: θ is bounded on one side only.
    ends = np.clip([-np.inf if np.isnan(lower) else lower, np.inf if np.isnan(upper) else upper], -REACH, REACH)
    axis.plot(ends, [place, place], linewidth=1.4, **ink)
    face = style.INK if row[DECIDES] else "none"
    shown = float(np.clip(at, -REACH, REACH))
    axis.plot([shown], [place], "o", markersize=5.5, markerfacecolor=face, clip_on=False, zorder=3, **ink)


def _finish(axis: Axes, frame: pd.DataFrame) -> None:
    rows = frame.to_dict("records")
    axis.set_yticks(range(len(rows)), [f"{row[CLAIM]}  {row[ATOM]}: {row[VERDICT].lower()}" for row in rows])
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.grid(visible=False, axis="y")
    axis.set_xticks([-10, -1, 0, 1, 10], ["−10", "−1", "0", "1", "10"])
    axis.minorticks_off()
    axis.set_xlabel("θ against its margins (halves of their distance)")
    for place, words in ((-5.0, "contradicts"), (0.0, "undecided"), (5.0, "supports")):
        axis.text(place, 1.0, words, transform=axis.get_xaxis_transform(), ha="center", va="bottom")
    for place, row in enumerate(rows):
        if place and row[CLAIM] != rows[place - 1][CLAIM]:
            axis.axhline(place - 0.5, color=style.INK, linewidth=0.6, alpha=0.25)
