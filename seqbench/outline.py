"""The outline of a record: what planning needs of it, read without looking at a single measurement.

A study of 100,000 records has a gigabyte of measurements, and resuming it needs none of them. The seal of a file proves
that its bytes are those that seqbench wrote of a valid record, so that its layout is known and the few lines needed can
be cut out of it. Whatever has no seal, or another layout, is read as any record is.
"""

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from seqbench import record
from seqbench.cell import Cell
from seqbench.record import Environment, Record, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What planning needs of a record; fields are called as the record's own.

    pattern: its cell at seed 0. Records of cells that differ in nothing but the seed share it, and so what they cost.
    """

    fingerprint: str
    pattern: Cell
    machine: str
    device: str
    panel: str | None
    status: Status
    learning_rate: float | None
    wall_seconds: float
    finished: str


def of(entry: Record) -> Outline:
    """Return the outline of a record."""
    return Outline(
        fingerprint=entry.fingerprint,
        pattern=_pattern(entry.cell.model_dump_json(exclude={"seed"}).encode()),
        machine=entry.machine,
        device=entry.environment.device,
        panel=entry.panel,
        status=entry.status,
        learning_rate=entry.learning_rate,
        wall_seconds=entry.wall_seconds,
        finished=entry.finished,
    )


def from_json(content: bytes, *, source: str) -> Outline:
    """Return the outline of the record in a file's content; `source` names the file in errors.

    Raises CorruptRecord where `record.from_json` does, but for measurements, texts and facts of the model that a file
    with a right seal holds: these are not looked at.
    """
    end = record.seal_of(content, source=source)
    if end is not None and (found := _cut_out(content, end)) is not None:
        return found
    return of(record.from_json(content, source=source))


_LINES = rb"(?:  .*\n)+"  # of a nested object: indented by two or more
_HEAD = re.compile(
    rb'\{\n "schema": "seqbench\.record/1",'
    rb'\n "cell": (?P<before>\{\n' + _LINES + rb'?)  "seed": (?:0|[1-9][0-9]{0,8}),\n(?P<after>' + _LINES + rb" \}),"
    rb'\n "fingerprint": "(?P<fingerprint>[0-9a-f]{64})",\n "preregistration": ".*",\n "lane": "(?:exclusive|shared)",'
    rb'\n "panel": (?P<panel>.*),\n "status": (?P<status>.*),\n "measurements": \['
)
_TAIL = re.compile(
    rb'\n "learning_rate": (?P<rate>.*),\n "environment": (?P<environment>\{\n' + _LINES + rb" \}),"
    rb'\n "wall_seconds": (?P<seconds>.*),\n "finished": (?P<finished>.*),\n "error": (?:null|".*")'
)
_FACTS = TypeAdapter(
    tuple[str | None, Status, float | None, Annotated[float, Field(ge=0, allow_inf_nan=False)], str],
    config={"ser_json_inf_nan": "strings"},
)


def _cut_out(content: bytes, end: int) -> Outline | None:
    """Return the outline in the bytes that `record.to_json` writes, up to its seal; None for another layout.

    A line of these that begins with one space and a quote is a key of the record itself: text has no raw line end.
    """
    head = _HEAD.match(content)
    tail = _TAIL.fullmatch(content, content.rfind(b'\n "learning_rate": '), end)
    if head is None or tail is None:
        return None
    between = content.count(b'\n "', content.rfind(b'\n "texts": ', head.end()), tail.start())
    if between != len(("texts", "model", "corpus")):
        return None
    facts = b"[%b]" % b",".join((head["panel"], head["status"], tail["rate"], tail["seconds"], tail["finished"]))
    try:
        panel, status, learning_rate, wall_seconds, finished = _FACTS.validate_json(facts)
        place = _environment(tail["environment"])
        return Outline(
            fingerprint=head["fingerprint"].decode(),
            pattern=_pattern(head["before"] + head["after"]),
            machine=place.machine,
            device=place.device,
            panel=panel,
            status=status,
            learning_rate=learning_rate,
            wall_seconds=wall_seconds,
            finished=finished,
        )
    except ValidationError:  # read as a whole it is refused with the reason
        return None


@lru_cache(maxsize=2**14)
def _pattern(content: bytes) -> Cell:
    """Return the cell of seed 0 that has these other fields, as JSON; most of a study's cells share few of them."""
    return Cell.model_validate(json.loads(content) | {"seed": 0})


@lru_cache(maxsize=2**10)
def _environment(content: bytes) -> Environment:
    return Environment.model_validate_json(content)
