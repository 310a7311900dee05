"""A study in a notebook: its records as one tidy frame, its verdicts and its figures as what a notebook shows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, overload

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup

from seqbench import plan, store
from seqbench.errors import UnknownName
from seqbench.judge import table
from seqbench.judge.claims.base import ClaimVerdict
from seqbench.judge.figures import FIGURES, base
from seqbench.judge.report import svg, verdicts
from seqbench.plan import Planned
from seqbench.record import Measurement, Record

RECORD_COLUMNS: Mapping[str, str] = {
    "fingerprint": "sha256 of all that decides the cell's numbers; one cell has one",
    "group": "the group of the suite that asked for the cell; of a trial, the tuning",
    "trial": "whether it is a trial of a learning rate, which no verdict sees",
    "task": "the task's name",
    "probe": "what was measured; empty where the model was trained and scored as the task's card says",
    "model": "the model with its options",
    "length": "T, in tokens",
    "width": "of the cell: the reference's where the width was matched",
    "layers": "of the model",
    "match": "the rule that found the width, in words; empty where the suite gave it",
    "params": "overrides of the card's parameters, as JSON",
    "seed": "the replicate",
    "steps": "the budget of training steps; 0 where nothing was trained",
    "batch": "sequences per step or timed call; 0 where the probe chooses",
    "threads": "of a timed call; 1 elsewhere",
    "machine": "where it ran, by its hardware",
    "device": "cpu, or the GPU's name; with several threads, how many",
    "lane": "exclusive (timed alone) or shared",
    "panel": "shared by what was timed together; empty elsewhere",
    "status": "how the cell ended: ok, diverged, unsolved, timeout, oom, crashed, contended, structural or error",
    "error": "the reason of a status that has one",
    "learning_rate": "the one used; NaN where nothing was trained",
    "parameters": "of the model that was built; NaN where none was",
    "wall_seconds": "of the whole cell",
    "finished": "when, UTC, ISO 8601",
    "measurement": "the measurement's name; empty in the one row of a record that measured nothing",
    "value": "the measurement; NaN where there is none",
    "unit": "of the value, and of the values of the series",
    "axis": "of the series behind the value (lag, step, round, …); empty where there is none",
    "at": "the places of the series on its axis, an array; empty where there is none",
    "values": "what was measured at these places, an array of as many",
}
"""The columns of `load_records`, in their order, and what each holds."""


def load_records(folder: str | Path) -> pd.DataFrame:
    """Return one row per measurement of every accepted record of a study's planned cells; `RECORD_COLUMNS` are its own.

    A record that measured nothing, because its cell failed, has one row with its status and reason: failures are
    results. A series stands in its measurement's row as two arrays; one row per point is
    `frame[frame.axis == "lag"].explode(["at", "values"])`.

    Raises StoreError when the folder holds no study. Files that are no valid record are left out; `seqbench status`
    lists them.
    """
    study, held = store.open_study(Path(folder)), store.contents(Path(folder))
    accepted = held.accepted()
    rows = [
        _row(entry, record) | _measured(item)
        for entry in plan.planned(study)
        if (record := accepted.get(entry.fingerprint)) is not None
        for item in record.measurements or (None,)
    ]
    return pd.DataFrame(rows, columns=list(RECORD_COLUMNS))


def load_verdicts(folder: str | Path) -> "Verdicts":
    """Return the verdicts of the study in a folder, which a notebook shows as a table.

    Raises StoreError when the folder holds no study.
    """
    return Verdicts(verdicts.judge_folder(Path(folder)))


def load_figure(folder: str | Path, name: str) -> "Figure":
    """Return a figure of the report of the study in a folder, with the data behind it.

    Raises StoreError when the folder holds no study, UnknownName for a figure that there is not.
    """
    module = FIGURES.load(name)
    study = store.open_study(Path(folder))
    tables = table.tables(study, store.contents(Path(folder)))
    data = module.select(tables, study)
    caption = base.caption(module, data, tables.cells)
    return Figure(name, module.TITLE, caption, svg.standalone(module.draw(data)), data)


@dataclass(frozen=True)
class Verdicts(Sequence[ClaimVerdict]):
    """Verdicts in the order of the claims; by place, or by the claim's name."""

    claims: tuple[ClaimVerdict, ...]

    def __len__(self) -> int:
        return len(self.claims)

    def __iter__(self) -> Iterator[ClaimVerdict]:
        return iter(self.claims)

    @overload
    def __getitem__(self, key: int | str) -> ClaimVerdict: ...
    @overload
    def __getitem__(self, key: slice) -> "Verdicts": ...
    def __getitem__(self, key: int | str | slice) -> "ClaimVerdict | Verdicts":
        """Return a verdict, or those of a slice; raises UnknownName for a claim that was not judged."""
        if isinstance(key, slice):
            return Verdicts(self.claims[key])
        if isinstance(key, int):
            return self.claims[key]
        found = {claim.claim: claim for claim in self.claims}
        if key not in found:
            raise UnknownName(f"no claim named {key!r} (known: {', '.join(found)})")
        return found[key]

    def _repr_html_(self) -> str:
        return _rendered("verdicts", rows=verdicts.rows(self.claims))


@dataclass(frozen=True)
class Figure:
    """A figure: a whole SVG file, and the frame that it draws."""

    name: str
    title: str
    caption: str
    svg: str
    data: pd.DataFrame

    def _repr_html_(self) -> str:
        drawn = svg.inline(self.svg, name=self.name, title=self.title)
        return _rendered("figure", figure=self, drawn=Markup(drawn))  # noqa: S704 drawn here; matplotlib escapes text


def _rendered(part: str, **values: Any) -> str:
    """Return a part of `notebook.html.jinja`, escaped."""
    template = files("seqbench.judge.report").joinpath("notebook.html.jinja").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(template).render(part=part, **values)


def _row(entry: Planned, record: Record) -> dict[str, Any]:
    cell = table.row(record, group=entry.group)
    return cell | {
        "trial": entry.trial,
        "learning_rate": np.nan if record.learning_rate is None else record.learning_rate,
        "parameters": float(record.model.parameters) if record.model else np.nan,
        "wall_seconds": record.wall_seconds,
        "finished": record.finished,
    }


def _measured(item: Measurement | None) -> dict[str, Any]:
    nothing = np.empty(0)
    if item is None:
        return {"measurement": "", "value": np.nan, "unit": "", "axis": "", "at": nothing, "values": nothing}
    series = item.series
    return {
        "measurement": item.name,
        "value": item.value,
        "unit": item.unit,
        "axis": series.axis if series else "",
        "at": np.array(series.at.packed) if series else nothing,
        "values": np.array(series.values.packed) if series else nothing,
    }
