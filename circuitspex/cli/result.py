"""What a search prints, and the files that it writes: the same for every verb that searches."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from circuitspex.circuits import Found

FILES = {"json": "circuit.json", "html": "circuit.html", "svg": "circuit.svg", "png": "circuit.png"}


def show(found: Found, folder: Path | None, options: argparse.Namespace) -> int:
    """Write the files into the folder, where there is one, and print the result as text or JSON; the exit code."""
    written = []
    if folder is not None:
        written = [found.circuit.export(form, folder / name) for form, name in FILES.items()]
        written.append(found.interactions.save(folder / "interactions.json"))
    if options.json:
        from circuitspex.export.files.circuit import to_json

        print(json.dumps({"circuit": to_json(found.circuit), "files": [str(path) for path in written]}, indent=1))
        return 0
    if found.n_stored:
        print(f"{found.n_stored} of {found.n_stored + found.n_run} ablations taken from the store", end="\n\n")
    if found.pilot is not None:
        print(found.pilot, end="\n\n")
    if options.until is not None and found.learning_curve:
        print("learning curve", *(f"  {stage}" for stage in found.learning_curve), sep="\n", end="\n\n")
    if found.levels:
        print("coarse to fine", *(f"  {level}" for level in found.levels), sep="\n", end="\n\n")
    print(found.circuit.table())
    if written:
        print("\nwritten:")
        for path in written:
            print(f"  {path}")
    return 0
