"""What was fixed before any data: atoms, margins, arms, tests and exclusion rules of every claim.

The claims of seqbench stand in `preregistration.toml`. A plug-in brings its own in a TOML file beside its module and of
the same name, which holds one `Claim`; a suite of somebody's own may hold claims as `[own_claims.NAME]`.
"""

import hashlib
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from seqbench import cards
from seqbench.cell import (
    Cell,
    Few,
    Layers,
    Length,
    PlainScalar,
    Sequences,
    TestLengths,
    Width,
    canonical_json,
    model_name,
)
from seqbench.errors import ContractError, InvalidInput
from seqbench.registry import Registry, unknown

_FROZEN = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

Failure = Literal["diverged", "unsolved", "timeout", "oom", "structural", "crashed", "contended", "error"]
Counting = Literal["chance", "value", "worst", "missing", "excluded"]
Rule = Annotated[str, Field(max_length=2000)]
CLAIM_NAME = r"^[A-Za-z][A-Za-z0-9_-]{0,39}$"
ClaimName = Annotated[str, Field(pattern=CLAIM_NAME)]

PLUGINS = Registry("claim", "seqbench.claims", {}, needs=[["finding"], ["qualifications"], ["FIGURES"]])
"""Claims from outside; those of seqbench itself are registered where they are judged."""

NEEDED_ARMS: Mapping[str, tuple[str, ...]] = {
    "one_sample": ("subject",),
    "exact": ("subject",),
    "two_sample": ("subject", "reference"),
    "paired": ("subject", "reference"),
    "tost_difference": ("subject", "reference"),
    "rounds": ("subject", "reference"),
    "proportions": ("subject", "reference"),
    "time_to_solve": ("subject", "reference"),
    "time_by_lag": ("subject", "reference"),
}
"""The arms that a test compares, by name; the other tests take every arm."""
NEEDED_MARGIN: Mapping[str, Literal["support", "equivalence", "below"]] = {
    "one_sample": "support",
    "two_sample": "support",
    "paired": "support",
    "maximum": "support",
    "rounds": "support",
    "proportions": "support",
    "time_to_solve": "support",
    "time_by_lag": "support",
    "factor": "support",
    "tost": "equivalence",
    "tost_difference": "equivalence",
    "exact": "below",
}
"""The margin without which a test has no hypothesis."""
NEEDED_MEASUREMENT: Mapping[str, str] = {
    "proportions": "solved",
    "time_to_solve": "steps_to_solve",
    "time_by_lag": "steps_to_solve",
}
"""What a test is about where it can be about one thing only."""
SLOPELESS = ("rounds", "proportions", "time_to_solve", "time_by_lag")


Block = Literal["model", "length", "width", "layers", "params"]
"""A field of a cell that can be another factor of a factorial."""


def _is_model(value: str) -> str:
    model_name(value)
    return value


ModelName = Annotated[str, AfterValidator(_is_model)]


