"""The operators as ``torch.library`` knows them: schema, implementation, shapes, backward pass.

G groups with a mask each, R rows in a group (prompts times positions), B blocks of width D (heads, or groups of
neurons), O outputs. Gates are 1 for kept, 0 for ablated. Weights are frozen: they get no gradient.

float32, bfloat16 and float16 are accumulated in float32 by the kernels; other dtypes run in plain PyTorch.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from circuitspex.errors import UserError
from circuitspex.kernels import reference
from circuitspex.kernels.choice import with_fallback

Optional = Tensor | None


def baseline_contribution(
    baseline: Float[Tensor, "S B*D"], weight: Float[Tensor, "O B*D"], n_blocks: int
) -> Float[Tensor, "S B O"]:
    """What each block's baseline adds to the output: ``[rows, B * D]`` and ``[O, B * D]`` to ``[rows, B, O]``."""
    rows, width = baseline.shape
    split = weight.reshape(weight.shape[0], n_blocks, width // n_blocks)
    return torch.einsum("rbd,obd->rbo", baseline.reshape(rows, n_blocks, -1).to(weight.dtype), split)


def gated_output_projection(
    x: Float[Tensor, "G R B*D"],
    gates: Float[Tensor, "G B"],
    weight: Float[Tensor, "O B*D"],
    contribution: Float[Tensor, "S B O"] | None = None,
    bias: Float[Tensor, " O"] | None = None,
    residual: Float[Tensor, "G R O"] | None = None,
) -> Float[Tensor, "G R O"]:
    """``residual + bias + sum_b [ g_b x_b W_b' + (1 - g_b) contribution_b ]``, one mask a group.

    Args:
        x: ``[G, R, B * D]``; blocks with a gate of exactly 0 are not read.
        gates: ``[G, B]`` in [0, 1].
        weight: ``[O, B * D]``.
        contribution: ``[S, B, O]`` with S dividing R; row r takes ``r % S``. None is zero.
        bias: ``[O]``.
        residual: ``[G, R, O]``.

    Returns:
        ``[G, R, O]`` in the dtype of the residual, or of ``x``.

    Gradients go to ``x``, ``gates`` and ``residual``. Those of the gates read ``x`` of ablated blocks, which must then
    be finite.
    """
    _frozen(weight)
    _shapes(x, gates, weight.shape[1])
    return torch.ops.circuitspex.output_projection(x, gates, weight, contribution, bias, residual)  # type: ignore[no-any-return]


def gated_input_projection(
    x: Float[Tensor, "G R I"],
    gates: Float[Tensor, "G B"],
    weight: Float[Tensor, "B*D I"],
    bias: Float[Tensor, " B*D"] | None = None,
) -> Float[Tensor, "G R B*D"]:
    """``x W' + bias`` for the blocks whose gate is not 0; exactly zero, and not computed, for the others.

    A gate between 0 and 1 counts as on: this operator skips work, it does not scale.

    Args:
        x: ``[G, R, I]``.
        gates: ``[G, B]``.
        weight: ``[B * D, I]``.
        bias: ``[B * D]``.

    Returns:
        ``[G, R, B * D]``.
    """
    _frozen(weight)
    if x.ndim != 3 or len(gates) != len(x) or weight.shape[0] % gates.shape[1] or weight.shape[1] != x.shape[2]:
        raise UserError(f"x {tuple(x.shape)}, gates {tuple(gates.shape)} and weight {tuple(weight.shape)} don't fit")
    return torch.ops.circuitspex.input_projection(x, gates, weight, bias)  # type: ignore[no-any-return]


def gated_attention(
    q: Float[Tensor, "G*P H queries D"],
    k: Float[Tensor, "G*P kv keys D"],
    v: Float[Tensor, "G*P kv keys D"],
    gates: Float[Tensor, "G H"],
    *,
    scale: float,
    softcap: float = 0.0,
    window: int = 0,
    query_start: int = 0,
) -> Float[Tensor, "G*P H queries D"]:
    """Causal attention; heads whose gate is exactly 0 are skipped, and give zeros.

    Args:
        q: ``[G * P, H, queries, D]``; query i stands at position ``query_start + i``.
        k: ``[G * P, kv heads, keys, D]``, of which there are a divisor of H.
        v: like ``k``.
        gates: ``[G, H]``; sequence s belongs to group ``s // P``.
        scale: of the scores.
        softcap: scores become ``softcap * tanh(scores / softcap)``; 0 is off.
        window: a query sees this many positions up to its own; 0 is all.
        query_start: see ``q``.

    Returns:
        ``[G * P, H, queries, D]``.
    """
    if q.shape[1] % k.shape[1] or k.shape != v.shape or gates.shape[1] != q.shape[1] or len(q) % max(1, len(gates)):
        raise UserError(f"q {tuple(q.shape)}, k {tuple(k.shape)} and gates {tuple(gates.shape)} don't fit")
    return torch.ops.circuitspex.attention(q, k, v, gates, scale, softcap, window, query_start)  # type: ignore[no-any-return]


def gated_neurons_projection(
    x: Float[Tensor, "G R N"],
    gates: Float[Tensor, "G N"],
    baseline: Float[Tensor, "S N"] | None,
    weight: Float[Tensor, "O N"],
    bias: Float[Tensor, " O"] | None = None,
    residual: Float[Tensor, "G R O"] | None = None,
) -> Float[Tensor, "G R O"]:
    """``residual + bias + (b + g (x - b)) W'``, with a gate for every input; the gated input is never stored.

    Args:
        x: ``[G, R, N]``.
        gates: ``[G, N]`` in [0, 1].
        baseline: ``[S, N]`` with S dividing R; row r takes ``r % S``. None is zero.
        weight: ``[O, N]``.
        bias: ``[O]``.
        residual: ``[G, R, O]``.

    Returns:
        ``[G, R, O]``.
    """
    _frozen(weight)
    _shapes(x, gates, weight.shape[1])
    return torch.ops.circuitspex.neurons_projection(x, gates, baseline, weight, bias, residual)  # type: ignore[no-any-return]


def _frozen(weight: Float[Tensor, "outputs inputs"]) -> None:
    if weight.requires_grad:
        raise UserError("the ablation operators give weights no gradient; pass weight.detach()")


def _shapes(x: Float[Tensor, "G R inputs"], gates: Float[Tensor, "G units"], width: int) -> None:
    if x.ndim != 3 or gates.ndim != 2 or len(gates) != len(x) or x.shape[2] != width or width % gates.shape[1]:
        raise UserError(f"x {tuple(x.shape)}, gates {tuple(gates.shape)} and a weight of {width} inputs don't fit")


# ``torch.library`` reads an operator's schema off its annotations, and knows plain tensors only: shapes stand above.


def _run(name: str, *given: Any) -> Tensor:
    """The Triton kernel of an operator where Triton is used, else its definition in plain PyTorch."""

    def fast() -> Tensor:
        from circuitspex.kernels import triton_attention, triton_projections

        found: Tensor = getattr(triton_attention if name == "attention" else triton_projections, name)(*given)
        return found

    def plain() -> Tensor:
        found: Tensor = getattr(reference, name)(*given)
        return found

    return with_fallback(f"gated_{name}", given, fast, plain)


@torch.library.custom_op("circuitspex::output_projection", mutates_args=())
def _output(
    x: Tensor, gates: Tensor, weight: Tensor, contribution: Optional, bias: Optional, residual: Optional
) -> Tensor:
    return _run("output_projection", x, gates, weight, contribution, bias, residual)


@_output.register_fake
def _(x: Any, gates: Any, weight: Any, contribution: Any, bias: Any, residual: Any) -> Any:
    return (x if residual is None else residual).new_empty((*x.shape[:2], weight.shape[0]))


def _setup(ctx: Any, inputs: Any, output: Any) -> None:
    """What the backward pass of both output projections reads: all but the bias, and of the residual its dtype."""
    *tensors, _, residual = inputs
    ctx.save_for_backward(*tensors)
    ctx.residual = None if residual is None else residual.dtype


def _output_backward(ctx: Any, grad: Float[Tensor, "G R O"]) -> tuple[Any, ...]:
    x, gates, weight, contribution = ctx.saved_tensors
    groups, rows, width = x.shape
    blocks = gates.shape[1]
    back = (grad.to(weight.dtype) @ weight).reshape(groups, rows, blocks, width // blocks)
    g = gates.to(back.dtype)[:, None, :, None]
    to_x = (back * g).reshape(x.shape).to(x.dtype) if ctx.needs_input_grad[0] else None
    to_gates = None
    if ctx.needs_input_grad[1]:
        to_gates = torch.einsum("grbd,grbd->gb", back, x.reshape(back.shape).to(back.dtype)).to(gates.dtype)
        if contribution is not None:
            folded = grad.reshape(groups, -1, len(contribution), weight.shape[0]).sum(1).to(contribution.dtype)
            to_gates = to_gates - torch.einsum("gro,rbo->gb", folded, contribution).to(gates.dtype)
    return to_x, to_gates, None, None, None, None if ctx.residual is None else grad.to(ctx.residual)


_output.register_autograd(_output_backward, setup_context=_setup)


@torch.library.custom_op("circuitspex::input_projection", mutates_args=())
def _input(x: Tensor, gates: Tensor, weight: Tensor, bias: Optional) -> Tensor:
    return _run("input_projection", x, gates, weight, bias)


@_input.register_fake
def _(x: Any, gates: Any, weight: Any, bias: Any) -> Any:
    return x.new_empty((*x.shape[:2], weight.shape[0]))


def _input_setup(ctx: Any, inputs: Any, output: Any) -> None:
    _, gates, weight, _ = inputs
    ctx.save_for_backward(gates, weight)


def _input_backward(ctx: Any, grad: Float[Tensor, "G R B*D"]) -> tuple[Any, ...]:
    gates, weight = ctx.saved_tensors
    blocks = gates.shape[1]
    on = (gates != 0)[:, None, :, None]
    kept = torch.where(on, grad.reshape(*grad.shape[:2], blocks, -1), 0).reshape(grad.shape)
    return kept @ weight, None, None, None


_input.register_autograd(_input_backward, setup_context=_input_setup)


@torch.library.custom_op("circuitspex::attention", mutates_args=())
def _attention(
    q: Tensor, k: Tensor, v: Tensor, gates: Tensor, scale: float, softcap: float, window: int, query_start: int
) -> Tensor:
    return _run("attention", q, k, v, gates, scale, softcap, window, query_start)


@_attention.register_fake
def _(q: Any, k: Any, v: Any, gates: Any, scale: Any, softcap: Any, window: Any, query_start: Any) -> Any:
    return q.new_empty(q.shape)


def _attention_setup(ctx: Any, inputs: Any, output: Any) -> None:
    q, k, v, gates, *ctx.settings = inputs
    ctx.save_for_backward(q, k, v, gates)


def _attention_backward(ctx: Any, grad: Float[Tensor, "G*P H queries D"]) -> tuple[Any, ...]:
    *tensors, gates = ctx.saved_tensors
    scale, softcap, window, query_start = ctx.settings
    with torch.enable_grad():
        q, k, v = (tensor.detach().requires_grad_() for tensor in tensors)
        z = reference.attention(q, k, v, gates, scale, softcap, window, query_start)
        found = torch.autograd.grad(z, (q, k, v), grad)
    return (*found, None, None, None, None, None)


_attention.register_autograd(_attention_backward, setup_context=_attention_setup)


@torch.library.custom_op("circuitspex::neurons_projection", mutates_args=())
def _neurons(
    x: Tensor, gates: Tensor, baseline: Optional, weight: Tensor, bias: Optional, residual: Optional
) -> Tensor:
    return _run("neurons_projection", x, gates, baseline, weight, bias, residual)


@_neurons.register_fake
def _(x: Any, gates: Any, baseline: Any, weight: Any, bias: Any, residual: Any) -> Any:
    return (x if residual is None else residual).new_empty((*x.shape[:2], weight.shape[0]))


def _neurons_backward(ctx: Any, grad: Float[Tensor, "G R O"]) -> tuple[Any, ...]:
    x, gates, baseline, weight = ctx.saved_tensors
    back = grad.to(weight.dtype) @ weight
    to_x = (back * gates.to(back.dtype)[:, None]).to(x.dtype) if ctx.needs_input_grad[0] else None
    to_gates = None
    if ctx.needs_input_grad[1]:
        moved = x if baseline is None else x - baseline.to(x.dtype).repeat(x.shape[1] // max(1, len(baseline)), 1)
        to_gates = (back * moved.to(back.dtype)).sum(1).to(gates.dtype)
    return to_x, to_gates, None, None, None, None if ctx.residual is None else grad.to(ctx.residual)


_neurons.register_autograd(_neurons_backward, setup_context=_setup)
