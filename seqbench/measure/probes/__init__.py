"""Probes: one measurement each. Names only; a probe's module is imported when it is loaded.

A probe of the shared lane offers `measure(subject) -> tuple[Measurement, ...]`; where its group in a suite has a
`training`, the model was trained on the task before. In its place

* one that looks at that training offers `watch(subject) -> Watch`;
* one that trains the model itself, for another end than the task's answers, offers `train_and_measure(subject,
  config) -> tuple[History, tuple[Measurement, ...]]`: it is given the fresh model and the group's `training`, by which
  it trains with `training.train`;
* one of the exclusive lane offers `block(subject, timing) -> Block`, the work that a panel times; its group has a
  `timing`.

A probe that not every model or task can stand offers `refusal(subject) -> str` too: why this one cannot, or nothing.
It is asked before anything is trained, and what it says makes the cell structural.
"""

from seqbench.registry import Registry

PROBES = Registry(
    "probe",
    "seqbench.probes",
    {
        "recall_by_lag": "seqbench.measure.probes.recall_by_lag",
        "answers": "seqbench.measure.probes.answers",
        "memoryless": "seqbench.measure.probes.memoryless",
        "order_shift": "seqbench.measure.probes.order_shift",
        "bits_per_character": "seqbench.measure.probes.bits_per_character",
        "effective_context": "seqbench.measure.probes.effective_context",
        "capacity": "seqbench.measure.probes.capacity",
        "training_curves": "seqbench.measure.probes.training_curves",
        "input_gradient": "seqbench.measure.probes.input_gradient",
        "loss_gradient": "seqbench.measure.probes.loss_gradient",
        "state_jacobian": "seqbench.measure.probes.state_jacobian",
        "lyapunov": "seqbench.measure.probes.lyapunov",
        "saved_bytes": "seqbench.measure.probes.saved_bytes",
        "state_bytes": "seqbench.measure.probes.state_bytes",
        "order_symmetry": "seqbench.measure.probes.order_symmetry",
        "sequential_depth": "seqbench.measure.probes.sequential_depth",
        "training_time": "seqbench.measure.probes.training_time",
        "prefill_time": "seqbench.measure.probes.prefill_time",
        "decode_time": "seqbench.measure.probes.decode_time",
        "first_token_time": "seqbench.measure.probes.first_token_time",
    },
    needs=[["measure", "block"]],
)
