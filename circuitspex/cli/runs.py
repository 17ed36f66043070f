"""``circuitspex runs``: the finished ablations that the store keeps."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuitspex.cli.options import shared_options, verb_parser
from circuitspex.errors import UserError

if TYPE_CHECKING:
    from circuitspex.ablation import Store, StoredGame

EXAMPLE = "circuitspex runs list"


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this verb."""
    parser = verb_parser(verbs, "runs", "list, show or delete the finished ablations that are kept", EXAMPLE)
    parser.add_argument("action", choices=("list", "show", "delete"))
    parser.add_argument("id", nargs="*", help="with show and delete: the first letters of a run's id")
    parser.add_argument("--all", action="store_true", help="with delete: every run")
    parser.add_argument("--yes", action="store_true", help="with delete: don't ask")
    shared_options(parser, "store")
    parser.set_defaults(run=run, late=_late)


def _late(options: argparse.Namespace, unknown: list[str]) -> list[str]:
    """Ids that follow an option, which the parser takes for too much; what is none is given back."""
    if not options.id and not any(word.startswith("-") for word in unknown):
        options.id, unknown = unknown, []
    return unknown


def run(options: argparse.Namespace) -> int:
    """Do it."""
    from circuitspex.ablation import store_at
    from circuitspex.ablation.store.file import check_is_store

    if options.action == "list" and options.id:
        raise UserError(f"list takes no id; did you mean: circuitspex runs show {options.id[0]}")
    for name in ("all", "yes"):
        if getattr(options, name) and options.action != "delete":
            raise UserError(f"--{name} is for delete alone")
    if options.store not in (None, "auto", "off"):
        named = Path(options.store).expanduser()
        if not named.exists():
            raise UserError(f"there is no store at {named}")
        check_is_store(named)
    store = store_at(options.store)
    if store is None:
        raise UserError("there is no store: it is switched off or can't be made; name one with --store FILE")
    if options.action == "list":
        return _list(store, options.json)
    if options.action == "show":
        if len(options.id) != 1:
            raise UserError("which run? give the first letters of one id; `circuitspex runs list` shows them")
        return _show(store.named(options.id[0]), options.json)
    return _delete(store, options)


def _list(store: Store, as_json: bool) -> int:
    games = store.games()
    if as_json:
        print(json.dumps({"store": str(store.path), "runs": [_row(game) for game in games]}, indent=1))
        return 0
    if not games:
        print(f"nothing is kept in {store.path}")
        return 0
    print(f"{'id':12}  {'ablations':>9}  {'size':>8}  {'last used':16}  what")
    for game in games:
        print(f"{_id(game)}  {game.n_ablations:9}  {_size(game.n_bytes):>8}  {_day(game.used):16}  {_what(game)}")
    print(f"{_size(sum(game.n_bytes for game in games))} in {store.path}")
    return 0


def _show(game: StoredGame, as_json: bool) -> int:
    row = _row(game)
    if as_json:
        print(json.dumps(row, indent=1))
        return 0
    for name, value in row.items():
        text = ", ".join(value) if isinstance(value, list) else str(value)
        print(f"{name:16} {text if len(text) <= 300 else text[:300] + ' ...'}")
    return 0


def _delete(store: Store, options: argparse.Namespace) -> int:
    if options.all == bool(options.id):
        raise UserError("delete which runs? give the first letters of their ids, or --all")
    games = store.games() if options.all else [store.named(prefix) for prefix in options.id]
    count = sum(game.n_ablations for game in games)
    if not options.yes:
        if not sys.stdin.isatty():
            raise UserError(f"this would delete {len(games)} runs with {count} ablations; say --yes to do it")
        if input(f"delete {len(games)} runs with {count} ablations? [y/N] ").strip().lower() not in ("y", "yes"):
            return 1
    store.delete([game.identity for game in games])
    if options.json:
        print(json.dumps({"deleted": [game.identity for game in games]}, indent=1))
    else:
        print(f"deleted {len(games)} runs with {count} ablations")
    return 0


def _what(game: StoredGame) -> str:
    """A run in a line: what is known of it, whatever kind of game it is of."""
    facts = game.facts
    if "damaged" in facts:
        return "damaged: what it was can't be read"
    first = " ".join(str(facts[key]) for key in ("model", "task_name") if facts.get(key))
    rest = [str(facts[key]) for key in ("selector", "baseline", "executor") if facts.get(key)]
    return ", ".join([*([first] if first else []), *rest]) or "a game"


def _id(game: StoredGame) -> str:
    return game.identity[:12].encode("ascii", "replace").decode()


def _row(game: StoredGame) -> dict[str, Any]:
    return {
        "id": game.identity,
        **game.facts,
        "ablations": game.n_ablations,
        "with_gradients": game.n_gradients,
        "bytes": game.n_bytes,
        "last_used": _day(game.used),
    }


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MB" if count >= 2**20 else f"{count / 2**10:.1f} kB"
