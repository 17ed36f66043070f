"""Coded masks: designs under which parities fall into bins, and can be read from the signs of their bin.

Kang et al., 'SPEX: scaling feature interaction explanations for LLMs', ICML 2025, arXiv 2502.13870, section 4. Each of
``C`` repetitions has a random binary matrix M ``(n, b)`` and ablates, for every l in {0, 1}^b and every delay row d,

    M l + d + r   (mod 2; 1 = ablated).

The delay rows are the zero row and the ``P`` parity rows of a BCH code that corrects t errors. The transform over l
leaves in bin j the parities k with Mᵀk = j, each with the sign (-1)^<d, k>: at the parity rows, the parity bits of k.

The offset r, a random mask of each repetition, is ours: it only multiplies all signs of k by (-1)^<r, k>. Without it,
the 1 + P masks of l = 0 are the same in all repetitions, an eighth of the budget at b = 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuitspex.checks import check_masks
from circuitspex.errors import UserError
from circuitspex.masks.bch import BchCode
from circuitspex.masks.sample import check_entries
from circuitspex.scale import MOST, check_seed, whole
from circuitspex.typing import Masks

Bits = NDArray[np.bool_]

_MOST_TRIES = 50
_AT_ONCE = 4096  # masks that are made, and compared, at a time
_FEW_COMPONENTS = 12
# No game is known to need parities of more components, and long codes take seconds to build.
_MOST_ERRORS = 10


@dataclass(frozen=True)
class Shape:
    """The size of the coded part: repetitions C, bits b of a bin's index, and errors t that the code corrects."""

    repetitions: int
    b: int
    t: int


