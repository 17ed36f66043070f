"""What a worker needs to make a game of its own: not the model's weights, but where to load them from."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from circuitspex.models.origin import Origin

FREE = ("device", "executor")
"""Facts of a game that are the workers' own: a driver without a GPU may have workers with one."""


@dataclass(frozen=True)
class Recipe:
    """How a game is made elsewhere.

    Args:
        make: the game's class, or a function that makes it.
        arguments: what it is called with, after the model where there is one.
        options: its keywords.
        origin: where the model is loaded from; None where the game has none.
        facts: what the game's values depend on, as the driver knows it; a worker whose game has others is refused.
            None where there is nothing to compare.
        name: what is loaded, for people.
    """

    make: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    origin: Origin | None = None
    facts: Mapping[str, Any] | None = None
    name: str = "the game"
    key: str = field(default_factory=lambda: uuid.uuid4().hex)

    def built(self, model: Any = None) -> Any:
        """The game, on this model where it has one."""
        first = () if self.origin is None else (model,)
        return self.make(*first, *self.arguments, **self.options)


def different(ours: Mapping[str, Any], theirs: Mapping[str, Any], free: tuple[str, ...] = FREE) -> str | None:
    """What differs between two games' facts, in words; None where nothing does but what is free."""
    for name in ours.keys() | theirs.keys():
        one, two = ours.get(name), theirs.get(name)
        if name not in free and _text(one) != _text(two):
            return f"its {name} are not the same ({_short(two)} there, {_short(one)} here)"
    return None


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else _text(value)
    if len(text) == 64:  # a hash
        return text[:12]
    return text if len(text) < 40 else f"#{hashlib.sha256(text.encode()).hexdigest()[:8]}"
