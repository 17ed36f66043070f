"""How a circuit is drawn, said once for every drawing: colours, text sizes, how numbers are written.

Sign is told by colour (Okabe and Ito's palette, which colour-blind readers can tell apart) and by dashes; measured
effects are solid and estimates hollow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from circuitspex.circuits.circuit import Circuit, Direction, Estimate, Interaction, Node, Verification
from circuitspex.circuits.order import kind_order as kind_order
from circuitspex.circuits.order import reading_order as reading_order
from circuitspex.circuits.prompt_map import Word
from circuitspex.components import KINDS
from circuitspex.export.words.relations import short
from circuitspex.export.words.saying import say, say_term
from circuitspex.text import printable

NAME_SIZE = 10.0
"""Size of a component's name, in the layout's units (points)."""
DETAIL_SIZE = 7.5
"""Size of effects and captions."""
TITLE_SIZE = 13.0
FACTS_SIZE = 9.0
"""Size of the lines below a figure's title."""
FONTS = ("DejaVu Sans", "Verdana", "Arial", "sans-serif")
DASH = (5.0, 3.0)
"""Dash of negative interactions: on, off."""
RING_GAP = 3.0
"""How far outside a negative component its dashed ring is drawn."""


# Corners on a circle: how many, and the angle of the first, in turns from the top.
_CORNERS = {"up": (3, 0.0), "diamond": (4, 0.0), "pentagon": (5, 0.0), "hexagon": (6, 1 / 12)}
_PLUS = 0.38
_BAR = 0.45


def shape_of(kind: str) -> str:
    """The shape of a kind's mark: 'circle', 'square', or one that ``corners`` knows."""
    return KINDS[kind].shape if kind in KINDS else "diamond"


def legend_of(kinds: set[str]) -> list[tuple[str, str]]:
    """The marks that a legend explains: one kind for each mark, and what it is called."""
    found: dict[str, str] = {}
    for kind in sorted(kinds & set(KINDS), key=kind_order):
        found.setdefault(KINDS[kind].legend, kind)
    return [(kind, say_term("legend", label)) for label, kind in found.items()]


def corners(shape: str, x: float, y: float, radius: float) -> list[tuple[float, float]]:
    """The corners of a mark of that shape around (x, y), y pointing down."""
    if shape == "bar":  # upright, as a stream through the layers; a triangle would look like an arrow
        a, b = radius * _BAR, radius
        return [(x - a, y - b), (x + a, y - b), (x + a, y + b), (x - a, y + b)]
    if shape == "plus":
        a, b = radius * _PLUS, radius
        arm = [(-a, -b), (a, -b), (a, -a)]
        turned = [(-dy, dx) for dx, dy in arm]
        return [(x + side * dx, y + side * dy) for side in (1, -1) for dx, dy in (*arm, *turned)]
    count, first = _CORNERS[shape]
    turns = [2 * math.pi * (first + i / count) for i in range(count)]
    return [(x + radius * math.sin(turn), y - radius * math.cos(turn)) for turn in turns]


@dataclass(frozen=True)
class Palette:
    """The colours of a drawing."""

    background: str
    band: str
    line: str
    text: str
    muted: str
    positive: str
    negative: str


LIGHT = Palette("#ffffff", "#f5f7f9", "#d5dbe1", "#1a1f26", "#59636e", "#0072B2", "#D55E00")
DARK = Palette("#12161b", "#1a2027", "#38424d", "#e9edf1", "#a2adb9", "#56B4E9", "#E69F00")

# Widths of DejaVu Sans in 1/1000 of the text size, rounded up; wider than the sans-serif fonts of browsers.
_NARROW = {**dict.fromkeys("iIjl|", 300), **dict.fromkeys(" ,.:;'!·", 340), **dict.fromkeys("()[]-ft/", 400)}
_WIDE = {**dict.fromkeys("+−<>=±×~", 840), **dict.fromkeys("mMWw@%—…→▲▼△▽◆", 1000)}


def text_width(text: str, size: float, bold: bool = False) -> float:
    """An upper estimate of the width of a text, in the unit of ``size``."""
    total = sum(_NARROW.get(c) or _WIDE.get(c) or (790 if c.isupper() else 650) for c in text)
    return total * size / 1000 * (1.12 if bold else 1.0)


def shorten(text: str, size: float, width: float) -> str:
    """The text, cut with an ellipsis where it is wider than ``width``."""
    text = printable(text)
    if text_width(text, size) <= width:
        return text
    left = width - text_width("…", size)
    count = 0
    for count, character in enumerate(text):  # noqa: B007
        left -= text_width(character, size)
        if left < 0:
            break
    return text[:count].rstrip() + "…"


