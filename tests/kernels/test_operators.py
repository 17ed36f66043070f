"""How the operators are registered: schema, shapes without data, wrong calls, and what runs when a kernel fails."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from circuitspex import kernels
from circuitspex.errors import UserError
from circuitspex.kernels import choice, definitions, launch, operators
from circuitspex.kernels.work import block_rows, mask_blocks

MASKS, ROWS, BLOCKS, WIDTH, INPUTS = 3, 4, 2, 5, 6
ON = np.array([[True, False], [True, True], [False, False]])


def arguments(dtype: torch.dtype = torch.float64) -> dict[str, tuple[object, ...]]:
    """A call of each operator as ``torch.ops`` has it."""
    generator = torch.Generator()
    print(f"seed {generator.seed()}")

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    x, neurons = normal(MASKS, ROWS, INPUTS), BLOCKS * WIDTH
    into, out = block_rows(ON, ROWS), mask_blocks(ON)
    lists = into.members, into.starts, into.tiles, into.n_tiles, into.tile_rows
    gates, slots = torch.from_numpy(ON.astype(np.float32)), torch.tensor([1, -1, 0], dtype=torch.int32)
    gain = torch.tensor([1.0, 0.0, 0.5])
    weight, up = normal(neurons, INPUTS), normal(MASKS, ROWS, neurons)
    q, k = normal(MASKS * 2, 3, 4, 6), normal(MASKS * 2, 4, 2, 6)
    old, turn = normal(2, 2, 2, 6), normal(6, 4)
    heads = torch.ones(MASKS, 1, 4)
    h = normal(MASKS, ROWS, 7).float()
    half, norm = torch.float32, (normal(INPUTS), normal(INPUTS), 1e-5, True)
    return {
        "norm": (x, norm[0], norm[1], None, slots[::2].contiguous(), 1e-5, True, half),
        "add_norm": (x, x[:2], slots, gain, normal(2, INPUTS), *norm, half),
        "project_in": (x, weight, None, weight, None, gates, normal(2, neurons), *lists, "silu", True),
        "activate": (up, up, torch.rand(MASKS, neurons), normal(1, neurons), "gelu"),
        "project_out": (up, normal(7, neurons), out.blocks, out.starts, BLOCKS, normal(1, 7), h),
        "attention": (q, k, k, turn, turn, old, old, heads, normal(1, 3, 24), 0.4, 2.0, 3),
    }


@pytest.mark.parametrize("name", ["norm", "add_norm", "project_in", "activate", "project_out", "attention"])
def test_the_operators_are_registered_soundly(name):
    given = arguments()[name]  # float64 runs in plain PyTorch
    operator = getattr(torch.ops.circuitspex, name)
    torch.library.opcheck(operator, given, test_utils=("test_schema", "test_faketensor"))
    meta = [part.to("meta") if isinstance(part, torch.Tensor) else part for part in given]
    found, shapes = operator(*given), operator(*meta)
    for real, fake in zip(*((part if isinstance(part, tuple) else (part,)) for part in (found, shapes)), strict=True):
        assert (real.shape, real.dtype) == (fake.shape, fake.dtype)


def test_what_is_not_on_is_not_read_by_the_definitions():
    """Members of the lists that don't count, and blocks that are off, may hold anything."""
    x, weight = torch.randn(MASKS, ROWS, INPUTS), torch.randn(BLOCKS * WIDTH, INPUTS)
    found = operators.project_in(x, weight, None, block_rows(ON, ROWS), zeros=True)
    gates = torch.from_numpy(ON).float()
    torch.testing.assert_close(found, definitions.project_in(x, weight, None, None, None, gates, None, "none"))
    off = (gates == 0)[:, None, :, None].expand(-1, ROWS, -1, WIDTH).flatten(2)
    z = found.masked_fill(off, torch.nan)
    torch.testing.assert_close(
        operators.project_out(z, weight.T.contiguous(), mask_blocks(ON)), found @ weight, rtol=1e-4, atol=1e-4
    )


