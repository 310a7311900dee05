"""The paired ln ratio of times of every pair that is judged, against zero and the margins."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from seqbench.judge import evidence, table
from seqbench.judge.evidence import Evidence
from seqbench.judge.figures import base, style
from seqbench.judge.rules import AtomLevels
from seqbench.judge.table import Tables
from seqbench.plan import Study

TITLE = "Who is slower: ln ratio of times per token, pair by pair"
CAPTION = (
    "Median over paired rounds of ln(time of the recurrent model / time of the other), with the 95 % interval that the "
    "test inverts (unadjusted; the verdicts use the levels that Holm's procedure reached). Right of zero the recurrent "
    "model is slower. Upright bars: the pre-registered margins of support (right) and contradiction (left). A pair "
    "without a mark was timed on a contended machine."
)
PROBES = ("training_time", "prefill_time", "decode_time")
LEVELS = AtomLevels(0.025, 0.025)
ATOM = "atom"
REFERENCE = "reference"
SUPPORT = "support"
CONTRADICT = "contradict"
REASON = "reason"
COLUMNS = (
    ATOM,
    table.PROBE,
    table.LENGTH,
    table.BATCH,
    table.THREADS,
    table.TIER,
    table.MODEL,
    REFERENCE,
    base.MEDIAN,
    base.LOWER,
    base.UPPER,
    base.N,
    SUPPORT,
    CONTRADICT,
    REASON,
)


def select(tables: Tables, study: Study) -> pd.DataFrame:
    """Return one row per pre-registered pair whose cells ran: ln ratio."""
    found = []
    for claim, content in study.preregistration.claims.items():
        for name, atom in content.atoms.items():
            if atom.test == "rounds":
                item = evidence.gather(name, atom, tables, study.preregistration, claim=claim)
                found += [_row(item)] if all(arm.ran for arm in item.arms) else []
    return pd.DataFrame(found, columns=list(COLUMNS))


def draw(frame: pd.DataFrame) -> Figure:
    """Return a row per pair; ln ratio of times (1)."""
    if frame.empty:
        return base.empty()
    with base.styled():
        figure, (axis,) = base.panels(1, height=1.2 + 0.3 * len(frame))
        labels = []
        for place, row in enumerate(frame.to_dict("records")):
            look = style.look(str(row[table.MODEL]))
            for margin in (row[SUPPORT], row[CONTRADICT]):
                axis.plot([margin, margin], [place - 0.32, place + 0.32], color=style.INK, linewidth=1.3, alpha=0.6)
            axis.plot([row[base.LOWER], row[base.UPPER]], [place, place], color=look.colour, linewidth=1.8)
            axis.plot([row[base.MEDIAN]], [place], look.marker, color=look.colour, markersize=6)
            pair = " / ".join(style.family_label(str(row[name])) for name in (table.MODEL, REFERENCE))
            count = f"n = {row[base.N]}" if row[base.N] else "no number"
            device = ", ".join(filter(None, (str(row[ATOM]).partition("/")[0].upper(), str(row[table.TIER]))))
            labels.append(f"{device} {str(row[table.PROBE]).removesuffix('_time')}: {pair} ({count})")
        axis.axvline(0.0, color=style.INK, linewidth=1.0)
        axis.set_yticks(range(len(frame)), labels)
        axis.set_ylim(len(frame) - 0.4, -0.6)
        axis.grid(visible=False, axis="y")
        axis.set_xlabel("ln ratio of times per token (1)")
    return figure


def _row(item: Evidence) -> dict[str, object]:
    inside = evidence.bounds(item, LEVELS)
    finite = np.isfinite([inside.lower, inside.upper])
    models = {arm.name: arm.model for arm in item.arms}
    subject = item.atom.arms["subject"]
    values = (
        item.name,
        *(subject.probe, subject.length, subject.batch, subject.threads, subject.tier),
        models["subject"],
        models["reference"],
        np.nan if item.effect is None else item.effect,
        inside.lower if finite[0] else np.nan,
        inside.upper if finite[1] else np.nan,
        item.n,
        item.atom.support,
        item.atom.contradict,
        item.reason,
    )
    return dict(zip(COLUMNS, values, strict=True))
