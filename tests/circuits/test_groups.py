"""Groups: what binds is together, what separates is apart, and the seed has no say."""

import itertools
import random
import sys
from dataclasses import replace
from pathlib import Path

import networkx
import pytest
from hypothesis import given, settings
from networkx.algorithms.community import modularity

from circuitspex.circuits import find_circuit
from circuitspex.circuits._groups import _bonds
from circuitspex.circuits.circuit import Circuit, Estimate, Faithfulness, Interaction, Node
from circuitspex.circuits.relation import Conditional, PairEffects, Relation
from circuitspex.errors import UserError

sys.path.insert(0, str(Path(__file__).parents[1] / "export"))
sys.path.insert(0, str(Path(__file__).parents[1] / "ground_truth"))
import plants
from any_circuits import circuits
from drawn_circuits import realistic, with_evidence


def node(name, effect=1.0):
    return Node(name, int(name[1]), "head", effect, Estimate(effect, effect - 0.1, effect + 0.1))


def pair(i, j, word, effect=1.0, half=0.1, source=None):
    """A measured pair of that relation; a plain one where the word is None."""
    nothing = Estimate(0.0, 0.0, 0.0)
    both = (Conditional(i, j, nothing, nothing), Conditional(j, i, nothing, nothing))
    ends = () if source is None else (source, j if source == i else i)
    known = None if word is None else PairEffects(Relation(word, *ends), both)
    return Interaction((i, j), effect, Estimate(effect, effect - half, effect + half), pair=known)


def circuit(edges, effects=None):
    names = sorted({name for edge in edges for name in edge.components} | set(effects or {}))
    nodes = tuple(node(name, (effects or {}).get(name, 1.0)) for name in names)
    return Circuit(nodes, tuple(edges), Faithfulness(0.9, 0.8, 0.95, 50))


def members(found):
    return [group.members for group in found]


@pytest.mark.parametrize(
    ("word", "source", "effect", "together"),
    [
        ("backs up", None, -1.0, True),
        ("needs", "L1H0", 1.0, True),
        ("strengthens", None, 1.0, True),
        ("reverses", None, -1.0, True),
        ("reverses", "L1H0", -1.0, False),
        ("opposes", "L1H0", -1.0, False),
        ("opposes", "L0H0", 1.0, False),
        ("no interaction claimed", None, 1.0, False),
        ("positive interaction", None, 1.0, True),
        ("negative interaction", None, -1.0, True),
    ],
)
def test_what_each_relation_of_a_pair_does(word, source, effect, together):
    found = circuit([pair("L0H0", "L1H0", word, effect, source=source)]).groups()
    assert members(found) == ([("L0H0", "L1H0")] if together else [])
    if together:
        assert (found[0].relation, found[0].strength, found[0].stability) == (word, 1.0, 1.0)


@pytest.mark.parametrize("effect", [1.0, -1.0])
def test_a_plain_interaction_separates_those_that_push_opposite_ways(effect):
    edge = pair("L0H0", "L1H0", None, effect)
    assert members(circuit([edge], {"L0H0": 2.0, "L1H0": 1.0}).groups()) == [("L0H0", "L1H0")]
    assert members(circuit([edge], {"L0H0": -2.0, "L1H0": -1.0}).groups()) == [("L0H0", "L1H0")]
    assert members(circuit([edge], {"L0H0": 2.0, "L1H0": -1.0}).groups()) == []
    assert members(circuit([edge], {"L0H0": 2.0, "L1H0": -0.01}).groups()) == [("L0H0", "L1H0")]  # not told from 0


def test_a_set_of_three_binds_all_of_them():
    three = Interaction(("L0H0", "L1H0", "L2H0"), 1.5, Estimate(1.5, 1.2, 1.8))
    (found,) = circuit([three]).groups()
    assert found.members == ("L0H0", "L1H0", "L2H0")
    assert (found.relation, found.strength) == ("positive interaction", 1.5)


def test_two_families_that_oppose_each_other_are_two_groups_named_by_their_strongest():
    movers, negative = ["L5H0", "L5H1", "L6H2"], ["L7H0", "L8H1"]
    edges = [pair(i, j, "backs up", -1.0) for i, j in itertools.combinations(movers, 2)]
    edges += [pair(*negative, "strengthens", 0.6)]
    edges += [pair(i, j, "opposes", -1.2, source=j) for i in movers for j in negative]
    found = circuit(edges, {"L5H1": 3.0, "L7H0": -2.0, "L8H1": -1.0}).groups()
    assert members(found) == [tuple(movers), tuple(negative)]
    assert [group.name for group in found] == ["L5H1 · backs up", "L7H0 · strengthens"]
    assert [group.strength for group in found] == [pytest.approx(3.0), pytest.approx(0.6)]


