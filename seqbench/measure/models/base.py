"""The contract of every model: a frozen spec, `build(spec)`, and one forward for training and streaming.

A model file offers

* `build(spec) -> nn.Module` whose `forward(tokens, state=None) -> (logits, state)` takes (B, T) int64 tokens
  (or (B, T, K) floats where `spec.inputs` is K) and the state that an earlier call returned, and returns
  (B, T, V) logits with the state after the last token, so that feeding a sequence in pieces equals feeding it
  whole. Only the model looks inside a state; a state that was given is never changed, and its tensors have the
  batch as their first dimension;
* `Options`, a frozen dataclass of what may be varied, each field with a default (no class: no options). A
  model that can also be an encoder, in which every position sees the whole sequence, has `causal: bool = True`
  among them; an encoder's state is empty, and it reads a sequence whole. A file that holds a family of models,
  as `block:gru` and `block:lru`, offers `options(member) -> type` in place of the class;
* `costs(spec, tokens) -> Costs`, closed forms that tests hold against the module;
* `refusal(spec, *, length, lag) -> str`, why a model of this spec cannot stand before sequences of this length
  whose answers lie up to `lag` positions back (None: no one distance), or nothing;
* `width_step(spec) -> int`, of which the width must be a multiple (every width will do where there is none);
* `implementation(spec, model) -> str`, the tier that really runs the model that was built, a name in `TIERS` where one
  fits; it goes into every record (without it: the option `implementation`, or "own");
* `tolerance(spec) -> float`, how far logits that are equal in exact arithmetic may lie apart, for kernels whose
  rounding depends on how long a sequence is or on what stands later in it, as scans in chunks have it (none: causality
  and the independence of a batch hold bit for bit, and pieces equal the whole to 1e-9 in float64). A gradient to a
  later position may be that fraction of the largest one.

Only `build` is required; a model that takes only tokens and has no options is complete. `seqbench check` asks every
demand of this contract.

A file whose core may stand in the same-block arm offers it alone, and has a line in MIXERS:

* `mixer(inputs, width, options, *, depth) -> nn.Module`, one layer: (B, T, inputs), state -> (B, T, D), state;
  `depth` counts the layers below it;
* `mixer_costs(inputs, width, options, tokens, *, depth) -> Costs`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from seqbench.errors import ContractError, InvalidInput

State = tuple[Tensor, ...]
Weights = list[nn.Parameter]
Step = Callable[[Weights, Tensor, State], State]
Advance = Callable[[nn.RNNBase, Tensor, State | None], tuple[Tensor, State]]
Recurrence = Callable[[Weights, Tensor, Tensor], Tensor]
OptionsType = TypeVar("OptionsType")

TIERS: Mapping[str, str] = {
    "fused": "the steps of a recurrence in one kernel of oneDNN, cuDNN or MIOpen",
    "library loop": "torch's own loop over the steps, in C++",
    "batched": "what inputs drive, and the gradients of weights, for all steps at once; the recurrence step by step",
    "eager": "a loop over the steps in Python, as the equations read",
    "scan": "a parallel scan over the steps, or over chunks of them",
    "parallel": "all positions at once: attention or convolution",
}
"""Implementation tier -> what it is. A GPU's and a CPU's record of one model may differ in it."""

_FUSED_KERNELS = ("aten.mkldnn_rnn_layer", "aten._cudnn_rnn", "aten.miopen_rnn")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """What a model is built for. `options` is the model file's own frozen `Options`, or None.

    vocab: number of input tokens. outputs: number of classes V of the logits. width: D. layers: L.
    inputs: None for tokens, or the number K of floats per position that `forward` gets in place of tokens.
    hidden: units of each MLP, the second knob of a model that has MLPs; None for the model's own, 4·D.
    member: which model of a family, what follows the colon in `block:gru`; empty elsewhere.
    """

    vocab: int
    width: int
    layers: int
    outputs: int
    inputs: int | None = None
    hidden: int | None = None
    member: str = ""
    options: object = None

    @property
    def causal(self) -> bool:
        """Return whether position t may see only positions up to t: always, unless the options say `causal=False`."""
        return bool(getattr(self.options, "causal", True))

    @property
    def mlp(self) -> int:
        """Return the units of each MLP, 4·D where nothing else is asked for."""
        return 4 * self.width if self.hidden is None else self.hidden


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What a model costs, in closed form.

    parameters: all of them, embedding tables included. flops: of one forward pass per token, over a sequence of
    `tokens`: two per multiply-add of a matrix product or convolution, nothing for elementwise work; attention counts
    the full T × T matrices. state_floats: of one sequence's state after `tokens`.
    """

    parameters: int
    flops: int
    state_floats: int

    def __add__(self, other: "Costs") -> "Costs":
        """Return the costs of both together."""
        return Costs(
            parameters=self.parameters + other.parameters,
            flops=self.flops + other.flops,
            state_floats=self.state_floats + other.state_floats,
        )


