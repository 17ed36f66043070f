"""Rows of any prompts, each under gates of its own: what measurements of single components at single tokens need."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from jaxtyping import Float, Int

from circuitspex.ablation.executors.hooks import BatchedForward
from circuitspex.ablation.executors.prefix import entry_hook, passed_over
from circuitspex.ablation.passes import Hook, run_with
from circuitspex.ablation.shapes import Activation, ReadLogits

RowGates = Float[torch.Tensor, "rows players_and_one"]
"""1 = kept, 0 = ablated, for each row by itself; the last column is all ones."""

RowPrompts = Int[torch.Tensor, " rows"]
"""Which prompt of the group each row is, on the CPU."""


class ByRow(BatchedForward):
    """Each row of a pass is one prompt under one mask, in any order, through plain TransformerLens hooks.

    As ``BatchedForward``, where all prompts are run under each mask. A gradient by the gates of a row is that of the
    row's own prompt.
    """

    def prepare(self, layers: Collection[int]) -> None:
        """Compute what enters the layers at which passes will start, in one pass."""
        if self._prefix is not None:
            self._prefix.prepare([layer for layer in layers if layer > 0])

    def rows(
        self,
        gates: RowGates,
        prompts: RowPrompts,
        start: int = 0,
        *,
        instead: Mapping[str, Activation] | None = None,
        besides: Sequence[Hook] = (),
    ) -> ReadLogits:
        """Logits ``[rows, reads, vocab]``.

        Args:
            gates: of each row.
            prompts: of each row.
            start: the first layer that is computed, where there is a prefix; nothing may be ablated before it.
            instead: by hook, what stands in for ablated units in each row, as ``Site.read`` gives it; at other sites
                it is the baseline.
            besides: more hooks, which see activations before they are gated.
        """
        hooks = self._hooks_from(gates, prompts, start, instead or {}, besides)
        with self._from(start):
            return self.logits(self._tokens_of(prompts), hooks, self.reads[prompts])

    def until(self, layer: int, gates: RowGates, prompts: RowPrompts, start: int, besides: Sequence[Hook]) -> None:
        """A pass that ends after ``layer``, for what the hooks ``besides`` see and change; see ``rows``."""
        hooks = self._hooks_from(gates, prompts, start, {}, besides)
        with self._from(start):
            run_with(self.model, self._tokens_of(prompts), hooks, stop_at_layer=layer + 1)

    def _start(self, start: int) -> int:
        return start if self._prefix is not None else 0

    def _from(self, start: int) -> Any:
        start = self._start(start)
        return passed_over(self.model, start) if start > 0 else nullcontext()

    def _tokens_of(self, prompts: RowPrompts) -> torch.Tensor:
        return self.tokens[prompts.to(self.tokens.device)]

    def _hooks_from(
        self,
        gates: RowGates,
        prompts: RowPrompts,
        start: int,
        instead: Mapping[str, Activation],
        besides: Sequence[Hook],
    ) -> list[Hook]:
        hooks: list[Hook] = [*besides, *self._by_row(gates, prompts, instead)]
        start = self._start(start)
        if self._prefix is not None and start > 0:
            of_all = self._prefix.residual(start)
            residual = of_all[prompts.to(of_all.device)]
            # First in the list: hooks at the same place run in this order.
            hooks.insert(0, (entry_hook(start), lambda activation, hook: residual))
        return hooks

    def _by_row(self, gates: RowGates, prompts: RowPrompts, instead: Mapping[str, Activation]) -> list[Hook]:
        """The gates as those of as many masks as there are rows, with one prompt each."""
        found: list[Hook] = []
        for site, index in self._sites:
            if not gates.requires_grad and bool((gates[:, index] == 1).all()):
                continue
            baseline = instead.get(site.hook, self.baselines[site.hook])
            if baseline is not None and (site.hook in instead or len(baseline) > 1):
                chosen = baseline if site.hook in instead else baseline[prompts.to(baseline.device)]
                # With an axis of masks: masks, 1, pos, …; sites put another before it, of length 1.
                baseline = chosen[:, None]
            found += site.hooks(gates, index, baseline, self.tokens.shape[1])
        return found