def test_who_is_separated_within_a_community_and_bound_less_leaves_it():
    edges = [pair(i, j, "needs", 2.0) for i, j in itertools.combinations(["L0H0", "L1H0", "L2H0"], 2)]
    edges += [pair("L2H0", "L3H0", "needs", 1.0), pair("L1H0", "L3H0", "opposes", -0.5, source="L3H0")]
    assert members(circuit(edges).groups()) == [("L0H0", "L1H0", "L2H0")]


def test_a_bond_that_is_uncertain_makes_a_group_less_stable():
    sure = circuit([pair("L0H0", "L1H0", "needs", 1.0, half=0.1)]).groups()[0]
    doubtful = circuit([pair("L0H0", "L1H0", "needs", 1.0, half=1.9)]).groups()[0]
    assert sure.stability == 1.0
    assert 0.75 < doubtful.stability < 0.95  # one in six draws has the other sign


def drawn(seed, n_nodes=14):
    return with_evidence(realistic(n_nodes, n_edges=n_nodes + 4, seed=seed), seed)


@pytest.mark.some(3)
@pytest.mark.parametrize("case", range(6))
def test_other_seeds_give_the_same_groups(case):
    once = drawn(case, 14 + 2 * case)
    found = [members(once.groups(seed)) for seed in range(6)]
    assert found[0]
    assert all(each == found[0] for each in found)
    shuffled = replace(once, nodes=once.nodes[::-1], interactions=once.interactions[::-1])
    assert members(shuffled.groups(9)) == found[0]


def best_by_trial(graph):
    """The largest modularity of all partitions: the slow way."""
    nodes, best = list(graph), -1.0
    for labels in itertools.product(range(len(nodes)), repeat=len(nodes) - 1):
        labels = (0, *labels)
        if any(label > max(labels[:i]) + 1 for i, label in enumerate(labels) if i):
            continue  # the same partition by other numbers
        parts = [{v for v, label in zip(nodes, labels, strict=True) if label == k} for k in set(labels)]
        best = max(best, modularity(graph, parts))
    return best


@pytest.mark.parametrize("seed", range(4))
def test_groups_have_the_largest_modularity_of_all_partitions(seed):
    rng = random.Random(seed)
    names = [f"L{i}H0" for i in range(6)]
    pairs = rng.sample(list(itertools.combinations(names, 2)), 8)
    edges = [pair(i, j, "needs", rng.uniform(0.2, 2.0)) for i, j in pairs]
    once = circuit(edges)
    graph = networkx.Graph()
    graph.add_weighted_edges_from((*edge.components, edge.effect) for edge in edges)
    found = [set(group.members) for group in once.groups()]
    found += [{name} for name in graph if not any(name in group for group in found)]
    assert modularity(graph, found) == pytest.approx(best_by_trial(graph))


@given(circuits())
@settings(max_examples=40, deadline=None)
def test_of_any_circuit_each_component_is_in_one_group_and_none_is_separated(once):
    found = once.groups()
    names = [name for group in found for name in group.members]
    assert len(names) == len(set(names))
    assert set(names) <= {node.name for node in once.nodes}
    nodes = list(once.nodes)
    place = {node.name: i for i, node in enumerate(nodes)}
    edges = [edge for edge in once.interactions if edge.relation.is_claimed]
    bonds = _bonds(edges, nodes, place, [abs(edge.effect) for edge in edges])
    for group in found:
        assert len(group) > 1
        assert 0 <= group.stability <= 1
        inside = itertools.combinations(sorted(place[name] for name in group.members), 2)
        assert all(bonds.get(both, 0.0) >= 0 for both in inside)


def test_an_interaction_of_what_is_no_node_is_refused():
    broken = replace(circuit([pair("L0H0", "L1H0", "needs")]), nodes=(node("L0H0"),))
    with pytest.raises(UserError, match="names L1H0, which is not a node"):
        broken.groups()


@pytest.mark.long
def test_planted_groups_are_found_on_the_model():
    model = plants.build(plants.USUAL)
    task = plants.task(model)
    found = find_circuit(model, task, budget=96, n_heldout=20, heldout=plants.heldout(model), progress=False)
    groups = {frozenset(group.members): group.relation for group in found.circuit.groups()}
    planted = {frozenset(group.heads): group.kind for group in plants.USUAL.groups if group.kind != "single"}
    assert set(groups) == set(planted)
    assert {planted[each]: word for each, word in groups.items()}["backup"] == "backs up"
