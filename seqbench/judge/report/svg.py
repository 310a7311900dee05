"""From a matplotlib figure to SVG, PDF or PNG: the same bytes every time, as a file and as a part of a page."""

import base64
import hashlib
import io
import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from seqbench.judge.figures import style

FORMATS = ("pdf", "png")
"""What figures can be written as, beside SVG."""
_HASH_SALT = "seqbench"
_SETTINGS: dict[Any, Any] = {"svg.hashsalt": _HASH_SALT, "svg.fonttype": "none", "pdf.fonttype": 42}
_UNDATED: dict[str, dict[str, str | None]] = {
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}
_PNG_DPI = 200
_PLACES, _PLACES_OF_MARKS = 1, 2
"""Decimals of a coordinate in points, 1/72 inch: a tenth cannot be seen in a line, but would deform a small mark."""
_LONG = 400
"""Characters of a path of straight lines, as matplotlib writes it, of which no mark has so many."""
_SEEN = 0.2
"""How far, in points, a line may run from where it was: a fifth of its width."""
_COORDINATES = ("x", "y", "width", "height", "x1", "y1", "x2", "y2", "cx", "cy", "r")
_DRAWN_FONT, _FALLBACK = "font-family: 'DejaVu Sans'", ", Verdana, sans-serif"
"""Drawn with one font, which is quicker than looking through a list for every text; a reader may lack it."""
_FONTS = "DejaVu Sans,Verdana,sans-serif"
_IMPLIED = ("font-family", "stroke-dashoffset: 0")
"""What is said once of a whole drawing, or is so unsaid."""
_CLIPPED = re.compile(r'clip-path="url\(#(p[0-9a-f]{10})\)"')
_CLIP = re.compile(r'(?<=url\(#)p[0-9a-f]{10}(?=\))|(?<=<clipPath id=")p[0-9a-f]{10}(?=")')
_PANEL = re.compile(r"axes_\d+$")
_STRAIGHT = re.compile(r"M-?[\d.]+[ -][\d.]+l(?:0[ -][\d.]+|-?[\d.]+ 0)")
_TICK = re.compile(r"M0 0l(?:0[ -][\d.]+|-?[\d.]+ 0)")
_TOKEN = re.compile(r"[A-Za-z]|-?\d*\.?\d+(?:e-?\d+)?")


