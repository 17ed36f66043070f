"""Every kind of component has a mark that is told from the others', explained by the legend, and within its circle."""

from __future__ import annotations

import math

import pytest

from circuitspex.components import KINDS
from circuitspex.export.drawing.style import corners, kind_order, legend_of, shape_of
from circuitspex.export.pages.rendering import environment


def test_every_kind_of_component_is_explained():
    explained = legend_of(set(KINDS))
    labels = [label for _, label in explained]
    assert len(labels) == len(set(labels)) == len({shape_of(kind) for kind in KINDS})
    of_one = {kind: [label for _, label in legend_of({kind})] for kind in KINDS}
    assert all(len(label) == 1 for label in of_one.values())
    for a in KINDS:
        for b in KINDS:
            assert (shape_of(a) == shape_of(b)) == (of_one[a] == of_one[b])
    page = environment().get_template("macros.html").module.legend(set(KINDS))
    assert all(label in page for label in labels)


def test_a_layers_kinds_are_ordered_and_others_come_last():
    assert len({kind_order(kind) for kind in KINDS}) == len(KINDS)
    assert kind_order("query") < kind_order("head") < kind_order("mlp") < kind_order("neurons")
    assert kind_order("word") > max(map(kind_order, KINDS))
    assert shape_of("word") == "diamond"


@pytest.mark.parametrize("shape", sorted({shape_of(kind) for kind in KINDS} - {"circle", "square"}))
def test_marks_stay_near_their_circle(shape):
    points = corners(shape, 10.0, 20.0, 5.0)
    assert len(set(points)) == len(points) >= 3
    distances = [math.hypot(x - 10, y - 20) for x, y in points]
    assert 4.9 < max(distances) < 5 * 1.11
    assert max(y for _, y in points) > 20 > min(y for _, y in points)
    assert max(x for x, _ in points) > 10 > min(x for x, _ in points)
