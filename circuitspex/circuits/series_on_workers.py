"""A series of checkpoints on workers: each checkpoint is loaded, decoded and measured by one of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias, cast

from tqdm.auto import tqdm

from circuitspex.circuits.checkpoints import shape_of, why_not_comparable
from circuitspex.circuits.comparison import Point
from circuitspex.circuits.search.options import Options
from circuitspex.circuits.series_steps import decoded_at, game_at, loaded, point_at
from circuitspex.errors import UserError
from circuitspex.games.workers.crew import Job
from circuitspex.games.workers.kept import store_for_workers
from circuitspex.games.workers.ray_workers import RayWorkers
from circuitspex.games.workers.recipe import Recipe
from circuitspex.models import model_identity
from circuitspex.models.given import GivenModel, model_of
from circuitspex.models.origin import Origin, origin_of
from circuitspex.models.protocol import Model
from circuitspex.recovery import Interactions
from circuitspex.tasks import Task
from circuitspex.typing import Masks, Term

Source: TypeAlias = "GivenModel | Callable[[], Model]"
First = tuple[str, Mapping[str, Any]]
"""The name of the first checkpoint, and its shape."""
Decoded = tuple[tuple[str, ...], Interactions]


class Checkpoint:
    """One checkpoint in a worker: what it is, and the two things that are asked of it."""

    def __init__(self, given: Any, prompts: Task, components: Any, baseline: str, options: Options) -> None:
        self._given, self._how = given, (prompts, components, baseline, options)

    def decoded(self, name: str, first: First, keep: Any, seeds: Sequence[int]) -> Decoded:
        """The components' names, and the decoded function."""
        game = game_at(self._model(name, first), *self._how)
        return game.names, decoded_at(game, self._how[3], keep, seeds)

    def point(self, name: str, first: First, wanted: Sequence[Term], contexts: Masks) -> Point:
        """The effects of these sets."""
        model = self._model(name, first)
        return point_at(name, model_identity(model), game_at(model, *self._how), wanted, contexts)

    def _model(self, name: str, first: First) -> Model:
        """The model, if it is like the first of the series."""
        model = loaded(self._given)
        why = why_not_comparable(*first, name, shape_of(model, self._how[0]))
        if why is not None:
            raise UserError(why)
        return model


class CheckpointsOnWorkers:
    """The checkpoints of a series, each on whichever worker is free.

    Args:
        models: the checkpoints by name.
        first: the first of them, loaded here; the others must be like it.
        prompts: the task.
        components: a selector, or a list of components.
        baseline: of the ablations.
        options: of the search; its workers run, its store keeps.
    """

    def __init__(
        self,
        models: Mapping[str, Source],
        first: Model,
        prompts: Task,
        components: Any,
        baseline: str,
        options: Options,
    ) -> None:
        assert options.workers is not None
        self._workers: RayWorkers = options.workers
        self._first = next(iter(models)), shape_of(first, prompts)
        self._progress = options.progress
        store = options.store
        if store is not None and str(self._workers.address).startswith("ray://"):
            said = "a series on workers behind ray:// keeps no finished ablations: they can't reach this disk"
            warnings.warn(said, stacklevel=3)
            store = None
        inside = replace(
            options, workers=None, progress=False, store=None if store is None else store_for_workers(store)
        )
        how = (prompts, components, baseline, inside)
        self._recipes = {name: _recipe(name, given, how) for name, given in models.items()}

    def decoded(self, names: Sequence[str], keep: Any, seeds: Sequence[int]) -> list[Decoded]:
        """The components' names and the decoded function at each of these checkpoints."""
        return self._each(names, "decoded", (keep, seeds))

    def points(self, wanted: Sequence[Term], contexts: Masks) -> list[Point]:
        """What was measured at every checkpoint, in their order."""
        return self._each(list(self._recipes), "point", (wanted, contexts))

    def _each(self, names: Sequence[str], method: str, arguments: tuple[Any, ...]) -> list[Any]:
        jobs = [Job(self._recipes[name], None, method, (name, self._first, *arguments)) for name in names]
        found: list[Any] = [None] * len(jobs)
        hidden = None if self._progress is None else not self._progress
        with tqdm(total=len(jobs), desc=f"checkpoints: {method}", disable=hidden, leave=False) as bar:
            for place, given in self._workers.run(jobs):
                found[place] = given
                bar.update()
        return found


def _recipe(name: str, given: Source, how: tuple[Any, ...]) -> Recipe:
    """How a worker has this checkpoint: it loads a name or what a model was loaded from, or calls a function."""
    if isinstance(given, str | Path):
        path = Path(given).expanduser()
        return Recipe(Checkpoint, how, {}, Origin(str(path.resolve()) if path.exists() else str(given)), None, name)
    if callable(given) and not isinstance(given, type) and not hasattr(given, "parameters"):
        return Recipe(Checkpoint, (given, *how), {}, None, None, name)
    model = model_of(cast(GivenModel, given))
    return Recipe(Checkpoint, how, {}, origin_of(model), {"weights": model_identity(model)}, name)
