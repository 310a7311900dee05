"""One colour, marker, line style and label per model variant, the same in every figure and table.

A family (the model's name) has one colour; its variants differ in line style and marker, so that nothing is told by
colour alone. All colours have a contrast of at least 3:1 on white and on #14171a.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Literal

from seqbench import variant
from seqbench.errors import InvalidInput
from seqbench.judge.text import visible
from seqbench.variant import Scalar

INK = "#1b1c1d"
"""Text, axes and grid; the page replaces it by the colour of its own text."""
FAMILY_COLOURS = {
    "rnn": "#0173b2",
    "lstm": "#029e73",
    "gru": "#d55e00",
    "transformer": "#cc78bc",
    "mingru": "#c91f16",
    "tcn": "#578dff",
    "minlstm": "#a8681e",
    "lru": "#0a8a94",
    "linear_attention": "#8a5cf0",
}
OTHER_COLOURS = ("#c91f16", "#c849a9", "#578dff", "#656364")
FAMILY_LABELS = {
    "rnn": "RNN",
    "lstm": "LSTM",
    "gru": "GRU",
    "transformer": "Transformer",
    "mingru": "minGRU",
    "tcn": "TCN",
    "minlstm": "minLSTM",
    "lru": "LRU",
    "linear_attention": "linear attention",
}
FAMILY_MARKERS = {
    "rnn": "o",
    "lstm": "s",
    "gru": "D",
    "transformer": "^",
    "mingru": "8",
    "tcn": "v",
    "minlstm": "h",
    "lru": "<",
    "linear_attention": ">",
}
BLOCK = "block:"
"""How the names of the same-block arm begin: its members look as their mixer's family does, in a line of their own."""
BLOCK_FAMILIES = {"attention": "transformer", "convolution": "tcn"}
"""Whose mixer a member is, where it is not called as the model is."""
MARKERS = ("v", "P", "X", "<", ">", "p", "h", "d", "*", "8")
LINES = ("-", "--", ":", "-.", (0, (5, 1)), (0, (3, 1, 1, 1)))
LineStyle = str | tuple[int, tuple[int, ...]]
BLOCK_LINE: LineStyle = (0, (6, 1, 1, 1, 1, 1))
FILLS: tuple[Literal["full", "none", "left", "top", "right", "bottom"], ...] = (
    "full",
    "none",
    "left",
    "top",
    "right",
    "bottom",
)
"""How the marker is filled where one variant has several lines in a panel, one for each of its sizes."""

RC: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9.0,
    "svg.fonttype": "none",
    "text.parse_math": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.titlesize": 9.0,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.linewidth": 0.7,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": INK,
    "grid.alpha": 0.12,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "legend.title_fontsize": 8.0,
    "lines.linewidth": 1.7,
    "lines.markersize": 4.5,
    "axes.unicode_minus": True,
}


@dataclass(frozen=True, slots=True)
class Look:
    """How a model variant is drawn and named."""

    label: str
    colour: str
    marker: str
    line: LineStyle
    fill: Literal["full", "none"] = "full"


_PALE: ContextVar[frozenset[str]] = ContextVar("pale", default=frozenset())
_HALF = "80"
"""Half of full opacity, behind a colour."""


@contextmanager
def pale(models: frozenset[str]) -> Iterator[None]:
    """Draw these models pale and call them unfinished: some of their planned cells have no record yet."""
    before = _PALE.set(models)
    try:
        yield
    finally:
        _PALE.reset(before)


def look(model: str) -> Look:
    """Return the look of a model variant; an unknown one gets a fixed look from its name."""
    found = _look(model)
    if model not in _PALE.get():
        return found
    return replace(found, label=f"{found.label} (unfinished)", colour=found.colour + _HALF)


def _look(model: str) -> Look:
    try:
        parsed = variant.parse(model)
    except InvalidInput:
        return Look(visible(model), _pick(OTHER_COLOURS, model), _pick(MARKERS, model), "-")
    options = dict(parsed.options)
    member = parsed.name.removeprefix(BLOCK)
    in_block = member != parsed.name
    family = BLOCK_FAMILIES.get(member, member) if in_block else parsed.name
    colour = FAMILY_COLOURS.get(family) or _pick(OTHER_COLOURS, family)
    line = BLOCK_LINE if in_block else _line(family, options)
    hollow = "gain" in options and options.get("activation") == "relu"
    fill: Literal["full", "none"] = "none" if hollow else "full"
    return Look(_label(parsed.name, options), colour, _marker(family, options), line, fill)


