"""Figures: one file each, from a frame to a matplotlib Figure."""

from seqbench.registry import Registry

FIGURES = Registry(
    "figure",
    "seqbench.figures",
    {
        "gradient_by_lag": "seqbench.judge.figures.gradient_by_lag",
        "gradient_slopes": "seqbench.judge.figures.gradient_slopes",
        "recall_by_lag": "seqbench.judge.figures.recall_by_lag",
        "bits_by_model": "seqbench.judge.figures.bits_by_model",
        "gradient_norm_training": "seqbench.judge.figures.gradient_norm_training",
        "learning_curves": "seqbench.judge.figures.learning_curves",
        "saved_bytes": "seqbench.judge.figures.saved_bytes",
    },
)
