"""What a notebook shows: the page in a frame, the picture where no script runs; both from the output itself."""

import html
import re
from dataclasses import replace

import pytest
from drawn_circuits import described, empty, judged, realistic, with_evidence
from drawn_comparisons import comparison, unchanged
from prompt_maps import prompt_map

from circuitspex.circuits.formats import render
from circuitspex.circuits.found import Found
from circuitspex.export.pages import circuit as circuit_page
from circuitspex.export.pages import notebook

RESULTS = [realistic(12), empty(), comparison(8), unchanged(identical=True), prompt_map()]
EVIL = "</script><script>alert(1)</script>\"'--><img src=x onerror=alert(1)> <html x> $' $& \u2028"


@pytest.mark.parametrize("made", RESULTS, ids=lambda made: type(made).__name__)
def test_a_result_has_three_forms(made):
    found = made._repr_mimebundle_()
    assert found["text/plain"] == made.table()
    assert found["text/html"] == made._repr_html_()
    assert found["image/svg+xml"].startswith("<?xml")
    assert render(made, "html") in found["text/html"]
    assert repr(made.show()) == made.table()


def test_the_frame_has_the_page_as_it_is():
    made = described(judged(with_evidence(realistic(14))))
    page = re.search(r'data-srcdoc="([^"]*)"', made._repr_html_())[1]
    assert html.unescape(page) == circuit_page.render_page(made)
    assert " srcdoc=" not in made._repr_html_()  # nothing is loaded where no script runs


def test_a_search_shows_its_circuit():
    found = Found(realistic(5), None, None)
    assert found._repr_mimebundle_() == found.circuit._repr_mimebundle_()
    assert found.show(static=True)._repr_html_() == render(found.circuit, "html")


def test_the_picture_alone_can_be_asked_for(monkeypatch):
    made = realistic(20)
    static = made.show(static=True)
    assert "<iframe" not in static._repr_html_()
    assert len(static._repr_html_()) < 60_000
    assert static._repr_mimebundle_()["text/html"] == static._repr_html_()
    assert "<iframe" in made._repr_html_()
    monkeypatch.setenv("CIRCUITSPEX_NOTEBOOK", "static")
    assert made._repr_mimebundle_() == static._repr_mimebundle_()
    assert "<iframe" in made.show()._repr_html_()


def test_a_page_that_is_too_large_stays_out(monkeypatch):
    monkeypatch.setattr(notebook, "LARGEST", 1000)
    text = realistic(5)._repr_html_()
    assert "<iframe" not in text
    assert "write it with to_html" in text


@pytest.fixture
def open_cells(browser, tmp_path):
    """Opens a document with the outputs of results as a notebook has them; nothing may be said or asked for."""
    opened, heard = [], []

    def go(made, style="background:#fff;color:#222", **options):
        path = tmp_path / "notebook.html"
        cells = "".join(f"<section>{one._repr_html_()}</section>" for one in made)
        head = "<!doctype html><html lang='en'><meta charset='utf-8'><link rel='icon' href='data:,'>"
        path.write_text(f"{head}<title>n</title><body style='{style}'>{cells}</body></html>", encoding="utf-8")
        page = browser.new_page(viewport={"width": 1000, "height": 900}, **options)
        page.set_default_timeout(5000)
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("dialog", lambda dialog: heard.append(dialog.message))
        page.on("request", lambda request: heard.append(request.url) if request.url != path.as_uri() else None)
        page.goto(path.as_uri())
        opened.append(page)
        return page

    yield go
    for page in opened:
        page.close()
    assert heard == []


def _frames(page, count):
    page.wait_for_function(
        f"[...document.querySelectorAll('iframe')].filter(f => f.contentDocument.body).length >= {count}"
    )
    frames = page.frames[1:]
    for frame in frames:
        frame.wait_for_load_state()
    return frames


@pytest.mark.some(2)
@pytest.mark.parametrize(
    ("style", "theme"), [("background:#fff;color:#222", "light"), ("background:#111;color:#ddd", "dark")]
)
def test_two_circuits_work_in_one_document(open_cells, style, theme):
    made = [described(judged(with_evidence(realistic(10)))), realistic(6)]
    page = open_cells(made, style)
    frames = _frames(page, 2)
    assert not any(picture.is_visible() for picture in page.locator("[data-cx-static]").all())
    for frame in frames:
        assert frame.evaluate("document.documentElement.dataset.theme") == theme
        frame.locator(".node[aria-label^='component L23H3:']").click()
        assert "L23H3" in frame.locator("#panel").inner_text()
        frame.evaluate("document.querySelector('a.skip').click()")  # a link within the page
    page.wait_for_timeout(100)
    assert [frame.url.partition("#")[0] for frame in page.frames[1:]] == ["about:srcdoc"] * 2
    other = {"light": "background:#111;color:#ddd", "dark": "background:#fff;color:#222"}[theme]
    page.evaluate(f"document.body.setAttribute('style', '{other}')")  # the notebook's theme is switched
    themes = "[...document.querySelectorAll('iframe')].map(f => f.contentDocument.documentElement.dataset.theme)"
    page.wait_for_function(f"{themes}.every(theme => theme !== '{theme}')")


def test_the_same_circuit_twice_and_other_results(open_cells):
    page = open_cells([realistic(6), realistic(6), comparison(6), prompt_map()])
    assert len(_frames(page, 4)) == 4
    assert [frame.is_visible() for frame in page.locator("iframe").all()] == [True] * 4


def test_a_short_page_has_a_short_frame(open_cells):
    page = open_cells([unchanged(identical=True)])
    _frames(page, 1)
    page.wait_for_function("document.querySelector('iframe').clientHeight < 780")


def test_without_scripts_the_picture_is_there(open_cells):
    page = open_cells([realistic(6), comparison(5)], java_script_enabled=False)
    assert all(picture.is_visible() for picture in page.locator("[data-cx-static]").all())
    assert not any(frame.is_visible() for frame in page.locator("iframe").all())
    assert page.locator("[data-cx-static] svg").first.is_visible()


def test_hostile_names_do_not_run(open_cells):
    made = replace(realistic(4), model={"name": EVIL}, task={"name": EVIL, "metric": EVIL, "example": {"prompt": EVIL}})
    page = open_cells([made])
    (frame,) = _frames(page, 1)
    assert "alert(1)" in frame.locator("h1").inner_text()
    assert not page.locator("img").count()
