"""Games that are played on a model: alone, and on the model as it is now."""

from __future__ import annotations

import contextlib
import warnings
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from circuitspex.ablation import Store
from circuitspex.errors import UserError
from circuitspex.games.lens import LensGame
from circuitspex.games.workers.recipe import Recipe
from circuitspex.models import model_identity
from circuitspex.models.alone import running
from circuitspex.models.protocol import Model
from circuitspex.models.standing import standing
from circuitspex.models.state import ModelState, model_state, why_foreign

# Counted up whenever values on a model may differ from those that were kept before. Version 1 knew neither buffers nor
# hooks of plain torch, so that values of a changed model may be among those of the model itself.
MODEL_VALUES_VERSION = 2


class ModelGame(LensGame):
    """A lens on a model. What it makes ready (baselines, clean passes, joined weights) is that of one state of it.

    Each time before masks are played the model is read anew. Where it is not what it was, everything is made ready
    again, and the store is asked under the new identity. With a hook or a replaced method, whose doing can't be read,
    that is so every time, and nothing is kept in the store.
    """

    model: Model

    def __init__(self, model: Model, store: Store | str | Path | None = None) -> None:
        super().__init__(store)
        self.model = model
        self._given_store = self.store
        self._state: ModelState | None = None

    @abstractmethod
    def _make_ready(self, state: ModelState) -> None:
        """Make everything that is kept from pass to pass, of the model as it is now."""

    @property
    def model_identity(self) -> str:
        """The hash of all that the model's values depend on."""
        return model_identity(self.model)

    @contextlib.contextmanager
    def _ready(self) -> Iterator[None]:
        with running(self.model):
            state = model_state(self.model)
            if state != self._state or state.foreign:
                self._begin(state)
            yield

    @abstractmethod
    def _recipe(self) -> Recipe:
        """How a worker makes this game, with a model that it loads itself."""

    def _first(self) -> None:
        """Make everything ready for the first time."""
        with running(self.model):
            self._begin(model_state(self.model))
            self._state = model_state(self.model)  # the first pass of some models writes into their weights

    def _begin(self, state: ModelState) -> None:
        if self._state is not None and state != self._state:
            self.n_changes += 1
        self._state, self._identity, self._given_out = state, None, None
        if state.foreign and self.workers is not None:
            raise UserError(
                f"the model has {why_foreign(state)}, which workers, who load it themselves, would not have; play it "
                "in this process, or save the changed model"
            )
        with standing(self.model, state):
            self._make_ready(state)
        self.store = self._given_store
        if state.foreign and self.store is not None:
            self.store = None
            warnings.warn(
                f"the model has {why_foreign(state)}; what that does can't be read, so the store of finished ablations "
                "is not used",
                stacklevel=5,
            )

    def _how(self) -> dict[str, Any]:
        """Facts of the store: the version of the values, and settings of PyTorch that are not as usual."""
        found = () if self._state is None else self._state.numerics
        return {"model_values_version": MODEL_VALUES_VERSION, **({"numerics": dict(found)} if found else {})}
