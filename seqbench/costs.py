"""How long cells take: as stored records of this machine say, else as timed steps do, else as a model of steps says."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Literal

from seqbench import tuning, variant
from seqbench.cell import Cell, TimingConfig, TrainConfig
from seqbench.outline import Outline
from seqbench.plan import Planned

Source = Literal["measured", "timed", "model"]


@dataclass(frozen=True, slots=True)
class Costs:
    """How long cells take on one core of a machine.

    measured: kind of cell -> mean wall seconds of its records. steps: `kind_of_steps` -> seconds of one training step.
    slowness: how many times slower this machine is than the model's, for what was neither measured nor timed.
    device: where cells run, "cpu" or "cuda"; the model knows both.
    """

    measured: Mapping[tuple[object, ...], float]
    steps: Mapping[tuple[object, ...], float] = field(default_factory=dict)
    slowness: float = 1.0
    device: str = "cpu"

    @classmethod
    def of(cls, held: Iterable[Outline], *, machine: str, device: str = "cpu") -> "Costs":
        """Return the costs that records of a machine show; a contended panel took its time, too."""
        times: dict[tuple[object, ...], list[float]] = {}
        for entry in held:
            if entry.machine == machine and entry.status in ("ok", "unsolved", "contended"):
                times.setdefault(kind_of(entry.pattern), []).append(entry.wall_seconds)
        return cls({key: sum(values) / len(values) for key, values in times.items()}, device=device)

    def timed(self, steps: Iterable[tuple[Cell, float]]) -> "Costs":
        """Return these costs with the seconds of a training step of some cells, which tell how fast the machine is."""
        known = list(steps)
        ratios = [seconds / step_seconds(cell, self.device) for cell, seconds in known]
        found = {kind_of_steps(cell): seconds for cell, seconds in known}
        return replace(self, steps=found, slowness=median(ratios) if ratios else self.slowness)

    def seconds(self, cell: Cell) -> float:
        """Return the estimated wall seconds of a cell on one core; of a timed one, its share of its panel."""
        known = self.measured.get(kind_of(cell))
        if known is not None:
            return known
        step = self.steps.get(kind_of_steps(cell)) if cell.training else None
        if cell.training is None or step is None:
            return self.slowness * modelled_seconds(cell, self.device)
        return _steps(cell, cell.training) * step + self.slowness * _SETTING_UP_S

    def source(self, cell: Cell) -> Source:
        """Return where the estimate of a cell comes from."""
        if kind_of(cell) in self.measured:
            return "measured"
        return "timed" if cell.training and kind_of_steps(cell) in self.steps else "model"

    def wall_seconds(self, entries: Iterable[Planned], *, workers: int) -> float:
        """Return how long cells take on so many workers: timed ones alone, the others shared among the workers."""
        cells = [entry.cell for entry in entries]
        return sum(self.seconds(cell) / (1 if cell.timing else workers) for cell in cells)


def kind_of_steps(cell: Cell) -> tuple[object, ...]:
    """Return what the time of a training step depends on: everything of a cell but seed, budget and rate."""
    return (
        cell.task,
        cell.probe,
        cell.model,
        cell.length,
        cell.width,
        cell.layers,
        cell.match,
        cell.params,
        cell.batch,
        cell.tokens_per_sequence,
    )


# Milliseconds of one training step of one layer at batch 64, T 100, width 64 on one core of a server CPU (Zen 4), and
# the exponents of T and of the width; measured in pilots for planning only, never shown as a result.
# Those from the transformer on were interleaved with the LSTM on other machines and scaled so that the LSTM takes 29.
_RECURRENT, _ATTENTION = (1.0, 1.0), (1.3, 0.5)
_STEP_MS = {
    "rnn": (17.0, *_RECURRENT),
    "lstm": (29.0, *_RECURRENT),
    "gru": (37.0, *_RECURRENT),
    "transformer": (70.0, *_ATTENTION),
    "tcn": (20.0, *_RECURRENT),
    "mingru": (23.0, *_RECURRENT),
    "minlstm": (25.0, *_RECURRENT),
    "lru": (58.0, *_RECURRENT),
    "linear_attention": (79.0, *_RECURRENT),
    "block:rnn": (47.0, *_RECURRENT),
    "block:lstm": (64.0, *_RECURRENT),
    "block:gru": (71.0, *_RECURRENT),
    "block:mingru": (49.0, *_RECURRENT),
    "block:minlstm": (63.0, *_RECURRENT),
    "block:lru": (58.0, *_RECURRENT),
    "block:linear_attention": (81.0, *_RECURRENT),
    "block:attention": (77.0, *_ATTENTION),
    "block:convolution": (47.0, *_RECURRENT),
}
_OTHERS = (60.0, *_RECURRENT)
_CALL_MS = 1.0  # of a layer in a step, whatever its size: what calling the library costs
_DECODER_MS = 1.0, 0.06  # of the decoder of a state in a step, and for each symbol that it reads
_FORWARD = 1 / 3  # of a step
_SCORED, _FURTHER = 4096, 1024  # sequences of the test, and of each test at a further length
_READ = 8192  # sequences of the test of a capacity, which is not evaluated while it trains
_SETTING_UP_S = 0.05
# Microseconds of a layer and a time step in a training step that a GPU replays (H100, batch 64, T 512 to 2048), the
# milliseconds in which a batch is drawn and launched, and how many times longer all takes where a card is shared.
_CUDA_STEP_US = {
    "rnn": 2.1,
    "lstm": 5.6,
    "gru": 5.0,
    "mingru": 1.4,
    "minlstm": 1.6,
    "lru": 3.1,
    "linear_attention": 4.4,
    "transformer": 4.0,
    "tcn": 0.4,
}
_CUDA_OTHERS_US = 5.0
_CUDA_DRAWN_MS = 1.5
_CUDA_SHARED = 3.0
_CUDA_SETTING_UP_S = 0.7
_JACOBIAN_S = 0.002  # of one step of the state, by automatic differentiation in double precision
_CANARY_S, _LEAST_TIMED_S, _WARM_UPS = 0.025, 0.05, 3  # of a model's turn in a round
_TOKEN_S = 3e-4, 1e-7  # of a layer that decodes a token, and for each token of its context


def modelled_seconds(cell: Cell, device: str = "cpu") -> float:
    """Return the seconds of a cell as the model has them."""
    if cell.timing is not None:
        return _panel_share(cell, cell.timing, device)
    if cell.training is not None:
        return _steps(cell, cell.training) * step_seconds(cell, device) + _SETTING_UP_S
    if cell.probe in ("lyapunov", "state_jacobian"):
        return cell.length * cell.layers * _JACOBIAN_S + _SETTING_UP_S
    return _SETTING_UP_S


def _steps(cell: Cell, training: TrainConfig) -> float:
    """Return how many training steps a cell is worth: its own, its evaluations and its test."""
    if cell.probe == "capacity":
        sequences = float(_READ)
    else:
        sequences = float(training.evaluation_sequences * math.ceil(training.steps / training.evaluate_every))
        if cell.probe != tuning.PROBE:
            sequences += _SCORED + _FURTHER * sum(length / cell.length for length in cell.test_lengths)
    return training.steps + _FORWARD * sequences / training.batch


def step_seconds(cell: Cell, device: str = "cpu") -> float:
    """Return the seconds of one training step of a cell as the model has them."""
    if device == "cuda":
        return _cuda_step_seconds(cell)
    at_64, over_length, over_width = _STEP_MS.get(variant.parse(cell.model).name, _OTHERS)
    size = (
        (cell.batch / 64)
        * math.pow(cell.tokens_per_sequence / 100, over_length)
        * math.pow(cell.width / 64, over_width)
    )
    decoder = _DECODER_MS[0] + _DECODER_MS[1] * cell.length if cell.probe == "capacity" else 0.0
    return (cell.layers * (at_64 * size + _CALL_MS) + decoder) / 1000


def _cuda_step_seconds(cell: Cell) -> float:
    """Return the seconds of a step on a GPU: small models wait for one time step after another, whatever their size."""
    known = _CUDA_STEP_US.get(variant.parse(cell.model).name.removeprefix("block:"), _CUDA_OTHERS_US)
    time_steps = cell.batch / 64 * cell.tokens_per_sequence if cell.batch > 64 else cell.tokens_per_sequence
    shared = 1 if cell.timing else _CUDA_SHARED
    return shared * (_CUDA_DRAWN_MS / 1e3 + cell.layers * known * time_steps / 1e6)


def _panel_share(cell: Cell, timing: TimingConfig, device: str) -> float:
    """Return a model's share of its panel: in each process its warming up and its turns in the rounds."""
    step = step_seconds(cell, device)
    context = 0.0
    if cell.probe == "training_time":
        call = step
    elif cell.probe == "decode_time":
        context = _FORWARD * step
        call = timing.decoded_tokens * cell.layers * (_TOKEN_S[0] + _TOKEN_S[1] * cell.length)
    else:
        call = _FORWARD * step
    warming_up = max(timing.warmup_seconds, _WARM_UPS * call)
    turns = timing.rounds * (_CANARY_S + max(_LEAST_TIMED_S, call))
    setting_up = _CUDA_SETTING_UP_S if device == "cuda" else _SETTING_UP_S
    return timing.processes * (setting_up + context + warming_up + turns)


def kind_of(cell: Cell) -> tuple[object, ...]:
    """Return what the time of a cell depends on: everything of it but the seed, and how its rate is found."""
    size = (cell.width, cell.layers, cell.match)
    tests = (cell.params, cell.test_lengths, cell.samples)
    return (cell.task, cell.probe, cell.model, cell.length, size, tests, cell.training, cell.timing)
