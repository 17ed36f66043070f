"""The reference of files, from the JSON Schemas that they are checked against."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Schema = dict[str, Any]
PLACES = {
    "circuit": "circuitspex/export/files/circuit.schema.json",
    "comparison": "circuitspex/export/files/comparison.schema.json",
    "neuronpedia": "circuitspex/export/graphs/neuronpedia.schema.json",
}


def pages(root: Path) -> dict[str, str]:
    """Markdown by the page's path in the site."""
    loaded = {name: json.loads((root / place).read_text(encoding="utf-8")) for name, place in PLACES.items()}
    return {f"reference/files/{name}.md": page(schema, PLACES[name]) for name, schema in loaded.items()}


def page(schema: Schema, place: str) -> str:
    """One table of the file's fields, and one of each part that it refers to."""
    title = str(schema.get("title", Path(place).stem))
    parts = [
        f"# {title}",
        str(schema.get("description", "")),
        f"The JSON Schema that files are checked against when they are read is `{place}`, in the package.",
        _table(schema),
    ]
    for name, part in (schema.get("$defs", {}) | schema.get("definitions", {})).items():
        inner = part.get("items", {}) if part.get("type") == "array" else part
        parts += [f"## {name}", str(part.get("description", "")), "" if inner is part else _type(part)]
        parts.append(_table(inner) if "properties" in inner else _type(part) if inner is part else "")
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(schema: Schema) -> str:
    rows = ["| field | type | what it is |", "| --- | --- | --- |", *_rows(schema, "")]
    return "\n".join(rows)


def _rows(schema: Schema, above: str) -> list[str]:
    rows = []
    needed = schema.get("required", [])
    for name, field in schema.get("properties", {}).items():
        path = f"{above}{name}"
        optional = "" if name in needed else " (optional)"
        rows.append(f"| `{path}`{optional} | {_type(field)} | {_cell(field.get('description', ''))} |")
        rows += _rows(field, f"{path}.")
        if isinstance(field.get("items"), dict):
            rows += _rows(field["items"], f"{path}[].")
    return rows


def _type(field: Schema) -> str:
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in field:
        return f"`{json.dumps(field['const'])}`"
    if "enum" in field:
        return ", ".join(f"`{json.dumps(value)}`" for value in field["enum"])
    for several in ("anyOf", "oneOf", "allOf"):
        if several in field:
            return " or ".join(_type(each) for each in field[several])
    kind = field.get("type", "anything")
    said = " or ".join(kind) if isinstance(kind, list) else str(kind)
    if isinstance(field.get("items"), dict):
        said += f" of {_type(field['items'])}"
    if isinstance(field.get("additionalProperties"), dict):
        said += f", each {_type(field['additionalProperties'])}"
    low, high = field.get("minimum"), field.get("maximum")
    if low is not None or high is not None:
        said += f", {_bounds(low, high)}"
    return said


def _bounds(low: float | None, high: float | None) -> str:
    if high is None:
        return f"at least {low:,}"
    return f"at most {high:,}" if low is None else f"{low:,} to {high:,}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("\n", " ")
