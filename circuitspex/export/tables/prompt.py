"""The map of a prompt as a table for a terminal: at most 100 columns, no colours."""

from __future__ import annotations

import textwrap

from circuitspex.circuits.prompt_map import PromptMap
from circuitspex.export.drawing.prompt_layout import places_of
from circuitspex.export.drawing.style import budget_text, faithfulness_text, others_text, title_of
from circuitspex.export.tables.circuit import MAX_WORDS, pair_tables, section
from circuitspex.export.tables.columns import WIDTH, joined, shortened, wrapped
from circuitspex.text import printable


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
    lines = textwrap.wrap(f"Prompt: {printable(found.text)}", WIDTH, max_lines=6, placeholder=" …")
    unablated = circuit.task.get("unablated")
    whole = f"; {unablated:+z.{places}f} with nothing ablated" if isinstance(unablated, int | float) else ""
    for line in (f"{title_of(circuit)}: {answer_text(found)}{whole}", how_text(found), faithfulness_text(circuit)):
        lines += wrapped(line)
    words = sorted(found.words, key=lambda word: (-abs(word.effect), word.start))
    edges = sorted(circuit.interactions, key=lambda edge: (-abs(edge.effect), edge.components))
    kind = printable(circuit.run.get("components") or "players").removesuffix("s")
    lines += ["", *section("Main effects", kind, [(printable(word.name), word, "") for word in words], places)]
    named = [
        (printable(" × ".join(edge.components)), edge, shortened(edge.relation.short, MAX_WORDS)) for edge in edges
    ]
    lines += ["", *section("Interactions", "interaction", named, places)]
    lines += pair_tables(edges, others_text(circuit), places)
    if circuit.dropped:
        count = len(circuit.dropped)
        lines += ["", f"measured again, not replicated, and dropped: {count}"]
    return joined(lines)
