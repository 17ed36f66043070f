"""Checksums of tensors on a device: as the plain definition says, in one launch, and other for every changed byte."""

from __future__ import annotations

import pytest
import torch

from circuitspex.models.contents import checksum, checksums
from circuitspex.models.word_sums import MULTIPLIER, _words, plain_sum, word_sums

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def some_tensors(device: str) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(torch.initial_seed() % 2**31)
    made = [
        torch.randn(3, 5, 7, generator=generator),  # 420 bytes: words of 4
        torch.randn(64, 130, generator=generator).bfloat16(),
        torch.randn(9, generator=generator).half(),  # 18 bytes: words of 2
        torch.randint(-100, 100, (13,), generator=generator, dtype=torch.int8),
        torch.randn(5000, generator=generator).double(),
        torch.randn(20, 30, generator=generator).T,  # not contiguous
        torch.randn(6, dtype=torch.complex64, generator=generator),
        torch.randn(33, generator=generator)[1:],  # not aligned to 8 bytes
        torch.empty(0),
        torch.tensor(2.5),
    ]
    return [each.to(device) for each in made]


def by_hand(tensor: torch.Tensor) -> int:
    raw = bytes(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).tolist()) if tensor.numel() else b""
    size = next(size for size in (8, 4, 2, 1) if len(raw) % size == 0)
    words = (int.from_bytes(raw[i : i + size], "little", signed=size > 1) for i in range(0, len(raw), size))
    total = sum(word * (((place * MULTIPLIER) % 2**64) | 1) for place, word in enumerate(words)) % 2**64
    return total - 2**64 if total >= 2**63 else total


def test_sums_are_those_of_the_definition() -> None:
    tensors = some_tensors(DEVICE)
    assert word_sums(tensors) == [by_hand(each) for each in tensors]
    assert word_sums([]) == []


def test_the_kernel_gives_the_same_whole_numbers() -> None:
    pytest.importorskip("triton")
    from circuitspex.models.triton_word_sums import launched

    words = [_words(each) for each in some_tensors(DEVICE)]
    assert launched(words, MULTIPLIER) == [int(plain_sum(each)) for each in words]


def test_a_kernel_that_fails_gives_way_to_the_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(words: list[torch.Tensor], multiplier: int) -> list[int]:
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr("circuitspex.models.word_sums._fast", lambda device: broken)
    monkeypatch.setattr("circuitspex.models.word_sums._failed", set())
    tensors = some_tensors(DEVICE)
    assert word_sums(tensors) == [by_hand(each) for each in tensors]


def test_every_byte_counts_and_so_does_its_place() -> None:
    weight = torch.randn(40, 40).to(DEVICE)
    before = word_sums([weight])
    for change in (lambda w: w[3, 4].add_(1e-3), lambda w: w[0].copy_(w[1].clone()), lambda w: w[5, 5].neg_()):
        changed = weight.clone()
        change(changed)
        assert word_sums([changed]) != before
    swapped = weight.clone()
    swapped[[0, 1]] = weight[[1, 0]]
    assert word_sums([swapped]) != before


def test_many_groups_are_as_one_after_the_other() -> None:
    tensors = some_tensors(DEVICE)
    assert checksums([tensors[:3], tensors[3:], []]) == [checksum(tensors[:3]), checksum(tensors[3:]), checksum([])]
