"""What others take from a report: tables, macros, citations. Held to the page, to each other and to LaTeX itself."""

import csv
import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt
from typer.testing import CliRunner

from seqbench import tuning
from seqbench.cli import app
from seqbench.errors import StoreError, UnknownName
from seqbench.judge.claims.base import given, interval, number
from seqbench.judge.figures import FIGURES, learning_rates, verdict_overview
from seqbench.judge.report import build, cite, crate, exports, macros, published, tabulated, typeset, verdicts
from seqbench.measure import conduct
from seqbench.preregistration import built_in

sys.path.insert(0, str(Path(__file__).parent / "golden"))
import judged_studies as studies

ROOT = Path(__file__).resolve().parents[1]
HOSTILE = r"=<script>](javascript:x) \input{x} $ % & # _ ^ ~ { } | " + "\u2067\u202e\u4e2d"
LATEX = shutil.which("pdflatex")
needs_latex = pytest.mark.skipif(
    LATEX is None, reason="needs pdflatex with booktabs, siunitx and longtable on the path"
)


@pytest.fixture(scope="module")
def report():
    """A report on all claims, with failures, whose records ran on a CPU; rates as if two models had been tuned."""
    study = studies.study(text=studies.corpus(), seeds=3, beside=studies.BESIDE, rounds=5)
    failed = studies.contents(
        study, failed=lambda cell: "error" if cell.seed == 1001 and cell.task == "count" else None
    )
    tried = (tuning.Trial(rate=1e-3, losses=(0.5, 0.25)), tuning.Trial(rate=3e-3, losses=(0.123, 0.2), solved=True))
    tuned = {
        "model": "gru",
        "task": "recall",
        "length": 64,
        "sized": "width 32",
        "width": 32,
        "seeds": 2,
        "trials": tried,
        "rate": 3e-3,
        "at_edge": True,
        "robust_width": 1,
        "grid": 2,
        "expected_best": 0.2345,
        "note": "",
    }
    untuned = tuned | {"model": "rnn", "trials": (), "rate": None, "robust_width": None, "expected_best": None}
    return replace(
        build.build(study, failed), exploratory=False, rates=(tuned, untuned | {"note": "trials are missing"})
    )


@pytest.fixture(scope="module")
def hostile(report):
    """The same report with a name from outside wherever one can stand."""
    atoms = tuple(
        replace(atom, reason=HOSTILE, arms=tuple(replace(arm, model=HOSTILE) for arm in atom.arms))
        for atom in report.claims[0].atoms
    )
    return replace(
        report,
        title=HOSTILE,
        claims=(replace(report.claims[0], wording=HOSTILE, title=HOSTILE, atoms=atoms),),
        models=tuple(row | {"model": HOSTILE, "task": HOSTILE} for row in report.models[:2]),
        growths=tuple(row | {"model": HOSTILE} for row in report.growths[:2]),
        rates=tuple(row | {"model": HOSTILE, "note": HOSTILE} for row in report.rates),
        failures=tuple(row | {"model": HOSTILE, "error": HOSTILE} for row in report.failures[:2]),
    )


def rows_of(files, name):
    return list(csv.DictReader(io.StringIO(files[f"tables/{name}.csv"])))


def test_the_same_report_gives_the_same_bytes(report, tmp_path):
    """Every file of two writes is equal, exports among them."""
    for folder in ("one", "other"):
        build.write(report, tmp_path / folder)
        crate.write(report, tmp_path / folder)
    names = {path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file()}
    assert {Path(name) for name in exports.files(report)} <= names
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


# Ids


def offered():
    """Return every id of what seqbench itself offers: the report, its claims with their atoms, figures, tables."""
    found = [cite.WHOLE]
    for name, claim in built_in().claims.items():
        found += [name, *(f"{name}.{atom}" for atom in claim.atoms)]
    figures = (verdict_overview.NAME, learning_rates.NAME, *FIGURES.entries)
    return [*found, *(f"fig-{name}" for name in figures), *(f"tab-{name}" for name in tabulated.TABLES)]


def test_every_id_is_published_or_has_a_tombstone():
    """What is offered stands in the list of published ids; what is offered no longer says why there."""
    listed, withdrawn = published.ids(), published.withdrawn()
    assert len(listed) == len(set(listed))
    assert set(offered()) == set(listed) - set(withdrawn)
    assert set(withdrawn) <= set(listed)
    assert all(why.strip() for why in withdrawn.values())


