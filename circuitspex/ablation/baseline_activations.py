"""What passes the sites on other prompts: the activations that stand in for those of ablated components."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Int, Shaped
from safetensors.torch import load, save

from circuitspex.ablation.batch_size import in_parts
from circuitspex.ablation.passes import run_with
from circuitspex.ablation.shapes import Activation, BaselineOfSite, Tokens
from circuitspex.ablation.sites import Site
from circuitspex.errors import TaskError
from circuitspex.models.pass_memory import rows_that_fit
from circuitspex.models.protocol import Model
from circuitspex.models.remembered import is_on, recalled, remember
from circuitspex.models.remembered_of_model import facts_of
from circuitspex.models.standing import state_now
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
    lengths = group.reference_lengths
    if lengths is not None and int(lengths.max()) < group.length:
        raise TaskError(
            f"the reference prompts with the answers that follow them have at most {int(lengths.max())} tokens, "
            f"and prompts with theirs {group.length}, so that there is no mean; use baseline 'resample' or 'zero'"
        )
    return _activations(model, sites, group.reference_tokens, mean=True, lengths=lengths)


def resample(model: Model, sites: Sequence[Site], group: TaskGroup) -> dict[str, BaselineOfSite]:
    """What each prompt's counterfactual gives: ``[prompts, pos, ...]`` by hook name."""
    return _activations(model, sites, group.counterfactual_tokens, mean=False)


def _activations(
    model: Model,
    sites: Sequence[Site],
    tokens: Tokens,
    *,
    mean: bool,
    lengths: Int[torch.Tensor, " prompts"] | None = None,
) -> dict[str, BaselineOfSite]:
    """What passes the sites; as the mean, over those that have a token at each position where ``lengths`` are given.

    What an earlier process found on these weights, for the same prompts, is taken from there.
    """
    facts = _facts(model, sites, tokens, mean, lengths)
    if facts is not None and (known := _recalled(facts, next(model.parameters()).device)) is not None:
        return known
    found = _passed(model, sites, tokens, mean=mean, lengths=lengths)
    if facts is not None:
        remember("baseline", facts, save({hook: each.detach().cpu().contiguous() for hook, each in found.items()}))
    return found


def _facts(
    model: Model, sites: Sequence[Site], tokens: Tokens, mean: bool, lengths: Tokens | None
) -> dict[str, object] | None:
    """All that the activations depend on; None where they are not remembered."""
    if not is_on() or any(type(site) is not Site for site in sites):  # others have weights of their own
        return None
    of_model = facts_of(model, state_now(model))
    if of_model is None:
        return None
    prompts = [tokens.tolist(), None if lengths is None else lengths.tolist()]
    digest = hashlib.sha256(repr(prompts).encode()).hexdigest()
    return {**of_model, "sites": [[site.hook, repr(site.layout)] for site in sites], "prompts": digest, "mean": mean}


def _recalled(facts: dict[str, object], device: torch.device) -> dict[str, BaselineOfSite] | None:
    payload = recalled("baseline", facts)
    return None if payload is None else {hook: each.to(device) for hook, each in load(payload).items()}


def _passed(
    model: Model, sites: Sequence[Site], tokens: Tokens, *, mean: bool, lengths: Int[torch.Tensor, " prompts"] | None
) -> dict[str, BaselineOfSite]:
    if not mean:
        parts = passing(model, sites, tokens, lambda value, rows: value.clone())
        return {site.hook: torch.cat([part[site.hook] for part in parts]) for site in sites}
    there = None if lengths is None else torch.arange(tokens.shape[1]) < lengths[:, None]
    parts = passing(model, sites, tokens, lambda value, rows: _sum(value, there if there is None else there[rows]))
    dtype = next(model.parameters()).dtype
    sums = {site.hook: torch.stack([part[site.hook] for part in parts]).sum(0) for site in sites}
    if there is None:
        return {name: (total / len(tokens)).to(dtype) for name, total in sums.items()}
    counts = there.sum(0)
    return {name: (total / _along(counts[None], total)).to(dtype) for name, total in sums.items()}


def passing(
    model: Model, sites: Sequence[Site], tokens: Tokens, kept: Callable[[Activation, slice], torch.Tensor]
) -> list[dict[str, torch.Tensor]]:
    """What is ``kept`` of what passes each site, by hook name: one such for each batch of the prompts, in their order.

    ``kept`` is given what ``Site.read`` gives, and which prompts those are.
    """
    device = next(model.parameters()).device

    def run(rows: slice) -> dict[str, torch.Tensor]:
        found: dict[str, torch.Tensor] = {}

        def keeper(site: Site) -> Callable[[Activation], None]:
            def keep(value: Activation) -> None:
                found[site.hook] = kept(value, rows)

            return keep

        hooks = [site.watch(keeper(site), tokens.shape[1]) for site in sites]
        if "unembed.hook_in" in model.hook_dict:  # the logits are not looked at
            hooks.append(("unembed.hook_in", lambda activation, hook: activation[:1, -1:]))
        run_with(model, tokens[rows].to(device), hooks)
        return found

    with torch.no_grad():
        return in_parts(len(tokens), min(_BATCH, rows_that_fit(model, tokens.shape[1], gradients=False)), run)


def _sum(value: Activation, there: Bool[torch.Tensor, "rows pos"] | None) -> BaselineOfSite:
    """The sum over the rows, where they have a token."""
    wide = value.double()  # so that the mean does not depend on how the prompts were batched
    return (wide if there is None else wide.masked_fill(~_along(there, wide), 0.0)).sum(0, keepdim=True)


def _along(numbers: Shaped[torch.Tensor, "rows pos"], value: Activation) -> torch.Tensor:
    """Numbers by row and position, to be multiplied with activations there."""
    return numbers.to(value.device).reshape(*numbers.shape, *[1] * (value.ndim - 2))
