"""The map of a prompt as a table for a terminal: at most 100 columns, no colours."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from circuitspex.circuits.circuit import Interaction
from circuitspex.circuits.prompt_map import PromptMap, Word
from circuitspex.export.drawing.prompt_layout import places_of
from circuitspex.export.drawing.style import budget_text, faithfulness_text, printable, title_of

WIDTH = 100
MAX_ROWS = 20


def answer_text(found: PromptMap) -> str:
    """What the metric compares: the answer, and the wrong answer where there is one."""
    example = found.circuit.task.get("example") or {}
    answer, wrong = (printable(repr(example.get(key) or "")) for key in ("answer", "wrong_answer"))
    return f"{answer} against {wrong}" if example.get("wrong_answer") else answer


def how_text(found: PromptMap) -> str:
    """What the players are, how they were ablated, and how the result was decoded."""
    run = found.circuit.run
    n, unit = len(found.words), printable(run.get("components") or "players")
    parts = [f"{n} {unit if n != 1 else unit.removesuffix('s')}"]
    if run.get("baseline"):
        parts.append(f"ablated by {printable(run['baseline'])}")
    parts += [part for part in (budget_text(found.circuit), printable(run.get("method") or "")) if part]
    return ", ".join(parts)


def render(found: PromptMap) -> str:
    """The prompt, its strongest words in the order of their size, and the interactions."""
    circuit, places = found.circuit, places_of(found)
    lines = textwrap.wrap(f"Prompt: {' '.join(found.text.split())}", WIDTH, max_lines=6, placeholder=" …")
    unablated = circuit.task.get("unablated")
    whole = f"; {unablated:+.{places}f} with nothing ablated" if isinstance(unablated, int | float) else ""
    for line in (f"{title_of(circuit)}: {answer_text(found)}{whole}", how_text(found), faithfulness_text(circuit)):
        lines += textwrap.wrap(line, WIDTH, subsequent_indent="  ")
    words = sorted(found.words, key=lambda word: (-abs(word.effect), word.start))
    edges = sorted(circuit.interactions, key=lambda edge: (-abs(edge.effect), edge.components))
    kind = str(circuit.run.get("components") or "players").removesuffix("s")
    lines += ["", *_section("Main effects", kind, [(word.name, word, "") for word in words], places)]
    named = [(" × ".join(edge.components), edge, edge.label) for edge in edges]
    lines += ["", *_section("Interactions", "interaction", named, places)]
    if circuit.dropped:
        count = len(circuit.dropped)
        lines += ["", f"measured again, not replicated, and dropped: {count}"]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _section(title: str, kind: str, rows: Sequence[tuple[str, Word | Interaction, str]], places: int) -> list[str]:
    if not rows:
        return [f"{title}: none"]
    table = [(kind, "effect", "95 % interval", "decoded", "")]
    for name, part, label in rows[:MAX_ROWS]:
        measured = part.measured
        ends = "estimate"
        if measured is not None:
            ends = f"[{measured.low:+.{places}f}, {measured.high:+.{places}f}]"
        table.append((printable(name), f"{part.effect:+.{places}f}", ends, f"{part.decoded:+.{places}f}", label))
    widths = [max(len(row[i]) for row in table) for i in range(5)]
    widths[0] = min(widths[0], WIDTH - sum(widths[1:]) - 10)
    lines = [f"{title} ({len(rows)})"]
    for row in table:
        name = row[0] if len(row[0]) <= widths[0] else row[0][: widths[0] - 1] + "…"
        cells = [name.ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:4], widths[1:4], strict=True)]
        lines.append("  " + "  ".join([*cells, row[4]]))
    lines.insert(2, "  " + "  ".join("-" * width for width in widths[:4]))
    if len(rows) > MAX_ROWS:
        lines.append(f"  … and {len(rows) - MAX_ROWS} weaker")
    return lines
