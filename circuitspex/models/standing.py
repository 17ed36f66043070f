"""A model's state for a while: many parts take part in making it ready, and each would read the model anew."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from circuitspex.models.state import ModelState, model_state


@contextlib.contextmanager
def standing(model: Any, state: ModelState) -> Iterator[None]:
    """Within the block ``state_now`` of this model is ``state``, in this thread.

    For callers that have read it a moment ago and hold the model's lock (``alone``), so that nothing else changes it.
    """
    known = _known()
    before = known.get(id(model))
    known[id(model)] = state
    try:
        yield
    finally:
        if before is None:
            del known[id(model)]
        else:
            known[id(model)] = before


def state_now(model: Any) -> ModelState:
    """What the model is: read now, or as the block around says."""
    found = _known().get(id(model))
    return model_state(model) if found is None else found


def _known() -> dict[int, ModelState]:
    found: dict[int, ModelState] | None = getattr(_of_thread, "states", None)
    if found is None:
        found = _of_thread.states = {}
    return found


_of_thread = threading.local()
