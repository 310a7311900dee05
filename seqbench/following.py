"""Follow a study that runs elsewhere: cells by status, how fast records come, and how long the rest takes."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from seqbench.costs import Costs
from seqbench.outline import Outline
from seqbench.plan import Planned
from seqbench.store import Outlines
from seqbench.summary import progress, time_left


@dataclass(slots=True)
class View:
    """A study as it is whenever somebody looks; the rate is that since the first look.

    workers: at a time, for the time left; None: as many as cores.
    """

    entries: Sequence[Planned]
    read: Callable[[], Outlines]
    workers: int | None = None
    clock: Callable[[], float] = time.monotonic
    held: Outlines = field(default_factory=lambda: Outlines((), (), {}))
    _first: tuple[float, int] | None = None
    _accepted: Mapping[str, Outline] = field(default_factory=dict)

    def look(self) -> tuple[list[dict[str, object]], str]:
        """Return cells by status, and a line with what is left, the rate and the time that the rest takes."""
        self.held = self.read()
        self._accepted = self.held.accepted()
        now, count = self.clock(), len(self._accepted)
        first = self._first = self._first or (now, count)
        machine, device = self._at_work()
        costs = Costs.of(self._accepted.values(), machine=machine, device=device)
        line = time_left(
            self.entries,
            self._accepted,
            costs=costs,
            workers=self.workers or os.cpu_count() or 1,
            brought=count - first[1],
            seconds=now - first[0],
        )
        return progress(self.entries, self._accepted), line

    @property
    def complete(self) -> bool:
        """Return whether every planned cell had its record at the last look."""
        return all(entry.fingerprint in self._accepted for entry in self.entries)

    def _at_work(self) -> tuple[str, str]:
        """Return the machine that finished a record last, and whether on its processor ("cpu") or a GPU ("cuda")."""
        last = max(self._accepted.values(), key=lambda entry: entry.finished, default=None)
        if last is None:
            return "", "cpu"
        return last.machine, "cpu" if last.device == "cpu" else "cuda"
