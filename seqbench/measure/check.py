"""Whether a model keeps its contract: every demand on it, by name, each answered with a reason.

A demand looks at a small model with random tokens and says what is wrong, or nothing. All of them are asked, whatever
the others answer; what a model raises while it is asked is that demand's fault. `DEMANDS` is the contract of
`models.base`, demand by demand, and what the tests of every model run.
"""

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from seqbench.errors import SeqbenchError
from seqbench.measure import models
from seqbench.measure.gradients import through_embedding
from seqbench.measure.models.base import Costs, ModelSpec, takes_floats, tensors_of
from seqbench.measure.seeds import initialisation, stream
from seqbench.variant import Variant

Outcome = Literal["passed", "failed", "flagged", "not applicable"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

LENGTH = 9
"""Sequences are so long, or as much shorter as the model refuses them."""
VOCAB = 8
FLOATS = 3
WIDTH = 16
WIDE = 32
"""From this width on a model is trained, and its untrained loss is taken."""
STREAMED = 1e-9
"""So far may reading in pieces be from reading whole, in float64, unless the model declares more."""
FROM_UNIFORM = 0.2
"""So many nats may an untrained model's loss be from ln V."""
MEMORISED = 0.99
STEPS = 400
RATES = (1e-2, 3e-3)


class NotApplicableError(Exception):
    """Raised by a demand that a model does not fall under; its text says why."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer to one demand. reason: what was shown, what is wrong, or why it does not apply."""

    demand: str
    outcome: Outcome
    reason: str

    def row(self) -> Mapping[str, object]:
        """Return the finding as a row with `name` first."""
        return {"name": self.demand, "outcome": self.outcome, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model under examination, at the sizes at which it is looked at."""

    variant: Variant
    width: int
    layers: int

    def spec(self, **changed: Any) -> ModelSpec:
        """Return its spec at these sizes: 8 tokens in and out, unless something is changed."""
        sizes = {"vocab": VOCAB, "outputs": VOCAB, "width": self.width, "layers": self.layers}
        return models.spec_for(self.variant, **{**sizes, **changed})

    def model(self, *, seed: int = 0, **changed: Any) -> nn.Module:
        """Return it with the weights of a seed, in training mode."""
        return models.create(self.variant, self.spec(**changed), seed=seed).train()

    def precise(self) -> nn.Module:
        """Return it in float64, in the mode in which models are scored."""
        return self.model().double().eval()

    def costs(self, tokens: int, **changed: Any) -> Costs:
        """Return what its file states; raises NotApplicableError when it states nothing."""
        stated = models.costs(self.variant, self.spec(**changed), tokens)
        if stated is None:
            raise NotApplicableError("states none: its file has no costs(spec, tokens)")
        return stated

    @property
    def kind(self) -> Literal["causal", "encoder"]:
        """Return whether it reads from left to right."""
        return "causal" if self.spec().causal else "encoder"

    @property
    def tolerance(self) -> float:
        """Return how far numbers that are the same in exact arithmetic may lie apart; 0 is bit for bit."""
        return models.tolerance(self.variant, self.spec())

    @property
    def length(self) -> int:
        """Return the most tokens up to 9 that it stands before."""
        return self._longest(lambda _length: None)

    @property
    def reach(self) -> int:
        """Return the most tokens up to 9 of which the last one's answer may depend on the first."""
        return self._longest(lambda length: length - 1)

    @property
    def depths(self) -> tuple[int, ...]:
        """Return the numbers of layers at which costs are counted: its own, and one and one more where they build."""
        others = [depth for depth in (1, self.layers + 1) if depth != self.layers and self._builds(layers=depth)]
        return (self.layers, *others)

    def _longest(self, lag: Callable[[int], int | None]) -> int:
        spec = self.spec()
        fits = (T for T in range(LENGTH, 1, -1) if not models.refusal(self.variant, spec, length=T, lag=lag(T)))
        return next(fits, 2)

    def _builds(self, **changed: Any) -> bool:
        try:
            self.model(**changed)
        except Exception:
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """One demand on models: all of them, the causal ones, or encoders.

    holds: what is true of a model that meets it. wrong: looks at a model and says what is wrong, or nothing.
    flags: what is wrong is worth knowing and breaks no contract.
    """

    holds: str
    wrong: Callable[[Candidate], str]
    of: Literal["every", "causal", "encoder"] = "every"
    flags: bool = False


def check(variant: Variant, *, width: int | None = None, layers: int | None = None) -> tuple[Finding, ...]:
    """Return the answers to every demand on a model, at these sizes or at the smallest that it can be built at.

    Raises what `candidate` raises.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # of tensors so small a second thread makes nothing faster
    try:
        asked = candidate(variant, width=width, layers=layers)
        return tuple(answer(name, asked) for name in DEMANDS)
    finally:
        torch.set_num_threads(threads)


def candidate(variant: Variant, *, width: int | None = None, layers: int | None = None) -> Candidate:
    """Return a model at sizes at which it can be built: those given, else from 16 on and two layers, the least.

    A model that cannot be built anywhere is looked at all the same: then every demand fails, and says why.
    Raises UnknownName, InvalidInput, UsageError or ContractError for a model, option or size that it does not have.
    """
    spec = models.spec_for(variant, vocab=VOCAB, outputs=VOCAB, width=width or WIDTH, layers=layers or 2)
    least = models.width_step(variant, spec) * math.ceil(WIDTH / models.width_step(variant, spec))
    widths = (width,) if width else (least, 2 * least, 4 * least, 8 * least)
    sizes = [(D, L) for L, D in product((layers,) if layers else (2, 3, 4, 1), widths)]
    refused: Exception | None = None
    for D, L in sizes:
        found = Candidate(variant, D, L)
        try:
            found.model()
        except Exception as error:  # a model may raise anything while it is built
            refused = refused or error
        else:
            return found
    if isinstance(refused, SeqbenchError):
        raise refused
    return Candidate(variant, *sizes[0])


def answer(name: str, asked: Candidate) -> Finding:
    """Return the answer of one model to one demand; nothing that the model raises is thrown further."""
    demand = DEMANDS[name]
    try:
        if demand.of not in ("every", asked.kind):
            return Finding(name, "not applicable", _OTHERS[asked.kind])
        with initialisation(0):  # whatever a model draws while it runs is drawn alike in every check
            wrong = demand.wrong(asked)
    except NotApplicableError as why:
        return Finding(name, "not applicable", str(why))
    except (Exception, SystemExit) as error:  # a user's model may raise anything
        return Finding(name, "failed", f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
    if not wrong:
        return Finding(name, "passed", demand.holds)
    return Finding(name, "flagged" if demand.flags else "failed", wrong)


_OTHERS = {
    "causal": "reads from left to right",
    "encoder": "an encoder: it reads a sequence whole and carries no state",
}


def _tokens(*name: str, length: int, vocab: int = VOCAB, batch: int = 3) -> Tensor:
    """Return random tokens: (batch, length)."""
    return torch.randint(vocab, (batch, length), generator=stream("check", *name))


def _other(tokens: Tensor, where: Any) -> Tensor:
    """Return the same tokens with others at these places."""
    changed = tokens.clone()
    changed[where] = (changed[where] + 1) % VOCAB
    return changed


def _logits(model: nn.Module, inputs: Tensor) -> Tensor:
    """Return the logits (B, T, V); what the model draws meanwhile, as dropout does, is the same at every call."""
    with initialisation(0), torch.no_grad():
        logits: Tensor = model(inputs)[0]
    return logits


def _gap(one: Tensor, other: Tensor) -> float:
    """Return the largest difference of two tensors, infinite where either is no number."""
    return torch.nan_to_num((one - other).abs(), nan=math.inf).max().item() if one.numel() else 0.0


def _places(found: list[int]) -> str:
    return f"place{'s' if len(found) > 1 else ''} {', '.join(map(str, found))}"


def _shape(asked: Candidate) -> str:
    returned = asked.model(outputs=5)(_tokens("shape", length=asked.length))
    if not (isinstance(returned, tuple) and len(returned) == 2):
        return f"forward returns {type(returned).__name__}; it must return (logits, state)"
    found, expected = tuple(returned[0].shape), (3, asked.length, 5)
    return "" if found == expected else f"logits are {found} for tokens {expected[:2]} and 5 outputs; not {expected}"


def _influence(model: nn.Module, tokens: Tensor) -> Tensor:
    """Return ‖∂ logits[t] / ∂ embedding[s]‖ at row t and column s, summed over the batch: (T, T).

    Raises NotApplicableError for a model without an embedding, ContractError where the first one reads no tokens.
    """
    if not any(isinstance(module, nn.Embedding) for module in model.modules()):
        raise NotApplicableError("it has no nn.Embedding at which gradients could be taken")
    with initialisation(0):
        leaf, logits = through_embedding(model, tokens)
    cotangent = torch.randn(logits.shape[::2], generator=stream("cotangent"), dtype=logits.dtype)  # (B, V)
    rows = []
    for place in range(tokens.shape[1]):
        (gradient,) = torch.autograd.grad((logits[:, place] * cotangent).sum(), leaf, retain_graph=True)
        rows.append(gradient.norm(dim=-1).sum(0))  # (B, T, D) -> (T,)
    return torch.stack(rows)


def _looks_ahead_by_gradient(asked: Candidate) -> str:
    sizes = _influence(asked.model().double(), _tokens("ahead", length=asked.length))
    later = sizes.triu(1)
    if later.max() <= asked.tolerance * sizes.max():
        return ""
    t, s = divmod(int(later.argmax()), len(sizes))
    return f"the logits at place {t} have a gradient of {later.max():.2g} to the later place {s}"


def _looks_ahead_by_tokens(asked: Candidate) -> str:
    model, tokens = asked.model(), _tokens("ahead", length=asked.length)
    before = _logits(model, tokens)
    for cut in range(1, asked.length):
        gap = _gap(before[:, :cut], _logits(model, _other(tokens, (slice(None), slice(cut, None))))[:, :cut])
        if gap > asked.tolerance:
            return f"other tokens from place {cut} on change logits before it by {gap:.2g}"
    return ""


def _forgets(asked: Candidate) -> str:
    """Look at the last place: whether tokens before it change its logits, and whether training could know."""
    model, tokens = asked.precise(), _tokens("past", length=asked.reach)
    last = _logits(model, tokens)[:, -1]
    deaf = [
        place
        for place in range(asked.reach)
        if _gap(last, _logits(model, _other(tokens, (slice(None), place)))[:, -1]) <= asked.tolerance
    ]
    if deaf:
        return f"the logits at the last of {asked.reach} places do not depend on the tokens at {_places(deaf)}"
    try:
        sizes = _influence(asked.model().double(), tokens)[-1]
    except NotApplicableError:
        return ""
    cut = [place for place, size in enumerate(sizes.tolist()) if not size > 0]
    return f"the tokens at {_places(cut)} change the last logits, and no gradient reaches them" if cut else ""


def _is_blind(asked: Candidate) -> str:
    sizes = _influence(asked.model().double(), _tokens("whole", length=asked.length))
    if (sizes > 0).all():
        return ""
    t, s = divmod(int(sizes.argmin()), len(sizes))
    return f"the logits at place {t} have no gradient to place {s}"


def _carries_state(asked: Candidate) -> str:
    kept = list(tensors_of(asked.model()(_tokens("encoder", length=asked.length))[1]))
    return f"its state holds {len(kept)} tensors; an encoder's is ()" if kept else ""


def _mixes_batch(asked: Candidate) -> str:
    model, tokens = asked.model(), _tokens("batch", length=asked.length)
    before, after = _logits(model, tokens), _logits(model, _other(tokens, 1))
    gap = _gap(before[[0, 2]], after[[0, 2]])
    return f"another sequence in row 1 changes the logits of rows 0 and 2 by {gap:.2g}" if gap > asked.tolerance else ""


@torch.no_grad()
def _breaks_in_pieces(asked: Candidate) -> str:
    return _in_pieces(asked, asked.precise(), _tokens("pieces", length=asked.length))


def _in_pieces(asked: Candidate, model: nn.Module, inputs: Tensor) -> str:
    """Read float64 inputs in pieces of 1, 3 and the rest; say where the logits leave those of the whole."""
    state, done, whole, most = None, 0, model(inputs)[0], max(STREAMED, asked.tolerance)
    for piece in inputs.tensor_split([1, 4], dim=1):
        if not piece.shape[1]:
            continue
        logits, state = model(piece, state)
        gap = _gap(logits, whole[:, done : done + piece.shape[1]])
        if gap > most:
            return f"read on from place {done} the logits are {gap:.2g} from those of the whole; at most {most:g}"
        done += piece.shape[1]
    return ""


@torch.no_grad()
def _changes_state(asked: Candidate) -> str:
    model, tokens = asked.precise(), _tokens("continued", length=asked.length)
    half = asked.length // 2
    _, state = model(tokens[:, :half])
    kept = [part.clone() for part in tensors_of(state)]
    first = model(tokens[:, half:], state)[0]
    model(_other(tokens[:, half:], slice(None)), state)
    gap = _gap(first, model(tokens[:, half:], state)[0])
    if gap > asked.tolerance:
        return f"a state that is continued again gives logits that are {gap:.2g} away: forward changes what it is given"
    now = list(tensors_of(state))
    same = len(now) == len(kept) and all(torch.equal(*pair) for pair in zip(now, kept, strict=True))
    return "" if same else "forward changes the tensors of the state that it is given"


def _ignores_seed(asked: Candidate) -> str:
    first, again, other = (_weights(asked.model(seed=seed)) for seed in (3, 3, 4))
    loose = [key for key in first if not torch.equal(first[key], again[key])]
    if loose:
        return f"the same seed gives other weights the second time: {', '.join(loose[:3])}"
    if all(torch.equal(first[key], other[key]) for key in first):
        return "another seed gives the same weights"
    return ""


def _weights(model: nn.Module) -> dict[str, Tensor]:
    return {key: value for key, value in model.state_dict().items() if isinstance(value, Tensor)}


def _draws_globally(asked: Candidate) -> str:
    before = _generators()
    asked.model().eval()(_tokens("global", length=asked.length))
    touched = [name for name, state in _generators().items() if state != before[name]]
    return f"it draws from the global random stream of {' and '.join(touched)}" if touched else ""


def _generators() -> dict[str, object]:
    """Return the state of every global random stream."""
    _, numbers, *rest = np.random.get_state()
    return {
        "torch": torch.random.get_rng_state().tolist(),
        "random": random.getstate(),
        "numpy": (np.asarray(numbers).tolist(), *rest),
    }


def _lacks_gradient(asked: Candidate) -> str:
    """Look at the first step and, at what had no gradient there, at the second: a gate may start closed."""
    model, tokens = asked.model(), _tokens("gradient", length=asked.length)
    targets = _tokens("gradient targets", length=asked.length)
    optimiser = torch.optim.Adam(model.parameters(), lr=RATES[0])
    silent: set[str] = set()
    for step in range(2):
        optimiser.zero_grad()
        functional.cross_entropy(model(tokens)[0].flatten(0, 1), targets.flatten()).backward()  # type: ignore[no-untyped-call]
        gradients = {name: value.grad for name, value in model.named_parameters()}
        zero = {name for name, value in gradients.items() if value is not None and not value.any()}
        silent = zero if step == 0 else silent & zero
        faults = {
            "no gradient": [name for name, value in gradients.items() if value is None],
            "not finite": [n for n, value in gradients.items() if value is not None and not value.isfinite().all()],
            "zero everywhere, at the second step too": sorted(silent) if step else [],
        }
        found = "; ".join(f"{what}: {', '.join(names)}" for what, names in faults.items() if names)
        if found or not silent:
            return found
        optimiser.step()
    return ""


def _miscounts_parameters(asked: Candidate) -> str:
    for layers, inputs in product(asked.depths, _readings(asked)):
        changed: dict[str, Any] = {"layers": layers, "inputs": inputs, "vocab": 11, "outputs": 7}
        counted = sum(value.numel() for value in asked.model(**changed).parameters())
        stated = asked.costs(LENGTH, **changed).parameters
        if counted != stated:
            read = "tokens" if inputs is None else "floats"
            return f"{counted} parameters with {read}, {_size(asked, layers)}; costs says {stated}"
    return ""


def _readings(asked: Candidate) -> tuple[int | None, ...]:
    try:
        return (None, FLOATS) if _takes_floats(asked) else (None,)
    except (Exception, SystemExit):  # the demand on floats tells
        return (None,)


def _miscounts_operations(asked: Candidate) -> str:
    for layers, T in product(asked.depths, {asked.length, asked.length - 1}):
        stated = asked.costs(T, layers=layers).flops
        counted = _counted_operations(asked.model(layers=layers), _tokens("operations", length=T)) / T
        if abs(counted - stated) >= 1:  # a file may round to whole operations per token
            return f"{counted:g} operations per token of {T}, {_size(asked, layers)}; costs says {stated}"
    return ""


def _size(asked: Candidate, layers: int) -> str:
    return f"width {asked.width} and {layers} layer{'s' if layers > 1 else ''}"


def _counted_operations(model: nn.Module, tokens: Tensor) -> float:
    """Return the operations of one sequence's forward pass as torch counts them.

    They are counted on the meta device with attention as matrix products: the counter sees nothing of the fused
    recurrences and of fused attention on a CPU. Raises NotApplicableError for a model that cannot run without data.
    """
    try:
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            model.to("meta")(tokens.to("meta"))
    except (NotImplementedError, RuntimeError) as error:
        raise NotApplicableError(f"it cannot run on the meta device, where operations are counted: {error}") from error
    return float(counter.get_total_flops()) / len(tokens)


@torch.no_grad()
def _misstates_state(asked: Candidate) -> str:
    model, tokens = asked.model().eval(), _tokens("state", length=asked.length)
    stated = asked.costs(asked.length).state_floats
    read = {"whole": model(tokens)[1]}
    if asked.kind == "causal":
        half = asked.length // 2
        _, state = model(tokens[:, :half])
        read["in two pieces"] = model(tokens[:, half:], state)[1]
    for how, after in read.items():
        held = sum(part.nbytes for part in tensors_of(after)) / 4 / len(tokens)
        if held != stated:
            return (
                f"one sequence's state after {asked.length} tokens read {how} is {held:g} floats; costs says {stated}"
            )
    return ""


@torch.no_grad()
def _hides_batch(asked: Candidate) -> str:
    _, state = asked.model().eval()(_tokens("first", length=asked.length, batch=5))
    wrong = [tuple(part.shape) for part in tensors_of(state) if part.ndim == 0 or len(part) != 5]
    return (
        f"tensors of the state of 5 sequences are {wrong[0]}; the batch must be their first dimension" if wrong else ""
    )


@torch.no_grad()
def _starts_elsewhere(asked: Candidate) -> str:
    farthest = ""
    most = FROM_UNIFORM
    for vocab, seed in product((8, 65), range(3)):
        model = asked.model(seed=seed, vocab=vocab, outputs=vocab, width=_wide(asked))
        tokens, targets = (_tokens(what, length=asked.length, vocab=vocab, batch=32) for what in ("start", "asked"))
        loss = functional.cross_entropy(_logits(model, tokens).flatten(0, 1), targets.flatten()).item()
        if not abs(loss - math.log(vocab)) <= most:
            most = abs(loss - math.log(vocab))
            farthest = f"the untrained loss is {loss:.2f} nat where ln {vocab} is {math.log(vocab):.2f} (seed {seed})"
    return farthest


def _wide(asked: Candidate) -> int:
    return asked.width * math.ceil(WIDE / asked.width)


def _cannot_memorise(asked: Candidate) -> str:
    """Train on eight sequences, each a first token of its own and 12 random ones of 8 others.

    Where the first token may occur again, attention without absolute positions cannot tell "3" from "3 3", and
    95 of 96 is all it can reach. No sequence is longer than the model sees back: what it must tell apart is in sight.
    """
    length = next(
        (T for T in range(12, 2, -1) if not models.refusal(asked.variant, asked.spec(), length=T, lag=T - 1)), 2
    )
    tokens = torch.cat((torch.arange(8, 16)[:, None], _tokens("memorised", batch=8, length=length)), dim=1)
    shares = []
    for rate in RATES:
        shares.append(_memorised(asked.model(vocab=16, outputs=16, width=_wide(asked)), tokens, rate=rate))
        if shares[-1] > MEMORISED:
            return ""
    rates = " or ".join(f"{rate:g}" for rate in RATES)
    return f"{max(shares):.1%} of eight sequences after {STEPS} steps of Adam at {rates}; more than 99 % are asked"


def _memorised(model: nn.Module, tokens: Tensor, *, rate: float) -> float:
    """Return the largest share of next tokens that the model gets right on its way."""
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    best = 0.0
    for _ in range(STEPS):
        logits, _ = model(tokens[:, :-1])
        best = max(best, float((logits.argmax(-1) == tokens[:, 1:]).double().mean()))
        if best > MEMORISED:
            break
        optimiser.zero_grad()
        functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten()).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    return best


def _misreads_floats(asked: Candidate) -> str:
    if not _takes_floats(asked):
        raise NotApplicableError("takes tokens only: real-valued tasks are structural for it")
    model = asked.model(inputs=FLOATS).double().eval()
    floats = torch.randn(3, asked.length, FLOATS, generator=stream("floats"), dtype=torch.float64)
    with torch.no_grad():
        found, expected = tuple(model(floats)[0].shape), (3, asked.length, VOCAB)
        if found != expected:
            return f"logits are {found} for floats (3, {asked.length}, {FLOATS}) and {VOCAB} outputs; not {expected}"
        return _in_pieces(asked, model, floats) if asked.kind == "causal" else ""


def _takes_floats(asked: Candidate) -> bool:
    try:
        model = asked.model(inputs=FLOATS)
    except SeqbenchError:  # a model may refuse them when it is built
        return False
    return takes_floats(model, FLOATS)


@torch.no_grad()
def _loses_precision(asked: Candidate) -> str:
    logits, state = asked.precise()(_tokens("double", length=asked.length))
    held = () if asked.tolerance else tensors_of(state)  # a kernel that rounds may keep its state in its own precision
    kinds = {part.dtype for part in (logits, *held) if part.is_floating_point()} - {torch.float64}
    return f"after model.double() logits or state are {', '.join(map(str, kinds))}" if kinds else ""


DEMANDS: Mapping[str, Demand] = {
    "shape": Demand(
        holds="tokens (B, T) give logits (B, T, V), V the outputs and not the vocabulary, and a state", wrong=_shape
    ),
    "causality by gradient": Demand(
        holds="no logits have a gradient to a later token", wrong=_looks_ahead_by_gradient, of="causal"
    ),
    "causality by tokens": Demand(
        holds="other later tokens leave logits as they were", wrong=_looks_ahead_by_tokens, of="causal"
    ),
    "past": Demand(
        holds="the last logits depend on every token back to the first, and gradients reach it",
        wrong=_forgets,
        of="causal",
    ),
    "whole view": Demand(
        holds="every position of an encoder has a gradient to every other", wrong=_is_blind, of="encoder"
    ),
    "no state": Demand(holds="an encoder carries nothing on", wrong=_carries_state, of="encoder"),
    "batch independence": Demand(holds="sequences of a batch do not meet", wrong=_mixes_batch),
    "streaming": Demand(
        holds="pieces of 1, 3 and the rest give the logits of the whole", wrong=_breaks_in_pieces, of="causal"
    ),
    "state kept": Demand(
        holds="a state may be continued again: it is not changed by it", wrong=_changes_state, of="causal"
    ),
    "seed": Demand(holds="the same seed gives the same weights, another seed others", wrong=_ignores_seed),
    "global generator": Demand(
        holds="building and running it leave every global random stream alone", wrong=_draws_globally
    ),
    "gradients": Demand(
        holds="every parameter gets a finite gradient, not zero everywhere by the second step", wrong=_lacks_gradient
    ),
    "parameters": Demand(holds="there are as many as costs says", wrong=_miscounts_parameters),
    "operations": Demand(holds="there are as many per token as costs says", wrong=_miscounts_operations),
    "state size": Demand(holds="it is as large as costs says", wrong=_misstates_state),
    "batch first": Demand(holds="every tensor of the state has one row per sequence", wrong=_hides_batch, of="causal"),
    "untrained loss": Demand(
        holds="it lies within 0.2 nat of ln V for three seeds, at V = 8 and 65", wrong=_starts_elsewhere, flags=True
    ),
    "memorising": Demand(holds="eight sequences are memorised", wrong=_cannot_memorise, of="causal"),
    "floats": Demand(holds="floats are read in place of tokens, in pieces as well", wrong=_misreads_floats),
    "double precision": Demand(
        holds="after model.double() logits are float64, and the state of a model without a tolerance",
        wrong=_loses_precision,
    ),
}
"""Every demand on a model, in the order in which they are asked."""
