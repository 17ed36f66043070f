"""Pictures of edge circuits: SVG and PNG, light and dark."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
from edge_circuits import SMOLLM2, edge_circuit
from matplotlib.backends.backend_agg import FigureCanvasAgg

from circuitspex.errors import UserError
from circuitspex.export.figures.circuit import draw

SVG = "{http://www.w3.org/2000/svg}"


def _svg(circuit, tmp_path, form="svg"):
    return circuit.export(form, tmp_path / f"circuit.{form}.svg").read_text(encoding="utf-8")


def test_svg_has_every_part_edge_and_interaction(tmp_path):
    circuit = edge_circuit()
    root = ET.fromstring(_svg(circuit, tmp_path))
    groups = [group.get("class") for group in root.iter(f"{SVG}g")]
    ends = {end.partition(".")[0] for node in circuit.nodes for end in node.name.split("->")}
    assert groups.count("part") == len(ends)
    assert groups.count("node") == len(circuit.nodes)
    assert groups.count("edge") == len(circuit.interactions)
    texts = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    assert ends - {"emb"} <= set(texts)
    assert "interaction of edges, colour by sign" in texts
    assert "positive edge" in texts
    assert "negative edge" in texts


def test_sign_is_colour_and_dash_and_interactions_are_dotted(tmp_path):
    circuit = edge_circuit(measured=1.0)
    root = ET.fromstring(_svg(circuit, tmp_path))
    edges = [group for group in root.iter(f"{SVG}g") if group.get("class") == "node"]
    negative = [node.effect < 0 for node in circuit.nodes]
    dashed = [group.find(f"{SVG}path").get("stroke-dasharray") == "5 3" for group in edges]
    assert sum(dashed) == sum(negative) > 0
    for group, dash in zip(edges, dashed, strict=True):
        assert (group.find(f"{SVG}path").get("stroke") == "#D55E00") == dash
    arcs = [group for group in root.iter(f"{SVG}g") if group.get("class") == "edge"]
    for group in arcs:
        (line,) = (path for path in group.iter(f"{SVG}path") if path.get("class") == "line")
        assert re.fullmatch(r"[\d.]+ 2\.6", line.get("stroke-dasharray"))


def test_estimates_are_hollow_only_beside_measured_edges(tmp_path):
    some, none = _svg(edge_circuit(measured=0.5), tmp_path), _svg(edge_circuit(measured=0.0), tmp_path)
    assert 'class="core"' in some
    assert 'class="core"' not in none
    assert "all effects are estimates" in none


def test_equal_circuits_give_equal_files(tmp_path):
    circuit = edge_circuit()
    other = replace(circuit, nodes=circuit.nodes[::-1])
    assert _svg(circuit, tmp_path) == _svg(other, tmp_path)


def test_png_is_drawn_light_and_dark(tmp_path):
    import matplotlib.image

    circuit = edge_circuit(n_edges=20, n_interactions=2)
    light = matplotlib.image.imread(circuit.to_png(tmp_path / "a.png"))
    dark = matplotlib.image.imread(circuit.export("png-dark", tmp_path / "b.png"))
    assert light.shape == dark.shape
    assert np.median(light[..., 0]) > 0.9
    assert np.median(dark[..., 0]) < 0.2


def test_texts_of_the_picture_stay_on_it():
    figure = draw(edge_circuit())
    renderer = FigureCanvasAgg(figure).get_renderer()
    for text in figure.axes[0].texts:
        box = text.get_window_extent(renderer)
        assert figure.bbox.x0 <= box.x0
        assert box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0
        assert box.y1 <= figure.bbox.y1


def test_a_thousand_edges_of_a_large_model_are_drawn(tmp_path):
    text = _svg(edge_circuit(SMOLLM2, 1_000, 40), tmp_path)
    assert text.count('class="node"') == 1_000
    assert len(text) < 1_500_000


def test_a_heat_map_of_edges_is_refused_in_one_line():
    with pytest.raises(UserError, match="edges") as error:
        edge_circuit().plot_heatmap()
    assert "\n" not in str(error.value)
