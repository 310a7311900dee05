"""C5: recurrent networks see an order that does not matter, self-attention does not."""

import math

from seqbench.judge.claims.base import Atoms, AtomVerdict, interval, number
from seqbench.judge.rules import Verdict

FIGURES = ("order_sensitivity",)
RECURRENT = (("5b/rnn", "a vanilla RNN"), ("5b/lstm", "an LSTM with forget bias 1"), ("5b/gru", "a GRU"))
INVARIANT = 1e-12
"""Below this order symmetry, in float64, an answer is the same in every order."""
RARE = 0.1
"""Below this flip rate a network has all but unlearned the order."""
SEEING = (("rope", "rotary positions"), ("learned", "learned positions"))
CAUSAL = (("causal_none_1", "1 layer"), ("causal_none_2", "2 layers"))


def finding(atoms: Atoms, verdict: Verdict) -> str:
    """Return what each recurrent network lost in another order, and that attention without positions lost nothing."""
    if verdict is not Verdict.SUPPORTED:
        return ""
    lost = [
        f"{name} lost {number(atom.effect)} in accuracy {interval(atom.lower, atom.upper)}, n = {atom.n}"
        for key, name in RECURRENT
        if (atom := atoms.get(key)) and atom.effect is not None
    ]
    symmetric = atoms.get("5a")
    blind = (
        f"; an attention encoder without positions gave the same answer in every order (S = {number(symmetric.effect)})"
        if symmetric and symmetric.effect is not None
        else ""
    )
    return f"trained to count in sorted order and asked in random order, {', '.join(lost)}{blind}" if lost else ""


def qualifications(atoms: Atoms) -> tuple[str, ...]:
    """Return that order can be unlearned, which attention sees it, what the trained encoder did, who needs order."""
    return (
        *_unlearned(atoms.get("5c")),
        *_attention_sees(atoms.get("5a/others")),
        *_causal_depth(atoms.get("5a/others")),
        *_encoder(atoms.get("5b/encoder")),
        *_order_needed(atoms.get("5a")),
    )


def _unlearned(trained: AtomVerdict | None) -> tuple[str, ...]:
    arms = (("rnn", "a vanilla RNN"), ("lstm", "an LSTM"), ("gru", "a GRU"))
    fell, stayed = _means(trained, arms, below=RARE), _means(trained, arms, above=RARE)
    return (
        *(
            (f"a set task can be solved by a recurrent network: trained on random orders the flip rate fell to {fell}",)
            if fell
            else ()
        ),
        *((f"trained on random orders the flip rate stayed at {stayed}",) if stayed else ()),
    )


def _attention_sees(others: AtomVerdict | None) -> tuple[str, ...]:
    seen = _means(others, (*SEEING, ("causal_none_2", "causal, 2 layers, no positions")), above=INVARIANT)
    if not seen:
        return ()
    return (f"causal self-attention, or attention with positions, sees the order: S = {seen}",)


def _causal_depth(others: AtomVerdict | None) -> tuple[str, ...]:
    one, two = (others.arm(name) if others else None for name, _ in CAUSAL)
    if one is None or two is None or one.mean is None or two.mean is None:
        return ()
    if one.mean >= INVARIANT or two.mean < INVARIANT:
        return ()
    return (
        f"causal attention without positions is invariant in the prefix with 1 layer (S = {number(one.mean)}), not "
        f"with 2 (S = {number(two.mean)})",
    )


def _order_needed(symmetric: AtomVerdict | None) -> tuple[str, ...]:
    """Return what an encoder that sees no order is, and what it lacks."""
    if symmetric is None or symmetric.verdict is not Verdict.SUPPORTED:
        return ()
    return (
        "equivariance is not invariance: what an encoder without positions computes at each item moves with the item, "
        "and only its pooled answer stays. A language model needs the order, which positions carry, or causal layers",
    )


def _encoder(trained: AtomVerdict | None) -> tuple[str, ...]:
    if trained is None or trained.effect is None:
        return ()
    return (
        f"an encoder without positions, trained on sorted input, changed its answer in a share of at most "
        f"{number(trained.effect)} of the multisets, n = {trained.n} seeds",
    )


def _means(
    atom: AtomVerdict | None, arms: tuple[tuple[str, str], ...], *, above: float = -math.inf, below: float = math.inf
) -> str:
    """Return the means of arms that lie from `above` up to `below`, as `0.02 (a GRU), 0.03 (an LSTM)`."""
    found = [(atom.arm(name), label) for name, label in arms] if atom else []
    return ", ".join(
        f"{number(arm.mean)} ({label})"
        for arm, label in found
        if arm and arm.mean is not None and above <= arm.mean < below
    )
