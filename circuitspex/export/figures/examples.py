"""Groups of training examples as a figure: their pictures beside their effects, then the interactions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from circuitspex.circuits.circuit import Circuit, Interaction, Node
from circuitspex.circuits.found import Found
from circuitspex.errors import UserError
from circuitspex.export.drawing.examples import Shown, circuit_of, examples_of
from circuitspex.export.drawing.style import LIGHT, decimals, effect_text, faithfulness_text, shorten, title_of
from circuitspex.export.words.saying import say
from circuitspex.games import TrainingGame

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW, _GAP, _TOP, _WIDTH = 0.5, 0.45, 0.85, 9.6
_NAME, _PICTURES, _BARS = 0.2, 2.3, 6.0
"""Where names, pictures and bars begin, in inches from the left."""


def examples_figure(
    found: Found | Circuit,
    game: TrainingGame,
    *,
    pictures: Any = None,
    captions: Sequence[Any] | None = None,
    per_player: int = 6,
) -> Figure:
    """The figure, outside pyplot: ``figure.savefig`` writes it anywhere.

    Each player of the circuit has a row with a few of its examples and its effect with the 95 % interval; below are the
    interactions. Blue is positive, vermilion and hatched negative; a hollow bar is an estimate.

    Args:
        found, game, pictures, captions, per_player: as for ``examples_page``; at most 8 a player are drawn.

    Raises:
        UserError: as ``examples_page``.
    """
    if per_player < 1:
        raise UserError(f"per_player must be at least 1, not {per_player}")
    import matplotlib.style
    from matplotlib.figure import Figure

    circuit, shown = circuit_of(found), examples_of(found, game, pictures, captions)
    nodes, edges = list(circuit.nodes), list(circuit.interactions)
    height = _TOP + _ROW * (len(nodes) + len(edges)) + _GAP * 2 + 0.3
    with matplotlib.style.context({"text.parse_math": False}, after_reset=True):
        figure = Figure(figsize=(_WIDTH, height), facecolor=LIGHT.background, dpi=100)
        _text(figure, _NAME, 0.3, shorten(title_of(circuit), 12, 620), 12, weight="bold")
        _text(figure, _NAME, 0.55, faithfulness_text(circuit), 8.5, colour=LIGHT.muted)
        top = _TOP
        for part, kind in ((nodes, say("figures.leaving_in")), (edges, say("figures.interactions"))):
            _text(figure, _BARS, top + 0.1, kind, 8.5, colour=LIGHT.muted)
            _rows(figure, top + 0.2, part, shown, min(per_player, 8), decimals(circuit))
            top += _ROW * len(part) + _GAP
    return figure


def _rows(
    figure: Figure, top: float, parts: Sequence[Node | Interaction], shown: Shown, count: int, places: int
) -> None:
    if not parts:
        _text(figure, _NAME, top + 0.1, say("figures.none"), 9, colour=LIGHT.muted)
        return
    ends = [(part.measured.low, part.measured.high) if part.measured else (part.effect, part.effect) for part in parts]
    low, high = min(0.0, *(a for a, _ in ends)), max(0.0, *(b for _, b in ends))
    span = (high - low) or 1.0
    axes = _axes(figure, _BARS, top, _WIDTH - _BARS - 0.2, _ROW * len(parts))
    axes.set_xlim(low - 0.05 * span, high + 0.05 * span)
    axes.set_ylim(len(parts) - 0.5, -0.5)
    axes.axvline(0, color=LIGHT.muted, linewidth=0.8)
    for row, (part, (left, right)) in enumerate(zip(parts, ends, strict=True)):
        colour = LIGHT.negative if part.effect < 0 else LIGHT.positive
        face = colour if part.measured else LIGHT.background
        hatch = "////" if part.effect < 0 else None
        axes.barh(row, part.effect, height=0.36, color=face, edgecolor="white" if hatch else colour, hatch=hatch)
        axes.plot([left, right], [row, row], color=LIGHT.text, linewidth=1.4)
        names = (part.name,) if isinstance(part, Node) else part.components
        y = top + _ROW * (row + 0.5)
        room = (_PICTURES if isinstance(part, Node) else _BARS) - _NAME - 0.1
        label = shorten(" × ".join(names), 9.5, 72 * room)
        _text(figure, _NAME, y - 0.07, label, 9.5)
        _text(figure, _NAME, y + 0.11, effect_text(part, places), 7.5, colour=LIGHT.muted)
        if isinstance(part, Node):
            _pictures(figure, y, shown, shown.members[part.name][:count])


def _pictures(figure: Figure, y: float, shown: Shown, indices: Sequence[int]) -> None:
    if shown.pictures is None:
        words = " · ".join(caption for caption in (shown.captions[index] for index in indices) if caption)
        _text(figure, _PICTURES, y, shorten(words, 8, 72 * (_BARS - _PICTURES - 0.2)), 8)
        return
    size = 0.4
    for place, index in enumerate(indices):
        axes = _axes(figure, _PICTURES + place * (size + 0.05), y - size / 2, size, size)
        axes.imshow(shown.pictures[index], cmap="gray", vmin=0, vmax=255, interpolation="nearest")


def _axes(figure: Figure, left: float, top: float, width: float, tall: float) -> Axes:
    """Axes at a place in inches from the upper left."""
    height = figure.get_figheight()
    axes = figure.add_axes((left / _WIDTH, 1 - (top + tall) / height, width / _WIDTH, tall / height))
    axes.set_axis_off()
    return axes


def _text(
    figure: Figure, x: float, y: float, words: str, size: float, colour: str = LIGHT.text, weight: str = "normal"
) -> None:
    place = x / _WIDTH, 1 - y / figure.get_figheight()
    figure.text(*place, words, fontsize=size, color=colour, weight=weight, va="center")
