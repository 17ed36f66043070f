"""The operators as ``torch.library`` knows them, ``circuitspex::…``: schema, what runs, and the shapes of results.

A schema is read off an operator's annotations, and knows plain tensors only: shapes stand in ``operators``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from circuitspex.kernels import definitions
from circuitspex.kernels.choice import with_fallback
from circuitspex.kernels.tile_sizes import LARGEST_HEAD

Optional = Tensor | None


def _run(name: str, plain: Any, *given: Any) -> Any:
    """The Triton kernel of an operator where Triton is used, else its definition in plain PyTorch."""

    def fast() -> Any:
        from circuitspex.kernels.launchers import LAUNCHERS

        return LAUNCHERS[name](*given)

    return with_fallback(name, given, fast, plain)


@torch.library.custom_op("circuitspex::norm", mutates_args=())
def _norm(
    x: Tensor,
    scale: Tensor,
    shift: Optional,
    residual: Optional,
    masks: Optional,
    eps: float,
    centred: bool,
    dtype: torch.dtype,
) -> Tensor:
    given = (x, scale, shift, residual, masks, eps, centred, dtype)
    return _run("norm", lambda: definitions.norm(*given), *given)  # type: ignore[no-any-return]


@_norm.register_fake
def _(x: Any, scale: Any, shift: Any, residual: Any, masks: Any, eps: Any, centred: Any, dtype: Any) -> Any:
    return x.new_empty((len(x if masks is None else masks), *x.shape[1:]), dtype=dtype)


@torch.library.custom_op("circuitspex::add_norm", mutates_args=())
def _add_norm(
    h: Tensor,
    out: Tensor,
    slots: Optional,
    gain: Optional,
    baseline: Optional,
    scale: Tensor,
    shift: Optional,
    eps: float,
    centred: bool,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    given = (h, out, slots, gain, baseline, scale, shift, eps, centred, dtype)
    return _run("add_norm", lambda: definitions.add_norm(*given), *given)  # type: ignore[no-any-return]


@_add_norm.register_fake
def _(h: Any, out: Any, slots: Any, gain: Any, baseline: Any, scale: Any, shift: Any, *rest: Any) -> Any:
    return h.new_empty(h.shape), h.new_empty(h.shape, dtype=rest[-1])


@torch.library.custom_op("circuitspex::project_in", mutates_args=())
def _project_in(
    x: Tensor,
    weight: Tensor,
    bias: Optional,
    gate_weight: Optional,
    gate_bias: Optional,
    gates: Optional,
    baseline: Optional,
    members: Tensor,
    starts: Tensor,
    tiles: Tensor,
    n_tiles: Tensor,
    tile_rows: int,
    activation: str,
    zeros: bool,
) -> Tensor:
    def plain() -> Tensor:
        g = torch.zeros(len(x), len(starts) - 1, device=x.device)
        counts = (starts[1:] - starts[:-1]).long()
        on = (
            members[int(starts[0]) : int(starts[-1])].long(),
            torch.arange(len(counts), device=x.device).repeat_interleave(counts),
        )
        g[on] = 1.0 if gates is None else gates.float()[on]
        return definitions.project_in(x, weight, bias, gate_weight, gate_bias, g, baseline, activation)

    return _run(  # type: ignore[no-any-return]
        "project_in", plain, x, weight, bias, gate_weight, gate_bias, gates, baseline,
        members, starts, tiles, n_tiles, tile_rows, activation, zeros,
    )  # fmt: skip


@_project_in.register_fake
def _(x: Any, weight: Any, *rest: Any) -> Any:
    return weight.new_empty((*x.shape[:2], weight.shape[0]))


@torch.library.custom_op("circuitspex::activate", mutates_args=())
def _activate(up: Tensor, gate: Optional, gates: Optional, baseline: Optional, activation: str) -> Tensor:
    given = (up, gate, gates, baseline, activation)
    return _run("activate", lambda: definitions.activate(*given), *given)  # type: ignore[no-any-return]


@_activate.register_fake
def _(up: Any, gate: Any, gates: Any, baseline: Any, activation: Any) -> Any:
    return up.new_empty(up.shape)


@torch.library.custom_op("circuitspex::project_out", mutates_args=())
def _project_out(
    z: Tensor, weight: Tensor, blocks: Tensor, starts: Tensor, n_blocks: int, added: Optional, residual: Optional
) -> Tensor:
    def plain() -> Tensor:
        n_masks = len(starts) - 1
        g = torch.zeros(n_masks, n_blocks, device=z.device)
        counts = (starts[1:] - starts[:-1]).long()
        masks = torch.arange(n_masks, device=z.device).repeat_interleave(counts)
        g[masks, blocks[int(starts[0]) : int(starts[-1])].long()] = 1.0
        return definitions.project_out(z, weight, g, added, residual)

    return _run("project_out", plain, z, weight, blocks, starts, n_blocks, added, residual)  # type: ignore[no-any-return]


@_project_out.register_fake
def _(z: Any, weight: Any, blocks: Any, starts: Any, n_blocks: Any, added: Any, residual: Any) -> Any:
    return (z if residual is None else residual).new_empty((*z.shape[:2], weight.shape[0]))


@torch.library.custom_op("circuitspex::attention", mutates_args=())
def _attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cos: Optional,
    sin: Optional,
    before_k: Optional,
    before_v: Optional,
    gates: Optional,
    baseline: Optional,
    scale: float,
    softcap: float,
    window: int,
) -> Tensor:
    given = (q, k, v, cos, sin, before_k, before_v, gates, baseline, scale, softcap, window)
    if q.shape[3] > LARGEST_HEAD:
        return definitions.attention(*given)
    return _run("attention", lambda: definitions.attention(*given), *given)  # type: ignore[no-any-return]


@_attention.register_fake
def _(q: Any, *rest: Any) -> Any:
    return q.new_empty((*q.shape[:2], q.shape[2] * q.shape[3]))
