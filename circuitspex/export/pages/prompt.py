"""The map of a prompt as one HTML page, and as a cell's output in a notebook."""

from __future__ import annotations

from markupsafe import Markup

from circuitspex.circuits.prompt_map import PromptMap
from circuitspex.export.drawing.prompt_layout import layout
from circuitspex.export.drawing.style import number, title_of
from circuitspex.export.pages.parts import facts, interactions_tile, r2_tile
from circuitspex.export.pages.rendering import page, render, sized
from circuitspex.export.pages.svg import picture
from circuitspex.export.tables.prompt import (
    answer_text,
    how_ablated_text,
    how_sure_text,
    how_text,
    top_text,
    warning_text,
)
from circuitspex.export.words.saying import say
from circuitspex.files import file_writer
from circuitspex.text import printable


def render_page(found: PromptMap) -> str:
    """The whole page as text."""
    placed, circuit = layout(found), found.circuit
    return page(
        "prompt.html",
        ["prompt.css"],
        ["page_common.js", "prompt.js"],
        title=title_of(circuit),
        answer=answer_text(found),
        top=[(repr(token), 100 * probability) for token, probability in found.top_predictions],
        warning=warning_text(found),
        tiles=_tiles(found, placed.places),
        picture=Markup(picture(found, placed, interactive=True)),
        words=found.words,
        edges=[arc.edge for arc in placed.arcs],
        dropped=circuit.dropped,
        facts=facts(circuit),
        metric=circuit.task.get("metric") or say("page.metric"),
        places=placed.places,
    )


write = file_writer(render_page)


def render_cell(found: PromptMap) -> str:
    """An HTML fragment without scripts or style sheets, for notebooks, trusted or not."""
    placed = layout(found)
    top = say("prompt.predicts_short", tokens=top_text(found)) if found.top_predictions else ""
    return render(
        "cell.html",
        title=f"{title_of(found.circuit)}: {answer_text(found)}",
        about=" · ".join(part for part in (top, how_text(found), how_sure_text(found), warning_text(found)) if part),
        drawings=[("", sized(picture(found, placed), placed))],
        summary="",
        rows=(),
    )


def _tiles(found: PromptMap, places: int) -> list[tuple[str, ...]]:
    circuit = found.circuit
    unablated = circuit.task.get("unablated")
    whole = number(unablated, places) if isinstance(unablated, int | float) else "–"
    parts = [
        (say("facts.unablated"), whole, printable(circuit.task.get("metric") or "")),
        r2_tile(circuit, "–"),
        (say("prompt.players_tile"), f"{len(found.words):,}", how_ablated_text(found)),
        interactions_tile(circuit),
    ]
    strongest = max(found.words, key=lambda word: abs(word.effect), default=None)
    if strongest is not None:
        parts.append((say("prompt.strongest"), strongest.name, number(strongest.effect, places)))
    return parts
