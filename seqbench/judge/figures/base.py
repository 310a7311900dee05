"""The contract of a figure, and what all figures share.

A figure's module offers `TITLE`, `CAPTION`, `select(tables, study) -> frame` (the data behind it, written as CSV) and
`draw(frame) -> Figure`. An empty frame gives a figure that says so. It may offer `PROBES`, whose cells it shows ("" for
those that are trained and scored): models of which some have no record yet are then drawn pale.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, Protocol

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from matplotlib.transforms import ScaledTranslation

from seqbench.judge import scaling, stats, table
from seqbench.judge.figures import style
from seqbench.judge.table import Tables
from seqbench.judge.text import visible
from seqbench.plan import Study

KIND = "kind"
LABEL = "label"
MEAN = "mean"
LOWER = "lower"
UPPER = "upper"
N = "n"
FACET = "facet"
MEDIAN = "median"
EXPONENT = "exponent"
EXPONENT_LOWER = "exponent_lower"
EXPONENT_UPPER = "exponent_upper"
MICROSECONDS = 1e6
WIDTH_INCHES = 5.6
"""So narrow that a figure is read on a telephone without scrolling, its text being 9 points high."""
ENTRY_INCHES = 0.2
"""The height of a row of a legend below a panel."""
BESIDE_EACH_OTHER = 38
"""Up to so many characters two labels of a legend stand side by side."""
FACETS = (table.TASK, table.LENGTH, table.WIDTH, table.PARAMS)
"""What must be equal, beside the variant, for seeds to stand side by side in one panel."""
PLACED = (
    *(table.TASK, table.PROBE, table.MODEL, table.LENGTH, table.WIDTH, table.LAYERS),
    *(table.BATCH, table.THREADS, table.TIER),
)
"""What tells of a mark to which cells it belongs, as far as its frame has it."""
MANY = 20
"""Of more seeds than this no further one has a mark or a thin line of its own; means and intervals are of all."""
LEFT_OUT = f"There are more than {MANY} seeds of a model: the data hold what is drawn of them, not every seed."
MATCHED = "Where sizes were matched, width is that of the reference; the table of models has what was built."
BLOCKS = 25
"""Into how many blocks of steps a training is summed up, so that a long one stays a small figure."""


class Drawn(Protocol):
    """What is drawn: a title, a caption, and the figure of a frame."""

    TITLE: str
    CAPTION: str

    def draw(self, frame: pd.DataFrame) -> Figure:
        """Return the figure of a frame that `select` gave."""


class FigureModule(Drawn, Protocol):
    """What the module of a figure must offer."""

    def select(self, tables: Tables, study: Study) -> pd.DataFrame:
        """Return the data behind the figure, one row per mark."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the cells behind a figure have come: how many lack a record, and which of its models are unfinished."""

    missing: int
    planned: int
    models: frozenset[str]


COMPLETE = Progress(0, 0, frozenset())


def progress(frame: pd.DataFrame, cells: pd.DataFrame, probes: Sequence[str] | None) -> Progress:
    """Return what is missing behind a figure.

    frame: of its marks; a model is unfinished where a planned cell without a record has the keys of one of its marks.
    probes: of the cells that it shows, "" being those that are trained and scored; None: not known, nothing is told.
    """
    if probes is None:
        return COMPLETE
    shown = cells[cells[table.PROBE].isin(probes)]
    if table.TASK in frame and len(frame):
        shown = shown[shown[table.TASK].isin(frame[table.TASK].unique())]
    lost = shown[shown[table.STATUS] == table.MISSING]
    keys = [name for name in PLACED if name in frame]
    if lost.empty or table.MODEL not in keys:
        return Progress(len(lost), len(shown), frozenset())
    open_cells = {tuple(map(str, row)) for row in lost[keys].to_numpy()}
    marks = {tuple(map(str, row)) for row in frame[keys].drop_duplicates().to_numpy()}
    at = keys.index(table.MODEL)
    return Progress(len(lost), len(shown), frozenset(row[at] for row in open_cells & marks))


