"""Text and numbers as they may stand in LaTeX, Markdown and CSV: whatever a record says is read, never obeyed.

Names of models and texts, and the words of errors, come from outside. Control and formatting characters (line ends,
right-to-left marks) are spelt out everywhere. What is made for LaTeX is pure ASCII, so that it needs no input encoding.
"""

import re
import unicodedata
from collections.abc import Mapping

from seqbench.judge.text import code, visible

_GREEK = "αβγδεζηθικλμνξπρστυφχψωςΓΔΘΛΞΠΣΥΦΨΩ"
_NAMES = {"lamda": "lambda", "epsilon": "varepsilon", "phi": "varphi", "final sigma": "varsigma"}


def _greek(letter: str) -> str:
    """Return the command of a letter from its Unicode name, `GREEK SMALL LETTER ALPHA`."""
    _, case, _, name = unicodedata.name(letter).lower().split(maxsplit=3)
    if case == "capital":
        return "\\" + {"lamda": "lambda"}.get(name, name).capitalize()
    return "\\" + _NAMES.get(name, name)


_MATHS = {
    "−": "-",
    "×": r"\times",
    "±": r"\pm",
    "·": r"\cdot",
    "≤": r"\leq",
    "≥": r"\geq",
    "≠": r"\neq",
    "≈": r"\approx",
    "∝": r"\propto",
    "∂": r"\partial",
    "∞": r"\infty",
    "∫": r"\int",
    "√": r"\surd",
    "∈": r"\in",
    "→": r"\to",
    "←": r"\leftarrow",
    "‖": r"\Vert",
    "⊙": r"\odot",
    "⌊": r"\lfloor",
    "⌋": r"\rfloor",
    "⟨": r"\langle",
    "⟩": r"\rangle",
    "ℓ": r"\ell",
    "µ": r"\mu",
} | {letter: _greek(letter) for letter in _GREEK}
_TEXT = {
    "\\": r"\textbackslash{}",
    "{": r"\textbraceleft{}",  # not \{ : BibTeX counts braces and knows no escape
    "}": r"\textbraceright{}",
    "[": "{[}",  # a row that begins with a bracket or a star would be read as an option of the row before
    "]": "{]}",
    "*": "{*}",
    "$": r"\$",
    "%": r"\%",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_\allowbreak{}",  # a line may break behind it, or behind a slash
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedblright{}",
    "`": r"\textasciigrave{}",
    "/": r"\slash{}",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "‘": r"\textquoteleft{}",
    "’": r"\textquoteright{}",
    "“": r"\textquotedblleft{}",
    "”": r"\textquotedblright{}",
    "…": r"\ldots{}",
    "§": r"\S{}",
    "½": "1\\slash{}2",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "œ": r"\oe{}",
    "Œ": r"\OE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    "\u00a0": "~",
    "\u2009": r"\,",
    "\u202f": r"\,",
    "ᵅ": r"\ensuremath{^{\alpha}}",  # Unicode has it as a Latin letter
}
_ACCENTS = {
    "\u0300": r"\`",
    "\u0301": r"\'",
    "\u0302": r"\^",
    "\u0303": r"\~",
    "\u0304": r"\=",
    "\u0306": r"\u",
    "\u0307": r"\.",
    "\u0308": r"\"",
    "\u030a": r"\r",
    "\u030b": r"\H",
    "\u030c": r"\v",
    "\u0327": r"\c",
}
_RAISED: Mapping[str, str] = {"<super>": r"\textsuperscript", "<sub>": r"\textsubscript"}
_LIGATURES = re.compile(r"([-',])(?=[-',])")
_FORMULA = tuple("=+-@＝＋－＠")


def latex(text: str) -> str:
    """Return a text for LaTeX's text mode, in ASCII; a character that pdfLaTeX lacks is spelt out, as `[U+4E2D]`."""
    found: list[str] = []
    for char in unicodedata.normalize("NFC", visible(text)):
        if found and char in _ACCENTS:
            found[-1] = f"{_ACCENTS[char]}{{{found[-1]}}}"
        else:
            found.append(_latex(char))
    return _LIGATURES.sub(r"\1{}", "".join(found))


def markdown(text: str) -> str:
    """Return a text for a line or a cell of Markdown (CommonMark, GitHub's tables): nothing marks it up or links it."""
    escaped = re.sub(r"([\\`*_{}\[\]<>|~$!&])", r"\\\1", visible(text))
    return re.sub(r"(:)(?=//)|(?<=www)(\.)", r"\\\g<0>", escaped, flags=re.IGNORECASE)


def csv_text(text: str) -> str:
    """Return a text for a cell of CSV: one that a spreadsheet would calculate has an apostrophe in front."""
    shown = visible(text)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


def maths(text: str) -> str:
    """Return numbers as the page prints them, `−0.571`, `[1.2e−4, 3]`, for text and mathematics of LaTeX alike."""
    words = {"–": r"\mbox{\textendash}", "no interval": r"\mbox{no interval}", ", ": r",\ "}
    found = re.sub(r"e(-?[0-9]+)", r"\\times10^{\1}", siunitx(text))
    for shown, meant in words.items():
        found = found.replace(shown, meant)
    return rf"\ensuremath{{{found}}}"


def siunitx(text: str) -> str:
    """Return a number as the page prints it for a column of siunitx: with a hyphen for its minus."""
    return text.replace("−", "-")


def _latex(char: str) -> str:
    if char in _TEXT:
        return _TEXT[char]
    if char in _MATHS:
        return rf"\ensuremath{{{_MATHS[char]}}}"
    if char.isascii():
        return char
    kind, *codes = unicodedata.decomposition(char).split() or [""]
    if kind in _RAISED and len(codes) == 1:
        return f"{_RAISED[kind]}{{{_latex(_char(codes[0]))}}}"
    if len(codes) == 1 and not kind.startswith("<") and (accent := _ACCENTS.get(_char(codes[0]))):
        return f"{accent}{{{_latex(_char(kind))}}}"
    return "".join(map(_latex, code(char)))


def _char(code: str) -> str:
    return chr(int(code, 16))
