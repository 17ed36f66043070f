"""What one plain pass over the prompts leaves behind for all masks: the embeddings, positions and attention masks.

They are taken from the model's own pass, so that embeddings with a scale, learned or rotary positions, local layers and
sliding windows are the model's own too.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Shaped

from circuitspex.ablation.batch_size import in_parts
from circuitspex.ablation.executors.dense import NotDenseError
from circuitspex.ablation.executors.prefix import entry_hook
from circuitspex.ablation.shapes import Allowed, Stream, Tokens
from circuitspex.models.pass_memory import rows_that_fit
from circuitspex.models.protocol import FwdHook, Model

# Prompts run at once; fewer where memory is short.
_BATCH = 64
_TOLD = ("position_embeddings", "attention_mask")


Rotation = Float[torch.Tensor, "one pos rotary"]
"""Cosines or sines of rotary positions, the same for all prompts."""


@dataclass(frozen=True)
class Positions:
    """What one layer's attention is told about positions.

    ``cos`` and ``sin`` are ``[1, pos, rotary]``, or None without rotary positions. ``allowed`` is None for plain causal
    attention, else bool ``[pos, pos]``: which keys (columns) each query (row) sees.
    """

    cos: Rotation | None
    sin: Rotation | None
    allowed: Allowed | None

    @functools.cached_property
    def window(self) -> int | None:
        """How many positions up to its own each query sees: 0 for all, None where it is no such rule."""
        if self.allowed is None:
            return 0
        allowed = self.allowed.cpu()
        width = int(allowed[-1].sum())
        causal = torch.ones_like(allowed).tril()
        return width if torch.equal(allowed, causal & ~torch.ones_like(allowed).tril(-width)) else None


@dataclass(frozen=True)
class CleanPass:
    """The residual stream that enters the first block ``[prompts, pos, d_model]``, and the positions of each layer."""

    entry: Stream
    positions: tuple[Positions, ...]


def clean_pass(model: Model, tokens: Tokens) -> CleanPass:
    """Run the model once, unablated, and keep what ``CleanPass`` holds.

    Positions and masks are made for all prompts before the first block and handed from block to block. What the blocks
    make of the prompts is not wanted, so they are run on the first prompt alone; on all of them where that fails.

    Raises:
        NotDenseError: attention is given masks that differ between prompts or heads.
    """
    try:
        entries, seen = _run(model, tokens, short=True)
    except Exception:  # whatever a block raises that is given fewer rows than it was made for
        entries, seen = _run(model, tokens, short=False)
    n_positions = tokens.shape[1]
    known: dict[int, torch.Tensor | None] = {}  # most layers are given the same tensor
    found = []
    for layer in range(len(model.blocks)):
        given = seen.get(layer, {})
        cos, sin = given.get("position_embeddings") or (None, None)
        mask = given.get("attention_mask")
        if id(mask) not in known:
            known[id(mask)] = _allowed(mask, n_positions)
        found.append(Positions(_one_row(cos), _one_row(sin), known[id(mask)]))
    return CleanPass(torch.cat(entries), tuple(found))


def _run(model: Model, tokens: Tokens, *, short: bool) -> tuple[list[Stream], dict[int, dict[str, Any]]]:
    """What enters the first block, by batches, and the named arguments of each layer's attention, by layer.

    ``short``: after that only the first row goes on.
    """
    seen: dict[int, dict[str, Any]] = {}

    def run(rows: slice) -> Stream:
        entry: list[torch.Tensor] = []

        def enter(activation: Any, hook: Any) -> Any:
            entry.append(activation.detach().clone())
            return activation[:1] if short else None

        # Nothing is unembedded: every block's attention has been watched by then.
        hooks: list[FwdHook] = [(entry_hook(0), enter)]
        model.run_with_hooks(tokens[rows], fwd_hooks=hooks, use_cache=False, stop_at_layer=len(model.blocks))
        return entry[0]

    with torch.no_grad(), _watched(model, seen, short=short):
        at_once = min(_BATCH, rows_that_fit(model, tokens.shape[1], gradients=False))
        return in_parts(len(tokens), at_once, run), seen


@contextlib.contextmanager
def _watched(model: Model, seen: dict[int, dict[str, Any]], *, short: bool) -> Iterator[None]:
    """Within the block, the named arguments of each attention module are kept in ``seen``, by layer.

    ``short``: the module itself is given their first row.
    """
    handles = []
    try:
        for layer, block in enumerate(model.blocks):

            def look(module: Any, args: Any, kwargs: dict[str, Any], layer: int = layer) -> Any:
                seen[layer] = {name: kwargs.get(name) for name in _TOLD}
                return (args, {name: _first_row(given) for name, given in kwargs.items()}) if short else None

            handles.append(block.attn.register_forward_pre_hook(look, with_kwargs=True))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _first_row(given: Any) -> Any:
    """The first row of a tensor, or of each in a tuple; all else as it is."""
    if isinstance(given, tuple):
        return tuple(map(_first_row, given))
    return given[:1] if isinstance(given, torch.Tensor) and given.ndim > 1 else given


def _one_row(rotation: Rotation | None) -> Rotation | None:
    if rotation is None:
        return None
    if rotation.ndim != 3 or not torch.equal(rotation, rotation[:1].expand_as(rotation)):
        raise NotDenseError("its rotary positions differ between prompts")
    return rotation[:1].detach()


def _allowed(mask: Shaped[torch.Tensor, "prompts_or_1 one queries keys"] | None, n_positions: int) -> Allowed | None:
    """The keys that each query sees, or None where these are all keys up to its own position."""
    if mask is None:
        return None
    if mask.ndim != 4 or mask.shape[1] != 1 or mask.shape[2] < n_positions or mask.shape[3] < n_positions:
        raise NotDenseError(f"its attention masks have the shape {tuple(mask.shape)}")
    mask = mask[:, 0, :n_positions, :n_positions]
    # Masks are either booleans or numbers to be added to the scores: zero, or as good as minus infinity.
    allowed = mask if mask.dtype == torch.bool else mask > -1e4
    if not torch.equal(allowed, allowed[:1].expand_as(allowed)):
        raise NotDenseError("its attention masks differ between prompts of one length")
    if mask.dtype != torch.bool and bool((mask[allowed] != 0).any()):
        raise NotDenseError("its attention adds numbers to the scores")
    causal = torch.ones_like(allowed[0]).tril()
    return None if torch.equal(allowed[0], causal) else allowed[0]
