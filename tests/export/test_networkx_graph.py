"""A circuit as a graph of networkx: every name, effect and interaction of it, and nothing else."""

from __future__ import annotations

import networkx
import pytest
from edge_circuits import edge_circuit
from test_dot import damaged, hostile, mixed

from circuitspex.errors import UserError


@pytest.mark.parametrize("seed", range(4))
def test_components_and_interactions_are_those_of_the_circuit(seed):
    circuit = mixed(seed)
    graph = circuit.to_networkx()
    alone = {name: about["effect"] for name, about in graph.nodes(data=True) if about["role"] == "component"}
    assert alone == {node.name: node.effect for node in circuit.nodes}
    pairs = {
        frozenset((one, two)): about["effect"]
        for one, two, about in graph.edges(data=True)
        if about["role"] == "interaction"
    }
    assert pairs == {frozenset(each.components): each.effect for each in circuit.interactions if each.order == 2}
    joints = {name: about["effect"] for name, about in graph.nodes(data=True) if about["role"] == "interaction"}
    larger = {frozenset(each.components): each.effect for each in circuit.interactions if each.order > 2}
    assert {frozenset(name): effect for name, effect in joints.items()} == larger
    assert all(set(graph.neighbors(name)) == set(name) for name in joints)


CIRCUIT = edge_circuit(n_edges=30, n_interactions=5, seed=2)


def test_circuits_of_edges_are_directed_by_parts():
    graph = CIRCUIT.to_networkx()
    assert isinstance(graph, networkx.MultiDiGraph)
    found = {about["name"]: (one, two) for one, two, about in graph.edges(data=True) if about["role"] == "edge"}
    assert set(found) == {node.name for node in CIRCUIT.nodes}
    assert all(name.startswith(f"{one}->") for name, (one, _) in found.items())


def test_names_of_any_kind_stay_as_they_are():
    circuit = hostile()
    assert {node.name for node in circuit.nodes} <= set(circuit.to_networkx())


@pytest.mark.parametrize(("circuit", "said"), damaged())
def test_what_has_no_graph_is_refused(circuit, said):
    with pytest.raises(UserError, match=said):
        circuit.to_networkx()
