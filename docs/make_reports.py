"""Render every committed study and write results into README.md and docs/real-text.md; `make report` calls it.

The same bytes come out on every x86 processor with AVX2: what computes is told not to use wider instructions, which sum
in another order. With the libraries of constraints.txt a committed report is so made again byte for byte.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RECORDS = ROOT / "results"
KERNELS = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
}
"""Settings of the environment under which the libraries take one thread and the kernels that every machine has."""
SHOWN = "standard"
FIGURES = {
    "recall_by_lag": "What a network recalls, against how many steps ago it stood",
    "time_ratio": "Time per token, over that of the Transformer or the TCN with as many parameters",
}
"""Figures of that study that README shows -> what they show, for who cannot see them."""
TEXTS = ("lovecraft", "tinyshakespeare")
"""Studies of real text, whose tables stand on the page of real text."""
BEGIN, END = "<!-- results: made by `make report` -->", "<!-- end of results -->"


def studies() -> list[str]:
    """Return the names of the committed studies, in order; a large one is a pack."""
    folders = [path.parent.name for path in RECORDS.glob("*/study.json")]
    return sorted(folders + [path.stem for path in RECORDS.glob("*.parquet")])


def render(study: str, out: Path) -> None:
    """Render a committed study into a folder.

    Raises CalledProcessError when a command of seqbench fails; it has told why.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = RECORDS / study
        if not folder.exists():
            folder = Path(place) / study
            _seqbench("results", "unpack", str(RECORDS / f"{study}.parquet"), "--results", str(folder))
        _seqbench("report", "--results", str(folder), "--out", str(out))


def _seqbench(*arguments: str) -> None:
    command = [sys.executable, "-m", "seqbench", *arguments]
    subprocess.run(command, env={**os.environ, **KERNELS}, cwd=ROOT, check=True)  # noqa: S603 - our own commands


def filled(page: Path) -> str:
    """Return a page with the results between its marks as they stand in the reports.

    Raises ValueError when it lacks the marks between which they stand.
    """
    head, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page.name} needs {BEGIN} and, after it, {END}")
    return f"{head}{BEGIN}\n{PAGES[page]()}\n{END}{tail}"


def results() -> str:
    """Return the results as Markdown."""
    verdicts = (ROOT / "reports" / SHOWN / "tables" / "verdicts.md").read_text(encoding="utf-8")
    caption, _, table = verdicts.strip().partition("\n\n")
    rows = re.sub(r"^\| (C\d+) \|", r"| [\1](docs/claims/\1.md) |", table, flags=re.MULTILINE)
    figures = [f"![{told}](reports/{SHOWN}/figures/{name}.svg)" for name, told in FIGURES.items()]
    return "\n\n".join([rows, caption, *figures])


def real_texts() -> str:
    """Return the tables and curves of every study of a real text as Markdown."""
    found = []
    for study in TEXTS:
        folder = ROOT / "reports" / study
        tables = [(folder / "tables" / f"{name}.md").read_text(encoding="utf-8").strip() for name in TABLES]
        curves = f"![Bits per character against tokens and seconds](../reports/{study}/figures/text_curves.svg)"
        found += [f"## {study}", *tables, curves]
    return "\n\n".join(found)


TABLES = ("text-scores", "equal-seconds")
PAGES = {ROOT / "README.md": results, ROOT / "docs" / "real-text.md": real_texts}
"""Page -> what stands between its marks."""


def main() -> None:
    """Render all of them."""
    for study in studies():
        render(study, ROOT / "reports" / study)
    for page in PAGES:
        page.write_text(filled(page), encoding="utf-8")


if __name__ == "__main__":
    main()