def standalone(figure: Figure) -> str:
    """Return a figure as an SVG file: text as text, no date, no random ids."""
    buffer = io.BytesIO()
    canvas = FigureCanvasSVG(figure)
    with mpl.rc_context(_SETTINGS), _any_script():
        # Laid out and drawn once each: `savefig` draws a figure with a layout twice.
        if layout := figure.get_layout_engine():
            layout.execute(figure)
            figure.set_layout_engine("none")
        canvas.print_svg(buffer, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    return _numbered(buffer.getvalue().decode()).replace(_DRAWN_FONT, _DRAWN_FONT + _FALLBACK)


def written(figure: Figure, form: str) -> bytes:
    """Return a figure as a file of one of FORMATS, without date or name of a program."""
    buffer = io.BytesIO()
    with mpl.rc_context(_SETTINGS), _any_script():
        figure.savefig(buffer, format=form, metadata=_UNDATED[form], dpi=_PNG_DPI)
    return buffer.getvalue()


def bands(figure: Figure) -> tuple[float, ...]:
    """Return between which heights panels lie that stand below one another, as shares from above, first 0 and last 1.

    A figure drawn by `standalone` is asked. One whose panels, or whose legend, belong to several rows has one band.
    """
    if figure.legends or figure.subfigs or len(figure.axes) == 1:
        return 0.0, 1.0
    legends = [[legend] if (legend := axes.get_legend()) else [] for axes in figure.axes]
    # What is drawn within a panel is clipped by it; to measure every mark would take as long as to draw them.
    spans = [axes.get_tightbbox(bbox_extra_artists=own) for axes, own in zip(figure.axes, legends, strict=True)]
    boxes = sorted((box.y0, box.y1) for box in spans if box is not None)[::-1]
    apart = all(lower[1] <= upper[0] + 1 for upper, lower in pairwise(boxes))
    if not apart:
        return 0.0, 1.0
    height = figure.bbox.height
    return 0.0, *(1 - (upper[0] + lower[1]) / 2 / height for upper, lower in pairwise(boxes)), 1.0


def inline(svg: str, *, name: str, title: str, cut: tuple[float, ...] = (0.0, 1.0)) -> str:
    """Return an SVG file as a small element that can stand in a page beside others, or as one for each of its bands.

    Its ids are its own, by a hash of its name; its global style and fixed size are gone, its ink follows the page's
    text colour, and it has a title for those who do not see it. Coordinates are rounded to what can be seen, and what
    is said of many marks is said once: declarations are classes, named by their hash, so that figures may share them.
    cut: where it is cut into bands, so that a printed page may end between two panels.
    """
    root = ElementTree.fromstring(svg.replace(style.INK, "currentColor"))  # noqa: S314 drawn here, by matplotlib
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
    _split(root, len(cut) - 1)
    _prune(root)
    _rename(root, _key(name, 3))
    _round(root, _PLACES)
    _gather(root)
    rules = _classes(root)
    if rules:
        sheet = ElementTree.Element("style")
        sheet.text = "".join(f".{key}{{{rules[key]}}}" for key in sorted(rules))
        root[0].insert(0, sheet)
    places = [float(place) for place in root.get("viewBox", "").split()]
    for number, (part, (top, bottom)) in enumerate(zip(root, pairwise(cut), strict=True), start=1):
        of = f", part {number} of {len(root)}" if len(root) > 1 else ""
        label = f"{name}-title" + (f"-{number}" if of else "")
        view = (places[0], places[1] + top * places[3], places[2], (bottom - top) * places[3])
        part.attrib = {"xmlns": "http://www.w3.org/2000/svg", "viewBox": " ".join(map(_short, view))}
        part.attrib |= {"role": "img", "aria-labelledby": label, "font-family": _FONTS}
        heading = ElementTree.Element("title", {"id": label})
        heading.text = f"{title}{of}"
        part.insert(0, heading)
    return "".join(ElementTree.tostring(part, encoding="unicode") for part in root).replace(" />", "/>")


def _split(root: ElementTree.Element, parts: int) -> None:
    """Put what is drawn into one `svg` for each part: a panel in its own, all else in the first."""
    found = [ElementTree.Element("svg") for _ in range(parts)]
    figure = root.find("g[@id='figure_1']")
    panels = [] if figure is None or parts == 1 else [each for each in figure if _PANEL.match(each.get("id", ""))]
    for panel, part in zip(panels[1:], found[1:], strict=True):
        figure.remove(panel)  # type: ignore[union-attr]
        part.append(panel)
    found[0].extend(root)
    root[:] = found


@contextmanager
def _any_script() -> Iterator[None]:
    """Let names be written in any script: in SVG they are text, which the reader's own fonts draw."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from font")
        warnings.filterwarnings("ignore", message=r"Matplotlib currently does not support .* natively")
        yield


def _numbered(svg: str) -> str:
    """Name every clip by its place in the order of use.

    matplotlib's name is a hash of all digits of where it lies, more than it writes; the last ones are rounding noise of
    the layout's solver, which differs from one process to the next.
    """
    used = dict.fromkeys(_CLIPPED.findall(svg))
    numbers = {name: f"clip{number}" for number, name in enumerate(used)}
    return _CLIP.sub(lambda found: numbers.get(found[0], found[0]), svg)


def _prune(element: ElementTree.Element) -> None:
    """Drop metadata, global style, white space between elements, and groups that say nothing."""
    kept = []
    for child in element:
        if child.tag in ("metadata", "style"):
            continue
        if child.tag != "text":
            _prune(child)
            child.text = None
        child.tail = None
        empty = child.tag in ("g", "defs") and not len(child)
        bare = child.tag == "g" and set(child.attrib) <= {"id"}
        kept += [] if empty else list(child) if bare else [child]
    element[:] = kept
    element.text = None


def _key(text: str, digits: int) -> str:
    """Return a short name for a text that is its own: a letter and the first digits of its hash."""
    return "v" + base64.b32encode(hashlib.sha256(text.encode()).digest()).decode()[:digits].lower()


def _rename(root: ElementTree.Element, name: str) -> None:
    """Give numbers to the ids that something points to, behind a name of the figure, and drop all others."""
    used: dict[str, str] = {}
    link = re.compile(r"(?:^|url\()#([^)]+)")
    for element in root.iter():
        for key, value in element.attrib.items():
            if key in ("href", "clip-path", "style") and (found := link.search(value)):
                used.setdefault(found[1], f"{name}-{len(used)}")
    for element in root.iter():
        own = element.attrib.pop("id", "")
        if own in used:
            element.set("id", used[own])
        for key in ("href", "clip-path", "style"):
            if pointing := element.get(key):
                element.set(key, link.sub(lambda found: found[0].replace(found[1], used[found[1]]), pointing))


def _round(element: ElementTree.Element, places: int) -> None:
    for child in element:
        own = _PLACES_OF_MARKS if child.tag in ("defs", "pattern") else places
        for key in _COORDINATES:
            if (value := child.get(key)) and not value.endswith("%"):
                child.set(key, _short(round(float(value), own)))
        if path := child.get("d"):
            is_mark = len(path) < _LONG or "C" in path  # round
            child.set("d", rounded_path(path if is_mark else _straightened(path), own if is_mark else _PLACES))
        if turn := child.get("transform"):
            turn = re.sub(r"rotate\(-?0(\.0*)? [^)]*\)", "", turn).strip()
            turn = re.sub(r"\d+\.\d{4,}", lambda found: _short(round(float(found[0]), 3)), turn)
            child.attrib.pop("transform") if not turn else child.set("transform", turn)
        _round(child, own)


def rounded_path(path: str, places: int) -> str:
    """Return a path of absolute commands with so many decimals; steps too small to be seen are left out.

    Straight lines become relative ones, whose numbers are short; every place is rounded before it is subtracted, so
    that errors do not add up.
    """
    parts: list[str] = []
    here: tuple[float, float] | None = None
    shown = ""
    for command, numbers in _commands(path):
        values = [round(number, places) for number in numbers]
        name = command
        if command == "L" and here:
            name, values = "l", [round(values[0] - here[0], places), round(values[1] - here[1], places)]
        if name == shown == "l" and not any(values):
            continue
        text = _joined(values)
        same = name == shown and name != "M"
        parts.append((" " if same and not text.startswith("-") else "" if same else name) + text)
        shown = name
        here = (round(numbers[-2], places), round(numbers[-1], places)) if numbers else here
    return "".join(parts)


def _straightened(path: str) -> str:
    """Return a path of absolute straight lines without the corners whose loss cannot be seen; another as it is."""
    lines: list[list[tuple[float, float]]] = []
    ends: list[str] = []
    for command, numbers in _commands(path):
        if command == "M":
            lines.append([])
            ends.append("")
        if command in ("M", "L"):
            lines[-1].append((numbers[0], numbers[1]))
        elif command == "z":
            ends[-1] = " z"
        else:
            return path
    return " ".join(
        f"M {' L '.join(f'{x:.6f} {y:.6f}' for x, y in _corners(line))}{end}"
        for line, end in zip(lines, ends, strict=True)
    )


def _corners(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the corners without which a line would be further than `_SEEN` from where it ran (Douglas & Peucker 1973).

    First and last stay.
    """
    kept = {0, len(points) - 1}
    spans = [(0, len(points) - 1)]
    while spans:
        first, last = spans.pop()
        (x, y), (to_x, to_y) = points[first], points[last]
        length = math.hypot(to_x - x, to_y - y)
        furthest, place = _SEEN, 0
        for number in range(first + 1, last):
            across, along = points[number][0] - x, points[number][1] - y
            off = abs(across * (to_y - y) - along * (to_x - x)) / length if length else math.hypot(across, along)
            if off > furthest:
                furthest, place = off, number
        if place:
            kept.add(place)
            spans += [(first, place), (place, last)]
    return [points[number] for number in sorted(kept)]


def _commands(path: str) -> Iterator[tuple[str, list[float]]]:
    """Return every command with its numbers, those that matplotlib writes: M, L, Q, C and z."""
    command = ""
    numbers: list[float] = []
    takes = {"M": 2, "L": 2, "Q": 4, "C": 6, "Z": 0}
    for token in _TOKEN.findall(path):
        if token.isalpha():
            command, numbers = token.upper(), []
        else:
            numbers.append(float(token))
        if command and len(numbers) == takes[command]:
            yield ("z" if command == "Z" else command), numbers
            numbers = []


def _joined(numbers: list[float]) -> str:
    text = ""
    for number in numbers:
        short = _short(number)
        text += short if not text or short.startswith("-") else f" {short}"
    return text


def _short(number: float) -> str:
    """Return a number without what is not needed to read it: 0.50 as .5, 3.0 as 3."""
    text = f"{number:.3f}".rstrip("0").rstrip(".")
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    return "0" if digits == "0" else sign + (digits.removeprefix("0") if digits.startswith("0.") else digits)


def _gather(element: ElementTree.Element) -> None:
    """Clip neighbours that are clipped alike together."""
    kept: list[ElementTree.Element] = []
    for child in element:
        _gather(child)
        clip = child.attrib.pop("clip-path", None)
        if clip is None:
            kept.append(child)
            continue
        if not (kept and kept[-1].tag == "g" and kept[-1].attrib == {"clip-path": clip}):
            kept.append(ElementTree.Element("g", {"clip-path": clip}))
        kept[-1].extend(list(child) if child.tag == "g" and not child.attrib else [child])
    element[:] = kept


def _classes(root: ElementTree.Element) -> dict[str, str]:
    """Replace styles by classes, one for all marks of a group where they agree, and return what each declares."""
    rules: dict[str, str] = {}
    for element in root.iter():
        if declared := element.attrib.pop("style", None):
            parts = (part.strip() for part in declared.split(";"))
            rule = ";".join(re.sub(r":\s+", ":", part) for part in parts if part and not part.startswith(_IMPLIED))
            key = _key(rule, 5)
            rules[key] = rule
            element.set("class", key)
    _strike(root)
    _share(root)
    return rules


def _strike(root: ElementTree.Element) -> None:
    """Draw the lines of a grid in one stroke, and the ticks of an axis in another: the many that are alike otherwise.

    Lines join the first of their kind as long as nothing but such lines, ticks and texts stands between them.
    """
    marks = {f"#{mark.get('id')}": mark for defs in root.iter("defs") for mark in defs if mark.tag == "path"}
    for parent in list(root.iter()):
        kept: list[ElementTree.Element] = []
        first: dict[tuple[str, ...], ElementTree.Element] = {}
        for child in parent:
            kind, path = _stroke(child, marks)
            if path is None:
                first = first if child.tag in ("text", "defs") else {}
                kept.append(child)
            elif kind in first:
                first[kind].set("d", first[kind].get("d", "") + path)
            else:
                wrap, line = ElementTree.Element("g", {kind[0]: kind[1]}), ElementTree.Element("path", {"d": path})
                line.attrib |= {"class": kind[2]} if kind[2] else {}
                wrap.append(line)
                first[kind] = line
                kept.append(wrap)
        parent[:] = kept
    pointed = {use.get("href") for use in root.iter("use")}
    for parent in root.iter():
        for defs in [each for each in parent if each.tag == "defs"]:
            defs[:] = [mark for mark in defs if mark.tag != "path" or f"#{mark.get('id')}" in pointed]
        parent[:] = [each for each in parent if each.tag != "defs" or len(each)]


def _stroke(
    child: ElementTree.Element, marks: dict[str, ElementTree.Element]
) -> tuple[tuple[str, str, str], str | None]:
    """Return of a straight line of a grid, or of a tick, what it has in common with others, and where it runs."""
    if (
        child.tag == "g"
        and set(child.attrib) == {"clip-path"}
        and len(child) == 1
        and set(child[0].attrib) == {"d", "class"}
    ):
        line = child[0].get("d", "")
        if child[0].tag == "path" and _STRAIGHT.fullmatch(line):
            return ("clip-path", child.get("clip-path", ""), child[0].get("class", "")), line
    mark = marks.get(child.get("href", "")) if child.tag == "use" else None
    if mark is not None and set(child.attrib) == {"href", "x", "y", "class"} and _TICK.fullmatch(mark.get("d", "")):
        place = f"M{child.get('x')} {child.get('y')}{mark.get('d', '').removeprefix('M0 0')}"
        return ("class", child.get("class", ""), mark.get("class", "")), place
    return ("", "", ""), None


def _share(element: ElementTree.Element) -> None:
    """Say a class that neighbouring marks have in common once, of a group around them."""
    kept: list[ElementTree.Element] = []
    for child in element:
        _share(child)
        if child.tag not in ("use", "text") or "class" not in child.attrib:
            kept.append(child)
            continue
        own = {"class": child.attrib.pop("class")}
        if not (kept and kept[-1].tag == "g" and kept[-1].attrib == own):
            kept.append(ElementTree.Element("g", own))
        kept[-1].append(child)
    for place, group in enumerate(kept):
        if group.tag == "g" and len(group) == 1 and group[0].tag in ("use", "text") and set(group.attrib) == {"class"}:
            kept[place] = group[0]
            kept[place].set("class", group.attrib["class"])
    element[:] = kept
