"""A checksum of every byte of tensors, at the speed at which memory is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import xxhash

from circuitspex.models.word_sums import word_sums

if TYPE_CHECKING:
    import torch


def checksum(tensors: Iterable[torch.Tensor]) -> bytes:
    """16 bytes over shapes, dtypes and contents, in order (XXH3; a sum weighted by place on other devices than CPUs).

    Quantised tensors count with their scales, tensors made of others with all of them. What is on no device (meta) has
    a shape only.
    """
    return checksums([tensors])[0]


def checksums(groups: Iterable[Iterable[torch.Tensor]]) -> list[bytes]:
    """The checksum of each group of tensors; a device is waited for once for all of them."""
    parts = [[part for tensor in group for part in tensor_parts(tensor.detach())] for group in groups]
    away = [part for group in parts for part in group if part.device.type not in ("cpu", "meta")]
    sums = iter(word_sums(away))
    found = []
    for group in parts:
        digest = xxhash.xxh3_128()
        for part in group:
            digest.update(f"{tuple(part.shape)} {part.dtype}".encode())
            if part.device.type == "cpu":
                digest.update(raw(part))
            elif part.device.type != "meta":
                digest.update(next(sums).to_bytes(8, "little", signed=True))
        found.append(digest.digest())
    return found


def raw(tensor: torch.Tensor) -> Any:
    """The bytes of a tensor on the CPU, without a copy where it is contiguous."""
    import torch

    flat = tensor.contiguous().flatten()
    if flat.is_complex():
        flat = torch.view_as_real(flat).flatten()
    return flat.view(torch.uint8).numpy().data if flat.numel() else b""


def beside(parameter: torch.Tensor) -> Iterator[torch.Tensor]:
    """What bitsandbytes keeps beside a weight of few bits: its scales, and the table that its bits are places in."""
    if (scales := getattr(parameter, "SCB", None)) is not None:
        yield scales
    if (state := getattr(parameter, "quant_state", None)) is not None:
        yield from state.as_dict(packed=True).values()


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
