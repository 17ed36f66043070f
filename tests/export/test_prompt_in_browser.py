"""A prompt's page in a real browser: it is quiet, asks the network for nothing, and does what it offers."""

from __future__ import annotations

from prompt_maps import prompt_map


def test_a_word_shows_its_interactions_and_escape_lets_go(open_page):
    found = prompt_map(12, 6)
    page = open_page(found)
    edge = found.circuit.interactions[0]
    index = found.member_indices(edge.components)[0]
    page.locator(f".word[data-index='{index}']").focus()
    page.keyboard.press("Enter")
    told = page.locator("#panel").inner_text()
    assert told.startswith(found.words[index].name + ":")
    touching = [e for e in found.circuit.interactions if found.words[index].name in e.components]
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
    page = open_page(prompt_map(), width=1300)
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator("#theme").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    assert page.evaluate("document.documentElement.scrollWidth") <= 1300
