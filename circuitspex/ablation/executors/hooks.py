"""Two ways to run a model under masks: the plain reference, and batches of masks that share what they can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Protocol

import torch
from jaxtyping import Float

from circuitspex.ablation.executors.prefix import Prefix, entry_hook, passed_over
from circuitspex.ablation.sites import Hook, Site
from circuitspex.models.protocol import Model


class Forward(Protocol):
    """Runs one group of prompts under masks and gives the logits at the last position."""

    @property
    def masks_at_once(self) -> int | None:
        """The most masks it takes in a call; None for no bound."""

    def share(self, layers: Sequence[int], *, positions: bool) -> None:
        """Make ready what passes will start from: at these layers, and at later positions or not."""

    def __call__(
        self,
        gates: Float[torch.Tensor, "masks player_and_one"],
        prompts: slice,
        first_layer: int,
        first_position: int = 0,
    ) -> Float[torch.Tensor, "rows vocab"]:
        """Logits at the last position; rows are all prompts of mask 0, then all prompts of mask 1, and so on.

        ``gates`` have a last column of ones. ``first_layer``, ``first_position``: nothing before is ablated.
        """


class GroupForward:
    """What both ways share: the prompts of one length, the sites, and the baselines there."""

    masks_at_once: int | None = None

    def __init__(
        self,
        model: Model,
        sites: Sequence[Site],
        n_players: int,
        tokens: torch.Tensor,
        baselines: Mapping[str, torch.Tensor | None],
    ) -> None:
        self.model = model
        self.tokens = tokens
        self._baselines = baselines
        self._sites = [(site, site.unit_index(n_players, tokens.shape[1]).to(tokens.device)) for site in sites]

    def share(self, layers: Sequence[int], *, positions: bool) -> None:
        """Nothing is made ready."""

    def hooks(self, gates: torch.Tensor, prompts: slice, first_layer: int) -> list[Hook]:
        """The forward hooks that gate each site for these masks and prompts; sites with every gate 1 have none."""
        found: list[Hook] = []
        for site, index in self._sites:
            used = gates[:, index]
            if site.layer < first_layer or (not gates.requires_grad and bool((used == 1).all())):
                continue
            baseline = self._baselines[site.hook]
            if baseline is not None and len(baseline) > 1:
                baseline = baseline[prompts]
            found += site.hooks(gates, index, baseline, self.tokens.shape[1])
        return found


class HooksForward(GroupForward):
    """The reference: one mask at a time through plain TransformerLens hooks, every layer, every logit.

    Slow and obvious; it works for every architecture that TransformerBridge loads.
    """

    masks_at_once = 1

    def __call__(self, gates: torch.Tensor, prompts: slice, first_layer: int, first_position: int = 0) -> torch.Tensor:
        """See ``Forward``; everything is computed anew."""
        logits = self.model.run_with_hooks(
            self.tokens[prompts], fwd_hooks=self.hooks(gates, prompts, 0), use_cache=False
        )
        return logits[:, -1]  # type: ignore[no-any-return]


class BatchedForward(GroupForward):
    """Many masks along the batch axis, through the same hooks.

    The layers before the first ablated one are computed once per prompt (where ``prefix`` is given), and only the
    last position is unembedded.
    """

    def __init__(self, *args: Any, prefix: Prefix | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._prefix = prefix
        self._cuts = "unembed.hook_in" in self.model.hook_dict

    def __call__(self, gates: torch.Tensor, prompts: slice, first_layer: int, first_position: int = 0) -> torch.Tensor:
        """See ``Forward``."""
        n_masks = gates.shape[0]
        rows = self.tokens[prompts].repeat(n_masks, 1)
        start = first_layer if self._prefix is not None else 0
        hooks = self.hooks(gates, prompts, start)
        if self._prefix is not None and start > 0:
            residual = self._prefix.residual(start)[prompts].repeat(n_masks, 1, 1)
            # First in the list: hooks at the same place run in this order.
            hooks.insert(0, (entry_hook(start), lambda activation, hook: residual))
        if self._cuts:
            hooks.append(("unembed.hook_in", lambda activation, hook: activation[:, -1:]))
        with passed_over(self.model, start) if start > 0 else nullcontext():
            logits = self.model.run_with_hooks(rows, fwd_hooks=hooks, use_cache=False)
        return logits[:, -1]  # type: ignore[no-any-return]
