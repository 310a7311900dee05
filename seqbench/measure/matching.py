"""Find the size at which a model costs what a reference model costs: parameters, operations or state.

A rule names what is matched, and a reference with its width and depth:

* `parameters`: of the body, which is all but embedding tables;
* `flops`: forward operations per token over a sequence of the cell's length;
* `state`: bytes that one sequence carries on after the cell's length. A state that grows with the sequence, as the
  keys and values of attention, equals a state that does not at one length only, and is never matched.

There are two knobs: the width, a multiple of the model's `width_step`, and the units of each MLP in models that have
them. Each width has the MLP with which it comes nearest to the reference; of the widths that are then within the
tolerance the one whose MLP is nearest to four times the width is taken, the usual Transformer. Without MLPs it is the
nearest width.
Costs are taken to rise with either knob.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import count
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from seqbench import variant as variants
from seqbench.cell import Match
from seqbench.errors import ContractError
from seqbench.measure import models
from seqbench.measure.models.base import ModelSpec, tensors_of
from seqbench.registry import is_path, source_sha256
from seqbench.variant import Variant

LONGEST_COUNTED = 1024
"""A model without closed forms is run once to count them; over longer sequences than this it is not."""
WIDEST = 10**5
USUAL_RATIO = 4
"""Units of an MLP per unit of width."""

_NOUNS = {"parameters": "body parameters", "flops": "operations per token", "state": "bytes of state"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """The size that was found, and how near it comes.

    hidden: units of each MLP, None for the model's own. target, reached: what the reference costs and what this size
    costs, None where that cannot be told. reason: why this is no match, or nothing.
    """

    width: int
    hidden: int | None = None
    target: float | None
    reached: float | None
    reason: str = ""

    @property
    def difference(self) -> float | None:
        """Return how far the cost is from the reference's, as a share of it: 0.01 for 1 % more."""
        if not self.target or self.reached is None:
            return None
        return self.reached / self.target - 1


def solve(
    variant: Variant, rule: Match, *, vocab: int, outputs: int, layers: int, tokens: int, inputs: int | None = None
) -> Matched:
    """Return the size at which a model costs what the rule's reference costs before the same task.

    vocab, outputs, inputs: of the task. layers: of the model to size. tokens: the cell's length.
    Raises UnknownName or InvalidInput for a model or option that does not exist, ContractError for a model whose
    cost can be told at some widths only.
    """
    reference = variants.parse(rule.model)
    task = _Task(vocab, outputs, inputs, tokens=1 if rule.by == "parameters" else tokens)  # which do not depend on it
    return _solved(variant, reference, rule, task, layers, _sources(variant, reference))


def cost(by: str, variant: Variant, spec: ModelSpec, tokens: int) -> float | None:
    """Return what a rule's `by` matches, of one model: a number, or None where it cannot be told."""
    if by == "parameters":
        return counted(variant, spec)
    return flops_per_token(variant, spec, tokens) if by == "flops" else state_bytes(variant, spec, tokens)


def counted(variant: Variant, spec: ModelSpec) -> int:
    """Return how many parameters the model's body has; no weight is drawn for it."""
    return body_parameters(_unreal(variant, spec))


def body_parameters(model: nn.Module) -> int:
    """Return how many parameters a module has besides its embedding tables, each counted once."""
    tables = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    return sum(p.numel() for p in model.parameters() if id(p) not in tables)


def flops_per_token(variant: Variant, spec: ModelSpec, tokens: int) -> float | None:
    """Return the operations per token of one forward pass over so many tokens.

    In closed form where the model's file has one, else counted on tensors without content, where the recurrent cells
    and attention of torch fall into matrix products; None for a model that cannot run on such tensors.
    """
    costs = models.costs(variant, spec, tokens)
    return _ran(variant, spec, tokens).flops_per_token if costs is None else float(costs.flops)


def state_bytes(variant: Variant, spec: ModelSpec, tokens: int) -> int | None:
    """Return the bytes of one sequence's state after so many tokens, in single precision; None as for operations."""
    costs = models.costs(variant, spec, tokens)
    return _ran(variant, spec, tokens).state_bytes if costs is None else 4 * costs.state_floats


class _Task(NamedTuple):
    """What the models to compare stand before."""

    vocab: int
    outputs: int
    inputs: int | None
    tokens: int

    def spec(self, variant: Variant, *, width: int, layers: int) -> ModelSpec:
        return models.spec_for(
            variant, vocab=self.vocab, outputs=self.outputs, inputs=self.inputs, width=width, layers=layers
        )


