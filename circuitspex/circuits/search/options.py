"""What a search or a comparison is asked for: one object that is made once, checked once, and passed on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from math import inf
from numbers import Real
from typing import Any, Literal

import numpy as np

from circuitspex.ablation import Executor, Precision, Store, check_executor, store_at
from circuitspex.circuits.search.footprint import check_memory
from circuitspex.components import Latents, Selector
from circuitspex.errors import UserError
from circuitspex.games import ComponentGame
from circuitspex.games.workers.ray_workers import RayWorkers, check_workers
from circuitspex.masks import Keep, check_keep, mean_keep
from circuitspex.models.protocol import Model
from circuitspex.recovery import DECODERS, Method
from circuitspex.scale import MOST, check_seed, whole
from circuitspex.tasks import Task

MORE_CONTEXTS = 2
"""A set whose interval is wide is measured in so many times ``n_contexts`` at most."""

_LEAST = {
    "budget": 2,
    "max_nodes": 1,
    "max_interactions": 0,
    "n_heldout": 2,
    "n_contexts": 2,
    "refine": 0,
    "n_random": 1,
    "max_expanded": 1,
}
_OPEN_SHARES = {
    "until": "the R² to stop at",
    "fdr": "the false discovery rate",
    "threshold": "of the decoded variance",
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Every option of ``find_circuit``, ``explain``, ``coarse_to_fine`` and ``compare``, which say what each means.

    The defaults here are those of ``find_circuit``; a function passes what it has.
    """

    budget: int = 100
    keep: Keep | Literal["auto"] = 0.5
    method: Method = "auto"
    max_nodes: int = 16
    max_interactions: int = 12
    n_heldout: int = 200
    n_contexts: int = 16
    refine: int = 0
    until: float | None = None
    directions: bool = True
    n_random: int = 20
    threshold: float = 0.05
    max_expanded: int = 8
    min_effect: float | None = None
    fdr: float = 0.05
    latents: Latents | Sequence[Latents] | None = None
    executor: Executor = "auto"
    precision: Precision = "model"
    store: Store | None = None
    workers: RayWorkers | None = None
    seed: int = 0
    progress: bool | None = None

    @classmethod
    def of(cls, arguments: Mapping[str, Any], **more: Any) -> Options:
        """Those of a function's arguments that are options, and more, checked; the store may be a path.

        Raises:
            UserError: an option out of range.
        """
        given = {field.name: arguments[field.name] for field in fields(cls) if field.name in arguments}
        return cls(**{**given, "store": store_at(given.get("store")), **more}).checked()

    def checked(self) -> Options:
        """The same, with the share of a mask in its usual form.

        Raises:
            UserError: an option out of range.
        """
        given: Any = self.keep
        keep: Any = given if isinstance(given, str) and given == "auto" else _check_keep_or_auto(given)
        directions: Any = self.directions
        if not isinstance(directions, bool | np.bool_):
            raise UserError(f"directions must be True or False, not {str(directions)[:40]!r}")
        check_workers(self.workers)
        for name, about in _OPEN_SHARES.items():
            value: Any = getattr(self, name)
            if value is not None and (not isinstance(value, Real) or not 0 < float(value) < 1):
                raise UserError(f"{name} must lie between 0 and 1 and be neither ({about}), not {value}")
        counts: dict[str, Any] = {name: whole(getattr(self, name), name, least, MOST) for name, least in _LEAST.items()}
        counts["seed"] = check_seed(self.seed)
        smallest: Any = self.min_effect
        if smallest is not None and not (isinstance(smallest, Real) and 0 <= float(smallest) < inf):
            raise UserError(f"min_effect must be a number of the metric's units, at least 0, not {self.min_effect}")
        check_executor(self.executor, self.precision)
        if DECODERS[self.method].makes_its_own_masks and (keep != 0.5 or self.until is not None):
            raise UserError(
                f"method '{self.method}' runs its own masks, which keep half of the components; keep=… and until=… "
                "can't go with it"
            )
        return replace(self, keep=keep, directions=bool(directions), **counts)

    @property
    def gradients(self) -> bool | None:
        """Whether ablations are decoded with their gradients; None where that depends on the game."""
        return {"no": False, "if there are": None, "needs": True}[DECODERS[self.method].uses_gradients]

    @property
    def share(self) -> float:
        """The share of components that a mask keeps on average."""
        if self.keep == "auto":
            raise ValueError("the share is not known before the pilot")
        return mean_keep(self.keep)

    def check_memory(self, n_players: int) -> int:
        """What the search will keep in memory, in bytes.

        Raises:
            UserError: more than is free.
        """
        contexts = MORE_CONTEXTS * self.n_contexts + 1  # and the one in which all others are kept
        n_measured = contexts * (self.max_nodes + 3 * self.max_interactions + 1)
        return check_memory(n_players, self.budget, self.n_heldout, n_measured)

    def game(self, model: Model, task: Task, components: Selector, baseline: str) -> ComponentGame:
        """The game of these components, run and stored as the options say."""
        return ComponentGame(
            model,
            task,
            components,
            baseline,
            latents=self.latents,
            executor=self.executor,
            precision=self.precision,
            store=self.store,
            workers=self.workers,
        )


def _check_keep_or_auto(keep: Keep) -> Keep:
    try:
        return check_keep(keep)
    except UserError as error:
        raise UserError(f"{error}; 'auto' picks it by a pilot") from None
