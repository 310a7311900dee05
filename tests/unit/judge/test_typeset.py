"""Texts from records as LaTeX, Markdown and CSV: read, never obeyed."""

import csv
import io
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from seqbench.judge.report import typeset

HOSTILE = [
    "<script>alert(1)</script>",
    "[x](javascript:alert(1))",
    "](javascript:alert(1))",
    "![x](https://example.org/x.png) https://example.org www.example.org",
    r"\input{x} $ % & # _ ^ ~ { } \end{document}",
    "}{{ unbalanced",
    "a\u202eb\u2066c\u200fd\u0000e",
    "| a | b |\n| c |",
    "`code` *bold* __bold__ ~~gone~~ &lt; \\",
    "=1+1",
    "'' -- `` ?` !` --- ,,",
]
READ = {
    "textbackslash": "\\",
    "textbraceleft": "{",
    "textbraceright": "}",
    "textasciicircum": "^",
    "textasciitilde": "~",
    "textless": "<",
    "textgreater": ">",
    "textbar": "|",
    "textquotedblright": '"',
    "textasciigrave": "`",
    "slash": "/",
    "allowbreak": "",
}
"""What a reader sees of the commands that ASCII becomes."""
texts = st.text() | st.sampled_from(HOSTILE)


def read(source):
    """Return what LaTeX prints of text in ASCII; a character with a meaning of its own fails."""
    found, rest = [], source
    while rest:
        if match := re.match(r"\\([A-Za-z]+)\{\}", rest):
            found.append(READ[match[1]])
        elif match := re.match(r"(?:\\(?=[$%&#_])|\{(?=[\[\]*]\}))(.)\}?", rest):
            found.append(match[1])
        elif match := re.match(r"\{\}", rest):
            assert rest[2] == found[-1] or {rest[2], found[-1]} <= set("-',"), rest
        else:
            match = re.match(r"[^\\{}$%&#_^~<>|\"`\[\]*]", rest)
            assert match, rest
            found.append(match[0])
        rest = rest[match.end() :]
    return "".join(found)


@given(st.text(st.characters(max_codepoint=126, min_codepoint=32)) | st.sampled_from(HOSTILE[:5]))
def test_ascii_reads_in_latex_as_it_was_written(text):
    """Every mark of TeX is printed, none is obeyed, no two characters become a ligature."""
    assert read(typeset.latex(text)) == typeset.visible(text)


@given(texts)
def test_latex_is_ascii_with_balanced_braces(text):
    """No input encoding is needed, and BibTeX, which counts braces without knowing escapes, finds the field's end."""
    found = typeset.latex(text)
    assert found.isascii()
    depth = 0
    for char in found:
        depth += {"{": 1, "}": -1}.get(char, 0)
        assert depth >= 0
    assert depth == 0
    assert not any(unicodedata.category(char) == "Cc" for char in found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("θ ≤ −0.5", r"\ensuremath{\theta} \ensuremath{\leq} \ensuremath{-}0.5"),
        ("cT² Λ ωₙ", r"cT\textsuperscript{2} \ensuremath{\Lambda} \ensuremath{\omega}\textsubscript{n}"),
        ("Müller, Łódź, h̃, Ὰ", r"M\"{u}ller, \L{}\'{o}d\'{z}, \~{h}, \`{{[}U+0391{]}}"),
        ("a\u202eb 中", "a{[}U+202E{]}b {[}U+4E2D{]}"),
        ("µφ½–", r"\ensuremath{\mu}\ensuremath{\varphi}1\slash{}2\textendash{}"),
    ],
)
def test_signs_of_mathematics_and_accents_have_commands(text, expected):
    """What texts of claims use is set as it looks; what pdfLaTeX lacks is spelt out."""
    assert typeset.latex(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("−0.571", r"\ensuremath{-0.571}"),
        ("1.23e−4", r"\ensuremath{1.23\times10^{-4}}"),
        ("[−1.20e−4, 3.00e12]", r"\ensuremath{[-1.20\times10^{-4},\ 3.00\times10^{12}]}"),
        ("–", r"\ensuremath{\mbox{\textendash}}"),
        ("[no interval]", r"\ensuremath{[\mbox{no interval}]}"),
    ],
)
def test_numbers_keep_their_digits(text, expected):
    """A number is the one of the page, for text and mathematics alike."""
    assert typeset.maths(text) == expected


def shown(tokens):
    """Return the text of inline tokens; anything but text fails."""
    assert {token.type for token in tokens} <= {"text", "text_special"}, [token.type for token in tokens]
    return "".join(token.content for token in tokens)


@given(texts)
def test_markdown_shows_a_text_and_nothing_else(text):
    """CommonMark finds no markup in it, in a line or in a cell of a table."""
    reader = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    escaped = typeset.markdown(text)
    expected = typeset.visible(text)
    assert shown(reader.parseInline(escaped)[0].children) == expected
    table = reader.parse(f"| a | b |\n| --- | --- |\n| {escaped} | x |\n")
    cells = [token.children for token in table if token.type == "inline"]
    assert [shown(cell) for cell in cells] == ["a", "b", expected, "x"]


@pytest.mark.parametrize("text", ["https://example.org", "WWW.example.org", "ftp://x"])
def test_markdown_makes_no_link_of_an_address(text):
    """GitHub links bare addresses; one with an escape in it stays text."""
    assert not re.search(r"(?<!\\)://|www\.", typeset.markdown(text), re.IGNORECASE)


@given(texts | st.text().map("=".__add__) | st.text().map("\t@".__add__))
def test_a_spreadsheet_calculates_nothing(text):
    """No cell begins as a formula does, and reading it back gives the text."""
    out = io.StringIO()
    csv.writer(out).writerow(["first", typeset.csv_text(text)])
    (row,) = csv.reader(io.StringIO(out.getvalue()))
    assert not row[1].startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"))
    assert row[1].removeprefix("'") == typeset.visible(text).removeprefix("'")


@given(texts)
def test_nothing_acts_unseen(text):
    """One line, and no character that changes how others look."""
    assert not any(unicodedata.category(char)[0] == "C" for char in typeset.visible(text))