def test_no_id_was_ever_taken_off_the_list():
    """The list as it was in every commit is a part of the list as it is."""
    path = "seqbench/judge/report/published.toml"

    def git(*arguments):
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)

    commits = git("log", "--format=%H", "--", path).stdout.split()
    if not commits:
        pytest.skip("needs the history of the repository")
    for commit in commits:
        once = set(re.findall(r'^  "(.+)",$', git("show", f"{commit}:{path}").stdout, re.MULTILINE))
        assert once <= set(published.ids()), commit


def test_every_part_of_a_report_can_be_cited_where_it_stands(report):
    """Ids of the report are those offered (no learning rates without trials); each has its anchor on the page."""
    found = cite.items(report)
    assert set(found) == set(offered()) - {f"fig-{learning_rates.NAME}"}
    ids = set(re.findall(r' id="([^"]+)"', build.page(report)))
    assert {item.anchor for item in found.values()} - {""} <= ids


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("C11", "no part of this report named 'C11'; did you mean C1? (known: C1, C1.1a"),
        ("gradient_by_lag", "no part of this report named 'gradient_by_lag'; did you mean fig-gradient_by_lag?"),
        ("C1/1f", "no part of this report named 'C1/1f'; did you mean C1.1"),
    ],
)
def test_an_unknown_id_is_answered_with_the_nearest(report, name, text):
    """Nothing is guessed."""
    with pytest.raises(UnknownName, match=re.escape(text)):
        cite.find(report, name)


def test_a_withdrawn_id_says_why():
    """A tombstone is read out."""
    with pytest.raises(UnknownName, match=r"^'fig-old' was withdrawn: replaced by fig-new$"):
        cite.look_up("fig-old", {}, withdrawn={"fig-old": "replaced by fig-new"})


def test_an_unknown_format_is_answered_with_the_nearest(report):
    """The formats are four."""
    with pytest.raises(UnknownName, match=r"no format named 'bibtexx'; did you mean bibtex\?"):
        cite.cite(report, "C1", form="bibtexx")


# Citations


@pytest.mark.parametrize("form", cite.FORMATS)
@pytest.mark.parametrize("name", ["C1", "C1.1a", "C1/1a", "C4/cpu/4c/gru/tcn"])
def test_a_citation_says_effect_interval_n_scope_and_report(report, form, name):
    """Whoever quotes it has everything that must stand beside a verdict."""
    found = re.sub(r"\\allowbreak\{\}|[\\{}]", "", cite.cite(report, name, form=form)).replace("−", "-")
    claim = next(claim for claim in report.claims if claim.claim == name[:2])
    atom = claim.deciding if name == "C1" else next(atom for atom in claim.atoms if name[3:] == atom.name)
    found = found.replace("ensuremath-", "-")
    for value in (atom.effect, atom.lower, atom.upper):
        assert number(value).replace("−", "-") in found
    assert f"n = {atom.n}" in found
    assert "on cpu" in found
    assert report.id in found


def test_an_address_leads_to_the_part(report):
    """The link ends in the anchor; the whole report has none."""
    assert "url = {https://example.org/r/#C1}" in cite.cite(
        report, "C1.1a", form="bibtex", url="https://example.org/r/"
    )
    (entry,) = json.loads(cite.cite(report, "report", form="csl", url="https://example.org/r/"))
    assert entry["URL"] == "https://example.org/r/"


def test_csl_is_dated_by_the_last_record(report):
    """The date is that of the records, not of the clock."""
    (entry,) = json.loads(exports.files(report)["citation.json"])
    assert entry["issued"] == {"date-parts": [[2026, 1, 1]]}
    assert (entry["type"], entry["number"]) == ("report", report.id)
    assert "version = {" + entry["version"] + "}" in exports.files(report)["citation.bib"]


CFF_KEYS = {
    "abstract": str,
    "authors": list,
    "cff-version": str,
    "date-released": str,
    "identifiers": list,
    "message": str,
    "title": str,
    "type": str,
    "version": str,
}
"""The keys of the schema of CFF 1.2.0 that are used, with their types; it allows no others than its own."""