def options_of(spec: ModelSpec, kind: type[OptionsType]) -> OptionsType:
    """Return the spec's options, which must be of the model file's own kind; its defaults for None."""
    if spec.options is None:
        return kind()
    if not isinstance(spec.options, kind):
        raise ContractError(f"options {spec.options!r} are not {kind.__module__}.Options; build specs with spec_for")
    return spec.options


def tensors_of(state: Any) -> Iterator[Tensor]:
    """Yield every tensor of a state once: of a tensor, of tuples, lists and dicts, and of what objects hold."""
    return _tensors_of(state, seen=set())


def _tensors_of(state: Any, *, seen: set[int]) -> Iterator[Tensor]:
    if id(state) in seen or isinstance(state, str | bytes | int | float | type | nn.Module):
        return
    seen.add(id(state))
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, dict):
        for part in state.values():
            yield from _tensors_of(part, seen=seen)
    elif isinstance(state, tuple | list):
        for part in state:
            yield from _tensors_of(part, seen=seen)
    else:
        yield from _tensors_of(getattr(state, "__dict__", {}), seen=seen)


def takes_floats(model: nn.Module, inputs: int) -> bool:
    """Return whether a model that was built for (B, T, K) floats reads them; one of tokens alone cannot."""
    try:
        with torch.no_grad():
            model(torch.zeros(1, 2, inputs, device=next(model.parameters()).device))
    except (RuntimeError, TypeError, IndexError):
        return False
    return True


def front(spec: ModelSpec, *, projects: bool) -> nn.Module:
    """Return what reads the inputs: an embedding of tokens; floats are projected to D, or taken as they come."""
    if spec.inputs is None:
        return nn.Embedding(spec.vocab, spec.width)
    return nn.Linear(spec.inputs, spec.width) if projects else nn.Identity()


def front_costs(spec: ModelSpec, *, projects: bool) -> Costs:
    """Return what `front` costs: V·D for a table, (K+1)·D for a projection, nothing for floats as they come."""
    if spec.inputs is None:
        return Costs(parameters=spec.vocab * spec.width, flops=0, state_floats=0)
    return linear_costs(spec.inputs, spec.width) if projects else Costs(parameters=0, flops=0, state_floats=0)


def linear_costs(inputs: int, outputs: int, *, bias: bool = True) -> Costs:
    """Return what a linear map at every position costs: I·O (+ O) parameters, 2·I·O per token."""
    return Costs(parameters=(inputs + bias) * outputs, flops=2 * inputs * outputs, state_floats=0)


