"""Every operator on random inputs of a model's shape, beside what PyTorch has for the same without masks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from model_shapes import ModelShape

from circuitspex.kernels import operators
from circuitspex.kernels.work import block_rows, mask_blocks

# Neurons are gated in groups of this many.
NEURONS = 64


@dataclass(frozen=True)
class Example:
    """One set of inputs: the operator on it, PyTorch on it with nothing ablated, and what both must do at least."""

    ours: Callable[[], torch.Tensor]
    plain: Callable[[], torch.Tensor]
    amount: float  # operations or bytes of what is kept
    whole: float  # of everything
    bytes_held: int  # of all inputs


@dataclass(frozen=True)
class Setting:
    """Masks (groups), rows under each, and the share of blocks that each mask keeps."""

    shape: ModelShape
    groups: int
    rows: int
    density: float
    device: str
    dtype: torch.dtype

    def random(self, *size: int) -> torch.Tensor:
        return torch.randn(size, device=self.device, dtype=self.dtype)

    def weight(self, outputs: int, inputs: int) -> torch.Tensor:
        return self.random(outputs, inputs) / inputs**0.5

    def on(self, blocks: int) -> np.ndarray:
        """bool ``[groups, blocks]``, as many blocks in each row as the density says."""
        kept = max(1, round(self.density * blocks))
        return np.random.default_rng().random((self.groups, blocks)).argsort(1) < kept

    def some_masks(self) -> np.ndarray:
        """bool ``[groups]``, as many as the density says."""
        return np.random.default_rng().permutation(self.groups) < max(1, round(self.density * self.groups))


def held(*tensors: torch.Tensor) -> int:
    """Bytes."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def queries(s: Setting) -> Example:
    """Query heads, gated along N."""
    d, width = s.shape.d_model, s.shape.heads * s.shape.d_head
    x, weight, on = s.random(s.groups, s.rows, d), s.weight(width, d), s.on(s.shape.heads)
    work = block_rows(on, s.rows, s.device)
    whole = 2.0 * s.groups * s.rows * d * width
    return Example(
        lambda: operators.project_in(x, weight, None, work),
        lambda: F.linear(x, weight),
        whole * on.mean(),
        whole,
        held(x, weight, x),
    )


