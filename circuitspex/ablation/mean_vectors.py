"""The position-free mean: one vector a component, which can stand in for its output on any prompt.

A mean by position belongs to prompts of one form and length. This one is taken over all positions of all reference
prompts alike, so it can be put in while text is generated, and be folded into the biases of a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from circuitspex.ablation.baseline_activations import passing
from circuitspex.ablation.shapes import Activation, BaselineOfSite
from circuitspex.ablation.sites import Site
from circuitspex.errors import TaskError
from circuitspex.models.protocol import Model
from circuitspex.tasks import TaskGroup


def mean_vector(model: Model, sites: Sequence[Site], group: TaskGroup) -> dict[str, BaselineOfSite]:
    """That of all the task's reference prompts (without answers), as ``[1, pos, ...]`` by hook name.

    Raises:
        TaskError: there are no reference prompts.
    """
    prompts = [row for tokens in group.all_references for row in tokens.tolist()]
    found = mean_vectors(model, sites, prompts)
    return {hook: vector.expand(1, group.length, *vector.shape[2:]).contiguous() for hook, vector in found.items()}


def mean_vectors(model: Model, sites: Sequence[Site], prompts: Sequence[Sequence[int]]) -> Mapping[str, BaselineOfSite]:
    """The mean of what passes each site over all positions of these prompts: ``[1, 1, ...]`` by hook name.

    Every token counts once, so longer prompts count more than short ones.

    Args:
        model: the model.
        sites: where.
        prompts: their tokens; lengths may differ.

    Raises:
        TaskError: there are none.
    """
    by_length: dict[int, list[list[int]]] = {}
    for prompt in prompts:
        if len(prompt):
            by_length.setdefault(len(prompt), []).append([int(token) for token in prompt])
    if not by_length:
        raise TaskError("there are no prompts to take the mean over; give some, or use baseline 'zero'")

    def total(value: Activation, rows: slice) -> torch.Tensor:
        return value.double().sum((0, 1), keepdim=True)  # so that it does not depend on how the prompts were batched

    sums: dict[str, torch.Tensor] = {}
    for _, same in sorted(by_length.items()):
        for part in passing(model, sites, torch.tensor(same), total):
            for hook, value in part.items():
                sums[hook] = sums[hook] + value if hook in sums else value
    n_tokens = sum(length * len(same) for length, same in by_length.items())
    dtype = next(model.parameters()).dtype
    return {hook: (value / n_tokens).to(dtype) for hook, value in sums.items()}
