"""From nothing kept to everything kept, as a waterfall whose bars add up.

The effects of a circuit are differences averaged over masks that keep a share p of the other components. They say what
the multilinear function is around p, ``f(m) = sum over S of e_S prod over i in S of (m_i - p)``, of which the circuit
has some terms. Expanded around nothing kept (Möbius transform), the same terms are

    a_T = sum over S containing T of e_S (-p)^(|S| - |T|),

what the set T adds, kept alone, to what its subsets do alone (the dividend of Harsanyi, 1963). What all sets together
add to f(nothing) is f(everything); the remainder is what sets outside of the circuit add.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from circuitspex.circuits.circuit import Circuit
from circuitspex.errors import UserError
from circuitspex.export.drawing.plot import SMALL, Paper, finished, metric_of, needs_effects, paper
from circuitspex.export.drawing.style import decimals_of, number, shorten, text_width, title_of
from circuitspex.export.words.saying import say

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_NODES, MAX_SETS = 16, 10
ROW = 19.0
LEFT, RIGHT, TOP = 210.0, 76.0, 80.0


@dataclass(frozen=True)
class Step:
    """One bar: what it is, where it begins, and how far it goes; an end begins at 0."""

    name: str
    start: float
    size: float
    what: Literal["end", "part", "remainder"] = "part"


@dataclass(frozen=True)
class Ends:
    """The metric with nothing kept and with everything kept, and on which prompts that was."""

    empty: float
    full: float
    where: str


def ends_of(circuit: Circuit) -> Ends:
    """The ends, as the search ran them, else as verification did.

    Raises:
        UserError: neither did.
    """
    empty, full = circuit.task.get("ablated"), circuit.task.get("unablated")
    if isinstance(empty, int | float) and isinstance(full, int | float):
        return Ends(float(empty), float(full), say("figures.waterfall_prompts"))
    if circuit.verification is not None:
        where = say("figures.waterfall_heldout", n=circuit.verification.n_prompts)
        return Ends(circuit.verification.empty, circuit.verification.full, where)
    raise UserError(
        "this circuit does not say what the metric is with everything ablated, where a waterfall begins: verify it "
        "(circuitspex verify, or find_circuit(…, heldout=task))"
    )


def dividends(circuit: Circuit) -> dict[tuple[str, ...], float]:
    """What each component and each set adds on its own, from nothing kept; sums to the circuit's share of the way."""
    keep = circuit.run.get("keep", 0.5)
    p = float(keep) if isinstance(keep, int | float) and 0 <= keep <= 1 else 0.5
    order = {node.name: place for place, node in enumerate(circuit.nodes)}
    found: dict[tuple[str, ...], float] = {(node.name,): 0.0 for node in circuit.nodes}
    effects: list[tuple[tuple[str, ...], float]] = [((node.name,), node.effect) for node in circuit.nodes]
    effects += [
        (tuple(sorted(edge.components, key=lambda name: order.get(name, -1))), edge.effect)
        for edge in circuit.interactions
    ]
    for members, effect in effects:
        for size in range(1, len(members) + 1):
            for part in combinations(members, size):
                found[part] = found.get(part, 0.0) + effect * (-p) ** (len(members) - size)
    return found


def steps(circuit: Circuit, ends: Ends) -> list[Step]:
    """All bars, in order: nothing kept, the components, their interactions, the remainder, everything kept."""
    parts = dividends(circuit)
    nodes: dict[tuple[str, ...], float] = {name: size for name, size in parts.items() if len(name) == 1}
    sets = {name: size for name, size in parts.items() if len(name) > 1}
    found, at = [Step(say("figures.waterfall_nothing"), 0.0, ends.empty, "end")], ends.empty
    shown, rest = _strongest(nodes, MAX_NODES)
    if rest:
        shown.append((say("figures.waterfall_components", n=len(rest)), sum(rest)))
    more, rest = _strongest(sets, MAX_SETS)
    if rest:
        more.append((say("figures.waterfall_interactions", n=len(rest)), sum(rest)))
    for name, size in (*shown, *more):
        found.append(Step(name, at, size))
        at += size
    found.append(Step(say("figures.waterfall_rest"), at, ends.full - at, "remainder"))
    return [*found, Step(say("figures.waterfall_everything"), 0.0, ends.full, "end")]


