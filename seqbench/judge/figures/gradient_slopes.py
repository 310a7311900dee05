"""The slope of ln gradient norm against lag of every variant, with interval and margins."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from seqbench.judge import table
from seqbench.judge.figures import base, style
from seqbench.judge.table import Tables
from seqbench.plan import Study

TITLE = "Slope of the gradient against lag, by variant"
CAPTION = (
    "Fitted slope of ln gradient norm against lag at initialisation; left of zero gradients vanish, right of it they "
    "explode. Small marks: seeds, the first 20 at most; large mark and bar: mean and 95 % Student-t interval over "
    "seeds (unadjusted). Broken lines: the pre-registered margins. The axis is linear within ±0.02 and logarithmic "
    "beyond."
)
PROBES = ("input_gradient",)
LINEAR = 0.02
"""Within so many nat/step of 0 the axis is linear: there the margins lie, next to slopes a hundred times as large."""
MEASUREMENT = "gradient_slope"


def select(tables: Tables, study: Study) -> pd.DataFrame:
    """Return one row per seed and variant (kind "seed") and one per margin (kind "margin"), in nat/step."""
    rows = tables.measurements[tables.measurements[table.MEASUREMENT] == MEASUREMENT]
    seeds = rows[[table.MODEL, table.LENGTH, table.WIDTH, table.SEED, table.VALUE]].assign(
        **{base.KIND: "seed", base.LABEL: ""}
    )
    margins = pd.DataFrame(_margins(study), columns=[base.LABEL, table.VALUE]).assign(**{base.KIND: "margin"})
    both = pd.concat([seeds, margins], ignore_index=True) if len(seeds) else seeds
    whole = dict.fromkeys((table.LENGTH, table.WIDTH, table.SEED), "Int64")
    return both.astype(whole).sort_values(
        [base.KIND, table.MODEL, table.WIDTH, table.LENGTH, table.SEED], ignore_index=True
    )


def draw(frame: pd.DataFrame) -> Figure:
    """Return a row of points per variant; slope in nat/step."""
    seeds = frame[(frame[base.KIND] == "seed") & np.isfinite(frame[table.VALUE].astype(float))]
    if seeds.empty:
        return base.empty()
    means = base.summary(seeds, [table.MODEL, table.WIDTH, table.LENGTH])
    means["order"] = means[table.MODEL].map({name: i for i, name in enumerate(style.ordered(means[table.MODEL]))})
    means = means.sort_values(["order", table.WIDTH, table.LENGTH], ignore_index=True)
    with base.styled():
        figure, (axis,) = base.panels(1, height=1.3 + 0.27 * len(means))
        for place, row in enumerate(means.to_dict("records")):
            look = style.look(str(row[table.MODEL]))
            own = seeds[(seeds[table.MODEL] == row[table.MODEL]) & (seeds[table.WIDTH] == row[table.WIDTH])]
            own = own[own[table.LENGTH] == row[table.LENGTH]]
            own = base.some_seeds(own)
            mark: dict[str, Any] = {
                "color": look.colour,
                "marker": look.marker,
                "linestyle": "",
                "fillstyle": look.fill,
            }
            axis.plot(own[table.VALUE], [place] * len(own), alpha=0.35, markersize=3, **mark)
            axis.plot([row[base.LOWER], row[base.UPPER]], [place, place], color=look.colour, linewidth=1.6)
            axis.plot([row[base.MEAN]], [place], markersize=6, **mark)
        axis.set_xscale("symlog", linthresh=LINEAR)
        axis.set_xticks([-1, -0.1, 0, 0.1, 1], ["−1", "−0.1", "0", "0.1", "1"])
        axis.minorticks_off()
        axis.axvline(0.0, linewidth=1.0, color=style.INK)
        margins = frame[frame[base.KIND] == "margin"].sort_values(table.VALUE).to_dict("records")
        for line, dashes in zip(margins, ("--", ":", "-.", (0, (5, 1)), (0, (1, 1))) * len(margins), strict=False):
            text = f"{line[base.LABEL]} {line[table.VALUE]:+g}".replace("-", "−")
            axis.axvline(line[table.VALUE], linewidth=1.0, color=style.INK, linestyle=dashes, alpha=0.75, label=text)
        if margins:
            base.legend(axis, title="margins (nat/step)")
        sizes = means[[table.WIDTH, table.LENGTH]].drop_duplicates()
        labels = [
            f"{style.look(row[table.MODEL]).label}" + (f", H = {row[table.WIDTH]:.0f}" if len(sizes) > 1 else "")
            for row in means.to_dict("records")
        ]
        axis.set_yticks(range(len(means)), labels)
        axis.set_ylim(len(means) - 0.4, -0.6)
        axis.grid(visible=False, axis="y")
        axis.set_xlabel("slope of ln gradient norm (nat/step)")
    return figure


def _margins(study: Study) -> list[tuple[str, float]]:
    found = []
    for claim in study.preregistration.claims.values():
        for name, atom in claim.atoms.items():
            # The margins of a difference of slopes have no place on an axis of slopes.
            if atom.measurement != MEASUREMENT or atom.test not in ("one_sample", "maximum", "tost"):
                continue
            if atom.equivalence is not None:
                found += [(f"{name} ±", -atom.equivalence), (f"{name} ±", atom.equivalence)]
            elif atom.support is not None:
                found.append((f"{name} support", atom.sign * atom.support))
    # Two margins at one place share their line.
    by_place: dict[float, list[str]] = {}
    for label, place in found:
        by_place.setdefault(place, []).append(label)
    return [(", ".join(labels), place) for place, labels in by_place.items()]