class _Ran(NamedTuple):
    """What one forward pass without content showed."""

    flops_per_token: float | None = None
    state_bytes: int | None = None


Cost = Callable[[int, int | None], float]
"""What a model costs at a width with so many units in each MLP, None for the model's own."""


@cache
def _solved(
    variant: Variant, reference: Variant, rule: Match, task: _Task, layers: int, _sources: tuple[str, ...]
) -> Matched:
    spec = task.spec(variant, width=rule.width, layers=layers)
    step = models.width_step(variant, spec)
    nominal = replace(spec, width=step * -(-rule.width // step))  # rounded up to a width that can be built
    whole = task.spec(reference, width=rule.width, layers=rule.layers)
    target, found = (cost(rule.by, *model, task.tokens) for model in ((reference, whole), (variant, nominal)))
    reason = (
        _untold(f"the reference {rule.model}", rule.by, target)
        or _untold(str(variant), rule.by, found)
        or _apart(rule, (reference, whole), (variant, nominal), task.tokens)
    )
    if reason or not target:
        return Matched(width=nominal.width, target=target, reached=found, reason=reason)

    @cache
    def costs(width: int, hidden: int | None) -> float:
        told = cost(rule.by, variant, replace(spec, width=width, hidden=hidden), task.tokens)
        if told is None:
            raise ContractError(f"model {variant} tells its {_NOUNS[rule.by]} at width {nominal.width}, not at {width}")
        return told

    width, hidden = _nearest(costs, target, tolerance=rule.tolerance, step=step, start=nominal.width)
    size = Matched(width=width, hidden=hidden, target=target, reached=costs(width, hidden))
    return replace(size, reason=_missed(rule, variant, size))


def _nearest(costs: Cost, target: float, *, tolerance: float, step: int, start: int) -> tuple[int, int | None]:
    """Return the width and units that the policy prefers among those within the tolerance, else the nearest."""
    has_mlp = costs(start, USUAL_RATIO * start) != costs(start, 2 * USUAL_RATIO * start)

    def fits(multiple: int) -> bool:
        width = multiple * step
        return costs(width, USUAL_RATIO * width if has_mlp else None) <= target

    below = step * _largest(fits, start=start // step, most=WIDEST // step)
    if not has_mlp:
        around = [width for width in (below, below + step) if width]
        return min(around, key=lambda width: abs(costs(width, None) - target)), None
    return _with_mlp(costs, target, tolerance=tolerance, step=step, below=below)


def _with_mlp(costs: Cost, target: float, *, tolerance: float, step: int, below: int) -> tuple[int, int]:
    """Return width and units by the policy; `below` is the widest model of the usual ratio that is not too large."""
    least, most = (1 - tolerance) * target, (1 + tolerance) * target
    tried: list[tuple[int, int]] = [(below or step, 1)]
    for pair in _outwards(below, step, affordable=lambda width: costs(width, 1) <= most):
        sizes = [(width, _units(costs, width, target=target)) for width in pair]
        within = [size for size in sizes if least <= costs(*size) <= most]
        if within:  # the next pair's MLPs would be further from the usual
            return min(within, key=lambda size: (abs(size[1] / size[0] - USUAL_RATIO), abs(costs(*size) - target)))
        tried += sizes
    return min(tried, key=lambda size: abs(costs(*size) - target))


def _outwards(below: int, step: int, *, affordable: Callable[[int], bool]) -> Iterator[list[int]]:
    """Yield the width under the usual one and the one over it, then those beside them, while there are any."""
    for away in count():
        pair = [below - away * step, below + (away + 1) * step]
        fitting = [width for width in pair if width > 0 and affordable(width)]
        if not fitting:
            return
        yield fitting


def _units(costs: Cost, width: int, *, target: float) -> int:
    """Return the units of each MLP with which this width comes nearest to the target, at least one."""
    below = _largest(lambda hidden: costs(width, hidden) <= target, start=USUAL_RATIO * width)
    return min((max(below, 1), below + 1), key=lambda hidden: abs(costs(width, hidden) - target))


def _largest(fits: Callable[[int], bool], *, start: int, most: int = WIDEST) -> int:
    """Return the largest number up to `most` that fits, where every smaller one fits too; 0 where not even 1 does.

    The search goes out from `start` in steps that double, then halves what lies between.
    """
    low = high = min(max(start, 1), most)
    stride = 1
    if fits(high):
        while high < most and fits(high):
            low, high, stride = high, min(high + stride, most), 2 * stride
        if fits(high):
            return most
    else:
        while low and not fits(low):
            low, high, stride = max(low - stride, 0), low, 2 * stride
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _untold(name: str, by: str, cost: float | None) -> str:
    """Return why there is nothing to match where a cost is unknown or nothing, or nothing."""
    if cost is None:
        return (
            f"the {_NOUNS[by]} of {name} cannot be told: its file has no costs(spec, tokens), and it does not run on "
            f"tensors without content, or is asked about more than {LONGEST_COUNTED} tokens"
        )
    return "" if cost else f"{name} has no {_NOUNS[by].removeprefix('bytes of ')}, so that no width matches"


def _apart(rule: Match, reference: tuple[Variant, ModelSpec], model: tuple[Variant, ModelSpec], tokens: int) -> str:
    """Return that one of two states grows with the sequence and the other does not, or nothing."""
    if rule.by != "state" or tokens == 1:
        return ""
    theirs, ours = (cost("state", *each, tokens) != cost("state", *each, tokens - 1) for each in (reference, model))
    if theirs == ours:
        return ""
    growing, steady = (reference[0], model[0]) if theirs else (model[0], reference[0])
    return f"the state of {growing} grows with the sequence and that of {steady} does not, so that no width matches"


def _missed(rule: Match, variant: Variant, size: Matched) -> str:
    """Return how far the nearest size is from the reference where that is more than the tolerance, or nothing."""
    difference = size.difference
    if difference is None or abs(difference) <= rule.tolerance:
        return ""
    units = "" if size.hidden is None else f" with MLPs of {size.hidden}"
    return (
        f"no size of {variant} comes within {rule.tolerance:.1%} of the {size.target:,.0f} {_NOUNS[rule.by]} of "
        f"{rule.reference}; the nearest, width {size.width}{units}, has {size.reached:,.0f} ({difference:+.1%})"
    )


_RAN: dict[object, _Ran] = {}


def _ran(variant: Variant, spec: ModelSpec, tokens: int) -> _Ran:
    """Return what a forward pass showed; each is run once per process."""
    if tokens > LONGEST_COUNTED:
        return _Ran()
    key = (variant, replace(spec, options=None), tokens, _sources(variant))  # the options stand in the variant
    if key not in _RAN:
        _RAN[key] = _run(variant, spec, tokens)
    return _RAN[key]


def _run(variant: Variant, spec: ModelSpec, tokens: int) -> _Ran:
    """Run one sequence without content through the model, its dropout off.

    Without content the cells and the attention of torch become matrix products, which are counted; their fused kernels
    on a processor are not, and an LSTM would seem to cost nothing there.
    """
    try:
        model = _unreal(variant, spec).eval()
        if spec.inputs is None:
            inputs = torch.zeros(1, tokens, dtype=torch.int64, device="meta")
        else:
            inputs = torch.zeros(1, tokens, spec.inputs, device="meta")
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            _, state = model(inputs)
    except Exception:  # an own model may do anything, and may not run without content
        return _Ran()
    held = sum(part.numel() * part.element_size() for part in tensors_of(state))
    return _Ran(flops_per_token=counter.get_total_flops() / tokens, state_bytes=held)


def _unreal(variant: Variant, spec: ModelSpec) -> nn.Module:
    """Return the model on tensors that have shapes and no content; a model that needs content gets real ones."""
    try:
        with _Undrawn(), torch.device("meta"):
            return models.create(variant, spec, seed=0)
    except Exception:  # as above
        return models.create(variant, spec, seed=0)


class _Undrawn(TorchFunctionMode):
    """Leaves random numbers undrawn: without content there is nothing to draw, and torch takes 2 s to prepare it."""

    def __torch_function__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in (torch.Tensor.normal_, nn.init.normal_):
            tensor = args[0] if args else (kwargs or {})["tensor"]
            if tensor.is_meta:
                return tensor
        if func in (torch.rand, torch.randn) and str((kwargs or {}).get("device")) == "meta":
            func = torch.empty
        return func(*args, **(kwargs or {}))


def _sources(*named: Variant) -> tuple[str, ...]:
    return tuple(source_sha256(variant.name) for variant in named if is_path(variant.name))
