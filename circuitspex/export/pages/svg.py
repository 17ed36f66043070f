"""The diagram as a piece of HTML: the inline SVG of the page and of notebooks.

Colours are CSS variables with the light palette as fallback, so the markup works inside any document and follows the
page's theme where there is one. There are no ids, so several diagrams can share one document.
"""

from __future__ import annotations

import re
from html import escape

from circuitspex.export.drawing.circuit_layout import JOINT_RADIUS, MARGIN, Layout, PlacedEdge, PlacedNode
from circuitspex.export.drawing.geometry import Path
from circuitspex.export.drawing.style import (
    DASH,
    DETAIL_SIZE,
    LIGHT,
    NAME_SIZE,
    RING_GAP,
    corners,
    direction_text,
    effect_text,
    printable,
    shape_of,
)

_FILLS = {
    name: f"var(--cx-{name},{fallback})"
    for name, fallback in {
        "background": LIGHT.background,
        "band": LIGHT.band,
        "text": LIGHT.text,
        "muted": LIGHT.muted,
        "positive": LIGHT.positive,
        "negative": LIGHT.negative,
    }.items()
}

_FAINT = ' opacity="0.45"'
_NOT_HERE = "; not part of this circuit"


def diagram(placed: Layout, title: str, interactive: bool = False) -> str:
    """The layout as an ``<svg>`` element.

    Args:
        placed: what to draw.
        title: what a screen reader says.
        interactive: whether components and interactions can be focused and clicked (for the page's script).
    """
    size = f"{_n(placed.width)} {_n(placed.height)}"
    role = "group" if interactive else "img"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="cx-diagram" viewBox="0 0 {size}" role="{role}" '
        f'aria-label="{_t(title)}" font-family="system-ui, -apple-system, Segoe UI, DejaVu Sans, sans-serif">'
    ]
    for band in placed.bands:
        parts.append(
            f'<g class="band"><rect x="{_n(MARGIN)}" y="{_n(band.top)}" width="{_n(placed.width - 2 * MARGIN)}" '
            f'height="{_n(band.bottom - band.top)}" rx="5" fill="{_FILLS["band"]}"/>'
            + _text(MARGIN + 9, band.y - 5, "layer", 6.5, "muted")
            + _text(MARGIN + 9, band.y + 5.5, str(band.layer), NAME_SIZE, "muted", bold=True)
            + "</g>"
        )
    order = sorted(range(len(placed.edges)), key=lambda i: abs(placed.edges[i].edge.effect))
    parts += [_edge(i, placed.edges[i], interactive) for i in order]
    parts += [_node(i, node, effect_text(node.node, placed.places), interactive) for i, node in enumerate(placed.nodes)]
    parts.append('<g class="labels" pointer-events="none">')
    if placed.with_effects or interactive:
        parts += [_label(i, placed.edges[i]) for i in order]
    parts.append("</g>")
    if placed.message:
        parts.append(_text(placed.width / 2, placed.height / 2, placed.message, 12, "muted", anchor="middle"))
    drawn = "".join([*parts, "</svg>"])
    return re.sub(r"(var\(--cx-\w+),#\w+\)", r"\1)", drawn) if interactive else drawn  # the page defines the colours


def path_data(path: Path) -> str:
    """A path in SVG's notation."""
    curves = (" ".join(f"{_n(x)},{_n(y)}" for x, y in path[i : i + 3]) for i in range(1, len(path), 3))
    return f"M{_n(path[0][0])},{_n(path[0][1])}" + "".join(f"C{curve}" for curve in curves)


def _edge(index: int, placed: PlacedEdge, interactive: bool) -> str:
    edge = placed.edge
    negative, estimated = edge.effect < 0, edge.measured is None
    colour = _FILLS["negative" if negative else "positive"]
    width = max(placed.width, 3.0) if estimated else placed.width
    data = "".join(path_data(path) for path in placed.paths)
    dash = f' stroke-dasharray="{_n(DASH[0])} {_n(DASH[1])}"' if negative else ""
    spoken = f"{edge.label} interaction of {', '.join(edge.components)}: {placed.text}"
    if placed.arrow is not None and edge.direction is not None:
        spoken += f"; {direction_text(edge.direction)}"
    spoken += _NOT_HERE if placed.faint else ""
    kind = f"edge{' absent' if placed.faint else ''}"
    parts = [
        f'<g class="{kind}" fill="none"{_FAINT if placed.faint else ""}{_handle("edge", index, spoken, interactive)}>'
    ]
    parts.append(f'<path class="line" d="{data}" stroke="{colour}" stroke-width="{_n(width)}"{dash}/>')
    if estimated:
        parts.append(
            f'<path class="core" d="{data}" stroke="{_FILLS["background"]}" stroke-width="{_n(width - 1.8)}"/>'
        )
    if placed.arrow is not None:
        corners = " ".join(f"{_n(x)},{_n(y)}" for x, y in placed.arrow)
        parts.append(f'<polygon class="arrow" points="{corners}" fill="{colour}"/>')
    if placed.joint is not None:
        face = _FILLS["background"] if estimated else colour
        x, y = placed.joint
        parts.append(
            f'<circle class="joint" cx="{_n(x)}" cy="{_n(y)}" r="{JOINT_RADIUS}" fill="{face}" stroke="{colour}" '
            'stroke-width="1.4"/>'
        )
    return "".join(parts) + "</g>"


