"""What the command line shows: tables and JSON on standard output, progress on standard error."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from seqbench.record import Record
from seqbench.summary import Outlook

Row = Mapping[str, object]


def listing(rows: Sequence[Row], *, as_json: bool) -> None:
    """Print rows with the same keys to standard output: a table, or a JSON list of objects with `name` first."""
    if as_json:
        print(json.dumps(list(rows), indent=1, ensure_ascii=False))  # noqa: T201 - standard output is the product
        return
    console().print(_table(rows))


def follow(look: Callable[[], tuple[Sequence[Row], str]], *, seconds: float, done: Callable[[], bool]) -> None:
    """Show rows and a line, looked at anew until it is done, every so many seconds; once beyond a terminal."""
    rows, line = look()
    out = console()
    if not out.is_terminal:
        out.print(_table(rows))
        say(line)
        return
    with Live(Group(_table(rows), Text(line)), console=out, auto_refresh=False) as shown:
        while not done():
            time.sleep(seconds)
            rows, line = look()
            shown.update(Group(_table(rows), Text(line)), refresh=True)


def _table(rows: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in rows[0] if rows else ():
        numeric = all(isinstance(row[name], int | float) for row in rows)
        table.add_column(name.replace("_", " "), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_shown(value)) for value in row.values()))
    return table


def upright(row: Row) -> list[Row]:
    """Return one wide row as a row per entry, for reading."""
    return [{"name": name, "value": _shown(value)} for name, value in row.items()]


def paragraph(heading: str, *lines: str) -> None:
    """Print a heading and the lines below it that are not empty, indented, to standard output."""
    out = console()
    out.print(Text(heading, style="bold"))
    for line in filter(None, lines):
        out.print(Padding(Text(line), (0, 0, 0, 4), expand=False))


def say(text: str) -> None:
    """Print one line for people to standard error."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(Text(text))


def stream(text: str) -> None:
    """Print a piece of text to standard output as it is, at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def console() -> Console:
    """Return the console of standard output; beyond a terminal its lines are never cut."""
    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=200)


def count(number: int, noun: str) -> str:
    """Return a number with its noun, as in 1 cell, 2 cells."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float) -> str:
    """Return seconds as people say them: 42 s, 3 min 05 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class Watch:
    """Follows a run: a bar on a terminal, one line per cell elsewhere."""

    def __init__(self, bar: Progress | None) -> None:
        self._bar = bar
        self._task = bar.add_task("cells", total=None) if bar else None
        self._begun = time.monotonic()
        self._todo = 0
        self._done: set[str] = set()

    def started(self, outlook: Outlook) -> None:
        """Say how many cells there are to do of those planned, about how long that takes, and what was trimmed."""
        self._todo = outlook.outstanding
        for entry in outlook.trimmed:
            say(f"left out: {entry.what} ({count(entry.cells, 'cell')}): {entry.why}")
        say(
            f"{outlook.outstanding} of {count(outlook.planned, 'cell')} to do, about {duration(outlook.seconds)}"
            if outlook.outstanding
            else f"{count(outlook.planned, 'cell')}: each has its record"
        )
        if self._bar and self._task is not None:
            self._bar.update(self._task, total=outlook.outstanding)

    def finished(self, record: Record) -> None:
        """Show that one cell has its record; failures are always shown in full."""
        self._done.add(record.fingerprint)  # a second attempt is not a second cell
        line = f"{record.status:10s} {record.wall_seconds:7.2f} s  {record.cell.address}"
        if record.error:
            line = f"{line}  {record.error}"
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=len(self._done), description=record.cell.address)
            if record.error:
                self._bar.console.print(Text(line))
            return
        say(f"[{len(self._done)}/{self._todo} {duration(time.monotonic() - self._begun)}] {line}")


@contextmanager
def watching() -> Iterator[Watch]:
    """Give a `Watch` for the length of a run."""
    if not sys.stderr.isatty():
        yield Watch(None)
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=Console(stderr=True, highlight=False)) as bar:
        yield Watch(bar)


@contextmanager
def progressing(total: int) -> Iterator[Callable[[int, str], None]]:
    """Give what tells how much of a long work is done, and a word about it: a bar on a terminal, lines elsewhere."""
    if not sys.stderr.isatty():
        begun = time.monotonic()
        yield lambda done, told: say(f"[{done}/{total} {duration(time.monotonic() - begun)}] {told}")
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=Console(stderr=True, highlight=False)) as bar:
        task = bar.add_task("", total=total)
        yield lambda done, told: bar.update(task, completed=done, description=told)


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)
