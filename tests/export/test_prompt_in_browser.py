"""A prompt's page in a real browser: it is quiet, asks the network for nothing, and does what it offers."""

from __future__ import annotations

import shutil

import pytest
from prompt_maps import prompt_map

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def open_page(browser, tmp_path):
    """Opens a prompt's page; afterwards checks that it said nothing and asked for nothing."""
    opened, heard = [], []

    def go(found, **options):
        path = found.to_html(tmp_path / "prompt.html")
        page = browser.new_page(viewport={"width": 1300, "height": 900}, **options)
        page.set_default_timeout(5000)
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("request", lambda request: heard.append(request.url) if request.url != path.as_uri() else None)
        page.goto(path.as_uri())
        opened.append(page)
        return page

    yield go
    for page in opened:
        page.close()
    assert heard == []


def test_a_word_shows_its_interactions_and_escape_lets_go(open_page):
    found = prompt_map(12, 6)
    page = open_page(found)
    edge = found.circuit.edges[0]
    index = found.member_indices(edge.components)[0]
    page.locator(f".word[data-index='{index}']").focus()
    page.keyboard.press("Enter")
    told = page.locator("#panel").inner_text()
    assert told.startswith(found.words[index].name + ":")
    touching = [e for e in found.circuit.edges if found.words[index].name in e.components]
    assert told.count("interaction of") == len(touching)
    assert page.locator(".edge.chosen").count() == len(touching)
    page.keyboard.press("Escape")
    assert page.locator(".word[aria-pressed='true']").count() == 0


def test_the_slider_hides_weak_interactions_and_rows_lead_to_them(open_page):
    page = open_page(prompt_map(40, 12))
    assert page.locator("#count").inner_text() == "12 of 12 interactions shown"
    page.locator("#threshold").fill("500")
    shown = page.locator(".edge:not(.off)").count()
    assert 0 < shown < 12
    assert page.locator(".number:not(.off)").count() == shown
    page.locator("#threshold").fill("0")
    page.locator("tr[data-kind='edge'][data-index='2'] td").first.click()
    assert page.locator(".edge.chosen").get_attribute("data-index") == "2"


def test_long_prompts_and_dark_pages_work_without_scripts(open_page):
    page = open_page(prompt_map(300, 24), color_scheme="dark", java_script_enabled=False)
    assert page.locator(".word").count() == 300
    assert page.locator("#picture svg").is_visible()


def test_the_theme_switches(open_page):
    page = open_page(prompt_map())
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator("#theme").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    assert page.evaluate("document.documentElement.scrollWidth") <= 1300