def gate_up(s: Setting) -> Example:
    """Gate, up and SwiGLU of groups of neurons, along N; plain: one joined product, then the activation."""
    d, m = s.shape.d_model, s.shape.d_mlp
    x, weight, on = s.random(s.groups, s.rows, d), s.weight(2 * m, d), s.on(m // NEURONS)
    work = block_rows(on, s.rows, s.device)

    def plain() -> torch.Tensor:
        gate, up = F.linear(x, weight).chunk(2, dim=-1)
        return F.silu(gate).mul_(up)

    whole = 2.0 * s.groups * s.rows * d * 2 * m
    return Example(
        lambda: operators.project_in(x, weight[m:], None, work, gate_weight=weight[:m], activation="silu"),
        plain,
        whole * on.mean(),
        whole,
        held(x, weight),
    )


def _project_out(s: Setting, blocks: int, width: int) -> Example:
    d = s.shape.d_model
    z, weight, residual = s.random(s.groups, s.rows, width), s.weight(d, width), s.random(s.groups, s.rows, d)
    on = s.on(blocks)
    work, added = mask_blocks(on, s.device), s.random(1, d)
    whole = 2.0 * s.groups * s.rows * d * width
    return Example(
        lambda: operators.project_out(z, weight, work, added=added, residual=residual),
        lambda: torch.addmm((residual + added).view(-1, d), z.view(-1, width), weight.T).view_as(residual),
        whole * on.mean(),
        whole,
        held(z, weight, residual),
    )


def output(s: Setting) -> Example:
    """The output projection of heads, gated along K, with residual."""
    return _project_out(s, s.shape.heads, s.shape.heads * s.shape.d_head)


def down(s: Setting) -> Example:
    """The down projection of groups of neurons, gated along K, with residual."""
    return _project_out(s, s.shape.d_mlp // NEURONS, s.shape.d_mlp)


def attention(s: Setting) -> Example:
    """One prompt a mask; plain is SDPA on keys and values of fewer heads."""
    heads, kv, width = s.shape.heads, s.shape.kv, s.shape.d_head
    q, k, v = (s.random(s.groups, s.rows, n, width) for n in (heads, kv, kv))
    on = s.on(heads)
    gates = torch.from_numpy(on).to(s.device, torch.float32)[:, None]
    whole = 4.0 * s.groups * heads * width * s.rows * (s.rows + 1) / 2

    def plain() -> torch.Tensor:
        turned = (part.transpose(1, 2) for part in (q, k, v))
        z = F.scaled_dot_product_attention(*turned, is_causal=True, enable_gqa=True)
        return z.transpose(1, 2).reshape(s.groups, s.rows, -1)

    return Example(
        lambda: operators.attention(q, k, v, scale=width**-0.5, gates=gates),
        plain,
        whole * on.mean(),
        whole,
        held(q, k, v),
    )


def activate(s: Setting) -> Example:
    """SwiGLU with a gate for every neuron; plain has no gates. What is off is not read."""
    m = s.shape.d_mlp
    joined, on = s.random(s.groups, s.rows, 2 * m), np.random.default_rng().random((s.groups, m)) < s.density
    gate, up = joined.chunk(2, dim=-1)
    gates = torch.from_numpy(on).to(s.device, torch.float32)
    whole = 3.0 * s.groups * s.rows * m * joined.element_size()
    return Example(
        lambda: operators.activate(up, gate, activation="silu", gates=gates),
        lambda: F.silu(gate) * up,
        whole * (1 + 2 * on.mean()) / 3,
        whole,
        held(joined),
    )


def norm(s: Setting) -> Example:
    """The rows of the masks whose MLP is on, gathered; plain norms all."""
    d = s.shape.d_model
    x, scale = s.random(s.groups, s.rows, d), s.random(d)
    chosen = np.flatnonzero(s.some_masks())
    masks = torch.from_numpy(chosen.astype(np.int32)).to(s.device)
    whole = 2.0 * held(x)
    return Example(
        lambda: operators.norm(x, scale, eps=1e-5, masks=masks),
        lambda: F.rms_norm(x, (d,), scale, 1e-5),
        whole * len(masks) / s.groups,
        whole,
        held(x),
    )


def add_norm(s: Setting) -> Example:
    """What MLPs gave is added back where they are on, and everything normed; plain adds and norms all."""
    d = s.shape.d_model
    h, scale = s.random(s.groups, s.rows, d), s.random(d)
    on = s.some_masks()
    out = s.random(int(on.sum()), s.rows, d)
    slots = torch.from_numpy(np.where(on, on.cumsum() - 1, -1).astype(np.int32)).to(s.device)
    gain = torch.from_numpy(on).to(s.device, torch.float32)
    every = out if on.all() else s.random(s.groups, s.rows, d)
    return Example(
        lambda: operators.add_norm(h, out, scale, eps=1e-5, slots=slots, gain=gain)[1],
        lambda: F.rms_norm(h + every, (d,), scale, 1e-5),
        3.0 * held(h) + held(out),
        4.0 * held(h),
        held(h, out),
    )


# Whether each is bound by operations; the others are bound by bytes.
OPERATORS: dict[str, tuple[Callable[[Setting], Example], bool]] = {
    "project_in: queries": (queries, True),
    "project_in: gate, up, SwiGLU": (gate_up, True),
    "project_out: heads": (output, True),
    "project_out: neurons": (down, True),
    "attention": (attention, True),
    "activate: a gate a neuron": (activate, False),
    "norm: rows that are on": (norm, False),
    "add_norm": (add_norm, False),
}
