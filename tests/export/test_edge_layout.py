"""Where the parts, edges and interactions of an edge circuit are drawn."""

import itertools
import math
import random
from dataclasses import replace

import numpy as np
import pytest
from edge_circuits import SMALL, SMOLLM2, edge_circuit, interaction, player

from circuitspex.circuits.circuit import Circuit, Faithfulness
from circuitspex.components.edges import EdgeGraph, EdgeLayer
from circuitspex.errors import UserError
from circuitspex.export.drawing import edge_routing
from circuitspex.export.drawing.edge_layout import edge_layout
from circuitspex.export.drawing.edge_parts import edge_parts
from circuitspex.export.drawing.edge_routing import Ends, Row, routes
from circuitspex.export.drawing.geometry import Box, sample

UNGROUPED = EdgeGraph((EdgeLayer(4, 4),) * 5, name="ungrouped")
CIRCUITS = [(SMALL, 60, 8), (SMALL, 12, 2), (UNGROUPED, 80, 5), (SMOLLM2, 200, 10)]


def _boxes(placed):
    return {each.part.name: each.box for each in placed.parts}


def _inside(box, point, by=0.6):
    return box.left + by < point[0] < box.right - by and box.top + by < point[1] < box.bottom - by


@pytest.mark.parametrize(("graph", "n_edges", "n_interactions"), CIRCUITS)
def test_edges_go_from_part_to_port_and_pass_through_no_part(graph, n_edges, n_interactions):
    placed = edge_layout(edge_circuit(graph, n_edges, n_interactions, seed=3))
    boxes, parts = _boxes(placed), {each.part.name: each for each in placed.parts}
    assert len(placed.nodes) == n_edges
    for each in placed.nodes:
        source, target = boxes[each.edge.source], boxes[each.edge.target]
        (x0, y0), (x1, y1) = each.path[0], each.path[-1]
        assert y0 == pytest.approx(source.top, abs=0.1)
        assert source.left <= x0 <= source.right
        if each.edge.port:
            assert (x1, y1) == parts[each.edge.target].ports[each.edge.port]
        assert y1 == pytest.approx(target.bottom, abs=0.1)
        assert target.left <= x1 <= target.right
        assert y1 < y0  # upward
        for point in sample(each.path, 8):
            hit = [name for name, box in boxes.items() if _inside(box, point)]
            assert not hit, (each.node.name, hit)


@pytest.mark.parametrize(("graph", "n_edges", "n_interactions"), CIRCUITS)
def test_parts_do_not_overlap_and_are_on_the_page_in_the_band_of_their_layer(graph, n_edges, n_interactions):
    placed = edge_layout(edge_circuit(graph, n_edges, n_interactions, seed=5))
    page, bands = Box(0, 0, placed.width, placed.height), {layer: (top, end) for layer, top, end in placed.bands}
    for each in placed.parts:
        assert page.contains(each.box)
        if each.part.layer is not None:
            top, bottom = bands[each.part.layer]
            assert top <= each.box.top
            assert each.box.bottom <= bottom
    for a, b in itertools.combinations(_boxes(placed).values(), 2):
        assert not a.overlaps(b)
    lows = [top for _, top, _ in sorted(placed.bands)]
    assert lows == sorted(lows, reverse=True)
    for each in placed.nodes:
        for x, y in each.path:
            assert 0 <= x <= placed.width
            assert 0 <= y <= placed.height


def test_the_order_of_edges_does_not_matter():
    circuit = edge_circuit(seed=2)
    shuffled = list(circuit.nodes)
    random.Random(1).shuffle(shuffled)
    other = replace(circuit, nodes=tuple(shuffled), interactions=circuit.interactions[::-1])
    assert edge_layout(other) == edge_layout(circuit)


def test_heads_that_share_keys_and_values_stand_in_their_frame():
    circuit = edge_circuit(seed=1)
    placed, boxes = edge_layout(circuit), _boxes(edge_layout(circuit))
    feeds = set(edge_parts(circuit).feeds)
    heads = [name for name in boxes if "H" in name]
    shared = [name for name in boxes if "KV" in name]
    assert feeds == {
        (kv, head)
        for kv in shared
        for head in heads
        if kv.partition("KV")[0] == head.partition("H")[0]
        and int(head.partition("H")[2]) // 3 == int(kv.partition("KV")[2])
    }
    assert feeds
    assert len(placed.frames) == len(shared)
    for kv, head in feeds:
        (frame,) = [frame for _, frame in placed.frames if frame.contains(boxes[kv])]
        assert frame.contains(boxes[head])
        assert sum(frame.overlaps(box) for box in boxes.values()) == 1 + sum(one == kv for one, _ in feeds)


