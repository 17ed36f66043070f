"""The page as a place to work, in a real browser: cards, heat map, pins, groups, notes, and the files it gives."""

import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
from drawn_circuits import described, empty, realistic, with_evidence

import circuitspex as cx
from circuitspex.circuits.about import Role
from circuitspex.circuits.circuit import Circuit
from circuitspex.circuits.group import Group

EVIL = "<img src=x onerror=\"document.title='broken'\"></script><script>document.title='broken'</script>\u202e"


@pytest.fixture
def circuit():
    """A described circuit with an outlier among its prompts."""
    made = described(with_evidence(realistic(10), seed=3))
    first = made.nodes[0]
    nodes = (replace(first, per_prompt=(9.5, *first.per_prompt[1:])), *made.nodes[1:])
    return replace(made, nodes=nodes)


def _number(text):
    return float(text.split()[0].replace("−", "-"))


def _choose(page, name):
    page.locator("tr[data-kind='node']").get_by_role("button", name=name, exact=True).click()


def test_the_card_tells_what_the_description_says(open_page, circuit):
    page = open_page(circuit)
    panel = page.locator("#panel")
    name = circuit.nodes[0].name
    about = circuit.description[name]
    page.locator(f".story button:text-is('{name}')").click()
    assert panel.locator(".role .word").inner_text() == about.role.word == "answer mover"
    assert panel.locator(".role li").all_inner_texts() == list(about.role.evidence)

    for prompt in (0, 5):
        panel.get_by_label("Prompt", exact=True).select_option(str(prompt))
        shares = np.array(about.looks.per_prompt[prompt])
        pieces = panel.locator(".tokens .piece")
        assert [piece.text_content() for piece in pieces.all()] == circuit.task["prompts"][prompt]["tokens"]
        shown = np.array(
            [float(s[:-1]) for s in pieces.evaluate_all("a => a.map(p => p.style.getPropertyValue('--share'))")]
        )
        assert np.allclose(shown, 78 * np.sqrt(shares.round(3) / shares.round(3).max()), atol=0.51)
        written = panel.locator(".tokens .share").all_inner_texts()
        assert [bool(text) for text in written] == [share >= 0.05 for share in shares.round(3)]
    named = panel.locator(".tokens .named").all_inner_texts()
    assert {text: [i for i, each in enumerate(named) if each == text] for text in named if text} == (
        circuit.task["prompts"][5]["positions"]
    )
    rows = panel.get_by_label("Attention to named positions").locator("tr")
    for share, row in zip(about.looks.positions, rows.all(), strict=False):
        assert row.inner_text().split()[:2] == [share.name, str(round(100 * share.value.value))]
    assert _number(panel.get_by_label("Direct write").locator("td.num").inner_text()) == pytest.approx(
        about.writes.direct.value, abs=0.006
    )
    tokens = (
        panel.get_by_label("Promoted and suppressed tokens")
        .locator("th code")
        .evaluate_all("a => a.map(c => c.textContent)")
    )
    assert tokens == [each.token for each in (*about.writes.promotes, *about.writes.suppresses)]
    feeds = sorted(about.feeds, key=lambda feed: -abs(feed.total.value))
    assert panel.locator("details.feed summary button").all_inner_texts()[: len(feeds)] == [f.target for f in feeds]
    for feed, made in zip(feeds, panel.locator("details.feed").all()[: len(feeds)], strict=True):
        ways = [_number(text) for text in made.locator("td.num").evaluate_all("a => a.map(c => c.textContent)")]
        wanted = (feed.total, feed.query, feed.key, feed.value, feed.remainder)
        assert ways == pytest.approx([way.value for way in wanted], abs=0.006)
        assert f"most through its {feed.through}" in made.locator("summary").inner_text()

    values = np.array(circuit.nodes[0].per_prompt)
    low, high = np.quantile(values, [0.25, 0.75])
    outlying = (values < low - 1.5 * (high - low)) | (values > high + 1.5 * (high - low))
    assert outlying[0]
    marked = panel.locator(".prompts tr").evaluate_all("a => a.map(r => r.querySelector('.outlier') !== null)")
    assert marked == outlying.tolist()
    assert "1.5 times the interquartile range" in panel.inner_text()
    assert panel.locator(".prompts button").first.inner_text().startswith("Mary · John")

    neurons = next(node for node in circuit.nodes if circuit.description[node.name].fires)
    _choose(page, neurons.name)
    fires = circuit.description[neurons.name].fires
    assert panel.locator(".fires mark").all_text_contents() == [one.token for one in fires]
    assert "an MLP attends to nothing" in panel.inner_text()


