"""What a task shows and asks: one file per kind, pure functions of a random stream.

A generator offers `sample(rng, *, batch, length, **params) -> Batch`, `sizes(**params) -> Sizes` and
`bounds(*, length, **params) -> Bounds | None`. Where they have a meaning it also offers

* `lag(*, length, **params) -> int`, the longest distance in positions between a scored answer and what it needs;
* `tests(**params) -> dict[str, dict[str, Scalar]]`, the tests of a trained model by name, each with its parameters,
  the main one under "" (a model is tested on what it was trained on where there is no such function);
* `LEAST_SCORED: int`, how many answers a test asks at least, for tasks whose errors are rare;
* `context_loss(*, length, **params) -> float`, of a reader who knows what was shown but not what belongs together;
* `reordered(inputs, rng, **params) -> Tensor`, the same items in another order, where probe order_shift scores;
* `held_out(...) -> HeldOut`, of a text;
* `streams(rng, *, batch, window, **params) -> Iterator[Batch]`, of a text: windows without end, each row going on where
  it ended in the batch before, for training that carries its state;
* `diluted_loss(loss, *, length, **params) -> float`, where the literature averages over positions at which nothing
  is asked.

Parameters that a card or suite may set are annotated, as bool, int, float, str or a Literal of such.
`length` is the distance that makes the task hard; where a task adds positions to it, its docstring says how many.
"""

from collections.abc import Iterable, Mapping
from inspect import signature
from types import NoneType, UnionType
from typing import Literal, Union, get_args, get_origin, get_type_hints

from seqbench.errors import InvalidInput
from seqbench.registry import Registry, unknown
from seqbench.variant import Scalar

GENERATORS = Registry(
    "generator",
    "seqbench.generators",
    {
        "recall": "seqbench.measure.generators.recall",
        "adding": "seqbench.measure.generators.adding",
        "copy": "seqbench.measure.generators.copy",
        "state_tracking": "seqbench.measure.generators.state_tracking",
        "flipflop": "seqbench.measure.generators.flipflop",
        "dyck": "seqbench.measure.generators.dyck",
        "echo": "seqbench.measure.generators.echo",
        "selective_copy": "seqbench.measure.generators.selective_copy",
        "temporal_order": "seqbench.measure.generators.temporal_order",
        "induction": "seqbench.measure.generators.induction",
        "mqar": "seqbench.measure.generators.mqar",
        "needle": "seqbench.measure.generators.needle",
        "multiset": "seqbench.measure.generators.multiset",
        "pixels": "seqbench.measure.generators.pixels",
        "chronicle": "seqbench.measure.generators.chronicle",
        "text": "seqbench.measure.generators.text",
        "bits": "seqbench.measure.generators.bits",
        "onehot": "seqbench.measure.generators.onehot",
        "uniform_tokens": "seqbench.measure.generators.uniform_tokens",
    },
    needs=[["sample"], ["sizes"], ["bounds"]],
)

_KINDS: dict[object, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def check_parameters(name: str, given: Mapping[str, Scalar]) -> None:
    """Refuse what the `sample` of the generator of this name does not take; which values it takes, its `bounds` say.

    Raises UnknownName for a parameter that it lacks, InvalidInput for one of another kind than its annotation says.
    """
    sample = GENERATORS.load(name).sample
    hints = get_type_hints(sample)
    own = [parameter for parameter in signature(sample).parameters if parameter not in ("rng", "batch", "length")]
    kinds = {parameter: tuple(_choices(hints.get(parameter, NoneType))) for parameter in own}
    settable = {parameter: choices for parameter, choices in kinds.items() if choices}
    for parameter, value in given.items():
        if parameter not in settable:
            raise unknown(f"parameter of {name}", parameter, settable)
        if not _fits(value, settable[parameter]):
            wanted = " or ".join(_KINDS.get(choice, repr(choice)) for choice in settable[parameter])
            raise InvalidInput(f"parameter {parameter} of {name} cannot be {value!r}; give {wanted}")


def _choices(annotation: object) -> Iterable[object]:
    """Return what a suite may write for an annotation: kinds such as int, and the values of a Literal."""
    if get_origin(annotation) in (Literal, Union, UnionType):
        return [choice for member in get_args(annotation) for choice in _choices(member)]
    return [annotation] if annotation in _KINDS or isinstance(annotation, Scalar) else []


def _fits(value: Scalar, choices: Iterable[object]) -> bool:
    """Return whether a value is of one of these kinds or one of these values; true is not 1, and 1 is a number."""
    return any(
        type(value) is choice
        or (choice is float and type(value) is int)
        or (type(choice) is type(value) and choice == value)
        for choice in choices
    )
