"""One layer of a dense transformer cut into the destinations and sources of its edges."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from circuitspex.ablation.edges.unit_norm import unit_norm
from circuitspex.ablation.executors.attention import attention, rotated
from circuitspex.ablation.executors.clean import Positions
from circuitspex.ablation.executors.dense import DenseAttention, DenseLayer, NotDenseError
from circuitspex.ablation.executors.linear import Linear
from circuitspex.ablation.executors.norms import Norm, NormParts

Read = Float[Tensor, "masks targets prompts pos d_model"]
"""What destinations read, each its own residual stream."""
Projected = Float[Tensor, "rows pos heads d_head"]
"""Of all masks and prompts."""
Written = Float[Tensor, "masks sources prompts pos d_model"]
"""What sources add to the residual stream."""


@dataclass(frozen=True)
class EdgeLayerParts:
    """A layer's functions from what its destinations read to what its sources write.

    ``q``, ``k``, ``v`` and ``o`` are weights and biases by head; ``k`` and ``v`` by key/value head, or by query head in
    an ungrouped graph. ``constant`` is what attention adds to the stream whatever its heads do, its output bias.
    """

    layer: DenseLayer
    attention: DenseAttention
    q: tuple[Tensor, Tensor | None]
    k: tuple[Tensor, Tensor | None]
    v: tuple[Tensor, Tensor | None]
    o: Tensor
    constant: Tensor | None
    after: NormParts | None
    before: NormParts | None
    """The norm whose weights are in those of ``q``, ``k`` and ``v``; None where the norm itself is asked."""

    @classmethod
    def of(cls, layer: DenseLayer, *, ungrouped: bool) -> EdgeLayerParts:
        """Of one layer.

        Raises:
            NotDenseError: a norm after attention of a kind that is not known, so that heads have no shares in it.
        """
        a = layer.attention
        heads_of = a.n_heads // a.n_kv if ungrouped else 1
        after = _after(layer.post_1)
        constant = a.o.bias
        if after is not None and (constant is not None or after.shift is not None):
            raise NotDenseError("a bias is added before or in the norm after attention, which no head writes")
        # A norm with slopes of its own, as relevance propagation has, is asked itself.
        plain = type(layer.norm_1) is Norm and a.q.weight.dtype in (torch.float32, torch.float64)
        before = layer.norm_1.parts if plain else None
        q = _by_head(_normed(a.q, before), a.n_heads, a.d_head)
        k, v = (_by_head(_normed(part, before), a.n_kv, a.d_head, repeat=heads_of) for part in (a.k, a.v))
        return cls(
            layer,
            replace(a, n_kv=a.n_heads) if ungrouped else a,
            q,
            k,
            v,
            a.o.weight.T.reshape(a.n_heads, a.d_head, -1).contiguous(),
            constant,
            after,
            before,
        )

    @property
    def n_targets(self) -> int:
        """How many destinations queries, keys and values are."""
        return len(self.q[0]) + len(self.k[0]) + len(self.v[0])

    def heads(self, x: Read, places: Positions) -> Written:
        """What each head adds to the stream, from what its query, key and value read: queries first, then keys."""
        a = self.attention
        masks, _, prompts, length, _ = x.shape
        q, k, v = self.projected(x)
        q = q if a.q_norm is None else a.q_norm(q)
        k = k if a.k_norm is None else a.k_norm(k)
        q, k = rotated(q, places, 0), rotated(k, places, 0)
        z = attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), a, places)  # rows, head, pos, d_head
        z = z.reshape(masks, prompts, a.n_heads, length, a.d_head).permute(2, 0, 1, 3, 4).flatten(1, 3)
        return self.written(z.reshape(a.n_heads, masks, prompts, length, a.d_head))

    def projected(self, x: Read) -> tuple[Projected, Projected, Projected]:
        """What the projections of query, key and value give, each head's of what its own destination reads."""
        x = self.layer.norm_1(x) if self.before is None else unit_norm(x, self.before)
        n_q, n_k = len(self.q[0]), len(self.k[0])
        q, k, v = torch.split(x, [n_q, n_k, n_k], dim=1)
        return _projected(self.q, q), _projected(self.k, k), _projected(self.v, v)

    def written(self, z: Float[Tensor, "heads masks prompts pos d_head"]) -> Written:
        """What each head adds to the stream, from its output before the output projection."""
        out = torch.bmm(z.flatten(1, 3), self.o.to(z.dtype)).reshape(*z.shape[:4], -1).transpose(0, 1)
        return out if self.after is None else _shares(out, self.after)

    def mlp(self, x: Read) -> Written:
        """What the MLP adds to the stream."""
        layer = self.layer
        out = layer.mlp.out(layer.mlp.neurons(layer.norm_2(x)))
        return out if layer.post_2 is None else layer.post_2(out.to(x.dtype))


def _projected(part: tuple[Tensor, Tensor | None], x: Read) -> Projected:
    """Each destination's own normed stream times its own weights."""
    weight, bias = part
    masks, heads, prompts, length, width = x.shape
    flat = x.transpose(0, 1).reshape(heads, -1, width)
    found = torch.bmm(flat, weight) if bias is None else torch.baddbmm(bias, flat, weight)
    return found.reshape(heads, masks * prompts, length, -1).permute(1, 2, 0, 3)


def _normed(part: Linear, norm: NormParts | None) -> Linear:
    """A projection of what a norm gives, from what it gives without its weights."""
    if norm is None:
        return part
    weight, bias = part.weight.double(), part.bias
    if norm.shift is not None:
        moved = weight @ norm.shift.to(weight)
        bias = (moved if bias is None else moved + bias).to(part.weight.dtype)
    return Linear((weight * norm.scale.to(weight)).to(part.weight.dtype), bias)


def _by_head(part: Linear, n_heads: int, d_head: int, repeat: int = 1) -> tuple[Tensor, Tensor | None]:
    """``[heads, d_model, d_head]`` and ``[heads, 1, d_head]``."""
    weight = part.weight.reshape(n_heads, d_head, -1).transpose(1, 2).contiguous()
    bias = None if part.bias is None else part.bias.reshape(n_heads, 1, d_head)
    if repeat > 1:
        weight = weight.repeat_interleave(repeat, 0)
        bias = None if bias is None else bias.repeat_interleave(repeat, 0)
    return weight, bias


def _after(norm: Norm | None) -> NormParts | None:
    if norm is None:
        return None
    if norm.parts is None:
        raise NotDenseError("the norm after attention is of an unknown kind")
    return norm.parts


def _shares(out: Written, norm: NormParts) -> Written:
    """Each head's share of what a norm makes of their sum: at the scale that the norm has in this pass."""
    whole = out.sum(1, keepdim=True)
    if norm.centred:
        out, whole = out - out.mean(-1, keepdim=True), whole - whole.mean(-1, keepdim=True)
    scale = torch.rsqrt(whole.square().mean(-1, keepdim=True) + norm.eps)
    return out * scale * norm.scale.to(out)
