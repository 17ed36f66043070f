"""The fast way through a dense transformer: only what the masks make different is computed, once.

Rows are masks times prompts. What all masks share has a mask axis of length 1 until the first gate that differs, so the
attention before the first ablated head is computed once per prompt, and so on. Layers before the first ablated one, and
positions before the first ablated one, come from one unablated pass. In the last block only the positions from the
first one that is read go on, and only those that are read are unembedded. The MLP of a row whose MLP is ablated is not
computed.

On CUDA devices the fused kernels skip ablated heads, and ablated groups of neurons, too; on CPUs gathering the rows of
each head costs what it saves, so heads are gated in one product there.

TransformerLens is asked for the parts and for what is to be compared with; its hooks don't run here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch.utils.checkpoint import checkpoint

from circuitspex import kernels
from circuitspex.ablation.executors.attention import attention, rotated
from circuitspex.ablation.executors.clean import CleanPass
from circuitspex.ablation.executors.dense import DenseAttention, DenseLayer, DenseMLP, DenseModel
from circuitspex.ablation.executors.linear import Linear
from circuitspex.ablation.executors.site_gate import SiteGate
from circuitspex.ablation.shapes import BaselineOfSite, Gates, ReadLogits, Reads, Shared
from circuitspex.ablation.sites import Site

# Groups of fewer neurons than this are gated one by one: tiles of a product can't be narrower.
_SKIPPED_NEURONS = 16

Kept = tuple[Float[torch.Tensor, "prompts pos kv_heads d_head"], Float[torch.Tensor, "prompts pos kv_heads d_head"]]
"""Keys and values of the unablated pass."""
UnitGates = Float[torch.Tensor, "masks units"]


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
        self.dense = dense
        self.checkpointing = checkpointing
        self._clean = clean
        self._n_positions = clean.entry.shape[1]
        last = torch.full((len(clean.entry), 1), self._n_positions - 1)
        self._reads = last if reads is None else reads.cpu()
        self._tail = self._n_positions - int(self._reads.min())  # positions that go on in the last block
        self._residuals = {0: clean.entry}
        self._kept: dict[int, Kept] = {}
        self._gates: dict[tuple[int, str], SiteGate] = {}
        for site in sites:
            index = site.unit_index(n_players, self._n_positions).to(dense.layers[site.layer].device)
            self._gates[site.layer, site.kind] = SiteGate(index, baselines[site.hook])

    def share(self, layers: Sequence[int], *, positions: bool) -> None:
        """Run the prompts once, unablated, and keep what later passes start from.

        Args:
            layers: the layers at which passes will start.
            positions: whether passes will start at later positions than the first, for which the keys and values of
                the positions before them are kept, in all layers.
        """
        wanted = {layer for layer in layers if layer not in self._residuals}
        if not wanted and (not positions or self._kept):
            return
        h = self._clean.entry.unsqueeze(0)
        last = len(self.dense.layers) - 1 if positions else max(wanted) - 1
        with torch.no_grad():
            for index in range(last + 1):
                # A new pass for every block: none may add to what an earlier one handed on, which is kept here.
                run = _Pass(self, None, slice(None), 0, keep=self._kept if positions else None)
                h = run.block(index, h.to(self.dense.layers[index].device))
                if index + 1 in wanted:
                    self._residuals[index + 1] = h[0]

    def __call__(self, gates: Gates, prompts: slice, first_layer: int, first_position: int = 0) -> ReadLogits:
        """Logits ``[masks * prompts, reads, vocab]`` where they are read, all prompts of mask 0 first.

        Args:
            gates: ``[masks, players + 1]``; the last column is all ones.
            prompts: which prompts of the group.
            first_layer: nothing before this layer is ablated.
            first_position: nothing before this position is ablated.
        """
        first_position = min(first_position, self._n_positions - self._tail)
        self.share([first_layer], positions=first_position > 0)
        h = self._residuals[first_layer][prompts, first_position:].unsqueeze(0)
        run = _Pass(self, gates, prompts, first_position)
        last = len(self.dense.layers) - 1
        for index in range(first_layer, last + 1):
            h = h.to(self.dense.layers[index].device)
            tail = self._tail if index == last else None
            if self.checkpointing and gates.requires_grad:
                h = checkpoint(run.block, index, h, tail, use_reentrant=False)
            else:
                h = run.block(index, h, tail)
        logits = self._unembed(self._read(h, prompts))
        return logits.expand(gates.shape[0], -1, -1, -1).flatten(0, 1)

    def _read(self, h: Shared, prompts: slice) -> Shared:
        """``[masks or 1, prompts, tail, d_model]`` at the positions that are read."""
        if self._tail == self._reads.shape[1] == 1:
            return h
        places = self._reads[prompts] - (self._n_positions - self._tail)
        return h[:, torch.arange(len(places))[:, None], places]

    def use_kernels(self, x: Shared) -> bool:
        """Whether the fused kernels run on this tensor: on CUDA devices, in the dtypes that they have."""
        return x.device.type == "cuda" and kernels.use_triton(x)

    def _unembed(self, h: Float[torch.Tensor, "*rows d_model"]) -> Float[torch.Tensor, "*rows vocab"]:
        h = h.to(self.dense.unembed.weight.device)
        logits = self.dense.unembed(self.dense.norm(h))
        cap = self.dense.softcap
        return cap * torch.tanh(logits / cap) if cap else logits


class _Pass:
    """One pass over some masks and prompts, from ``first_position`` on."""

    def __init__(
        self,
        owner: FusedForward,
        gates: Gates | None,
        prompts: slice,
        first_position: int,
        keep: dict[int, Kept] | None = None,
    ) -> None:
        self._owner = owner
        self._gates = gates
        self._prompts = prompts
        self._from = first_position
        self._keep = keep
        self._own: torch.Tensor | None = None  # a residual stream made here, which may be added to in place
        self._in_place = gates is None or not gates.requires_grad

    def block(self, index: int, h: Shared, tail: int | None = None) -> Shared:
        """One block: ``[masks or 1, prompts, pos, d_model]`` in and out; ``tail`` is how many positions come out."""
        layer = self._owner.dense.layers[index]
        where = slice(self._from, None)
        x = layer.norm_1(h)
        g = self._skippable(index, "head", x)
        z = self._attend(index, layer.attention, x, tail, g if x.shape[0] > 1 else None)
        if tail is not None:
            where = slice(self._owner._n_positions - tail, None)
            h = h[:, :, -tail:]
        if g is None:
            out = layer.attention.o(self._gated(index, "head", z, where).flatten(3))
        else:
            out = self._projected(index, "head", z, g, layer.attention.o, where)
        if layer.post_1 is not None:
            out = layer.post_1(out.to(h.dtype))
        entry = h
        h = self._added(h, out, fresh=layer.parallel)
        return self._mlp(index, layer, h, entry if layer.parallel else h, where)

    def _skippable(self, index: int, kind: str, x: Shared) -> UnitGates | None:
        """The gates ``[masks, unit]`` of a site whose ablated units a kernel can skip; None where none runs."""
        gate = self._owner._gates.get((index, kind))
        if gate is None or self._gates is None or self._gates.requires_grad or len(gate.index) > 1:
            return None
        if not self._owner.use_kernels(x):
            return None
        return gate.of(self._gates, slice(None))[:, 0, 0].contiguous()

    def _projected(self, index: int, kind: str, z: Shared, g: UnitGates, project: Linear, where: slice) -> Shared:
        """The output projection of gated units, ``[masks, prompts, pos, d_model]``, by a kernel."""
        gate = self._owner._gates[index, kind]
        base = gate.base(self._prompts, where)
        shape = (len(g), *z.shape[1:3])
        rows = z.expand(len(g), *z.shape[1:]).reshape(len(g), shape[1] * shape[2], -1).to(project.weight.dtype)
        flat = None if base is None else base[0].reshape(base.shape[1] * base.shape[2], -1).to(project.weight.dtype)
        if g.shape[1] == project.weight.shape[1]:
            out = kernels.gated_neurons_projection(rows, g, flat, project.weight, project.bias)
        else:
            extra = None if flat is None else kernels.baseline_contribution(flat, project.weight, g.shape[1])
            out = kernels.gated_output_projection(rows, g, project.weight, extra, project.bias)
        return out.reshape(*shape, -1)

    def _attend(self, index: int, a: DenseAttention, x: Shared, tail: int | None, gates: Gates | None) -> Shared:
        """``z`` of every head, ``[masks or 1, prompts, pos, head, d_head]``; with ``gates`` what is off is skipped."""
        places = self._owner._clean.positions[index]
        masks, prompts, length = x.shape[:3]
        x = x.flatten(0, 1)
        rows = x if tail is None else x[:, -tail:]
        if gates is not None:
            groups = gates.reshape(masks, a.n_kv, -1).amax(-1)  # a key/value head serves while one of its heads is on
            q, k, v = (
                kernels.gated_input_projection(
                    given.reshape(masks, -1, x.shape[-1]).to(part.weight.dtype), on, part.weight, part.bias
                )
                .reshape(*given.shape[:2], -1, a.d_head)
                .to(x.dtype)
                for part, given, on in ((a.q, rows, gates), (a.k, x, groups), (a.v, x, groups))
            )
        elif a.joined is not None and tail is None:
            parts = a.joined(x).reshape(*x.shape[:2], -1, a.d_head).to(x.dtype)
            q, k, v = torch.split(parts, [a.n_heads, a.n_kv, a.n_kv], dim=2)
        else:
            q, k, v = (
                part(given).reshape(*given.shape[:2], -1, a.d_head).to(x.dtype)
                for part, given in ((a.q, rows), (a.k, x), (a.v, x))
            )
        q = q if a.q_norm is None else a.q_norm(q)
        k = k if a.k_norm is None else a.k_norm(k)
        q, k = rotated(q, places, self._from + length - q.shape[1]), rotated(k, places, self._from)
        if self._keep is not None:
            self._keep[index] = (k, v)
        if self._from:
            before = (kept[self._prompts, : self._from] for kept in self._owner._kept[index])
            k, v = (
                torch.cat([old.repeat(masks, 1, 1, 1), new], dim=1) for old, new in zip(before, (k, v), strict=True)
            )
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        if gates is not None and places.allowed is None:
            start = k.shape[2] - q.shape[2]
            z = kernels.gated_attention(q, k, v, gates, scale=a.scale, softcap=a.softcap, query_start=start)
        else:
            z = attention(q, k, v, a, places)
        return z.transpose(1, 2).reshape(masks, prompts, z.shape[2], a.n_heads, a.d_head)

    def _gated(self, index: int, kind: str, z: Shared, where: slice) -> Shared:
        """``b + g (z - b)``; ``z`` itself where every gate is 1."""
        gate = self._owner._gates.get((index, kind))
        if gate is None or self._gates is None:
            return z
        g = gate.of(self._gates, where)
        if not g.requires_grad and bool((g == 1).all()):
            return z
        while g.ndim < z.ndim:
            g = g.unsqueeze(-1)
        base = gate.base(self._prompts, where)
        g = g.to(z.dtype)
        return z * g if base is None else torch.lerp(base.to(z.dtype), z, g)

    def _mlp(self, index: int, layer: DenseLayer, h: Shared, x: Shared, where: slice) -> Shared:
        """``h`` plus the MLP's output on ``x``, gated; rows whose MLP is ablated at every position skip it."""
        gate = self._owner._gates.get((index, "mlp"))
        if gate is None or self._gates is None or self._gates.requires_grad or len(gate.index) > 1:
            return self._added(h, self._mlp_gated(index, layer, x, where), fresh=False)
        g = gate.of(self._gates, where)  # masks, 1, 1, 1
        on = g.flatten() != 0
        if bool(on.all()):
            return self._added(h, self._mlp_gated(index, layer, x, where), fresh=False)
        masks = g.shape[0]
        base = gate.base(self._prompts, where)
        # What is added for the baseline is exact at both ends: a gate of 0 adds b itself, a gate of 1 nothing of it.
        result = h.expand(masks, -1, -1, -1) + (1 - g) * base if base is not None else h.expand(masks, -1, -1, -1) + 0
        rows = on.nonzero().flatten()
        if len(rows):
            chosen = x if x.shape[0] == 1 else x[rows]
            out = self._mlp_out(index, layer, chosen, where, self._gates[rows])
            inner = g[rows]
            result[rows] += out if bool((inner == 1).all()) else inner * out
        self._own = result
        return result

    def _mlp_gated(self, index: int, layer: DenseLayer, x: Shared, where: slice) -> Shared:
        return self._gated(index, "mlp", self._mlp_out(index, layer, x, where, self._gates), where)

    def _mlp_out(self, index: int, layer: DenseLayer, x: Shared, where: slice, gates: Gates | None) -> Shared:
        g = self._skippable(index, "neurons", x) if gates is self._gates else None
        width = 0 if g is None else self._owner._gates[index, "neurons"].width
        if g is not None and width >= _SKIPPED_NEURONS:
            g = g[:, ::width].contiguous()
        if g is not None and width >= _SKIPPED_NEURONS and x.shape[0] > 1:
            neurons = self._some_neurons(layer.mlp, layer.norm_2(x), g)
        else:
            neurons = layer.mlp.neurons(layer.norm_2(x))
        if g is not None:
            out = self._projected(index, "neurons", neurons, g, layer.mlp.out, where)
            return out if layer.post_2 is None else layer.post_2(out.to(x.dtype))
        if gates is not self._gates and (index, "neurons") in self._owner._gates:
            inner = _Pass(self._owner, gates, self._prompts, self._from)
            neurons = inner._gated(index, "neurons", neurons, where)
        else:
            neurons = self._gated(index, "neurons", neurons, where)
        out = layer.mlp.out(neurons)
        return out if layer.post_2 is None else layer.post_2(out.to(x.dtype))

    def _some_neurons(self, mlp: DenseMLP, x: Shared, g: UnitGates) -> Shared:
        """The activations of the neurons in blocks that are on; zeros, not computed, in those that are off."""
        rows = x.reshape(len(x), -1, x.shape[-1])

        def into(part: Linear) -> Float[torch.Tensor, "masks rows outputs"]:
            return kernels.gated_input_projection(rows.to(part.weight.dtype), g, part.weight, part.bias)

        up = into(mlp.up)
        active = mlp.activation(up) if mlp.gate is None else mlp.activation(into(mlp.gate)) * up
        return active.reshape(*x.shape[:-1], -1)

    def _added(self, h: Shared, out: Shared, *, fresh: bool) -> Shared:
        """``h + out``; in place where ``h`` was made here and nothing else reads it."""
        if self._in_place and not fresh and h is self._own and h.shape == out.shape:
            return h.add_(out)
        self._own = h + out
        return self._own
