"""Binary BCH codes, and sparse vectors decoded from their parity bits.

A code word is ``[k | A k]``: ``n`` information bits and ``P`` parity bits. The parity bits alone, ``p = A k`` for an
unknown ``k`` of weight at most ``t``, determine ``k``: the received word ``[0 | p]`` differs from a code word by the
*error pattern* ``[k | w]`` with ``A k + w = p``, where ``w`` are parity bits that were read wrongly, and the code
corrects every pattern of weight ``|k| + |w| <= t``. So SPEX (Kang et al., 'SPEX: scaling feature interaction
explanations for LLMs', ICML 2025, arXiv 2502.13870, section 4) finds the set ``k`` of a parity from ``P`` signs.

Narrow-sense primitive codes (Hocquenghem 1959; Bose and Ray-Chaudhuri 1960), shortened to ``n`` information bits. Hard
decoding is Berlekamp's algorithm for binary codes ('Algebraic coding theory', 1968, chapter 7) over many words at once;
soft decoding is Chase's second algorithm ('A class of algorithms for decoding block codes with channel measurement
information', 1972).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from circuitspex.errors import UserError
from circuitspex.typing import FloatArray, IntArray

Bits = NDArray[np.bool_]

MIN_DEGREE, MAX_DEGREE = 3, 13

# A primitive polynomial of each degree, as bits: it makes the powers of x run through the whole field.
_PRIMITIVE = {
    3: 0b1011,
    4: 0b10011,
    5: 0b100101,
    6: 0b1000011,
    7: 0b10001001,
    8: 0b100011101,
    9: 0b1000010001,
    10: 0b10000001001,
    11: 0b100000000101,
    12: 0b1000001010011,
    13: 0b10000000011011,
}
# Words decoded at once: bounds the memory of the root search to some tens of megabytes.
_CHUNK = 8192


class Field:
    """Arithmetic of GF(2^m) on integer arrays, by tables of logarithms and powers of a primitive element."""

    def __init__(self, m: int) -> None:
        self.m = m
        self.order = 2**m - 1
        power = np.empty(self.order, dtype=np.int64)
        element = 1
        for exponent in range(self.order):
            power[exponent] = element
            element <<= 1
            if element >> m:
                element ^= _PRIMITIVE[m]
        self.log = np.empty(2**m, dtype=np.int64)
        self.log[power] = np.arange(self.order)
        # The logarithm of 0 is so large that every product with it is read from the zeros at the table's end.
        self.log[0] = 2 * self.order
        self.power = np.concatenate([power, power, np.zeros(2 * self.order + 1, dtype=np.int64)])

    def times(self, a: IntArray, b: IntArray) -> IntArray:
        """The product, element by element."""
        return np.asarray(self.power[self.log[a] + self.log[b]])

    def inverse(self, a: IntArray) -> IntArray:
        """``1 / a``; 0 for 0."""
        return np.where(a == 0, 0, self.power[(self.order - self.log[a]) % self.order])


@lru_cache
def _field(m: int) -> Field:
    return Field(m)


@lru_cache
def _generator(m: int, t: int) -> tuple[int, ...]:
    """The generator's coefficients, lowest power first: the least polynomial with roots alpha^1 to alpha^2t."""
    field = _field(m)
    exponents = {(odd * 2**k) % field.order for odd in range(1, 2 * t, 2) for k in range(m)}
    poly = np.array([1], dtype=np.int64)
    for exponent in sorted(exponents):
        root = field.power[exponent : exponent + 1]
        poly = np.append(0, poly) ^ np.append(field.times(poly, root), 0)
    return tuple(poly.tolist())


@dataclass(frozen=True)
class Decoded:
    """The words that were decoded, one row each.

    ``word`` ``(H,)`` is the index of the word; ``members`` ``(H, t)`` the positions in its information part where the
    error pattern is 1, increasing, filled up with -1; ``n_errors`` ``(H,)`` the weight of the whole pattern, wrong
    parity bits included.
    """

    word: IntArray
    members: IntArray
    n_errors: IntArray


