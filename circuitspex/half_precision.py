"""Large matrices in half precision, two bytes a number: gradients of many thousands of components.

A row is kept as ``2^e`` times half-precision numbers, with e chosen so that its largest number lies just below the
largest that half precision holds. What is kept is within ``2^-11`` of each number, or within ``2^-39`` of the row's
largest, whichever is more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuitspex.by_value import by_value
from circuitspex.typing import FloatArray

# Half precision holds numbers below 2^16; the largest of a row is brought below 2^15.
_TOP = 15

HALF_FROM = 2500
"""With more components than this, gradients are kept in half precision."""


@by_value
@dataclass(frozen=True)
class HalfMatrix:
    """A matrix ``(K, n)``: ``halves`` float16 ``(K, n)``, times ``2^exponents`` ``(K,)`` of each row.

    NumPy takes it as an array of single precision, which holds every number of it exactly; ``columns`` and ``dot`` use
    it without unpacking it whole.
    """

    halves: NDArray[np.float16]
    exponents: NDArray[np.int32]

    @classmethod
    def empty(cls, n_rows: int, n_columns: int) -> HalfMatrix:
        """Zeros, to be filled row by row with ``fill``."""
        return cls(np.zeros((n_rows, n_columns), dtype=np.float16), np.zeros(n_rows, dtype=np.int32))

    @classmethod
    def of(cls, matrix: Any) -> HalfMatrix:
        """A matrix of finite numbers, rounded."""
        matrix = np.asarray(matrix)
        out = cls.empty(*matrix.shape)
        out.fill(np.arange(len(matrix)), matrix)
        return out

    def fill(self, rows: Any, numbers: Any) -> None:
        """Set some rows ``(k,)`` to these numbers ``(k, n)``, rounded."""
        numbers = np.asarray(numbers, dtype=np.float64)
        largest = np.abs(numbers).max(axis=1, initial=0.0)
        exponents = np.where(largest > 0, np.frexp(largest)[1] - _TOP, 0).astype(np.int32)
        self.halves[rows] = np.ldexp(numbers, -exponents[:, None])
        self.exponents[rows] = exponents

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        n_rows, n_columns = self.halves.shape
        return n_rows, n_columns

    @property
    def ndim(self) -> int:
        """Two axes."""
        return 2

    @property
    def nbytes(self) -> int:
        """The memory that the numbers take."""
        return self.halves.nbytes + self.exponents.nbytes

    def __len__(self) -> int:
        return len(self.halves)

    def __getitem__(self, rows: Any) -> Any:
        """One row as an array of single precision; several as a matrix like this one."""
        if isinstance(rows, int | np.integer):
            return np.ldexp(self.halves[rows].astype(np.float32), self.exponents[rows])
        return HalfMatrix(self.halves[rows], self.exponents[rows])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        whole = np.ldexp(self.halves.astype(np.float32), self.exponents[:, None])
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def columns(self, columns: Any) -> FloatArray:
        """Some columns, in double precision."""
        return np.ldexp(self.halves[:, columns].astype(np.float64), self.exponents[:, None])