def test_a_circuit_without_a_description_says_how_to_get_one(open_page):
    page = open_page(with_evidence(realistic(6)))
    assert "circuitspex describe" in page.locator(".story").inner_text()
    _choose(page, "L23H3")
    assert "circuitspex describe circuit.json" in page.locator("#panel").inner_text()
    assert page.locator("#panel .prompts tr").count() == 16


def test_a_pair_is_four_bars(open_page, circuit):
    page = open_page(circuit)
    edge = next(e for e in circuit.interactions if e.order == 2 and e.table and e.direction)
    page.locator(f".edge[aria-label^='{edge.sentence}:']").focus()
    page.keyboard.press("Enter")
    panel = page.locator("#panel")
    assert panel.locator(".head p").inner_text() == edge.sentence
    bars = panel.locator(".combinations td.drawn svg:first-child rect")
    widths = [float(w[:-1]) for w in bars.evaluate_all("a => a.map(r => r.getAttribute('width'))")]
    values = np.array([row.value for row in edge.table])
    assert len(widths) == 4
    assert np.allclose(np.array(widths) / max(widths), np.abs(values) / np.abs(values).max(), atol=0.01)
    travels = panel.get_by_label("Share that travels along the path").inner_text()
    assert f"{round(100 * edge.direction.share.value)} %" in travels


def test_the_heat_map_by_mouse_and_keyboard(open_page):
    base = realistic(7)
    run = {**base.run, "main_effects": {"L3H5": -0.5, "L23H3": 2.9, "L12M": 0.2}}
    page = open_page(replace(base, run=run, model={**base.model, "n_heads": 9}))
    cells = page.locator("#heat .cell")
    assert cells.count() == len(base.nodes)
    titles = page.locator("#heat rect > title").evaluate_all("a => a.map(t => t.textContent)")
    assert sorted(titles) == ["L12M: +0.20 decoded, not in the circuit", "L3H5: −0.50 decoded, not in the circuit"]
    page.locator("#heat .cell[aria-label^='L23H0:']").click()
    assert page.locator("#panel h3").inner_text() == "L23H0"
    assert page.locator("#heat .cell.chosen").count() == 1
    page.locator("#heat .cell[tabindex='0']").focus()
    seen = set()
    for key in ("ArrowUp",) * 3 + ("ArrowRight",) * 9 + ("ArrowDown",) * 9 + ("ArrowLeft",) * 9:
        page.keyboard.press(key)
        seen.add(page.evaluate("document.activeElement.getAttribute('aria-label').split(':')[0]"))
    assert {"L29H1", "L18M", "L23H3"} <= seen
    page.keyboard.press("Enter")
    assert page.locator("#panel h3").inner_text() == page.evaluate(
        "document.activeElement.getAttribute('aria-label').split(':')[0]"
    )
    tops = page.locator("#heat .cell").evaluate_all(
        "a => Object.fromEntries("
        "a.map(c => [c.getAttribute('aria-label').split(':')[0], c.getBoundingClientRect().top]))"
    )
    assert tops["L29H1"] < tops["L24H7"] < tops["L23H3"] < tops["L18M"]


@pytest.fixture
def groups(monkeypatch):
    found = (Group("L23H3 · backs up", ("L23H3", "L24H4"), "backs up", 2.0, 1.0),)
    monkeypatch.setattr(Circuit, "groups", lambda self: found)
    return found


