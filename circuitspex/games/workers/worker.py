"""What runs in a worker's process: models loaded from where they come from, games on them, and chunks of masks."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from circuitspex.games.workers.losses import sendable
from circuitspex.games.workers.recipe import Recipe, different
from circuitspex.processes import keep_to

MOST_MODELS = 2
"""A worker holds so many models at most (``compare`` needs two); the one used longest ago goes first."""
MOST_GAMES = 8

Kind = Literal["done", "refused", "wrong", "memory"]


@dataclass(frozen=True)
class Outcome:
    """What became of a job: what it gave; or why this worker may not run it, what was wrong with it, or no memory."""

    kind: Kind
    value: Any = None
    seconds: float = 0.0


class Worker:
    """One process of a pool; Ray makes an actor of it.

    Args:
        cpus: threads that it computes with.
        gpus: GPUs that Ray gave it; with more than one a model is spread over them.
        device_map: how it is spread.
        path: where else it looks for modules; of a process on another machine that is nowhere.
    """

    def __init__(self, cpus: float, gpus: float, device_map: Any, path: tuple[str, ...] = ()) -> None:
        sys.path.extend(place for place in path if place not in sys.path)
        keep_to(max(1, int(cpus)))
        self._gpus, self._device_map = gpus, device_map
        self._models: OrderedDict[str, Any] = OrderedDict()
        self._games: OrderedDict[str, Any] = OrderedDict()
        self._recipes: OrderedDict[str, Recipe] = OrderedDict()
        self._agreed: set[str] = set()

    def about(self) -> dict[str, Any]:
        """Plain facts, which any version of this package can read."""
        return {"node": platform.node(), "pid": os.getpid(), **running_code()}

    def facts(self, key: str, held: list[Any]) -> Outcome:
        """What the values of its game depend on."""
        return self._guarded(lambda: (self._game(key, held)._facts, ()))

    def call(self, key: str, held: list[Any], method: str, arguments: tuple[Any, ...]) -> Outcome:
        """What a method of the game gives; ``held``: Ray's references to its recipe and to the facts it must have."""

        def find() -> tuple[Callable[..., Any], tuple[Any, ...]]:
            game = self._game(key, held)
            if len(held) > 1 and key not in self._agreed:
                import ray

                why = different(ray.get(held[1]), game._facts(), ())
                if why is not None:
                    raise _RefusedError(why)
                self._agreed.add(key)
            return getattr(game, method), arguments

        return self._guarded(find)

    def _game(self, key: str, held: list[Any]) -> Any:
        from circuitspex.errors import UserError

        game = self._games.get(key)
        if game is None:
            recipe = self._recipe(key, held)
            model = None if recipe.origin is None else self._model(recipe)
            try:
                game = recipe.built(model)
            except UserError as error:  # the driver has made the same game
                raise _RefusedError(f"it can't make the game: {error}") from error
            _keep(self._games, key, game, MOST_GAMES)
        self._games.move_to_end(key)
        return game

    def _recipe(self, key: str, held: list[Any]) -> Recipe:
        if key not in self._recipes:
            import ray
            from ray.exceptions import RaySystemError

            try:
                found = ray.get(held[0])
            except (RaySystemError, ImportError) as error:
                why = " ".join(str(error).split())[-200:]
                raise _RefusedError(
                    f"it can't read the game, whose own code has to be there too ({why}); Ray sends it along with "
                    "ray={'runtime_env': {'working_dir': '.'}}"
                ) from error
            _keep(self._recipes, key, found, MOST_GAMES)
        return self._recipes[key]

    def _model(self, recipe: Recipe) -> Any:
        from circuitspex.errors import UserError
        from circuitspex.models import model_identity

        origin = recipe.origin
        assert origin is not None
        if origin.key not in self._models:
            while len(self._models) >= MOST_MODELS:
                gone = self._models.popitem(last=False)[1]
                for key in [key for key, game in self._games.items() if getattr(game, "model", None) is gone]:
                    del self._games[key]
                del gone
            try:
                self._models[origin.key] = origin.load(**self._place(origin.options))
            except UserError as error:
                raise _RefusedError(f"it can't load {recipe.name}: {error}") from error
        self._models.move_to_end(origin.key)
        model = self._models[origin.key]
        wanted = None if recipe.facts is None else recipe.facts.get("weights")
        if wanted is not None and model_identity(model) != wanted:
            raise _RefusedError(
                f"the weights of {recipe.name} that it found at {origin.source} are not those of the driver "
                f"({model_identity(model)[:12]} there, {wanted[:12]} here)"
            )
        return model

    def _place(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Where a model lives here."""
        if self._gpus > 1:
            return {"device_map": options.get("device_map") or self._device_map}
        return {"device": "cuda" if self._gpus else "cpu", "device_map": None}

    def _guarded(self, find: Callable[[], tuple[Callable[..., Any], tuple[Any, ...]]]) -> Outcome:
        """What a method gives, and its seconds without those in which it was found: models are loaded there."""
        from circuitspex.errors import UserError
        from circuitspex.models.out_of_memory import is_out_of_memory

        try:
            method, arguments = find()
            began = time.perf_counter()
            found = method(*arguments)
            return Outcome("done", found, time.perf_counter() - began)
        except _RefusedError as error:
            return Outcome("refused", str(error))
        except UserError as error:
            whole = sendable(error)
            return Outcome("wrong", error if whole is error else UserError(str(error)))
        except Exception as error:
            if isinstance(error, RuntimeError | MemoryError) and is_out_of_memory(error):
                return Outcome("memory", " ".join(str(error).split())[:200] or "out of memory")
            raise sendable(error) from None


class _RefusedError(Exception):
    """Why this worker may not run a game."""


def _keep(kept: OrderedDict[str, Any], key: str, value: Any, most: int) -> None:
    kept[key] = value
    while len(kept) > most:
        kept.popitem(last=False)


@functools.cache
def running_code() -> dict[str, str]:
    """The version of this package that runs here, and a digest of its files."""
    import circuitspex

    digest = hashlib.sha256()
    folder = Path(circuitspex.__file__).parent
    for path in sorted(folder.rglob("*.py")):
        digest.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return {"version": circuitspex.__version__, "code": digest.hexdigest()[:12]}