def wrapped(text: str, size: float, width: float) -> list[str]:
    """The text in lines no wider than ``width``; one empty line of no text."""
    lines = [""]
    for word in printable(text).split(" "):
        longer = f"{lines[-1]} {word}".lstrip()
        if lines[-1] and text_width(longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return [shorten(line, size, width) for line in lines]


def decimals(circuit: Circuit) -> int:
    """How many decimals the circuit's effects need: three significant digits of the largest."""
    parts: list[Node | Interaction] = [*circuit.nodes, *circuit.interactions]
    return decimals_of([part.effect for part in parts])


def verification_decimals(found: Verification) -> int:
    """How many decimals the numbers of a verification need."""
    return decimals_of([found.full, found.empty, found.circuit_kept.value, found.circuit_removed.value])


def decimals_of(values: list[float]) -> int:
    """How many decimals show three significant digits of the largest."""
    largest = max(map(abs, values), default=0.0)
    if largest == 0 or not math.isfinite(largest):
        return 2
    return min(max(2 - math.floor(math.log10(largest)), 0), 6)


def number(value: float | None, places: int, sign: bool = True) -> str:
    """A number as it is printed in drawings, with a true minus; '–' where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:+z.{places}f}" if sign else f"{value:z.{places}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", "−")


def percent(share: float | None) -> str:
    """A share as a percentage, or as a multiple where that would be a very long number."""
    if share is None:
        return say("claims.undefined")
    return (f"{share:z.0%}" if abs(share) < 100 else f"{share:.1e}×").replace("-", "−", 1 if share < 0 else 0)


def share_text(share: Estimate) -> str:
    """'88 % [80 %, 95 %]'; in words where the interval has no end."""
    if not math.isfinite(share.low):
        return say("claims.no_interval", share=percent(share.value))
    return f"{percent(share.value)} [{percent(share.low)}, {percent(share.high)}]"


def interval(low: float, high: float, places: int) -> str:
    """An interval as it is printed in drawings."""
    return f"[{number(low, places)}, {number(high, places)}]"


def is_signed(part: Node | Interaction | Word) -> bool:
    """Whether the sign of an effect is known."""
    return not isinstance(part, Node) or part.signed


def colour_of(part: Node | Interaction | Word, palette: Palette) -> str:
    """The colour that tells the sign of an effect; that of text where the sign is not known."""
    if not is_signed(part):
        return palette.muted
    return palette.negative if part.effect < 0 else palette.positive


def effect_number(part: Node | Interaction | Word, places: int) -> str:
    """An effect as a number; between bars, as a size, where its sign is not known."""
    return number(part.effect, places) if is_signed(part) else f"|{number(part.effect, places, sign=False)}|"


def effect_text(part: Node | Interaction | Word, places: int) -> str:
    """An effect with its interval, or marked as an estimate."""
    if not is_signed(part):
        return say("claims.sign_unknown", effect=effect_number(part, places))
    if part.shown is None:
        return say("claims.est", effect=number(part.decoded, places))
    return estimate_text(part.shown, places)


def relation_text(edge: Interaction) -> str:
    """What a pair's components do to each other, to stand before the effect; empty where that is its sign alone."""
    relation = edge.relation
    return "" if edge.pair is None or relation.word.endswith("interaction") else f"{printable(short(edge))}: "


def estimate_text(found: Estimate, places: int) -> str:
    """A measured number with its interval."""
    return f"{number(found.value, places)} {interval(found.low, found.high, places)}"


def others_text(circuit: Circuit) -> str:
    """Over what the tables of combinations are averaged: 'random masks that keep 50 % of the others'."""
    keep = circuit.run.get("keep")
    if isinstance(keep, int | float) and 0 < keep < 1:
        return say("claims.others", share=f"{keep:.0%}".replace("%", " %"))
    return say("claims.others_unknown")


def direction_text(direction: Direction) -> str:
    """'L1H2 → L3H4: 78 % [60, 95]': how much of an interaction travels which way."""
    share = direction.share
    value, low, high = (number(100 * x, 0, sign=False) for x in (share.value, share.low, share.high))
    said = f"{direction.source} → {direction.target}: {value} % [{low}, {high}]"
    if share.value > 1:
        return say("claims.direction_more", share=said)
    return say("claims.direction_less", share=said) if share.value < 0 else said


def title_of(circuit: Circuit) -> str:
    """'model · task (metric)', with what is known."""
    model = printable(circuit.model.get("name") or (say("claims.unnamed") if circuit.has_layers else ""))
    task, metric = (printable(circuit.task.get(key) or "") for key in ("name", "metric"))
    return " · ".join(part for part in (model, f"{task} ({metric})" if task and metric else task or metric) if part)


def faithfulness_text(circuit: Circuit) -> str:
    """R² with its interval, or why there is none."""
    found = circuit.faithfulness
    if found.n_masks == 0:
        return say("claims.r2_unmeasured")
    if found.r2 is not None and found.exact:
        return say("claims.r2_exact", r2=number(found.r2, 3, sign=False), masks=found.n_masks)
    if found.r2 is None:
        return say("claims.r2_undefined", masks=found.n_masks)
    ends = "" if found.low is None or found.high is None else f" [{found.low:z.3f}, {found.high:z.3f}]"
    r2 = f"{found.r2:z.3f}{ends}".replace("-", "−", 1 if found.r2 < 0 else 0)
    return say("claims.r2", r2=r2, masks=found.n_masks)


def budget_text(circuit: Circuit) -> str:
    """How many ablations the circuit cost; empty where the run does not say."""
    return " + ".join(f"{count:,} {what}" for count, what in budget_parts(circuit))


def budget_parts(circuit: Circuit) -> list[tuple[int, str]]:
    """How many ablations of each kind the circuit cost, and what these are called."""
    run = circuit.run
    counts = [
        (run.get("gradient_ablations"), say("claims.gradient_ablations")),
        (run.get("plain_ablations"), say("claims.plain_ablations")),
    ]
    parts = [(count, what) for count, what in counts if isinstance(count, int) and count]
    if not parts and isinstance(run.get("budget"), int):
        parts = [(run["budget"], say("claims.ablations"))]
    return parts
