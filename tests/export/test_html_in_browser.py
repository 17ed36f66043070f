"""The page in a real browser: it is quiet, asks the network for nothing, and does what it offers."""

import pytest
from drawn_circuits import empty, realistic, with_evidence

SHOWN = ".edge:not(.off)"


def _slide(page, value):
    page.locator("#threshold").fill(str(value))


def test_threshold_and_orders_hide_interactions(open_page):
    circuit = realistic(30)
    page = open_page(circuit)
    assert page.locator(SHOWN).count() == len(circuit.interactions)
    _slide(page, 400)
    some = page.locator(SHOWN).count()
    assert 0 < some < len(circuit.interactions)
    assert page.locator("#count").inner_text().startswith(f"{some} of {len(circuit.interactions)}")
    _slide(page, 1000)
    assert page.locator(SHOWN).count() <= 1
    _slide(page, 0)
    page.locator("#orders input[value='3']").uncheck()
    assert page.locator(SHOWN).count() == sum(edge.order == 2 for edge in circuit.interactions)


def test_choosing_by_mouse_and_keyboard(open_page):
    page = open_page(realistic(10))
    panel = page.locator("#panel")
    page.locator(".node[aria-label^='component L23H3:']").click()
    assert "L23H3" in panel.inner_text()
    assert "+2.90" in panel.inner_text()
    assert "[+2.78, +3.02]" in panel.inner_text()
    panel.get_by_role("button", name="L24H4", exact=True).click()
    assert "negative interaction of L23H3 and L24H4" in panel.inner_text()
    assert "−1.98" in panel.inner_text()
    page.keyboard.press("Escape")
    assert "Choose a component" in panel.inner_text()
    page.locator(".edge").first.focus()
    page.keyboard.press("Enter")
    assert "interaction of" in panel.inner_text()
    page.locator("tr[data-kind='dropped'] button").click()
    assert "did not replicate" in panel.inner_text()


def test_search_dims_the_diagram_and_filters_the_tables(open_page):
    page = open_page(realistic(30))
    rows = page.locator("tr[data-kind='node']:visible")
    before = rows.count()
    page.locator("#search").fill("L23H3")
    assert 0 < rows.count() < before
    assert page.locator(".node.dim").count() > 0
    assert page.locator(".node[aria-label^='component L23H3:'].dim").count() == 0
    page.locator("#search").fill("")
    assert rows.count() == before
    assert page.locator(".node.dim").count() == 0


def test_tables_sort(open_page):
    page = open_page(realistic(30))
    head = page.locator("table.sortable").nth(1).get_by_role("button", name="Layer")
    cells = page.locator("table.sortable").nth(1).locator("tbody td:nth-child(5)")
    for reverse in (True, False):
        head.click()
        layers = [int(text) for text in cells.all_inner_texts()]
        assert layers == sorted(layers, reverse=reverse)


def test_zoom_pan_theme_and_labels_of_estimates(open_page):
    page = open_page(realistic(10), color_scheme="dark")
    box = page.locator("#diagram svg").get_attribute("viewBox")
    page.get_by_role("button", name="Zoom in").click()
    assert page.locator("#diagram svg").get_attribute("viewBox") != box
    colour = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(colour)
    page.locator("#theme").click()
    assert page.evaluate(colour) != dark
    labels = page.locator(".label:visible")
    before = labels.count()
    page.locator("#estimates").uncheck()
    assert 0 < labels.count() < before


def test_prompts_can_not_run_anything(open_page):
    evil = "<img src=x onerror=\"document.title='broken'\"></script><script>document.title='broken'</script>"
    page = open_page(empty(model={"name": evil}, task={"name": evil, "example": {"prompt": evil}}))
    assert evil in page.locator("h1").inner_text()
    assert page.title() != "broken"
    assert "Empty circuit" in page.locator("#diagram").inner_text()


