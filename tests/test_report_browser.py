"""The page in a real browser: opened from disk with the network cut, nothing asked for, nothing complained about."""

import shutil
import sys
from pathlib import Path

import pytest

from seqbench.judge.report import build, compare
from seqbench.measure import conduct

sys.path.insert(0, str(Path(__file__).parent / "golden"))
import judged_studies as studies

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium browser on the path"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # playwright's own event loop at shutdown
]


CUT = """[...document.querySelectorAll('figure svg')].filter(
    drawing => drawing.getBoundingClientRect().right > innerWidth || drawing.closest('.scroll')
).map(drawing => drawing.id)"""
"""Drawings that leave the window, or must be scrolled."""
BESIDE = """[...document.querySelectorAll('table.verdicts tr.first')].map(row => {
    const [claim, badge] = [row.querySelector('th'), row.querySelector('.badge')].map(e => e.getBoundingClientRect());
    return badge.right <= innerWidth && badge.top < claim.bottom && badge.left >= claim.left;
})"""
"""Of every claim whether its verdict stands in the line of its name and within the window."""


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield chromium
        chromium.close()


@pytest.fixture(params=["report", "comparison"])
def page_file(request, tiny_study, tmp_path):
    """A study's report; its comparison with the same study, of which a record is not there yet."""
    folders = tmp_path / "R", tmp_path / "U"
    conduct.conduct(tiny_study, folders[0], settings=conduct.Settings(executor="serial"))
    if request.param == "report":
        return build.write(build.build_folder(folders[0]), tmp_path / "O")
    shutil.copytree(*folders)
    next(folders[1].glob("*/*/*/*.json")).unlink()
    return compare.write(compare.compare_folders(folders), tmp_path / "O")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 768, 375])
def test_the_page_asks_for_nothing_and_fits(browser, page_file, scheme, width):
    """Opened from disk: one document, no other request, no console message, no sideways scrolling, no violation."""
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    page = context.new_page()
    requests, messages = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: messages.append(message.text))
    page.goto(page_file.resolve().as_uri())
    assert requests == [page_file.resolve().as_uri()]
    assert messages == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(CUT) == []
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    violations = Axe().run(page, options={"runOnly": tags}).response["violations"]
    assert [violation["id"] for violation in violations] == []
    context.close()


@pytest.mark.parametrize("page_file", ["report"], indirect=True)
def test_the_page_is_whole_without_javascript(browser, page_file):
    """With JavaScript off everything stands there, and what is folded opens."""
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto(page_file.resolve().as_uri())
    assert page.get_by_text("did not set out to test C1, C2, C3, C4, C5, C6, C7, C8").is_visible()
    page.locator("#models summary").click()
    assert page.get_by_text("FLOP per token").first.is_visible()
    context.close()


def test_on_a_telephone_the_verdict_stands_beside_its_claim(browser, tmp_path):
    """Of the claims that the study asks for; nothing has to be scrolled sideways to read a verdict."""
    study = studies.study(("C1", "C8"), seeds=2)
    page_file = build.write(build.build(study, studies.contents(study)), tmp_path)
    context = browser.new_context(viewport={"width": 375, "height": 800}, offline=True)
    page = context.new_page()
    page.goto(page_file.resolve().as_uri())
    assert page.evaluate(BESIDE) == [True] * 2
    context.close()


@pytest.mark.parametrize("page_file", ["report"], indirect=True)
def test_on_a_telephone_tables_are_cards(browser, page_file):
    """Nothing has to be scrolled sideways; cards name their columns."""
    context = browser.new_context(viewport={"width": 375, "height": 800}, offline=True)
    page = context.new_page()
    page.goto(page_file.resolve().as_uri())
    label = "getComputedStyle(document.querySelector('.cards td:nth-child(2)'), '::before').content"
    assert page.evaluate(label).replace('" "', "") == '"T: "'  # some versions join the parts of a content
    scrolled = "[...document.querySelectorAll('.scroll')].filter(box => box.scrollWidth > box.clientWidth).length"
    assert page.evaluate(scrolled) == 0
    context.close()


@pytest.mark.parametrize("page_file", ["report"], indirect=True)
def test_print_opens_what_is_folded_and_cuts_nothing(browser, page_file):
    """On paper, of the width of an A4 page less its margins, every fold is open and no table is wider than the page."""
    context = browser.new_context(viewport={"width": 700, "height": 1000}, offline=True)
    page = context.new_page()
    page.goto(page_file.resolve().as_uri())
    page.emulate_media(media="print")
    assert page.locator("#models-caption").is_visible()
    widest = page.evaluate(
        "Math.max(...[...document.querySelectorAll('table')].map(t => t.getBoundingClientRect().right))"
    )
    assert widest <= 700
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    context.close()