def test_pins_folds_and_notes_live_in_the_address_and_in_a_file(open_page, circuit, groups, tmp_path):
    page = open_page(circuit)
    _choose(page, "L23H3")
    page.get_by_role("button", name="Pin", exact=True).click()
    page.get_by_label("Note on L23H3").fill(f"a note & {EVIL}")
    edge = next(e for e in circuit.interactions if {"L23H3", "L24H4"} < set(e.components) or e.order == 2)
    page.locator("tr[data-kind='edge'] button").first.click()
    page.get_by_label("Note on this page").fill("on all")
    shown = page.locator(".edge:visible").count()
    page.locator("#groups input").check()
    assert page.locator(".fold").count() == 1
    assert page.locator(".group-letter:visible").count() == 0
    assert page.locator(".node:visible").count() == len(circuit.nodes) - 2
    within = sum(set(e.components) <= {"L23H3", "L24H4"} for e in circuit.interactions)
    touching = sum(bool(set(e.components) & {"L23H3", "L24H4"}) for e in circuit.interactions)
    assert page.locator(".edge:visible").count() == shown - touching
    assert page.locator(".fold-line").count() == touching - within
    page.locator(".fold").click()
    assert "2 components that belong together" in page.locator("#panel").inner_text()
    _choose(page, "L24H4")
    page.get_by_label("Prompt", exact=True).select_option("3")
    assert edge
    address = page.evaluate("location.href")
    with page.expect_download(timeout=30000) as waiting:
        page.get_by_role("button", name="Save notes and pins").click()
    kept = tmp_path / "notes.json"
    waiting.value.save_as(kept)

    def check(other):
        assert other.locator("#panel h3").inner_text() == "L24H4"
        assert other.locator(".pins button.link").all_inner_texts() == ["L23H3"]
        assert other.locator(".node.pinned").count() == 1
        assert other.locator("#groups input").is_checked()
        assert other.get_by_label("Prompt", exact=True).input_value() == "3"
        assert other.get_by_label("Note on this page").input_value() == "on all"
        assert EVIL in other.locator("#notes").inner_text()
        assert other.title() != "broken"

    other = open_page(circuit)
    other.evaluate(f"location.hash = {json.dumps(address.partition('#')[2])}")
    other.locator(".pins").wait_for()
    check(other)
    third = open_page(circuit)
    third.locator("#load").set_input_files(kept)
    third.locator(".pins").wait_for()
    check(third)
    third.locator("#load").set_input_files({"name": "x.json", "mimeType": "application/json", "buffer": b"[1"})
    third.locator("#said", has_text="not a file of notes").wait_for()
    found = json.loads(kept.read_text(encoding="utf-8"))
    found["pins"], found["notes"] = ["L9H9", 7, "L24H4"], {"L9H9": "gone", "L24H4": ["no"]}
    foreign = {"name": "y.json", "mimeType": "application/json", "buffer": json.dumps(found).encode()}
    third.locator("#load").set_input_files(foreign)
    third.locator("#said", has_text="2 of its entries").wait_for()
    assert third.locator(".pins button.link").all_inner_texts() == ["L24H4"]


def test_what_the_page_gives_away(open_page, circuit, tmp_path):
    page = open_page(circuit)
    page.locator("#orders input[value='3']").uncheck()
    page.get_by_text("Download").click()

    def saved(name):
        with page.expect_download(timeout=30000) as waiting:
            page.get_by_role("button", name=name).click()
        path = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(path)
        return path

    assert cx.Circuit.load(saved("circuit.json")) == circuit
    compile(saved("Python that finds it again").read_text(encoding="utf-8"), "again.py", "exec")
    for name, marks in (("Diagram", "node"), ("Heat map", "cell")):
        path = saved(f"{name}, SVG")
        assert path.name.startswith("smollm2-135m-ioi")
        drawing = ET.fromstring(path.read_bytes())
        assert "var(" not in path.read_text(encoding="utf-8")
        kinds = [each.get("class", "").split(" ")[0] for each in drawing.iter()]
        assert kinds.count(marks) == len(circuit.nodes)
        assert kinds.count("edge") == (sum(e.order < 3 for e in circuit.interactions) if marks == "node" else 0)
        raw = saved(f"{name}, PNG").read_bytes()
        assert raw.startswith(b"\x89PNG")
        width, height = (int.from_bytes(raw[at : at + 4], "big") for at in (16, 20))
        wanted = [float(drawing.get("width")), float(drawing.get("height"))]
        assert [width, height] == pytest.approx([2 * side for side in wanted], abs=1)


def test_hostile_descriptions_stay_text(open_page):
    base = described(with_evidence(realistic(3)))
    prompt = {
        **base.task["prompts"][0],
        "prompt": EVIL,
        "tokens": [EVIL] * 14,
        "positions": {EVIL: [1], "__proto__": [2]},
    }
    parts = tuple(
        replace(
            about,
            role=Role(EVIL, 0.1, (EVIL,)),
            writes=replace(about.writes, promotes=(replace(about.writes.promotes[0], token=EVIL),)),
            lacks=(EVIL,),
        )
        for about in base.description.components
    )
    hostile = replace(base, task={**base.task, "name": EVIL, "prompts": [prompt] * 16})
    page = open_page(hostile.described(replace(base.description, components=parts)))
    page.locator("tr[data-kind='node'] button").first.click()
    assert "onerror" in page.locator("#panel").inner_text()
    assert page.title() != "broken"
    assert page.locator("#panel img, #panel script").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_every_window_with_a_card_open(open_page, circuit, scheme):
    page = open_page(circuit, color_scheme=scheme)
    page.locator("tr[data-kind='node'] button").first.click()
    for width in (1400, 1000, 390):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        box = page.locator("#panel").bounding_box()  # in view, wherever the page is scrolled to
        assert -1 <= box["y"] + box["height"] - 200 <= 800
        assert page.evaluate(
            "document.querySelector('#panel').scrollWidth <= document.querySelector('#panel').clientWidth"
        )
        page.evaluate("scrollTo(0, 0)")


def test_an_empty_circuit_is_quiet(open_page):
    page = open_page(empty())
    assert "This circuit is empty" in page.locator("#panel").inner_text()
    assert page.locator("#heat").count() == 0
