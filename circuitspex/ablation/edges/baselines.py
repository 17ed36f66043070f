"""What closed edges carry instead of what their sources write in the ablated pass."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from circuitspex.ablation.batch_size import in_parts
from circuitspex.errors import TaskError, UserError
from circuitspex.tasks import TaskGroup

BASELINES_OF_EDGES = ("mean", "resample", "zero")
_BATCH = 8

Written = Callable[[Int[Tensor, "prompts pos"]], Float[Tensor, "sources prompts pos d_model"]]
"""What all sources write on some prompts, with all edges open."""


def check_edge_baseline(name: str) -> str:
    """The name itself.

    Raises:
        UserError: edges don't have that baseline.
    """
    if name not in BASELINES_OF_EDGES:
        raise UserError(f"edges take the baselines {', '.join(BASELINES_OF_EDGES)}, not '{name}'")
    return name


def base_of(
    name: str, written: Written, group: TaskGroup, device: torch.device
) -> Float[Tensor, "sources prompts_or_1 pos d_model"] | None:
    """What sources write in the baseline for the prompts of one length; None for zero.

    Raises:
        TaskError: the task has no reference prompts of this length.
    """
    if name == "zero":
        return None
    if name == "resample":
        tokens = group.counterfactual_tokens.to(device)
        return torch.cat(in_parts(len(tokens), _BATCH, lambda rows: written(tokens[rows])), dim=1)
    tokens, lengths = group.reference_tokens.to(device), group.reference_lengths
    if len(tokens) == 0:
        raise TaskError(
            f"no reference prompts of {group.tokens.shape[1]} tokens to take the mean over; give the task some, or use "
            "baseline 'resample' or 'zero'"
        )
    if lengths is not None and int(lengths.max()) < group.length:
        raise TaskError(
            f"the reference prompts with the answers that follow them have at most {int(lengths.max())} tokens, "
            f"and prompts with theirs {group.length}, so that there is no mean; use baseline 'resample' or 'zero'"
        )
    there = torch.ones(tokens.shape, dtype=torch.bool, device=device)
    if lengths is not None:
        there = torch.arange(tokens.shape[1], device=device) < lengths.to(device)[:, None]

    def total(rows: slice) -> Tensor:
        found = written(tokens[rows])
        return found.double().masked_fill(~there[rows][None, :, :, None], 0.0).sum(1, keepdim=True)

    parts = in_parts(len(tokens), _BATCH, total)
    return torch.stack(parts).sum(0) / there.sum(0)[None, None, :, None]
