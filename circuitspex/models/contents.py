"""A checksum of every byte of a tensor, at the speed at which memory is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import xxhash

if TYPE_CHECKING:
    import torch

# Numbers at once on a device: their products with their places are eight bytes each.
_AT_ONCE = 2**24
_MULTIPLIER = 0x9E3779B97F4A7C15 - 2**64  # odd: another number at any place gives another sum


def checksum(tensors: Iterable[torch.Tensor]) -> bytes:
    """16 bytes over shapes, dtypes and contents, in order (XXH3; a sum weighted by place on other devices than CPUs).

    Quantised tensors count with their scales, tensors made of others with all of them. What is on no device (meta) has
    a shape only.
    """
    digest = xxhash.xxh3_128()
    for tensor in tensors:
        for part in tensor_parts(tensor.detach()):
            digest.update(f"{tuple(part.shape)} {part.dtype}".encode())
            if part.device.type == "cpu":
                digest.update(raw(part))
            elif part.device.type != "meta":
                digest.update(_weighted_sum(part).to_bytes(8, "little", signed=True))
    return digest.digest()


def raw(tensor: torch.Tensor) -> Any:
    """The bytes of a tensor on the CPU, without a copy where it is contiguous."""
    import torch

    flat = tensor.contiguous().flatten()
    if flat.is_complex():
        flat = torch.view_as_real(flat).flatten()
    return flat.view(torch.uint8).numpy().data if flat.numel() else b""


def tensor_parts(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    """The plain tensors that a tensor is made of."""
    import torch

    if tensor.is_quantized:
        yield tensor.int_repr()
        per_channel = tensor.qscheme() in (torch.per_channel_affine, torch.per_channel_affine_float_qparams)
        if per_channel:
            yield from (tensor.q_per_channel_scales(), tensor.q_per_channel_zero_points())
        else:
            yield torch.tensor([tensor.q_scale(), float(tensor.q_zero_point())], dtype=torch.float64)
        return
    inner = getattr(tensor, "__tensor_flatten__", None)
    if inner is not None:  # a tensor subclass, as quantisation libraries have them
        names, context = inner()
        yield torch.tensor(list(repr(context).encode()), dtype=torch.uint8)
        for name in names:
            yield from tensor_parts(getattr(tensor, name))
        return
    yield tensor.to_dense() if tensor.layout != torch.strided else tensor


def _weighted_sum(tensor: torch.Tensor) -> int:
    """Each number, as a whole one, times an odd number that belongs to its place; added up, modulo 2**64."""
    import torch

    flat = tensor.contiguous().flatten()
    if flat.is_complex():
        flat = torch.view_as_real(flat).flatten()
    whole = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[flat.element_size()]
    flat = flat.view(whole)
    total = torch.zeros((), dtype=torch.int64, device=flat.device)
    for start in range(0, len(flat), _AT_ONCE):
        part = flat[start : start + _AT_ONCE].to(torch.int64)
        place = torch.arange(start, start + len(part), device=flat.device)
        total += (part * ((place * _MULTIPLIER) | 1)).sum()
    return int(total)