def test_plain_operators_take_what_the_kernels_take(monkeypatch, device):
    """Nothing to do, nothing that is on, and a result that is its input: in float32, which has no kernels on a card."""
    monkeypatch.setenv("CIRCUITSPEX_KERNELS", "off")
    x = torch.randn(MASKS, ROWS, INPUTS, device=device)
    assert torch.equal(operators.activate(x, activation="none"), x)
    scale, nowhere = torch.ones(INPUTS, device=device), torch.full((MASKS,), -1, dtype=torch.int32, device=device)
    base, gain = torch.randn(1, INPUTS, device=device), torch.zeros(MASKS, device=device)
    new, _ = operators.add_norm(x, x[:0], scale, eps=1e-5, slots=nowhere, gain=gain, baseline=base)
    torch.testing.assert_close(new, x + base)
    weight = torch.randn(BLOCKS * WIDTH, INPUTS, device=device)
    for groups, rows in ((0, ROWS), (MASKS, 0)):
        on, z = np.ones((groups, BLOCKS), dtype=bool), torch.zeros(groups, rows, BLOCKS * WIDTH, device=device)
        found = operators.project_in(z[..., :INPUTS], weight, None, block_rows(on, rows, device))
        assert found.shape == z.shape
        assert operators.project_out(z, weight.T, mask_blocks(on, device)).shape == (groups, rows, INPUTS)


def test_wrong_calls_are_one_clear_line():
    x, weight = torch.ones(MASKS, ROWS, INPUTS), torch.ones(BLOCKS * WIDTH, INPUTS)
    into, out = block_rows(ON, ROWS), mask_blocks(ON)
    up, q = torch.ones(MASKS, ROWS, BLOCKS * WIDTH), torch.ones(2, 3, 4, 6)
    scale, masks = torch.ones(INPUTS), torch.zeros(1, dtype=torch.int32)
    wrong = [
        (r"don't fit", lambda: operators.norm(x, torch.ones(INPUTS + 1), eps=0.0)),
        (r"residual and masks", lambda: operators.norm(x, scale, eps=0.0, residual=x, masks=masks)),
        (r"don't fit", lambda: operators.add_norm(x, x[:1], scale, eps=0.0)),
        (r"'gain'", lambda: operators.add_norm(x, x, scale, eps=0.0, baseline=x[0])),
        (r"unknown activation 'tanh'", lambda: operators.project_in(x, weight, None, into, activation="tanh")),
        (r"don't fit", lambda: operators.project_in(x, weight[:, 1:], None, into)),
        (r"float64.*float32", lambda: operators.project_in(x.double(), weight, None, into)),
        (r"don't fit", lambda: operators.project_in(x.repeat(2, 1, 1), weight, None, into)),
        (r"unknown activation 'tanh'", lambda: operators.activate(up, activation="tanh")),
        (r"don't fit", lambda: operators.activate(up, up[..., 1:], activation="relu")),
        (r"don't fit", lambda: operators.activate(up, activation="relu", baseline=up[0])),
        (r"don't fit", lambda: operators.project_out(up[:2], torch.ones(7, BLOCKS * WIDTH), out)),
        (r"float64.*float32", lambda: operators.project_out(up.double(), torch.ones(7, BLOCKS * WIDTH), out)),
        (r"don't fit", lambda: operators.attention(q, q[:, :2], q[:, :2], scale=1.0)),
        (r"don't fit", lambda: operators.attention(q, q[:, :, :3], q[:, :, :3], scale=1.0)),
        (r"don't fit", lambda: operators.attention(q, q, q, scale=1.0, gates=torch.ones(2, 1, 3))),
        (r"3 rows", lambda: operators.activate(up, activation="relu", gates=up[:, 0], baseline=up[0, :3])),
        (r"3 rows", lambda: operators.project_out(up, torch.ones(7, BLOCKS * WIDTH), out, added=torch.ones(3, 7))),
    ]
    for line, call in wrong:
        with pytest.raises(UserError, match=line) as error:
            call()
        assert "\n" not in str(error.value)


def test_a_kernel_that_fails_costs_one_warning(monkeypatch, device):
    pytest.importorskip("triton", reason="Triton can't be imported")
    from circuitspex.kernels.launchers import LAUNCHERS

    def broken(*args: object) -> None:
        raise RuntimeError("no compiler here")

    monkeypatch.setattr(choice, "_failed", type(choice._failed)())
    monkeypatch.setitem(LAUNCHERS, "activate", broken)
    x = torch.ones(1, 2, 4, device=device, dtype=torch.bfloat16)
    with pytest.warns(UserWarning, match=r"Triton kernel of activate.* failed .*RuntimeError: no compiler"):
        assert (operators.activate(x, activation="relu") == 1).all()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="the Triton kernel of")
        assert (operators.activate(x, activation="relu") == 1).all()


def test_what_runs_is_described(monkeypatch):
    assert kernels.describe()
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert kernels.use_triton(torch.ones(1)) is False
    assert launch.next_power(17) == 32
