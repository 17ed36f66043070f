"""The layers before the first ablated one, computed once per prompt.

They give every mask the same residual stream, so it is recorded once and put in where the ablated part begins; the
blocks before it are passed over. This relies on a block being a function of the residual stream alone (and of what the
model hands to every block anew, such as positions), so it is checked on the model itself before it is used.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator
from typing import Any

import torch

from circuitspex.ablation.batch_size import in_parts
from circuitspex.ablation.shapes import Stream, Tokens
from circuitspex.models.in_float32 import asked_in_float32
from circuitspex.models.pass_memory import rows_that_fit
from circuitspex.models.protocol import Model
from circuitspex.models.rounding import differ


class Prefix:
    """Residual streams at the entry of a layer, for the prompts of one group."""

    def __init__(self, model: Model, tokens: Tokens) -> None:
        self._model = model
        self._tokens = tokens
        self._residuals: dict[int, Stream] = {}

    def prepare(self, layers: Collection[int]) -> None:
        """Compute what enters each of these layers, in one pass."""
        wanted = set(layers) - set(self._residuals)
        if not wanted:
            return

        def run(rows: slice) -> dict[int, Stream]:
            found: dict[int, Stream] = {}

            def keeper(layer: int) -> Callable[[Stream, Any], None]:
                def keep(activation: Stream, hook: Any) -> None:
                    found[layer] = activation.detach().clone()

                return keep

            hooks = [(entry_hook(layer), keeper(layer)) for layer in wanted]
            self._model.run_with_hooks(
                self._tokens[rows], fwd_hooks=hooks, use_cache=False, stop_at_layer=max(wanted) + 1
            )
            return found

        with torch.no_grad():
            size = rows_that_fit(self._model, self._tokens.shape[1], gradients=False)
            parts = in_parts(len(self._tokens), size, run)
        for layer in wanted:
            self._residuals[layer] = torch.cat([part[layer] for part in parts])

    def residual(self, layer: int) -> Stream:
        """``[prompts, pos, d_model]`` at the entry of ``layer``, nothing ablated; computed once."""
        self.prepare([layer])
        return self._residuals[layer]


def entry_hook(layer: int) -> str:
    """The hook that carries the residual stream into a layer."""
    return f"blocks.{layer}.hook_in"


@contextlib.contextmanager
def passed_over(model: Model, n_blocks: int) -> Iterator[None]:
    """Within the block, the first ``n_blocks`` blocks of the model hand on their input unchanged."""

    def hand_on(hidden_states: Stream, *args: Any, **kwargs: Any) -> Stream:
        return hidden_states

    blocks = [model.blocks[layer] for layer in range(n_blocks)]
    try:
        for block in blocks:
            # Into the module's own dictionary: TransformerLens hands attribute assignments on to the wrapped module.
            block.__dict__["forward"] = hand_on
        yield
    finally:
        for block in blocks:
            block.__dict__.pop("forward", None)


def why_not(model: Model, tokens: Tokens) -> str | None:
    """None if passing over blocks gives this model's own logits, else the reason why it can't be used.

    Models of half precision are asked in float32: the blocks are the same, and rounding hides nothing.
    """
    n_layers = int(model.cfg.n_layers)
    if n_layers < 2 or not hasattr(model, "blocks"):
        return "the model has no stack of blocks"
    layer = n_layers - 1
    if any(entry_hook(k) not in model.hook_dict for k in range(n_layers)):
        return "the model has no hook for the residual stream"
    sample = tokens[:2]

    def ask(_: bool) -> str | None:
        residual = Prefix(model, sample).residual(layer)
        full = model(sample, use_cache=False)
        with passed_over(model, layer):
            short = model.run_with_hooks(
                sample, fwd_hooks=[(entry_hook(layer), lambda activation, hook: residual)], use_cache=False
            )
        return differ(short, full)

    try:
        with torch.no_grad():
            wrong = asked_in_float32(model, ask)
    except Exception as error:  # whatever an unknown architecture raises, plain hooks still work
        return f"a shortened pass failed ({type(error).__name__}: {' '.join(str(error).split())[:120]})"
    return f"a shortened pass gave other logits ({wrong})" if wrong else None
