"""The operators, one launch each.

G masks, R rows under each (prompts times positions), B blocks of width D (heads, or groups of neurons), S rows of a
baseline, a divisor of R: row r takes ``r % S``. Gates are float32 in [0, 1], 1 for kept and 0 for ablated. Products are
accumulated in float32. The operators have no backward pass: passes with gradients run in plain PyTorch.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from circuitspex.errors import UserError
from circuitspex.kernels import (
    definitions,
    registered,  # noqa: F401 (what it registers is called by name)
)
from circuitspex.kernels.work import BlockRows, MaskBlocks


def norm(
    x: Float[Tensor, "G R I"],
    scale: Float[Tensor, " I"],
    shift: Float[Tensor, " I"] | None = None,
    *,
    eps: float,
    centred: bool = False,
    residual: Float[Tensor, "G R I"] | None = None,
    masks: Int[Tensor, " some"] | None = None,
    dtype: torch.dtype | None = None,
) -> Float[Tensor, "some R I"]:
    """``residual + x / rms(x) * scale + shift`` along the last axis, of the rows of some masks, beside each other.

    Args:
        x: ``[G, R, I]``, its last axis contiguous; other axes may have any strides.
        scale: ``[I]``.
        shift: ``[I]``.
        eps: added to the mean of squares.
        centred: subtract the mean first (LayerNorm); else root mean square alone (RMSNorm).
        residual: ``[G, R, I]``, contiguous; not together with ``masks``.
        masks: int32, which masks to take, in this order; None is all. An index may come twice.
        dtype: of the result; by default that of the residual, or of ``x``.

    Returns:
        ``[some, R, I]``, contiguous; computed in float32 and rounded once.
    """
    if x.ndim != 3 or scale.shape != x.shape[2:] or (residual is not None and masks is not None):
        raise UserError(f"x {tuple(x.shape)} and scale {tuple(scale.shape)} don't fit, or residual and masks are given")
    dtype = dtype or (x if residual is None else residual).dtype
    return torch.ops.circuitspex.norm(x, scale, shift, residual, masks, eps, centred, dtype)  # type: ignore[no-any-return]


def add_norm(
    h: Float[Tensor, "G R I"],
    out: Float[Tensor, "some R I"],
    scale: Float[Tensor, " I"],
    shift: Float[Tensor, " I"] | None = None,
    *,
    eps: float,
    centred: bool = False,
    slots: Int[Tensor, " G"] | None = None,
    gain: Float[Tensor, " G"] | None = None,
    baseline: Float[Tensor, "S I"] | None = None,
    dtype: torch.dtype | None = None,
) -> tuple[Float[Tensor, "G R I"], Float[Tensor, "G R I"]]:
    """``h' = h + gain * out + (1 - gain) * baseline``, and the norm of h' as in ``norm``.

    Args:
        h: ``[G, R, I]``, contiguous.
        out: ``[some, R, I]``, contiguous: what an MLP gave for the masks under which it is on.
        scale: of the norm, ``[I]``.
        shift: of the norm, ``[I]``.
        eps: of the norm.
        centred: of the norm.
        slots: int32 ``[G]``, the place in ``out`` of each mask, or -1 where there is none and the gain is 0; None is
            each mask's own place.
        gain: float32 ``[G]``, the gate of each mask; where it is 0, ``out`` is not read. None is 1 everywhere.
        baseline: ``[S, I]``; None is zero. Not without ``gain``.
        dtype: of the norm's result; by default that of ``h``.

    Returns:
        h' in the dtype of ``h``, and its norm (of the rounded h'), both ``[G, R, I]``.
    """
    if h.ndim != 3 or out.shape[1:] != h.shape[1:] or (slots is None and len(out) != len(h)):
        raise UserError(f"h {tuple(h.shape)} and out {tuple(out.shape)} don't fit")
    _check_rows(h, h, baseline)
    if gain is None and (slots is not None or baseline is not None):
        raise UserError("slots and a baseline need the gates in 'gain'")
    dtype = dtype or h.dtype
    return torch.ops.circuitspex.add_norm(h, out, slots, gain, baseline, scale, shift, eps, centred, dtype)  # type: ignore[no-any-return]


def project_in(
    x: Float[Tensor, "G R I"],
    weight: Float[Tensor, "B*D I"],
    bias: Float[Tensor, " B*D"] | None,
    work: BlockRows,
    *,
    gates: Float[Tensor, "G B"] | None = None,
    baseline: Float[Tensor, "S B*D"] | None = None,
    gate_weight: Float[Tensor, "B*D I"] | None = None,
    gate_bias: Float[Tensor, " B*D"] | None = None,
    activation: str = "none",
    zeros: bool = False,
) -> Float[Tensor, "G R B*D"]:
    """``g (act(x W' + bias) - baseline)`` for the blocks that are on; the others are not computed.

    Args:
        x: ``[G, R, I]``, contiguous.
        weight: ``[B * D, I]``, one of its axes contiguous.
        bias: ``[B * D]``.
        work: which blocks are on under which masks, from ``work.block_rows``.
        gates: float32 ``[G, B]``, not 0 where a block is on; None is 1 there.
        baseline: ``[S, B * D]``; None is zero.
        gate_weight: like ``weight``; with it the result is ``act(x W_gate' + bias_gate) * (x W' + bias)``.
        gate_bias: like ``bias``.
        activation: a name in ``definitions.ACTIVATIONS``.
        zeros: write zeros into blocks that are off. Otherwise they hold anything, NaN too.

    Returns:
        ``[G, R, B * D]`` in the dtype of the weight.
    """
    n_blocks = len(work.starts) - 1
    if activation not in definitions.ACTIVATIONS:
        raise UserError(f"unknown activation '{activation}'; allowed: {', '.join(definitions.ACTIVATIONS)}")
    few = len(work.members) < len(x) * n_blocks
    if x.ndim != 3 or few or weight.shape[1] != x.shape[2] or weight.shape[0] % n_blocks:
        raise UserError(f"x {tuple(x.shape)}, weight {tuple(weight.shape)} and {n_blocks} blocks don't fit")
    _check_rows(x, weight, baseline)
    return torch.ops.circuitspex.project_in(  # type: ignore[no-any-return]
        x, weight, bias, gate_weight, gate_bias, gates, baseline,
        work.members, work.starts, work.tiles, work.n_tiles, work.tile_rows, activation, zeros,
    )  # fmt: skip


def activate(
    up: Float[Tensor, "G R N"],
    gate: Float[Tensor, "G R N"] | None = None,
    *,
    activation: str,
    gates: Float[Tensor, "G N"] | None = None,
    baseline: Float[Tensor, "S N"] | None = None,
) -> Float[Tensor, "G R N"]:
    """``g (act(gate) * up - baseline)``, or ``g (act(up) - baseline)`` without ``gate``; a gate for every neuron.

    Args:
        up: ``[G, R, N]``, its last axis contiguous, rows at one stride (a half of a joined product).
        gate: like ``up``.
        activation: a name in ``definitions.ACTIVATIONS``.
        gates: float32 ``[G, N]``; where one is exactly 0 nothing is read and 0 is written. None is 1.
        baseline: ``[S, N]``; None is zero. Not without ``gates``.

    Returns:
        ``[G, R, N]``, contiguous, computed in float32.
    """
    if activation not in definitions.ACTIVATIONS:
        raise UserError(f"unknown activation '{activation}'; allowed: {', '.join(definitions.ACTIVATIONS)}")
    if up.ndim != 3 or (gate is not None and gate.shape != up.shape) or (gates is None and baseline is not None):
        raise UserError(f"up {tuple(up.shape)} and what gates it don't fit")
    _check_rows(up, up, baseline)
    return torch.ops.circuitspex.activate(up, gate, gates, baseline, activation)  # type: ignore[no-any-return]


def project_out(
    z: Float[Tensor, "G R B*D"],
    weight: Float[Tensor, "O B*D"],
    work: MaskBlocks,
    *,
    added: Float[Tensor, "S O"] | None = None,
    residual: Float[Tensor, "G R O"] | None = None,
) -> Float[Tensor, "G R O"]:
    """``residual + added + sum over the blocks that are on of z_b W_b'``.

    ``z`` is what remains of gated blocks, ``g (z - b)``; what baselines and the bias give, ``b W' + bias``, is the same
    for all masks and is ``added``.

    Args:
        z: ``[G, R, B * D]``, contiguous; blocks that are off are not read.
        weight: ``[O, B * D]``, one of its axes contiguous.
        work: which blocks are on, from ``work.mask_blocks``.
        added: ``[S, O]``.
        residual: ``[G, R, O]``, contiguous.

    Returns:
        ``[G, R, O]`` in the dtype of the residual, or of ``z``.
    """
    groups, n_blocks = len(work.starts) - 1, work.n_blocks
    if z.ndim != 3 or len(z) != groups or z.shape[2] != weight.shape[1] or (n_blocks and weight.shape[1] % n_blocks):
        raise UserError(f"z {tuple(z.shape)}, weight {tuple(weight.shape)} and {n_blocks} blocks don't fit")
    _check_rows(z, weight, added)
    return torch.ops.circuitspex.project_out(z, weight, work.blocks, work.starts, n_blocks, added, residual)  # type: ignore[no-any-return]


def attention(
    q: Float[Tensor, "G*P queries H D"],
    k: Float[Tensor, "G*P keys kv D"],
    v: Float[Tensor, "G*P keys kv D"],
    *,
    scale: float,
    cos: Float[Tensor, "pos rotary"] | None = None,
    sin: Float[Tensor, "pos rotary"] | None = None,
    before: tuple[Float[Tensor, "P before kv D"], Float[Tensor, "P before kv D"]] | None = None,
    gates: Float[Tensor, "G queries_or_1 H"] | None = None,
    baseline: Float[Tensor, "P_or_1 queries H*D"] | None = None,
    softcap: float = 0.0,
    window: int = 0,
) -> Float[Tensor, "G*P queries H*D"]:
    """Causal attention, ``g (z - baseline)``; heads that are off are not computed, and give zeros.

    Args:
        q: ``[G * P, queries, H, D]``, the last of the positions; its last axis contiguous, other strides free.
        k: ``[G * P, keys, kv heads, D]``, of which there are a divisor of H; strides as for ``q``.
        v: like ``k``.
        scale: of the scores.
        cos: ``[pos, rotary]`` by absolute position, applied to the first numbers of q and k, halves beside each other;
            None where positions are not rotary. At most D, and even.
        sin: like ``cos``.
        before: keys (rotated already) and values of the positions before those of ``k``, ``[P, before, kv heads, D]``,
            shared by all masks: sequence n takes ``n % P``.
        gates: float32 ``[G, queries or 1, H]``; sequence n belongs to mask ``n // P``. A head whose gates are 0 at
            every position does not read q, k and v. None is 1, without a baseline.
        baseline: ``[P or 1, queries, H * D]``; sequence n takes ``n % P``. None is zero.
        softcap: scores become ``softcap * tanh(scores / softcap)``; 0 is off.
        window: a query sees this many positions up to its own; 0 is all.

    Returns:
        ``[G * P, queries, H * D]``, contiguous.
    """
    fits = q.ndim == 4 and k.shape == v.shape and q.shape[2] % k.shape[2] == 0 and q.shape[1] <= k.shape[1]
    if not fits or (gates is not None and (len(q) % max(1, len(gates)) or gates.shape[2] != q.shape[2])):
        raise UserError(f"q {tuple(q.shape)}, k {tuple(k.shape)}, v {tuple(v.shape)} and their gates don't fit")
    old_k, old_v = before or (None, None)
    return torch.ops.circuitspex.attention(  # type: ignore[no-any-return]
        q, k, v, cos, sin, old_k, old_v, gates, baseline, scale, softcap, window
    )


def _check_rows(x: Tensor, weight: Tensor, baseline: Tensor | None) -> None:
    """That a product has one dtype, and that the rows of a baseline go into the rows under each mask."""
    if x.dtype != weight.dtype:
        raise UserError(f"rows of {x.dtype} can't be multiplied with a weight of {weight.dtype}")
    if baseline is not None and len(baseline) and x.shape[1] % len(baseline):
        raise UserError(f"a baseline of {len(baseline)} rows doesn't fit {x.shape[1]} rows under each mask")
