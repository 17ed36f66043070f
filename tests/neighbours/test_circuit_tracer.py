"""circuit-tracer and Neuronpedia: our attribution graphs by circuit-tracer's own model of the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from circuitspex.circuits import Circuit, Estimate, Faithfulness, Interaction, Node

models = pytest.importorskip("circuit_tracer.frontend.graph_models")


def circuit() -> Circuit:
    """Three heads and an MLP, with a pair and a triple."""
    nodes = tuple(
        Node(name, layer, kind, effect, Estimate(effect, effect - 0.1, effect + 0.1))
        for name, layer, kind, effect in (
            ("L0H1", 0, "head", 0.5),
            ("L1H2", 1, "head", -0.4),
            ("L2H0@-1", 2, "head", 1.25),
            ("L2M", 2, "mlp", 0.3),
        )
    )
    found = (Interaction(("L0H1", "L2M"), 0.2), Interaction(("L0H1", "L1H2", "L2H0@-1"), -0.15))
    task = {"example": {"prompt": "When Mary", "tokens": ["When", " Mary"]}}
    return Circuit(nodes, found, Faithfulness(0.9, 0.8, 0.95, 100), task=task)


def test_graphs_are_read_by_circuit_tracer(tmp_path: Path) -> None:
    """`circuit.export("neuronpedia", …)` is a valid graph of circuit-tracer's (pydantic), and nothing of it is lost."""
    written = json.loads(circuit().export("neuronpedia", tmp_path / "graph.json").read_text())
    read = models.Model.model_validate(written)
    assert [node.node_id for node in read.nodes] == [node["node_id"] for node in written["nodes"]]
    links = [models.Link.model_validate(link) for link in read.links]
    assert [link.model_dump() for link in links] == written["links"]
    to_metric = sorted(link.weight for link in links if link.target == "metric")
    assert to_metric == [-0.4, 0.3, 0.5, 1.25]
    assert read.metadata.prompt_tokens == ["When", " Mary"]
    assert read.qParams.supernodes == written["qParams"]["supernodes"]