@dataclass(frozen=True, eq=False)
class CodedDesign:
    """Coded masks and random ones, in a fixed order.

    ``matrices`` bool ``(C, n, b)``, ``offsets`` bool ``(C, n)`` (True = ablated, unlike masks), ``extra`` bool
    ``(n_random, n)`` masks (True = kept) that use up the rest of the budget. Without a coded part C, b and t are 0.
    """

    n_players: int
    b: int
    t: int
    matrices: Bits
    offsets: Bits
    extra: Masks
    seed: int | None = None

    @classmethod
    def choose(cls, n_players: int, n_masks: int, *, seed: int = 0, order: int = 5) -> CodedDesign:
        """The design for a budget: exactly ``n_masks`` masks, of which as many as possible are coded.

        Args:
            n_players: the number of components, ``n``.
            n_masks: the budget, ``K``.
            seed: for the matrices, the offsets and the random masks.
            order: the largest parity that must be decodable (with small budgets only smaller ones are).

        Raises:
            UserError: no components, no masks, or an order below 1; or too many masks, or a seed that is none.
        """
        n_players, n_masks = (
            whole(n_players, "the number of components", -MOST),
            whole(n_masks, "the number of masks", -MOST),
        )
        order, seed = whole(order, "order", -MOST), check_seed(seed)
        check_entries(n_players, n_masks)
        return cls.of_shape(n_players, n_masks, choose_shape(n_players, n_masks, order), seed=seed)

    @classmethod
    def of_shape(cls, n_players: int, n_masks: int, shape: Shape | None, *, seed: int = 0) -> CodedDesign:
        """A design with a coded part of the given shape, or with none; the rest of the masks are random.

        Raises:
            UserError: a coded part that is larger than the budget or does not fit the number of components.
        """
        rng = np.random.default_rng(seed)
        if shape is None:
            return cls._uncoded(_random(rng, n_masks, n_players), seed)
        n_extra = n_masks - shape.repetitions * (BchCode.smallest(n_players, shape.t).n_parity + 1) * 2**shape.b
        if n_extra < 0 or shape.b > n_players:
            raise UserError(f"{shape} does not fit {n_masks} masks of {n_players} components")
        for _ in range(_MOST_TRIES):
            matrices = np.stack([_matrix(rng, n_players, shape.b) for _ in range(shape.repetitions)])
            offsets = rng.random((shape.repetitions, n_players)) < 0.5
            extra = rng.random((n_extra, n_players)) < 0.5
            design = cls(n_players, shape.b, shape.t, matrices, offsets, extra, seed)
            if n_players > 40 or design._all_differ():  # 40 coins are the same twice once in 10^12 pairs
                break
        return design

    @classmethod
    def recognise(cls, masks: Any, *, order: int = 5) -> CodedDesign | None:
        """The design that these masks came from, or None.

        C, b and t follow from the shape of ``masks``; matrices, offsets and random masks are read off, and every coded
        row is compared. Where the shape says that there is no coded part, any masks are such a design.

        Raises:
            UserError: ``masks`` are not masks.
        """
        masks = check_masks(masks)
        if not masks.size:
            return None
        n_masks, n_players = masks.shape
        shape = choose_shape(n_players, n_masks, order)
        if shape is None:
            return cls._uncoded(masks, None)
        rows = (BchCode.smallest(n_players, shape.t).n_parity + 1) * 2**shape.b
        n_coded = rows * shape.repetitions
        starts = np.arange(shape.repetitions) * rows
        offsets = ~masks[starts]
        columns = starts[:, None] + 2 ** np.arange(shape.b)
        matrices = (~masks[columns] ^ offsets[:, None]).transpose(0, 2, 1)
        design = cls(n_players, shape.b, shape.t, matrices, offsets, masks[n_coded:])
        return design if design.gives(masks) else None

    def gives(self, masks: Masks) -> bool:
        """Whether these are its masks ``(K, n)``, in its order."""
        starts = range(0, self.n_masks, _AT_ONCE)
        return all(
            np.array_equal(batch, masks[start : start + len(batch)])
            for start, batch in zip(starts, self.batches(_AT_ONCE), strict=True)
        )

    @classmethod
    def _uncoded(cls, extra: Masks, seed: int | None) -> CodedDesign:
        n = extra.shape[1]
        return cls(n, 0, 0, np.zeros((0, n, 0), dtype=bool), np.zeros((0, n), dtype=bool), extra, seed)

    @property
    def repetitions(self) -> int:
        """``C``."""
        return len(self.matrices)

    @property
    def code(self) -> BchCode:
        """The code whose parity rows are the delay rows after the first."""
        return BchCode.smallest(self.n_players, self.t)

    @property
    def delays(self) -> Bits:
        """The delay rows ``(1 + P, n)``, the zero row first."""
        return np.vstack([np.zeros((1, self.n_players), dtype=bool), self.code.parity])

    @property
    def n_random(self) -> int:
        """How many masks are random."""
        return len(self.extra)

    @property
    def masks_per_repetition(self) -> int:
        """``(1 + P) 2^b``; 0 without a coded part."""
        return (1 + self.code.n_parity) * 2**self.b if self.repetitions else 0

    @property
    def n_coded(self) -> int:
        """How many masks are coded."""
        return self.repetitions * self.masks_per_repetition

    @property
    def n_masks(self) -> int:
        """``K``."""
        return self.n_coded + self.n_random

    def masks(self) -> Masks:
        """All masks, bool ``(K, n)``, True = kept: by repetition, then delay row, then l; the random ones last."""
        return np.concatenate(list(self.batches(max(1, self.n_masks))))

    def batches(self, size: int) -> Iterator[Masks]:
        """The same masks in batches of ``size`` (the last may be smaller); only one batch is in memory.

        Raises:
            UserError: ``size`` below 1.
        """
        if size < 1:
            raise UserError(f"a batch must have at least one mask, not {size}")
        delays = self.delays if self.repetitions else None
        for start in range(0, self.n_masks, size):
            rows = np.arange(start, min(start + size, self.n_masks))
            coded = rows[rows < self.n_coded]
            batch = np.empty((len(rows), self.n_players), dtype=bool)
            if delays is not None and len(coded):
                repetition, within = np.divmod(coded, self.masks_per_repetition)
                delay, index = np.divmod(within, 2**self.b)
                batch[: len(coded)] = ~(delays[delay] ^ self.offsets[repetition])
                for bit in range(self.b):
                    batch[: len(coded)] ^= self.matrices[repetition, :, bit] & (index >> bit & 1 == 1)[:, None]
            batch[len(coded) :] = self.extra[rows[len(coded) :] - self.n_coded]
            yield batch

    def _all_differ(self) -> bool:
        packed = np.packbits(self.masks(), axis=1)
        return len(np.unique(packed, axis=0)) == len(packed)


