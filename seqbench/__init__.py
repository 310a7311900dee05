"""seqbench: an honest comparison of sequence architectures. Importing it imports neither torch nor pandas."""

__version__ = "0.1.0"
