"""What scripts write on a page is in the tables, too: every card is opened in a made-up translation."""

from __future__ import annotations

import pytest
from drawn_circuits import PIECES
from drawn_comparisons import comparison, unchanged
from edge_circuits import edge_circuit
from marked import SPOKEN, left, marked
from prompt_maps import prompt_map
from test_translated_pages import DATA as OF_CIRCUIT
from test_translated_pages import FULL, SCORES, groups  # noqa: F401

from circuitspex.export.words.saying import translated

DATA = {
    *OF_CIRCUIT,
    *(piece.strip() for piece in PIECES),
    "Paul",
    "an MLP attends to nothing",
    "looks at",
    "writes +1.12",
}
SHOWN = """([attributes]) => {
  const found = [], walk = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    if (!walk.currentNode.parentElement.closest("script, style")) found.push(walk.currentNode.data);
  }
  for (const name of attributes) {
    for (const one of document.querySelectorAll(`[${name}]`)) found.push(one.getAttribute(name));
  }
  return found;
}"""


def words_left(page, data):
    return left(page.evaluate(SHOWN, [list(SPOKEN)]), data)


def each_card(page, rows):
    """Opens the card of each row of the tables, one after the other."""
    for row in page.locator(rows).all():
        if row.is_visible():
            row.dispatch_event("click")
            yield page.locator("#panel").inner_text()


@pytest.fixture
def open_marked(open_page):
    def go(found):
        with translated(marked()):
            return open_page(found)

    return go


@pytest.mark.some(2)
@pytest.mark.parametrize("made", [FULL, SCORES], ids=["described", "scores"])
def test_the_cards_of_a_circuit(open_marked, made):
    page = open_marked(made)
    assert words_left(page, DATA) == set()
    cards = list(each_card(page, "tr[data-kind] button.link"))
    assert len(cards) >= len(made.nodes)
    for _ in each_card(page, "tr[data-kind] button.link"):
        assert words_left(page, DATA) == set()


def test_notes_pins_groups_and_answers(open_marked, tmp_path):
    page = open_marked(FULL)
    page.locator("tr[data-kind='node'] button.link").first.click()
    page.locator("button.pin").click()
    page.locator("#panel textarea").fill("a note of mine")
    page.locator("#groups input").check()
    data = {*DATA, "a note of mine"}
    assert words_left(page, data) == set()
    page.locator("#groups button").click()
    assert words_left(page, data) == set()
    page.locator("#copy-link").click()
    page.wait_for_function("document.getElementById('said').textContent !== ''")
    assert words_left(page, data) == set()
    (tmp_path / "notes.json").write_text("{}")
    page.locator("#load").set_input_files(tmp_path / "notes.json")
    page.wait_for_function("document.getElementById('said').textContent.includes('«')")
    assert words_left(page, data) == set()
    lost = '{"format": "circuitspex.page_notes", "model": "other", "pins": ["L0H99", "L0H98"]}'
    (tmp_path / "notes.json").write_text(lost)
    page.locator("#load").set_input_files(tmp_path / "notes.json")
    page.wait_for_function("document.getElementById('said').textContent.includes('2')")
    assert words_left(page, data) == set()
    page.keyboard.press("Escape")
    assert words_left(page, data) == set()


@pytest.mark.long
def test_the_cards_of_edges_and_parts(open_marked):
    page = open_marked(edge_circuit())
    data = {*DATA, "small", "resample", "edges", "q", "k", "v"}
    seen = 0
    for marks in ("tr[data-kind] button.link", "#diagram .part"):
        for mark in page.locator(marks).all():
            mark.dispatch_event("click")
            assert words_left(page, data) == set()
            seen += 1
    assert seen > 60
    page.locator("#top").fill("300")
    assert words_left(page, data) == set()


@pytest.mark.some(2)
@pytest.mark.parametrize("made", [comparison(12), unchanged()], ids=["changed", "unchanged"])
def test_the_details_of_a_comparison(open_marked, made):
    page = open_marked(made)
    data = {*DATA, "a", "b", "model-step1000", "model-step9000", "0af3", "1af3"}
    assert words_left(page, data) == set()
    for mark in page.locator("tr[data-kind] button.link, #diagram-before .node").all():
        mark.dispatch_event("click")
        assert words_left(page, data) == set()


def test_the_words_of_a_prompt(open_marked):
    made = prompt_map(n_words=14, n_edges=6)
    page = open_marked(made)
    data = {*made.text.split(), *DATA, "linear", "tiny", "prompt", "words", "good", "bad"}
    for mark in page.locator(".word, .edge").all():
        mark.dispatch_event("pointerenter")
        assert words_left(page, data) == set()
    assert page.locator("#panel").inner_text() != ""


def test_english_reads_as_the_table_has_it(open_page):
    page = open_page(FULL)
    page.locator("tr[data-kind='node'] button.link").first.click()
    page.locator("button.pin").click()
    said = page.locator("#panel").inner_text()
    assert "Unpin" in said
    assert "{" not in said
    assert "undefined" not in said