def test_groups_without_a_record_are_told_from_names():
    circuit = edge_circuit(seed=1)
    bare = replace(circuit, model={"n_heads": 6})
    assert edge_parts(bare).feeds == edge_parts(circuit).feeds


@pytest.mark.parametrize("seed", range(3))
def test_interactions_end_on_their_edges_and_away_from_parts(seed):
    circuit = edge_circuit(n_interactions=10, seed=seed)
    placed = edge_layout(circuit)
    of_name = {each.node.name: each for each in placed.nodes}
    assert len(placed.edges) == len(circuit.interactions)
    clear = 0
    for one in placed.edges:
        assert len(one.ends) == one.edge.order
        for name, end in zip(one.edge.components, one.ends, strict=True):
            near = min(math.dist(end, point) for point in sample(of_name[name].path, 200))
            assert near < 1.0
            clear += not any(_inside(box, end) for box in _boxes(placed).values())
    assert clear == sum(one.edge.order for one in placed.edges)


def test_labels_cover_no_part():
    placed = edge_layout(edge_circuit(n_edges=18, n_interactions=3))
    assert placed.with_effects
    labels = [each.label for each in (*placed.nodes, *placed.edges) if each.label is not None]
    assert len(labels) > 12
    for label in labels:
        assert not any(label.overlaps(box) for box in _boxes(placed).values())
    for a, b in itertools.combinations(labels, 2):
        assert not a.overlaps(b)


def test_of_many_edges_the_strongest_are_drawn_and_it_is_said():
    circuit = edge_circuit(n_edges=80)
    placed = edge_layout(circuit, most=30)
    strongest = sorted(circuit.nodes, key=lambda node: -abs(node.effect))[:30]
    assert {each.node.name for each in placed.nodes} == {node.name for node in strongest}
    assert placed.note.startswith("The strongest 30 of 80 edges are drawn")
    assert not edge_layout(circuit).note


def test_what_is_no_circuit_of_edges_is_refused_in_a_line():
    circuit = edge_circuit(n_edges=10, n_interactions=0)
    one = circuit.nodes[0]
    for nodes, interactions, said in (
        ((replace(one, name="L5H1"),), (), "is none"),
        ((one, one), (), "twice"),
        ((replace(one, decoded=math.inf, measured=None),), (), "finite"),
        ((one,), (interaction((one.name, "emb->L0M"), 0.3),), "not a node"),
    ):
        with pytest.raises(UserError, match=said) as error:
            edge_layout(replace(circuit, nodes=nodes, interactions=interactions))
        assert "\n" not in str(error.value)


def test_an_empty_circuit_says_so():
    placed = edge_layout(Circuit((), (), Faithfulness(None, None, None, 0), run={"lens": "edges"}))
    assert "no edge" in placed.message


def _length(way, ends, free):
    xs = [ends.low[0], *(free[row][k] for row, k in way), ends.high[0]]
    return sum(abs(a - b) for a, b in itertools.pairwise(xs)) + edge_routing.NEW * len(way)


@pytest.mark.parametrize("seed", range(5))
def test_the_first_edge_takes_the_cheapest_of_all_ways(seed):
    rng = np.random.default_rng(seed)
    free = [np.sort(rng.uniform(0, 300, 4)) for _ in range(6)]
    ends = Ends(0, (float(rng.uniform(0, 300)), 0.0), 5, (float(rng.uniform(0, 300)), -500.0), 1.0)
    way = edge_routing._Places(free).take(ends)
    every = [list(zip(range(1, 5), ks, strict=True)) for ks in itertools.product(range(4), repeat=4)]
    assert _length(way, ends, free) == pytest.approx(min(_length(one, ends, free) for one in every))


def test_edges_that_run_the_same_way_become_a_bundle():
    rows = [Row(-100.0 * i - 20, -100.0 * i, ((140.0, 200.0),)) for i in range(6)]
    edges = [Ends(0, (60.0 + 12 * i, 0.0), 5, (50.0 + 12 * i, -500.0), 2.0) for i in range(4)]
    found = routes(rows, edges, 0.0, 400.0)
    middles = [min(sample(path, 40), key=lambda point: abs(point[1] + 260))[0] for path in found]
    assert max(middles) - min(middles) <= edge_routing.STEP
    assert len(set(middles)) == 4  # beside each other, not upon each other


def test_stronger_edges_are_wider():
    placed = edge_layout(edge_circuit(seed=4))
    edges = sorted(placed.nodes, key=lambda each: abs(each.node.effect))
    assert [each.width for each in edges] == sorted(each.width for each in edges)
    assert edges[-1].width > 2 * edges[0].width


def test_a_player_of_the_fixture_is_in_the_layer_where_it_ends():
    assert player(SMALL, "L2H3->L4KV1.k", 0.5).layer == 4
