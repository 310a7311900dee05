"""Fit a study into so many hours: whole groups are trimmed, once, before the first cell.

Groups go in reverse order of priority (see `priority`). Never trimmed are seeds, timing, and the controls of an atom
that is still tested. What was trimmed and fits after all is then taken back, in order of priority.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass

from seqbench import plan
from seqbench.costs import Costs
from seqbench.errors import UsageError
from seqbench.plan import Fit, Planned, Study
from seqbench.priority import Groups, Hanging, Priority, hanging, priorities


def fit(study: Study, costs: Costs, *, hours: float, workers: int) -> Study:
    """Return the study with what fits into `hours` on so many workers, and the reasons of what was trimmed.

    Raises UsageError when what may not be trimmed does not fit.
    """
    whole = study.model_copy(update={"fit": None})
    known = priorities(whole)
    demand = _Demand.of(whole, costs, workers=workers)
    kept = _kept(whole, known, demand, budget=3600 * hours)
    trimmed = {
        group.name: _why(
            known[group.name], hours=hours, seconds=demand.seconds({*kept, group.name}) - demand.seconds(kept)
        )
        for group in whole.suite.groups
        if group.name in demand.groups - kept
    }
    return whole.model_copy(update={"fit": Fit(hours=hours, seconds=round(demand.seconds(kept), 1), trimmed=trimmed)})


@dataclass(frozen=True, slots=True)
class _Demand:
    """How long cells take by who needs them: all groups that do -> wall seconds of their cells and trials."""

    by_groups: Mapping[Groups, float]

    @classmethod
    def of(cls, study: Study, costs: Costs, *, workers: int) -> "_Demand":
        cells: dict[Groups, list[Planned]] = {}
        for entry, groups in plan.demanded(study):
            cells.setdefault(groups, []).append(entry)
        return cls({groups: costs.wall_seconds(own, workers=workers) for groups, own in cells.items()})

    @property
    def groups(self) -> Groups:
        """Return the names of the groups that have cells."""
        return frozenset[str]().union(*self.by_groups)

    def seconds(self, kept: Set[str]) -> float:
        """Return the wall seconds of what these groups need together."""
        return sum(seconds for groups, seconds in self.by_groups.items() if groups & kept)


def _kept(study: Study, known: Mapping[str, Priority], demand: _Demand, *, budget: float) -> set[str]:
    order = sorted(demand.groups, key=known.__getitem__)
    atoms = hanging(study)
    untouched = {group.name for group in study.suite.groups if group.timing}
    kept = set(order)
    while demand.seconds(kept) > budget:
        spare = (name for name in reversed(order) if name in kept - untouched and _sound(kept - {name}, atoms))
        name = next(spare, None)
        if name is None:
            raise UsageError(
                f"--fit-hours {budget / 3600:g} is too little: timing and controls alone take about "
                f"{demand.seconds(kept) / 3600:.2g} h here; give more, or choose a smaller suite"
            )
        kept.remove(name)
    for name in order:
        again = kept | {name}
        if demand.seconds(again) <= budget and _sound(again, atoms):
            kept = again
    return kept


def _sound(kept: Set[str], atoms: tuple[Hanging, ...]) -> bool:
    """Return whether every atom of which all cells are kept has its controls, too."""
    return all(
        all(groups & kept for groups in atom.controls)
        for atom in atoms
        if atom.controls and atom.tested and all(groups & kept for groups in atom.tested)
    )


def _why(priority: Priority, *, hours: float, seconds: float) -> str:
    told = " ".join((priority.name, *priority.claims)) if priority.claims else "only shown"
    return f"trimmed to fit into {hours:g} h: {told}, about {max(seconds, 0.0):.0f} s"
