"""The marks of a prompt's map: its words, as strongly coloured as their effects, and its interactions above them."""

from __future__ import annotations

from circuitspex.circuits.prompt_map import PromptMap
from circuitspex.export.drawing.circuit_marks import interaction_line
from circuitspex.export.drawing.geometry import Box, straight
from circuitspex.export.drawing.pen import Look, Pen
from circuitspex.export.drawing.prompt_layout import (
    LABEL_SIZE,
    TEXT_SIZE,
    PlacedArc,
    PlacedText,
    PlacedWord,
    PromptLayout,
)
from circuitspex.export.drawing.style import DASH, effect_text, text_width
from circuitspex.export.words.relations import sentence

FAINTEST, STRONGEST = 0.06, 0.55
"""How much of a colour lies behind the weakest and the strongest word; text stays readable on both."""


def prompt_map(pen: Pen, found: PromptMap, placed: PromptLayout) -> None:
    """Draw a layout; words in the order of the text, which is the order in which a keyboard reaches them."""
    texts: dict[int | None, list[PlacedText]] = {}
    for text in placed.texts:
        texts.setdefault(text.word, []).append(text)
    for text in texts.get(None, []):
        _text(pen, text, pen.palette.muted)
    for word in placed.words:
        _word(pen, found, word, texts.get(word.index, []), placed.places)
    weakest_first = sorted(enumerate(placed.arcs), key=lambda at: abs(at[1].edge.effect))
    for i, arc in weakest_first:
        _arc(pen, i, arc, placed.places)
    with pen.group("labels", pointer_events="none"):
        for i, arc in weakest_first:
            _label(pen, i, arc)


def _word(pen: Pen, found: PromptMap, placed: PlacedWord, texts: list[PlacedText], places: int) -> None:
    word = found.words[placed.index]
    colour = pen.palette.negative if word.effect < 0 else pen.palette.positive
    depth = FAINTEST + (STRONGEST - FAINTEST) * placed.strength if word.effect else 0.0
    line = Look(line=colour, width=0.8 + 1.6 * placed.strength, dash=DASH if word.effect < 0 else None)
    with pen.group("word", f"{word.name}: {effect_text(word, places)}", titled=True, data_index=placed.index):
        for box in placed.boxes:
            pen.box(Box(box.left + 1, box.top, box.right - 1, box.bottom), Look(colour, opacity=depth), 2.5, "box")
            if placed.strength > 0.05:
                y = box.bottom - 0.5
                pen.curves([straight((box.left + 2, y), (box.right - 2, y))], line)
        for text in texts:
            _text(pen, text, pen.palette.text)


def _text(pen: Pen, text: PlacedText, colour: str) -> None:
    pen.text(text.left + text.width / 2, text.y, text.text, TEXT_SIZE, colour, "center")


def _arc(pen: Pen, index: int, arc: PlacedArc, places: int) -> None:
    edge = arc.edge
    spoken = f"{sentence(edge)}: {effect_text(edge, places)}"
    members = " ".join(map(str, arc.members))
    with pen.group("edge", spoken, titled=True, data_index=index, data_members=members):
        interaction_line(pen, arc.paths, edge, arc.width, pen.palette)


def _label(pen: Pen, index: int, arc: PlacedArc) -> None:
    half = text_width(arc.label, LABEL_SIZE) / 2 + 2
    with pen.group("number", data_index=index):
        pen.box(Box(arc.x - half, arc.y - 6, arc.x + half, arc.y + 6), Look(pen.palette.background), 3)
        pen.text(arc.x, arc.y, arc.label, LABEL_SIZE, pen.palette.text, "center")
