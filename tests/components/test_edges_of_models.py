"""Names of edges, their numbers in the graph, and what selectors select."""

from __future__ import annotations

import numpy as np
import pytest

from circuitspex.components._select_edges import select_edges, wants_ungrouped
from circuitspex.components.edges import Edge, EdgeGraph, EdgeLayer, is_of_edges, parse_edge
from circuitspex.errors import ComponentError

SMOLLM2 = (EdgeLayer(9, 3),) * 30


def small(**options: bool) -> EdgeGraph:
    return EdgeGraph((EdgeLayer(4, 2), EdgeLayer(4, 2), EdgeLayer(2, 2, mlp=False)), **options)


def listed(graph: EdgeGraph) -> list[str]:
    """Every edge of a graph, by walking through the model."""
    found, before = [], ["emb"]
    for layer, about in enumerate(graph.layers):
        heads = [f"L{layer}H{h}" for h in range(about.n_heads)]
        by_head = graph.ungrouped or all(each.n_heads == each.n_kv for each in graph.layers)
        keys = heads if by_head else [f"L{layer}KV{h}" for h in range(about.n_kv)]
        into = [f"{name}.q" for name in heads] + [f"{name}.{kind}" for kind in "kv" for name in keys]
        found += [f"{source}->{target}" for target in into for source in before]
        if about.mlp:
            reads = before if graph.parallel else before + heads
            found += [f"{source}->L{layer}M" for source in reads]
        before = [*before, *heads, *([f"L{layer}M"] if about.mlp else [])]
    return found + [f"{source}->logits" for source in before]


def test_counts_of_smollm2():
    """As the Mechanistic Interpretability Benchmark counts them, and with keys and values grouped."""
    assert len(EdgeGraph(SMOLLM2, ungrouped=True)) == 123_211
    assert len(EdgeGraph(SMOLLM2)) == 70_651


@pytest.mark.parametrize("options", [{}, {"parallel": True}, {"ungrouped": True}])
def test_every_edge_has_a_number_and_a_name(options):
    graph = small(**options)
    names = listed(graph)
    assert [str(graph.edge(number)) for number in range(len(graph))] == names
    assert [graph.number(name) for name in names] == list(range(len(names)))
    assert list(select_edges(graph, "edges").names) == names


def test_names_are_read_back():
    for name in ("L5H1->L9H3.q", "L5M->L9KV1.v@-1", "emb->L0M", "L29M->logits@3"):
        assert str(parse_edge(name)) == name
    for wrong in ("L5H1->", "L5->L9M", "logits->L0M", "emb->emb", "L5H1->L9KV1.q", "L5H1 -> L9M", "a" * 300):
        with pytest.raises(ComponentError):
            parse_edge(wrong)


@pytest.mark.parametrize(
    ("selector", "pattern"),
    [
        ("edges", lambda u, d: True),
        ("edges->logits", lambda u, d: d == "logits"),
        ("L0H3->*", lambda u, d: u == "L0H3"),
        ("*->L1M", lambda u, d: d == "L1M"),
        ("heads->mlps", lambda u, d: "H" in u and d.endswith("M")),
        ("layers[:1].heads->heads.k", lambda u, d: u.startswith("L0H") and d.endswith(".k")),
        ("layers[1:].edges", lambda u, d: u[:2] in ("L1", "L2") and d[:2] in ("L1", "L2")),
        ("L1.edges", lambda u, d: u[:2] == "L1" and d[:2] == "L1"),
        ("mlps->L1.heads", lambda u, d: u == "L0M" and d[:3] in ("L1H", "L1K")),
        ("emb->*", lambda u, d: u == "emb"),
        ("L0M->L1H3", lambda u, d: u == "L0M" and d in ("L1H3.q", "L1KV1.k", "L1KV1.v")),
        ("L0M->L1KV0", lambda u, d: u == "L0M" and d in ("L1KV0.k", "L1KV0.v")),
    ],
)
def test_selectors(selector, pattern):
    graph = small()
    chosen = set(select_edges(graph, selector).names)
    assert chosen == {name for name in listed(graph) if pattern(*name.split("->"))}
    assert chosen


def test_each_edge_is_selected_once_and_in_order():
    graph = small()
    chosen = select_edges(graph, ["L0M->logits", "edges->logits", Edge("emb", "logits")])
    assert chosen.names[0] == "L0M->logits"
    assert len(set(chosen.names)) == len(chosen) == len(graph.sources)
    placed = select_edges(graph, "edges->logits@-1")
    assert placed.names[0] == "emb->logits@-1"
    np.testing.assert_array_equal(np.sort(chosen.numbers), placed.numbers)


def test_what_is_of_edges_and_what_is_ungrouped():
    assert all(map(is_of_edges, ["edges", "edges:ungrouped", "L1M->*", ["emb->L0M"], Edge("emb", "L0M"), "edges-"]))
    assert not any(map(is_of_edges, ["heads", "heads+mlps", ["L5H1"], "layers[2:].neurons:64", 3, "heads@-1"]))
    assert wants_ungrouped("layers[2:].edges:ungrouped")
    assert wants_ungrouped(["emb->L3H1.v"])
    assert not wants_ungrouped("emb->L3KV1.v+edges->logits")
