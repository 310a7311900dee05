"""seqbench: an honest comparison of sequence architectures. Importing it imports neither torch nor pandas.

What a notebook needs stands here, and is loaded when it is first asked for:

    load_records(folder)        every measurement of a study as a tidy pandas DataFrame
    load_verdicts(folder)       the study judged, claim by claim
    load_figure(folder, name)   one figure of its report
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seqbench.judge.report.notebook import load_figure, load_records, load_verdicts

__version__ = "0.1.0"
__all__ = ["__version__", "load_figure", "load_records", "load_verdicts"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from seqbench.judge.report import notebook  # noqa: PLC0415 - pandas takes a second, and most callers need none

    return getattr(notebook, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
