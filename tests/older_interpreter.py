"""Triton's interpreter of before 3.9 with NumPy 2.4 and later.

There a loop's bound that is no constant is read by ``int`` of an array of one element, which NumPy now refuses; 3.9
takes the element first, and so is done here. Tried: Triton 3.6 and 3.9 with NumPy 2.4.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

_PATCH = "_patch_lang_tensor"


def mend() -> bool:
    """Whether there was something to mend: nothing is imported otherwise."""
    try:
        if _numbers("numpy") < (2, 4) or _numbers("triton") >= (3, 9):
            return False
    except PackageNotFoundError:
        return False
    from triton.runtime import interpreter

    before = getattr(interpreter, _PATCH)

    def patch(tensor: Any, *scope: Any) -> None:
        before(tensor, *scope)
        tensor.__index__ = lambda self: int(self.handle.data.squeeze())

    setattr(interpreter, _PATCH, patch)
    return True


def _numbers(package: str) -> tuple[int, int]:
    major, minor = version(package).split(".")[:2]
    return int(major), int(minor)