def _node(index: int, placed: PlacedNode, effect: str, interactive: bool) -> str:
    node = placed.node
    colour = _FILLS["negative" if node.effect < 0 else "positive"]
    face = _FILLS["background"] if node.measured is None else colour
    spoken = f"component {node.name}: {effect}{_NOT_HERE if placed.faint else ''}"
    kind = f"node{' absent' if placed.faint else ''}"
    parts = [f'<g class="{kind}"{_FAINT if placed.faint else ""}{_handle("node", index, spoken, interactive)}>']
    if interactive:
        box = placed.label
        parts.append(
            f'<rect class="hit" x="{_n(placed.symbol.left)}" y="{_n(placed.symbol.top)}" fill="transparent" '
            f'width="{_n(box.right - placed.symbol.left)}" height="{_n(placed.symbol.bottom - placed.symbol.top)}"/>'
        )
    if node.effect < 0:
        ring = f'fill="{_FILLS["background"]}" stroke="{colour}" stroke-width="1.1" stroke-dasharray="2.4 1.8"'
        parts.append(_symbol(node.kind, placed.x, placed.y, placed.radius + RING_GAP, ring))
    style = f'class="symbol" fill="{face}" stroke="{colour}" stroke-width="1.8"'
    parts.append(_symbol(node.kind, placed.x, placed.y, placed.radius, style))
    halo = f'stroke="{_FILLS["band"]}" stroke-width="2.4" stroke-linejoin="round" paint-order="stroke"'
    parts.append(f"<g {halo}>")  # keeps the label readable where a curve passes behind it
    top = placed.label.top
    for i, line in enumerate(placed.lines):
        size, height = (DETAIL_SIZE, DETAIL_SIZE * 1.35) if i else (NAME_SIZE, NAME_SIZE * 1.3)
        fill = "muted" if i else "text"
        parts.append(_text(placed.label.left, top + height / 2, line, size, fill, bold=i == 0))
        top += height
    return "".join(parts) + "</g></g>"


def _label(index: int, placed: PlacedEdge) -> str:
    box = placed.label
    if box is None:
        return ""
    colour = _FILLS["negative" if placed.edge.effect < 0 else "positive"]
    return (
        f'<g class="label" data-edge="{index}"{_FAINT if placed.faint else ""}>'
        f'<rect x="{_n(box.left)}" y="{_n(box.top)}" rx="2.5" '
        f'width="{_n(box.right - box.left)}" height="{_n(box.bottom - box.top)}" fill="{_FILLS["background"]}" '
        f'stroke="{colour}" stroke-width="0.6"/>'
        + _text(
            (box.left + box.right) / 2, (box.top + box.bottom) / 2, placed.text, DETAIL_SIZE, "text", anchor="middle"
        )
        + "</g>"
    )


def _symbol(kind: str, x: float, y: float, radius: float, style: str) -> str:
    shape = shape_of(kind)
    if shape == "circle":
        return f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}" {style}/>'
    if shape == "square":
        side = radius * 0.9
        return (
            f'<rect x="{_n(x - side)}" y="{_n(y - side)}" width="{_n(2 * side)}" height="{_n(2 * side)}" '
            f'rx="{_n(radius * 0.3)}" {style}/>'
        )
    points = " ".join(f"{_n(a)},{_n(b)}" for a, b in corners(shape, x, y, radius))
    return f'<polygon points="{points}" {style}/>'


def _text(x: float, y: float, text: str, size: float, fill: str, bold: bool = False, anchor: str = "start") -> str:
    weight = ' font-weight="650"' if bold else ""
    end = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return (
        f'<text x="{_n(x)}" y="{_n(y + size * 0.36)}" font-size="{_n(size)}"{weight}{end} fill="{_FILLS[fill]}">'
        f"{_t(text)}</text>"
    )


def _handle(kind: str, index: int, spoken: str, interactive: bool) -> str:
    if not interactive:
        return ""
    return f' data-{kind}="{index}" tabindex="0" role="button" aria-label="{_t(spoken)}"'


def _t(text: str) -> str:
    return escape(printable(text))


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
