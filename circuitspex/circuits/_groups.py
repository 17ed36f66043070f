"""Components that belong together, by their signed and measured interactions: ``Circuit.groups``.

Each interaction that is claimed *binds* two of its components, or *separates* them, by its size |effect|:

=============================================  =========================================================
backs up, needs, strengthens                   binds: both do the same job, or one through the other
opposes                                        separates: the two push the metric opposite ways
reverses, each the other                       binds: what one does has no sign without the other
reverses, one the other                        separates: one turns round what the other does
positive or negative interaction of a pair     separates where the effects of the two are certain to be of
                                               opposite sign, else binds; this is how the words above differ
three components and more                      binds each two of them by |effect| / (order - 1)
=============================================  =========================================================

A pair's bonds add up. Groups are the communities of the graph of those above 0 with the largest modularity over many
runs of Louvain's method (Blondel et al. 2008, networkx), each with a seed of its own; so the seed has no say where the
graph has a best partition that is found at all. Modularity has no meaning for negative weights, so these come after it:
as long as two members of a community are separated, the one of them that is bound less to the other members leaves it,
and those who left are grouped among themselves in the same way. No two members of a group are separated.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from circuitspex.circuits.circuit import Circuit, Interaction, Node
from circuitspex.circuits.group import Group
from circuitspex.circuits.order import reading_order
from circuitspex.circuits.relation import Word
from circuitspex.errors import UserError
from circuitspex.scale import check_seed, power_of_two

RUNS = 50
"""Runs of Louvain's method, of which the partition with the largest modularity is taken."""
DRAWS = 100
"""Draws of the effects from their intervals, from which a group's stability is told."""
MANY = 100
"""Of more interactions there are fewer runs and draws, in proportion."""

SMALLEST = 1e-9
"""A bond of less than this share of the largest one is none: it would be lost in the rounding of modularity."""

Pair = tuple[int, int]
Bonds = Mapping[Pair, float]
"""How much two components, by their places and the lower one first, are bound; below 0 they are separated."""


def groups(circuit: Circuit, seed: int = 0) -> tuple[Group, ...]:
    """The groups of two and more components that belong together, the strongest first.

    What binds and what separates stands at the head of this module (``circuitspex.circuits._groups``).

    Args:
        circuit: its ``interactions`` decide; a component without any is in no group.
        seed: of the runs of Louvain's method, and of the draws behind each group's ``stability``.

    Raises:
        UserError: an interaction names what is not a node, or has an effect that is not finite.
    """
    rng = np.random.default_rng(check_seed(seed))
    nodes = sorted(circuit.nodes, key=reading_order)
    place = {node.name: i for i, node in enumerate(nodes)}
    for edge in circuit.interactions:
        missing = next((name for name in edge.components if name not in place), None)
        if missing is not None:
            raise UserError(f"the interaction of {', '.join(edge.components)} names {missing}, which is not a node")
        if not math.isfinite(edge.effect):
            raise UserError(f"the effect of {', '.join(edge.components)} is {edge.effect}; groups need finite effects")
    edges = [edge for edge in circuit.interactions if edge.relation.is_claimed]
    unit = power_of_two([edge.effect for edge in edges])  # no sum overflows
    share = min(1.0, MANY / max(1, len(edges)))
    sizes = [abs(edge.effect) / unit for edge in edges]
    found = _communities(_bonds(edges, nodes, place, sizes), rng, int(RUNS * share) or 1)
    if not found:
        return ()
    draws = []
    for _ in range(max(4, int(DRAWS * share))):
        drawn = [size / unit for size in _drawn(edges, rng)]
        draws.append(_communities(_bonds(edges, nodes, place, drawn), rng, 1))
    together = _co_membership(draws)
    made = [_group([nodes[i] for i in members], members, edges, place, together, len(draws)) for members in found]
    return tuple(sorted(made, key=lambda group: (-group.strength, place[group.members[0]])))


def _binds(edge: Interaction, one: Node, other: Node) -> bool:
    """Whether an interaction binds two of its components, or else separates them."""
    if edge.order > 2 or edge.relation.word in ("backs up", "needs", "strengthens"):
        return True
    if edge.relation.word == "reverses":
        return edge.relation.source is None
    if edge.relation.word == "opposes":
        return False
    certain = all(node.signed and node.is_distinct for node in (one, other))
    return not (certain and one.effect * other.effect < 0)


