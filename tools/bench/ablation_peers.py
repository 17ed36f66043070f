"""What ablations are timed beside: masks along the batch axis through TransformerLens, and a plain forward pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def hooks_batched(game: Any, masks: np.ndarray) -> np.ndarray:
    """What a careful user of TransformerLens writes: the masks along the batch axis, whole passes, all logits."""
    group = game._engine._groups[0]
    rows = max(1, game._engine._rows(group, gradients=False) // len(group.task))
    values = []
    with torch.no_grad():
        for start in range(0, len(masks), rows):
            gates = torch.tensor(masks[start : start + rows], dtype=game._engine._dtype, device=game._engine._device)
            padded = torch.cat([gates, gates.new_ones((len(gates), 1))], dim=1)
            hooks = group.forward.hooks(padded, slice(None), 0)
            tokens = group.forward.tokens.repeat(len(gates), 1)
            logits = game.model.run_with_hooks(tokens, fwd_hooks=hooks, use_cache=False)[:, -1]
            places = torch.arange(len(logits))
            answers, wrong = (ids.repeat(len(gates)) for ids in (group.task.answers, group.task.wrong_answers))
            values.append((logits[places, answers] - logits[places, wrong]).reshape(len(gates), -1).double().cpu())
    return torch.cat(values).numpy()[:, np.argsort(group.task.indices.numpy())]


def plain_forward(hf_model: Any, task: Any, n_masks: int, *, rows: int = 64, last_only: bool = False) -> None:
    """The Hugging Face model's own forward pass over as many rows, ``rows`` at once; all logits, or the last ones."""
    tokens = task.groups[0].tokens.to(next(hf_model.parameters()).device).repeat(n_masks, 1)
    with torch.no_grad():
        for start in range(0, len(tokens), rows):
            hf_model(tokens[start : start + rows], use_cache=False, logits_to_keep=int(last_only))
