"""shapiq's JSON file of interaction values, which ``shapiq.InteractionValues.from_json_file`` reads.

The circuit's effects are Banzhaf interaction indices: shapiq's 'BII', or 'BV' where there are no interactions. Player
``i`` is the ``i``-th of ``parameters.players``, the components by layer. The circuit has no value for the empty set, so
that ``min_order`` is 1. ``baseline_value`` is the measured value of nothing kept: of the search's own prompts where the
circuit has it (``task["ablated"]``), else as verification measured it on held-out ones. A circuit for which nobody has
measured it has no such key, and then shapiq asks for it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from circuitspex.circuits.circuit import Circuit
from circuitspex.export.drawing.style import faithfulness_text, title_of
from circuitspex.export.graphs.parts import needs_signs, parts_of
from circuitspex.files import write_atomically

LAYOUT = "1.8.0"
"""The version of shapiq whose file layout this is."""


def to_json(circuit: Circuit) -> dict[str, Any]:
    """The circuit as the JSON object of a shapiq file.

    Raises:
        UserError: what ``parts_of`` and ``needs_signs`` refuse.
    """
    needs_signs(circuit, "a shapiq file")
    parts = parts_of(circuit)
    player = {part.id: i for i, part in enumerate(parts.components)}
    values: dict[tuple[int, ...], float] = {(player[part.id],): part.node.effect for part in parts.components}
    for interaction in parts.interactions:
        values[tuple(sorted(player[part.id] for part in interaction.members))] = interaction.edge.effect
    largest = max(map(len, values), default=1)
    budget = circuit.run.get("budget")
    return {
        "object_name": "InteractionValues",
        "data_type": "interaction_values",
        "version": LAYOUT,
        "created_from": "circuitspex",
        "description": f"{title_of(circuit)}; {faithfulness_text(circuit)}",
        "parameters": {"players": [part.node.name for part in parts.components]},
        "timestamp": None,
        "metadata": {
            "n_players": len(player),
            "index": "BV" if largest == 1 else "BII",
            "max_order": largest,
            "min_order": 1,
            "estimated": True,
            "estimation_budget": budget if isinstance(budget, int) and not isinstance(budget, bool) else None,
            **_baseline(circuit),
        },
        "data": {",".join(map(str, key)): float(values[key]) for key in sorted(values, key=lambda k: (len(k), k))},
    }


def _baseline(circuit: Circuit) -> dict[str, float]:
    """The value where nothing is kept, if it was measured."""
    found = circuit.task.get("ablated")
    if found is None and circuit.verification is not None:
        found = circuit.verification.empty
    return {"baseline_value": float(found)} if isinstance(found, int | float) else {}


def write(circuit: Circuit, path: Path) -> Path:
    """Write the file. shapiq reads only names that end in ``.json``."""
    text = json.dumps(to_json(circuit), indent=2, ensure_ascii=True, allow_nan=False)
    return write_atomically(path, (text + "\n").encode())
