"""The Fourier basis of masks that keep each component with a probability other than one half.

``phi_S(m) = prod over i in S of (m_i - p) / sqrt(p (1 - p))`` with ``m_i`` = 1 kept, 0 ablated. These are orthonormal
over masks that keep each component independently with probability p (O'Donnell 2014, Analysis of Boolean Functions,
section 8.4). At p = 1/2 they are the parities.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

from circuitspex.errors import UserError
from circuitspex.recovery.bases.polynomial import spread
from circuitspex.typing import Term


def fourier_to_biased(table: Mapping[Term, float], keep: float) -> dict[Term, float]:
    """Coefficients of parities to those of ``phi_S`` at p = ``keep``.

    ``x_i = (2p - 1) + 2 sqrt(p(1-p)) phi_i``, so
    ``b_S = sum over T >= S of (2 sqrt(p(1-p)))^|S| (2p - 1)^(|T|-|S|) c_T``. ``b_()`` is the mean.

    Raises:
        UserError: ``keep`` is not strictly between 0 and 1.
    """
    if not 0 < keep < 1:
        raise UserError(f"keep must be between 0 and 1, both excluded, not {keep}: at 0 and 1 masks do not vary")
    centre, scale = 2 * keep - 1, 2 * sqrt(keep * (1 - keep))  # mean and standard deviation of x_i
    return spread(table, lambda t, s: scale**s * centre ** (t - s))
