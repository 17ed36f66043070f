"""``circuit.json``: the one file that carries everything. What is valid: ``circuit.schema.json``, ``circuit_check``."""

from __future__ import annotations

from circuitspex.circuits.circuit import Circuit, Faithfulness, Interaction, Node, Verification
from circuitspex.export.files.circuit_check import problem_of, schema
from circuitspex.export.files.codec import JsonForm, leave_out
from circuitspex.export.files.description import (
    DESCRIPTION as DESCRIPTION,
)  # so that circuits' descriptions have a form

# Fields that files up to version 3 don't have are left out where there is nothing to say.
leave_out(Node, "q", "adjusted", "signed")
leave_out(Interaction, "adjusted", "pair", "unablated")
leave_out(Faithfulness, "exact")
leave_out(Verification, "share_kept", "share_left")
CIRCUIT = JsonForm(
    Circuit,
    "circuitspex.circuit",
    5,
    problem_of,
    renamed={"interactions": "edges"},
    order=schema()["properties"],
    left_out=("dropped_nodes", "description"),
)
to_json, from_json, dumps, write, read = CIRCUIT.to_json, CIRCUIT.from_json, CIRCUIT.dumps, CIRCUIT.write, CIRCUIT.read
