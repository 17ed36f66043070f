"""What all fused passes over one group of prompts share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int

from circuitspex.ablation.executors.clean import CleanPass
from circuitspex.ablation.executors.dense import DenseModel
from circuitspex.ablation.executors.site_gate import SiteGate
from circuitspex.ablation.shapes import BaselineOfSite, Reads, Shared, Stream
from circuitspex.ablation.sites import Site

Kept = tuple[Float[torch.Tensor, "prompts pos kv_heads d_head"], Float[torch.Tensor, "prompts pos kv_heads d_head"]]
"""Keys and values of the unablated pass."""


class Prepared:
    """The model's parts, the prompts, the gates' places, and what one unablated pass left.

    Args:
        dense: the model's parts.
        clean: its unablated pass over these prompts.
        sites: where components are gated.
        n_players: how many components there are.
        baselines: what ablated components output, by hook.
        reads: the positions whose logits are wanted, ``[prompts, reads]``; by default the last.

    ``tail`` is how many positions go on in the last block; ``residuals`` are the streams that enter layers, and
    ``kept`` the keys and values of layers, as far as passes have asked for them.
    """

    def __init__(
        self,
        dense: DenseModel,
        clean: CleanPass,
        sites: Sequence[Site],
        n_players: int,
        baselines: Mapping[str, BaselineOfSite | None],
        reads: Reads | None,
    ) -> None:
        self.dense = dense
        self.clean = clean
        self.n_positions = clean.entry.shape[1]
        last = torch.full((len(clean.entry), 1), self.n_positions - 1)
        self.reads: Int[torch.Tensor, "prompts reads"] = last if reads is None else reads.cpu()
        self.tail = self.n_positions - int(self.reads.min())
        self._places = (self.reads - (self.n_positions - self.tail)).to(dense.unembed.weight.device)
        self.residuals: dict[int, Stream] = {0: clean.entry}
        self.kept: dict[int, Kept] = {}
        self.gates: dict[tuple[int, str], SiteGate] = {}
        for site in sites:
            index = site.unit_index(n_players, self.n_positions).to(dense.layers[site.layer].device)
            self.gates[site.layer, site.kind] = SiteGate(index, baselines[site.hook])

    def read(self, h: Shared, prompts: slice) -> Shared:
        """``[masks or 1, prompts, reads, d_model]`` of the last ``tail`` positions: those that are read."""
        if self.tail == self.reads.shape[1] == 1:
            return h
        places = self._places[prompts].to(h.device)
        return h[:, torch.arange(len(places), device=h.device)[:, None], places]

    def unembed(self, h: Float[torch.Tensor, "*rows d_model"]) -> Float[torch.Tensor, "*rows vocab"]:
        """The logits of normed rows."""
        logits = self.dense.unembed(h.to(self.dense.unembed.weight.device))
        cap = self.dense.softcap
        return cap * torch.tanh(logits / cap) if cap else logits
