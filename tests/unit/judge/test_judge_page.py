"""The page and its parts: safe, self-contained, complete."""

import hashlib
import json
import re
from html.parser import HTMLParser

import judged_studies as studies
import pandas as pd
import pytest

from seqbench.errors import StoreError
from seqbench.judge.figures import FIGURES, style
from seqbench.judge.report import build, svg


@pytest.fixture(scope="module")
def report():
    study = studies.study(text=studies.corpus(), seeds=3)
    return build.build(study, studies.contents(study, failed=lambda cell: "error" if cell.seed == 1001 else None))


@pytest.fixture(scope="module")
def page(report):
    return build.page(report)


class Outline(HTMLParser):
    """What a test asks of a page: tags, ids and references."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.references = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.append((tag, found))
        if "id" in found:
            self.ids.append(found["id"])
        self.references += [found[key] for key in ("href", "src", "xlink:href") if found.get(key)]


def test_the_page_asks_nobody(page):
    """No reference leaves the report's folder, and there is no script."""
    outline = Outline(page)
    assert [ref for ref in outline.references if not re.match(r"#|data/|claims\.json|provenance\.json", ref)] == []
    assert "script" not in {tag for tag, _ in outline.tags}
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)


def test_ids_are_unique_and_references_resolve(page):
    """Several figures stand in one page without sharing an id; every in-page reference has its target."""
    outline = Outline(page)
    assert len(outline.ids) == len(set(outline.ids))
    inside = {ref[1:] for ref in outline.references if ref.startswith("#")} | set(re.findall(r"url\(#([^)]+)\)", page))
    assert inside <= set(outline.ids)


def test_the_page_can_be_read_without_eyes(page):
    """A language, one h1, a skip link, a caption per table, a title per drawing, a name per scrolling region."""
    outline = Outline(page)
    tags = [tag for tag, _ in outline.tags]
    assert [found["lang"] for tag, found in outline.tags if tag == "html"] == ["en"]
    assert (tags.count("h1"), tags.count("main")) == (1, 1)
    assert tags.count("caption") == tags.count("table")
    drawings = [found for tag, found in outline.tags if tag == "svg"]
    assert all(found["role"] == "img" and found["aria-labelledby"] in outline.ids for found in drawings)
    regions = [found for _, found in outline.tags if found.get("class") == "scroll"]
    assert all(found.get("tabindex") == "0" and found.get("role") == "region" for found in regions)
    assert all(found.get("aria-label") or found.get("aria-labelledby") in outline.ids for found in regions)
    assert 'class="skip" href="#verdicts"' in page


def test_text_from_records_is_escaped(page):
    """An error text with markup in it is shown, not obeyed."""
    assert "error &lt;b&gt;here&lt;/b&gt;" in page
    assert "<b>here</b>" not in page


def test_corpora_are_named_by_their_whole_hash(page):
    """A real text by all 64 digits of its sha256, the generated one by its exact entropy."""
    assert "ab" * 32 in page
    assert "exact entropy of the scored characters 0.530 bit/character" in page


def test_failures_and_missing_cells_are_alerts(report):
    """Nothing that went wrong is silent."""
    assert any(re.match(r"\d+ cells ended as error; see Failures\.", alert) for alert in report.alerts)


def test_data_stand_beside_the_page_with_their_hash(report, tmp_path):
    """Every figure's CSV has the sha256 that page and provenance print, and the page is where it is said to be."""
    page = build.write(report, tmp_path)
    assert page == tmp_path / "index.html"
    hashes = json.loads((tmp_path / "provenance.json").read_text())["data"]
    for name in FIGURES.names():
        digest = hashlib.sha256((tmp_path / "data" / f"{name}.csv").read_bytes()).hexdigest()
        assert digest == hashes[name]
        assert digest in page.read_text()
        assert (tmp_path / "figures" / f"{name}.svg").read_text().startswith("<?xml")


