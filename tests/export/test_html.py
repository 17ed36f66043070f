"""The HTML page and the notebook output as text: self-contained, safe, small."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from any_circuits import circuits
from drawn_circuits import described, empty, realistic, with_evidence
from hypothesis import given, settings

from circuitspex.export.pages.circuit import render_cell, render_page

EVIL = "</script><script>alert(1)</script><!-- <img src=x onerror=alert(2)> \"' {{data}} &amp; \u2028 \ud83d"


class Reader(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.data = [], [], None
        self._stack = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._stack.append((tag, dict(attributes)))

    def handle_data(self, text):
        if self._stack and self._stack[-1] == ("script", {"type": "application/json", "id": "data"}):
            self.data = json.loads(text)
            self._stack.pop()
        self.text.append(text)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.mark.parametrize("n", [0, 10, 30, 100])
def test_nothing_is_loaded_from_anywhere(n):
    text = render_page(realistic(n) if n else empty())
    page = Reader(text)
    for _, attributes in page.tags:
        for key in ("src", "srcset", "action", "background", "poster", "data"):
            assert key not in attributes
        assert attributes.get("href", "#").startswith(("#", "data:,"))
        assert not any(key.startswith("on") or key == "style" for key in attributes)
    urls = set(re.findall(r"https?://[^\"'<\s]+", text)) | set(
        re.findall(r"url\(|@import|fetch\(|XMLHttp|import\(", text)
    )
    assert urls <= {"http://www.w3.org/2000/svg"}
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


def test_pages_are_small():
    """A page carries its circuit.json, once more as much as the page says itself; all scripts are about 50 kB."""
    assert len(render_page(realistic(100)).encode()) < 380_000
    assert len(render_page(realistic(30)).encode()) < 190_000
    assert len(render_page(described(with_evidence(realistic(100)))).encode()) < 2_000_000


def test_hostile_text_stays_text():
    circuit = replace(
        realistic(10),
        model={"name": EVIL, "identity": EVIL, "architecture": EVIL},
        task={"name": EVIL, "metric": EVIL, "example": dict.fromkeys(("prompt", "answer", "counterfactual"), EVIL)},
        run=dict.fromkeys(("components", "baseline", "method", "executor", "seed"), EVIL)
        | {"versions": {EVIL: EVIL}, "timings": {EVIL: 1.0}},
    )
    for text in (render_page(circuit), render_cell(circuit)):
        text.encode("utf-8")
        page = Reader(text)
        assert not page.all("img")
        assert len(page.all("script")) in (0, 3)
        assert any("<script>alert(1)</script>" in part for part in page.text)


@pytest.mark.long
@given(circuits())
@settings(max_examples=25, deadline=None)
def test_any_circuit_gives_a_page(circuit):
    page = Reader(render_page(circuit))
    assert len(page.all("script")) == 3  # its data, its words and what it does
    assert {node["name"] for node in page.data["nodes"]} == {node.name for node in circuit.nodes}
    assert len(page.data["edges"]) == len(circuit.interactions)
    assert len([a for a in page.all("tr") if "data-kind" in a]) == (
        len(circuit.nodes) + len(circuit.interactions) + len(circuit.dropped)
    )
    Reader(render_cell(circuit))


def test_missing_facts_are_left_out():
    text = render_page(replace(realistic(5), model={}, task={}, run={}, verification=None))
    assert "unnamed model" in text
    assert "None" not in re.sub(r"<(script|style).*?</\1>", "", text, flags=re.DOTALL)
    assert "Verification" not in text


def test_everything_interactive_has_a_name_and_is_reachable():
    page = Reader(render_page(realistic(10)))
    marks = [a for a in page.all("g") if a.get("role") == "button"]
    assert len(marks) == len(realistic(10).nodes) + len(realistic(10).interactions)
    assert all(a["aria-label"] and a["tabindex"] == "0" for a in marks)
    assert page.all("html")[0]["lang"] == "en"


def test_the_picture_in_a_notebook_needs_no_script():
    text = realistic(30).show(static=True)._repr_html_()
    page = Reader(text)
    assert not page.all("script")
    assert not page.all("style")
    assert not any("id" in attributes for _, attributes in page.tags)
    assert page.all("svg")
    assert "L23H3" in text
    assert len(text) < 60_000
    assert "Empty circuit" in render_cell(empty())


def test_what_was_measured_is_in_the_page():
    circuit = with_evidence(realistic(12, seed=5), seed=5)
    text = render_page(circuit)
    page = Reader(text)
    by_name = {node["name"]: node for node in page.data["nodes"]}
    for node in circuit.nodes:
        assert by_name[node.name].get("per_prompt", []) == pytest.approx(node.per_prompt, rel=1e-4)
    by_set = {tuple(edge["components"]): edge for edge in page.data["edges"]}
    for edge in circuit.interactions:
        shown = by_set[edge.components]
        assert shown.get("per_prompt", []) == pytest.approx(edge.per_prompt, rel=1e-4)
        assert [row[0] for row in shown.get("table", [])] == [list(row.kept) for row in edge.table]
        assert ("q" in shown) == (edge.q is not None)
        assert ("path" in shown) == (edge.direction is not None)
    directed = [edge for edge in circuit.interactions if edge.direction is not None and edge.direction.share.low > 0]
    assert directed
    assert len([a for a in page.all("polygon") if a.get("class") == "arrow"]) == len(directed)
    assert "arrow: travels that way" in text
    assert "arrow: travels that way" not in render_page(realistic(12, seed=5))
    first = directed[0].direction
    spoken = [a["aria-label"] for a in page.all("g") if a.get("class") == "edge"]
    assert any(one.endswith(f"{first.source} → {first.target}: 78 % [60, 95]") for one in spoken)


def test_pages_with_evidence_stay_small():
    assert len(render_page(with_evidence(realistic(100))).encode()) < 520_000


def test_interactions_have_a_column_of_q_values_where_there_are_any():
    circuit = with_evidence(realistic(12, seed=6), seed=6)
    heads = [text for text in Reader(render_page(circuit)).text if text == "q"]
    assert len(heads) == 1
    assert "q" not in Reader(render_page(realistic(12, seed=6))).text
    shown = Reader(render_page(circuit)).text
    assert all(f"{edge.q:.2g}" in shown for edge in circuit.interactions if edge.q is not None)
