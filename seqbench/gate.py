"""A gate: a published result with its source, what of ours is set beside it, and the tolerance, fixed before any run.

A suite carries gates as `[gates.NAME]`; those of seqbench stand in `gates/`, one file each, with the groups that they
need.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from seqbench.cell import Length, ModelName, Real
from seqbench.errors import UsageError
from seqbench.registry import unknown

_FROZEN = ConfigDict(frozen=True, extra="forbid")

GateName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Quantity = Literal["value", "difference", "exponent", "ratio"]
Need = Literal["gpu", "text"]


class Check(BaseModel):
    """One published number, or sentence, and the cells of ours that are set beside it.

    group, model, length: which cells; length is left out where the group has one, or where growth is over all of them.
    quantity: `value`, the measurement of each seed; `difference`, the same of the model `against` less it, seed by
    seed; `exponent`, α of ∝ Tᵅ of what the group's probe times or counts; `ratio`, the time of the model over that of
    `against`, in the median of the paired rounds.
    measurement: a name in the records, of a value or a difference. published: the number, in the unit of ours; `said`
    is what stands there in words. at_least, at_most: the tolerance; seeds_within: so many seeds must lie in it, all
    where it is left out. floor: what the best answer scores that looks at no informative input, in the unit of ours;
    published_floor: the same under the published configuration. better: which way is better than the floor.
    """

    model_config = _FROZEN

    group: str
    model: ModelName
    length: Length | None = None
    quantity: Quantity = "value"
    measurement: Annotated[str, Field(min_length=1)] | None = None
    against: ModelName | None = None
    published: Real | None = None
    said: Annotated[str, Field(min_length=1)]
    at_least: Real | None = None
    at_most: Real | None = None
    seeds_within: int | None = Field(default=None, gt=0)
    floor: Annotated[Real, Field(gt=0)] | None = None
    published_floor: Annotated[Real, Field(gt=0)] | None = None
    better: Literal["lower", "higher"] = "lower"

    @property
    def tolerance(self) -> str:
        """Return the tolerance in words, as `0.15 to 0.18`, `at most 0.001 in 2 seeds`."""
        if self.at_least is None:
            bounds = f"at most {self.at_most:g}"
        elif self.at_most is None:
            bounds = f"at least {self.at_least:g}"
        else:
            bounds = f"{self.at_least:g} to {self.at_most:g}"
        return bounds if self.seeds_within is None else f"{bounds} in {self.seeds_within} seeds"

    def holds(self, value: float) -> bool:
        """Return whether a number of ours lies within the tolerance; what is no number does not."""
        low = self.at_least is None or value >= self.at_least
        high = self.at_most is None or value <= self.at_most
        return low and high and not math.isnan(value)

    @model_validator(mode="after")
    def _decidable(self) -> "Check":
        if self.at_least is None and self.at_most is None:
            raise ValueError("nothing could fail it; give at_least, at_most or both")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"no number is at least {self.at_least:g} and at most {self.at_most:g}")
        if (self.measurement is not None) != (self.quantity in ("value", "difference")):
            raise ValueError(
                f"a quantity {self.quantity!r} {'needs' if self.measurement is None else 'has no'} measurement"
            )
        if (self.against is not None) != (self.quantity in ("difference", "ratio")):
            raise ValueError(
                f"a quantity {self.quantity!r} {'needs' if self.against is None else 'has no'} model against"
            )
        if self.published_floor is not None and self.published is None:
            raise ValueError("published_floor is that of a published number; give published")
        return self


class Gate(BaseModel):
    """A published result that ours is held against.

    source: where it was printed. differs_in: where our configuration is not the published one. remarks: caveats.
    quick: whether `verify --quick` runs it. core_minutes: what it costs about, on the cores of a server.
    needs: what it cannot do without. text: the name of the text, where it needs one.
    checks: name -> check; the gate is reproduced where all of them are.
    """

    model_config = _FROZEN

    title: str
    source: Annotated[str, Field(min_length=1)]
    differs_in: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    quick: bool = False
    core_minutes: Annotated[Real, Field(gt=0)]
    needs: tuple[Need, ...] = ()
    text: str = ""
    checks: dict[str, Check] = Field(min_length=1)

    @property
    def lacks(self) -> str:
        """Return what a machine must have to run it, in words, or nothing."""
        names = {"gpu": "a GPU", "text": f"the text {self.text!r}"}
        return " and ".join(names[need] for need in self.needs)

    @model_validator(mode="after")
    def _one_kind(self) -> "Gate":
        if bool(self.text) != ("text" in self.needs):
            raise ValueError("a gate that needs a text names it, and no other does")
        if self.quick and self.needs:
            raise ValueError("a quick gate runs on any machine; leave needs out")
        return self


def asked(
    known: Mapping[str, Gate], names: Iterable[str], *, quick: bool, device: str, text: str | None
) -> tuple[str, ...]:
    """Return the names of the gates to run, each once: these, and with `quick` all quick ones.

    text: the name of the text at hand. Raises UnknownName for a gate that there is not, UsageError for one that needs
    what is not at hand.
    """
    found = tuple(dict.fromkeys((*names, *(name for name, gate in known.items() if quick and gate.quick))))
    for name in found:
        if name not in known:
            raise unknown("gate", name, known)
        gate = known[name]
        if "gpu" in gate.needs and device != "cuda":
            raise UsageError(f"gate {name} needs a GPU: on a CPU it takes hours; give --device cuda where there is one")
        if gate.text and gate.text != text:
            raise UsageError(f"gate {name} is about the text {gate.text!r}; give --corpus and a file of that name")
    return found
