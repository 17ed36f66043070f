"""The circuit as a table for a terminal: at most 100 columns, no colours."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from circuitspex.circuits.circuit import Circuit, Estimate, Interaction, Node, Verification
from circuitspex.export.drawing.style import (
    budget_text,
    decimals,
    faithfulness_text,
    percent,
    printable,
    title_of,
    verification_decimals,
)
from circuitspex.files import write_atomically

if TYPE_CHECKING:
    from circuitspex.circuits.prompt_map import Word

WIDTH = 100
MAX_ROWS = 20


def render(circuit: Circuit) -> str:
    """The circuit as text: what it is, how faithful, the strongest parts, what verification measured."""
    places = decimals(circuit)
    lines = _wrapped(f"Circuit: {title_of(circuit)}") + _facts(circuit) + [""]
    nodes = sorted(circuit.nodes, key=lambda node: (-abs(node.effect), node.name))
    edges = sorted(circuit.interactions, key=lambda edge: (-abs(edge.effect), edge.components))
    lines += section("Components", "component", [(node.name, node, "") for node in nodes], places)
    lines += ["", *section("Interactions", "interaction", [(_members(e), e, e.label) for e in edges], places)]
    if circuit.dropped:
        lines += ["", _dropped(len(circuit.dropped))]
    if circuit.verification is not None:
        lines += ["", *_verification(circuit.verification)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def write(circuit: Circuit, path: Path) -> Path:
    """Write the table as a UTF-8 text file."""
    return write_atomically(path, render(circuit).encode("utf-8", "replace"))


def _facts(circuit: Circuit) -> list[str]:
    run = circuit.run
    facts = [faithfulness_text(circuit)]
    spent = budget_text(circuit)
    how = [printable(run[key]) for key in ("method", "components") if run.get(key)]
    if run.get("baseline"):
        how.append(f"{printable(run['baseline'])} baseline")
    if run.get("seed") is not None:
        how.append(f"seed {printable(run['seed'])}")
    if run.get("peak_memory_bytes"):
        how.append(f"peak memory {run['peak_memory_bytes'] / 1e9:.1f} GB")
    facts += [", ".join(part for part in (spent, *how) if part)]
    return [line for fact in facts if fact for line in _wrapped(fact)]


def section(
    title: str, kind: str, rows: Sequence[tuple[str, Node | Interaction | Word, str]], places: int
) -> list[str]:
    """The strongest rows under a title: name, effect with interval, decoded effect, label."""
    if not rows:
        return [f"{title}: none"]
    shown = rows[:MAX_ROWS]
    table = [(kind, "effect", "95 % interval", "decoded", "")]
    for name, part, label in shown:
        measured = part.measured
        effect = _number(part.effect, places)
        between = "estimate" if measured is None else _interval(measured, places)
        table.append((name, effect, between, _number(part.decoded, places), label))
    widths = [max(len(row[i]) for row in table) for i in range(5)]
    widths[0] = min(widths[0], WIDTH - sum(widths[1:]) - 10)
    lines = [f"{title} ({len(rows)})"]
    for row in table:
        name = row[0] if len(row[0]) <= widths[0] else row[0][: widths[0] - 1] + "…"
        cells = [name.ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:4], widths[1:4], strict=True)]
        lines.append("  " + "  ".join([*cells, row[4]]))
    lines.insert(2, "  " + "  ".join("-" * width for width in widths[:4]))
    if len(rows) > len(shown):
        lines.append(f"  … and {len(rows) - len(shown)} weaker")
    return lines


def _verification(found: Verification) -> list[str]:
    places = verification_decimals(found)
    random = f"{found.n_random} random circuits"
    rows: list[tuple[str, float | Estimate]] = [
        ("nothing ablated", found.full),
        ("only the circuit kept", found.circuit_kept),
        (f"{random} kept", found.random_kept),
        ("only the circuit removed", found.circuit_removed),
        (f"{random} removed", found.random_removed),
        ("everything ablated", found.empty),
    ]
    width = max(len(name) for name, _ in rows)
    values = [_number(v.value if isinstance(v, Estimate) else v, places) for _, v in rows]
    lines = [f"Verification on {found.n_prompts} held-out prompts ({found.n_components} components)"]
    for (name, value), shown in zip(rows, values, strict=True):
        between = _interval(value, places) if isinstance(value, Estimate) else ""
        lines.append(f"  {name.ljust(width)}  {shown.rjust(max(map(len, values)))}  {between}")
    if found.faithfulness is None:
        return [*lines, "  faithfulness: undefined, because ablating everything changes nothing"]
    kept = percent(found.faithfulness)
    return [*lines, f"  faithfulness: the circuit keeps {kept} of what ablating everything takes away"]


def _members(edge: Interaction) -> str:
    return " × ".join(edge.components)


def _dropped(count: int) -> str:
    who = "1 interaction was" if count == 1 else f"{count} interactions were"
    return f"{who} measured again, did not replicate, and {'was' if count == 1 else 'were'} dropped."


def _number(value: float, places: int) -> str:
    return f"{value:+.{places}f}"


def _interval(estimate: Estimate, places: int) -> str:
    return f"[{_number(estimate.low, places)}, {_number(estimate.high, places)}]"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ") or [""]