@pytest.mark.parametrize("which", ["report", "hostile"])
def test_citation_cff_is_what_its_schema_demands(request, which):
    """Citation File Format 1.2.0: needed keys, their types and patterns, no key that it does not know."""
    given_report = request.getfixturevalue(which)
    found = yaml.safe_load(exports.files(given_report)["CITATION.cff"])
    assert {key: type(value) for key, value in found.items()} == CFF_KEYS
    assert found["cff-version"] == "1.2.0"
    assert found["type"] in ("software", "dataset")
    assert re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])", found["date-released"])
    assert found["date-released"] == "2026-01-01"
    assert all(set(author) == {"name"} and author["name"] for author in found["authors"])
    (identifier,) = found["identifiers"]
    assert set(identifier) == {"type", "value", "description"}
    assert (identifier["type"], identifier["value"]) == ("other", given_report.id)
    assert found["title"] == f"seqbench report: {typeset.visible(given_report.title)}"


def test_a_report_without_records_has_no_date(report):
    """No day is made up."""
    empty = replace(report, provenance={**report.provenance, "last_finished": None})
    assert "date-released" not in exports.files(empty)["CITATION.cff"]
    assert "issued" not in exports.files(empty)["citation.json"]
    assert "year" not in exports.files(empty)["citation.bib"]
    assert cite.cite(empty, "report", form="markdown")


def test_an_exploratory_report_says_so_in_every_citation(report):
    """Numbers that leave the page take the warning with them."""
    explored = replace(report, exploratory=True)
    for form in cite.FORMATS:
        assert "Exploratory" in cite.cite(explored, "C1", form=form)
        assert "Exploratory" not in cite.cite(report, "C1", form=form)


@pytest.mark.slow
def test_the_command_prints_what_can_be_cited(tiny_study, tmp_path):
    """Data go to standard output; a slip is one clear error; a report with --ro-crate names both files."""
    results = tmp_path / "R"
    conduct.conduct(tiny_study, results, settings=conduct.Settings(executor="serial"))
    run = CliRunner().invoke
    done = run(app, ["cite", "C1", "--results", str(results), "--format", "markdown", "--url", "https://example.org/"])
    assert done.exit_code == 0
    assert done.stdout.startswith("C1, “Vanilla recurrent networks")
    assert "NOT TESTED" in done.stdout
    assert done.stderr == ""
    wrong = run(app, ["cite", "tab-atom", "--results", str(results)])
    assert isinstance(wrong.exception, UnknownName)
    assert "did you mean tab-atoms?" in str(wrong.exception)
    made = run(app, ["report", "--results", str(results), "--out", str(tmp_path / "O"), "--ro-crate"])
    assert made.stdout.split() == [str(tmp_path / "O" / name) for name in ("index.html", crate.NAME)]


# RO-Crate


def test_an_ro_crate_describes_every_file(report, tmp_path):
    """Hashes are those of the files, and the action that made them names program, study and records."""
    build.write(report, tmp_path)
    found = {item["@id"]: item for item in json.loads(crate.write(report, tmp_path).read_text())["@graph"]}
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()} - {crate.NAME}
    assert {name for name, item in found.items() if item["@type"] == "File"} == files
    for name in files:
        assert found[name]["sha256"] == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    action = found["#judging"]
    assert action["@type"] == "CreateAction"
    assert {part["@id"] for part in action["result"]} == files == {part["@id"] for part in found["./"]["hasPart"]}
    assert found[action["instrument"]["@id"]]["softwareVersion"] == report.provenance["rendered_with"]["seqbench"]
    assert [item["@id"] for item in action["object"]] == ["#study", "#records"]
    assert found["./"]["datePublished"] == "2026-01-01"
    assert found[crate.NAME]["about"] == {"@id": "./"}
    linked = re.findall(r'\{"@id": "([^"]+)"\}', json.dumps(list(found.values())))
    assert {name for name in linked if not name.startswith("https://w3id.org/")} <= set(found)
    assert str(tmp_path) not in json.dumps(list(found.values()))


def test_an_ro_crate_needs_a_date(report, tmp_path):
    """Without a record nothing was made on any day."""
    empty = replace(report, provenance={**report.provenance, "last_finished": None})
    with pytest.raises(StoreError, match="no cell has a record yet, so there is nothing to date an RO-Crate by"):
        crate.write(empty, tmp_path)


