"""A pass through a model with hooks for its duration: TransformerLens's by name, and plain ones on modules."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from circuitspex.models.protocol import Model

Hook = tuple[Any, Callable[..., Any]]
"""Where, and what is done there.

With a TransformerLens name, a function of the activation and the hook point. With a module of PyTorch, a function of
the module, its arguments, those with names, and what it returned. What a function returns, if not None, goes on
instead.
"""


def run_with(model: Model, tokens: Any, hooks: Sequence[Hook], **options: Any) -> Any:
    """The logits, with these hooks during this pass only."""
    named = [(place, function) for place, function in hooks if isinstance(place, str)]
    with contextlib.ExitStack() as stack:
        for place, function in hooks:
            if not isinstance(place, str):
                stack.callback(place.register_forward_hook(function, with_kwargs=True).remove)
        return model.run_with_hooks(tokens, fwd_hooks=named, use_cache=False, **options)
