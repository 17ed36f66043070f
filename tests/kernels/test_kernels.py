"""Every kernel beside its definition in float64, on fresh random inputs, odd shapes, all dtypes, both directions."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch

from circuitspex import kernels
from circuitspex.errors import UserError
from circuitspex.kernels import choice, launch, reference

pytest.importorskip("triton", reason="Triton can't be imported")

# The kernels sum in float32: its rounding over some hundred terms. Shorter dtypes round inputs (exact in the float64
# definition too, which is given the same rounded numbers), weights of the softmax, and the result: a few units of 2^-8
# and 2^-11 of the largest element.
TOLERANCE = {torch.float32: 3e-6, torch.bfloat16: 2e-2, torch.float16: 3e-3}
DTYPES = list(TOLERANCE)
# groups, rows, blocks, width of a block, outputs
SHAPES = [
    (1, 1, 1, 1, 1),
    (3, 5, 4, 8, 12),
    (2, 17, 3, 24, 40),
    (2, 33, 2, 64, 70),
    (1, 130, 9, 16, 20),
    (4, 14, 1, 80, 33),
]


@pytest.fixture
def random() -> torch.Generator:
    generator = torch.Generator()
    seed = generator.seed()
    print(f"seed {seed}")  # shown where a test fails
    return generator


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outputs begin as NaN, and a kernel that fails is an error."""

    def poison(shape: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
        return torch.full(shape, torch.nan, dtype=like.dtype, device=like.device)

    monkeypatch.setattr("circuitspex.kernels.triton_projections.empty", poison)
    monkeypatch.setattr("circuitspex.kernels.triton_attention.empty", poison)
    monkeypatch.setattr(choice, "_failed", set())
    warnings.simplefilter("error", choice.KernelWarning)


def some_gates(groups: int, blocks: int, random: torch.Generator, kind: str) -> torch.Tensor:
    if kind == "on":
        return torch.ones(groups, blocks)
    if kind == "off":
        return torch.zeros(groups, blocks)
    gates = torch.rand(groups, blocks, generator=random)
    return gates.round() if kind == "binary" else torch.where(gates < 0.3, 0, torch.where(gates > 0.7, 1, gates))


def close(found: torch.Tensor, expected: torch.Tensor, dtype: torch.dtype, terms: int = 1) -> None:
    assert torch.isfinite(found).all()
    size = max(float(expected.abs().max()) if expected.numel() else 0.0, 1e-6)
    gap = float((found.double().cpu() - expected).abs().max()) if expected.numel() else 0.0
    assert gap <= TOLERANCE[dtype] * size * max(1.0, math.sqrt(terms) / 8), gap / size


def spoil(x: torch.Tensor, gates: torch.Tensor, blocks: int) -> torch.Tensor:
    """NaN wherever a gate is exactly 0."""
    groups, rows, width = x.shape
    off = (gates == 0)[:, None, :, None].expand(groups, rows, blocks, width // blocks)
    return torch.where(off.reshape(x.shape).to(x.device), torch.nan, x)


@pytest.mark.parametrize("kind", ["on", "off", "binary", "partial"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_output_projection(shape, dtype, kind, device, random):
    groups, rows, blocks, width, outputs = shape
    gates = some_gates(groups, blocks, random, kind)
    x = torch.randn(groups, rows, blocks * width, generator=random).to(dtype)
    weight = torch.randn(outputs, blocks * width, generator=random).to(dtype)
    bias = torch.randn(outputs, generator=random).to(dtype)
    residual = torch.randn(groups, rows, outputs, generator=random)
    for base_rows in {0, 1, rows}:
        base = torch.randn(base_rows, blocks, outputs, generator=random).to(dtype) if base_rows else None
        with_bias, with_residual = (bias, residual) if base_rows != 1 else (None, None)
        arguments = [x, gates, weight, base, with_bias, with_residual]
        expected = reference.output_projection(*(None if t is None else t.double() for t in arguments))
        there = [None if t is None else t.to(device) for t in arguments]
        there[0] = spoil(there[0], gates, blocks)
        found = kernels.gated_output_projection(*there)
        assert found.dtype == (dtype if with_residual is None else torch.float32)
        close(found, expected, dtype, blocks * width)


@pytest.mark.parametrize("kind", ["on", "off", "binary", "partial"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_input_projection(shape, dtype, kind, device, random):
    groups, rows, blocks, width, inputs = shape
    gates = some_gates(groups, blocks, random, kind)
    x = torch.randn(groups, rows, inputs, generator=random).to(dtype)
    weight = torch.randn(blocks * width, inputs, generator=random).to(dtype)
    bias = torch.randn(blocks * width, generator=random).to(dtype)
    for added in (None, bias):
        arguments = [x, gates, weight, added]
        expected = reference.input_projection(*(None if t is None else t.double() for t in arguments))
        found = kernels.gated_input_projection(*(None if t is None else t.to(device) for t in arguments))
        close(found, expected, dtype, inputs)
        off = (gates == 0)[:, None, :, None].expand(groups, rows, blocks, width).reshape(found.shape)
        assert (found.cpu()[off] == 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["binary", "partial"])
def test_neurons_projection(shape, dtype, kind, device, random):
    groups, rows, blocks, width, outputs = shape
    neurons = blocks * width
    gates = some_gates(groups, neurons, random, kind)
    x = torch.randn(groups, rows, neurons, generator=random).to(dtype)
    weight = torch.randn(outputs, neurons, generator=random).to(dtype)
    residual = torch.randn(groups, rows, outputs, generator=random)
    for base_rows in {0, 1, rows}:
        base = torch.randn(base_rows, neurons, generator=random).to(dtype) if base_rows else None
        arguments = [x, gates, base, weight, None, residual]
        expected = reference.neurons_projection(*(None if t is None else t.double() for t in arguments))
        there = [None if t is None else t.to(device) for t in arguments]
        there[0] = spoil(there[0], gates, neurons)
        close(kernels.gated_neurons_projection(*there), expected, dtype, neurons)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    # groups, prompts, heads, kv heads, queries, keys, width, softcap, window
    "shape",
    [
        (1, 1, 1, 1, 1, 1, 4, 0.0, 0),
        (2, 3, 4, 2, 14, 14, 16, 0.0, 0),
        (3, 1, 6, 2, 1, 9, 24, 0.0, 0),
        (2, 2, 4, 4, 5, 70, 64, 2.0, 0),
        (1, 2, 3, 1, 70, 70, 20, 0.0, 7),
        (2, 1, 2, 1, 66, 130, 96, 3.0, 20),
    ],
)
def test_attention(shape, dtype, device, random):
    groups, prompts, heads, kv, queries, keys, width, softcap, window = shape
    gates = some_gates(groups, heads, random, "partial")
    gates[0, 0] = 1
    q = torch.randn(groups * prompts, heads, queries, width, generator=random).to(dtype)
    k, v = (torch.randn(groups * prompts, kv, keys, width, generator=random).to(dtype) for _ in range(2))
    options = {"scale": width**-0.5, "softcap": softcap, "window": window, "query_start": keys - queries}
    expected = reference.attention(q.double(), k.double(), v.double(), gates, *options.values())
    off = (gates == 0).repeat_interleave(prompts, 0)[:, :, None, None]
    spoiled = torch.where(off, torch.nan, q)
    found = kernels.gated_attention(*(t.to(device) for t in (spoiled, k, v, gates)), **options)
    close(found, expected, dtype)
    assert (found.cpu()[off.expand_as(found)] == 0).all()


def smooth_output(x: Any, g: Any, weight: Any, base: Any, bias: Any, residual: Any) -> torch.Tensor:
    """The same function without cases at gates of 0, where its gradient is wanted too."""
    blocks = g.shape[1]
    gated = (x.unflatten(2, (blocks, -1)) * g[:, None, :, None]).flatten(2)
    off = torch.einsum("gb,rbo->gro", 1 - g, base)
    return residual + bias + gated @ weight.T + off.repeat(1, x.shape[1] // len(base), 1)


def smooth_neurons(x: Any, g: Any, base: Any, weight: Any, bias: Any, residual: Any) -> torch.Tensor:
    b = base.repeat(x.shape[1] // len(base), 1)
    return residual + bias + (b + g[:, None] * (x - b)) @ weight.T


def gradients(
    work: Callable[..., torch.Tensor], tensors: list[Any], wanted: list[int], seed: int
) -> list[torch.Tensor]:
    leaves = [t.detach().clone().requires_grad_() if i in wanted else t for i, t in enumerate(tensors)]
    out = work(*leaves)
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(out.shape, generator=generator).to(out)
    return list(torch.autograd.grad((out * weights).sum(), [leaves[i] for i in wanted]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients(dtype, device, random):
    groups, rows, blocks, width, outputs = 2, 6, 3, 8, 10
    n = blocks * width

    def make(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=random).to(dtype)

    gates, fine = some_gates(groups, blocks, random, "partial"), some_gates(groups, n, random, "partial")
    residual = torch.randn(groups, rows, outputs, generator=random)
    q, k, v = make(groups * 2, 4, 5, 8), make(groups * 2, 2, 5, 8), make(groups * 2, 2, 5, 8)
    heads = some_gates(groups, 4, random, "binary")
    settings = {"scale": 0.3, "softcap": 2.0, "window": 3, "query_start": 0}
    cases: list[tuple[Any, Any, list[Any], list[int]]] = [
        (
            kernels.gated_output_projection,
            smooth_output,
            [make(groups, rows, n), gates, make(outputs, n), make(3, blocks, outputs), make(outputs), residual],
            [0, 1, 5],
        ),
        (
            kernels.gated_input_projection,
            reference.input_projection,
            [make(groups, rows, outputs), gates, make(n, outputs), make(n)],
            [0],
        ),
        (
            kernels.gated_neurons_projection,
            smooth_neurons,
            [make(groups, rows, n), fine, make(2, n), make(outputs, n), make(outputs), residual],
            [0, 1, 5],
        ),
        (
            lambda *tensors: kernels.gated_attention(*tensors, **settings),
            lambda *tensors: reference.attention(*tensors, *settings.values()),
            [q, k, v, heads],
            [0, 1, 2],
        ),
    ]
    for fast, plain, tensors, wanted in cases:
        expected = gradients(plain, [t.double() for t in tensors], wanted, 1)
        found = gradients(fast, [t.to(device) for t in tensors], wanted, 1)
        for a, b in zip(found, expected, strict=True):
            close(a, b, dtype, 64)


def test_zero_rows_groups_and_strides(device, random):
    weight = torch.randn(6, 8, generator=random).to(device)
    for groups, rows in ((0, 3), (2, 0)):
        x = torch.zeros(groups, rows, 8, device=device)
        gates = torch.ones(groups, 2, device=device)
        assert kernels.gated_output_projection(x, gates, weight).shape == (groups, rows, 6)
        assert kernels.gated_input_projection(x, gates, weight[:, :8]).shape == (groups, rows, 6)
    wide = torch.randn(3, 16, 7, generator=random).to(device)
    x = wide.transpose(1, 2)[:, :, ::2]  # [3, 7, 8], nothing contiguous
    gates = some_gates(2, 3, random, "binary").T.to(device)
    found = kernels.gated_output_projection(x, gates, weight.T.contiguous().T)
    expected = reference.output_projection(x.double(), gates.double(), weight.double(), None, None, None)
    close(found, expected.cpu(), torch.float32, 8)


def test_the_operators_are_registered_soundly(device, random):
    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=random, dtype=torch.float64).to(device)

    x, gates, weight = normal(2, 3, 8), some_gates(2, 4, random, "binary"), normal(5, 8)
    arguments = [t.double().to(device) for t in (x, gates, weight)]  # float64 runs in plain PyTorch
    arguments[0].requires_grad_()
    torch.library.opcheck(torch.ops.circuitspex.output_projection, (*arguments, None, None, None))
    torch.library.opcheck(torch.ops.circuitspex.input_projection, (arguments[0], arguments[1], normal(8, 8), None))
    torch.library.opcheck(
        torch.ops.circuitspex.neurons_projection,
        (arguments[0], normal(2, 8).sigmoid(), None, arguments[2], None, None),
    )
    gates64, base = normal(2, 4).sigmoid().requires_grad_(), normal(3, 4, 5)
    assert torch.autograd.gradcheck(
        lambda a, g: kernels.gated_output_projection(a, g, arguments[2], base), (arguments[0], gates64)
    )


def test_contribution_is_the_projected_baseline(random):
    base, weight = torch.randn(4, 12, generator=random), torch.randn(5, 12, generator=random)
    found = kernels.baseline_contribution(base, weight, 3)
    for block in range(3):
        part = slice(4 * block, 4 * block + 4)
        torch.testing.assert_close(found[:, block], base[:, part] @ weight[:, part].T)


def test_a_kernel_that_fails_costs_one_warning(monkeypatch, device):
    warnings.simplefilter("default", choice.KernelWarning)

    def broken(*args: Any) -> None:
        raise RuntimeError("no compiler here")

    monkeypatch.setattr("circuitspex.kernels.triton_projections.output_projection", broken)
    x, gates, weight = (
        torch.ones(1, 2, 4, device=device),
        torch.ones(1, 2, device=device),
        torch.ones(3, 4, device=device),
    )
    with pytest.warns(
        choice.KernelWarning,
        match=r"Triton kernel of gated_output_projection \(.*\) failed \(RuntimeError: no compiler",
    ):
        assert (kernels.gated_output_projection(x, gates, weight) == 4).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error", choice.KernelWarning)
        assert (kernels.gated_output_projection(x, gates, weight) == 4).all()


def test_wrong_calls_are_one_clear_line():
    x, gates, weight = torch.ones(1, 2, 4), torch.ones(1, 2), torch.ones(3, 4)
    with pytest.raises(UserError, match=r"don't fit"):
        kernels.gated_output_projection(x, torch.ones(1, 3), weight)
    with pytest.raises(UserError, match="give weights no gradient"):
        kernels.gated_output_projection(x, gates, weight.requires_grad_())
    with pytest.raises(UserError, match=r"don't fit"):
        kernels.gated_attention(x[None], x[None], x[None], gates, scale=1.0)


def test_what_runs_is_described(monkeypatch):
    assert kernels.describe()
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert kernels.use_triton(torch.ones(1)) is False
    assert launch.next_power(17) == 32
