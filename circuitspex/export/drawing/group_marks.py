"""Groups in a diagram: a light box around the members where nothing else stands in it, else a letter at each one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from circuitspex.circuits.circuit import Circuit
from circuitspex.circuits.group import Group
from circuitspex.export.drawing.circuit_layout import MARGIN, Layout, PlacedNode
from circuitspex.export.drawing.geometry import Box, Point
from circuitspex.export.drawing.pen import Look, Pen
from circuitspex.export.drawing.style import DETAIL_SIZE, number, shorten
from circuitspex.export.words.relations import group_name
from circuitspex.export.words.saying import say

LINE = 15.0
"""The height of a group's line below the diagram."""
PAD = 7.0
BADGE = 5.5


@dataclass(frozen=True)
class PlacedGroup:
    """A group, the letter that stands for it, its box where it has one, and where its letter stands."""

    group: Group
    letter: str
    box: Box | None
    marks: tuple[Point, ...]


def place_groups(circuit: Circuit, placed: Layout, groups: Sequence[Group] | None = None) -> tuple[PlacedGroup, ...]:
    """The groups of a circuit in its diagram, the strongest first; none where it has too many components to label.

    ``groups`` are those of the circuit, where they are known already.
    """
    if not placed.with_effects or placed.message:
        return ()
    nodes, found = {mark.node.name: mark for mark in placed.nodes}, list[PlacedGroup]()
    labels = [edge.label for edge in placed.edges if edge.label is not None]
    for letter, group in zip(ascii_uppercase, circuit.groups() if groups is None else groups, strict=False):
        members = [nodes[name] for name in group.members]
        box = _box(members)
        others = [each for mark in placed.nodes if mark.node.name not in group for each in (mark.symbol, mark.label)]
        others += [each.box for each in found if each.box is not None]
        if any(box.overlaps(other) for other in others):
            found.append(PlacedGroup(group, letter, None, tuple(_free(_beside(mark), labels) for mark in members)))
        else:
            corners = [(x, y) for y in (box.top, box.bottom) for x in (box.left, box.right)]
            found.append(PlacedGroup(group, letter, box, (_free(corners, labels),)))
    return tuple(found)


def _box(members: Sequence[PlacedNode]) -> Box:
    boxes = [each for mark in members for each in (mark.symbol, mark.label)]
    return Box(
        min(box.left for box in boxes) - PAD,
        min(box.top for box in boxes) - PAD,
        max(box.right for box in boxes) + PAD,
        max(box.bottom for box in boxes) + PAD,
    )


def _beside(mark: PlacedNode) -> list[Point]:
    """The places diagonally to the left of a component's symbol, where no label of its own stands."""
    away = (mark.x - mark.symbol.left) * 0.72 + BADGE * 0.7
    return [(mark.x - away, mark.y - away), (mark.x - away, mark.y + away)]


def _free(places: Sequence[Point], labels: Sequence[Box]) -> Point:
    """The first of the places where a letter covers no label; the first of all where there is none."""

    def covers(x: float, y: float) -> bool:
        return any(Box(x - BADGE, y - BADGE, x + BADGE, y + BADGE).overlaps(label) for label in labels)

    return next((place for place in places if not covers(*place)), places[0])


def group_boxes(pen: Pen, groups: Sequence[PlacedGroup]) -> None:
    """The boxes, which lie below everything else."""
    for placed in groups:
        if placed.box is not None:
            with pen.group("group-box", data_group=placed.letter):
                pen.box(placed.box, Look(pen.palette.line, pen.palette.muted, 0.9, (1.5, 2.5), opacity=0.45), 9.0)


def group_letters(pen: Pen, groups: Sequence[PlacedGroup]) -> None:
    """The letters, which lie above everything else."""
    for placed in groups:
        with pen.group("group-letter", data_group=placed.letter):
            for x, y in placed.marks:
                _badge(pen, placed.letter, x, y)


def group_lines(pen: Pen, groups: Sequence[PlacedGroup], placed: Layout, top: float) -> None:
    """A line for each group below ``top``: its letter, its name, its members and its strength."""
    room = placed.width - 2 * MARGIN - 25
    for i, each in enumerate(groups):
        y = top + LINE * (i + 0.5)
        size = number(each.group.strength, placed.places, sign=False)
        members = ", ".join(each.group.members)
        text = say("diagram.group_line", name=group_name(each.group), size=size, members=members)
        _badge(pen, each.letter, MARGIN + 14, y)
        pen.text(MARGIN + 25, y, shorten(text, DETAIL_SIZE, room), DETAIL_SIZE, pen.palette.muted)


def _badge(pen: Pen, letter: str, x: float, y: float) -> None:
    pen.circle(x, y, BADGE, Look(pen.palette.background, pen.palette.muted, 0.9))
    pen.text(x, y, letter, DETAIL_SIZE, pen.palette.text, "center", bold=True)
