"""The committed reports: made again from the committed records, byte for byte, and told by the README as they are."""

import csv
import json
import platform
import re
from importlib.metadata import version
from pathlib import Path

import make_reports
import pytest

from seqbench.judge.claims.base import number
from seqbench.judge.report import build

ROOT = Path(__file__).resolve().parents[1]
STUDIES = make_reports.studies()
PINS = (ROOT / "constraints.txt").read_text(encoding="utf-8")
CONSTRAINTS = dict(re.findall(r"^([a-z0-9-]+)==(.+)$", PINS, re.MULTILINE))
OTHERS = {name: version(name) for name, pinned in CONSTRAINTS.items() if version(name) != pinned}


def files(folder):
    """Return the bytes of every file in a folder by its place."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_studies_are_committed():
    """Quick, standard and both real texts, whole, and the part of full that ran."""
    assert {"quick", "standard", "full", *make_reports.TEXTS} <= set(STUDIES)


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="other processors round otherwise")
@pytest.mark.skipif(bool(OTHERS), reason=f"other libraries than those of constraints.txt: {OTHERS}")
@pytest.mark.parametrize("study", STUDIES)
def test_a_committed_report_is_made_again_from_its_records(study, tmp_path):
    """Every file of it: the page, the verdicts, the data and pictures of figures, tables, macros, citations."""
    make_reports.render(study, tmp_path)
    made, committed = files(tmp_path), files(ROOT / "reports" / study)
    assert sorted(made) == sorted(committed)
    assert [name for name in made if made[name] != committed[name]] == []


@pytest.mark.parametrize("study", STUDIES)
def test_a_report_says_which_libraries_made_it(study):
    """They are those that `make report` installs."""
    provenance = json.loads((ROOT / "reports" / study / "provenance.json").read_text(encoding="utf-8"))
    made_with = {name: found for name, found in provenance["rendered_with"].items() if name != "seqbench"}
    assert made_with == {name: CONSTRAINTS[name] for name in made_with}
    assert set(made_with) == set(build.LIBRARIES) - {"seqbench"}


@pytest.mark.parametrize("page", make_reports.PAGES, ids=lambda page: page.name)
def test_a_page_has_the_results_of_the_reports(page):
    """Tables and figures are what `make report` writes there."""
    assert page.read_text(encoding="utf-8") == make_reports.filled(page)


def test_the_readme_has_the_verdicts():
    """Each is that of claims.json."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    claims = json.loads((ROOT / "reports" / make_reports.SHOWN / "claims.json").read_text(encoding="utf-8"))
    told = re.findall(r"^\| \[(C\d)\]\(\S+\) \| (.+?) \| ([A-Z ]+) \|", readme, re.MULTILINE)
    assert told == [(claim["claim"], claim["title"], claim["verdict"]) for claim in claims]


@pytest.mark.parametrize(
    ("table", "row", "column", "told"),
    [
        ("standard/tables/arms.csv", {"atom": "C1.1c", "arm": "reference"}, "mean", "0.997"),
        ("standard/tables/arms.csv", {"atom": "C1.1c", "arm": "subject"}, "mean", "0.998"),
        ("full/tables/atoms.csv", {"atom": "C4.gpu/4a/lstm/transformer"}, "ratio", "3.93"),
        ("full/tables/atoms.csv", {"atom": "C4.gpu/4a/rnn/transformer"}, "ratio", "4.13"),
        ("full/tables/atoms.csv", {"atom": "C4.gpu/4b/lstm/tcn"}, "ratio", "5.38"),
        ("full/tables/atoms.csv", {"atom": "C4.gpu/4b/rnn/tcn"}, "ratio", "5.64"),
        ("lovecraft/tables/text-scores.csv", {"model": "rnn", "width": "204"}, "mean", "2.28"),
        ("tinyshakespeare/tables/text-scores.csv", {"model": "gru", "width": "123"}, "mean", "2.48"),
        ("tinyshakespeare/tables/text-scores.csv", {"model": "rnn", "width": "207"}, "mean", "2.49"),
        ("lovecraft/data/bits_by_cost.csv", {"label": "order-5 counts"}, "value", "1.93"),
        ("tinyshakespeare/data/bits_by_cost.csv", {"label": "order-5 counts"}, "value", "2.34"),
    ],
)
def test_what_readme_says_in_words_stands_in_a_report(table, row, column, told):
    """Numbers between the lines are those of the data beside the pages."""
    with (ROOT / "reports" / table).open(encoding="utf-8", newline="") as file:
        found = [line[column] for line in csv.DictReader(file) if row.items() <= line.items()]
    assert found
    assert {number(float(value)) for value in found} == {told}
    assert told in (ROOT / "README.md").read_text(encoding="utf-8")


def test_a_page_without_its_marks_is_refused(tmp_path):
    """Nothing is written where it is not known what would be replaced."""
    page = tmp_path / "README.md"
    page.write_text("# seqbench\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"^README\.md needs <!-- results"):
        make_reports.filled(page)
