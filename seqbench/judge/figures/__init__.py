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
        "bits_by_cost": "seqbench.judge.figures.bits_by_cost",
        "text_curves": "seqbench.judge.figures.text_curves",
        "gradient_norm_training": "seqbench.judge.figures.gradient_norm_training",
        "learning_curves": "seqbench.judge.figures.learning_curves",
        "time_ratio": "seqbench.judge.figures.time_ratio",
        "time_per_token": "seqbench.judge.figures.time_per_token",
        "decode_time": "seqbench.judge.figures.decode_time",
        "tokens_by_batch": "seqbench.judge.figures.tokens_by_batch",
        "crossover_map": "seqbench.judge.figures.crossover_map",
        "memory_by_length": "seqbench.judge.figures.memory_by_length",
        "order_sensitivity": "seqbench.judge.figures.order_sensitivity",
        "capacity": "seqbench.judge.figures.capacity",
        "solve_rate_by_lag": "seqbench.judge.figures.solve_rate_by_lag",
        "length_generalisation": "seqbench.judge.figures.length_generalisation",
        "effective_context": "seqbench.judge.figures.effective_context",
    },
    needs=[["TITLE"], ["CAPTION"], ["select"], ["draw"]],
)
