"""``circuitspex models``: the models that need no model hub."""

from __future__ import annotations

import argparse
import json
import sys

from circuitspex.cli.options import verb_parser
from circuitspex.errors import ModelNotFoundError, UserError

EXAMPLE = "circuitspex models get smollm2-135m"


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this verb."""
    parser = verb_parser(verbs, "models", "list the offline models, or fetch one into the cache", EXAMPLE)
    parser.add_argument("action", choices=("list", "get"))
    parser.add_argument("name", nargs="?", help="with get: which model")
    parser.set_defaults(run=run, late=_late)


def _late(options: argparse.Namespace, unknown: list[str]) -> list[str]:
    """The name where it follows an option, which the parser takes for too much; what is none is given back."""
    if options.name is None and len(unknown) == 1 and not unknown[0].startswith("-"):
        options.name, unknown = unknown[0], []
    return unknown


def run(options: argparse.Namespace) -> int:
    """Do it."""
    from circuitspex.models.catalogue import CATALOGUE, fetch, folder_of, is_fetched

    if options.action == "list" and options.name is not None:
        raise UserError(f"list takes no name; did you mean: circuitspex models get {options.name}")
    if options.action == "list":
        rows = [
            {
                "name": entry.name,
                "description": entry.description,
                "licence": entry.licence,
                "download_mb": entry.download_mb,
                "in_cache": is_fetched(entry),
            }
            for entry in CATALOGUE.values()
        ]
        if options.json:
            print(json.dumps({"models": rows}, indent=1))
            return 0
        for row in rows:
            state = "in the cache" if row["in_cache"] else f"{row['download_mb']} MB to download"
            print(f"{row['name']}: {row['description']}; {row['licence']}; {state}")
        return 0
    if options.name is None:
        raise UserError(f"which model? known: {', '.join(CATALOGUE)}")
    if options.name not in CATALOGUE:
        raise ModelNotFoundError(f"'{options.name}' is not in the offline catalogue; known: {', '.join(CATALOGUE)}")
    entry = CATALOGUE[options.name]
    fetch(entry, lambda line: print(line, file=sys.stderr))
    folder = folder_of(entry)
    print(json.dumps({"name": entry.name, "folder": str(folder)}) if options.json else f"{entry.name}: {folder}")
    return 0
