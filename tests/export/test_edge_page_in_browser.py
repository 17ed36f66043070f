"""The page of a circuit of edges in a real browser: it is quiet, asks for nothing, and lights paths."""

import networkx
import pytest
from edge_circuits import SMOLLM2, UNUSUAL, edge_circuit

from circuitspex.export.drawing.edge_parts import edge_parts

SHOWN = ".node:not(.off)"


def _name(edge):
    return edge.get_attribute("aria-label").removeprefix("edge ").partition(":")[0]


def _lit(page):
    return set(
        page.evaluate(
            "[...document.querySelectorAll('.node:not(.off):not(.dim)')]"
            ".map(g => g.getAttribute('aria-label').slice(5).split(':')[0])"
        )
    )


def _paths(circuit, names=None):
    """All paths from the embeddings to the logits over these edges, as (from, to, name of the edge)."""
    found = edge_parts(circuit)
    graph = networkx.MultiDiGraph()
    for each in found.edges:
        if names is None or each.node.name in names:
            graph.add_edge(each.source, each.target, key=each.node.name)
    for shared, head in found.feeds:
        graph.add_edge(shared, head, key=f"{shared} in {head}")
    if "emb" not in graph or "logits" not in graph:
        return []
    return [list(path) for path in networkx.all_simple_edge_paths(graph, "emb", "logits")]


def _choose(page, selector):
    page.locator(selector).focus()
    page.keyboard.press("Enter")


def test_top_k_shows_the_strongest(open_page):
    circuit = edge_circuit()
    page = open_page(circuit)
    assert page.locator(SHOWN).count() == len(circuit.nodes)
    page.locator("#top").fill("500")
    shown = page.locator(SHOWN)
    count = int(page.locator("#top-value").inner_text())
    assert 0 < count < len(circuit.nodes)
    assert shown.count() == count
    strongest = sorted(circuit.nodes, key=lambda node: -abs(node.effect))[:count]
    assert {_name(edge) for edge in shown.all()} == {node.name for node in strongest}
    ends = {end.partition(".")[0] for node in strongest for end in node.name.split("->")}
    assert page.locator(".part:not(.off)").count() == len(ends)
    names = {node.name for node in strongest}
    both = [one for one in circuit.interactions if names.issuperset(one.components)]
    assert page.locator(".edge:not(.off)").count() == len(both)
    page.locator("#top").fill("0")
    assert shown.count() == 1
    page.locator("#top").fill("1000")
    page.locator("#arcs").uncheck()
    assert page.locator(".edge:not(.off)").count() == 0


@pytest.mark.parametrize("circuit", [edge_circuit(n_edges=40, seed=7), edge_circuit(UNUSUAL, 30, 2, seed=1)])
def test_a_part_lights_exactly_the_paths_through_it(circuit, open_page):
    page = open_page(circuit)
    every = _paths(circuit)
    known = {node.name for node in circuit.nodes}
    parts = [part.name for part in edge_parts(circuit).parts]
    assert page.locator(".part").count() == len(parts)
    assert f"on {len(every):,} paths" in page.locator("#count").inner_text()
    for part in parts[::3]:
        _choose(page, f".part[aria-label$=' {part}']")
        through = [path for path in every if any(part in (a, b) for a, b, _ in path)]
        wanted = {key for path in through for *_, key in path} & known
        assert _lit(page) == wanted, part
        said = page.locator("#panel").inner_text()
        assert (f"{len(through):,} path" if through else "No path") in said
        assert page.locator(".part.chosen").count() == 1
    page.keyboard.press("Escape")
    assert _lit(page) == known


def test_an_edge_lights_the_paths_through_it_among_those_shown(open_page):
    circuit = edge_circuit(n_edges=40, seed=9)
    page = open_page(circuit)
    page.locator("#top").fill("800")
    shown = {_name(edge) for edge in page.locator(SHOWN).all()}
    assert 3 < len(shown) < 40
    every = _paths(circuit, shown)
    for edge in page.locator(SHOWN).all()[::6]:
        name = _name(edge)
        edge.focus()
        page.keyboard.press("Enter")
        through = [path for path in every if name in [key for *_, key in path]]
        assert _lit(page) == ({key for path in through for *_, key in path} & shown) | {name}
        assert "among the edges that are shown" in page.locator("#panel").inner_text()


def test_cards_lead_from_edge_to_part_to_interaction(open_page):
    circuit = edge_circuit(seed=3)
    page = open_page(circuit)
    panel = page.locator("#panel")
    one = next(one for one in circuit.interactions if one.order == 2)
    page.locator("tr[data-kind='node'] button.link", has_text=one.components[0]).first.click()
    assert one.components[0] in panel.inner_text()
    source = one.components[0].partition("->")[0]
    panel.get_by_role("button", name=source, exact=True).first.click()
    assert "to the logits" in panel.inner_text()
    panel.get_by_role("button", name=one.components[0], exact=True).click()
    panel.get_by_role("button", name=one.components[1], exact=True).click()
    assert "interaction of" in panel.inner_text()
    assert panel.locator(".combinations tbody tr").count() == 4
    assert "edge" in panel.inner_text()
    assert page.locator(".edge.chosen").count() == 1


def test_search_pins_and_the_address(open_page):
    circuit = edge_circuit(seed=3)
    page = open_page(circuit)
    name = max(circuit.nodes, key=lambda node: abs(node.effect)).name
    page.locator("#search").fill(name)
    assert _lit(page) == {name}
    assert page.locator("tr[data-kind='node']:visible").count() == 1
    page.locator("tr[data-kind='node']:visible button.link").click()
    page.get_by_role("button", name="Pin", exact=True).click()
    address = page.evaluate("location.hash")
    page.locator("#search").fill("")
    page.evaluate("history.replaceState(null, '', location.pathname)")
    page.evaluate(f"location.hash = {address!r}")
    page.wait_for_function("document.querySelectorAll('.node.pinned').length === 1")
    assert page.locator(".node.chosen").count() == 1


@pytest.mark.parametrize("width", [1400, 1000, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.some(3)
def test_nothing_is_wider_than_the_window(width, scheme, open_page):
    page = open_page(edge_circuit(), width, color_scheme=scheme)
    _choose(page, ".part[data-part='3']")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.evaluate("document.querySelector('#panel').scrollWidth <= document.querySelector('#panel').clientWidth")


@pytest.mark.long
def test_a_thousand_edges_answer_quickly(open_page):
    page = open_page(edge_circuit(SMOLLM2, 1_000, 20))
    took = page.evaluate(
        "(() => { const t = performance.now(); const s = document.getElementById('top'); s.value = 500;"
        "s.dispatchEvent(new Event('input')); return performance.now() - t; })()"
    )
    assert took < 1500  # of a machine that does much else; a tenth of it on a quiet one


def test_the_picture_can_be_saved(open_page):
    page = open_page(edge_circuit())
    page.locator("#top").fill("400")
    page.locator(".menu summary").click()
    with page.expect_download() as wait:
        page.get_by_role("button", name="Diagram, SVG").click()
    text = wait.value.path().read_text(encoding="utf-8")
    assert text.count('class="node') == int(page.locator("#top-value").inner_text())
    assert "var(--" not in text
