"""What a task shows and asks: one file per kind, pure functions of a random stream.

A generator offers `sample(rng, *, batch, length, **params) -> Batch`, `sizes(**params) -> Sizes` and
`bounds(*, length, **params) -> Bounds | None`; a text-like one also `held_out(...) -> HeldOut`, and one whose
literature averages over positions at which nothing is asked `diluted_loss(loss, *, length, **params) -> float`.
`length` is the distance that makes the task hard; where a task adds positions to it, its docstring says how many.
"""

from seqbench.registry import Registry

GENERATORS = Registry(
    "generator",
    "seqbench.generators",
    {
        "recall": "seqbench.measure.generators.recall",
        "adding": "seqbench.measure.generators.adding",
        "copy": "seqbench.measure.generators.copy",
        "count": "seqbench.measure.generators.count",
        "chronicle": "seqbench.measure.generators.chronicle",
        "text": "seqbench.measure.generators.text",
        "onehot": "seqbench.measure.generators.onehot",
        "uniform_tokens": "seqbench.measure.generators.uniform_tokens",
    },
)
