"""Latents of sparse autoencoders and transcoders as components: directions in activations, gated one by one.

With latents f of the activation that is read, gate g and baseline b the model goes on with

    x' = x + sum over latents i of (g_i - 1) (f_i - b_i) decoder_i

for each activation x that they write into: the one that is read (an autoencoder), another (a transcoder), or several,
each with a decoder of its own (a cross-layer transcoder). f is that of the same ablated pass. What the decoder does not
explain of x stays as it is, and with every gate 1 the model is untouched.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int

from circuitspex.ablation.passes import Hook
from circuitspex.ablation.shapes import Activation, BaselineOfSite, Gates, UnitIndex
from circuitspex.ablation.sites import Members, Site
from circuitspex.components import Component, Latents, Part
from circuitspex.components.latents import activated

_Units = Float[torch.Tensor, "masks prompts pos gated"]


@dataclass(frozen=True)
class _Ready:
    """The tensors in the dtype and on the device of the model, those of the gated latents only where that suffices."""

    encoder: Float[torch.Tensor, "d latents"]
    encoder_bias: Float[torch.Tensor, " latents"] | None
    centre: Float[torch.Tensor, " d"] | None
    thresholds: Float[torch.Tensor, " latents"] | None
    decoders: tuple[Float[torch.Tensor, "gated d_out"], ...]  # of each activation that is written into
    chosen: Int[torch.Tensor, " gated"] | None  # which latents are gated, where all of them have to be computed


@dataclass(frozen=True)
class LatentSite(Site):
    """The latents of one layer; the units are those that some component holds, in the order of ``places``."""

    latents: Latents = field(kw_only=True)
    places: dict[int, int] = field(kw_only=True)
    _kept: dict[tuple[torch.device, torch.dtype], _Ready] = field(default_factory=dict, repr=False, compare=False)

    @property
    def numbers_a_token(self) -> int:
        """What is computed here besides the activation: latents, and what becomes of them."""
        written = 0 if self.latents.output_hook is None else sum(each.shape[1] for each in self.latents.decoders())
        return 4 * (self.n_units if self.latents.n_active is None else self.latents.n_latents) + written

    def units(self, component: Component) -> slice | list[int]:
        """The places of a component among the latents that are gated here."""
        return [self.places[i] for i in range(component.start, component.stop)]

    def read(self, activation: Activation) -> Float[torch.Tensor, "rows pos gated"]:
        """The latents ``[rows, pos, unit]`` of what passes the hook; axes after the second are one for them."""
        ready, x = self._ready(activation), activation.flatten(2)
        before = (x if ready.centre is None else x - ready.centre) @ ready.encoder
        if ready.encoder_bias is not None:
            before = before + ready.encoder_bias
        f = activated(before, self.latents, ready.thresholds)
        return f if ready.chosen is None else f.index_select(-1, ready.chosen)

    def gate(
        self, activation: Activation, gates: Gates, index: UnitIndex, baseline: BaselineOfSite | None
    ) -> Activation:
        """See the module's text; of latents that write where they read."""
        return self._written(activation, self._change(activation, gates, index, baseline), 0)

    def hooks(self, gates: Gates, index: UnitIndex, baseline: BaselineOfSite | None, n_positions: int) -> list[Hook]:
        """The hook that gates an activation; or one that reads, and one for each activation that is written into."""
        if self.latents.output_hook is None:
            return super().hooks(gates, index, baseline, n_positions)
        change: list[_Units] = []

        def look(activation: Activation, hook: Any) -> None:
            there = activation.device
            base = None if baseline is None else baseline.to(there)
            change[:] = [self._change(activation, gates.to(there), index.to(there), base)]

        def write(activation: Activation, hook: Any, place: int) -> Activation:
            return self._written(activation, change[0].to(activation.device), place)

        places = enumerate(self.latents.output_hooks)
        return [(self.hook, look), *((name, partial(write, place=place)) for place, name in places)]

    def _change(
        self, activation: Activation, gates: Gates, index: UnitIndex, baseline: BaselineOfSite | None
    ) -> _Units:
        """How much more of each latent there is than in the model."""
        n_masks = gates.shape[0]
        f = self.read(activation)
        f = f.reshape(n_masks, f.shape[0] // n_masks, *f.shape[1:])
        g = gates[:, index].unsqueeze(1)  # masks, 1, pos or 1, unit
        return (g - 1) * (f if baseline is None else f - baseline.unsqueeze(0))

    def _written(self, activation: Activation, change: _Units, place: int) -> Activation:
        """The activation of one of ``output_hooks`` with that change."""
        return activation + (change @ self._ready(activation).decoders[place]).reshape(activation.shape)

    def _ready(self, activation: Activation) -> _Ready:
        key = activation.device, activation.dtype
        if key not in self._kept:
            about, chosen = self.latents, torch.tensor(list(self.places))
            # To know the largest latents of a token all of them are needed.
            some = about.n_active is None

            def columns(tensor: Float[torch.Tensor, "*d latents"]) -> Float[torch.Tensor, "*d chosen"]:
                return (tensor.index_select(-1, chosen.to(tensor.device)) if some else tensor).to(*key)

            centre = about.decoder_bias if about.subtract_decoder_bias else None
            self._kept[key] = _Ready(
                columns(about.encoder),
                None if about.encoder_bias is None else columns(about.encoder_bias),
                None if centre is None else centre.to(*key),
                None if about.thresholds is None else columns(about.thresholds),
                tuple(each.index_select(0, chosen.to(each.device)).to(*key) for each in about.decoders()),
                None if some else chosen.to(activation.device),
            )
        return self._kept[key]


def latent_site(part: Part, layer: int, kind: str, members: Members) -> LatentSite:
    """The site of some latents of one layer."""
    latents: Latents = part.source
    chosen = sorted({i for _, component in members for i in range(component.start, component.stop)})
    places = {latent: place for place, latent in enumerate(chosen)}
    return LatentSite(latents.hook, layer, kind, len(chosen), members, latents=latents, places=places)
