"""Executors: ways to run many cells. Names only; importing them imports neither torch nor their library."""

from seqbench.registry import Registry

EXECUTORS = Registry(
    "executor",
    "seqbench.executors",
    {
        "serial": "seqbench.measure.executors.serial",
        "pool": "seqbench.measure.executors.pool",
        "ray": "seqbench.measure.executors.ray",
    },
    needs=[["execute"]],
)
