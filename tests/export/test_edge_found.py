"""A circuit of edges as a search on a model gives it: drawn, on its page, and in files."""

import io
import json
import re

import networkx
import numpy as np
import pytest

from circuitspex.circuits import Circuit, Estimate, Faithfulness, Node
from circuitspex.export.drawing.edge_layout import edge_layout
from circuitspex.export.graphs import dot, graphml, neuronpedia
from circuitspex.export.pages.circuit import render_page
from circuitspex.games import EdgeGame


@pytest.fixture(scope="module")
def circuit(tiny):
    """The strongest edges of a tiny model by their slopes where all are open, and one at a single position."""
    model = tiny.bridge("llama")
    task = tiny.task(model, (5,) * 4)
    game, nodes = EdgeGame(model, task), []
    for part, most in ((EdgeGame(model, task, "emb->logits@-1"), 1), (game, 40)):
        slopes = part.evaluate(np.ones((1, part.n_players), bool), gradients=True).gradients[0]
        for i in np.argsort(-np.abs(slopes))[:most].tolist():
            slope = float(slopes[i])
            nodes.append(Node(part.names[i], *part.part(i), slope, Estimate(slope, *sorted((0.0, 2 * slope)))))
    about = game.describe()
    return Circuit(
        tuple(nodes),
        (),
        Faithfulness(None, None, None, 0),
        model=about["model"],
        task=about["task"],
        run={**about["run"], "lens": game.lens},
    )


def test_what_the_game_says_of_the_model_is_what_the_drawing_needs(circuit):
    placed = edge_layout(circuit)
    names = {each.part.name for each in placed.parts}
    assert {each.node.name for each in placed.nodes} == {node.name for node in circuit.nodes}
    heads, shared = (circuit.model[key] for key in ("heads", "key_value_heads"))
    expected = {
        (f"L{layer}KV{head * shared[layer] // heads[layer]}", f"L{layer}H{head}")
        for layer in range(len(heads))
        for head in range(heads[layer])
        if shared[layer] < heads[layer]
    }
    assert set(placed.feeds) == {pair for pair in expected if names.issuperset(pair)}


def test_an_edge_at_one_position_is_drawn_and_exported(circuit, tmp_path):
    assert any(node.name == "emb->logits@-1" for node in circuit.nodes)
    assert tmp_path.joinpath("a.svg") == circuit.to_svg(tmp_path / "a.svg")
    graph = networkx.read_graphml(io.BytesIO(graphml.render(circuit)))
    assert [about["position"] for *_, about in graph.edges(data=True) if "position" in about] == [-1]
    told = neuronpedia.to_json(circuit)["metadata"]["generation_settings"]["edges"]
    assert [each["position"] for each in told if "position" in each] == [-1]
    assert "emb->logits@-1" in dot.render(circuit)


def test_its_page_and_its_file_are_whole(circuit, tmp_path):
    page = render_page(circuit)
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
    assert len(data["ends"]) == len(circuit.nodes)
    assert Circuit.load(circuit.save(tmp_path / "circuit.json")).nodes == circuit.nodes