def _random(rng: np.random.Generator, n_masks: int, n_players: int) -> Masks:
    """Uniform masks ``(K, n)``; of few components, all masks in random order before any is repeated."""
    if n_players > _FEW_COMPONENTS:
        return np.asarray(rng.random((n_masks, n_players)) < 0.5)
    rounds = -(-n_masks // 2**n_players)
    index = np.concatenate([rng.permutation(2**n_players) for _ in range(rounds)])[:n_masks]
    return np.asarray(index[:, None] >> np.arange(n_players) & 1 == 1)


def _matrix(rng: np.random.Generator, n_players: int, b: int) -> Bits:
    """A random matrix ``(n, b)`` without zero rows and of full rank.

    A zero row would put its component into the constant's bin; without full rank masks repeat.
    """
    while True:
        rows = rng.integers(1, 2**b, n_players)
        if _rank(rows) == b:
            return np.asarray(rows[:, None] >> np.arange(b) & 1 == 1)


def _rank(rows: NDArray[np.int64]) -> int:
    basis: list[int] = []
    for row in np.unique(rows).tolist():
        for element in basis:
            row = min(row, row ^ element)
        if row:
            basis.append(row)
    return len(basis)


def choose_shape(n_players: int, n_masks: int, order: int = 5) -> Shape | None:
    """The coded part for a budget; None where none fits. A function of its arguments alone.

    The rule, from trials on sums of 10 parities of orders 1 to 5 (n = 64 to 1,024, K = 200 to 2,000, without noise and
    at 10 dB; every C from 2 to 7, b from 1 to 6, t from 1 to 6 that fits):

    - a code that reads all orders comes first: with t = 4 instead of 5 the R² stays near 0.7 at any budget, while t = 5
      reached 1.00 with only C = 2, b = 2 (n = 64, 296 masks). t = 6 is no better than 5;
    - for the same number of masks C = 4, b = 2 is as good as C = 2, b = 3. Three repetitions or more also leave two to
      decode from when one is held out, so b is the largest with C >= 3;
    - below that C = 2, b = 2, then fewer errors t; b = 1 was worse;
    - t = 1 lost to LASSO on random masks (n = 128, K = 80: R² .30 to .39 on sums of ANDs, -.13 to .06 on parities),
      t = 2 did not (K = 160: .53 to .50 and .25 to .11): below t = 2 all masks are random, unless ``order`` is 1;
    - where 2^n < 64 K masks would repeat, and all parities can be tried: no coded part.

    Raises:
        UserError: no components, no masks, or an order below 1.
    """
    if n_players < 1:
        raise UserError(f"there must be at least one component, not {n_players}")
    if n_masks < 1:
        raise UserError(f"the number of masks must be at least 1, not {n_masks}")
    if order < 1:
        raise UserError(f"order must be at least 1, not {order}")
    if n_players < 63 and n_masks * 64 > 2**n_players:
        return None
    for t in range(min(order, _MOST_ERRORS), min(order, 2) - 1, -1):
        try:
            rows = BchCode.smallest(n_players, t).n_parity + 1
        except UserError:  # more components than the longest code has room for
            continue
        if n_masks >= rows * 2 * 4:
            b = max([2, *(b for b in range(2, n_players) if n_masks >= rows * 3 * 2**b)])
            return Shape(n_masks // (rows * 2**b), b, t)
    return None
