"""Many small arrays of the host in one piece, which goes to a device at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

# Pieces begin at multiples of this many numbers of 4 bytes: kernels read 16 bytes at a time.
_ALIGNED = 4


@dataclass(frozen=True)
class Piece:
    """Where one array is in the whole; int32 or float32."""

    offset: int
    shape: tuple[int, ...]
    floating: bool

    def of(self, whole: torch.Tensor) -> torch.Tensor:
        """This array, a view of the whole."""
        part = whole[self.offset : self.offset + math.prod(self.shape)].view(self.shape)
        return part.view(torch.float32) if self.floating else part


class Upload:
    """Arrays that are put beside each other."""

    def __init__(self) -> None:
        self._parts: list[np.ndarray[Any, Any]] = []
        self.size = 0

    def put(self, array: Any) -> Piece:
        """Take an array in: integers as int32, others as float32."""
        array = np.asarray(array)
        floating = array.dtype.kind == "f"
        flat = np.ascontiguousarray(array, dtype=np.float32 if floating else np.int32).reshape(-1).view(np.int32)
        piece = Piece(self.size, array.shape, floating)
        padding = -len(flat) % _ALIGNED
        self._parts += [flat, np.zeros(padding, dtype=np.int32)]
        self.size += len(flat) + padding
        return piece

    def packed(self, *, pinned: bool) -> torch.Tensor:
        """All of it, int32, in memory of the host from which a device can copy by itself if ``pinned``."""
        whole = torch.from_numpy(np.concatenate(self._parts or [np.zeros(0, dtype=np.int32)]))
        return whole.pin_memory() if pinned else whole