class Arm(BaseModel):
    """Which cells belong to one side of a comparison: every given field must match the cell's.

    length: one length, or several in ascending order. model: of the test factor also several, each of them a part.
    candidates: models of which the study's trials of learning rates choose one, before any seed that is judged, where
    its suite tunes all of them; elsewhere `model` stands alone, and the study's own copy has no candidates.
    params: parameter -> its value, or several of which a cell has one.
    match: what a rule made equal that found the size of the model, or "none" where its width was given; of cells whose
    size was found, `width` is that of the reference. tier: that of `Cell`; times of one tier meet no others.
    """

    model_config = _FROZEN

    task: str
    model: ModelName | Annotated[tuple[ModelName, ...], Field(min_length=2)]
    candidates: tuple[ModelName, ...] = ()
    probe: str | None = None
    device: Literal["cpu", "cuda"] | None = None
    length: Length | TestLengths | None = None
    width: Width | None = None
    layers: Layers | None = None
    batch: Sequences | None = None
    threads: Few | None = None
    tier: str = ""
    params: dict[str, PlainScalar | Annotated[tuple[PlainScalar, ...], Field(min_length=2)]] = {}
    match: Literal["none", "parameters", "flops", "state"] | None = None

    @property
    def models(self) -> tuple[str, ...]:
        """Return the models of the arm, mostly one; with candidates, these."""
        return self.candidates or ((self.model,) if isinstance(self.model, str) else self.model)

    @property
    def title(self) -> str:
        """Return the models as text."""
        return ", ".join(self.models)

    @property
    def wanted(self) -> dict[str, tuple[str | int, ...]]:
        """Return the values that a cell of this arm may have: field -> values; params and device aside.

        A cell without a probe has the probe "", and its batch, threads and tier are those of `Cell`.
        """
        lengths = (self.length,) if isinstance(self.length, int) else self.length
        asked = {
            "width": self.width,
            "layers": self.layers,
            "batch": self.batch,
            "threads": self.threads,
            "matched_by": self.match,
        }
        return {
            "task": (self.task,),
            "probe": (self.probe or "",),
            "model": tuple(model_name(text) for text in self.models),
            "tier": (self.tier,),
            **({"length": lengths} if lengths is not None else {}),
            **{name: (value,) for name, value in asked.items() if value is not None},
        }

    def takes(self, params: Mapping[str, Any]) -> bool:
        """Return whether a cell with these parameters has those that this arm asks for."""
        return all(
            params.get(key) in (value if isinstance(value, tuple) else (value,)) for key, value in self.params.items()
        )

    def fits(self, cell: Cell) -> bool:
        """Return whether a planned cell belongs to this arm, on a device of its class."""
        if cell.task != self.task or (cell.probe or "") != (self.probe or ""):  # most cells, told at once
            return False
        same = all((getattr(cell, name) or "") in values for name, values in self.wanted.items())
        return same and self.takes(dict(cell.params))

    def of(self, model: str) -> "Arm":
        """Return the arm with this model alone."""
        return self.model_copy(update={"model": model, "candidates": ()})

    def for_cells(self, cells: Collection[Cell]) -> "Arm":
        """Return the arm as a study with these cells has it: with its candidates if it tunes all of them."""
        tuned = {cell.model for cell in cells if cell.rate is not None and self.fits(cell)}
        tunes = {model_name(text) for text in self.candidates} <= tuned
        return self if tunes else self.model_copy(update={"candidates": ()})

    @model_validator(mode="after")
    def _one_of_its_candidates(self) -> "Arm":
        if self.candidates and self.model not in self.candidates:
            raise ValueError(f"{self.model!r} must be one of its candidates")
        return self


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
    test proportions: θ = share of the cells of `subject` that solved their task − share of those of `reference`.
    test time_to_solve: θ = ln(mean steps to solve of `subject`, restricted to the budget / the same of `reference`).
    test time_by_lag: θ = power of the lag (the length less one) with which steps to solve grow, of `subject` − of
    `reference`; cells are replicates, those that used up their budget are censored there.
    test factor: θ = largest − smallest mean over the arms, the levels of one factor; a study has those for which it
    plans cells. Levels are compared within configurations of the other factors, which `blocks` names by the fields of
    cells that tell them apart; a configuration with one level alone tells nothing and is left out. Effects add
    (type II), the error is that of seeds. SUPPORTED above the larger of `support` and twice the SD of seeds.
    test exact: the measurement of every seed of `subject` lies below `below`, which arithmetic alone can break.
    test descriptive: no verdict.
    measurement: a name in the records, or `solved` (1 where the task was solved within the budget, else 0), or
    `capacity` (bits, fitted for each seed and width over the lengths at which `bits_recalled` was measured).
    against: another measurement that is subtracted in each cell, or a number that is subtracted from each seed's value.
    slope_over: the value of a seed is the slope of its measurement over its cells' length, ln length or ln state
    floats, or over ln lag within the measurement's own series. ln: the measurement enters as its natural logarithm.
    support, contradict: margins δs and δc in the unit of the estimand.
    """

    model_config = _FROZEN

    estimand: str
    unit: str
    test: Literal[
        "one_sample",
        "two_sample",
        "paired",
        "maximum",
        "tost",
        "tost_difference",
        "rounds",
        "proportions",
        "time_to_solve",
        "time_by_lag",
        "factor",
        "exact",
        "descriptive",
    ]
    measurement: str
    against: str | float | None = None
    slope_over: Literal["length", "ln_length", "ln_state_floats", "ln_lag"] | None = None
    ln: bool = False
    sign: Literal[1, -1] = 1
    arms: dict[str, Arm] = Field(min_length=1)
    blocks: tuple[Block, ...] = ()
    support: float | None = None
    contradict: float = 0.0
    equivalence: float | None = None
    below: float | None = None
    controls: tuple[Control, ...] = ()

    @property
    def deciding(self) -> tuple[str, ...]:
        """Return the names of the arms that the test uses; the others are printed beside it."""
        named = tuple(name for name in ("subject", "reference") if name in self.arms)
        return tuple(self.arms) if self.test in ("maximum", "tost", "factor", "descriptive") else named

    @property
    def needed(self) -> tuple[str, ...]:
        """Return the names of the arms without which there is no verdict: the test uses them, or they control it."""
        return tuple(dict.fromkeys((*self.deciding, *(control.arm for control in self.controls))))

    def planned_by(self, cells: Collection[Cell]) -> bool:
        """Return whether there is a cell of every arm that the atom needs; of a factor, levels that can be compared."""
        if self.test == "factor":
            levels = self._levels(cells)
            return len(levels) > 1 and _connected(levels.values())
        return all(any(self.arms[name].fits(cell) for cell in cells) for name in self.needed)

    def for_cells(self, cells: Collection[Cell]) -> "Atom":
        """Return the atom with the arms of a study that has these cells; of a factor, the levels that it plans."""
        names: Iterable[str] = self.arms
        if self.test == "factor" and len(levels := self._levels(cells)) > 1:
            names = levels
        return self.model_copy(update={"arms": {name: self.arms[name].for_cells(cells) for name in names}})

    def _levels(self, cells: Collection[Cell]) -> dict[str, frozenset[tuple[object, ...]]]:
        """Return the configurations of the other factors at which each level has cells, for levels that have any."""
        found = {
            name: frozenset(tuple(getattr(cell, block) for block in self.blocks) for cell in cells if arm.fits(cell))
            for name, arm in self.arms.items()
        }
        return {name: places for name, places in found.items() if places}

    @model_validator(mode="after")
    def _testable(self) -> "Atom":
        for name in NEEDED_ARMS.get(self.test, ()):
            if name not in self.arms:
                raise ValueError(f"test {self.test} needs the arm {name!r}")
        for control in self.controls:
            if control.arm not in self.arms:
                raise ValueError(f"a control names the arm {control.arm!r}, which the atom does not have")
        margin = NEEDED_MARGIN.get(self.test)
        if margin and getattr(self, margin) is None:
            raise ValueError(f"test {self.test} needs the margin {margin!r}")
        measured = NEEDED_MEASUREMENT.get(self.test, self.measurement)
        if self.measurement != measured:
            raise ValueError(f"test {self.test} is about the measurement {measured!r}, not {self.measurement!r}")
        if self.test in SLOPELESS and (self.slope_over or self.ln or self.against is not None):
            raise ValueError(f"test {self.test} takes cells as they are; leave out slope_over, ln and against")
        if self.test in NEEDED_MEASUREMENT and self.sign != 1:
            raise ValueError(f"test {self.test} has its orientation by its arms; swap them and leave out sign")
        if why := _why_no_factor(self) if self.test == "factor" else _why_only_factor(self):
            raise ValueError(why)
        return self


def _connected(sets: Iterable[frozenset[tuple[object, ...]]]) -> bool:
    """Return whether each of these sets is linked to every other one by a chain of sets that overlap."""
    reached, *waiting = sets
    while near := [one for one in waiting if one & reached]:
        reached, waiting = reached.union(*near), [one for one in waiting if not one & reached]
    return not waiting


def _why_no_factor(atom: Atom) -> str:
    if len(atom.arms) < 2:
        return "test factor needs two arms or more, one for each level"
    if atom.slope_over or atom.sign != 1 or isinstance(atom.against, float) or atom.measurement == "capacity":
        return "test factor takes a value of each cell, unsigned: no slope_over, sign, number in against, or capacity"
    if atom.contradict <= 0:
        return "θ of the test factor is never negative; give a margin contradict above 0"
    return ""


def _why_only_factor(atom: Atom) -> str:
    several = [name for name, arm in atom.arms.items() if not isinstance(arm.model, str)]
    if several or atom.blocks:
        what = f"the arm {several[0]!r} names several models" if several else "blocks is given"
        return f"{what}, which only the test factor can tell apart"
    return ""


class Claim(BaseModel):
    """One sentence, its atoms, and the rule that makes a verdict of them, as `(1a or 1b) and 1c`.

    where_planned: atoms that join the rule, by `and`, in a study whose suite asks for cells of all the arms that they
    need, or of levels of a factor that can be compared; the study's own copy has the joined rule, and nothing here.
    by_device: device class -> rule, for a claim that is judged for each class of device that ran; its verdict is then
    taken over those classes, and `rule` is the rule where none ran.
    """

    model_config = _FROZEN

    title: str
    sentence: str
    rule: Rule
    where_planned: tuple[str, ...] = ()
    by_device: dict[Literal["cpu", "gpu"], Rule] = {}
    atoms: dict[str, Atom] = Field(min_length=1)

    @property
    def in_rule(self) -> frozenset[str]:
        """Return the names of the atoms that the claim's verdict hangs on, on any class of device."""
        return frozenset(name for rule in (self.rule, *self.by_device.values()) for name in _atoms_of(rule))

    @property
    def whole_rule(self) -> str:
        """Return the rule of a study that plans everything."""
        return _joined(self.rule, self.where_planned)

    def for_cells(self, cells: Collection[Cell]) -> "Claim":
        """Return the claim with the rule of a study that plans these cells, and the arms that it can choose."""
        planned = [name for name in self.where_planned if self.atoms[name].planned_by(cells)]
        atoms = {name: atom.for_cells(cells) for name, atom in self.atoms.items()}
        return self.model_copy(update={"rule": _joined(self.rule, planned), "where_planned": (), "atoms": atoms})

    @model_validator(mode="after")
    def _about_its_atoms(self) -> "Claim":
        if self.where_planned and self.by_device:
            raise ValueError("where_planned joins the one rule; a claim that is judged by device has several")
        if twice := sorted(set(self.where_planned) & set(_atoms_of(self.rule))):
            raise ValueError(f"the atom {twice[0]!r} is in the rule already; leave it out of where_planned")
        for rule in (self.whole_rule, *self.by_device.values()):
            if not _is_rule(rule):
                raise ValueError(f"{rule!r} is no rule; join atoms by and, or and parentheses")
            if strangers := sorted(set(_atoms_of(rule)) - set(self.atoms)):
                raise ValueError(f"the rule names the atom {strangers[0]!r}, which the claim does not have")
        return self