@pytest.mark.parametrize("n", [10, 30])
def test_labels_do_not_overlap_in_the_browser(n, open_page):
    page = open_page(realistic(n))
    boxes = page.evaluate(
        "[...document.querySelectorAll('.node')].map(g => [...g.querySelectorAll('text')].map("
        "t => { const b = t.getBBox(); return [b.x, b.y, b.x + b.width, b.y + b.height]; }))"
    )
    hulls = [[min(b[0] for b in g), min(b[1] for b in g), max(b[2] for b in g), max(b[3] for b in g)] for g in boxes]
    for i, a in enumerate(hulls):
        for b in hulls[i + 1 :]:
            assert not (a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3])


def test_details_show_what_was_measured(open_page):
    circuit = with_evidence(realistic(10, seed=3), seed=3)
    page = open_page(circuit)
    panel = page.locator("#panel")
    node = next(node for node in circuit.nodes if node.per_prompt)
    page.locator(f".node[aria-label^='component {node.name}:']").click()
    bars = panel.locator(".prompts tbody tr")
    assert bars.count() == len(node.per_prompt)
    for text, value in zip(bars.locator("td.num").all_inner_texts(), node.per_prompt, strict=True):
        assert float(text.replace("−", "-")) == pytest.approx(value, abs=0.006)
    widths = [
        float(w.strip("%")) for w in bars.locator("rect").evaluate_all("all => all.map(r => r.getAttribute('width'))")
    ]
    assert widths.index(max(widths)) == max(range(len(bars.all())), key=lambda i: abs(node.per_prompt[i]))

    edge = next(edge for edge in circuit.interactions if edge.direction is not None and edge.direction.share.low > 0)
    page.locator(f".edge[aria-label^='{edge.sentence}:']").focus()
    page.keyboard.press("Enter")
    rows = panel.locator("table.combinations tbody tr")
    assert rows.count() == 2**edge.order == len(edge.table)
    for row, combination in zip(rows.all(), edge.table, strict=True):
        *kept, sampled, whole = row.locator("td:not(.drawn)").all_inner_texts()
        assert [cell.endswith("kept") for cell in kept] == list(combination.kept)
        assert float(sampled.replace("−", "-")) == pytest.approx(combination.value, abs=0.006)
        assert float(whole.replace("−", "-")) == pytest.approx(combination.value + 1, abs=0.006)
    assert "averaged over random masks that keep 90 % of the others" in panel.inner_text()
    assert edge.sentence in panel.inner_text()
    for each in edge.pair.conditional:
        line = panel.get_by_role("row").filter(has_text=f"{each.component}, {each.other} ablated").inner_text()
        assert line.split("\t")[-1].replace("−", "-").startswith(f"{each.ablated.value:+.2f} [")
    assert f"q {edge.q:.2g}" in panel.inner_text()
    assert f"{edge.direction.source} → {edge.direction.target}: 78 % [60, 95]" in panel.inner_text()


def test_pan_by_mouse_and_by_keys(open_page):
    page = open_page(realistic(100))
    box = "document.querySelector('#diagram svg').getAttribute('viewBox')"
    start = page.evaluate(box)
    page.locator("#diagram").scroll_into_view_if_needed()
    area = page.locator("#diagram").bounding_box()
    page.mouse.move(area["x"] + 200, area["y"] + 300)
    page.mouse.down()
    page.mouse.move(area["x"] + 200, area["y"] + 180, steps=5)
    page.mouse.up()
    dragged = page.evaluate(box)
    assert dragged != start
    page.locator("#diagram").focus()
    page.keyboard.press("ArrowDown")
    assert page.evaluate(box) != dragged
    page.keyboard.press("0")
    whole = [float(part) for part in page.evaluate(box).split()]
    assert whole[0] <= 0
    assert whole[1] <= 0


def test_the_page_fits_a_narrow_window(open_page):
    page = open_page(with_evidence(realistic(10)))
    page.set_viewport_size({"width": 390, "height": 800})
    page.locator("tr[data-kind='edge'] button").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
