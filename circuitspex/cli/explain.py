"""``circuitspex explain``: which players of a game of your own matter and interact."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from circuitspex.cli.options import arguments, names_of, shared_options, verb_parser, whole_number, writable_folder
from circuitspex.cli.result import WRITTEN, show
from circuitspex.cli.workers import workers_of
from circuitspex.errors import UserError

_OURS = {"circuitspex", "lightgbm", "matplotlib", "numpy", "scipy", "sklearn", "torch", "transformer_lens"}
_TAKEN = sys.stdlib_module_names | _OURS | {"transformers"}
"""Names of modules that a file of the user's may not stand in for."""

EXAMPLE = "circuitspex explain my_game.py:Game --budget 200 --out runs/mine"


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this verb."""
    parser = verb_parser(verbs, "explain", "explain a game of your own, from a Python file", EXAMPLE)
    parser.add_argument(
        "game",
        metavar="FILE.py:NAME",
        help="a game, or a class or function that makes one without arguments; or a function of masks, with --players "
        "or --names; runs the file",
    )
    parser.add_argument("--players", type=whole_number(1), metavar="N", help="how many players a function of masks has")
    parser.add_argument(
        "--names", type=names_of, metavar="A,B,…", help="what its players are called, with commas between"
    )
    shared_options(
        parser,
        *("budget", "until", "keep", "method", "heldout-masks", "contexts"),
        *("workers", "worker-gpus", "seed", "out"),
        budget={"help": "masks to decode from (default: 100)"},
        keep={"help": "share of players kept by a mask (default: 0.5)"},
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Do it."""
    from circuitspex.circuits import explain
    from circuitspex.circuits.search.options import Options

    Options.of({name: value for name, value in vars(options).items() if name in ("keep", "method", "until", "budget")})
    game = game_of(options.game, options.players, options.names)
    folder = None if options.out is None else writable_folder(options.out, WRITTEN)
    given = {key: value for key, value in arguments(options, explain).items() if key not in ("n_players", "names")}
    code = sys.modules.get(_module_name(Path(options.game.rpartition(":")[0])))
    with workers_of(options, code=code) as workers, _not_ended(options.game):
        found = explain(game, options.budget, **given | {"workers": workers})
    return show(found, folder, options)


def game_of(text: str, n_players: int | None = None, names: list[str] | None = None) -> Any:
    """The game that ``FILE.py:NAME`` names; with players or names, the game of that function of masks.

    Raises:
        UserError: no such file or name, or what it names is not a game.
    """
    file, _, name = text.rpartition(":")
    if not file or not name:
        raise UserError(f"'{text}' does not name a game; write FILE.py:NAME, such as my_game.py:Game")
    path = Path(file)
    if not path.is_file():
        raise UserError(f"{file}: there is no such file")
    spec = importlib.util.spec_from_file_location(_module_name(path), path)
    if spec is None or spec.loader is None:
        raise UserError(f"{file}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    # As Python does for a script: what lies beside the file can be imported, and its classes can be found by workers.
    # But where a file beside it is named like one of Python's modules, it must not come before that.
    beside = {each.stem for each in path.parent.glob("*.py")}
    sys.path.insert(len(sys.path) if beside & _TAKEN else 0, str(path.parent.resolve()))
    sys.modules[module.__name__] = module
    try:
        with _not_ended(file):
            spec.loader.exec_module(module)
    except SyntaxError as error:
        where = Path(error.filename or file).name
        raise UserError(f"{where}, line {error.lineno}: not Python ({error.msg})") from error
    if not hasattr(module, name):
        raise UserError(f"{file} has no '{name}'")
    found = getattr(module, name)
    if n_players is not None or names is not None:
        from circuitspex.games import FunctionGame

        if isinstance(found, type) or not callable(found) or hasattr(found, "n_players"):
            raise UserError(f"--players and --names are for a function of masks, which {text} is not")
        return FunctionGame(found, n_players, names=names)
    if callable(found) and not hasattr(found, "n_players") and _needs_arguments(found):
        raise UserError(
            f"{text} needs arguments; if it is a function of masks, say how many players: --players N, or --names"
        )
    if isinstance(found, type) or (callable(found) and not hasattr(found, "n_players")):
        with _not_ended(text):
            found = found()
    if not callable(found) or not hasattr(found, "n_players"):
        raise UserError(
            f"{text} is not a game: it must take masks bool (K, n), True = kept, give numbers (K,), and have n_players"
        )
    return found


def _module_name(path: Path) -> str:
    """What the file's module is called: as the file, or otherwise where that is the name of one of Python's or ours."""
    return f"{path.stem}_of_the_user" if path.stem in _TAKEN else path.stem


@contextlib.contextmanager
def _not_ended(what: str) -> Iterator[None]:
    """A game that ends the process has failed.

    Raises:
        UserError: it called ``sys.exit``.
    """
    try:
        yield
    except SystemExit as ended:
        raise UserError(f"{what} called sys.exit({'' if ended.code is None else repr(ended.code)[:60]})") from ended


def _needs_arguments(function: Any) -> bool:
    """Whether it can't be called without any."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return any(p.default is p.empty and p.kind not in kinds for p in parameters)