class Recurrent(nn.Module):
    """Embedding, recurrent cells, linear head: all that the recurrent models share; floats go straight into the cells.

    mixer: makes the cells for inputs of a size: (B, T, I), state -> (B, T, D), state.
    """

    def __init__(self, spec: ModelSpec, mixer: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.front = front(spec, projects=False)
        self.mixer = mixer(spec.inputs or spec.width)
        self.head = nn.Linear(spec.width, spec.outputs)

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Return logits and the state after the last token: (B, T) -> (B, T, V), `states` × (B, L, D)."""
        hidden, after = self.mixer(self.front(tokens), state)
        return self.head(hidden), after


class Block(nn.Module):
    """A mixer and an MLP, each with a norm before and a residual around: the same surroundings for every mixer.

    x ← x + M(LN(x))
    x ← x + W₂ GELU(W₁ LN(x) + b₁) + b₂     W₁: D -> `hidden`
    """

    def __init__(self, mixer: nn.Module, *, width: int, hidden: int) -> None:
        super().__init__()
        self.norm_mixer = nn.LayerNorm(width)
        self.mixer = mixer
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: Tensor, state: Any, *shared: Any) -> tuple[Tensor, Any]:
        """Return output and the mixer's state: (B, T, D) -> (B, T, D); `shared` goes to the mixer as it is."""
        mixed, after = self.mixer(self.norm_mixer(x), state, *shared)
        x = x + mixed
        return x + self.mlp(self.norm_mlp(x)), after


class Blocks(nn.Module):
    """Embedding (or a projection of floats), blocks, final norm, linear head. mixers: one for each block."""

    def __init__(self, spec: ModelSpec, mixers: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.front = front(spec, projects=True)
        self.blocks = nn.ModuleList(
            Block(mixers(depth), width=spec.width, hidden=spec.mlp) for depth in range(spec.layers)
        )
        self.norm = nn.LayerNorm(spec.width)
        self.head = normed_head(spec)
        self.causal = spec.causal

    def forward(self, tokens: Tensor, state: tuple[Any, ...] | None = None) -> tuple[Tensor, tuple[Any, ...]]:
        """Return logits and every mixer's state: (B, T) -> (B, T, V), L states, or none from an encoder.

        Raises InvalidInput for a state given to an encoder.
        """
        if not self.causal and state is not None:
            raise InvalidInput("an encoder (causal=false) reads a sequence whole; give it no state")
        x = self.front(tokens)  # (B, T, D)
        after = []
        for block, before in zip(self.blocks, state or (None,) * len(self.blocks), strict=True):
            x, kept = block(x, before)
            after.append(kept)
        return self.head(self.norm(x)), tuple(after) if self.causal else ()


def normed_head(spec: ModelSpec) -> nn.Linear:
    """Return the head behind a norm, which hands it unit variance: U(±1/(2√D)) in place of the library's U(±1/√D).

    The library's starts at ln V + 1/6 nat (measured: up to ln V + 0.22 at D = 16 … 64, past the contract's 0.2),
    half of it at ln V + 1/24, at every width.
    """
    head = nn.Linear(spec.width, spec.outputs)
    nn.init.uniform_(head.weight, -0.5 / spec.width**0.5, 0.5 / spec.width**0.5)
    return head


def blocks_costs(spec: ModelSpec, mixers: Callable[[int], Costs]) -> Costs:
    """Return what `Blocks` costs: front, mixer, MLP and two norms per block, final norm, head."""
    norm = Costs(parameters=2 * spec.width, flops=0, state_floats=0)
    total = front_costs(spec, projects=True) + norm + linear_costs(spec.width, spec.outputs)
    for depth in range(spec.layers):
        mlp = linear_costs(spec.width, spec.mlp) + linear_costs(spec.mlp, spec.width)
        total += mixers(depth) + mlp + norm + norm
    return total


class Cells(nn.Module):
    """Recurrent cells over a sequence.

    cells: the torch recurrence that holds the weights.
    advance: how the cells run over (B, T, I) inputs from a state of (L, B, D) tensors, or from none.
    step: one position of one layer, for reading token by token: weights, (B, I), state of (B, D) tensors -> that state,
    whose first tensor is the output.
    """

    def __init__(self, cells: nn.RNNBase, *, advance: Advance, step: Step) -> None:
        super().__init__()
        self.cells = cells
        self.advance = advance
        self.step = step

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Return outputs and the state after the last position: (B, T, I) -> (B, T, D), tensors (B, L, D)."""
        before = None
        if state is not None:
            before = tuple(part.transpose(0, 1).contiguous() for part in state)  # (B, L, D) -> (L, B, D)
        hidden, after = self.advance(self.cells, inputs, before)
        return hidden, tuple(part.transpose(0, 1) for part in after)


def zero_state(cells: nn.RNNBase, inputs: Tensor) -> State:
    """Return the state before the first position, zeros: (B, T, I) -> (L, B, D), of an LSTM two of them."""
    zeros = inputs.new_zeros(cells.num_layers, len(inputs), cells.hidden_size)
    return (zeros, zeros) if isinstance(cells, nn.LSTM) else (zeros,)


def loop(cells: nn.RNNBase, inputs: Tensor, state: State | None, *, step: Step) -> tuple[Tensor, State]:
    """Return the top layer's outputs and the last state, step by step: (B, T, I) -> (B, T, D), (L, B, D).

    `step(weights, x_t, state of one layer) -> state of that layer`, whose first tensor is the output.
    """
    state = state or zero_state(cells, inputs)
    last = []
    for weights, *now in zip(cells.all_weights, *(part.unbind(0) for part in state), strict=True):
        layer: State = tuple(now)  # each (B, D)
        outputs = []
        for x in inputs.unbind(1):  # indexing inputs[:, t] instead would make backward quadratic in T
            layer = step(weights, x, layer)
            outputs.append(layer[0])
        inputs = torch.stack(outputs, dim=1)  # T × (B, D) -> (B, T, D)
        last.append(layer)
    return inputs, tuple(torch.stack(part) for part in zip(*last, strict=True))  # L × (B, D) -> (L, B, D)


def batched(cells: nn.RNNBase, inputs: Tensor, state: State | None, *, recurrence: Recurrence) -> tuple[Tensor, State]:
    """Return what `loop` returns, layer by layer instead of step by step: (B, T, I) -> (B, T, D), (L, B, D).

    `recurrence(weights, all x_t (T, B, I), h_0 (B, D)) -> h_1 … h_T (T, B, D)` of one layer.
    """
    state = state or zero_state(cells, inputs)
    last = []
    hidden = inputs.transpose(0, 1)  # (B, T, I) -> (T, B, I): what a step reads and writes lies together
    for weights, before in zip(cells.all_weights, state[0].unbind(0), strict=True):
        hidden = recurrence(weights, hidden, before)
        last.append(hidden[-1])
    return hidden.transpose(0, 1), (torch.stack(last),)


def fastest(
    cells: nn.RNNBase, inputs: Tensor, state: State | None, *, library: Advance, recurrence: Recurrence
) -> tuple[Tensor, State]:
    """Return what the faster of two equal tiers returns: (B, T, I) -> (B, T, D), (L, B, D).

    On a CPU that is `batched` where gradients are taken; without them, and on a device whose library has a kernel of
    the whole recurrence, it is the library's call.
    """
    if inputs.device.type == "cpu" and torch.is_grad_enabled() and not torch.is_autocast_enabled("cpu"):
        return batched(cells, inputs, state, recurrence=recurrence)
    return library(cells, inputs, state)


def refuse_second_derivative() -> None:
    """Raise InvalidInput where a backward pass that is written by hand would itself have to be differentiated.

    torch would leave its path out of a second derivative without a word.
    """
    if torch.is_grad_enabled():
        raise InvalidInput("this implementation has first derivatives alone; ask for implementation=eager, or step")


def tier_of_cells(asked: str, model: nn.Module) -> str:
    """Return which tier runs a model's torch cells, in the precision and on the device that it is in.

    asked: its option `implementation`. The library has no fused kernel of every cell: one step is run and looked at.
    """
    if asked not in ("fused", "fastest"):
        return asked
    cells = next(module for module in model.modules() if isinstance(module, nn.RNNBase))
    probe = next(cells.parameters()).new_zeros(1, 1, cells.input_size)
    with _CalledOperations() as called:
        cells(probe)
    library = "fused" if any(name.startswith(_FUSED_KERNELS) for name in called.names) else "library loop"
    return f"batched; {library} without gradients" if asked == "fastest" and probe.device.type == "cpu" else library


class _CalledOperations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While active, notes the names of the operations that torch calls, as `aten.addmm.default`."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and note its name."""
        self.names.add(str(func))
        return func(*args, **(kwargs or {}))


def cell_costs(inputs: int, width: int, *, gates: int, states: int = 1) -> Costs:
    """Return what one layer of torch cells costs: gates·(I·D + D² + 2D) parameters, `states`·D floats of state."""
    products = gates * (inputs * width + width * width)
    return Costs(parameters=products + gates * 2 * width, flops=2 * products, state_floats=states * width)


def recurrent_costs(spec: ModelSpec, *, gates: int, states: int = 1) -> Costs:
    """Return what `Recurrent` costs: front, `cell_costs` of every layer, head."""
    total = front_costs(spec, projects=False) + linear_costs(spec.width, spec.outputs)
    for layer in range(spec.layers):
        inputs = spec.width if layer or spec.inputs is None else spec.inputs
        total += cell_costs(inputs, spec.width, gates=gates, states=states)
    return total
