"""Render every committed study and write the results of one into README.md: `docs/make_reports.py`, or `make report`.

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
PAGE = ROOT / "README.md"
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
    "time_ratio": "Time per token, over that of the Transformer with as many parameters",
}
"""Figures of that study that README shows -> what they show, for who cannot see them."""
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


def readme(text: str) -> str:
    """Return the README with its results as they stand in the report: the table of verdicts and two figures.

    Raises ValueError when it lacks the marks between which they stand.
    """
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md needs {BEGIN} and, after it, {END}")
    return f"{head}{BEGIN}\n{results()}\n{END}{tail}"


def results() -> str:
    """Return the results as Markdown."""
    verdicts = (ROOT / "reports" / SHOWN / "tables" / "verdicts.md").read_text(encoding="utf-8")
    caption, _, table = verdicts.strip().partition("\n\n")
    rows = re.sub(r"^\| (C\d+) \|", r"| [\1](docs/claims/\1.md) |", table, flags=re.MULTILINE)
    figures = [f"![{told}](reports/{SHOWN}/figures/{name}.svg)" for name, told in FIGURES.items()]
    return "\n\n".join([rows, caption, *figures])


def main() -> None:
    """Render all of them."""
    for study in studies():
        render(study, ROOT / "reports" / study)
    PAGE.write_text(readme(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