def _bonds(edges: Iterable[Interaction], nodes: list[Node], place: Mapping[str, int], sizes: Iterable[float]) -> Bonds:
    bonds: dict[Pair, float] = defaultdict(float)
    for edge, size in zip(edges, sizes, strict=True):
        for i, j in itertools.combinations(sorted(place[name] for name in edge.components), 2):
            bonds[i, j] += (1 if _binds(edge, nodes[i], nodes[j]) else -1) * size / (edge.order - 1)
    return bonds


def _drawn(edges: Iterable[Interaction], rng: np.random.Generator) -> Iterator[float]:
    """A size for each interaction: its effect drawn from its interval as from a normal one, 0 with the other sign."""
    for edge in edges:
        width = 0.0 if edge.measured is None else (edge.measured.high - edge.measured.low) / (2 * 1.96)
        yield max(0.0, abs(edge.effect) + width * float(rng.normal())) if math.isfinite(width) else abs(edge.effect)


def _communities(bonds: Bonds, rng: np.random.Generator, runs: int) -> list[list[int]]:
    """Members of each group in order; groups in the order of their first members."""
    from networkx import Graph, connected_components

    graph, largest = Graph(), max(bonds.values(), default=0.0)
    shares = ((pair, bond / largest) for pair, bond in sorted(bonds.items()) if bond > 0)
    graph.add_weighted_edges_from((*pair, share) for pair, share in shares if share > SMALLEST)
    found, left = [], set[int]()
    for members in _best_partition(graph, rng, runs):
        gone = _leaving(members, bonds)
        left |= gone
        found += [sorted(part) for part in connected_components(graph.subgraph(members - gone)) if len(part) > 1]
    among = {pair: bond for pair, bond in bonds.items() if left.issuperset(pair)}
    return sorted(found + (_communities(among, rng, runs) if among else []))


def _best_partition(graph: Any, rng: np.random.Generator, runs: int) -> list[set[int]]:
    """The partition with the largest modularity over the runs; of equal ones the first in the order of the layers."""
    from networkx.algorithms.community import louvain_communities, modularity

    if not graph.number_of_edges():
        return []
    best: tuple[float, list[list[int]]] | None = None
    for seed in rng.integers(2**31, size=runs).tolist():
        parts = sorted(sorted(part) for part in louvain_communities(graph, seed=seed))
        rank = (-round(modularity(graph, parts), 9), parts)
        best = rank if best is None else min(best, rank)
    assert best is not None
    return [set(part) for part in best[1]]


def _leaving(members: set[int], bonds: Bonds) -> set[int]:
    """Those who leave a community so that no two of those who stay are separated, the worst separated first."""
    inside = {pair: bond for pair, bond in bonds.items() if members.issuperset(pair)}
    bound = dict.fromkeys(members, 0.0)  # to those who stay
    for (i, j), bond in inside.items():
        bound[i] += bond
        bound[j] += bond
    gone: set[int] = set()
    for _, (i, j) in sorted((bond, pair) for pair, bond in inside.items() if bond < 0):
        if i in gone or j in gone:
            continue
        weaker = i if bound[i] < bound[j] else j
        gone.add(weaker)
        for pair, bond in inside.items():
            if weaker in pair:
                bound[pair[0] if pair[1] == weaker else pair[1]] -= bond
    return gone


def _co_membership(draws: Iterable[list[list[int]]]) -> Mapping[Pair, int]:
    """In how many draws two components are in one group."""
    together: dict[Pair, int] = defaultdict(int)
    for draw in draws:
        for members in draw:
            for pair in itertools.combinations(members, 2):
                together[pair] += 1
    return together


def _group(
    nodes: list[Node],
    members: list[int],
    edges: Iterable[Interaction],
    place: Mapping[str, int],
    together: Mapping[Pair, int],
    n_draws: int,
) -> Group:
    inside, sizes = set(members), defaultdict[Word, float](float)
    for edge in edges:
        if sum(place[name] in inside for name in edge.components) > 1:
            sizes[edge.relation.word] += abs(edge.effect)
    relation = max(sizes, key=lambda word: sizes[word])
    strongest = max(nodes, key=lambda node: abs(node.effect))
    pairs = list(itertools.combinations(members, 2))
    return Group(
        f"{strongest.name} · {relation}",
        tuple(node.name for node in nodes),
        relation,
        float(sum(sizes.values())),
        sum(together.get(pair, 0) for pair in pairs) / (n_draws * len(pairs)),
    )
