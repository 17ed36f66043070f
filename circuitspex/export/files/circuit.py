"""``circuit.json``: the one file that carries everything. What is valid: ``circuit.schema.json``, ``circuit_check``."""

from __future__ import annotations

from circuitspex.circuits.circuit import Circuit
from circuitspex.export.files.circuit_check import problem_of, schema
from circuitspex.export.files.codec import JsonForm

CIRCUIT = JsonForm(
    Circuit, "circuitspex.circuit", 4, problem_of, renamed={"interactions": "edges"}, order=schema()["properties"]
)
to_json, from_json, dumps, write, read = CIRCUIT.to_json, CIRCUIT.from_json, CIRCUIT.dumps, CIRCUIT.write, CIRCUIT.read
