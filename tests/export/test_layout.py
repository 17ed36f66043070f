"""The layout: nothing overlaps, nothing is lost, and it depends on the circuit alone."""

import itertools
import random
from dataclasses import replace

import pytest
from any_circuits import circuits
from drawn_circuits import edge, empty, node, realistic, with_evidence
from hypothesis import given, settings

from circuitspex.circuits.circuit import Circuit, Faithfulness
from circuitspex.errors import UserError
from circuitspex.export.drawing.circuit_layout import layout
from circuitspex.export.drawing.geometry import sample

SIZES = [(10, None, 30), (30, None, 30), (100, None, 30), (100, 150, 30), (100, 40, 2), (60, 300, 12)]


def _check(circuit):
    placed = layout(circuit)
    assert {mark.node.name for mark in placed.nodes} == {one.name for one in circuit.nodes}
    assert len(placed.edges) == len(circuit.interactions)
    boxes = [box for mark in placed.nodes for box in (mark.symbol, mark.label)]
    boxes += [mark.label for mark in placed.edges if mark.label is not None]
    for i, box in enumerate(boxes):
        assert box.left >= 0
        assert box.top >= 0
        assert box.right <= placed.width
        assert box.bottom <= placed.height
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])
    for mark in placed.edges:
        for x, y in (point for path in mark.paths for point in sample(path)):
            assert 0 <= x <= placed.width
            assert 0 <= y <= placed.height
    return placed


@pytest.mark.parametrize(("n_nodes", "n_edges", "n_layers"), SIZES)
@pytest.mark.parametrize("seed", [0, 1])
def test_nothing_overlaps_and_everything_is_inside(n_nodes, n_edges, n_layers, seed):
    _check(realistic(n_nodes, n_edges, n_layers, seed))


@given(circuits(max_nodes=12))
@settings(max_examples=40, deadline=None)
def test_any_circuit_can_be_laid_out(circuit):
    _check(circuit)


@pytest.mark.parametrize("n", [10, 30, 100])
def test_the_order_of_nodes_and_edges_does_not_matter(n):
    circuit = realistic(n)
    rng = random.Random(1)
    mixed = replace(
        circuit,
        nodes=tuple(rng.sample(circuit.nodes, len(circuit.nodes))),
        interactions=tuple(rng.sample(circuit.interactions, len(circuit.interactions))),
    )
    assert layout(circuit) == layout(mixed) == layout(circuit)


def test_later_layers_stand_higher_and_rows_are_even():
    placed = layout(realistic(30))
    for a in placed.nodes:
        for b in placed.nodes:
            assert (a.node.layer < b.node.layer) <= (a.y > b.y)
    heights = sorted({mark.y for mark in placed.nodes})
    gaps = {round(b - a, 1) for a, b in itertools.pairwise(heights)}
    assert len(gaps) == 1
    assert [band.layer for band in placed.bands] == sorted({mark.node.layer for mark in placed.nodes})


@pytest.mark.parametrize("n", [10, 30])
def test_edges_keep_clear_of_symbols_that_are_not_theirs(n):
    placed = layout(realistic(n))
    for mark in placed.edges:
        for path in mark.paths:
            for x, y in sample(path):
                for other in placed.nodes:
                    if other.node.name not in mark.edge.components:
                        assert (x - other.x) ** 2 + (y - other.y) ** 2 > other.radius**2


def test_arcs_in_a_row_pass_above_what_stands_between():
    names = [f"L0H{i}" for i in range(5)]
    nodes = tuple(node(name, 1.0) for name in names)
    edges = (edge((names[0], names[4]), 1.0), edge((names[0], names[1]), 1.0), edge((names[1], names[2]), 1.0))
    placed = _check(Circuit(nodes, edges, Faithfulness(None, None, None, 0)))
    for mark in placed.edges:
        for other in placed.nodes:
            if other.node.name not in mark.edge.components:
                assert not any(
                    other.symbol.left <= x <= other.symbol.right and other.symbol.top <= y <= other.symbol.bottom
                    for x, y in sample(mark.paths[0])
                )


def test_hyperedges_meet_in_a_joint():
    placed = layout(realistic(10))
    triples = [mark for mark in placed.edges if mark.edge.order > 2]
    assert triples
    for mark in triples:
        assert mark.joint is not None
        assert len(mark.paths) == mark.edge.order
        assert all(path[0] == mark.joint for path in mark.paths)
    assert all(mark.joint is None for mark in placed.edges if mark.edge.order == 2)


