"""The page and its parts: safe, self-contained, complete."""

import base64
import gzip
import hashlib
import json
import math
import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from xml.etree import ElementTree

import judged_studies as studies
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from seqbench.errors import StoreError, UsageError
from seqbench.judge import table
from seqbench.judge.claims.base import number
from seqbench.judge.figures import FIGURES, base, crossover_map, memory_by_length, style, verdict_overview
from seqbench.judge.report import build, cite, flips, svg, verdicts
from seqbench.judge.rules import Verdict
from seqbench.record import Measurement, Sample

HOSTILE = "<script>x</script> ](javascript:y) $z_{1$ \\alpha \u202eklat"
"""Markup, a link of Markdown, mathematics and LaTeX, and a mark that turns the reading direction."""
SHOWN = HOSTILE.replace("\u202e", "[U+202E]")


@pytest.fixture(scope="module")
def report():
    study = studies.study(text=studies.corpus(), seeds=3, beside=("text, GRU", "text training time"))
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
    allowed = r"#|data/|data:application/gzip;base64,|claims\.json|provenance\.json"
    assert [ref for ref in outline.references if not re.match(allowed, ref)] == []
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


def test_clips_have_names_that_rounding_noise_does_not_change():
    """Two panels that lie apart by the last bit alone are drawn to the same bytes, each still clipped by its own."""

    def drawn(left):
        figure = Figure(figsize=(3, 2))
        for bottom in (0.1, 0.6):
            figure.add_axes((left, bottom, 0.7, 0.3)).plot([0, 1], [0, 1])
        return svg.standalone(figure)

    file = drawn(0.1)
    assert file == drawn(math.nextafter(0.1, 1.0))
    assert (
        re.findall(r'clip-path="url\(#(.+?)\)"', file) == re.findall(r'clipPath id="(.+?)"', file) == ["clip0", "clip1"]
    )


def test_inline_drawings_take_the_pages_ink():
    """The ink becomes the page's text colour, ids carry the figure's name, size and global style are gone."""
    given = (
        '<?xml version="1.0"?><svg xmlns:xlink="http://www.w3.org/1999/xlink" '
        'width="9pt" height="9pt" viewBox="0 0 9 9" version="1.1"><metadata>x</metadata>'
        '<defs><style type="text/css">*{a:b}</style></defs><g id="axes_1" clip-path="url(#p)">'
        f'<path id="p" style="stroke: {style.INK}"/><use xlink:href="#p"/></g></svg>'
    )
    assert svg.inline(given, name="f", title="a < b") == (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9" role="img" aria-labelledby="f-title" '
        'font-family="DejaVu Sans,Verdana,sans-serif"><title id="f-title">a &lt; b</title>'
        "<style>.vraoqr{stroke:currentColor}</style>"
        '<g clip-path="url(#veux-0)"><path id="veux-0" class="vraoqr"/><use href="#veux-0"/></g></svg>'
    )


def _panels(count):
    with base.styled():
        figure, axes = base.panels(count, height=2.0)
        for number, axis in enumerate(axes):
            axis.plot([0, 1], [0, 1], label=f"line of panel {number}")
            axis.set(title=f"panel {number}", xlabel="x")
            base.legend(axis)
    return figure


def test_a_drawing_is_cut_between_its_panels():
    """Each panel is an `svg` of its own with its texts in its frame, so that a printed page may end between two."""
    figure = _panels(3)
    file = svg.standalone(figure)
    parts = svg.inline(file, name="f", title="T", cut=svg.bands(figure)).split("</svg>")[:-1]
    assert [re.findall(r"panel (\d)<", part) for part in parts] == [["0", "0"], ["1", "1"], ["2", "2"]]
    assert [part.count(f"T, part {number} of 3") for number, part in enumerate(parts, start=1)] == [1, 1, 1]
    views = [[float(text) for text in re.search(r'viewBox="(.*?)"', part)[1].split()] for part in parts]
    whole = [float(text) for text in re.search(r'viewBox="(.*?)"', file)[1].split()]
    assert [view[1] + view[3] for view in views] == pytest.approx(
        [*(view[1] for view in views[1:]), whole[3]], abs=0.01
    )
    one = _panels(1)
    assert svg.inline(svg.standalone(one), name="f", title="T", cut=svg.bands(one)).count("<svg") == 1


