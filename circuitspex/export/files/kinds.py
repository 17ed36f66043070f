"""Which result a file holds: its first line says so, and every result that can be read back has its own word there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from circuitspex import strict_json
from circuitspex.errors import UserError
from circuitspex.export.files.circuit import CIRCUIT
from circuitspex.export.files.codec import JsonForm
from circuitspex.export.files.comparison import COMPARISON, SERIES
from circuitspex.export.files.description import DESCRIPTION
from circuitspex.export.files.prompt import PROMPT

FORMS: tuple[JsonForm[Any], ...] = (CIRCUIT, COMPARISON, SERIES, PROMPT, DESCRIPTION)


def form_of(path: Path) -> JsonForm[Any]:
    """The form of the result that a file holds; a circuit's, whose reader says what is wrong, where it is of none."""
    try:
        data = strict_json.read(path)
    except UserError:
        return CIRCUIT
    name = data.get("format") if isinstance(data, dict) else None
    return next((form for form in FORMS if form.name == name), CIRCUIT)