# Text from outside


def test_hostile_text_is_text_in_csv(hostile):
    """Nothing is calculated, nothing is lost that can be seen."""
    files = exports.files(hostile)
    expected = "'" + typeset.visible(HOSTILE)
    assert expected.startswith("'=<script>](javascript:x) \\input{x}")
    assert "[U+202E]" in expected
    assert {row["model"] for row in rows_of(files, "models")} == {expected}
    assert {row["error"] for row in rows_of(files, "failures")} == {expected}
    assert {row["model"] for row in rows_of(files, "arms")} == {expected}
    assert {row["note"] for row in rows_of(files, "learning-rates")} == {expected}
    assert {row["wording"] for row in rows_of(files, "verdicts")} == {expected}


def test_hostile_text_is_text_in_markdown(hostile):
    """A reader of Markdown finds text in every cell, and as many cells as there are columns."""
    reader = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    for name, text in exports.files(hostile).items():
        if name.endswith(".md"):
            inline = [token for token in reader.parse(text) if token.type == "inline"]
            kinds = {child.type for token in inline for child in token.children}
            assert kinds <= {"text", "text_special"}, name
            cells = [typeset.visible(token.content) for token in inline[1:]]
            columns = [
                column
                for table in tabulated.tables(hostile)
                if name == f"tables/{table.name}.md"
                for column in table.columns
                if column.title
            ]
            assert len(cells) % len(columns) == 0
    sentence = cite.cite(hostile, "C1", form="markdown")
    kinds = {child.type for token in reader.parse(sentence) if token.children for child in token.children}
    assert kinds <= {"text", "text_special", "em_open", "em_close", "softbreak"}


def test_hostile_text_is_text_in_bibtex(hostile):
    """Braces are balanced within each field, so that the entry ends where it should."""
    entry = exports.files(hostile)["citation.bib"]
    assert entry.isascii()
    for line in entry.splitlines()[1:-1]:
        assert line.count("{") == line.count("}")
    assert r"\textless{}script\textgreater{}{]}(javascript:x) \textbackslash{}input\textbraceleft{}x" in entry


# LaTeX


def compiled(folder, body, *, passes=2):
    """Return the exit status and the log of pdfLaTeX on a document with these lines in it."""
    head = r"\documentclass{article}\usepackage[a4paper,margin=2cm]{geometry}\usepackage{booktabs,siunitx,longtable}"
    text = "\n".join([head, r"\input{macros}", r"\begin{document}", *body, r"\end{document}", ""])
    (folder / "paper.tex").write_text(text, encoding="utf-8")
    for _ in range(passes):
        done = subprocess.run(
            [LATEX, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"],
            cwd=folder,
            capture_output=True,
            check=False,
            timeout=120,
        )
    return done.returncode, (folder / "paper.log").read_text(encoding="latin-1").replace("\n", "")


def whole(report):
    """Return lines that take every table, every label and every key, in text and in mathematics."""
    names = sorted(table.name for table in tabulated.tables(report))
    lines = [rf"\input{{tables/{name}}}" for name in names] + [rf"\ref{{tab:seqbench-{name}}}" for name in names]
    keys = [rf"\seqbench{{{key}}}\setbox0\hbox{{$\seqbench{{{key}}}$}}\par" for key in macros.values(report)]
    return [*lines, r"\clearpage\raggedright\sloppy", *keys]


@needs_latex
@pytest.mark.slow
def test_latex_takes_every_table_and_every_key(report, tmp_path):
    """A paper that inputs everything compiles, with nothing undefined and no table wider than its page."""
    build.write(report, tmp_path)
    status, log = compiled(tmp_path, whole(report))
    assert status == 0, log[-3000:]
    assert (tmp_path / "paper.pdf").read_bytes().startswith(b"%PDF")
    assert "undefined" not in log
    assert "LaTeX Warning" not in log
    assert not re.search(r"Overfull \\hbox \([^)]*\) in alignment", log)


@needs_latex
@pytest.mark.slow
def test_latex_prints_hostile_text(hostile, tmp_path):
    """Names from outside are set as they are written, and nothing of them is run."""
    for name, text in exports.files(hostile).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "x.tex").write_text(r"\errmessage{a name was obeyed}", encoding="utf-8")
    cited = [cite.cite(hostile, name, form="latex", url=f"https://example.org/{HOSTILE}") for name in ("report", "C1")]
    status, log = compiled(tmp_path, [*whole(hostile), *cited])
    assert status == 0, log[-3000:]
    assert "x.tex" not in log