@dataclass(frozen=True, eq=False)
class BchCode:
    """A code over GF(2^m) that corrects ``t`` errors, shortened to ``n_players`` information bits.

    ``parity`` is A, bool ``(P, n)``: the parity bits of information bits k are ``A k`` mod 2.
    """

    n_players: int
    t: int
    m: int
    parity: Bits

    @classmethod
    def smallest(cls, n_players: int, t: int) -> BchCode:
        """The code of the shortest length 2^m - 1 with at least ``n_players`` information bits.

        Raises:
            UserError: fewer than one information bit or error, or no such code with m up to 13.
        """
        if n_players < 1:
            raise UserError(f"a code needs at least one information bit, not {n_players}")
        if t < 1:
            raise UserError(f"a code must correct at least one error, not {t}")
        for m in range(MIN_DEGREE, MAX_DEGREE + 1):
            if 2 * t < 2**m - 1 and 2**m - len(_generator(m, t)) >= n_players:
                return _code(n_players, t, m)
        raise UserError(
            f"no BCH code of length up to {2**MAX_DEGREE - 1} has {n_players} information bits and corrects {t} errors"
        )

    @property
    def n_parity(self) -> int:
        """``P``, the number of parity bits."""
        return len(self.parity)

    def sparse_of(self, parity: Bits) -> Decoded:
        """The sparse vectors k with ``A k + w = p`` and weight ``|k| + |w| <= t``; unique where there is one.

        Args:
            parity: p, bool ``(W, P)``.
        """
        parity = _bits(parity, self.n_parity, "parity bits")
        parts = [self._decode(parity[start : start + _CHUNK], start) for start in range(0, len(parity), _CHUNK)]
        return _joined(parts, self.t)

    def sparse_near(self, soft: FloatArray, *, n_flips: int = 6) -> Decoded:
        """As ``sparse_of``, also with every subset of the least reliable parity bits flipped: several rows per word.

        Args:
            soft: float ``(W, P)``; negative = bit 1, the size is the reliability.
            n_flips: how many bits of each word are flipped, in all subsets.
        """
        bits = _bits(soft < 0, self.n_parity, "soft parity bits")
        n_flips = min(n_flips, self.n_parity)
        weakest = np.argsort(np.abs(soft), axis=1, kind="stable")[:, :n_flips]
        parts = []
        for subset in range(2**n_flips):
            chosen = weakest[:, [place for place in range(n_flips) if subset >> place & 1]]
            flipped = bits.copy()
            np.put_along_axis(flipped, chosen, ~np.take_along_axis(bits, chosen, 1), 1)
            parts.append(self.sparse_of(flipped))
        return _joined(parts, self.t)

    def parity_of_sets(self, members: IntArray) -> Bits:
        """The parity bits ``(H, P)`` of sets given as ``Decoded.members``, ``(H, up to t)`` filled up with -1."""
        columns = np.vstack([self.parity.T, np.zeros((1, self.n_parity), dtype=bool)])  # -1 is the row of zeros
        return np.asarray(np.logical_xor.reduce(columns[members], axis=1))

    def _decode(self, parity: Bits, offset: int) -> Decoded:
        """Positions are powers of x: the parity bits at 0 to P - 1, information bit i at P + i."""
        field = _field(self.m)
        odd = np.arange(1, 2 * self.t, 2)
        powers = field.power[np.outer(odd, np.arange(self.n_parity + self.n_players)) % field.order]
        syndromes = np.bitwise_xor.reduce(np.where(parity[:, None, :], powers[:, : self.n_parity], 0), axis=2)
        locators, degree = _locators(field, syndromes)
        words = [np.flatnonzero(degree == 0)]
        members = [np.full((len(words[0]), self.t), -1)]
        weights = [np.zeros(len(words[0]), dtype=np.int64)]
        for size in range(1, self.t + 1):
            rows = np.flatnonzero(degree == size)
            rows = rows[_splits(field, locators[rows, 1 : size + 1])]
            for start in range(0, len(rows), 256):
                some = rows[start : start + 256]
                where, positions = _roots(field, locators[some, 1 : size + 1], self.n_parity + self.n_players)
                right = (syndromes[some[where]] == np.bitwise_xor.reduce(powers[:, positions], axis=2).T).all(1)
                positions = positions[right] - self.n_parity
                padded = np.full((len(positions), self.t), self.n_players)
                padded[:, :size] = np.where(positions < 0, self.n_players, positions)
                padded.sort(axis=1)
                words.append(some[where[right]])
                members.append(np.where(padded == self.n_players, -1, padded))
                weights.append(np.full(len(positions), size))
        return Decoded(np.concatenate(words) + offset, np.concatenate(members), np.concatenate(weights))


