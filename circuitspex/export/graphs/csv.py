"""Two CSV tables: the components in ``x.csv``, the interactions beside it in ``x.interactions.csv``.

RFC 4180: commas, quotes doubled, lines ended by CR LF, UTF-8. Numbers are written so that they read back exactly; a
part that was not measured has empty cells for the ends of its interval. Text that a spreadsheet would run as a formula
has an apostrophe before it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from circuitspex.circuits.circuit import Circuit, Interaction, Node
from circuitspex.export.graphs.parts import Value, evidence_of, numbers_of, parts_of
from circuitspex.files import file_writer
from circuitspex.text import cell

NUMBERS = ("effect", "low", "high", "measured", "decoded")
SIGNED = "signed"
"""A further column where there are components of which only the size of the effect is known."""
EVIDENCE = ("q", "path_from", "path_to", "path_share", "path_low", "path_high", "relation_from", "relation_to")
CONDITIONAL = tuple(
    name
    for place in (1, 2)
    for name in (
        f"conditional_{place}",
        *(f"{when}_{place}{end}" for when in ("without", "with") for end in ("", "_low", "_high")),
    )
)
"""What each of a pair does without and with the other one: the last columns of the table of interactions."""


def components_table(circuit: Circuit) -> str:
    """The table of components: name, layer (of a part of a model), kind and numbers, a row each, strongest first.

    Raises:
        UserError: what ``parts_of`` refuses.
    """
    nodes = sorted(
        (part.node for part in parts_of(circuit).components), key=lambda node: (-abs(node.effect), node.name)
    )
    more = () if all(node.signed for node in nodes) else (SIGNED,)
    rows = [
        [
            cell(node.name),
            str(node.layer) if circuit.has_layers else "",
            cell(node.kind),
            *_numbers(node),
            *(_cell(node.signed) for _ in more),
        ]
        for node in nodes
    ]
    return table(["component", "layer", "kind", *NUMBERS, *more], rows)


def interactions_table(circuit: Circuit) -> str:
    """The table of interactions: the members in columns of their own, order, label and numbers, strongest first.

    Raises:
        UserError: what ``parts_of`` refuses.
    """
    interactions = parts_of(circuit).interactions
    width = max([2, *(interaction.edge.order for interaction in interactions)])
    rows = []
    for interaction in interactions:
        members = [cell(part.node.name) for part in interaction.members]
        empty = [""] * (width - len(members))
        edge, evidence = interaction.edge, evidence_of(interaction.edge)
        cells = [_cell(evidence.get(name, "")) for name in (*EVIDENCE, *CONDITIONAL)]
        words = [cell(edge.relation.short), *_numbers(edge), edge.relation.word, *cells]
        rows.append([*members, *empty, str(edge.order), *words])
    heads = [*(f"component_{i + 1}" for i in range(width)), "order", "label", *NUMBERS, "relation"]
    return table([*heads, *EVIDENCE, *CONDITIONAL], rows)


def interactions_path(path: Path) -> Path:
    """Where the interactions go when the components go to ``path``: ``x.interactions.csv`` for ``x.csv``."""
    stem = path.stem if path.suffix.lower() == ".csv" else path.name
    return path.with_name(f"{stem}.interactions.csv")


def write(circuit: Circuit, path: Path) -> Path:
    """Write both tables, and give the path of the components'.

    Raises:
        UserError: what ``parts_of`` refuses, or a path that can't be written.
    """
    file_writer(interactions_table)(circuit, interactions_path(path))
    return file_writer(components_table)(circuit, path)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The text of a CSV table."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows(rows)
    return file.getvalue()


def _numbers(part: Node | Interaction) -> list[str]:
    numbers = numbers_of(part)
    return [_cell(numbers.get(name, "")) for name in NUMBERS]


def _cell(value: Value) -> str:
    if isinstance(value, str):
        return cell(value)
    if isinstance(value, bool):
        return str(value).lower()
    return str(value + 0.0 if isinstance(value, float) else value)  # -0 is 0