def test_panels_beside_each_other_are_not_cut():
    """Where a row has two panels, or a legend belongs to several, the drawing stays whole."""
    with base.styled():
        figure = Figure(figsize=(4, 4), layout="constrained")
        figure.subplots(2, 2)
    svg.standalone(figure)
    assert svg.bands(figure) == (0.0, 1.0)


def test_the_legend_lies_below_its_panel_within_the_drawing():
    """No legend takes width from its panel or leaves the frame; the drawing grows by what it needs."""
    figure = _panels(2)
    svg.standalone(figure)
    for axis in figure.axes:
        box = axis.get_legend().get_window_extent()
        assert box.y1 < axis.get_window_extent().y0
        assert (box.x0 >= 0, box.x1 <= figure.bbox.width, box.y0 >= 0) == (True, True, True)
    assert figure.get_figheight() > 4.0


def test_a_figure_is_drawn_when_it_is_asked_for(report, monkeypatch):
    """Who cites a figure needs its data alone: nothing is drawn."""

    def drawn(_figure):
        raise AssertionError("drawn")

    monkeypatch.setattr(svg, "standalone", drawn)
    study = studies.study(("C8",))
    found = build.build(study, studies.contents(study))
    assert "sha256" in cite.cite(found, "fig-bits_by_model", form="markdown")
    with pytest.raises(AssertionError, match=r"^drawn$"):
        build.page(found)


def test_rounding_keeps_places_and_drops_what_cannot_be_seen():
    """Lines become relative to rounded places, so that errors do not add up; a step below a tenth is no step."""
    assert svg.rounded_path("M 0.04 10 L 1.06 10 L 1.07 10 L 2.12 9.5 z", 1) == "M0 10l1.1 0 1-.5z"
    far = "M 0 0 " + " ".join(f"L {0.14 * step:.2f} 0" for step in range(1, 101))
    steps = re.findall(r"[\d.]+", svg.rounded_path(far, 1).partition("l")[2])[::2]
    assert sum(map(float, steps)) == pytest.approx(14.0)


def test_a_grid_and_the_ticks_of_an_axis_are_one_stroke_each():
    """As many lines as there were, where they were, in one path of a kind; what is drawn over them stays above."""
    with base.styled():
        figure, (axis,) = base.panels(1, height=2.0)
        axis.plot([0, 1, 2, 3], [0, 2, 1, 3], "o-")
        axis.grid(visible=True)
    part = svg.inline(svg.standalone(figure), name="f", title="T")
    limits = ((axis.xaxis, axis.get_xlim()), (axis.yaxis, axis.get_ylim()))
    ticks = sum(low <= place <= high for of, (low, high) in limits for place in of.get_ticklocs())
    straight = r'<path d="((?:M[\d.]+ [\d.]+l(?:0[ -][\d.]+|-?[\d.]+ 0)){2,})"'
    assert [path.count("M") for path in re.findall(straight, part)] == [ticks, ticks] == [11, 11]  # grid, ticks
    assert part.index("<use") > part.index("<path")
    assert part.count("<use") == 4  # the marks of the line alone


