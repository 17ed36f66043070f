"""Whether a model's architecture is verified: the fast way's logits beside those of plain hooks, before it is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch

from circuitspex.ablation.executors.dense import DenseModel, dense_model
from circuitspex.ablation.executors.fused import FusedForward
from circuitspex.ablation.executors.hooks import BatchedForward, HooksForward
from circuitspex.ablation.shapes import Gates, ReadLogits
from circuitspex.components import ModelStructure
from circuitspex.models.protocol import Model
from circuitspex.models.state import ModelState

# How far the logits may be from those of plain hooks, relative to their largest size. Both do the same operations; the
# order of sums within products differs. A part that was misread shows as a difference of order one.
_TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}

_known: WeakKeyDictionary[Any, dict[torch.dtype | None, tuple[ModelState, DenseModel]]] = WeakKeyDictionary()


def parts_of(model: Model, structure: ModelStructure, products: torch.dtype | None, state: ModelState) -> DenseModel:
    """``dense_model``, taken apart once for each model and dtype, and again when the model is in another state.

    Raises:
        NotDenseError: a part is missing or of another kind.
    """
    kept = _known.setdefault(model, {})
    if products not in kept or kept[products][0] != state:
        kept[products] = state, dense_model(model, structure, products=products)
    return kept[products][1]


def disagreement(fused: FusedForward, hooks: HooksForward, n_players: int, first: tuple[int, int]) -> str | None:
    """None if both give the same logits on a prompt with some components on, some off and some between, else a reason.

    Args:
        fused: the fast way.
        hooks: the reference, on the same prompts.
        n_players: how many components there are.
        first: the first layer and the first position that any component has.
    """
    gates = _trial_gates(hooks, n_players, 1)
    return _gap(lambda: (fused(gates, slice(0, 1), *first), hooks(gates, slice(0, 1), 0)))


def rows_disagree(batched: BatchedForward, hooks: HooksForward, n_players: int) -> str | None:
    """None if two masks at once give what one at a time gives, else a reason: hooks of the user may mix rows."""
    gates, prompts = _trial_gates(hooks, n_players, 2), slice(0, 2)
    return _gap(
        lambda: (batched(gates, prompts, 0), torch.cat([hooks(gates[row : row + 1], prompts, 0) for row in (0, 1)]))
    )


def _trial_gates(hooks: HooksForward, n_players: int, n_masks: int) -> Gates:
    """Some components on, some off and some between, and the last column of ones."""
    rng = np.random.default_rng(0)
    size = (n_masks, n_players)
    rows = np.where(rng.random(size) < 0.5, rng.random(size).round(), rng.random(size))
    parameter = next(hooks.model.parameters())
    return torch.tensor(np.append(rows, np.ones((n_masks, 1)), axis=1), dtype=parameter.dtype, device=parameter.device)


def _gap(both: Callable[[], tuple[ReadLogits, ReadLogits]]) -> str | None:
    """What is wrong with a trial pass, beside the plain one."""
    try:
        with torch.no_grad():
            fast, plain = both()
    except Exception as error:  # whatever an unknown architecture raises, plain hooks still work
        return f"a trial pass failed ({type(error).__name__}: {' '.join(str(error).split())[:120]})"
    gap = float((fast.to(plain.device) - plain).abs().max() / plain.abs().max().clamp_min(1e-30))
    if not gap <= _TOLERANCE.get(plain.dtype, 1e-4):
        return f"a trial pass gave other logits than plain hooks (relative difference {gap:.1e})"
    return None
