"""The map of a prompt as a table for a terminal: at most 100 columns, no colours."""

from __future__ import annotations

import textwrap

from circuitspex.circuits.prompt_map import PromptMap
from circuitspex.export.drawing.prompt_layout import places_of
from circuitspex.export.drawing.style import budget_text, faithfulness_text, number, others_text, title_of
from circuitspex.export.tables.circuit import MAX_WORDS, pair_tables, section
from circuitspex.export.tables.columns import WIDTH, joined, shortened, wrapped
from circuitspex.export.words.saying import say
from circuitspex.text import printable

UNITS = ("words", "tokens", "sentences", "players")
"""What the players of a prompt may be."""


def answer_text(found: PromptMap) -> str:
    """What the metric compares: the answer, and the wrong answer where there is one."""
    example = found.circuit.task.get("example") or {}
    answer, wrong = (printable(repr(example.get(key) or "")) for key in ("answer", "wrong_answer"))
    return say("prompt.against", answer=answer, wrong=wrong) if example.get("wrong_answer") else answer


def top_text(found: PromptMap) -> str:
    """What the model predicts: "' good' 12 %, ' bad' 4 %"; empty where that is not known."""
    return ", ".join(
        f"{printable(repr(token))} {number(100 * p, 1, sign=False)} %" for token, p in found.top_predictions
    )


def first_text(found: PromptMap) -> str:
    """What was done about the first token, where something was."""
    return {
        "bos": say("prompt.bos"),
        "protect": say("prompt.protect"),
    }.get(str(found.circuit.run.get("first")), "")


def warning_text(found: PromptMap) -> str:
    """That the strongest word is the first token, where attention sinks; empty where it is not."""
    return say("prompt.sink_warning", word=repr(found.words[0].name)) if found.warning else ""


def how_sure_text(found: PromptMap) -> str:
    """The R² of the function, or that every mask was run."""
    if found.is_exact:
        return say("prompt.exact", masks=found.circuit.faithfulness.n_masks, words=len(found.words))
    return faithfulness_text(found.circuit)


def how_text(found: PromptMap) -> str:
    """What the players are, how they were ablated, and how the result was decoded."""
    unit, n = printable(found.circuit.run.get("components") or "players"), len(found.words)
    said = say(f"prompt.unit.{unit}", n=n) if unit in UNITS else f"{n} {unit}"
    return ", ".join(part for part in (said, how_ablated_text(found)) if part)


def how_ablated_text(found: PromptMap) -> str:
    """The same without what the players are."""
    run = found.circuit.run
    by = say("prompt.ablated_by", baseline=printable(run["baseline"])) if run.get("baseline") else ""
    parts = (by, first_text(found), budget_text(found.circuit), printable(run.get("method") or ""))
    return ", ".join(part for part in parts if part)


def render(found: PromptMap) -> str:
    """The prompt, its strongest words in the order of their size, and the interactions."""
    circuit, places, exact = found.circuit, places_of(found), found.is_exact
    lines = textwrap.wrap(f"Prompt: {printable(found.text)}", WIDTH, max_lines=6, placeholder=" …")
    unablated = circuit.task.get("unablated")
    whole = f"; {unablated:+z.{places}f} with nothing ablated" if isinstance(unablated, int | float) else ""
    top = f"The model predicts {top_text(found)}" if found.top_predictions else ""
    about = f"{title_of(circuit)}: {answer_text(found)}{whole}"
    warning = f"warning: {warning_text(found)}" if found.warning else ""
    for line in (top, about, how_text(found), how_sure_text(found), printable(warning)):
        lines += wrapped(line) if line else []
    words = sorted(found.words, key=lambda word: (-abs(word.effect), word.start))
    edges = sorted(circuit.interactions, key=lambda edge: (-abs(edge.effect), edge.components))
    kind = printable(circuit.run.get("components") or "players").removesuffix("s")
    lines += ["", *section("Main effects", kind, [(printable(word.name), word, "") for word in words], places, exact)]
    named = [
        (printable(" × ".join(edge.components)), edge, shortened(edge.relation.short, MAX_WORDS)) for edge in edges
    ]
    lines += ["", *section("Interactions", "interaction", named, places, exact)]
    lines += pair_tables(edges, others_text(circuit), places)
    if circuit.dropped:
        count = len(circuit.dropped)
        lines += ["", f"measured again, not replicated, and dropped: {count}"]
    return joined(lines)
