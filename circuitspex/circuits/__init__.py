"""The circuit graph: finding it, measuring it, verifying it, comparing two."""

from circuitspex.circuits.attribution import nap, nap_ig
from circuitspex.circuits.choose import Choice, choose, choose_curve, match, smallest
from circuitspex.circuits.circuit import (
    Circuit,
    Combination,
    Direction,
    Edge,
    Estimate,
    Faithfulness,
    Node,
    Verification,
)
from circuitspex.circuits.coarse import coarse_to_fine
from circuitspex.circuits.comparing import compare
from circuitspex.circuits.comparison import Change, Comparison, Point, Series
from circuitspex.circuits.examining import examine
from circuitspex.circuits.explaining import explain
from circuitspex.circuits.find import find_circuit
from circuitspex.circuits.found import Found, Level
from circuitspex.circuits.measure import estimate, measure
from circuitspex.circuits.refine import Refined, refine
from circuitspex.circuits.report import Report
from circuitspex.circuits.series import compare_series
from circuitspex.circuits.verify import verify

__all__ = [
    "Change",
    "Choice",
    "Circuit",
    "Combination",
    "Comparison",
    "Direction",
    "Edge",
    "Estimate",
    "Faithfulness",
    "Found",
    "Level",
    "Node",
    "Point",
    "Refined",
    "Report",
    "Series",
    "Verification",
    "choose",
    "choose_curve",
    "coarse_to_fine",
    "compare",
    "compare_series",
    "estimate",
    "examine",
    "explain",
    "find_circuit",
    "match",
    "measure",
    "nap",
    "nap_ig",
    "refine",
    "smallest",
    "verify",
]