def ordered(models: Iterable[str]) -> list[str]:
    """Return models in the order of every legend: families as known here, plain variants first."""
    families = list(FAMILY_COLOURS)

    def place(model: str) -> tuple[int, str, int, str]:
        name, _, options = model.partition("@")
        return (families.index(name) if name in families else len(families), name, options.count("=") + 1, model)

    return sorted(set(models), key=lambda model: place(model) if "@" in model else (*place(model)[:2], 0, model))


def _label(name: str, options: Mapping[str, Scalar]) -> str:
    if name.startswith(BLOCK):
        return f"{_label(name.removeprefix(BLOCK), options)}, in a block"
    left = dict(options)
    own = name.removesuffix(":build").rpartition("/")[2]
    # matplotlib hides labels that begin with an underscore
    label = FAMILY_LABELS.get(name, visible(own).lstrip("_") or "own model")
    if name == "rnn":
        activation = str(left.pop("activation", "tanh"))
        label += f" {'ReLU' if activation == 'relu' else activation}"
        if left == {"init": "identity"} and activation == "relu":
            return f"{label}, identity init (IRNN)"
    words = [_option(key, value) for key, value in left.items() if not (key == "init" and "gain" in left)]
    return ", ".join([label, *words])


def _option(key: str, value: Scalar) -> str:
    if key == "init":
        return f"{value} init"
    if key == "causal":
        return "causal" if value else "encoder"
    if key == "heads":
        return "1 head" if value == 1 else f"{value} heads"
    if key == "positions":
        return "no positions" if value == "none" else f"{value} positions"
    told = visible(str(value)).replace("-", "−") if isinstance(value, int | float) else visible(str(value))
    return told if key == "implementation" else f"{key.replace('_', ' ')} {told}"


_GAIN_MARKERS = {0.5: "v", 1.0: "P", 1.5: "X", 2.0: "p", 3.0: "*"}
_GAIN_LINES: Mapping[float, LineStyle] = {0.5: ":", 1.0: "-.", 1.5: "--", 2.0: (0, (5, 1)), 3.0: "-"}
"""A gain has a line and a marker; the marker is hollow with ReLU."""
_KNOWN_MARKERS = {
    "init=identity": "<",
    "init=orthogonal": ">",
    "forget_bias=0": "v",
    "forget_bias=1": "s",
    "forget_bias=3": "P",
    "update_bias=1": "v",
    "update_bias=2": "X",
    "update_bias=3": "P",
    "positions=learned": "v",
    "positions=none": "P",
}


def family_label(model: str) -> str:
    """Return the name of a model's family for people, without its options."""
    return _label(model.partition("@")[0], {}).removesuffix(" tanh")


def _marker(name: str, options: Mapping[str, Scalar]) -> str:
    gain = options.get("gain")
    if isinstance(gain, int | float):
        return _GAIN_MARKERS.get(float(gain)) or _pick(MARKERS, str(gain))
    rest = {key: value for key, value in options.items() if key not in ("activation", "implementation")}
    text = ",".join(f"{key}={value}" for key, value in sorted(rest.items()))
    if not text:
        return FAMILY_MARKERS.get(name) or _pick(MARKERS, name)
    return _KNOWN_MARKERS.get(text) or _pick(MARKERS, text)


_KNOWN_LINES: Mapping[str, LineStyle] = {
    "": "-",
    "activation=relu": "--",
    "activation=sigmoid": ":",
    "init=orthogonal": "-.",
    "activation=relu,init=identity": (0, (5, 1)),
    "forget_bias=1": "-",
    "forget_bias=0": ":",
    "forget_bias=3": "-.",
    "update_bias=1": ":",
    "update_bias=2": "--",
    "update_bias=3": "-.",
    "implementation=eager": "-.",
}


def _line(name: str, options: Mapping[str, Scalar]) -> LineStyle:
    gain = options.get("gain")
    if isinstance(gain, int | float):
        return _GAIN_LINES.get(float(gain)) or LINES[_digest(str(gain)) % len(LINES)]
    text = ",".join(f"{key}={value}" for key, value in sorted(options.items()))
    if text in _KNOWN_LINES:
        # The plain LSTM is not the reference: its line is broken, that of forget bias 1 is whole.
        return "--" if name == "lstm" and not text else _KNOWN_LINES[text]
    return LINES[1 + _digest(text) % (len(LINES) - 1)]


def _pick(choices: tuple[str, ...], text: str) -> str:
    return choices[_digest(text) % len(choices)]


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])
