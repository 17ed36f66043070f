"""Ablation written a second time, in the plainest way: one mask at a time, one component after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from circuitspex.components import Component

HOOKS = {"head": "blocks.{}.attn.hook_z", "neurons": "blocks.{}.mlp.hook_post", "mlp": "blocks.{}.hook_mlp_out"}


def place(component: Component) -> tuple[Any, ...]:
    """Where a component is in the activation ``[prompts, pos, ...]`` of its hook."""
    position = slice(None) if component.position is None else component.position
    if component.kind == "mlp":
        return slice(None), position
    return slice(None), position, slice(component.start, component.stop)


def plain_logits(
    model: Any, task: Any, components: Sequence[Component], baseline: str, gates: np.ndarray
) -> torch.Tensor:
    """The last logits ``[masks, prompts, vocab]`` under ``z' = b + g (z - b)``, through TransformerLens hooks."""
    names = {HOOKS[c.kind].format(c.layer) for c in components}
    device = next(model.parameters()).device
    logits = torch.empty(len(gates), task.n_prompts, model.cfg.d_vocab, dtype=next(model.parameters()).dtype)
    for length in set(task.lengths.tolist()):
        rows = [i for i in range(task.n_prompts) if task.lengths[i] == length]
        other: dict[str, Any] = dict.fromkeys(names, 0.0)
        if baseline != "zero":
            tokens = task.counterfactual_tokens[rows, :length]
            if baseline == "mean":
                tokens = task.reference_tokens[task.reference_lengths == length][:, :length]
            saved: dict[str, Any] = {}
            save = [(name, lambda z, hook, name=name, saved=saved: saved.update({name: z.clone()})) for name in names]
            with torch.no_grad():
                model.run_with_hooks(tokens.to(device), fwd_hooks=save)
            other = {name: z.mean(0, keepdim=True) if baseline == "mean" else z for name, z in saved.items()}
        for k, row in enumerate(gates):

            def gate(z: torch.Tensor, hook: Any, name: str, row: np.ndarray = row, other: Any = other) -> torch.Tensor:
                result = z.clone()
                b = other[name] + torch.zeros_like(z)
                for component, g in zip(components, row, strict=True):
                    if HOOKS[component.kind].format(component.layer) == name:
                        at = place(component)
                        result[at] = b[at] + float(g) * (z[at] - b[at])
                return result

            fwd_hooks = [(name, lambda z, hook, name=name, gate=gate: gate(z, hook, name)) for name in names]
            with torch.no_grad():
                found = model.run_with_hooks(task.tokens[rows, :length].to(device), fwd_hooks=fwd_hooks)
                logits[k, rows] = found[:, -1].cpu()
    return logits


@pytest.fixture(scope="session")
def reference() -> Callable[..., torch.Tensor]:
    return plain_logits
