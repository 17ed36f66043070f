"""Tile sizes of the products, by shape and device: rules, so that nothing is tuned while people wait.

Chosen by what the compiler says of them (``tools/compile_kernels.py``): no register is spilled, and programs share a
multiprocessor where their sums leave room. On an H100 no other tile was faster (``tools/bench/gpu_tiles.py``).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch

from circuitspex.kernels.launch import FUSED, next_power


@dataclass(frozen=True)
class Device:
    """What the rules ask of a device.

    Attributes:
        multiprocessors: how many it has.
        shared: bytes of shared memory that a program can have.
        whole_tiles: whether tensor cores take their tiles from shared memory (Hopper, Blackwell), not from registers.
        wide: whether a thread has room for the sums of tiles of 256 columns, and they are faster (seen on Hopper; on
            Blackwell the compiler spills them).
    """

    multiprocessors: int
    shared: int
    whole_tiles: bool = True
    wide: bool = False


HOPPER = Device(132, 232448, wide=True)
"""An H100, and what is taken for a device that isn't a CUDA device."""


def device_of(tensor: torch.Tensor) -> Device:
    """The device that a tensor is on."""
    return _cuda_device(tensor.device) if tensor.device.type == "cuda" else HOPPER


@functools.cache
def _cuda_device(device: torch.device) -> Device:
    from triton.runtime import driver

    found = driver.active.utils.get_device_properties(device.index or 0)  # what Triton itself goes by
    generation = torch.cuda.get_device_capability(device)[0]
    return Device(found["multiprocessor_count"], found["max_shared_mem"], generation in (9, 10), generation == 9)


def project_in(
    rows: int, inner: int, width: int, gated: bool, device: Device, ending: bool = True
) -> tuple[dict[str, int], int]:
    """Options of ``project_in`` for tiles of ``rows``, and how many programs share a multiprocessor.

    Args:
        rows: of a tile, from the list of work.
        inner: the length of the sums.
        width: of a block.
        gated: whether there are two products.
        device: see ``device_of``.
        ending: whether much is done with the sums in the end, which takes registers too.
    """
    columns = _columns(width)
    if gated and not device.whole_tiles:
        columns = min(columns, 64)
    summed = columns * (2 if gated else 1)
    most = 64 if ending or not device.whole_tiles else 128
    return _options(rows, columns, next_power(inner, most=64), summed, device, most, 104)


def project_out(rows: int, columns: int, width: int, device: Device) -> tuple[dict[str, int], int]:
    """Options of ``project_out`` for masks with ``rows`` each, and how many programs share a multiprocessor."""
    tile = next_power(rows)
    if rows > 128 and -(-rows // 128) * 128 > 1.25 * (-(-rows // 64) * 64):
        tile = 64  # the last tile of 128 would be more than half empty, and there are few
    n = _columns(columns)
    if device.wide and tile == 128 and -(-columns // 256) * 256 <= 1.15 * columns:
        n = 256  # on an H100 a fifth faster than two tiles of 128 that share a multiprocessor
    return _options(tile, n, next_power(width, most=64), n, device, 64, 64)


LARGEST_HEAD = 256
"""Attention keeps a head in one tile; larger heads run in plain PyTorch."""


def attention(queries: int, width: int, rotary: int) -> dict[str, int]:
    """Options of ``attention`` for heads of ``width`` numbers, the first ``rotary`` of them turned."""
    half = next_power(rotary // 2, most=LARGEST_HEAD) if rotary else 0
    rest = next_power(width - rotary, most=LARGEST_HEAD) if width > rotary else 0
    rows = next_power(queries, most=64)
    return {
        "BM": rows,
        "BN": 32 if rows == 32 or width >= 128 else 64,  # of keys: more would take too many registers or memory
        "BD": next_power(width, most=LARGEST_HEAD),
        "HALF": half,
        "REST": rest,
        "num_warps": 4 if 2 * half + rest <= 128 else 8,
        "num_stages": 2,
        **FUSED,
    }


def _columns(width: int) -> int:
    """Columns of a tile: as many as there are, to 128; 64 where that leaves much less of the last one empty."""
    if width > 128 and -(-width // 128) * 128 > 1.15 * width:
        return 64
    return next_power(width)


def _options(
    rows: int, columns: int, inner: int, summed: int, device: Device, most: int, beside: int
) -> tuple[dict[str, int], int]:
    """Options of a tile that keeps ``rows * summed`` sums, ``most`` of them in a thread if 4 warps are to do.

    ``beside`` is how many registers the compiler takes beside the sums with 8 warps.
    """
    warps = 8 if rows * summed > 128 * most else 4
    registers = rows * summed // (32 * warps) + (88 if warps == 4 else beside)
    together = max(1, min(4, 65536 // (32 * warps * registers)))
    stage = 2 * inner * (rows + summed)
    # Without wgmma (fewer than 64 rows) the compiler keeps a buffer less than there are stages.
    wanted = max(2 if rows >= 64 else 3, min(4, (device.shared // together - 2048) // stage))
    stages = max(1, min(wanted, device.shared // stage))
    options = {"BM": rows, "BN": columns, "BK": inner, "num_warps": warps, "num_stages": stages, **FUSED}
    return options, together
