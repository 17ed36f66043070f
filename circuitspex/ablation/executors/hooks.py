"""Two ways to run a model under masks: the plain reference, and batches of masks that share what they can."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Self

import torch
from jaxtyping import Float

from circuitspex.ablation.executors.prefix import Prefix, entry_hook, passed_over
from circuitspex.ablation.passes import Hook, run_with
from circuitspex.ablation.shapes import Activation, BaselineOfSite, Gates, ReadLogits, Reads, Tokens
from circuitspex.ablation.sites import Site
from circuitspex.models.protocol import Model


class GroupForward:
    """What all ways through hooks share: the prompts of one length, the sites, and the baselines there.

    Each is called with ``gates [masks, players + 1]``, whose last column is all ones, a slice of the prompts, and the
    layer and the position before which nothing is ablated. It gives logits ``[rows, reads, vocab]``; rows are all
    prompts of mask 0, then all prompts of mask 1, and so on. ``reads (prompts, reads)`` are the positions whose logits
    are wanted; by default the last.
    """

    masks_at_once: int | None = None
    """The most masks that are run in a call; None for no bound."""

    def __init__(
        self,
        model: Model,
        sites: Sequence[Site],
        n_players: int,
        tokens: Tokens,
        baselines: Mapping[str, BaselineOfSite | None],
        reads: Reads | None = None,
    ) -> None:
        self.model = model
        self.tokens = tokens
        last = torch.full((len(tokens), 1), tokens.shape[1] - 1)
        self.reads = last if reads is None else reads.cpu()
        self.baselines = baselines
        self._cuts = "unembed.hook_in" in model.hook_dict
        self._sites = [(site, site.unit_index(n_players, tokens.shape[1]).to(tokens.device)) for site in sites]

    @property
    def sites(self) -> list[Site]:
        """Where components are gated."""
        return [site for site, _ in self._sites]

    def of_float32(self) -> Self:
        """The same for passes ``in_float32``: with the same baselines."""
        wide = copy.copy(self)
        wide.baselines = {hook: None if each is None else each.float() for hook, each in self.baselines.items()}
        return wide

    def share(self, layers: Sequence[int], *, positions: bool) -> None:
        """Nothing is made ready."""

    def logits(self, rows: Tokens, hooks: list[Hook], reads: Reads) -> ReadLogits:
        """Logits ``[rows, reads, vocab]`` at ``reads [rows, reads]``; no others are computed where there is a hook."""
        if self._cuts:
            hooks = [*hooks, ("unembed.hook_in", lambda activation, hook: at(activation, reads))]
        logits: ReadLogits = run_with(self.model, rows, hooks)
        return logits if self._cuts else at(logits, reads)

    def hooks(self, gates: Gates, prompts: slice, first_layer: int) -> list[Hook]:
        """The forward hooks that gate each site for these masks and prompts; sites with every gate 1 have none."""
        found: list[Hook] = []
        for site, index in self._sites:
            used = gates[:, index]
            if site.layer < first_layer or (not gates.requires_grad and bool((used == 1).all())):
                continue
            baseline = self.baselines[site.hook]
            if baseline is not None and len(baseline) > 1:
                baseline = baseline[prompts]
            found += site.hooks(gates, index, baseline, self.tokens.shape[1])
        return found


class HooksForward(GroupForward):
    """The reference: one mask at a time through plain TransformerLens hooks, every layer, every logit.

    Slow and obvious; it works for every architecture that TransformerBridge loads.
    """

    masks_at_once = 1

    def __call__(self, gates: Gates, prompts: slice, first_layer: int, first_position: int = 0) -> ReadLogits:
        """See ``GroupForward``; everything is computed anew."""
        logits = run_with(self.model, self.tokens[prompts], self.hooks(gates, prompts, 0))
        return at(logits, self.reads[prompts])


class BatchedForward(GroupForward):
    """Many masks along the batch axis, through the same hooks.

    The layers before the first ablated one are computed once per prompt (where ``prefix`` is given), and only the
    positions that are read are unembedded.
    """

    def __init__(self, *args: Any, prefix: Prefix | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._prefix = prefix

    def __call__(self, gates: Gates, prompts: slice, first_layer: int, first_position: int = 0) -> ReadLogits:
        """See ``GroupForward``."""
        n_masks = gates.shape[0]
        rows = self.tokens[prompts].repeat(n_masks, 1)
        start = first_layer if self._prefix is not None else 0
        hooks = self.hooks(gates, prompts, start)
        if self._prefix is not None and start > 0:
            residual = self._prefix.residual(start)[prompts].repeat(n_masks, 1, 1)
            # First in the list: hooks at the same place run in this order.
            hooks.insert(0, (entry_hook(start), lambda activation, hook: residual))
        with passed_over(self.model, start) if start > 0 else nullcontext():
            return self.logits(rows, hooks, self.reads[prompts].repeat(n_masks, 1))


def at(activation: Activation, positions: Reads) -> Float[torch.Tensor, "rows reads *unit"]:
    """``[rows, pos, ...]`` at ``positions [rows, reads]``, which are on the CPU."""
    if positions.shape[1] == 1 and bool((positions == activation.shape[1] - 1).all()):
        return activation[:, -1:]
    return activation[torch.arange(len(positions))[:, None], positions]
