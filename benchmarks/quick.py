"""Cells of the quick suite, planned as a study plans them, and what all of them share; for the programs beside it."""

from dataclasses import dataclass

from seqbench import plan, suite, variant
from seqbench.cell import Cell
from seqbench.measure.environment import describe
from seqbench.measure.models import MODELS
from seqbench.measure.prepare import Context
from seqbench.measure.probes import PROBES
from seqbench.plan import Planned
from seqbench.suite import Suite

RECALL = {
    "rnn": "recall",
    "lstm": "recall",
    "gru": "recall, further gates",
    "transformer": "recall, attention",
}
"""Model -> the group of the suite in which it is trained on recall."""
TIMED = "training time, batch 32"
"""The group of the full suite in which training steps are timed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quick:
    """The suite planned without a real text, and what its cells share on a device."""

    planned: tuple[Planned, ...]
    context: Context

    def recall(self, model: str, *, steps: int) -> Cell:
        """Return the cell of recall in which such a model is trained, with this variant and budget."""
        named = variant.parse(model)
        like = next(entry.cell for entry in self.planned if entry.group == RECALL[named.name])
        if like.training is None:
            raise SystemExit(f"{like} does not train")
        training = like.training.model_copy(update={"steps": steps})
        return like.model_copy(update={"model": str(named), "training": training})

    def training_time(self, model: str, *, length: int) -> Cell:
        """Return the cell of the full suite in which the training step of such a model is timed, at this length."""
        study = plan.study("full", _timed_alone(), known_models=MODELS, known_probes=PROBES)
        name = variant.parse(model).name
        like = next(entry.cell for entry in plan.planned(study) if variant.parse(entry.cell.model).name == name)
        return like.model_copy(update={"length": length})


def _timed_alone() -> Suite:
    full = suite.find("full")[1]
    groups = tuple(group for group in full.groups if group.name == TIMED)
    return full.model_copy(update={"groups": groups, "tuning": ()})


def quick(device: str, *, ends_early: bool = True) -> Quick:
    """Return the quick suite on a device; training that does not end early takes all of its steps, solved or not."""
    study = plan.study("quick", suite.find("quick")[1], known_models=MODELS, known_probes=PROBES)
    cards = study.cards
    if not ends_early:
        cards = {name: card.model_copy(update={"solved_at": "never"}) for name, card in cards.items()}
    context = Context(cards=cards, preregistration="", environment=describe(device, threads=1), device=device)
    return Quick(planned=plan.planned(study), context=context)
