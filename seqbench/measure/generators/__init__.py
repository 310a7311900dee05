"""What a task shows and asks: one file per kind, pure functions of a random stream.

A generator offers `sample(rng, *, batch, length, **params) -> Batch`, `sizes(**params) -> Sizes` and
`bounds(*, length, **params) -> Bounds | None`; a text-like one also `held_out(...) -> HeldOut`.
"""

from seqbench.registry import Registry

GENERATORS = Registry(
    "generator",
    "seqbench.generators",
    {
        "recall": "seqbench.measure.generators.recall",
        "chronicle": "seqbench.measure.generators.chronicle",
        "text": "seqbench.measure.generators.text",
        "onehot": "seqbench.measure.generators.onehot",
        "uniform_tokens": "seqbench.measure.generators.uniform_tokens",
    },
)