def test_a_folder_that_cannot_be_written_is_named(report, tmp_path):
    """The error says which folder, why, and what to do."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StoreError, match=r"file cannot be written \(File exists\); give another --out"):
        build.write(report, blocked)


def test_a_development_study_is_never_confirmatory():
    """Development seeds make every verdict of the page exploratory."""
    study = studies.study(("C8",), seeds=2, development=True)
    report = build.build(study, studies.contents(study))
    assert report.alerts[0].startswith("Exploratory: it ran on development seeds")
    assert "seqbench report · exploratory" in build.page(report)


def test_inline_drawings_take_the_pages_ink():
    """The ink becomes the page's text colour, ids carry the figure's name, size and global style are gone."""
    given = (
        '<?xml version="1.0"?><svg width="9pt" height="9pt" viewBox="0 0 9 9" version="1.1"><metadata>x</metadata>'
        '<defs><style type="text/css">*{a:b}</style></defs><g id="axes_1" clip-path="url(#p)">'
        f'<path id="p" style="stroke: {style.INK}"/><use xlink:href="#p"/></g></svg>'
    )
    found = svg.inline(given, name="f", title="a < b")
    assert found == (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 9 9" '
        'role="img" aria-labelledby="f-title"><title id="f-title">a &lt; b</title>'
        '<defs></defs><g id="f-axes_1" clip-path="url(#f-p)">'
        '<path id="f-p" style="stroke: currentColor"/><use xlink:href="#f-p"/></g></svg>'
    )


def _luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one, other):
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colour", sorted({*style.FAMILY_COLOURS.values(), *style.OTHER_COLOURS}))
def test_drawn_colours_stand_out_on_both_papers(colour):
    """Every drawn colour has the 3:1 that graphics need, on white and on the dark paper."""
    assert min(_contrast(colour, "#ffffff"), _contrast(colour, "#14171a")) >= 3.0


def test_text_colours_can_be_read_on_both_papers():
    """Every text colour of the style sheet has 4.5:1 on its own paper."""
    css = (build.files("seqbench.judge.report") / "page.css").read_text()
    for block in re.findall(r":root \{(.*?)\}", css, flags=re.S):
        colours = dict(re.findall(r"--(\w+): (#\w{6})", block))
        inks = [colours[name] for name in ("ink", "soft", "link", "good", "bad", "open", "idle", "vacuous")]
        assert min(_contrast(ink, colours["paper"]) for ink in inks) >= 4.5


def test_models_have_names_for_people():
    """Labels say what a variant is; unknown models keep a fixed look."""
    assert [
        style.look(model).label for model in ("rnn", studies.IRNN, "lstm@forget_bias=1", "rnn@gain=3,init=gaussian")
    ] == [
        "RNN tanh",
        "RNN ReLU, identity init (IRNN)",
        "LSTM, forget bias 1",
        "RNN tanh, gain 3",
    ]
    assert style.look("mine.py:build") == style.look("mine.py:build")
    assert style.look("rnn").colour == style.look(studies.IRNN).colour


def test_variants_of_a_family_differ_without_colour():
    """Every pair of quick's recurrent variants differs in marker or line."""
    models = [
        *studies.SWEEP,
        "rnn",
        "rnn@activation=relu",
        "rnn@activation=sigmoid",
        "rnn@init=orthogonal",
        studies.IRNN,
    ]
    looks = [(style.look(model).marker, style.look(model).line) for model in models]
    assert len(set(looks)) == len(looks)


def test_the_own_suite_of_an_author_is_never_confirmatory():
    """Whoever chooses cells and seeds may have looked at data before: own suites are exploratory, and say so."""
    study = studies.study(("C8",), seeds=2).model_copy(update={"suite_source": "own"})
    assert "its suite is its author's own" in study.exploratory


def test_a_training_that_stops_early_keeps_its_last_value():
    """A solved seed stays in the median to the end: the curve does not jump up when it is done."""
    from seqbench.judge import table
    from seqbench.judge.figures import base

    shared = {
        table.TASK: "t",
        table.LENGTH: 9,
        table.WIDTH: 8,
        table.PARAMS: "{}",
        table.LAYERS: 1,
        table.MODEL: "rnn",
        table.UNIT: "nat",
    }
    short = [shared | {table.SEED: 1, table.AT: step, table.VALUE: 0.01} for step in (1.0, 2.0)]
    long = [shared | {table.SEED: 2, table.AT: step, table.VALUE: 2.0} for step in (1.0, 2.0, 3.0, 4.0)]
    found = base.blocked(pd.DataFrame(short + long))
    assert list(found[found[table.SEED] == 1][table.VALUE]) == [0.01] * 4


def test_names_that_drawing_libraries_read_as_commands_stay_text():
    """A model file may be called with an underscore in front or with dollar signs; it keeps its name in the legend."""
    from seqbench.judge.figures import style

    assert style.look("_mine.py:build").label == "mine.py"
    assert style.look("a/$x_{b$.py:build").label == r"\$x_{b\$.py"


def test_models_are_shown_across_tasks_where_there_are_several(page):
    """A descriptive table with the solve rate beside the IQM, that says what it does not speak of."""
    table = page.partition('<table id="across-tasks">')[2].partition("</table>")[0]
    assert "Across tasks, descriptive" in table
    assert "nothing here speaks of all tasks" in table
    assert re.search(r"<th scope=\"row\">RNN tanh</th><td class=\"number\">6</td>", table)
    assert re.search(r"\d+ of \d+</td>", table)


def test_one_task_is_no_table_across_tasks():
    """C8 alone trains nothing with a normalised score."""
    study = studies.study(("C8",), seeds=2)
    assert 'id="across-tasks"' not in build.page(build.build(study, studies.contents(study)))
