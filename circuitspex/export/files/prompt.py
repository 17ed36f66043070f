"""``prompt.json``: the prompt, its words, and the circuit among them in the form of ``circuit.json``."""

from __future__ import annotations

from typing import Any

from circuitspex.checks import MAX_NAME
from circuitspex.circuits.prompt_map import PromptMap, Word
from circuitspex.export.files.circuit import CIRCUIT
from circuitspex.export.files.circuit_check import outside, too_many
from circuitspex.export.files.codec import CONVERTER, JsonForm, leave_out
from circuitspex.strict_json import short

FIELDS = ("format", "version", "text", "rendered", "words", "circuit")


def problem_of(data: dict[str, Any]) -> str | None:
    """What is wrong with a prompt's content, in one line; None where nothing is."""
    unknown = [key for key in data if key not in FIELDS]
    if unknown:
        return f"the top level has the unknown field {short(unknown[0])}; allowed are {', '.join(FIELDS)}"
    words = data.get("words")
    if (
        not isinstance(data.get("text"), str)
        or not isinstance(data.get("rendered"), str)
        or not isinstance(words, list)
    ):
        return '"text" and "rendered" must be texts, and "words" a list'
    names: set[str] = set()
    for i, word in enumerate(words):
        try:
            name = CONVERTER.structure(word, Word).name
        except (TypeError, KeyError, ValueError, OverflowError, AttributeError):
            fields = "a name, whole numbers start and end, a number decoded"
            return f"words[{i}] must have {fields}, and measured (null, or value, low and high)"
        if not name.strip() or len(name) > MAX_NAME:
            return f"words[{i}].name must be a text of 1 to {MAX_NAME:,} characters, not {short(name)}"
        if name in names:
            return f"words[{i}].name: {short(name)} is there twice"
        names.add(name)
    return too_many(data, "words") or outside({"words": words}) or CIRCUIT.problem_of_file(data.get("circuit"))


leave_out(Word, "adjusted")
PROMPT = JsonForm(PromptMap, "circuitspex.prompt", 1, problem_of, ascii=True)
to_json, from_json, write, read = PROMPT.to_json, PROMPT.from_json, PROMPT.write, PROMPT.read
