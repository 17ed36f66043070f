"""What an ablated component outputs instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import torch

from circuitspex.ablation.sites import Site
from circuitspex.errors import TaskError, UserError
from circuitspex.tasks import TaskGroup

Baseline = Literal["zero", "mean", "resample"]

_BATCH = 64


def check_baseline(baseline: str) -> Baseline:
    """The baseline itself, if there is one of that name."""
    for known in get_args(Baseline):
        if baseline == known:
            return known  # type: ignore[no-any-return]
    raise UserError(f"unknown baseline '{baseline}'; allowed: {', '.join(get_args(Baseline))}")


def baseline_activations(
    model: Any, sites: Sequence[Site], group: TaskGroup, baseline: Baseline
) -> Mapping[str, torch.Tensor | None]:
    """The baseline at each site for the prompts of one group.

    Returns:
        By hook name: None for ``zero``; ``[1, pos, ...]`` for ``mean`` (over the group's reference prompts, by
        position); ``[prompts, pos, ...]`` for ``resample`` (the paired counterfactual prompt).

    Raises:
        TaskError: ``mean`` with no reference prompts of this length.
    """
    if baseline == "zero":
        return {site.hook: None for site in sites}
    if baseline == "resample":
        return _activations(model, sites, group.counterfactual_tokens, mean=False)
    length = group.tokens.shape[1]
    if len(group.reference_tokens) == 0:
        raise TaskError(
            f"no reference prompts of {length} tokens to take the mean over; give the task some, or use baseline "
            "'resample' or 'zero'"
        )
    return _activations(model, sites, group.reference_tokens, mean=True)


def _activations(
    model: Any, sites: Sequence[Site], tokens: torch.Tensor, *, mean: bool
) -> dict[str, torch.Tensor | None]:
    parts: dict[str, list[torch.Tensor]] = {site.hook: [] for site in sites}

    def keeper(name: str) -> Any:
        def keep(activation: torch.Tensor, hook: Any) -> None:
            value = activation.detach()
            # Sums in double precision, so that the mean does not depend on how the prompts were batched.
            parts[name].append(value.double().sum(0, keepdim=True) if mean else value.clone())

        return keep

    device = next(model.parameters()).device
    with torch.no_grad():
        for start in range(0, len(tokens), _BATCH):
            batch = tokens[start : start + _BATCH].to(device)
            model.run_with_hooks(batch, fwd_hooks=[(site.hook, keeper(site.hook)) for site in sites], use_cache=False)
    dtype = next(model.parameters()).dtype
    if mean:
        return {name: (torch.stack(sums).sum(0) / len(tokens)).to(dtype) for name, sums in parts.items()}
    return {name: torch.cat(values) for name, values in parts.items()}
