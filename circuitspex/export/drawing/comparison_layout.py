"""One layout for the circuits of a comparison: the same component stands in the same place in all of them.

What is part of any of the three circuits (before, after, difference) is laid out once, with room for the longest of its
texts. Each circuit then gets marks of its own at those places, on one common scale. A part that a circuit does not have
is faint there; its measured effect is still written beside it where the comparison has one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from circuitspex.circuits.circuit import Circuit, Estimate, Faithfulness, Interaction, Node
from circuitspex.circuits.comparison import Change, Comparison
from circuitspex.export.drawing.circuit_layout import Layout, PlacedEdge, PlacedNode, arrow_of, layout
from circuitspex.export.drawing.marks import radius_of, width_of
from circuitspex.export.drawing.style import effect_text
from circuitspex.export.words.saying import say, say_term

KIND_MARKS = {"gained": "▲", "lost": "▼", "stronger": "△", "weaker": "▽", "changed": "◆", "unchanged": "="}
"""The shape that says a change's kind beside its word, so that colour does not have to."""
KINDS_OF_CHANGE = tuple(kind for kind in KIND_MARKS if kind != "unchanged")
"""The kinds that are a change, which legends explain."""
_WHICH = ("before", "after", "difference")

Members = frozenset[str]
P = TypeVar("P", Node, Interaction)


@dataclass(frozen=True)
class UnionLayout:
    """The three diagrams, of one size, whose marks are in one order; and the change behind each mark, if any."""

    before: Layout
    after: Layout
    difference: Layout
    changes_of_nodes: tuple[int | None, ...]
    changes_of_edges: tuple[int | None, ...]


def union_layout(comparison: Comparison) -> UnionLayout:
    """Lay out the circuits of a comparison together.

    Raises:
        UserError: what ``layout`` refuses.
    """
    circuits = (comparison.before, comparison.after, comparison.difference)
    index = {frozenset(change.components): i for i, change in enumerate(comparison.changes)}
    nodes = [{frozenset((node.name,)): node for node in circuit.nodes} for circuit in circuits]
    edges = [{frozenset(edge.components): edge for edge in circuit.interactions} for circuit in circuits]
    changes = {members: comparison.changes[i] for members, i in index.items()}
    node_parts = {members: _in_all(members, nodes, changes) for members in sorted(set().union(*nodes), key=sorted)}
    edge_parts = {members: _in_all(members, edges, changes) for members in sorted(set().union(*edges), key=sorted)}
    notes = {  # of a component in words
        members: KIND_MARKS[change.kind] + (f" {say_term('change', change.kind)}" if len(members) == 1 else "")
        for members, change in changes.items()
        if change.kind != "unchanged"
    }
    whole = Circuit(
        tuple(_widest([part for part, _ in parts]) for parts in node_parts.values()),
        tuple(_widest([part for part, _ in parts]) for parts in edge_parts.values()),
        Faithfulness(None, None, None, 0),
    )
    placed = layout(whole, notes)
    if placed.message:
        placed = replace(placed, message=say("comparison.nothing"))
    largest_node = max((abs(mark.node.effect) for mark in placed.nodes), default=0.0)
    largest_edge = max((abs(mark.edge.effect) for mark in placed.edges), default=0.0)
    drawn: list[Layout] = []
    for which in range(3):
        said = notes if which == 2 else {}
        marks = [_node(mark, *node_parts[_name(mark)][which], said, placed, largest_node) for mark in placed.nodes]
        at = {mark.node.name: mark for mark in marks}
        lines = [
            _edge(mark, *edge_parts[frozenset(mark.edge.components)][which], said, placed, largest_edge, at)
            for mark in placed.edges
        ]
        drawn.append(replace(placed, nodes=tuple(marks), edges=tuple(lines)))
    before, after, difference = drawn
    return UnionLayout(
        before,
        after,
        difference,
        tuple(index.get(_name(mark)) for mark in placed.nodes),
        tuple(index.get(frozenset(mark.edge.components)) for mark in placed.edges),
    )


def _name(mark: PlacedNode) -> Members:
    return frozenset((mark.node.name,))


def _in_all(
    members: Members, parts: Sequence[Mapping[Members, P]], changes: Mapping[Members, Change]
) -> list[tuple[P, bool]]:
    """The part as it is in each of the three circuits, and whether it is part of it."""
    template = next(some[members] for some in parts if members in some)
    change, found = changes.get(members), []
    for which, some in enumerate(parts):
        if members in some:
            found.append((some[members], True))
            continue
        measured: Estimate | None = None if change is None else getattr(change, _WHICH[which])
        pair: dict[str, Any] = {"table": (), "unablated": (), "pair": None} if isinstance(template, Interaction) else {}
        found.append((replace(template, decoded=0.0, measured=measured, per_prompt=(), **pair), False))
    return found


def _widest(parts: Sequence[P]) -> P:
    """A part whose text is at least as wide, and whose mark is at least as large, as those of all the others.

    What a pair is called is not said in a comparison, whose circuits may differ in it.
    """
    unnamed: dict[str, Any] = {"pair": None} if isinstance(parts[0], Interaction) else {}
    first = replace(parts[0], **unnamed)
    effect = max((part.effect for part in parts), key=abs)
    ends = [end for part in parts if part.measured for end in (part.measured.low, part.measured.high)]
    if not ends:
        return replace(first, decoded=effect, measured=None)
    longest = max(ends, key=abs)
    return replace(first, measured=Estimate(effect, longest, longest))


def _text(part: Node | Interaction, there: bool, places: int) -> str:
    if not there and part.measured is None:
        return say("comparison.absent")
    return effect_text(part, places)


def _node(
    mark: PlacedNode, node: Node, there: bool, notes: Mapping[Members, str], placed: Layout, largest: float
) -> PlacedNode:
    name = f"{node.name} {notes.get(_name(mark), '')}".rstrip()
    lines = (name, _text(node, there, placed.places)) if placed.with_effects else (name,)
    return replace(mark, node=node, radius=round(radius_of(node.effect, largest), 2), lines=lines, faint=not there)


def _edge(
    mark: PlacedEdge,
    edge: Interaction,
    there: bool,
    notes: Mapping[Members, str],
    placed: Layout,
    largest: float,
    at: Mapping[str, PlacedNode],
) -> PlacedEdge:
    width = width_of(edge.effect, largest)
    arrow = arrow_of(edge, mark.paths, at, width) if there else None
    text = f"{notes.get(frozenset(edge.components), '')} {_text(edge, there, placed.places)}".lstrip()
    return replace(mark, edge=edge, width=width, text=text, arrow=arrow, faint=not there)
