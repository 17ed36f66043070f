"""A pass through a dense transformer in plain PyTorch: what masks share has a mask axis of length 1.

It is the reference of the passes that run as few kernels on a card, and runs everywhere else. What is skipped is
decided by the gates on the host, so that nothing is read back from a device.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from circuitspex.ablation.executors.attention import attention, rotated
from circuitspex.ablation.executors.dense import DenseAttention, DenseLayer
from circuitspex.ablation.executors.prepared import Kept, Prepared
from circuitspex.ablation.shapes import Gates, Shared
from circuitspex.typing import FloatArray

# A product over fewer rows than this costs nearly as much as one over twice as many: on a CPU it reads the weights, on
# other devices it waits to be launched. With gradients, masks are not taken apart for less.
_FEW_ROWS = {"cpu": 32, "other": 512}


class DensePass:
    """One pass over some masks and prompts, from ``first_position`` on.

    Args:
        given: what passes share.
        gates: ``[masks, players + 1]``, the last column all ones; None ablates nothing.
        host: the same gates on the host, by which is decided what is skipped; None skips nothing.
        prompts: which prompts of the group.
        first_position: nothing before this position is ablated.
        keep: where to put the keys and values of each layer.
    """

    def __init__(
        self,
        given: Prepared,
        gates: Gates | None,
        host: FloatArray | None,
        prompts: slice,
        first_position: int,
        keep: dict[int, Kept] | None = None,
    ) -> None:
        self._host = host
        self._given = given
        self._gates = gates
        self._prompts = prompts
        self._from = first_position
        self._keep = keep
        self._own: torch.Tensor | None = None  # a residual stream made here, which may be added to in place
        self._in_place = gates is None or not gates.requires_grad

    def block(self, index: int, h: Shared, tail: int | None = None) -> Shared:
        """One block: ``[masks or 1, prompts, pos, d_model]`` in and out; ``tail`` is how many positions come out."""
        return self.mlp(index, *self.attention(index, h, tail))

    def attention(self, index: int, h: Shared, tail: int | None = None) -> tuple[Shared, Shared, slice]:
        """The first half of a block: the stream after attention, what the MLP reads of it, and at which positions."""
        layer = self._given.dense.layers[index]
        where = slice(self._from, None)
        x = layer.norm_1(h)
        z = self._attend(index, layer.attention, x, tail)
        if tail is not None:
            where = slice(self._given.n_positions - tail, None)
            h = h[:, :, -tail:]
        out = layer.attention.o(self._gated(index, "head", z, where).flatten(3))
        if layer.post_1 is not None:
            out = layer.post_1(out.to(h.dtype))
        entry = h
        h = self._added(h, out, fresh=layer.parallel)
        return h, entry if layer.parallel else h, where

    def _attend(self, index: int, a: DenseAttention, x: Shared, tail: int | None) -> Shared:
        """``z`` of every head, ``[masks or 1, prompts, pos, head, d_head]``."""
        places = self._given.clean.positions[index]
        masks, prompts, length = x.shape[:3]
        x = x.flatten(0, 1)
        rows = x if tail is None else x[:, -tail:]
        if a.joined is not None and tail is None:
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
            before = (kept[self._prompts, : self._from] for kept in self._given.kept[index])
            k, v = (
                torch.cat([old.repeat(masks, 1, 1, 1), new], dim=1) for old, new in zip(before, (k, v), strict=True)
            )
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        z = attention(q, k, v, a, places)
        return z.transpose(1, 2).reshape(masks, prompts, z.shape[2], a.n_heads, a.d_head)

    def _gated(self, index: int, kind: str, z: Shared, where: slice) -> Shared:
        """``b + g (z - b)``; ``z`` itself where every gate is 1."""
        gate = self._given.gates.get((index, kind))
        if gate is None or self._gates is None:
            return z
        g = gate.of(self._gates, where)
        if not g.requires_grad and self._host is not None and bool((gate.values(self._host, where) == 1).all()):
            return z
        while g.ndim < z.ndim:
            g = g.unsqueeze(-1)
        base = gate.base(self._prompts, where)
        g = g.to(z.dtype)
        return z * g if base is None else torch.lerp(base.to(z.dtype), z, g)

    def mlp(self, index: int, h: Shared, x: Shared, where: slice) -> Shared:
        """``h`` plus the MLP's output on ``x``, gated; rows whose MLP is ablated at every position skip it."""
        layer = self._given.dense.layers[index]
        gate = self._given.gates.get((index, "mlp"))
        if gate is None or self._gates is None or self._host is None or len(gate.index) > 1:
            return self._added(h, self._mlp_gated(index, layer, x, where), fresh=False)
        values = gate.values(self._host, where)[:, 0, 0]
        if values.all():
            return self._added(h, self._mlp_gated(index, layer, x, where), fresh=False)
        if self._gates.requires_grad:
            out = self._mlp_apart(index, layer, x, where, values != 0)
            return self._added(h, self._gated(index, "mlp", out, where), fresh=False)
        g = gate.of(self._gates, where)  # masks, 1, 1, 1
        masks = g.shape[0]
        base = gate.base(self._prompts, where)
        # What is added for the baseline is exact at both ends: a gate of 0 adds b itself, a gate of 1 nothing of it.
        result = h.expand(masks, -1, -1, -1) + (1 - g) * base if base is not None else h.expand(masks, -1, -1, -1) + 0
        kept = values.nonzero()[0]
        if len(kept):
            rows = _sent(kept, x.device)
            chosen = x if x.shape[0] == 1 else x[rows]
            out = self._mlp_out(index, layer, chosen, where, self._gates[rows.to(self._gates.device)], self._host[kept])
            result[rows] += out if (values[kept] == 1).all() else g[rows] * out
        self._own = result
        return result

    def _mlp_gated(self, index: int, layer: DenseLayer, x: Shared, where: slice) -> Shared:
        return self._gated(index, "mlp", self._mlp_out(index, layer, x, where, self._gates, self._host), where)

    def _mlp_apart(
        self, index: int, layer: DenseLayer, x: Shared, where: slice, on: np.ndarray[Any, np.dtype[np.bool_]]
    ) -> Shared:
        """The MLP's output on ``x``, without a graph for the masks where it is off.

        There the slope of its gate needs the output, and what is behind the output has no slope.
        """
        split = min(on.sum(), (~on).sum()) * x.shape[1] * x.shape[2]
        shared = len(x) == 1 and (index, "neurons") not in self._given.gates
        if on.any() and (shared or split < _FEW_ROWS["cpu" if x.device.type == "cpu" else "other"]):
            return self._mlp_out(index, layer, x, where, self._gates, self._host)
        if not on.any():
            with torch.no_grad():
                return self._mlp_out(index, layer, x, where, self._gates, self._host)
        assert self._gates is not None
        assert self._host is not None
        parts, order = [], np.concatenate([on.nonzero()[0], (~on).nonzero()[0]])
        for kept, chosen in ((True, order[: on.sum()]), (False, order[on.sum() :])):
            rows = _sent(chosen, x.device)
            some = x if len(x) == 1 else x.index_select(0, rows)
            gates = self._gates.index_select(0, rows.to(self._gates.device))
            with torch.set_grad_enabled(kept and torch.is_grad_enabled()):
                parts.append(self._mlp_out(index, layer, some, where, gates, self._host[chosen]))
        return torch.cat(parts).index_select(0, _sent(np.argsort(order), x.device))

    def _mlp_out(
        self, index: int, layer: DenseLayer, x: Shared, where: slice, gates: Gates | None, host: FloatArray | None
    ) -> Shared:
        """The MLP's output on ``x``, its neurons gated by ``gates``, which are those of some of the masks."""
        neurons = layer.mlp.neurons(layer.norm_2(x))
        if gates is self._gates or (index, "neurons") not in self._given.gates:
            neurons = self._gated(index, "neurons", neurons, where)
        else:
            inner = DensePass(self._given, gates, host, self._prompts, self._from)
            neurons = inner._gated(index, "neurons", neurons, where)
        out = layer.mlp.out(neurons)
        return out if layer.post_2 is None else layer.post_2(out.to(x.dtype))

    def _added(self, h: Shared, out: Shared, *, fresh: bool) -> Shared:
        """``h + out``; in place where ``h`` was made here and nothing else reads it."""
        if self._in_place and not fresh and h is self._own and h.shape == out.shape:
            return h.add_(out)
        self._own = h + out
        return self._own


def _sent(places: np.ndarray[Any, np.dtype[np.int64]], device: torch.device) -> torch.Tensor:
    """Indices from the host, without waiting for the device."""
    found = torch.from_numpy(places)
    return found.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else found
