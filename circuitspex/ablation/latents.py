"""Latents of sparse autoencoders as components: directions within an activation, gated one by one.

With latents f of the activation x, gate g and baseline b the model goes on with

    x' = x + sum over latents i of (g_i - 1) (f_i - b_i) decoder_i

so what the autoencoder does not explain of x stays as it is, and with every gate 1 the model is untouched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from circuitspex.ablation.sites import Site
from circuitspex.components import Component, Latents


@dataclass(frozen=True)
class LatentSite(Site):
    """The latents of one layer; the units are those that some component holds, in the order of ``places``."""

    latents: Latents = field(kw_only=True)
    places: dict[int, int] = field(kw_only=True)

    @classmethod
    def of(cls, latents: Latents, members: Sequence[tuple[int, Component]]) -> LatentSite:
        """The site of these components."""
        chosen = sorted({i for _, component in members for i in range(component.start, component.stop)})
        places = {latent: place for place, latent in enumerate(chosen)}
        return cls(latents.hook, latents.layer, "latents", len(chosen), tuple(members), latents=latents, places=places)

    def units(self, component: Component) -> list[int]:
        """The places of a component among the latents that are gated here."""
        return [self.places[i] for i in range(component.start, component.stop)]

    def read(self, activation: torch.Tensor) -> torch.Tensor:
        """The latents ``[rows, pos, unit]`` of what passes the hook; axes after the second are one for them."""
        about, x = self.latents, activation.flatten(2)
        chosen = torch.tensor(list(self.places), device=x.device)

        def like(tensor: torch.Tensor, columns: bool) -> torch.Tensor:
            return (tensor.index_select(-1, chosen.to(tensor.device)) if columns else tensor).to(x)

        if about.subtract_decoder_bias and about.decoder_bias is not None:
            x = x - like(about.decoder_bias, False)
        # All latents of a token are needed to know the largest, else only those that are gated.
        some = about.n_active is None
        before = x @ like(about.encoder, some)
        if about.encoder_bias is not None:
            before = before + like(about.encoder_bias, some)
        f = torch.relu(before)
        if about.thresholds is not None:
            return f * (before > like(about.thresholds, True))
        if about.n_active is not None:
            top = before.topk(about.n_active, dim=-1).indices
            f = (f * torch.zeros_like(f).scatter(-1, top, 1.0)).index_select(-1, chosen)
        return f

    def gate(
        self, activation: torch.Tensor, gates: torch.Tensor, index: torch.Tensor, baseline: torch.Tensor | None
    ) -> torch.Tensor:
        """See the module's text."""
        n_masks = gates.shape[0]
        f = self.read(activation)
        f = f.reshape(n_masks, f.shape[0] // n_masks, *f.shape[1:])
        g = gates[:, index].unsqueeze(1)  # masks, 1, pos or 1, unit
        chosen = torch.tensor(list(self.places), device=self.latents.decoder.device)
        decoder = self.latents.decoder.index_select(0, chosen).to(activation)
        change = ((g - 1) * (f if baseline is None else f - baseline.unsqueeze(0))) @ decoder
        return activation + change.reshape(activation.shape)