def test_empty_circuits_say_so():
    assert "Empty circuit" in layout(empty()).message
    assert _check(realistic(5, n_edges=0)).edges == ()


def test_what_can_not_be_drawn_is_refused():
    found = Faithfulness(None, None, None, 0)
    with pytest.raises(UserError, match="names L2H2, which is not a node"):
        layout(Circuit((node("L1H1", 1.0),), (edge(("L1H1", "L2H2"), 1.0),), found))
    with pytest.raises(UserError, match="the effect of L1H1 is nan"):
        layout(Circuit((node("L1H1", float("nan")),), (), found))


@pytest.mark.parametrize("n", [10, 30, 100])
@pytest.mark.parametrize("seed", [0, 1])
def test_arrows_touch_their_target_and_point_at_it(n, seed):
    circuit = with_evidence(realistic(n, seed=seed), seed)
    placed = layout(circuit)
    at = {mark.node.name: mark for mark in placed.nodes}
    n_arrows = 0
    for mark in placed.edges:
        direction = mark.edge.direction
        if direction is None or direction.share.low <= 0:
            assert mark.arrow is None
            continue
        assert mark.arrow is not None
        n_arrows += 1
        target = at[direction.target]
        tip, *corners = (((x - target.x) ** 2 + (y - target.y) ** 2) ** 0.5 for x, y in mark.arrow)
        assert target.radius < tip < target.radius + 8
        assert min(corners) > tip
        nearest = min(
            placed.nodes, key=lambda other: (other.x - mark.arrow[0][0]) ** 2 + (other.y - mark.arrow[0][1]) ** 2
        )
        assert nearest.node.name == direction.target
    assert n_arrows > 0
    assert layout(circuit) == layout(replace(circuit, interactions=circuit.interactions[::-1]))


def test_notes_stand_in_the_labels_and_have_room():
    circuit = realistic(12)
    notes = {frozenset((one.name,)): "▲ gained" for one in circuit.nodes}
    notes |= {frozenset(one.components): "▼" for one in circuit.interactions}
    placed = layout(circuit, notes)
    assert all(mark.lines[0].endswith(" ▲ gained") for mark in placed.nodes)
    assert all(mark.text.startswith("▼ ") for mark in placed.edges)
    boxes = [box for mark in placed.nodes for box in (mark.symbol, mark.label)]
    boxes += [mark.label for mark in placed.edges if mark.label is not None]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


@pytest.mark.parametrize("n", [10, 30, 100])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_many_large_hyperedges_leave_room_for_labels(n, seed):
    rng = random.Random(seed)
    base = realistic(n, seed=seed)
    names = [one.name for one in base.nodes]
    sets = {frozenset(rng.sample(names, k=min(n, rng.choice([2, 3, 3, 4, 5])))) for _ in range(n // 2)}
    edges = tuple(edge(sorted(members), rng.choice([-1, 1]) * rng.random(), rng.random() < 0.5) for members in sets)
    placed = _check(replace(base, interactions=edges))
    joints = [mark.joint for mark in placed.edges if mark.joint is not None]
    assert len(joints) == len(set(joints)) == sum(one.order > 2 for one in edges)
    for x, y in joints:
        for mark in placed.nodes:
            for box in (mark.symbol, mark.label):
                assert not (box.left < x < box.right and box.top < y < box.bottom)
    labelled = [mark.label is not None for mark in placed.edges]
    assert sum(labelled) >= 0.6 * len(labelled)


def test_very_large_diagrams_are_refused_in_one_line_that_says_what_to_do(tmp_path):
    nodes = tuple(node(f"L{i % 30}H{i // 30}", 1.0) for i in range(20_001))
    circuit = Circuit(nodes, (), Faithfulness(None, None, None, 0))
    with pytest.raises(UserError, match=r"at most 20,000 components, and this circuit 20,001.*graphml"):
        circuit.to_svg(tmp_path / "c.svg")
    long = Circuit(tuple(node(f"L{i}M", 1.0) for i in range(500)), (), Faithfulness(None, None, None, 0))
    for form in ("png", "pdf"):
        with pytest.raises(UserError, match=f"points long, and a {form} file holds"):
            long.export(form, tmp_path / f"c.{form}")
    assert not list(tmp_path.iterdir())