def test_corners_that_cannot_be_seen_are_left_out():
    """A line of many steps keeps its ends and its corner; no place of it moves by more than a fifth of a point."""
    wave = [(float(x), 50 + (0.1 if x % 2 else 0.0) + max(0, x - 100)) for x in range(200)]
    kept = svg._corners(wave)
    assert (kept[0], kept[-1]) == (wave[0], wave[-1])
    assert len(kept) < 8
    heights = np.interp([x for x, _ in wave], *zip(*kept, strict=True))
    assert np.abs(heights - [y for _, y in wave]).max() < 0.3
    path = "M " + " L ".join(f"{x} {y}" for x, y in wave) + " z"
    assert svg._straightened(path).count("L") == len(kept) - 1
    assert svg._straightened(path).endswith(" z")
    assert svg._straightened(f"{path} M 0 0 C 1 1 2 2 3 3") == f"{path} M 0 0 C 1 1 2 2 3 3"


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
    css = (files("seqbench.judge.report") / "page.css").read_text()
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
    """Every pair of quick's recurrent variants differs in marker, line or fill; each gain has a line of its own."""
    models = [
        *studies.SWEEP,
        "rnn",
        "rnn@activation=relu",
        "rnn@activation=sigmoid",
        "rnn@init=orthogonal",
        studies.IRNN,
    ]
    looks = [style.look(model) for model in models]
    assert len({(look.marker, look.line, look.fill) for look in looks}) == len(looks)
    assert len({style.look(model).line for model in studies.SWEEP}) == len(studies.GAINS)


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
    short = shared | {table.SEED: 1, table.AT: (1.0, 2.0), table.VALUE: (0.01, 0.01)}
    long = shared | {table.SEED: 2, table.AT: (1.0, 2.0, 3.0, 4.0), table.VALUE: (2.0, 2.0, 2.0, 2.0)}
    found = base.blocked(pd.DataFrame([short, long]))
    assert list(found[found[table.SEED] == 1][table.VALUE]) == [0.01] * 4


def test_names_that_drawing_libraries_read_as_commands_stay_text():
    """A model file may be called with an underscore in front or with dollar signs; it keeps its name in the legend."""
    from seqbench.judge.figures import style

    assert style.look("_mine.py:build").label == "mine.py"
    assert style.look("a/$x_{b$.py:build").label == "$x_{b$.py"


def test_models_are_shown_across_tasks_where_there_are_several(page):
    """A descriptive table with the solve rate beside the IQM, that says what it does not speak of."""
    table = page.partition('<table id="across-tasks" class="stack">')[2].partition("</table>")[0]
    assert "Across tasks, descriptive" in table
    assert "nothing here speaks of all tasks" in table
    assert re.search(
        r"<th scope=\"row\"><bdi>RNN tanh</bdi></th><td class=\"number\" data-label=\"Tasks\">6</td>", table
    )
    assert re.search(r"\d+ of \d+</td>", table)


def test_a_real_text_is_shown_with_both_errors(page):
    """Seeds and the text that was held out; blocks at -.1, .05, .15, -.1 are two batches at -.025 and .025."""
    table = page.partition('<table id="text-scores" class="stack">')[2].partition("</table>")[0]
    assert "A mean over seeds has two errors" in table
    assert '<td class="number" data-label="SE of text">0.0250</td>' in table


def test_a_real_text_is_shown_on_equal_seconds(page, report):
    """The faster of two has what it has at the end, as its 400 steps are taken; one seed of three failed."""
    rows = report.equal_seconds
    fastest = min(rows, key=lambda row: row.seconds_per_step)
    assert sorted((row.model, row.n, row.failed) for row in rows) == [("gru", 2, 1), ("rnn", 2, 1)]
    assert (fastest.steps, fastest.mean) == (pytest.approx(400), pytest.approx(fastest.at_end))
    assert [row.seconds for row in rows] == pytest.approx([400 * fastest.seconds_per_step] * 2)
    table = page.partition('<table id="equal-seconds" class="stack">')[2].partition("</table>")[0]
    assert "Real text on equal seconds, descriptive" in table
    assert table.count('data-label="Seeds">2, 1 failed<') == 2
    assert f'data-label="At the end">{number(fastest.at_end)}<' in table


def test_one_task_is_no_table_across_tasks():
    """C8 alone trains nothing with a normalised score."""
    study = studies.study(("C8",), seeds=2)
    page = build.page(build.build(study, studies.contents(study)))
    assert 'id="across-tasks"' not in page
    assert 'id="text-scores"' not in page
    assert 'id="equal-seconds"' not in page


def test_a_page_alone_still_holds_small_data(report):
    """What is attached to a figure is the CSV behind it, compressed; what is large is only linked."""
    attached = [item for item in report.figures if item.attached]
    assert attached
    for item in attached:
        kind, _, content = item.attached.partition(",")
        assert kind == "data:application/gzip;base64"
        assert gzip.decompress(base64.b64decode(content)).decode() == item.csv
    rows = "\n".join(hashlib.sha256(str(place).encode()).hexdigest() for place in range(2000))
    assert build._attached(rows) == ""