@needs_latex
def test_latex_stops_at_an_unknown_key(report, tmp_path):
    """A number that is not there is an error, not a gap."""
    (tmp_path / "macros.tex").write_text(macros.macros(report), encoding="utf-8")
    status, log = compiled(tmp_path, [r"\seqbench{C1.efect}"], passes=1)
    assert status != 0
    assert "Package seqbench Error: No number is called 'C1.efect' in this report" in log


@needs_latex
def test_latex_takes_the_citation(hostile, tmp_path):
    """BibTeX reads the entry of a report whatever its title, and the reference is set."""
    (tmp_path / "macros.tex").write_text(macros.macros(hostile), encoding="utf-8")
    (tmp_path / "citation.bib").write_text(exports.files(hostile)["citation.bib"], encoding="utf-8")
    body = [rf"\cite{{seqbench-{hostile.id[:12]}-report}}", r"\bibliographystyle{plain}", r"\bibliography{citation}"]
    compiled(tmp_path, body, passes=1)
    done = subprocess.run(["bibtex", "paper"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "Warning" in done.stdout) == (0, False), done.stdout
    status, log = compiled(tmp_path, body)
    assert status == 0
    assert "undefined" not in log


# The page


class Cells(HTMLParser):
    """The tables of a page: the id of the caption, and rows of (text of each cell)."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.open = [], None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "table":
            self.tables.append({"caption": "", "title": "", "rows": []})
        if tag == "caption":
            self.tables[-1]["caption"] = dict(attributes).get("id", "")
            self.open = tag
        if tag == "tr":
            self.tables[-1]["rows"].append([])
        if tag in ("td", "th"):
            self.tables[-1]["rows"][-1].append("")
            self.open = tag
        if tag == "br":
            self.handle_data(" ")

    def handle_endtag(self, tag):
        if tag == self.open:
            self.open = None

    def handle_data(self, data):
        if self.open == "caption":
            self.tables[-1]["title"] += data
        elif self.open:
            self.tables[-1]["rows"][-1][-1] += data


def numbers(text):
    """Return every number of a text as it is printed; thousands may be set apart."""
    joined = re.sub(r"(?<=\d)[ \u00a0\u2009\u202f](?=\d{3}(?!\d))", "", text)
    return set(re.findall(r"−?\d+(?:\.\d+)?(?:e−?\d+)?", joined))


def printed(cell):
    """Return every way in which the page may print a cell of a CSV."""
    try:
        value = float(cell)
    except ValueError:
        return numbers(cell)
    if value in (float("inf"), float("-inf")):
        return set()
    whole = {str(int(value))} if value == int(value) else set()
    return {number(value), given(value), f"{100 * value:.0f}", *whole}


SOURCES = {
    "verdicts-caption": ("verdicts",),
    "growth-caption": ("growth", "local-exponents"),
    "models-caption": ("models",),
    "text-scores-caption": ("text-scores",),
    "equal-seconds-caption": ("equal-seconds",),
    "across-caption": ("across-tasks",),
    "rates-caption": ("learning-rates", "learning-rate-trials"),
    "failures-caption": ("failures",),
}


def unsourced(page, files):
    """Return every number of a table of the page that no CSV gives: (caption, row, number).

    Rows of verdicts, atoms and arms are looked up in the rows of the same name, others in the whole table.
    """
    names = [name.removeprefix("tables/").removesuffix(".csv") for name in files if name.endswith(".csv")]
    held = {name: rows_of(files, name) for name in names}
    found = []
    for table in Cells(page).tables:
        claim, _, kind = table["caption"].partition("-")
        name = ""
        for row in table["rows"][1:]:
            name = row[0] if len(row) > 1 else name
            sources = SOURCES.get(table["caption"], names)
            rows = [entry for source in sources for entry in held[source]]
            if table["caption"] == "verdicts-caption":
                rows = [entry for entry in rows if entry["claim"] == name]
            elif kind in ("atoms", "arms"):
                sources = ("arms",) if kind == "arms" else ("atoms", "controls")
                rows = [entry for source in sources for entry in held[source] if entry["atom"] == f"{claim}.{name}"]
            known = numbers(name).union(*(printed(cell) for entry in rows for cell in entry.values()))
            found += [(table["caption"], name, item) for cell in row for item in numbers(cell) - known]
    return found


def test_every_number_of_the_page_is_exported(report):
    """What a table of the page prints stands in a CSV, in the row of the same name."""
    files, page = exports.files(report), build.page(report)
    assert len(Cells(page).tables) > 10
    assert sum(len(numbers(cell)) for table in Cells(page).tables for row in table["rows"] for cell in row) > 1000
    assert unsourced(page, files) == []


def test_a_number_without_a_source_is_found(report):
    """The test above can fail: a digit changed in one cell is seen."""
    page = build.page(report)
    effect = number(report.claims[0].deciding.effect)
    first, cell, rest = page.partition(f'<td class="number effect">{effect}')
    changed = f"{first}{cell.removesuffix(effect)}0.98765{rest}"
    assert unsourced(changed, exports.files(report)) == [("verdicts-caption", "C1", "0.98765")]


def test_every_verdict_line_is_exported(report):
    """Wordings and qualifications stand in a CSV word for word."""
    rows = {row["claim"]: row for row in rows_of(exports.files(report), "verdicts")}
    for claim in report.claims:
        assert rows[claim.claim]["wording"] == claim.wording
        assert rows[claim.claim]["qualifications"] == "; ".join(claim.qualifications)


def test_numbers_stand_under_the_right_key_and_in_the_right_column(report):
    """Effect, bounds and n of each hypothesis, and the mean of each arm, are those of claims.json."""
    files, values = exports.files(report), macros.values(report)
    rows = {row["atom"]: row for row in rows_of(files, "atoms")}
    arms = iter(rows_of(files, "arms"))
    for claim in verdicts.as_json(report.claims):
        for atom in claim["atoms"]:
            name = f"{claim['claim']}.{atom['atom']}"
            lower, upper = atom["interval"] or (None, None)
            for key, value in (("effect", atom["effect"]), ("lower", lower), ("upper", upper)):
                if key == "effect" or atom["interval"]:
                    assert rows[name][key] == ("" if value is None else repr(value))
                    assert values[f"{name}.{key}"] == typeset.maths(number(value))
            assert values[f"{name}.interval"] == typeset.maths(interval(lower, upper))
            assert values[f"{name}.n"] == rf"\ensuremath{{{atom['n']}}}"
            for arm in atom["arms"]:
                row, key = next(arms), f"{name}.arm.{arm['arm']}"
                assert (row["atom"], row["arm"], row["model"]) == (name, arm["arm"], arm["model"])
                assert row["mean"] == ("" if arm["mean"] is None else repr(arm["mean"]))
                assert values[f"{key}.mean"] == typeset.maths(number(arm["mean"]))
                assert values[f"{key}.interval"] == typeset.maths(interval(*(arm["interval"] or (None, None))))
        assert values[f"{claim['claim']}.verdict"] == rf"\seqbench@text{{{claim['verdict']}}}"
        assert values[f"{claim['claim']}.effect"] == typeset.maths(number(claim["effect"]))
        assert values[f"{claim['claim']}.interval"] == typeset.maths(interval(*(claim["interval"] or (None, None))))
    assert values["report.id"] == rf"\seqbench@text{{{report.id}}}"
    assert values["prereg.sha256"] == rf"\seqbench@text{{{report.provenance['preregistration_sha256']}}}"


def test_ratios_of_times_are_numbers_too(report):
    """The verdict words times as ratios: they are exported beside their logarithms."""
    claim = next(claim for claim in report.claims if claim.claim == "C4")
    row = next(row for row in rows_of(exports.files(report), "atoms") if row["atom"] == "C4.cpu/4c/gru/tcn")
    assert number(float(row["ratio"])) in numbers(claim.wording)
    assert macros.values(report)["C4.cpu/4c/gru/tcn.ratio"] == typeset.maths(number(float(row["ratio"])))
