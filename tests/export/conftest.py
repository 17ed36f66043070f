"""A real browser for the pages, and a page that must be quiet."""

from __future__ import annotations

import shutil

import pytest


@pytest.fixture(scope="module")  # not longer: its event loop would be in the way of other tests
def browser():
    """Headless Chromium; the test is skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def open_page(browser, tmp_path):
    """Opens the page of a circuit, comparison or prompt; checks afterwards that it said and asked for nothing."""
    opened, heard = [], []

    def go(found, width=1400, **options):
        path = found.to_html(tmp_path / "page.html")
        page = browser.new_page(viewport={"width": width, "height": 900}, **options)
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