def test_a_page_stays_small(page):
    """A study of every claim and figure stays below the megabyte that a page may have."""
    assert len(page.encode()) < 1_000_000


def hostile_contents(study):
    """Return records whose error, corpus and texts are written by somebody who means harm."""
    held = studies.contents(study, failed=lambda cell: "error" if cell.seed == 1001 else None)
    sample = Sample(prompt=HOSTILE, text=f"{HOSTILE}\nsecond line", temperature=0.8, seed=7)
    corpus = studies.corpus().model_copy(update={"name": HOSTILE})
    changed = [
        (
            name,
            entry.model_copy(update={"error": HOSTILE if entry.error else None, "texts": (sample,), "corpus": corpus}),
        )
        for name, entry in held.records
    ]
    return type(held)(tuple(changed), ())


def test_hostile_texts_are_read_and_never_act():
    """Error, corpus name, prompt and sample stand in the page as they are, in isolation, with no mark left to act."""
    study = studies.study(("C8",), seeds=2, text=studies.corpus())
    page = build.page(build.build(study, hostile_contents(study)))
    assert "<script" not in page
    assert "\u202e" not in page
    escaped = SHOWN.replace("<", "&lt;").replace(">", "&gt;")
    assert f'<td class="reason"><bdi>{escaped}</bdi></td>' in page
    assert f"<dt><bdi>{escaped}</bdi></dt>" in page
    assert f"<q><bdi>{escaped}</bdi></q>" in page
    assert f'<div class="written" dir="auto">{escaped}\nsecond line</div>' in page


def test_hostile_names_are_text_in_drawings():
    """The name of somebody's model file is written as it is: no markup, no mathematics, no turned direction."""
    model = f"a/{HOSTILE.replace('/', '')}.py:build"
    frame = pd.DataFrame(
        [
            {"measurement": "state_bytes", "width": 8, "model": model, "length": length, "seed": 0, "value": length}
            for length in (4, 8)
        ]
    )
    file = svg.standalone(memory_by_length.draw(frame))
    root = ElementTree.fromstring(file)  # noqa: S314 drawn here
    words = ["".join(node.itertext()) for node in root.iter() if node.tag.endswith("text")]
    label = SHOWN.replace("/", "") + ".py"
    assert label in words
    assert "<script" not in svg.inline(file, name="f", title=HOSTILE)
    assert "\u202e" not in file


def test_samples_stand_side_by_side():
    """Of each model the text of its least seed, under the prompt and temperature they share; the rest is counted."""
    study = studies.study(("C8",), seeds=2)
    held = studies.contents(study)
    records = [
        (
            name,
            entry.model_copy(
                update={
                    "texts": (
                        Sample(prompt="p", text=f"{entry.cell.model} {entry.cell.seed}", temperature=1.0, seed=3),
                    )
                }
            ),
        )
        for name, entry in held.records
        if entry.cell.task == "chronicle"
    ]
    (group,) = build.build(study, type(held)(tuple(records), ())).samples
    assert (group.prompt, group.temperature, group.others) == ("p", 1.0, 4)
    assert [item.text for item in group.texts] == [
        "rnn 1000",
        "lstm@forget_bias=1 1000",
        "gru 1000",
        "transformer 1000",
    ]


