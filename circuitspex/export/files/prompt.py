"""``prompt.json``: the prompt, its words, and the circuit among them in the form of ``circuit.json``."""

from __future__ import annotations

from typing import Any

from circuitspex.circuits.prompt_map import PromptMap, Word
from circuitspex.export.files.circuit import CIRCUIT
from circuitspex.export.files.codec import CONVERTER, JsonForm


def problem_of(data: dict[str, Any]) -> str | None:
    """What is wrong with a prompt's content, in one line; None where nothing is."""
    words = data.get("words")
    if (
        not isinstance(data.get("text"), str)
        or not isinstance(data.get("rendered"), str)
        or not isinstance(words, list)
    ):
        return '"text" and "rendered" must be texts, and "words" a list'
    for i, word in enumerate(words):
        try:
            CONVERTER.structure(word, Word)
        except (TypeError, KeyError, ValueError, OverflowError):
            fields = "a name, whole numbers start and end, a number decoded"
            return f"words[{i}] must have {fields}, and measured (null, or value, low and high)"
    return CIRCUIT.problem_of_file(data.get("circuit"))


PROMPT = JsonForm(PromptMap, "circuitspex.prompt", 1, problem_of, ascii=True)
to_json, from_json, write, read = PROMPT.to_json, PROMPT.from_json, PROMPT.write, PROMPT.read