@lru_cache(maxsize=64)
def _code(n_players: int, t: int, m: int) -> BchCode:
    generator = np.array(_generator(m, t), dtype=bool)
    n_parity = len(generator) - 1
    parity = np.empty((n_parity, n_players), dtype=bool)
    remainder = generator[:-1]  # x^P mod g
    for column in range(n_players):
        parity[:, column] = remainder
        shifted = np.append(False, remainder)
        remainder = shifted[:-1] ^ (generator[:-1] & shifted[-1])
    parity.flags.writeable = False
    return BchCode(n_players, t, m, parity)


def _locators(field: Field, syndromes: IntArray) -> tuple[IntArray, IntArray]:
    """Error locators ``(W, 2t + 2)``, lowest power first, and their degrees, from odd syndromes ``(W, t)``.

    Berlekamp's algorithm for binary codes: even steps have no discrepancy.
    """
    n_words, t = syndromes.shape
    width = 2 * t + 2
    every = np.zeros((n_words, 2 * t + 1), dtype=np.int64)  # S_1 to S_2t at their own index; S_2j = S_j²
    for j in range(1, 2 * t + 1):
        every[:, j] = syndromes[:, j // 2] if j % 2 else field.times(every[:, j // 2], every[:, j // 2])
    locator = np.zeros((n_words, width), dtype=np.int64)
    locator[:, 0] = 1
    helper = locator.copy()
    degree = np.zeros(n_words, dtype=np.int64)
    for k in range(t):
        step = 2 * k + 1
        discrepancy = np.bitwise_xor.reduce(field.times(locator[:, :step], every[:, step:0:-1]), axis=1)
        shifted = np.roll(helper, 1, axis=1)
        updated = locator ^ field.times(discrepancy[:, None], shifted)
        longer = (discrepancy != 0) & (degree <= k)
        scaled = np.roll(field.times(field.inverse(discrepancy)[:, None], locator), 1, axis=1)
        helper = np.where(longer[:, None], scaled, np.roll(shifted, 1, axis=1))
        locator = updated
        degree = width - 1 - np.argmax(locator[:, ::-1] != 0, axis=1)
    return locator, degree


def _splits(field: Field, lower: IntArray) -> Bits:
    """Whether ``x^L + lower[0] x^(L-1) + … + lower[L-1]`` has L different roots in the field, for each row.

    It does exactly if it divides ``x^(2^m) - x``; the power is taken by m squarings modulo the polynomial.
    """
    n_words, size = lower.shape
    if size == 1 or not n_words:
        return np.ones(n_words, dtype=bool)
    low = lower[:, ::-1]  # x^L = sum of low[i] x^i
    powers = np.zeros((n_words, 2 * size - 1, size), dtype=np.int64)  # x^e mod the polynomial
    powers[:, range(size), range(size)] = 1
    for e in range(size, 2 * size - 1):
        before = powers[:, e - 1]
        powers[:, e, 1:] = before[:, :-1]
        powers[:, e] ^= field.times(before[:, -1:], low)
    start = powers[:, 1]
    value = start
    for _ in range(field.m):
        squares = field.times(value, value)
        value = np.bitwise_xor.reduce(field.times(squares[:, :, None], powers[:, ::2]), axis=1)
    return np.asarray((value == start).all(1))


def _roots(field: Field, lower: IntArray, n_positions: int) -> tuple[IntArray, IntArray]:
    """Rows whose L roots are all alpha^i with i below ``n_positions``, and these positions, by trying all (Chien)."""
    size = lower.shape[1]
    exponents = np.arange(n_positions)
    total = np.broadcast_to(field.power[(exponents * size) % field.order], (len(lower), n_positions)).copy()
    for i in range(size):
        total ^= field.times(lower[:, i : i + 1], field.power[(exponents * (size - 1 - i)) % field.order][None])
    is_root = total == 0
    complete = np.flatnonzero(is_root.sum(1) == size)
    return complete, np.nonzero(is_root[complete])[1].reshape(len(complete), size)


def _joined(parts: list[Decoded], t: int) -> Decoded:
    if not parts:
        return Decoded(np.empty(0, np.int64), np.empty((0, t), np.int64), np.empty(0, np.int64))
    return Decoded(
        np.concatenate([part.word for part in parts]),
        np.concatenate([part.members for part in parts]),
        np.concatenate([part.n_errors for part in parts]),
    )


def _bits(array: Bits, width: int, what: str) -> Bits:
    array = np.asarray(array)
    if array.ndim != 2 or array.shape[1] != width:
        raise UserError(f"{what} must have shape (words, {width}), not {array.shape}")
    if array.dtype != np.bool_:
        if not np.isin(array, (0, 1)).all():
            raise UserError(f"{what} must be bits; other entries were found")
        array = array.astype(bool)
    return array
