"""What a verb prints at its end, and the files that a search writes: the same for every verb that searches."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from circuitspex.circuits import Found

FILES = {"json": "circuit.json", "html": "circuit.html", "svg": "circuit.svg", "png": "circuit.png"}
WRITTEN = (*FILES.values(), "interactions.json")


def show(found: Found, folder: Path | None, options: argparse.Namespace) -> int:
    """Write the files into the folder, where there is one, and print the result as text or JSON; the exit code."""
    from circuitspex.export.files.circuit import to_json

    written = []
    if folder is not None:
        written = [found.circuit.export(form, folder / name) for form, name in FILES.items()]
        written.append(found.interactions.save(folder / "interactions.json"))
        written += [] if found.edges is None else [found.edges.save(folder / "edges.json")]
        if getattr(options, "mib", False):
            files = found.to_mib(folder / "circuit.mib")
            written += files if options.json else [Path(f"{folder / 'circuit.mib'} ({len(files)} files)")]
    text = stored(found)
    if found.pilot is not None:
        text += f"{found.pilot}\n\n"
    curve = found.learning_curve if options.until is not None else ()
    for title, rows in (("learning curve", curve), ("coarse to fine", found.levels)):
        if rows:
            text += "\n".join([title, *(f"  {row}" for row in rows)]) + "\n\n"
    return finish(options, "circuit", lambda: to_json(found.circuit), text + found.circuit.table(), written)


def stored(found: Found) -> str:
    """How many ablations were taken from the store, as lines; empty where none was."""
    n = found.n_stored
    return f"{n} of {n + found.n_run} ablations taken from the store\n\n" if n else ""


def finish(options: argparse.Namespace, name: str, data: Callable[[], Any], text: str, written: Sequence[Path]) -> int:
    """Print what was found, as text or as JSON under that name, and which files were written; the exit code."""
    if options.json:
        print(json.dumps({name: data(), "files": [str(path) for path in written]}, indent=1))
        return 0
    print(text, end="")
    if written:
        print("\nwritten:", *(f"  {path}" for path in written), sep="\n")
    return 0
