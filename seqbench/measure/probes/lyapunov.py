"""Lyapunov exponents of the state: how fast neighbouring states part or meet, forwards by QR and backwards by products.

Forwards, p random orthonormal directions go through the Jacobians J_t = ∂s_t/∂s_{t-1} of a real trajectory; after each
step QR makes them orthonormal again, and the mean of ln|R_ii| is λ_i, the largest first (Benettin et al. 1980).
Backwards one random cotangent goes through the transposed Jacobians, v ← J_tᵀv / ‖J_tᵀv‖, and the mean of ln‖J_tᵀv‖ is
the rate at which gradients vanish or explode. The largest exponent and that slope are the same number.

Both are read over the same steps. With u_t the first direction and v_t the cotangent, both of length 1, the product
⟨v_t, u_t⟩ is what links them: over n steps from a to b the two means differ by exactly
(ln|⟨v_a, u_a⟩| - ln|⟨v_b, u_b⟩|) / n. That is noise around zero as long as both have settled; a vector that is still
random lies at right angles to the other but for 1/√S, and would cost about ½ ln S nats at its end. So each of the two
settles outside the window: the directions in steps before it, the cotangent in steps behind it.

Single steps are taken on the processor, in float64: an accelerator would wait for their launches.
"""

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from seqbench.measure import states
from seqbench.measure.probes.base import Subject
from seqbench.measure.seeds import stream
from seqbench.measure.states import Step
from seqbench.record import Measurement, Series

SEQUENCES = 8
EXPONENTS = 8
BURN_IN = 100
"""Steps before and behind the window, of a sequence of 600; in proportion in shorter ones."""


def refusal(subject: Subject) -> str:
    """Return why the steps of this model have no exponents, or nothing."""
    rng = stream("lyapunov", subject.task, subject.length, subject.seed)
    return states.refusal(subject.model, subject.sample(rng, 1, subject.length).inputs)


def measure(subject: Subject) -> tuple[Measurement, ...]:
    """Return the largest exponents and the slope of the backward product (nat/step), means over sequences.

    The model is one that `refusal` has nothing against.
    """
    rng = stream("lyapunov", subject.task, subject.length, subject.seed)
    inputs = subject.sample(rng, SEQUENCES, subject.length).inputs.cpu()
    model = deepcopy(subject.model).cpu().double().eval()
    steps = states.walk(model, inputs.double() if inputs.is_floating_point() else inputs)
    read = window(len(steps))
    B, S = states.vector(steps[0].state).shape
    directions = torch.randn(B, S, min(EXPONENTS, S), generator=rng, dtype=torch.float64)
    cotangents = torch.randn(B, S, generator=rng, dtype=torch.float64)
    found = tuple(exponents(steps, directions, read).mean(dim=0).tolist())
    slope = float(backward_slope(steps, cotangents, read).mean())
    series = Series(axis="index", at=tuple(float(i + 1) for i in range(len(found))), values=found)
    return (
        Measurement(name="lyapunov_exponent", value=found[0], unit="nat/step", series=series),
        Measurement(name="backward_slope", value=slope, unit="nat/step"),
        Measurement(name="lyapunov_window", value=float(len(read)), unit="step"),
    )


def window(steps: int) -> range:
    """Return the steps that count: all but 100 at either end of 600, all but a sixth of fewer."""
    burn_in = min(BURN_IN, steps // 6)
    return range(burn_in, steps - burn_in)


def exponents(steps: Sequence[Step], directions: Tensor, read: range) -> Tensor:
    """Return the mean of ln|R_ii| over the steps read, for p directions: (B, S, p) -> (B, p).

    An exponent of what is forgotten at once is -inf.
    """
    Q: Tensor = torch.linalg.qr(directions).Q
    total = Q.new_zeros(len(Q), Q.shape[2])
    for number in range(read.stop):
        Q, R = torch.linalg.qr(states.jacobian(steps[number]) @ Q)  # (B, S, p), (B, p, p)
        if number in read:
            total += R.diagonal(dim1=1, dim2=2).abs().log()
    return total / len(read)


def backward_slope(steps: Sequence[Step], cotangents: Tensor, read: range) -> Tensor:
    """Return the mean of ln‖J_tᵀ v‖ over the steps read, in the precision of the model: v (B, S) -> (B,).

    v is made of length 1 again at each step, so that no product of any length leaves the range of the numbers.
    """
    total = torch.zeros(len(cotangents), dtype=torch.float64)
    cotangents = nn.functional.normalize(cotangents, dim=1)
    for number in reversed(range(read.start, len(steps))):
        pulled = states.pulled_back(steps[number], cotangents)
        cotangents = nn.functional.normalize(pulled, dim=1, eps=torch.finfo(pulled.dtype).tiny)
        if number in read:
            total += torch.linalg.vector_norm(pulled, dim=1).double().log()
    return total / len(read)
