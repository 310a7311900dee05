"""The page in a real browser: opened from disk with the network cut, nothing asked for, nothing complained about."""

import shutil

import pytest

from seqbench.judge.report import build, compare
from seqbench.measure import conduct

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium browser on the path"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # playwright's own event loop at shutdown
]


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
@pytest.mark.parametrize("width", [1280, 375])
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
    violations = Axe().run(page).response["violations"]
    assert [violation["id"] for violation in violations] == []
    context.close()
