"""The word lists of Chronicle; changing any of them changes the text, so it raises WORDS_VERSION.

Names and places begin with distinct capitals, and no noun or verb is another one followed by 's': only so is
every set of continuations prefix-free, and the first letter of a name decides it.
"""

WORDS_VERSION = 1

NAMES = (
    "Alva", "Bruno", "Clara", "Dorin", "Edda", "Felix", "Greta", "Hugo",
    "Ilse", "Jonas", "Karin", "Linus", "Mara", "Nils", "Otto", "Petra",
)  # fmt: skip
PLACES = ("Arden", "Brill", "Corfe", "Dunmore", "Elsted", "Fenwick", "Garth", "Holm")
NOUNS = (
    "baker", "crow", "dragon", "falcon", "giant", "hermit", "king", "monk", "otter", "pilot", "raven",
    "sailor",
)  # fmt: skip
VERBS = ("draw", "follow", "greet", "guard", "hear", "help", "like", "see", "trust", "visit")
OPENERS = "([{<"
CLOSERS = ")]}>"

ALPHABET = "".join(sorted({*"".join((*NAMES, *PLACES, *NOUNS, *VERBS)), *OPENERS, *CLOSERS, *"#: the of s.-eo\n"}))
