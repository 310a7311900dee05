"""From a matplotlib figure to SVG: the same bytes every time, as a file and as a part of a page."""

import html
import io
import re

import matplotlib as mpl
from matplotlib.figure import Figure

from seqbench.judge.figures import style

_HASH_SALT = "seqbench"


def standalone(figure: Figure) -> str:
    """Return a figure as an SVG file: text as text, no date, no random ids."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": _HASH_SALT, "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def inline(svg: str, *, name: str, title: str) -> str:
    """Return an SVG file as an element that can stand in a page beside others.

    Its ids carry the figure's name, its global style and fixed size are gone, its ink follows the page's text colour,
    and it has a title for those who do not see it.
    """
    body = svg[svg.index("<svg") :].strip()
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.S)
    body = re.sub(r"<style\b.*?</style>", "", body, flags=re.S)
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", body)
    body = re.sub(r'(xlink:href|href)="#([^"]+)"', rf'\1="#{name}-\2"', body)
    body = body.replace(style.INK, "currentColor")
    head, _, rest = body.partition(">")
    box = re.search(r'viewBox="[^"]+"', head)
    label = f"{name}-title"
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'{box[0] if box else ""} role="img" aria-labelledby="{label}">'
    )
    return f'{opening}<title id="{label}">{html.escape(title)}</title>{rest}'
