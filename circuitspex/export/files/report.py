"""The examination of a circuit as JSON: all its numbers, for other programs; those that are not finite are null."""

from __future__ import annotations

from circuitspex.circuits.report import Report
from circuitspex.export.files.codec import JsonForm

REPORT = JsonForm(Report, "circuitspex.report", 1, lambda data: None, with_gaps=True, ascii=True)
to_json, write = REPORT.to_json, REPORT.write