class Preregistration(BaseModel):
    """Everything that judging needs to know and that must not depend on the data."""

    model_config = _FROZEN

    level: float = Field(gt=0, lt=1)
    confirmatory_seeds_from: int = Field(ge=0, le=10**8)
    development_seeds_from: int = Field(ge=0, le=10**8)
    tuning_seeds_from: int = Field(ge=0, le=10**8)
    error_share_not_tested: float = Field(ge=0, le=1)
    failures: dict[Failure, Counting]
    claims: dict[str, Claim]

    @property
    def sha256(self) -> str:
        """Return the hash that every record and report of a study carries.

        Fields at their default are left out of it, so that one which a later version adds changes no study's hash.
        """
        content = self.model_dump(mode="json", exclude_defaults=True)
        return hashlib.sha256(canonical_json(content).encode()).hexdigest()

    def only(self, claims: Iterable[str]) -> "Preregistration":
        """Return the part that a suite with these claims uses.

        Raises UnknownName for a claim that is not pre-registered.
        """
        chosen: dict[str, Claim] = {}
        for name in claims:
            if name not in self.claims:
                raise unknown("claim", name, self.claims)
            chosen[name] = self.claims[name]
        return self.model_copy(update={"claims": chosen})

    def for_cells(self, cells: Collection[Cell]) -> "Preregistration":
        """Return it as a study that plans these cells fixes it."""
        return self.model_copy(update={"claims": {name: claim.for_cells(cells) for name, claim in self.claims.items()}})

    def plus(self, claims: Mapping[str, Claim]) -> "Preregistration":
        """Return everything here with further claims.

        Raises InvalidInput for a claim whose name is taken.
        """
        for name in claims:
            if name in self.claims:
                raise InvalidInput(
                    f"there is a claim {name} already ({self.claims[name].title}); give yours another name"
                )
        return self.model_copy(update={"claims": {**self.claims, **claims}})


