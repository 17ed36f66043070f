"""The circuit graph: finding it, measuring it, verifying it."""

from circuitspex.circuits.circuit import Circuit, Edge, Estimate, Faithfulness, Node, Verification
from circuitspex.circuits.find import Found, find_circuit
from circuitspex.circuits.measure import estimate, measure
from circuitspex.circuits.verify import verify

__all__ = [
    "Circuit",
    "Edge",
    "Estimate",
    "Faithfulness",
    "Found",
    "Node",
    "Verification",
    "estimate",
    "find_circuit",
    "measure",
    "verify",
]
