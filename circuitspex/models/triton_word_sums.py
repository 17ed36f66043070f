"""``word_sums`` as a Triton kernel: every tensor by its address, all in one launch for each size of words."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

_BLOCK = 2048
_PROGRAMS = 128  # that share a tensor


@triton.jit
def _sums_kernel(addresses, lengths, sums, MULTIPLIER: tl.constexpr, WORD: tl.constexpr, BLOCK: tl.constexpr):
    which = tl.program_id(0)
    length = tl.load(lengths + which)
    words = tl.load(addresses + which).to(tl.pointer_type(WORD))
    total = tl.zeros((BLOCK,), dtype=tl.int64)
    at = tl.program_id(1).to(tl.int64) * BLOCK
    while at < length:
        place = at + tl.arange(0, BLOCK).to(tl.int64)
        word = tl.load(words + place, mask=place < length, other=0).to(tl.int64)
        total += word * ((place * MULTIPLIER) | 1)
        at += tl.num_programs(1).to(tl.int64) * BLOCK
    tl.atomic_add(sums + which, tl.sum(total, 0), sem="relaxed")


_WORDS = {torch.uint8: tl.uint8, torch.int16: tl.int16, torch.int32: tl.int32, torch.int64: tl.int64}


def launched(words: list[torch.Tensor], multiplier: int) -> list[int]:
    """The sum of each of these tensors, which are contiguous, of one axis and on one device."""
    device = words[0].device
    sums = torch.zeros(len(words), dtype=torch.int64, device=device)
    kinds = sorted({each.dtype for each in words}, key=str)
    order = [place for kind in kinds for place, each in enumerate(words) if each.dtype == kind]
    about = [[words[place].data_ptr() for place in order], [len(words[place]) for place in order]]
    table = torch.tensor(about, dtype=torch.int64, device=device)
    start = 0
    with torch.cuda.device_of(words[0]):  # type: ignore[no-untyped-call]
        for kind in kinds:
            lengths = [len(each) for each in words if each.dtype == kind]
            end = start + len(lengths)
            programs = max(1, min(_PROGRAMS, triton.cdiv(max(lengths), _BLOCK)))
            _sums_kernel[(len(lengths), programs)](
                table[0, start:end], table[1, start:end], sums[start:end], multiplier, _WORDS[kind], _BLOCK
            )
            start = end
    found = dict(zip(order, sums.tolist(), strict=True))
    return [found[place] for place in range(len(words))]
