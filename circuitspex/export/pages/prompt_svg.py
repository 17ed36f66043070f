"""The map of a prompt as inline SVG, for the page and for notebooks.

Colours are CSS variables with the light palette as fallback; there are no ids, so several can share one document.
"""

from __future__ import annotations

import re
from html import escape

from circuitspex.circuits.prompt_map import PromptMap
from circuitspex.export.drawing.prompt_layout import (
    LABEL_SIZE,
    TEXT_SIZE,
    PlacedArc,
    PlacedText,
    PlacedWord,
    PromptLayout,
)
from circuitspex.export.drawing.style import DASH, LIGHT, effect_text, interval, number, printable, text_width
from circuitspex.export.figures.prompt import FAINTEST, STRONGEST
from circuitspex.export.pages.svg import path_data

_COLOURS = {
    name: f"var(--cx-{name},{getattr(LIGHT, name)})" for name in ("background", "text", "muted", "positive", "negative")
}


def picture(found: PromptMap, placed: PromptLayout, interactive: bool = False) -> str:
    """The layout as an ``<svg>`` element.

    Args:
        found: the prompt.
        placed: its layout.
        interactive: whether words and interactions can be focused and clicked (for the page's script).
    """
    size = f"{_n(placed.width)} {_n(placed.height)}"
    role = "group" if interactive else "img"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="cx-prompt" viewBox="0 0 {size}" role="{role}" '
        f'aria-label="{_t(spoken(found))}" font-family="system-ui, -apple-system, Segoe UI, DejaVu Sans, sans-serif">'
    ]
    texts: dict[int | None, list[PlacedText]] = {}
    for text in placed.texts:
        texts.setdefault(text.word, []).append(text)
    # Words come first, in the order of the text: that is the order in which the keyboard reaches them.
    parts += [_text(text) for text in texts.get(None, [])]
    parts += [_word(found, word, texts.get(word.index, []), placed.places, interactive) for word in placed.words]
    order = sorted(range(len(placed.arcs)), key=lambda i: abs(placed.arcs[i].edge.effect))
    parts += [_arc(i, placed.arcs[i], placed.places, interactive) for i in order]
    parts.append('<g pointer-events="none">' + "".join(_label(i, placed.arcs[i]) for i in order) + "</g>")
    drawn = "".join([*parts, "</svg>"])
    return re.sub(r"(var\(--cx-\w+),#\w+\)", r"\1)", drawn) if interactive else drawn  # the page defines the colours


def spoken(found: PromptMap) -> str:
    """What a screen reader says of the whole picture."""
    edges = len(found.circuit.interactions)
    return f"Prompt of {len(found.words)} players with {edges} interaction{'' if edges == 1 else 's'} above them"


def word_text(found: PromptMap, index: int, places: int) -> str:
    """A word's effect with its interval."""
    word = found.words[index]
    if word.measured is None:
        return f"{number(word.decoded, places)} est."
    return f"{number(word.measured.value, places)} {interval(word.measured.low, word.measured.high, places)}"


def _word(found: PromptMap, placed: PlacedWord, texts: list[PlacedText], places: int, interactive: bool) -> str:
    word = found.words[placed.index]
    negative = word.effect < 0
    colour = _COLOURS["negative" if negative else "positive"]
    depth = FAINTEST + (STRONGEST - FAINTEST) * placed.strength if word.effect else 0.0
    parts = [_group("word", placed.index, f"{word.name}: {word_text(found, placed.index, places)}", interactive)]
    dash = f' stroke-dasharray="{_n(DASH[0])} {_n(DASH[1])}"' if negative else ""
    for box in placed.boxes:
        width, height = box.right - box.left - 2, box.bottom - box.top
        parts.append(
            f'<rect class="box" x="{_n(box.left + 1)}" y="{_n(box.top)}" width="{_n(width)}" height="{_n(height)}" '
            f'rx="2.5" fill="{colour}" fill-opacity="{depth:.3f}"/>'
        )
        if placed.strength > 0.05:
            parts.append(
                f'<path d="M{_n(box.left + 2)},{_n(box.bottom - 0.5)}H{_n(box.right - 2)}" stroke="{colour}" '
                f'stroke-width="{_n(0.8 + 1.6 * placed.strength)}" fill="none"{dash}/>'
            )
    parts += [_text(text) for text in texts]
    return "".join(parts) + "</g>"


def _text(text: PlacedText) -> str:
    colour = _COLOURS["muted" if text.word is None else "text"]
    return (
        f'<text x="{_n(text.left + text.width / 2)}" y="{_n(text.y + TEXT_SIZE * 0.35)}" text-anchor="middle" '
        f'font-size="{_n(TEXT_SIZE)}" fill="{colour}">{_t(text.text)}</text>'
    )


def _arc(index: int, arc: PlacedArc, places: int, interactive: bool) -> str:
    edge = arc.edge
    negative, estimated = edge.effect < 0, edge.measured is None
    colour = _COLOURS["negative" if negative else "positive"]
    width = max(arc.width, 2.6) if estimated else arc.width
    data = "".join(path_data(path) for path in arc.paths)
    dash = f' stroke-dasharray="{_n(DASH[0])} {_n(DASH[1])}"' if negative else ""
    said = f"{edge.label} interaction of {', '.join(edge.components)}: {effect_text(edge, places)}"
    parts = [
        _group("edge", index, said, interactive, f' fill="none" data-members="{" ".join(map(str, arc.members))}"'),
        f'<path class="line" d="{data}" stroke="{colour}" stroke-width="{_n(width)}"{dash}/>',
    ]
    if estimated:
        core = f'stroke="{_COLOURS["background"]}" stroke-width="{_n(width - 1.6)}"'
        parts.append(f'<path class="core" d="{data}" {core}/>')
    return "".join(parts) + "</g>"


def _label(index: int, arc: PlacedArc) -> str:
    half = text_width(arc.label, LABEL_SIZE) / 2 + 2
    return (
        f'<g class="number" data-index="{index}"><rect x="{_n(arc.x - half)}" y="{_n(arc.y - 6)}" '
        f'width="{_n(2 * half)}" height="12" rx="3" fill="{_COLOURS["background"]}"/><text x="{_n(arc.x)}" '
        f'y="{_n(arc.y + 3)}" text-anchor="middle" font-size="{_n(LABEL_SIZE)}" fill="{_COLOURS["text"]}">'
        f"{_t(arc.label)}</text></g>"
    )


def _group(kind: str, index: int, said: str, interactive: bool, more: str = "") -> str:
    handle = f' tabindex="0" role="button" aria-pressed="false" aria-label="{_t(said)}"' if interactive else ""
    return f'<g class="{kind}" data-index="{index}"{more}{handle}><title>{_t(said)}</title>'


def _t(text: object) -> str:
    return escape(printable(text), quote=True)


def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
