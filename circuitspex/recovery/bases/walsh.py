"""The Walsh–Hadamard transform: from values under all masks of a few bits to coefficients of parities."""

from __future__ import annotations

from typing import Any

import numpy as np

from circuitspex.checks import check_finite
from circuitspex.errors import UserError
from circuitspex.typing import FloatArray


def walsh_hadamard(values: Any) -> FloatArray:
    """``out[…, j] = sum over l of (-1)^<j, l> values[…, l]``, not normalised; ``<j, l>`` is over the bits of j and l.

    The fast butterfly, ``O(N log N)``. Applied twice it is ``N`` times the identity.

    Args:
        values: numbers ``(…, N)`` with ``N`` a power of two; each row along the last axis is transformed.

    Returns:
        float64 ``(…, N)``, a new array.

    Raises:
        UserError: no axis, ``N`` not a power of two, or NaN or infinities.
    """
    shape = np.shape(values)
    if not shape or shape[-1] < 1 or shape[-1] & (shape[-1] - 1):
        raise UserError(
            f"a Walsh-Hadamard transform needs a last axis whose length is a power of two, not shape {shape}"
        )
    out = check_finite(values, shape, "values").copy()
    size = shape[-1]
    half = 1
    while half < size:
        pairs = out.reshape(-1, size // (2 * half), 2, half)
        out = np.stack([pairs[:, :, 0] + pairs[:, :, 1], pairs[:, :, 0] - pairs[:, :, 1]], axis=2)
        half *= 2
    return out.reshape(shape)
