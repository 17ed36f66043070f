"""Scores by MIB's protocol as JSON: all their numbers, for other programs; those that are not finite are null."""

from __future__ import annotations

from circuitspex.circuits.mib_report import MIBReport
from circuitspex.export.files.codec import JsonForm

MIB = JsonForm(MIBReport, "circuitspex.mib", 1, lambda data: None, with_gaps=True, ascii=True)
to_json, write, read = MIB.to_json, MIB.write, MIB.read
