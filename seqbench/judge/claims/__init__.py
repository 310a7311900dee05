"""Claims: one file each, with what the pre-registration's data cannot say: qualifications and wording."""

from seqbench.preregistration import PLUGINS
from seqbench.registry import Registry

CLAIMS = Registry(
    "claim",
    PLUGINS.group,
    {
        "C1": "seqbench.judge.claims.c1",
        "C2": "seqbench.judge.claims.c2",
        "C3": "seqbench.judge.claims.c3",
        "C4": "seqbench.judge.claims.c4",
        "C5": "seqbench.judge.claims.c5",
        "C6": "seqbench.judge.claims.c6",
        "C7": "seqbench.judge.claims.c7",
        "C8": "seqbench.judge.claims.c8",
    },
    needs=PLUGINS.needs,
)