@contextmanager
def styled() -> Iterator[None]:
    """Draw in the suite's style, whatever the user's own settings are."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(style.RC)
        yield


def panels(count: int, *, height: float, sharex: bool = False) -> tuple[Figure, list[Axes]]:
    """Return a figure with `count` panels below one another, each `height` inches."""
    figure = Figure(figsize=(WIDTH_INCHES, max(1, count) * height), layout="constrained")
    axes = figure.subplots(max(1, count), 1, squeeze=False, sharex=sharex)
    return figure, list(axes[:, 0])


def empty(why: str = "no records") -> Figure:
    """Return the figure of nothing: it says that there is nothing."""
    with styled():
        figure = Figure(figsize=(WIDTH_INCHES, 1.2))
        figure.text(0.5, 0.5, why, ha="center", va="center", fontsize=10)
    return figure


def legend(axes: Axes, *, title: str | None = None) -> None:
    """Put the legend below a panel, where it hides nothing and no narrow page cuts it; the figure grows by its height.

    The first panel of a column has the axis labels above it, which take less than half an inch.
    """
    figure = axes.get_figure(root=True)
    labels = axes.get_legend_handles_labels()[1]
    if figure is None or not labels:
        return
    lines = [line for label in labels for line in label.split("\n")]
    columns = 2 if max(map(len, lines)) <= BESIDE_EACH_OTHER else 1
    below = axes.transAxes + ScaledTranslation(-0.5, -0.44, figure.dpi_scale_trans)
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(0, 0),
        bbox_transform=below,
        borderaxespad=0,
        ncols=columns,
        title=title,
        alignment="left",
        handlelength=2.6,
    )
    rows = 0.055 * len(labels) + 0.13 * len(lines)
    figure.set_figheight(figure.get_figheight() + rows / columns + (0.17 if title else 0.0) + 0.1)


def plain_log(axis: Axis) -> None:
    """Label a logarithmic axis with plain numbers at 1, 2 and 5, or with powers of ten where it spans many."""
    low, high = axis.get_view_interval()
    axis.set_minor_locator(NullLocator())
    if high > 1000 * low:
        axis.set_major_locator(LogLocator(base=10, numticks=8))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"10{_raised(round(np.log10(value)))}"))
        return
    axis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}".replace(",", " ")))


def _raised(power: int) -> str:
    """Return an exponent in raised digits, since labels are text and no mathematics."""
    return str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def trained_to_be_scored(series: pd.DataFrame, measurement: str) -> pd.DataFrame:
    """Return a measurement's series of cells trained to be scored; what a probe watches may be trained otherwise."""
    return series[(series[table.MEASUREMENT] == measurement) & (series[table.PROBE] == "")]


def blocked(series: pd.DataFrame) -> pd.DataFrame:
    """Return the median of every block of steps of every training, one row per block.

    Columns: task, length, width, params, layers, variant, seed, step, value, unit. A training that stopped early
    keeps its last value to the end of its facet, so that a median over seeds never loses those that were done first.
    """
    columns = [*FACETS, table.LAYERS, table.MODEL, table.SEED, table.UNIT]
    found = [_blocked(own, columns) for _, own in series.groupby(list(FACETS))]
    empty = pd.DataFrame(columns=[*columns[:-1], table.AT, table.VALUE, table.UNIT])
    return pd.concat(found, ignore_index=True)[empty.columns.to_list()] if found else empty


