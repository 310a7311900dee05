"""What was fixed before any data: atoms, margins, arms, tests and exclusion rules of every claim."""

import hashlib
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from seqbench.cell import canonical_json
from seqbench.registry import unknown
from seqbench.variant import Scalar

_FROZEN = ConfigDict(frozen=True, extra="forbid")


class Arm(BaseModel):
    """Which cells belong to one side of a comparison: every given field must match the cell's."""

    model_config = _FROZEN

    task: str
    model: str
    probe: str | None = None
    device: Literal["cpu", "cuda"] | None = None
    length: int | None = None
    width: int | None = None
    layers: int | None = None
    params: dict[str, Scalar] = {}


class Control(BaseModel):
    """A condition without which the atom could not have detected its effect: mean of an arm above a threshold."""

    model_config = _FROZEN

    arm: str
    measurement: str
    above: float


class Atom(BaseModel):
    """One hypothesis with its estimand θ, margins and arms. θ is oriented so that larger speaks for the sentence.

    test one_sample: θ = sign · (measurement − against) of each seed of the arm `subject`.
    test two_sample, paired: θ = sign · (measurement of `subject` − measurement of `reference`), seeds as replicates.
    test maximum: the largest one_sample θ over all arms, Bonferroni over their number.
    test tost: some arm has |measurement| < equivalence, Bonferroni over the arms.
    test tost_difference: |measurement of `subject` − measurement of `reference`| < equivalence.
    test rounds: θ = ln(seconds of `subject` / seconds of `reference`) of each paired round of their panel that counts.
    test exact: the measurement of every seed of `subject` lies below `below`, which arithmetic alone can break.
    test descriptive: no verdict.
    support, contradict: margins δs and δc in the unit of the estimand.
    corpus: the atom exists only in studies that were given a real text.
    """

    model_config = _FROZEN

    estimand: str
    unit: str
    test: Literal[
        "one_sample", "two_sample", "paired", "maximum", "tost", "tost_difference", "rounds", "exact", "descriptive"
    ]
    measurement: str
    against: str | None = None
    sign: Literal[1, -1] = 1
    corpus: bool = False
    arms: dict[str, Arm]
    support: float | None = None
    contradict: float = 0.0
    equivalence: float | None = None
    below: float | None = None
    controls: tuple[Control, ...] = ()


class Claim(BaseModel):
    """One sentence, its atoms, and the rule that makes a verdict of them, as `(1a or 1b) and 1c`.

    by_device: device class -> rule, for a claim that is judged for each class of device that ran; its verdict is then
    taken over those classes, and `rule` is the rule where none ran.
    """

    model_config = _FROZEN

    title: str
    sentence: str
    rule: str
    rule_with_corpus: str | None = None
    by_device: dict[Literal["cpu", "gpu"], str] = {}
    atoms: dict[str, Atom]


class Preregistration(BaseModel):
    """Everything that judging needs to know and that must not depend on the data."""

    model_config = _FROZEN

    level: float = Field(gt=0, lt=1)
    confirmatory_seeds_from: int
    development_seeds_from: int
    error_share_not_tested: float
    failures: dict[str, str]
    claims: dict[str, Claim]

    @property
    def sha256(self) -> str:
        """Return the hash that every record and report of a study carries."""
        return hashlib.sha256(canonical_json(self.model_dump(mode="json")).encode()).hexdigest()

    def only(self, claims: Iterable[str], *, corpus: bool) -> "Preregistration":
        """Return the part that a suite with these claims uses, with or without a real text.

        Raises UnknownName for a claim that is not pre-registered.
        """
        chosen: dict[str, Claim] = {}
        for name in claims:
            if name not in self.claims:
                raise unknown("claim", name, self.claims)
            chosen[name] = _with_corpus(self.claims[name]) if corpus else _without_corpus(self.claims[name])
        return self.model_copy(update={"claims": chosen})


def _with_corpus(claim: Claim) -> Claim:
    return claim.model_copy(update={"rule": claim.rule_with_corpus or claim.rule, "rule_with_corpus": None})


def _without_corpus(claim: Claim) -> Claim:
    atoms = {name: atom for name, atom in claim.atoms.items() if not atom.corpus}
    return claim.model_copy(update={"atoms": atoms, "rule_with_corpus": None})


@cache
def installed() -> Preregistration:
    """Return the pre-registration that this version of seqbench carries, for new studies."""
    return Preregistration.model_validate(_content())


def _content() -> Mapping[str, Any]:
    return tomllib.loads(files("seqbench").joinpath("preregistration.toml").read_text(encoding="utf-8"))