def test_each_budget_has_its_own_sample_which_says_what_was_read():
    """One model on 50 and on 80 steps wrote two texts; a text drawn from few characters stands by itself."""
    study = studies.study(("C8",), seeds=1)
    held = studies.contents(study)
    name, entry = next(item for item in held.records if item[1].cell.task == "chronicle")
    records = []
    for steps, top_k in ((50, None), (80, None), (50, 5)):
        cell = entry.cell.model_copy(update={"training": entry.cell.training.model_copy(update={"steps": steps})})
        cell = cell if top_k is None else cell.model_copy(update={"seed": cell.seed + 1})
        sample = Sample(prompt="p", text=f"{steps} {top_k}", temperature=1.0, seed=3, top_k=top_k)
        told = (
            Measurement(name="tokens", value=steps * 100, unit="token"),
            Measurement(name="bits_per_character", value=2.5, unit="bit/character"),
        )
        change = {
            "cell": cell,
            "texts": (sample,),
            "measurements": told,
            "fingerprint": f"{steps}{top_k}".ljust(64, "0"),
        }
        records.append((f"{steps}-{top_k}-{name}", entry.model_copy(update=change)))
    found = build._samples({record.cell: record for _, record in records})
    assert [(group.top_k, [item.text for item in group.texts]) for group in found] == [
        (None, ["50 None", "80 None"]),
        (5, ["50 5"]),
    ]
    assert [(item.read, item.bits) for item in found[0].texts] == [(5000, 2.5), (8000, 2.5)]
    page = build.page(replace(build.build(study, held), samples=found))
    assert "5 000 tokens read, 2.500 bit/character; seed" in page
    assert "temperature 1, top 5, after the prompt" in page


def test_what_lacks_records_is_shown_pale():
    """Claims, hypotheses and models with planned cells that have no record stay, marked and named unfinished."""
    study = studies.study(("C8",), seeds=3)
    report = build.build(study, studies.contents(study, drop=lambda cell: cell.model == "gru" and cell.seed == 1001))
    drawing = next(item for item in report.figures if item.name == "bits_by_model")
    assert (drawing.missing, drawing.planned) == (1, 12)
    assert "GRU (unfinished) (n = 2)" in drawing.drawn.element
    assert "RNN tanh (n = 3)" in drawing.drawn.element
    page = build.page(report)
    assert '<figure id="fig-bits_by_model" class="partial">' in page
    assert "Unfinished: 1 of 12 planned cells have no record yet" in page
    assert '<tr class="first partial">' in page
    whole = build.page(build.build(study, studies.contents(study)))
    assert "partial" not in whole.partition("</style>")[2].partition('id="alerts"')[0].replace("NOT", "")


def test_a_verdict_says_where_it_flips():
    """Another phase, another hypothesis, a strong control and what did not run are found in the data, not written."""
    study = studies.study(("C4",), seeds=5)
    truth = studies.GOOD | {"decoding": -0.6}
    (found,) = (v for v in verdicts.judge_study(study, studies.contents(study, truth=truth)) if v.claim == "C4")
    told = flips.flips(found)
    assert found.verdict is Verdict.CONTRADICTED
    assert "training on CPU: SUPPORTED" in told
    assert any(re.search(r"\(cpu/4c/rnn/transformer\): SUPPORTED, 0\.\d+ ln ratio", line) for line in told)
    assert "open: GPU, NOT TESTED" in told
    assert not any("decoding on CPU" in line for line in told)


def test_a_strong_control_overturns_or_does_not():
    """An effect that is gone with the strong control as reference is said to be; one that is left is not."""
    study = studies.study(("C1",))

    def told(recall):
        truth = studies.GOOD | {"recall_irnn": recall}
        found = next(v for v in verdicts.judge_study(study, studies.contents(study, truth=truth)) if v.claim == "C1")
        assert found.verdict is Verdict.SUPPORTED
        return flips.flips(found)

    assert any("RNN ReLU, identity init (IRNN) in place of RNN tanh (1c)" in line for line in told(0.95))
    assert not any("in place of" in line for line in told(0.5))


def test_untested_claims_flip_nowhere():
    """Where there is no verdict there is nothing to turn."""
    study = studies.study(("C8",), seeds=2)
    judged = verdicts.judge_study(study, studies.contents(study, drop=lambda _: True))
    assert [flips.flips(verdict) for verdict in judged] == [()] * len(judged)


