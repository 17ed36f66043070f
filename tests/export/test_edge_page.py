"""The page of a circuit of edges, as text."""

import json
import re
from dataclasses import replace

import pytest
from edge_circuits import SMALL, SMOLLM2, edge_circuit

from circuitspex.export.pages import edges
from circuitspex.export.pages.circuit import render_cell, render_page


def _data(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


def test_the_page_has_every_edge_with_its_ends_and_none_of_what_edges_lack():
    circuit = edge_circuit()
    page = render_page(circuit)
    data = _data(page)
    names = [name for name, *_ in data["parts"]]
    for node, (source, target, port) in zip(data["nodes"], data["ends"], strict=True):
        end = names[target] + (f".{port}" if port else "")
        assert node["name"] == f"{names[source]}->{end}"
        assert source < target  # the script counts paths in this order
    assert all(shared < head for shared, head in data["feeds"])
    assert {node["name"] for node in data["nodes"]} == {node.name for node in circuit.nodes}
    assert 'id="heat"' not in page
    assert "The story" not in page
    assert "circuitspex describe" not in page.partition("<script>")[0]
    assert page.count('<tr data-kind="node"') == len(circuit.nodes)
    assert page.count('<tr data-kind="edge"') == len(circuit.interactions)


def test_a_thousand_edges_stay_below_two_megabytes():
    page = render_page(edge_circuit(SMOLLM2, 1_000, 40))
    assert len(page.encode()) <= 2_000_000
    assert len(_data(page)["nodes"]) >= 900


def test_of_too_many_edges_the_strongest_are_there_and_it_is_said(monkeypatch):
    monkeypatch.setattr(edges, "MOST_EDGES", 40)
    circuit = edge_circuit(n_edges=60)
    page = render_page(circuit)
    assert len(_data(page)["nodes"]) == 40
    assert "The strongest 40 of 60 edges are drawn" in page


def test_a_page_that_would_be_too_large_has_fewer_edges(monkeypatch):
    circuit = edge_circuit(SMALL, 300, 0)
    whole = len(render_page(circuit).encode())
    monkeypatch.setattr(edges, "MOST_BYTES", whole * 2 // 3)
    page = render_page(circuit)
    assert len(page.encode()) <= whole * 2 // 3
    assert 50 <= len(_data(page)["nodes"]) < 300


def test_the_python_on_the_page_searches_edges():
    found = _data(render_page(edge_circuit()))["python"]
    compile(found, "found", "exec")
    assert "cx.find_circuit(" in found
    assert "components='edges'" in found
    assert "baseline='resample'" in found


def test_text_from_outside_is_escaped():
    circuit = edge_circuit(n_edges=10, n_interactions=0)
    evil = "<img src=x onerror=alert(1)>"
    page = render_page(replace(circuit, task={"name": evil, "metric": evil, "example": {"prompt": evil}}))
    assert evil not in page
    assert "&lt;img" in page


@pytest.mark.parametrize("n_interactions", [0, 3])
def test_a_notebook_shows_the_picture_and_the_interactions(n_interactions):
    circuit = edge_circuit(n_edges=12, n_interactions=n_interactions)
    cell = render_cell(circuit)
    assert cell.count('class="node"') == 12
    assert ("No interactions." in cell) == (n_interactions == 0)
