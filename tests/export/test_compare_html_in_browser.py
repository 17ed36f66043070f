"""The page of a comparison in a real browser: it is quiet, asks the network for nothing, and does what it offers."""

import itertools
from dataclasses import replace

import pytest
from drawn_comparisons import comparison, unchanged

ROWS = "tr[data-kind='change']:visible"
SIDES = ("before", "after", "difference")


def _shown_edges(page, side):
    return page.locator(f"#diagram-{side} .edge:not(.off)").count()


def test_the_threshold_hides_changes_in_the_table_and_the_diagrams(open_page):
    made = comparison(20, seed=3)
    page = open_page(made)
    assert page.locator(ROWS).count() == len(made.changes)
    before = {side: _shown_edges(page, side) for side in SIDES}
    assert len(set(before.values())) == 1
    page.locator("#threshold").fill("500")
    largest = abs(made.changes[0].difference.value)
    kept = [c for c in made.changes if abs(c.difference.value) >= 0.25 * largest]
    assert 0 < len(kept) < len(made.changes)
    assert page.locator(ROWS).count() == len(kept)
    assert page.locator("#count").inner_text().startswith(f"{len(kept)} of {len(made.changes)}")
    wanted = sum(change.order > 1 for change in kept)
    assert {side: _shown_edges(page, side) for side in SIDES} == dict.fromkeys(SIDES, wanted)
    page.locator("#threshold").fill("0")
    assert {side: _shown_edges(page, side) for side in SIDES} == before


def test_kinds_and_search_filter(open_page):
    made = comparison(20, seed=5)
    page = open_page(made)
    for kind in ("gained", "unchanged"):
        page.locator(f"#kinds input[value='{kind}']").uncheck()
    left = [change for change in made.changes if change.kind not in ("gained", "unchanged")]
    assert page.locator(ROWS).count() == len(left)
    page.locator("#search").fill("lost")
    assert page.locator(ROWS).count() == len(made.of("lost"))
    name = made.of("lost")[0].components[0]
    page.locator("#search").fill(f"lost {name}")
    texts = page.locator(f"{ROWS} td.name").all_inner_texts()
    assert texts
    assert all(name in text for text in texts)


def test_a_chosen_change_is_marked_in_all_diagrams(open_page):
    made = comparison(16, seed=1)
    page = open_page(made)
    change = next(change for change in made.found if change.order == 2)
    row = page.locator(f"tr[data-index='{made.changes.index(change)}']")
    row.get_by_role("button").click()
    for side in SIDES:
        assert page.locator(f"#diagram-{side} .edge.chosen").count() == 1
        spoken = page.locator(f"#diagram-{side} .edge.chosen").get_attribute("aria-label")
        assert all(name in spoken for name in change.components)
    said = page.locator("#panel").inner_text()
    assert change.kind in said
    assert f"{change.difference.value:+.2f}".replace("-", "−") in said
    assert f"q {change.q:.2g}" in said
    for circuit in (made.before, made.after):
        assert all(edge.sentence in said for edge in circuit.interactions if edge.components == change.components)
    page.keyboard.press("Escape")
    assert page.locator(".edge.chosen").count() == 0
    page.locator("#diagram-after .node").first.focus()
    page.keyboard.press("Enter")
    assert page.locator(".node.chosen").count() == 3
    assert page.locator("tr.chosen").count() == 1


def test_the_table_sorts(open_page):
    page = open_page(comparison(16, seed=2))
    for name, column in (("Difference", 5), ("q", 8)):
        head = page.locator("#changes").get_by_role("button", name=name, exact=True)
        for reverse in (True, False):
            head.click()
            cells = page.locator(f"#changes tbody td:nth-child({column})").all()
            values = [float(cell.get_attribute("data-v")) for cell in cells]
            assert values == sorted(values, reverse=reverse)


def test_diagrams_move_together_and_one_can_be_shown_alone(open_page):
    page = open_page(comparison(30))
    boxes = "[...document.querySelectorAll('.pane svg.cx-diagram')].map(s => s.getAttribute('viewBox'))"
    start = page.evaluate(boxes)
    page.locator("#diagram-after").scroll_into_view_if_needed()
    area = page.locator("#diagram-after").bounding_box()
    page.mouse.move(area["x"] + 30, area["y"] + 200)
    page.mouse.down()
    page.mouse.move(area["x"] + 30, area["y"] + 120, steps=4)
    page.mouse.up()
    moved = page.evaluate(boxes)
    assert moved != start
    assert len(set(moved)) == 1
    page.locator(".views").get_by_role("button", name="After", exact=True).click()
    assert [page.locator(f"#pane-{side}").is_visible() for side in SIDES] == [False, True, False]
    page.locator(".views").get_by_role("button", name="All", exact=True).click()
    assert all(page.locator(f"#pane-{side}").is_visible() for side in SIDES)


@pytest.mark.parametrize("width", [1000, 1400])
def test_diagrams_stand_one_below_the_other_and_details_stay_in_view(open_page, width):
    made = comparison(14, seed=2)
    page = open_page(made, width=width)
    boxes = [page.locator(f"#diagram-{side}").bounding_box() for side in SIDES]
    assert len({box["x"] for box in boxes}) == 1
    assert all(one["y"] + one["height"] <= two["y"] for one, two in itertools.pairwise(boxes))
    name = page.locator("#diagram-difference .node text").first
    assert name.bounding_box()["height"] >= 11  # 8 px and more of what is smaller beside it
    page.locator("#diagram-difference").scroll_into_view_if_needed()
    page.locator("#diagram-difference .node[aria-label^='component L23H3:']").click()
    panel = page.locator("#panel").bounding_box()
    assert "L23H3" in page.locator("#panel").inner_text()
    assert 0 <= panel["y"] < panel["y"] + 60 <= 900


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_narrow_windows_have_tabs_and_do_not_scroll_sideways(open_page, scheme):
    page = open_page(comparison(12), width=390, color_scheme=scheme)
    assert [page.locator(f"#pane-{side}").is_visible() for side in SIDES] == [False, False, True]
    page.locator(".views").get_by_role("button", name="Before", exact=True).click()
    assert [page.locator(f"#pane-{side}").is_visible() for side in SIDES] == [True, False, False]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    wide = page.evaluate("[...document.querySelectorAll('#kinds label')].map(l => l.getBoundingClientRect().right)")
    assert max(wide) <= 390


def test_identical_empty_and_hostile_comparisons_are_quiet(open_page):
    page = open_page(unchanged(identical=True))
    assert page.locator(".verdict").inner_text().startswith("Identical: a and b have the same weights")
    assert page.locator(".pane").count() == 0
    assert "No change" in open_page(unchanged()).locator(".verdict").inner_text()
    evil = "<img src=x onerror=\"document.title='broken'\"></script><script>document.title='broken'</script>"
    made = comparison(4)
    page = open_page(replace(made, before=replace(made.before, model={"name": evil})))
    assert evil in page.locator("h1").inner_text()
    assert page.title() != "broken"
