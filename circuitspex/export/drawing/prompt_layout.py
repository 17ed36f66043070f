"""Where the words of a prompt stand, in lines that wrap, and how interactions run above them.

A pair on one line is joined by an arc above it. What joins words on several lines, or more than two words, runs along a
bar above each line, and from line to line in the margin on the right, so that it never crosses a word. Bars and arcs on
one line are stacked in levels, so that their labels don't meet. One unit is one point; y goes down.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field

from circuitspex.circuits.circuit import Interaction
from circuitspex.circuits.prompt_map import PromptMap
from circuitspex.export.drawing.geometry import Box, Path, Point, straight
from circuitspex.export.drawing.style import decimals_of, number, shorten, text_width
from circuitspex.text import printable

TEXT_SIZE = 13.0
LABEL_SIZE = 8.5
LINE = 20.0
WIDTH = 780.0
MARGIN = 22.0
_PAD = 3.0
_LEVEL = 17.0
_LOW = 20.0  # how far above its line the lowest level runs
_LANE = 8.0
_ROUND = 5.0


@dataclass
class Chunk:
    """A piece of text on one line; ``word`` is the index of the word it is of, or None for what is never ablated."""

    text: str
    word: int | None
    left: float
    right: float
    line: int


@dataclass(frozen=True)
class PlacedWord:
    """The boxes of a word, one for each line that it stands on, and how strong its colour is (0 to 1)."""

    index: int
    boxes: tuple[Box, ...]
    strength: float


@dataclass(frozen=True)
class PlacedText:
    """A text and the middle of its line; ``word`` as in ``Chunk``."""

    text: str
    left: float
    y: float
    width: float
    word: int | None


@dataclass(frozen=True)
class PlacedArc:
    """An interaction: its paths, its width, its label and the middle of that."""

    edge: Interaction
    members: tuple[int, ...]
    paths: tuple[Path, ...]
    width: float
    label: str
    x: float
    y: float


@dataclass(frozen=True)
class PromptLayout:
    """Everything in its place."""

    width: float
    height: float
    texts: tuple[PlacedText, ...]
    words: tuple[PlacedWord, ...]
    arcs: tuple[PlacedArc, ...]
    places: int


@dataclass
class _Run:
    """The part of an interaction above one line: from ``left`` to ``right``, with a foot on each member there."""

    edge: int
    line: int
    feet: list[float]
    left: float
    right: float
    level: int = 0
    chunks: list[Chunk] = field(default_factory=list)


def places_of(found: PromptMap) -> int:
    """How many decimals its effects need."""
    return decimals_of([word.effect for word in found.words] + [edge.effect for edge in found.circuit.interactions])


def layout(found: PromptMap, width: float = WIDTH) -> PromptLayout:
    """Place the words and the interactions of a prompt."""
    chunks, n_lines = _wrapped(found, width)
    places = places_of(found)
    edges = sorted(found.circuit.interactions, key=lambda edge: (-abs(edge.effect), edge.components))
    members = [found.member_indices(edge.components) for edge in edges]
    first: dict[int, Chunk] = {}
    for chunk in chunks:
        if chunk.word is not None:
            first.setdefault(chunk.word, chunk)
    lanes = [i for i, some in enumerate(members) if len({first[m].line for m in some}) > 1]
    edge_of_margin = MARGIN + width + 6
    runs = _runs(members, first, set(lanes), edge_of_margin)
    labels = [number(edge.effect, places) for edge in edges]
    _levels(runs, labels)
    tops = _line_tops(n_lines, runs)
    strongest = max((abs(word.effect) for word in found.words), default=0.0) or 1.0
    largest = max((abs(edge.effect) for edge in edges), default=0.0) or 1.0
    arcs = []
    for index, edge in enumerate(edges):
        mine = [run for run in runs if run.edge == index]
        lane = edge_of_margin + _LANE * lanes.index(index) if index in lanes else None
        paths, x, y = _paths(mine, tops, lane)
        thickness = 1.0 + 3.2 * abs(edge.effect) / largest
        arcs.append(PlacedArc(edge, members[index], paths, thickness, labels[index], x, y))
    words = []
    for index, word in enumerate(found.words):
        boxes = _boxes([chunk for chunk in chunks if chunk.word == index], tops)
        words.append(PlacedWord(index, boxes, abs(word.effect) / strongest))
    texts = tuple(
        PlacedText(c.text, c.left, tops[c.line] + LINE / 2, c.right - c.left, c.word) for c in chunks if c.text
    )
    right = edge_of_margin + _LANE * max(len(lanes) - 1, 0) + (6 if lanes else 0)
    return PromptLayout(right + MARGIN, tops[-1] + LINE + 10, texts, tuple(words), tuple(arcs), places)


def _wrapped(found: PromptMap, width: float) -> tuple[list[Chunk], int]:
    """The text in chunks, and how many lines they take."""
    owner: list[int | None] = [None] * len(found.text)
    for index, word in enumerate(found.words):
        owner[word.start : word.end] = [index] * (word.end - word.start)
    space = text_width(" ", TEXT_SIZE) + 2
    if len(found.words) > 1 and len(found.circuit.interactions) >= len(found.words):  # arcs need room between words
        spare = width - text_width(found.text, TEXT_SIZE) - (2 * _PAD + space) * len(found.words)
        space += min(44.0, max(0.0, spare / len(found.words)))
    chunks: list[Chunk] = []
    x, line, free = MARGIN, 0, True
    for match in re.finditer(r"\n|[^\S\n]+|\S+", found.text):
        piece, start = match.group(), match.start()
        if piece.isspace() and owner[start] is None:
            if piece == "\n" and not free:
                x, line, free = MARGIN, line + 1, True
            elif not free:
                x += space
            continue
        parts = _by_owner(found, piece, start, owner, width)
        total = sum(text_width(text, TEXT_SIZE) + 2 * _PAD for text, _ in parts)
        if x + total > MARGIN + width and not free:
            x, line = MARGIN, line + 1
        for text, whose in parts:
            wide = text_width(text, TEXT_SIZE) + 2 * _PAD
            if x + wide > MARGIN + width and x > MARGIN:
                x, line = MARGIN, line + 1
            chunks.append(Chunk(text, whose, x, x + wide, line))
            x += wide
        free = False
    return chunks, line + 1


def _by_owner(
    found: PromptMap, piece: str, start: int, owner: list[int | None], width: float
) -> list[tuple[str, int | None]]:
    """A run of characters, cut where another word begins; white space that is a word is shown by its name."""
    parts: list[tuple[str, int | None]] = []
    for word, letters in itertools.groupby(enumerate(piece, start), key=lambda at: owner[at[0]]):
        text = "".join(letter for _, letter in letters)
        if text.isspace() and word is not None:
            text = found.words[word].name
        parts.append((shorten(printable(text) or " ", TEXT_SIZE, width - 2 * _PAD), word))
    return parts


def _runs(members: list[tuple[int, ...]], first: dict[int, Chunk], crossing: set[int], margin: float) -> list[_Run]:
    runs = []
    for index, some in enumerate(members):
        by_line: dict[int, list[Chunk]] = {}
        for member in some:
            by_line.setdefault(first[member].line, []).append(first[member])
        for line, chunks in sorted(by_line.items()):
            feet = [(chunk.left + chunk.right) / 2 for chunk in chunks]
            right = margin if index in crossing else max(feet)
            runs.append(_Run(index, line, feet, min(feet), right, chunks=chunks))
    _spread(runs)
    return runs


def _spread(runs: list[_Run]) -> None:
    """Feet on one word stand beside each other so that nested arcs don't cross.

    Those that lead left stand on the left, the longest last; those that lead right follow, the longest first.
    """
    at: dict[int, list[tuple[tuple[int, float, int], int, _Run]]] = {}
    for run in runs:
        middle, length = (run.left + run.right) / 2, run.right - run.left
        for foot, chunk in enumerate(run.chunks):
            leads_left = middle < run.feet[foot]
            key = (0, length, run.edge) if leads_left else (1, -length, run.edge)
            at.setdefault(id(chunk), []).append((key, foot, run))
    for ends in at.values():
        ends.sort(key=lambda end: end[0])
        chunk = ends[0][2].chunks[ends[0][1]]
        step = min(7.0, (chunk.right - chunk.left - 8) / max(len(ends) - 1, 1))
        for place, (_, foot, run) in enumerate(ends):
            run.feet[foot] = (chunk.left + chunk.right) / 2 + step * (place - (len(ends) - 1) / 2)
    for run in runs:
        crossing = run.right > max((chunk.right for chunk in run.chunks), default=0.0)
        run.left = min(run.feet)
        run.right = run.right if crossing else max(run.feet)


def _levels(runs: list[_Run], labels: list[str]) -> None:
    """Short ones low, and no two that overlap on one level."""
    taken: dict[tuple[int, int], list[Point]] = {}
    for run in sorted(runs, key=lambda run: (run.right - run.left, run.edge)):
        half = text_width(labels[run.edge], LABEL_SIZE) / 2 + 4
        middle = (run.left + run.right) / 2
        left, right = min(run.left, middle - half), max(run.right, middle + half)
        while any(left < b and a < right for a, b in taken.get((run.line, run.level), [])):
            run.level += 1
        taken.setdefault((run.line, run.level), []).append((left, right))


def _line_tops(n_lines: int, runs: list[_Run]) -> list[float]:
    tops, y = [], MARGIN / 2
    for line in range(n_lines):
        levels = [run.level for run in runs if run.line == line]
        y += 8.0 if not levels else _LOW + _LEVEL * max(levels) + 12
        tops.append(y)
        y += LINE
    return tops


def _height(run: _Run, tops: list[float]) -> float:
    return tops[run.line] - _LOW - _LEVEL * run.level


def _paths(runs: list[_Run], tops: list[float], lane: float | None) -> tuple[tuple[Path, ...], float, float]:
    """The curves of one interaction, and the middle of its label."""
    top = runs[0]
    y, base = _height(top, tops), tops[top.line]
    if lane is None and len(top.feet) == 2:
        rise = (base - y) * 4 / 3
        (left, right) = sorted(top.feet)
        arc = ((left, base), (left, base - rise), (right, base - rise), (right, base))
        return (arc,), (left + right) / 2, y
    paths: list[Path] = []
    for run in runs:
        base, y = tops[run.line], _height(run, tops)
        end = run.right if lane is None else lane
        for foot in run.feet:
            joined = foot in (min(run.feet), max(run.feet)) if lane is None else foot == min(run.feet)
            if not joined:
                paths.append(straight((foot, base), (foot, y)))
        left = min(run.feet)
        if lane is None:
            paths.append(_bend([(left, base), (left, y), (end, y), (end, base)]))
    if lane is not None:
        last, ends = runs[-1], [min(run.feet) for run in runs]
        outer = [(ends[0], tops[top.line]), (ends[0], _height(top, tops)), (lane, _height(top, tops))]
        outer += [(lane, _height(last, tops)), (ends[-1], _height(last, tops)), (ends[-1], tops[last.line])]
        paths.append(_bend(outer))
        for run, left in zip(runs[1:-1], ends[1:-1], strict=True):
            paths.append(_bend([(left, tops[run.line]), (left, _height(run, tops)), (lane, _height(run, tops))]))
    y = _height(top, tops)
    return tuple(paths), (top.left + top.right) / 2, y


def _bend(points: list[Point]) -> Path:
    """Straight lines from point to point with rounded corners."""
    path: list[Point] = [points[0]]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        enter, leave = _towards(corner, before), _towards(corner, after)
        path += straight(path[-1], enter)[1:]
        path += [_between(enter, corner), _between(leave, corner), leave]
    path += straight(path[-1], points[-1])[1:]
    return tuple(path)


def _towards(corner: Point, other: Point) -> Point:
    """A point near the corner, on the way to the other point, at most half way."""
    dx, dy = other[0] - corner[0], other[1] - corner[1]
    length = abs(dx) + abs(dy)  # lines are upright or level
    share = min(_ROUND / length, 0.5) if length else 0.0
    return corner[0] + share * dx, corner[1] + share * dy


def _between(a: Point, b: Point) -> Point:
    return a[0] + 0.55 * (b[0] - a[0]), a[1] + 0.55 * (b[1] - a[1])


def _boxes(chunks: list[Chunk], tops: list[float]) -> tuple[Box, ...]:
    """One box a line: words of one sentence share it."""
    lines: dict[int, list[Chunk]] = {}
    for chunk in chunks:
        lines.setdefault(chunk.line, []).append(chunk)
    return tuple(
        Box(min(c.left for c in some), tops[line] + 1, max(c.right for c in some), tops[line] + LINE - 1)
        for line, some in sorted(lines.items())
    )
