"""The fast way through a dense transformer: only what the masks make different is computed, once.

Rows are masks times prompts. What all masks share has a mask axis of length 1 until the first gate that differs, so the
attention before the first ablated head is computed once per prompt, and so on. Layers before the first ablated one, and
positions before the first ablated one, come from one unablated pass. In the last block only the positions from the
first one that is read go on, and only those that are read are unembedded. The MLP of a row whose MLP is ablated is not
computed.

On CUDA devices kernels skip ablated heads, and ablated groups of neurons, too; on CPUs gathering the rows of each head
costs what it saves, so heads are gated in one product there.

TransformerLens is asked for the parts and for what is to be compared with; its hooks don't run here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch.utils.checkpoint import checkpoint

from circuitspex.ablation.executors.card.forward import CardForward, why_not
from circuitspex.ablation.executors.clean import CleanPass
from circuitspex.ablation.executors.dense import DenseModel
from circuitspex.ablation.executors.dense_pass import DensePass
from circuitspex.ablation.executors.prepared import Kept, Prepared
from circuitspex.ablation.shapes import BaselineOfSite, Gates, ReadLogits, Reads
from circuitspex.ablation.sites import Site
from circuitspex.typing import FloatArray


class FusedForward:
    """Logits at the positions that are read under masks, for one group of prompts of equal length.

    Args:
        dense: the model's parts.
        clean: its unablated pass over these prompts.
        sites: where components are gated.
        n_players: how many components there are.
        baselines: what ablated components output, by hook.
        reads: the positions whose logits are wanted, ``[prompts, reads]``; by default the last.
        checkpointing: compute each block again in the backward pass instead of keeping what it made.
    """

    masks_at_once: int | None = None

    def __init__(
        self,
        dense: DenseModel,
        clean: CleanPass,
        sites: Sequence[Site],
        n_players: int,
        baselines: Mapping[str, BaselineOfSite | None],
        reads: Reads | None = None,
        *,
        checkpointing: bool = False,
    ) -> None:
        self.checkpointing = checkpointing
        self.dense = dense
        self._given = Prepared(dense, clean, sites, n_players, baselines, reads)
        self.why_no_kernels = why_not(self._given)
        self._card = CardForward(self._given) if self.why_no_kernels is None else None

    def share(self, layers: Sequence[int], *, positions: bool) -> None:
        """Run the prompts once, unablated, and keep what later passes start from.

        Args:
            layers: the layers at which passes will start.
            positions: whether passes will start at later positions than the first, for which the keys and values of
                the positions before them are kept, in all layers.
        """
        wanted = {layer for layer in layers if layer not in self._given.residuals}
        if not wanted and (not positions or self._given.kept):
            return
        h = self._given.clean.entry.unsqueeze(0)
        # What is kept stays where it is: recorded passes read it there.
        keep: dict[int, Kept] | None = {} if positions and not self._given.kept else None
        last = max(wanted) - 1 if keep is None else len(self._given.dense.layers) - 1
        with torch.no_grad():
            for index in range(last + 1):
                # A new pass for every block: none may add to what an earlier one handed on, which is kept here.
                run = DensePass(self._given, None, None, slice(None), 0, keep)
                h = run.block(index, h.to(self._given.dense.layers[index].device))
                if index + 1 in wanted:
                    self._given.residuals[index + 1] = h[0]
        if keep is not None:
            self._given.kept = keep

    def __call__(
        self,
        gates: Gates,
        prompts: slice,
        first_layer: int,
        first_position: int = 0,
        host: FloatArray | None = None,
    ) -> ReadLogits:
        """Logits ``[masks * prompts, reads, vocab]`` where they are read, all prompts of mask 0 first.

        Args:
            gates: ``[masks, players + 1]``; the last column is all ones.
            prompts: which prompts of the group.
            first_layer: nothing before this layer is ablated.
            first_position: nothing before this position is ablated.
            host: the gates ``(masks, players)`` as the host has them; read back from ``gates`` if they are not given.
        """
        host = (
            gates.detach().double().cpu().numpy() if host is None else np.pad(host, ((0, 0), (0, 1)), constant_values=1)
        )
        first_position = min(first_position, self._given.n_positions - self._given.tail)
        self.share([first_layer], positions=first_position > 0)
        if self._card is not None and not gates.requires_grad:
            return self._card(host, prompts, first_layer, first_position)
        h = self._given.residuals[first_layer][prompts, first_position:].unsqueeze(0)
        run = DensePass(self._given, gates, host, prompts, first_position)
        last = len(self._given.dense.layers) - 1
        for index in range(first_layer, last + 1):
            h = h.to(self._given.dense.layers[index].device)
            tail = self._given.tail if index == last else None
            if self.checkpointing and gates.requires_grad:
                h = checkpoint(run.block, index, h, tail, use_reentrant=False)
            else:
                h = run.block(index, h, tail)
        logits = self._given.unembed(self._given.dense.norm(self._given.read(h, prompts)))
        return logits.expand(gates.shape[0], -1, -1, -1).flatten(0, 1)
