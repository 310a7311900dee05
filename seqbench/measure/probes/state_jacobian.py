"""The Jacobian of one step of the full state, J_t = ∂s_t/∂s_{t-1}, along real sequences, in float64.

Its largest singular value says how much one step can stretch a small change of the state, its smallest how much of
one it can forget, the geometric mean of all what it does to a volume, |det J_t|^(1/S), and its spectral radius what the
same step would do if it came again and again. What a product of different steps does is none of these: see `lyapunov`.

Every number is taken at 32 positions spread over 4 sequences, and averaged; single steps are taken on the processor.
"""

from copy import deepcopy

import torch
from torch import Tensor

from seqbench.measure import states
from seqbench.measure.probes.base import Subject
from seqbench.measure.seeds import stream
from seqbench.record import Measurement, Series

SEQUENCES = 4
POSITIONS = 32
QUANTILES = tuple(i / 10 for i in range(11))


def refusal(subject: Subject) -> str:
    """Return why the steps of this model have no Jacobian, or nothing."""
    rng = stream("state jacobian", subject.task, subject.length, subject.seed)
    return states.refusal(subject.model, subject.sample(rng, 1, subject.length).inputs)


def measure(subject: Subject) -> tuple[Measurement, ...]:
    """Return singular values by quantile, their geometric mean and the spectral radius (1), means over the steps.

    The model is one that `refusal` has nothing against.
    """
    rng = stream("state jacobian", subject.task, subject.length, subject.seed)
    inputs = subject.sample(rng, SEQUENCES, subject.length).inputs.cpu()
    model = deepcopy(subject.model).cpu().double().eval()
    steps = states.walk(model, inputs.double() if inputs.is_floating_point() else inputs)
    jacobians = torch.cat([states.jacobian(steps[at]) for at in spread(len(steps), POSITIONS)])  # (N, S, S)
    sizes = torch.linalg.svdvals(jacobians)  # (N, S)
    by_quantile = tuple(sizes.quantile(torch.tensor(QUANTILES, dtype=torch.float64), dim=1).mean(dim=1).tolist())
    series = Series(axis="quantile", at=QUANTILES, values=by_quantile)
    return (
        Measurement(name="jacobian_singular_value", value=by_quantile[-1], unit="1", series=series),
        Measurement(name="jacobian_smallest_singular_value", value=by_quantile[0], unit="1"),
        Measurement(name="jacobian_geometric_mean", value=float(sizes.log().mean().exp()), unit="1"),
        Measurement(name="jacobian_spectral_radius", value=float(spectral_radius(jacobians).mean()), unit="1"),
    )


def spectral_radius(matrices: Tensor) -> Tensor:
    """Return the largest modulus of an eigenvalue: (N, S, S) -> (N,)."""
    eigenvalues: Tensor = torch.linalg.eigvals(matrices)  # (N, S) complex
    return eigenvalues.abs().amax(dim=1)


def spread(steps: int, count: int) -> tuple[int, ...]:
    """Return at most so many steps, evenly from the first to the last."""
    return tuple(sorted({round(at) for at in torch.linspace(0, steps - 1, min(steps, count)).tolist()}))
