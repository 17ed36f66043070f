"""Sums over the words of tensors on a device, each word times a number of its place: what their checksums are there.

A word is the largest of 8, 4, 2 and 1 bytes that divides the bytes of the tensor. All tensors of a device are read in
one launch of a Triton kernel where there is one, else one after the other; both give the same whole numbers.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

MULTIPLIER = 0x9E3779B97F4A7C15 - 2**64
"""Odd, so that another word at any place gives another sum."""

# Words at once in plain PyTorch: their products with their places are eight bytes each.
_AT_ONCE = 2**24


def word_sums(tensors: Sequence[torch.Tensor]) -> list[int]:
    """``sum(word[i] * ((i * MULTIPLIER) | 1))`` of each strided tensor, modulo 2**64 and signed; one wait a device."""
    words = [_words(tensor) for tensor in tensors]
    found: dict[int, int] = {}
    for device in {each.device for each in words}:
        mine = [place for place, each in enumerate(words) if each.device == device]
        found.update(zip(mine, _on_one_device([words[place] for place in mine]), strict=True))
    return [found[place] for place in range(len(words))]


def _on_one_device(words: list[torch.Tensor]) -> list[int]:
    fast = _fast(words[0].device)
    if fast is not None:
        try:
            return [int(each) for each in fast(words, MULTIPLIER)]
        except Exception:  # whatever a compiler or driver raises; the plain way gives the same
            _failed.add(str(words[0].device))
    import torch

    return [int(each) for each in torch.stack([plain_sum(each) for each in words]).tolist()]


_failed: set[str] = set()
"""Devices on which the kernel failed in this process."""


def _fast(device: torch.device) -> Any:
    if device.type != "cuda" or str(device) in _failed or os.environ.get("CIRCUITSPEX_KERNELS") == "off":
        return None
    try:
        from circuitspex.models.triton_word_sums import launched
    except ImportError:
        return None
    return launched


def _words(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor's bytes as whole numbers of one axis, contiguous and aligned."""
    import torch

    flat = tensor.contiguous().flatten()
    if flat.is_complex():
        flat = torch.view_as_real(flat).flatten()
    raw = flat.view(torch.uint8)
    size = next(size for size in (8, 4, 2, 1) if len(raw) % size == 0)
    if raw.data_ptr() % size:
        raw = raw.clone()
    return raw.view({1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[size])


def plain_sum(words: torch.Tensor) -> torch.Tensor:
    """The definition, on the words of one tensor: an int64 of no axis on their device."""
    import torch

    total = torch.zeros((), dtype=torch.int64, device=words.device)
    for start in range(0, len(words), _AT_ONCE):
        part = words[start : start + _AT_ONCE].to(torch.int64)
        place = torch.arange(start, start + len(part), device=words.device)
        total += (part * ((place * MULTIPLIER) | 1)).sum()
    return total
