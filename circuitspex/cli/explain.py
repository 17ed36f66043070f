"""``circuitspex explain``: which players of a game of your own matter and interact."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from typing import Any

from circuitspex.cli.options import arguments, shared_options, verb_parser, writable_folder
from circuitspex.cli.result import show
from circuitspex.errors import UserError

EXAMPLE = "circuitspex explain my_game.py:Game --budget 200 --out runs/mine"


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this verb."""
    parser = verb_parser(verbs, "explain", "explain a game of your own, from a Python file", EXAMPLE)
    parser.add_argument(
        "game",
        metavar="FILE.py:NAME",
        help="a game, or a class or function that makes one without arguments; runs the file",
    )
    shared_options(
        parser,
        *("budget", "until", "keep", "method", "heldout", "contexts", "seed", "out"),
        budget={"help": "masks to decode from (default: 100)"},
        keep={"help": "share of players kept by a mask (default: 0.5)"},
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Do it."""
    folder = None if options.out is None else writable_folder(options.out)
    game = game_of(options.game)
    from circuitspex.circuits import explain

    found = explain(game, options.budget, **arguments(options, explain))
    return show(found, folder, options)


def game_of(text: str) -> Any:
    """The game that ``FILE.py:NAME`` names.

    Raises:
        UserError: no such file or name, or what it names is not a game.
    """
    file, _, name = text.rpartition(":")
    if not file or not name:
        raise UserError(f"'{text}' does not name a game; write FILE.py:NAME, such as my_game.py:Game")
    path = Path(file)
    if not path.is_file():
        raise UserError(f"{file}: there is no such file")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise UserError(f"{file}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    # As Python does for a script: what lies beside the file can be imported, and its classes can be found by workers.
    sys.path.insert(0, str(path.parent.resolve()))
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    if not hasattr(module, name):
        raise UserError(f"{file} has no '{name}'")
    found = getattr(module, name)
    if isinstance(found, type) or (callable(found) and not hasattr(found, "n_players")):
        found = found()
    if not callable(found) or not hasattr(found, "n_players"):
        raise UserError(
            f"{text} is not a game: it must take masks bool (K, n), True = kept, give numbers (K,), and have n_players"
        )
    return found
