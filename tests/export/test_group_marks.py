"""Groups in the diagram: a box holds its members and nobody else; a letter stands for a group that has none."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from drawn_circuits import empty, realistic, with_evidence

from circuitspex.circuits.formats import render
from circuitspex.export.drawing.circuit_layout import layout
from circuitspex.export.drawing.geometry import Box
from circuitspex.export.drawing.group_marks import place_groups


@pytest.mark.parametrize("seed", range(12))
def test_a_box_holds_all_members_and_no_other_component(seed):
    circuit = with_evidence(realistic(6 + seed, seed=seed), seed)
    placed = layout(circuit)
    groups = place_groups(circuit, placed)
    assert [each.group for each in groups] == list(circuit.groups())
    assert len({each.letter for each in groups}) == len(groups)
    boxes = [each.box for each in groups if each.box is not None]
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
    for each in groups:
        if each.box is None:
            assert len(each.marks) == len(each.group)
            continue
        for mark in placed.nodes:
            if mark.node.name in each.group:
                assert each.box.contains(mark.symbol)
                assert each.box.contains(mark.label)
            else:
                assert not each.box.overlaps(mark.symbol)
                assert not each.box.overlaps(mark.label)


def test_some_groups_have_a_box_and_some_have_letters():
    found = [place_groups(circuit, layout(circuit)) for circuit in (realistic(n, seed=n) for n in range(4, 16))]
    have = {each.box is not None for groups in found for each in groups}
    assert have == {True, False}


def test_letters_cover_no_label_where_there_is_room():
    circuit = with_evidence(realistic(8, seed=3), 3)
    placed = layout(circuit)
    for each in place_groups(circuit, placed):
        for x, y in each.marks:
            badge = Box(x - 5, y - 5, x + 5, y + 5)
            assert not any(edge.label and badge.overlaps(edge.label) for edge in placed.edges)


def test_the_picture_names_each_group_below_the_diagram():
    circuit = with_evidence(realistic(9, seed=1), 1)
    groups = circuit.groups()
    svg = render(circuit, "svg")
    texts = [
        "".join(element.itertext()) for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    ]
    for group in groups:
        line = next(text for text in texts if text.startswith(group.name))
        assert all(name in line for name in group.members)
    alone = render(replace(circuit, interactions=()), "svg")
    height = [float(re.search(r'height="([\d.]+)pt"', each)[1]) for each in (svg, alone)]
    assert "data-group" not in alone
    assert height[0] > height[1]


def test_a_large_or_an_empty_circuit_is_drawn_without_groups():
    for circuit in (realistic(41, 30), empty()):
        assert place_groups(circuit, layout(circuit)) == ()