def _strongest(parts: Mapping[tuple[str, ...], float], count: int) -> tuple[list[tuple[str, float]], list[float]]:
    """The strongest with their names, and the sizes of all others."""
    ranked = sorted(parts, key=lambda name: (-abs(parts[name]), name))
    count = count if len(ranked) > count + 1 else len(ranked)
    return [(" × ".join(name), parts[name]) for name in ranked[:count]], [parts[name] for name in ranked[count:]]


def draw(circuit: Circuit, path: str | Path | None = None, *, dark: bool = False) -> Figure:
    """The waterfall of a circuit, outside pyplot.

    Raises:
        UserError: the circuit has no components, or does not say where it begins and ends; see ``ends_of``.
    """
    needs_effects(circuit, "a waterfall")
    ends = ends_of(circuit)
    bars = steps(circuit, ends)
    places = decimals_of([ends.empty, ends.full, *(bar.size for bar in bars)])
    title = " · ".join(part for part in (say("figures.waterfall"), title_of(circuit)) if part)
    with paper(TOP + ROW * len(bars) + 34, title, _facts(circuit, bars, ends, places), dark) as made:
        _paint(made, bars, places, metric_of(circuit))
    return finished(made, path, title)


def _facts(circuit: Circuit, bars: Sequence[Step], ends: Ends, places: int) -> list[str]:
    sizes = [bar.size for bar in bars[1:-1]]
    known = sum(sizes[:-1])
    return [
        say(
            "figures.waterfall_sum",
            empty=number(ends.empty, places),
            known=_plus(known, places),
            rest=_plus(sizes[-1], places),
            full=number(ends.full, places),
            metric=metric_of(circuit),
            prompts=ends.where,
        ),
        say("figures.waterfall_about"),
    ]


def _plus(value: float, places: int) -> str:
    text = number(value, places)
    return f"{text[0]} {text[1:]}" if text[0] in "+−" else f"+ {text}"


def _paint(made: Paper, bars: Sequence[Step], places: int, metric: str) -> None:
    ink = made.palette
    width = made.figure.get_figwidth() * 72 - LEFT - RIGHT
    axes = made.axes(LEFT, TOP, width, ROW * len(bars))
    axes.axvline(0, color=ink.muted, linewidth=0.8, zorder=0)
    for y, bar in enumerate(bars):
        colours = {"end": ink.text, "remainder": ink.muted}
        look = {"color": colours[bar.what], "hatch": None} if bar.what in colours else {}
        made.bars(axes, [y], [bar.size], [bar.start], **look)
        reached = bar.start + bar.size
        if y < len(bars) - 1:
            axes.plot([reached, reached], [y + 0.31, y + 0.69], color=ink.muted, linewidth=0.8, zorder=1)
    low = min(min(bar.start, bar.start + bar.size) for bar in bars)
    high = max(max(bar.start, bar.start + bar.size) for bar in bars)
    room = (high - low or 1.0) * 0.03
    for y, bar in enumerate(bars):
        at = max(bar.start, bar.start + bar.size)
        text = number(bar.size, places)
        axes.text(at + room / 3, y, text, fontsize=SMALL, color=ink.text, va="center_baseline", clip_on=False)
    spare = max(text_width(number(-bar.size, places), SMALL) for bar in bars) / width * (high - low)
    axes.set_xlim(low - room, high + room + spare)
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.set_yticks(range(len(bars)), [shorten(bar.name, SMALL, LEFT - 30) for bar in bars])
    for label, bar in zip(axes.get_yticklabels(), bars, strict=True):
        label.set_fontweight("bold" if bar.what == "end" else "normal")
    axes.tick_params("y", length=0)
    axes.grid(axis="x", color=ink.line, linewidth=0.6)
    axes.set_xlabel(metric, fontsize=SMALL, color=ink.muted)
