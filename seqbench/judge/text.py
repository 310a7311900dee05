"""What comes from records as text that is read and never acts: no character that is not seen is left as it is."""

import unicodedata


def spelt(text: str) -> str:
    """Return a text with every character that is not seen but acts spelt out, as `[U+202E]`; lines stay lines."""
    return "".join(char if char in "\n\t" or unicodedata.category(char)[0] != "C" else code(char) for char in text)


def visible(text: str) -> str:
    """Return a text on one line, with every character that is not seen but acts spelt out."""
    return spelt(" ".join(text.split()))


def code(char: str) -> str:
    """Return a character by its number, as `[U+202E]`."""
    return f"[U+{ord(char):04X}]"
