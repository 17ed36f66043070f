"""Whether a model's architecture is verified: the fast way's logits beside those of plain hooks, before it is used."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch

from circuitspex.ablation.executors.dense import DenseModel, dense_model
from circuitspex.ablation.executors.fused import FusedForward
from circuitspex.ablation.executors.hooks import HooksForward
from circuitspex.components import ModelStructure
from circuitspex.models.identity import WeightVersions, weight_versions
from circuitspex.models.protocol import Model

# How far the logits may be from those of plain hooks, relative to their largest size. Both do the same operations; the
# order of sums within products differs. A part that was misread shows as a difference of order one.
_TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}

_known: WeakKeyDictionary[Any, dict[torch.dtype | None, tuple[WeightVersions, DenseModel]]] = WeakKeyDictionary()


def parts_of(model: Model, structure: ModelStructure, products: torch.dtype | None) -> DenseModel:
    """``dense_model``, taken apart once for each model and dtype, and again when its weights were written to.

    Raises:
        NotDenseError: a part is missing or of another kind.
    """
    versions = weight_versions(model)
    kept = _known.setdefault(model, {})
    if products not in kept or kept[products][0] != versions:
        kept[products] = versions, dense_model(model, structure, products=products)
    return kept[products][1]


def disagreement(fused: FusedForward, hooks: HooksForward, n_players: int, first: tuple[int, int]) -> str | None:
    """None if both give the same logits on a prompt with some components on, some off and some between, else a reason.

    Args:
        fused: the fast way.
        hooks: the reference, on the same prompts.
        n_players: how many components there are.
        first: the first layer and the first position that any component has.
    """
    rng = np.random.default_rng(0)
    row = np.where(rng.random(n_players) < 0.5, rng.random(n_players).round(), rng.random(n_players))
    parameter = next(hooks.model.parameters())
    gates = torch.tensor(np.append(row, 1.0)[None], dtype=parameter.dtype, device=parameter.device)
    try:
        with torch.no_grad():
            fast, plain = fused(gates, slice(0, 1), *first), hooks(gates, slice(0, 1), 0)
    except Exception as error:  # whatever an unknown architecture raises, plain hooks still work
        return f"a trial pass failed ({type(error).__name__}: {' '.join(str(error).split())[:120]})"
    gap = float((fast.to(plain.device) - plain).abs().max() / plain.abs().max().clamp_min(1e-30))
    if not gap <= _TOLERANCE.get(plain.dtype, 1e-4):
        return f"a trial pass gave other logits than plain hooks (relative difference {gap:.1e})"
    return None