def _atoms_of(rule: str) -> list[str]:
    return [word for word in re.findall(r"[^\s()]+", rule) if word not in ("and", "or")]


def _is_rule(rule: str) -> bool:
    """Return whether a text is atoms joined by `and`, `or` and parentheses, nested at most 50 deep.

    Its meaning is judging's business; here only its shape counts: `(a)` and `a&a` shrink to `a` until nothing changes.
    """
    words = re.findall(r"[()]|[^\s()]+", rule)
    shape = "".join("&" if word in ("and", "or") else word if word in "()" else "a" for word in words)
    for _ in range(51):
        shape = re.sub(r"\(a\)", "a", re.sub(r"a(&a)+", "a", shape))
    return shape == "a"


def _joined(rule: str, names: Sequence[str]) -> str:
    """Return a rule and these atoms, joined by `and`."""
    outside = rule
    while (shorter := re.sub(r"\([^()]*\)", "", outside)) != outside:
        outside = shorter
    head = f"({rule})" if "or" in outside.split() and names else rule
    return " and ".join((head, *names))


@cache
def built_in() -> Preregistration:
    """Return the pre-registration that this version of seqbench carries."""
    return Preregistration.model_validate(_content())


def installed(names: Iterable[str] | None = None) -> Preregistration:
    """Return the pre-registration for new studies: that of this version, and the claims of plug-ins (of these names).

    Raises ContractError for a plug-in that is no claim or whose name is taken, InvalidInput for content that is none.
    """
    wanted = PLUGINS.plugins() if names is None else sorted({*PLUGINS.plugins()} & {*names})
    return built_in().plus({name: _of_plugin(name) for name in wanted})


def _of_plugin(name: str) -> Claim:
    """Return the content of a plug-in's claim, which stands in a TOML file beside its module."""
    if not re.fullmatch(CLAIM_NAME, name):
        raise ContractError(
            f"{name!r} is no name of a claim; write at most 40 letters, digits, _ and -, a letter first"
        )
    module = PLUGINS.load(name)
    source = Path(module.__file__ or "").with_suffix(".toml")
    if not source.is_file():
        raise ContractError(
            f"claim {name}: {source.name} is missing beside {module.__name__}; "
            "write title, sentence, rule and atoms of the claim into it"
        )
    return cards.validated(Claim, cards.read_toml(source), source=source.name)


def _content() -> Mapping[str, Any]:
    return tomllib.loads(files("seqbench").joinpath("preregistration.toml").read_text(encoding="utf-8"))