def test_verdicts_share_an_axis_by_their_margins():
    """The margin of contradiction lies at −1, that of support at 1; of one margin alone inside lies to the right."""
    study = studies.study(("C1",))
    judged = verdicts.judge_study(study, studies.contents(study))
    atoms = {atom.name: atom for claim in judged for atom in claim.atoms}
    both, within = atoms["1c"], atoms["1d"]
    assert verdict_overview.place_of(both.support, both) == pytest.approx(1.0)
    assert verdict_overview.place_of(both.contradict, both) == pytest.approx(-1.0)
    places = [verdict_overview.place_of(share * within.equivalence, within) for share in (0.0, 1.0, -1.0, 2.0)]
    assert places == pytest.approx([2.0, 1.0, 1.0, 0.0])
    frame = verdict_overview.of_claims(judged)
    assert dict(zip(frame["atom"], frame["verdict"], strict=True)) == {
        "1a": "SUPPORTED",
        "1b": "INCONCLUSIVE",
        "1c": "SUPPORTED",
    }
    assert (frame[frame["verdict"] == "SUPPORTED"]["place_lower"] > 1.0).all()


def test_model_cards_tell_sizes_and_costs(report):
    """Every model as it was built: parameters, FLOP per token, bytes of state, implementation."""
    row = next(row for row in report.models if row["model"] == "rnn")
    assert {"parameters", "flops_per_token", "state_bytes", "implementation", "matched"} <= set(row)
    cards = build.page(replace(report, models=({**row, "flops_per_token": 1234567.0, "state_bytes": None},)))
    assert re.search(r"<td>1.234.567</td><td>–</td></tr>", cards)


def test_figures_are_written_in_other_formats_when_asked(tmp_path):
    """PDF and PNG stand beside the SVG, the same bytes every time, without date or program; else they do not."""
    study = studies.study(("C8",), seeds=2)
    frame = memory_by_length.select(table.tables(study, studies.contents(study)), study)
    first, second = ({form: svg.written(memory_by_length.draw(frame), form) for form in svg.FORMATS} for _ in range(2))
    assert first == second
    assert first["pdf"].startswith(b"%PDF")
    assert b"CreationDate" not in first["pdf"]
    assert first["png"].startswith(b"\x89PNG")
    assert b"Software" not in first["png"]
    assert build.known_formats(["png", " PDF", "svg"]) == ("pdf", "png")
    with pytest.raises(UsageError, match="no format 'gif' of figures; --formats takes pdf, png, or both"):
        build.known_formats(["gif"])
    report = build.build(study, studies.contents(study), formats=("png",))
    build.write(report, tmp_path)
    assert {path.suffix for path in (tmp_path / "figures").iterdir()} == {".svg", ".png"}


@pytest.mark.slow
def test_two_renders_are_equal_whatever_the_hash_seed():
    """The page's bytes do not depend on the order in which Python holds sets and dictionaries."""
    code = (
        "import hashlib, judged_studies as s; from seqbench.judge.report import build;"
        "study = s.study(('C4', 'C8'), seeds=2);"
        "print(hashlib.sha256(build.page(build.build(study, s.contents(study))).encode()).hexdigest())"
    )
    paths = os.pathsep.join([str(Path(studies.__file__).parent), *filter(None, sys.path)])
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": paths},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]


def _blended(colour, paper, alpha):
    parts = [(int(colour[i : i + 2], 16), int(paper[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(alpha * one + (1 - alpha) * other):02x}" for one, other in parts)


PAPERS = {"#ffffff": "#1b1c1d", "#14171a": "#e6e8ea"}
"""The two papers, with their ink."""


@pytest.mark.parametrize(("paper", "ink"), PAPERS.items())
def test_numbers_on_coloured_cells_can_be_read(paper, ink):
    """The ink has 4.5:1 on every colour behind numbers, at its deepest."""
    deepest = 0.55
    fills = [_blended(colour, paper, deepest) for colour in (crossover_map.SLOWER, crossover_map.FASTER)]
    fills += [_blended(colour, paper, 0.12) for colour in (verdict_overview.FOR, verdict_overview.AGAINST)]
    assert min(_contrast(ink, fill) for fill in fills) >= 4.5


def test_a_look_is_pale_only_where_it_is_asked_for():
    """Half of the colour and a word in the label, and nothing of it afterwards."""
    plain = style.look("gru")
    with style.pale(frozenset({"gru"})):
        assert style.look("gru") == replace(plain, label="GRU (unfinished)", colour=f"{plain.colour}80")
        assert style.look("rnn").label == "RNN tanh"
    assert style.look("gru") == plain
