"""One thread at a time on a model: its hooks, forwards and flags are the model's own, and every pass sees them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

from circuitspex.models.threads import with_chosen_threads

_locks: WeakKeyDictionary[Any, threading.RLock] = WeakKeyDictionary()
_making = threading.Lock()


@contextlib.contextmanager
def alone(model: Any) -> Iterator[None]:
    """Within the block no other thread runs this model through this package; another one waits.

    Blocks can be nested. Two bridges around one Hugging Face model share one lock.
    """
    with _making:
        lock = _locks.setdefault(getattr(model, "original_model", None) or model, threading.RLock())
    with lock:
        yield


@contextlib.contextmanager
def running(model: Any) -> Iterator[None]:
    """``alone``, for blocks that run passes: on a CPU with as many threads as are fastest now (``threads``)."""
    with alone(model):
        first = next(iter(model.parameters()), None)
        with with_chosen_threads("cpu" if first is None else first.device):
            yield
