"""One block of a dense transformer in few launches: what a mask ablates is skipped by lists of what is on."""

from __future__ import annotations

import torch
from jaxtyping import Float

from circuitspex import kernels
from circuitspex.ablation.executors.card.constants import Constants
from circuitspex.ablation.executors.card.lists import HeadWork, LayerWork
from circuitspex.ablation.executors.card.plan import CardPlan
from circuitspex.ablation.executors.dense import DenseAttention, DenseLayer, DenseMLP
from circuitspex.ablation.executors.linear import Linear
from circuitspex.ablation.executors.norms import Norm
from circuitspex.ablation.executors.prepared import Prepared
from circuitspex.kernels.work import BlockRows

Stream = Float[torch.Tensor, "masks rows d_model"]
Outputs = Float[torch.Tensor, "masks rows outputs"]
ByHead = Float[torch.Tensor, "sequences pos heads d_head"]


class CardBlock:
    """The blocks of one pass, on one device.

    Args:
        given: what passes share.
        constants: what is the same for all masks.
        plan: of this batch.
        works: of each layer, on the device of the layers that are run with them.
        gates: ``[masks, players + 1]``, float32, on that device.
        prompts: which prompts of the group.
    """

    def __init__(
        self,
        given: Prepared,
        constants: Constants,
        plan: CardPlan,
        works: dict[int, LayerWork],
        gates: torch.Tensor,
        prompts: slice,
    ) -> None:
        self._given = given
        self._constants = constants
        self._plan = plan
        self._works = works
        self._gates = gates
        self._prompts = prompts

    def __call__(
        self, index: int, h: Stream, x: Stream, next_norm: Norm, next_dtype: torch.dtype
    ) -> tuple[Stream, Stream]:
        """The stream after the block, and its norm for the one that follows.

        Args:
            index: of the layer.
            h: the stream, ``[masks, prompts * positions, d_model]``.
            x: its norm for this block's attention, in the dtype of the products.
            next_norm: of the next block, or the last one of the model.
            next_dtype: in which that is wanted.
        """
        layer, work = self._given.dense.layers[index], self._works[index]
        last = index == len(self._given.dense.layers) - 1
        leaving = self._given.tail if last else self._positions
        where = slice(self._given.n_positions - leaving, None)
        z = self._attend(index, layer.attention, work.head, x, leaving, where)
        h = self._last(h, leaving)
        after = self._attention_out(index, layer, work, z, h, where)
        return self.mlp(index, after, h if layer.parallel else after, where, next_norm, next_dtype)

    def mlp(
        self, index: int, h: Stream, source: Stream, where: slice, next_norm: Norm, next_dtype: torch.dtype
    ) -> tuple[Stream, Stream]:
        """The second half of a block on the stream ``h``: the MLP of ``source``, gated; returns as the whole."""
        layer, work = self._given.dense.layers[index], self._works[index]
        gather = None if work.mlp is None or work.mlp.masks is None else work.mlp.masks
        norm = self._constants.norm(layer.norm_2, h.device)
        x = kernels.norm(source, **norm, masks=gather, dtype=layer.mlp.up.weight.dtype)
        out = self._neurons_out(index, layer.mlp, work, self._neurons(index, layer.mlp, work, x, where), where)
        if layer.post_2 is not None:
            out = kernels.norm(out, **self._constants.norm(layer.post_2, h.device), dtype=h.dtype)
        slots = gain = baseline = None
        if work.mlp is not None:
            slots = None if work.mlp.slots is None else work.mlp.slots
            gain = work.mlp.gain
            baseline = self._constants.baseline(index, "mlp", self._prompts, where, h.dtype)
        elif (index, "mlp") in self._given.gates:
            out = self._by_position(index, "mlp", out, where)
        following = self._constants.norm(next_norm, h.device)
        return kernels.add_norm(h, out, **following, slots=slots, gain=gain, baseline=baseline, dtype=next_dtype)

    @property
    def _positions(self) -> int:
        return self._given.n_positions - self._plan.first_position

    def _last(self, rows: Stream, leaving: int) -> Stream:
        """The last positions of each prompt."""
        if leaving == self._positions:
            return rows
        split = rows.reshape(len(rows), self._plan.n_prompts, self._positions, -1)[:, :, -leaving:]
        return split.reshape(len(rows), -1, rows.shape[2]).contiguous()

    def _attend(
        self, index: int, a: DenseAttention, work: HeadWork | None, x: Stream, leaving: int, where: slice
    ) -> Outputs:
        """``g (z - baseline)`` of every head, ``[masks, prompts * leaving, heads * d_head]``."""
        q, k, v = (
            part.reshape(len(x) * self._plan.n_prompts, -1, *part.shape[2:]) for part in self._projected(a, work, x)
        )
        # In the last block queries of all positions are projected and few are read: one product instead of three.
        q, k = self._head_norm(a.q_norm, q[:, -leaving:]), self._head_norm(a.k_norm, k)
        places = self._given.clean.positions[index]
        start = self._plan.first_position
        before = None
        if start:
            old_k, old_v = (kept[self._prompts, :start] for kept in self._given.kept[index])
            before = old_k.to(q.dtype), old_v.to(q.dtype)
        gates = None if work is None else work.gates
        baseline = None
        if work is not None:
            rows = self._constants.baseline(index, "head", self._prompts, where, q.dtype)
            baseline = None if rows is None else rows.reshape(-1, leaving, rows.shape[1])
        z = kernels.attention(
            q,
            k,
            v,
            scale=a.scale,
            cos=None if places.cos is None else places.cos[0].to(q.device),
            sin=None if places.sin is None else places.sin[0].to(q.device),
            before=before,
            gates=gates,
            baseline=baseline,
            softcap=a.softcap,
            window=places.window or 0,
        )
        return z.reshape(len(x), -1, z.shape[2])

    def _projected(
        self, a: DenseAttention, work: HeadWork | None, x: Stream
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries, keys and values, ``[masks, rows, heads, d_head]``; what no head needs holds anything."""
        if a.joined is not None:
            joint = self._part(a.joined, x, None if work is None else work.joint)
            q, k, v = torch.split(_heads(joint, a.d_head), [a.n_heads, a.n_kv, a.n_kv], dim=2)
            return q, k, v
        queries, keys = (None, None) if work is None else (work.queries, work.keys)
        parts = (a.q, queries), (a.k, keys), (a.v, keys)
        q, k, v = (_heads(self._part(part, x, rows), a.d_head) for part, rows in parts)
        return q, k, v

    def _part(self, linear: Linear, x: Stream, rows: BlockRows | None) -> Outputs:
        return linear(x) if rows is None else _into(x, linear, rows)

    def _head_norm(self, norm: Norm | None, x: ByHead) -> ByHead:
        if norm is None:
            return x
        if norm.parts is None or norm.parts.scale.shape != x.shape[-1:]:
            return norm(x)
        return kernels.norm(x.reshape(-1, *x.shape[2:]), **self._constants.norm(norm, x.device)).reshape(x.shape)

    def _attention_out(
        self, index: int, layer: DenseLayer, work: LayerWork, z: Outputs, h: Stream, where: slice
    ) -> Stream:
        """The stream with what attention adds to it."""
        o, kind = layer.attention.o, None if work.head is None else "head"
        added = self._constants.added(index, kind, o, self._prompts, where, h.dtype)
        post = None if layer.post_1 is None else self._constants.norm(layer.post_1, h.device)
        if work.head is not None and work.head.blocks is not None:
            out = kernels.project_out(z, o.weight, work.head.blocks, added=added, residual=h if post is None else None)
        elif post is None and h.dtype == o.weight.dtype:
            start = _plus(h, added)
            out = torch.addmm(start.flatten(0, 1), z.flatten(0, 1), o.weight.T).reshape(h.shape)
        else:
            out = _plus(torch.nn.functional.linear(z, o.weight), added)
            if post is None:
                return h + out
        return out if post is None else kernels.norm(out, **post, residual=h)

    def _neurons(self, index: int, mlp: DenseMLP, work: LayerWork, x: Stream, where: slice) -> Outputs:
        """The neurons of these rows: ``g (a - baseline)`` where they are gated as a whole, else as they are."""
        neurons = work.neurons
        gates = baseline = None
        if neurons is not None:
            gates = neurons.gates
            baseline = self._constants.baseline(index, "neurons", self._prompts, where, x.dtype)
        if neurons is not None and neurons.rows is not None and mlp.activation_name is not None:
            gate = (None, None) if mlp.gate is None else (mlp.gate.weight, mlp.gate.bias)
            return kernels.project_in(
                x,
                mlp.up.weight,
                mlp.up.bias,
                neurons.rows,
                gates=gates,
                baseline=baseline,
                gate_weight=gate[0],
                gate_bias=gate[1],
                activation=mlp.activation_name,
                zeros=neurons.blocks is None,
            )
        if mlp.joined is not None:
            halves = mlp.joined(x).chunk(2, dim=-1)
            gate_part: torch.Tensor | None = halves[0]
            up = halves[1]
        else:
            gate_part, up = None if mlp.gate is None else mlp.gate(x), mlp.up(x)
        if mlp.activation_name is not None:
            found = kernels.activate(up, gate_part, activation=mlp.activation_name, gates=gates, baseline=baseline)
        else:
            found = mlp.activation(up) if gate_part is None else mlp.activation(gate_part) * up
            if gates is not None:
                found = gates[:, None].to(found.dtype) * _plus(found, None if baseline is None else -baseline)
        if neurons is None and (index, "neurons") in self._given.gates:
            found = self._by_position(index, "neurons", found, where)
        return found

    def _neurons_out(self, index: int, mlp: DenseMLP, work: LayerWork, found: Outputs, where: slice) -> Stream:
        neurons = work.neurons
        if neurons is None:
            return mlp.out(found)
        added = self._constants.added(index, "neurons", mlp.out, self._prompts, where, mlp.out.weight.dtype)
        if neurons.blocks is not None:
            return kernels.project_out(found, mlp.out.weight, neurons.blocks, added=added)
        return _plus(torch.nn.functional.linear(found, mlp.out.weight), added)

    def _by_position(self, index: int, kind: str, rows: Stream, where: slice) -> Stream:
        """``b + g (z - b)`` with gates that differ between positions."""
        site = self._given.gates[index, kind]
        g = site.of(self._gates, where).to(rows.dtype)
        z = rows.reshape(len(rows), self._plan.n_prompts, -1, rows.shape[2])
        base = site.base(self._prompts, where)
        gated = z * g if base is None else torch.lerp(base.to(z.dtype), z, g.expand_as(z))
        return gated.flatten(1, 2)


def _into(x: Stream, linear: Linear, work: BlockRows) -> Outputs:
    return kernels.project_in(x, linear.weight, linear.bias, work)


def _heads(rows: Outputs, width: int) -> torch.Tensor:
    return rows.reshape(*rows.shape[:2], -1, width)


def _plus(rows: Stream, added: torch.Tensor | None) -> Stream:
    """``rows`` with ``added [S, width]``, a piece of S rows after the other."""
    if added is None:
        return rows
    return (rows.reshape(len(rows), -1, *added.shape) + added.to(rows.dtype)).flatten(1, 2)