def _blocked(series: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Return the blocks of the trainings of one facet."""
    # Trainings as numbers in the order of their names: texts would be compared for every one of many points.
    training = series.groupby(columns).ngroup().rename("training")
    known = series[columns].groupby(training).first()
    points = table.points(series[[table.AT, table.VALUE]].join(training))
    points = points[np.isfinite(points[table.VALUE])]
    last = points[table.AT].max()
    size = np.maximum(1, np.ceil(last / BLOCKS))
    steps = np.minimum(np.ceil(points[table.AT] / size) * size, last)
    medians = points.groupby([points["training"], steps])[table.VALUE].median()
    filled = medians.unstack("training").ffill().unstack().dropna().rename(table.VALUE).reset_index()
    names: pd.DataFrame = known.take(filled.pop("training").to_numpy()).reset_index(drop=True)
    return names.join(filled)


def spanned(rows: pd.DataFrame) -> pd.DataFrame:
    """Return blocks of steps as they are or, where a model has more than `MANY` seeds, what `bands` draws of them.

    That is the least, the median and the greatest value of all seeds at every step, named so in place of the seed.
    """
    keys = [*FACETS, table.LAYERS, table.MODEL]
    if not rows.groupby(keys)[table.SEED].nunique().gt(MANY).any():
        return rows
    values = rows.groupby([*keys, table.AT, table.UNIT])[table.VALUE]
    found = {"least": values.min(), "median": values.median(), "greatest": values.max()}
    together: pd.DataFrame = pd.concat(found, names=[table.SEED]).reset_index().astype({table.SEED: "str"})
    return together[rows.columns.to_list()].sort_values([*keys, table.AT, table.VALUE], ignore_index=True)


def caption(drawn: Drawn, frame: pd.DataFrame, cells: pd.DataFrame | None = None) -> str:
    """Return what stands below a figure, with the tiers that occur in it and what its data leave out.

    cells: of the study, which say whether the widths of the frame are those of a reference.
    """
    matched = MATCHED if cells is not None and _is_matched(frame, cells) else ""
    parts = (drawn.CAPTION, _about_tiers(frame), matched, LEFT_OUT if summed_up(frame) else "")
    return " ".join(part for part in parts if part)


def _is_matched(frame: pd.DataFrame, cells: pd.DataFrame) -> bool:
    """Return whether a width in the frame is that of a cell whose own was found by matching."""
    if table.WIDTH not in frame:
        return False
    keys = [name for name in PLACED if name in frame]
    shown = frame[keys].drop_duplicates().astype(str)
    found = cells.loc[cells[table.MATCH] != "", keys].drop_duplicates().astype(str)
    return bool(len(shown.merge(found, on=keys)))


def _about_tiers(frame: pd.DataFrame) -> str:
    """Return what the tiers of timed rows mean, or nothing where all are timed as the library runs them."""
    names = sorted(set(frame[table.TIER]) - {""}) if table.TIER in frame else []
    if not names:
        return ""
    listed = "; ".join(f"{name} means {table.tier_in_words(name)}" for name in names)
    return f"After the device stands the tier: {listed}; none means {table.tier_in_words('')}."


def summed_up(frame: pd.DataFrame) -> bool:
    """Return whether rows of a frame stand for many seeds: these have a name, where a seed is a number."""
    return table.SEED in frame and isinstance(frame[table.SEED].dtype, pd.StringDtype)


def bands(axis: Axes, panel: pd.DataFrame) -> None:
    """Draw a line per model, the median over seeds at every step, with a band that spans the seeds."""
    for model in style.ordered(panel[table.MODEL]):
        look = style.look(model)
        at = panel[panel[table.MODEL] == model].groupby(table.AT)[table.VALUE]
        axis.fill_between(at.min().index, at.min(), at.max(), color=look.colour, alpha=0.12, linewidth=0)
        axis.plot(at.median(), color=look.colour, linestyle=look.line, linewidth=1.3, label=look.label)


def timed(tables: Tables, probes: tuple[str, ...]) -> pd.DataFrame:
    """Return one row per timing cell that ran: median seconds per token over the rounds that count, interval, n.

    The interval is the order statistics of the rounds, each side at .025; a contended cell has no number. Beside it
    stands the exponent in length of the call's time, of the model and batch that the cell belongs to, with its interval
    (`scaling.exponent`); none where a single length was timed.
    """
    columns = [table.MACHINE, table.PROBE, table.DEVICE, table.BATCH]
    columns += [table.LENGTH, table.MODEL, table.WIDTH, table.SEED]
    names = [*columns, table.THREADS, table.TIER, table.STATUS, table.ERROR]
    cells = tables.cells[tables.cells[table.PROBE].isin(probes) & (tables.cells[table.STATUS] != table.MISSING)]
    exponents = {
        name: row.exponent for row in scaling.timed(tables, probes) for name in row.fingerprints if row.exponent
    }
    rows = []
    for cell in cells.sort_values([*columns, table.FINGERPRINT]).to_dict("records"):
        values = table.kept_seconds(tables, str(cell[table.FINGERPRINT]))
        inside = stats.order_statistics(values, lower_level=0.025, upper_level=0.025)
        found = {name: cell[name] for name in names}
        found |= {MEDIAN: float(np.median(values)) if len(values) else np.nan, N: len(values)}
        law = exponents.get(str(cell[table.FINGERPRINT]))
        bounds = (law.value, law.lower, law.upper) if law else (np.nan, np.nan, np.nan)
        found |= dict(zip((EXPONENT, EXPONENT_LOWER, EXPONENT_UPPER), bounds, strict=True))
        rows.append(found | {LOWER: inside.lower, UPPER: inside.upper})
    last = [MEDIAN, LOWER, UPPER, N, EXPONENT, EXPONENT_LOWER, EXPONENT_UPPER]
    return pd.DataFrame(rows, columns=[*names, *last])


def place_of(rows: pd.DataFrame, *, among: pd.DataFrame) -> str:
    """Return the device of timed rows, and their machine where `among` has several: their times share no axis."""
    device, machine = rows[table.DEVICE].iloc[0], rows[table.MACHINE].iloc[0]
    return f"{device} of {machine}" if among[table.MACHINE].nunique() > 1 else str(device)


def time_axes(axis: Axes, rows: pd.DataFrame, *, title: str, law: str) -> None:
    """Draw microseconds per token against length, a line per model with intervals; the title has contended lengths.

    law: what the exponent in the legend speaks of.
    """
    for model in style.ordered(rows[table.MODEL]):
        look, own = style.look(model), rows[(rows[table.MODEL] == model) & rows[MEDIAN].notna()]
        label = look.label + _exponent(own)
        own = own.groupby(table.LENGTH)[[MEDIAN, LOWER, UPPER]].median() * MICROSECONDS
        bars = np.array([own[MEDIAN] - own[LOWER], own[UPPER] - own[MEDIAN]])
        axis.errorbar(
            own.index,
            own[MEDIAN],
            yerr=np.where(np.isfinite(bars), bars, 0.0),
            color=look.colour,
            marker=look.marker,
            linestyle=look.line,
            elinewidth=0.9,
            capsize=2,
            label=label,
        )
    noisy = sorted(set(rows[rows[table.STATUS] == "contended"][table.LENGTH]))
    lost = f"; contended, no number: T {', '.join(map(str, noisy))}" if noisy else ""
    axis.set(title=title + lost, xscale="log")
    ticks_at(axis.xaxis, rows[table.LENGTH])
    if rows[MEDIAN].notna().any():  # where nothing has a number a logarithmic axis has no place to stand
        axis.set(yscale="log")
        plain_log(axis.yaxis)
    legend(axis, title=law if rows[EXPONENT].notna().any() else None)


def _exponent(rows: pd.DataFrame) -> str:
    """Return `: 1.28 [1.25, 1.31]`, or nothing where there is no exponent, or several of machines or sizes."""
    known = rows[[EXPONENT, EXPONENT_LOWER, EXPONENT_UPPER]].dropna().drop_duplicates().to_numpy(dtype=np.float64)
    if len(known) != 1:
        return ""
    value, lower, upper = (f"{bound:.2f}".replace("-", "−") for bound in known[0])
    return f": {value} [{lower}, {upper}]" if np.isfinite(known).all() else f": {value} [no interval]"


def with_facets(rows: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    """Return rows with a column that names their panel by the values of `columns`, as "T 200, width 32"."""
    words = {table.LENGTH: "T", table.WIDTH: "width", table.PARAMS: "", table.TASK: ""}
    kinds = rows[list(columns)].drop_duplicates()
    texts = [
        ", ".join(
            f"{words.get(name, name)} {_plain(name, row[name])}".strip()
            for name in columns
            if row[name] not in ("", "{}")
        )
        for row in kinds.to_dict("records")
    ]
    number = rows.groupby(list(columns), sort=False, dropna=False).ngroup()  # in order of appearance, as `kinds`
    return rows.assign(**{FACET: pd.Series(texts, dtype="str").take(number.to_numpy()).set_axis(rows.index)})


def with_sizes(rows: pd.DataFrame, columns: tuple[str, ...] = FACETS) -> pd.DataFrame:
    """Return rows with their panel as `with_facets` names it, and by depth too where a model has several in one.

    Models of different depth stand side by side; one model of two depths is two things that no mean may join.
    """
    named = with_facets(rows, columns)
    depths = named.groupby([FACET, table.MODEL])[table.LAYERS].nunique().groupby(FACET).max()
    texts = named[FACET] + named[table.LAYERS].map(lambda count: f", {plural(count, 'layer')}")
    return named.assign(**{FACET: texts.where(named[FACET].map(depths) > 1, named[FACET])})


def faceted(frame: pd.DataFrame, panel: Callable[[Axes, pd.DataFrame, str], None], *, height: float) -> Figure:
    """Return a panel for each task, parameters, length and size of the rows with a number: `panel(axis, rows, title)`.

    height: of a panel, in inches. Without such rows the figure says that there are none.
    """
    rows = frame[np.isfinite(frame[table.VALUE].astype(float))]
    if rows.empty:
        return empty()
    rows = with_sizes(rows)
    with styled():
        names = list(rows[FACET].unique())
        figure, axes = panels(len(names), height=height)
        for axis, name in zip(axes, names, strict=True):
            panel(axis, rows[rows[FACET] == name], name)
    return figure


def plural(count: int, noun: str) -> str:
    """Return a number with its noun, as "1 layer" or "2 layers"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def mean_line(
    axis: Axes,
    rows: pd.DataFrame,
    look: style.Look,
    *,
    at: str,
    seed: str = table.SEED,
    shift: float = 1.0,
    label: str = "",
    fill: Literal["full", "none", "left", "top", "right", "bottom"] = "full",
) -> None:
    """Draw seeds as thin marks, and the line of their means with intervals: the value against the column `at`.

    seed: the column that tells replicates apart.
    shift: the factor by which marks stand beside their place, so that several models at one place can be told apart.
    """
    finite = rows[np.isfinite(rows[table.VALUE].astype(float))]
    means = summary(finite, [at])
    some = some_seeds(finite, seed=seed)
    seeds = (some[at] * shift, some[table.VALUE])
    axis.plot(*seeds, look.marker, color=look.colour, fillstyle=fill, alpha=0.3, markersize=2.5)
    bars = (means[MEAN] - means[LOWER], means[UPPER] - means[MEAN])
    axis.errorbar(
        means[at] * shift,
        means[MEAN],
        yerr=np.nan_to_num(np.array(bars, dtype=np.float64)),
        color=look.colour,
        marker=look.marker,
        fillstyle=fill,
        linestyle=look.line,
        elinewidth=0.9,
        capsize=2,
        label=f"{label or look.label} ({counted(means[N])})",
    )


def some_seeds(rows: pd.DataFrame, *, seed: str = table.SEED) -> pd.DataFrame:
    """Return the rows of the first `MANY` seeds: more marks could not be told apart, and would swell the page."""
    seeds = np.sort(rows[seed].unique())
    return rows if len(seeds) <= MANY else rows[rows[seed].isin(seeds[:MANY])]


def counted(n: "pd.Series[int]") -> str:
    """Return how many seeds the marks of a line stand for, as "n = 5" or, where some lack, "n = 3 to 5"."""
    if n.empty:
        return "n = 0"
    low, high = int(n.min()), int(n.max())
    return f"n = {high}" if low == high else f"n = {low} to {high}"


def beside(place: int, count: int, *, by: float = 1.03) -> float:
    """Return the factor by which the marks of one of `count` models stand beside their place on a log axis."""
    return float(by ** (place - (count - 1) / 2))


def ticks_at(axis: Axis, places: Iterable[float]) -> None:
    """Label an axis at these places alone, with plain numbers."""
    found = sorted(set(places))
    axis.set_ticks(found, labels=[f"{place:g}" for place in found])
    axis.set_minor_locator(NullLocator())


def _plain(name: str, value: object) -> str:
    """Return a value as people read it; parameters as "order sorted" rather than as JSON."""
    if name != table.PARAMS:
        return _whole(value)
    return ", ".join(f"{key} {_whole(inner)}" for key, inner in sorted(json.loads(str(value)).items()))


def _whole(value: object) -> str:
    """Return a value as text, a whole number without its point."""
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else visible(str(value))


def summary(rows: pd.DataFrame, by: list[str], *, level: float = 0.025) -> pd.DataFrame:
    """Return mean, Student-t bounds (each one-sided at `level`) and n of the finite values of every group."""
    finite = rows[np.isfinite(rows[table.VALUE].astype(float))]
    found = []
    for key, group in finite.groupby(by, sort=True):
        values = group[table.VALUE].to_numpy(dtype=np.float64)
        inside = stats.t_bounds(values, lower_level=level, upper_level=level)
        bounds = (inside.lower, inside.upper) if len(values) > 1 else (np.nan, np.nan)
        found.append(
            dict(zip(by, key, strict=True)) | {MEAN: values.mean(), LOWER: bounds[0], UPPER: bounds[1], N: len(values)}
        )
    return pd.DataFrame(found, columns=[*by, MEAN, LOWER, UPPER, N])
