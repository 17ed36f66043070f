"""What passes the sites on other prompts: the activations that stand in for those of ablated components."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from circuitspex.ablation.batch_size import in_parts
from circuitspex.ablation.passes import run_with
from circuitspex.ablation.shapes import Activation, BaselineOfSite, Tokens
from circuitspex.ablation.sites import Site
from circuitspex.errors import TaskError
from circuitspex.models.protocol import Model
from circuitspex.tasks import TaskGroup

_BATCH = 64


def mean(model: Model, sites: Sequence[Site], group: TaskGroup) -> dict[str, BaselineOfSite]:
    """The mean over the group's reference prompts, by position: ``[1, pos, ...]`` by hook name.

    Raises:
        TaskError: there are no reference prompts of this length.
    """
    if len(group.reference_tokens) == 0:
        raise TaskError(
            f"no reference prompts of {group.tokens.shape[1]} tokens to take the mean over; give the task some, or use "
            "baseline 'resample' or 'zero'"
        )
    return _activations(model, sites, group.reference_tokens, mean=True)


def resample(model: Model, sites: Sequence[Site], group: TaskGroup) -> dict[str, BaselineOfSite]:
    """What each prompt's counterfactual gives: ``[prompts, pos, ...]`` by hook name."""
    return _activations(model, sites, group.counterfactual_tokens, mean=False)


def _activations(model: Model, sites: Sequence[Site], tokens: Tokens, *, mean: bool) -> dict[str, BaselineOfSite]:
    device = next(model.parameters()).device

    def run(rows: slice) -> dict[str, BaselineOfSite]:
        found: dict[str, BaselineOfSite] = {}

        def keeper(site: Site) -> Callable[[Activation], None]:
            def keep(value: Activation) -> None:
                # Sums in double precision, so that the mean does not depend on how the prompts were batched.
                found[site.hook] = value.double().sum(0, keepdim=True) if mean else value.clone()

            return keep

        hooks = [site.watch(keeper(site), tokens.shape[1]) for site in sites]
        run_with(model, tokens[rows].to(device), hooks)
        return found

    with torch.no_grad():
        parts = in_parts(len(tokens), _BATCH, run)
    dtype = next(model.parameters()).dtype
    if mean:
        sums = {site.hook: torch.stack([part[site.hook] for part in parts]).sum(0) for site in sites}
        return {name: (total / len(tokens)).to(dtype) for name, total in sums.items()}
    return {site.hook: torch.cat([part[site.hook] for part in parts]) for site in sites}
