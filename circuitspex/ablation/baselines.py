"""What an ablated component outputs instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import torch

from circuitspex.ablation.batch_size import in_parts
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
        By hook name: None for ``zero`` and where the baseline does not apply (experts); ``[1, pos, ...]`` for ``mean``
        (over the group's reference prompts, by position); ``[prompts, pos, ...]`` for ``resample`` (the paired
        counterfactual prompt).

    Raises:
        TaskError: ``mean`` with no reference prompts of this length.
    """
    nothing: dict[str, torch.Tensor | None] = {site.hook: None for site in sites}
    sites = [site for site in sites if site.has_baseline]
    if baseline == "zero" or not sites:
        return nothing
    if baseline == "resample":
        return nothing | _activations(model, sites, group.counterfactual_tokens, mean=False)
    length = group.tokens.shape[1]
    if len(group.reference_tokens) == 0:
        raise TaskError(
            f"no reference prompts of {length} tokens to take the mean over; give the task some, or use baseline "
            "'resample' or 'zero'"
        )
    return nothing | _activations(model, sites, group.reference_tokens, mean=True)


def _activations(
    model: Any, sites: Sequence[Site], tokens: torch.Tensor, *, mean: bool
) -> dict[str, torch.Tensor | None]:
    device = next(model.parameters()).device

    def run(rows: slice) -> dict[str, torch.Tensor]:
        found: dict[str, torch.Tensor] = {}

        def keeper(site: Site) -> Any:
            def keep(activation: torch.Tensor, hook: Any) -> None:
                value = site.read(activation.detach())
                # Sums in double precision, so that the mean does not depend on how the prompts were batched.
                found[site.hook] = value.double().sum(0, keepdim=True) if mean else value.clone()

            return keep

        hooks = [(site.hook, keeper(site)) for site in sites]
        model.run_with_hooks(tokens[rows].to(device), fwd_hooks=hooks, use_cache=False)
        return found

    with torch.no_grad():
        parts = in_parts(len(tokens), _BATCH, run)
    dtype = next(model.parameters()).dtype
    if mean:
        sums = {site.hook: torch.stack([part[site.hook] for part in parts]).sum(0) for site in sites}
        return {name: (total / len(tokens)).to(dtype) for name, total in sums.items()}
    return {site.hook: torch.cat([part[site.hook] for part in parts]) for site in sites}
