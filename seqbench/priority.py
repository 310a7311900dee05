"""How much hangs on each group of a suite: what decides a claim, what qualifies one, and what is only shown."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from seqbench import plan
from seqbench.cell import Cell
from seqbench.plan import Study
from seqbench.preregistration import Arm, Atom

Role = Literal["decides", "qualifies", "shows"]
ROLES: tuple[Role, ...] = ("decides", "qualifies", "shows")
Groups = frozenset[str]
"""The names of all groups that ask for a cell: it is lost when all of them are trimmed."""
_Kinds = Mapping[str, tuple[tuple[Cell, Groups], ...]]


@dataclass(frozen=True, slots=True, order=True)
class Priority:
    """The place of a group among the others, the least comes first: its role, the first claim of it, its place.

    role: 0 where a tested arm, or a control, of an atom in a claim's rule takes cells of the group; 1 where only other
    arms and atoms do; 2 where none does, so that it is only shown. claim: of those that give it this role, the first.
    claims: all for which any arm takes cells of the group, in the order of the study.
    """

    role: int
    claim: int
    place: int
    claims: tuple[str, ...] = field(compare=False)

    @property
    def name(self) -> Role:
        """Return the role in a word."""
        return ROLES[self.role]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hanging:
    """An atom, and what its arms need: who asks for the cells that its test uses, that control it, or that it shows.

    Each entry stands for one kind of cell, and holds all groups that ask for it.
    """

    claim: str
    name: str
    atom: Atom
    in_rule: bool
    tested: frozenset[Groups]
    controls: frozenset[Groups]
    shown: frozenset[Groups]


def hanging(study: Study) -> tuple[Hanging, ...]:
    """Return what hangs on which groups of a study, those trimmed included."""
    kinds = _kinds(study)
    return tuple(
        Hanging(
            claim=claim,
            name=name,
            atom=atom,
            in_rule=name in content.in_rule,
            tested=_asking([atom.arms[key] for key in atom.deciding], kinds),
            controls=_asking([atom.arms[control.arm] for control in atom.controls], kinds),
            shown=_asking(atom.arms.values(), kinds),
        )
        for claim, content in study.preregistration.claims.items()
        for name, atom in content.atoms.items()
    )


def priorities(study: Study) -> dict[str, Priority]:
    """Return the priority of every group of a study, by name."""
    order = [*study.preregistration.claims]
    decided: dict[str, set[str]] = {group.name: set() for group in study.suite.groups}
    served: dict[str, set[str]] = {group.name: set() for group in study.suite.groups}
    for item in hanging(study):
        for name in _names(item.tested | item.controls) if item.in_rule else ():
            decided[name].add(item.claim)
        for name in _names(item.shown):
            served[name].add(item.claim)
    return {
        name: Priority(
            role=0 if decided[name] else 1 if served[name] else 2,
            claim=min(map(order.index, decided[name] or served[name]), default=len(order)),
            place=place,
            claims=tuple(claim for claim in order if claim in served[name]),
        )
        for place, name in enumerate(served)
    }


def deciding(study: Study) -> Callable[[Cell], bool]:
    """Return what tells whether a cell itself decides a claim: a tested arm, or a control, of its rule takes it."""
    arms = [
        arm
        for content in study.preregistration.claims.values()
        for name, atom in content.atoms.items()
        if name in content.in_rule
        for arm in (
            *(atom.arms[key] for key in atom.deciding),
            *(atom.arms[control.arm] for control in atom.controls),
        )
    ]
    known: dict[tuple[object, ...], bool] = {}

    def decides(cell: Cell) -> bool:
        kind = _kind(cell)
        if kind not in known:
            known[kind] = any(arm.fits(cell) for arm in arms)
        return known[kind]

    return decides


def untested(study: Study) -> dict[tuple[str, str], str]:
    """Return why atoms can no longer be tested, by claim and atom: cells that their test needs were trimmed."""
    if study.fit is None:
        return {}
    trimmed = frozenset(study.fit.trimmed)
    found = {}
    for item in hanging(study):
        lost = [groups for groups in item.tested | item.controls if groups <= trimmed]
        if lost and item.atom.test != "descriptive":
            listed = ", ".join(f"{name!r}" for name in sorted(_names(lost)))
            found[item.claim, item.name] = f"trimmed to fit into {study.fit.hours:g} h: {listed}"
    return found


def _kinds(study: Study) -> _Kinds:
    """Return one cell of every kind, which all arms take or leave alike, by task."""
    found: dict[tuple[object, ...], tuple[Cell, Groups]] = {}
    whole = study if study.fit is None else study.model_copy(update={"fit": None})
    for entry, groups in plan.demanded(whole):
        if not entry.trial:
            found.setdefault((_kind(entry.cell), groups), (entry.cell, groups))
    by_task: dict[str, tuple[tuple[Cell, Groups], ...]] = {}
    for cell, groups in found.values():
        by_task[cell.task] = (*by_task.get(cell.task, ()), (cell, groups))
    return by_task


def _kind(cell: Cell) -> tuple[object, ...]:
    """Return what of a cell an arm may ask for."""
    size = (cell.width, cell.layers, cell.matched_by, cell.batch, cell.threads, cell.tier)
    return cell.probe, cell.model, cell.task, cell.length, cell.params, size


def _asking(arms: Iterable[Arm], kinds: _Kinds) -> frozenset[Groups]:
    return frozenset(groups for arm in arms for cell, groups in kinds.get(arm.task, ()) if arm.fits(cell))


def _names(asking: Iterable[Groups]) -> Groups:
    return frozenset[str]().union(*asking)
