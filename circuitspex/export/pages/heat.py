"""The heat map of layers and heads: which component stands in which cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from circuitspex.circuits.circuit import Circuit, Node
from circuitspex.components import KINDS
from circuitspex.components.component import Component, parse_component
from circuitspex.errors import ComponentError
from circuitspex.export.drawing.style import kind_order
from circuitspex.export.pages.described import short
from circuitspex.export.words.saying import say_term

MOST_ROWS, MOST_COLUMNS = 400, 400
_OF_HEADS = ("head", "query", "key", "value")


def heat(circuit: Circuit, nodes: Sequence[Node]) -> dict[str, Any] | None:
    """Layers, columns and the cells that have something; None where there are no layers, or too many to draw.

    A cell is ``[layer, column, indices]`` of the nodes given, or ``[layer, column, name, decoded main effect]`` of a
    component that is not in the circuit, where the record of the search has it. Columns are the heads, and one for each
    other kind, the neurons of an MLP in that of the MLP.
    """
    if not circuit.has_layers:
        return None
    placed = [(i, where) for i, node in enumerate(nodes) for where in _place(node.name)]
    members = {node.name for node in nodes}
    recorded = circuit.run.get("main_effects")
    others = [
        (name, effect, where)
        for name, effect in (recorded.items() if isinstance(recorded, Mapping) else ())
        if name not in members and isinstance(effect, int | float)
        for where in _place(name)
    ]
    places = [where for _, where in placed] + [where for *_, where in others]
    n_heads = max([_count(circuit, "n_heads"), *(1 + at for _, kind, at in places if kind == "head")])
    n_layers = max([_count(circuit, "n_layers"), *(1 + layer for layer, *_ in places)])
    kinds = sorted({kind for _, kind, _ in places if kind != "head"}, key=kind_order)
    if not any(kind == "head" for _, kind, _ in places):
        n_heads = 0  # nothing would ever stand there
    if not places or n_layers > MOST_ROWS or n_heads + len(kinds) > MOST_COLUMNS:
        return None

    def column(kind: str, at: int) -> int:
        return at if kind == "head" else n_heads + kinds.index(kind)

    inside: dict[tuple[int, int], list[int]] = {}
    for i, (layer, kind, at) in placed:
        inside.setdefault((layer, column(kind, at)), []).append(i)
    outside: dict[tuple[int, int], tuple[str, float]] = {}
    for name, effect, (layer, kind, at) in others:
        cell = (layer, column(kind, at))
        if cell not in inside and abs(effect) > abs(outside.get(cell, ("", 0.0))[1]):
            outside[cell] = (name, effect)
    return {
        "layers": n_layers,
        "heads": n_heads,
        "columns": [*map(str, range(n_heads)), *(say_term("legend", KINDS[kind].legend or kind) for kind in kinds)],
        "cells": [[*cell, found] for cell, found in inside.items()],
        "others": [[*cell, name, short(effect)] for cell, (name, effect) in outside.items()],
        "recorded": bool(others),
    }


def _place(name: str) -> Iterator[tuple[int, str, int]]:
    """Its layer, its column's kind and its index there; nothing for what is no component."""
    try:
        found: Component = parse_component(name)
    except ComponentError:
        return
    if found.kind in _OF_HEADS:
        yield found.layer, "head", found.start
    else:
        yield found.layer, KINDS[found.kind].within or found.kind, 0


def _count(circuit: Circuit, what: str) -> int:
    found = circuit.model.get(what)
    return found if isinstance(found, int) else 0
